"""What do Parzen's time and memory grow with?

Each size has a process of its own, because one's peak would hide a smaller one's.
`python -m benchmarks.growth --N 10000 --n 100 --d 784 [--file CENTRES.npy] ...` prints
the seconds of the estimate and of a matrix product of the same size, timed in turn, and
the estimate's peak of memory above its inputs. With a file the centres are mapped from
it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from genmodel_bench.metrics.parzen import parzen_log_probs
from genmodel_bench.storage.provenance import Cost
from torch import Tensor

from benchmarks.place import Place
from benchmarks.ratios import interleave, plan, warm

SIGMA = 0.2
AT_ONCE = 2**16
"""The number of centres in one product of the floor."""
HOME = Path(__file__).parents[1]


@dataclass(frozen=True)
class Size:
    """N centres, n points, d dimensions; centres mapped from `file`, or random ones."""

    N: int
    n: int
    d: int
    file: str | None = None


@dataclass(frozen=True)
class Grown:
    """The measurements of one process.

    The seconds by round of the estimate and of the product, and the peak in MiB above the
    inputs, None where the system does not report it.
    """

    our_seconds: list[float]
    other_seconds: list[float]
    peak_mib: float | None


def in_process(size: Size, place: Place, *, budget: float) -> Grown:
    """Measure this size in a fresh process."""
    options = [f"--{name}={value}" for name, value in asdict(size).items() if value is not None]
    options += [f"--device={place.device}", f"--threads={place.threads}", f"--budget={budget}"]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.growth", *options], cwd=HOME, capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(f"growth: {size} failed: {done.stderr.strip().splitlines()[-1]}")
    return Grown(**json.loads(done.stdout.splitlines()[-1]))


def measure(size: Size, place: Place, *, budget: float) -> Grown:
    """Measure this size in this process, which must be fresh."""
    torch.manual_seed(0)
    x, s = torch.rand(size.n, size.d).to(place.device), centres(size).to(place.device)
    s.sum()  # loads every page of a mapped file, which is part of the inputs
    estimate = partial(parzen_log_probs, x, s, [SIGMA])
    # libraries start their threads and allocate workspaces
    parzen_log_probs(x[:2], s[:100], [SIGMA])
    before = resident_mib(place.device)
    with Cost(place.device) as cost:
        estimate()
    peak = None if before is None or cost.peak_mib is None else cost.peak_mib - before
    product = partial(multiply, x, s, torch.empty(size.n * min(size.N, AT_ONCE), device=place.device))
    took = [warm(call, wait=place.synchronise, again=budget > 0) for call in (estimate, product)]
    rounds = plan(*took, budget=budget, fewest=2 if place.quick else 5).rounds
    return Grown(*interleave(estimate, product, rounds, wait=place.synchronise), peak)


def centres(size: Size) -> Tensor:
    """Return the first N rows of the file, mapped, or random ones: (N, d)."""
    if size.file is None:
        return torch.rand(size.N, size.d)
    # copy-on-write: torch warns about read-only arrays
    return torch.from_numpy(np.load(size.file, mmap_mode="c")[: size.N])


def multiply(x: Tensor, s: Tensor, out: Tensor) -> None:
    """Compute the product of x: (n, d) and s: (N, d), 65,536 centres at a time.

    `out` holds n · min(N, 65,536) numbers.
    """
    for part in s.split(AT_ONCE):
        torch.mm(x, part.T, out=out[: len(x) * len(part)].view(len(x), len(part)))


def resident_mib(device: torch.device) -> float | None:
    """Return this process's memory in MiB, on the GPU or resident.

    None where the system does not report it.
    """
    if device.type == "cuda":
        return torch.cuda.memory_allocated(device) / 2**20
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS:")), None)


def write_centres(path: Path, N: int, d: int) -> None:
    """Write N random rows of d float32 to a .npy file, a part at a time."""
    rows = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(N, d))
    for i in range(0, N, 50_000):
        rows[i : i + 50_000] = torch.rand(min(50_000, N - i), d).numpy()
    rows.flush()


def main(argv: list[str] | None = None) -> None:
    """Measure the size given on the command line and print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    options: list[tuple[str, Any]] = [
        ("--N", int),
        ("--n", int),
        ("--d", int),
        ("--file", str),
        ("--device", torch.device),
    ]
    for name, kind in [*options, ("--threads", int), ("--budget", float)]:
        parser.add_argument(name, type=kind, required=name != "--file")
    a = parser.parse_args(argv)
    torch.set_num_threads(a.threads)
    place = Place(a.device, a.threads, quick=a.budget == 0)
    print(json.dumps(asdict(measure(Size(a.N, a.n, a.d, a.file), place, budget=a.budget))))


if __name__ == "__main__":
    main()
