"""Which fixtures do the benchmarks share?

The device and threads they run on, real images, and a comparison of two sides in one run.
"""

import warnings
from dataclasses import dataclass
from functools import partial

import pytest
import torch
from genmodel_bench.data.registry import load
from genmodel_bench.data.root import data_root
from genmodel_bench.errors import DataNotice

from benchmarks.idx import write_random_mnist
from benchmarks.place import Place, limited
from benchmarks.ratios import FEWEST, Turns, divide, plan, seconds, warm


def pytest_addoption(parser):
    parser.addoption(
        "--quick", action="store_true", help="small sizes and few rounds, to try the benchmarks; never stored"
    )


def is_part(config):
    """Return whether only some of the benchmarks were asked for."""
    o = config.option
    return bool(o.keyword or o.deselect or getattr(o, "lf", False)) or any(
        ".py" in argument for argument in config.args
    )


def place_of(config):
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return Place(device, torch.get_num_threads(), config.getoption("--quick"))


def pytest_benchmark_update_machine_info(config, machine_info):
    machine_info.clear()  # it holds the host's name and the processor's flags
    machine_info.update({**place_of(config).describe(), "part": is_part(config)})


@pytest.fixture(scope="session")
def place(request):
    return place_of(request.config)


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def mnist_root(tmp_path_factory):
    """The folder of MNIST in torchvision's layout.

    Where MNIST is not on this machine: random images of its shape.
    """
    root = data_root(None)
    if (root / "MNIST" / "raw" / "train-images-idx3-ubyte").is_file():
        return root
    root = tmp_path_factory.mktemp("data")
    write_random_mnist(root)
    return root


@pytest.fixture(scope="session")
def mnist(mnist_root):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataNotice)  # random images are not those published
        return load("mnist", root=mnist_root)


@dataclass(frozen=True)
class Title:
    """The words of a comparison: section, row, the other side, the size of the work."""

    section: str
    ours: str
    other: str
    size: str


def size_of(x, s):
    """Return the size of all pairs of x: (n, d) and s: (N, d), as a table shows it."""
    return f"{len(x):,} × {len(s):,} × {x.shape[1]:,}"


@pytest.fixture
def compare(benchmark, place):
    return partial(time_both, benchmark, place)


def time_both(
    benchmark,
    place,
    title,
    ours,
    other,
    *,
    share=1.0,
    threads=None,
    budget=12.0,
    target=None,
    note="",
    **facts,
):
    """Time two sides in turn; the results are in the benchmark's extra_info.

    `share` is the part of the work given to the other side where all of it would take
    hours: its seconds are divided by `share`. `target` is the ratio aimed at, `facts` are
    more numbers for the tables.
    """
    threads, wait = threads or place.threads, place.synchronise
    with limited(threads):
        took = [warm(call, wait=wait, again=not place.quick) for call in (ours, other)]
        planned = plan(*took, budget=0 if place.quick else budget, fewest=2 if place.quick else FEWEST)
        turns = Turns(partial(seconds, other, planned.other_calls, wait=wait))
        timed = partial(seconds, ours, planned.our_calls, wait=wait)
        benchmark.group = title.section
        benchmark.pedantic(timed, setup=turns.before, teardown=turns.after, rounds=planned.rounds)
    if benchmark.disabled:
        return
    mine = [total / planned.our_calls for total in benchmark.stats.stats.data]
    theirs = [t / share for t in turns.seconds]
    benchmark.extra_info.update(
        {**vars(title), "threads": threads, "share": share, "target": target, "note": note, "facts": facts}
        | {"our_seconds": mine, "other_seconds": theirs, "ratios": divide(mine, theirs)}
    )
