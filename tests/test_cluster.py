"""Cells on a Ray cluster of several nodes of this machine; one is killed during a run."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from contextlib import ExitStack, suppress
from functools import cache
from pathlib import Path

import pytest
import torch
from flat import run
from genmodel_bench import BadOption
from genmodel_bench.cells.cell import Cell
from genmodel_bench.cells.protocol import Protocol
from genmodel_bench.data.registry import load
from genmodel_bench.execution.artefacts import keep_test_images
from genmodel_bench.execution.cluster.task import Sender
from genmodel_bench.execution.cluster.transfer import Changes, receive
from genmodel_bench.execution.execute import cell_lock
from genmodel_bench.execution.executor import QUIET
from genmodel_bench.execution.listener import Silent
from genmodel_bench.execution.messages import Artefact, Notice
from genmodel_bench.metrics import STANDARD, Subject
from genmodel_bench.models import MODELS
from genmodel_bench.storage.store import Store
from genmodel_bench.training import checkpoint
from genmodel_bench.training import loop as harness
from patient import Patient

TESTS = Path(__file__).parent


@cache
def numbers_of_a_cell():
    """The number of rows of a cell."""
    digits = load("digits")
    return sum(len(metric(Subject(digits.train[:150]), digits).scores) for metric in STANDARD.values())


STEPS = 44
"""Steps of a patient model on digits: 4 epochs of 11 batches."""
# Ray 2.60 leaves files and sockets to the garbage collector when a driver leaves.
pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)


@pytest.fixture(scope="module")
def cluster():
    """A cluster whose head runs no cell."""
    pytest.importorskip("ray")
    # it holds sockets, whose names may not be long
    folder = tempfile.mkdtemp(prefix="ray-", dir="/tmp")
    settings = {
        "RAY_TMPDIR": folder,
        "RAY_AUTH_MODE": "disabled",
        "TMPDIR": folder,
        "PYTHONPATH": os.pathsep.join(filter(None, [str(TESTS), os.environ.get("PYTHONPATH")])),
        **QUIET,
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        (Path(folder) / "ray").mkdir()
        from ray.cluster_utils import Cluster

        # a machine that is busy with other tests is not taken for lost
        patience = {"health_check_timeout_ms": 60_000}
        nodes = Cluster(
            initialize_head=True,
            head_node_args={"num_cpus": 0, "include_dashboard": False, "_system_config": patience},
        )
        yield nodes
        nodes.shutdown()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def node(cluster):
    """A function that adds nodes for one test."""
    added = []

    def add(**resources):
        added.append(cluster.add_node(**resources))
        return added[-1]

    yield add
    for one in added:
        if one in cluster.worker_nodes:
            cluster.remove_node(one, allow_graceful=False)


@pytest.fixture
def patient(tmp_path, monkeypatch):
    """Functions that register patient models and read which steps each training made."""
    notes = tmp_path / "steps"
    monkeypatch.setattr(harness.train, "__kwdefaults__", dict(harness.train.__kwdefaults__))

    def register(name="patient", **changes):
        monkeypatch.setitem(MODELS, name, Patient(str(notes), **changes))

    def steps():
        found = defaultdict(list)
        for line in notes.read_text().splitlines():
            found[line.split()[0]].append(int(line.split()[1]))
        return found

    return register, steps


def quick(models, results, **kwargs):
    return run(
        list(models),
        results=results,
        **{"device": "cpu", "seeds": 1, "samples": 150, "figures": False, **kwargs},
    )


def alone(models, results, **kwargs):
    """The same run in this process, on one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return quick(models, results, **kwargs)
    finally:
        torch.set_num_threads(before)


def numbers(records):
    return {
        (r.model, r.seed, r.metric, r.quantity): (r.value, r.stderr, r.weights, r.threads)
        for r in records.itertuples()
    }


class Listening(Silent):
    """Records what it hears, and calls `then` once.

    When `trainings` trainings have checkpoints, or when the first cell is finished.
    """

    def __init__(self, then=lambda: None, *, store=None, trainings=0):
        self.then, self.store, self.trainings = then, store, trainings
        self.notices, self.at, self.most, self.order = [], set(), 0, []

    def started(self, cell):
        self.at.add(cell)
        self.most = max(self.most, len(self.at))

    def news(self, cell, news):
        if isinstance(news, Notice):
            self.notices.append(news.text)
        if (
            self.trainings
            and len({path.parent for path in self.store.cache.glob("fits/*/*.pt")}) == self.trainings
        ):
            self.trainings = 0
            self.then()

    def finished(self, cell, outcome):
        self.at.discard(cell)
        self.order.append(cell.model)
        if len(self.order) == 1 and not self.store:
            self.then()


@pytest.mark.slow
def test_a_node_that_is_lost_costs_no_row_and_no_cell_starts_anew(tmp_path, cluster, node, patient):
    register, steps = patient
    register(epochs=8)
    node(num_cpus=1)
    doomed = node(num_cpus=1)
    store = Store(tmp_path / "ray", "digits")
    watch = Listening(lambda: cluster.remove_node(doomed, allow_graceful=False), store=store, trainings=2)
    there = quick(
        ["patient", "mean"],
        tmp_path / "ray",
        seeds=2,
        executor="ray",
        address=cluster.address,
        listener=watch,
    )
    assert watch.notices == [
        "its machine was lost; it is sent out again, with the last checkpoint that came from there"
    ]
    rows = store.records()
    counted = Counter((r.model, r.seed, r.metric, r.quantity) for r in rows)
    assert set(counted.values()) == {1}
    assert len(counted) == 2 * 2 * numbers_of_a_cell()
    assert all(r.ok and r.intact for r in rows)
    made = steps().values()
    assert [sorted(set(each)) for each in made] == [list(range(1, 2 * STEPS + 1))] * 2
    assert sum(map(len, made)) > 4 * STEPS  # some were made again
    assert [each.count(1) for each in made] == [1, 1]  # but not the first ones
    here = alone(["patient", "mean"], tmp_path / "here", seeds=2)
    assert numbers(there) == numbers(here)
    log = [
        checkpoint.load_latest(path, torch.device("cpu"))["log"][0]
        for path in sorted(tmp_path.glob("*/.cache/fits/*/"))
    ]
    assert sorted(map(str, log[:2])) == sorted(map(str, log[2:]))
    assert [len(history) for history in log] == [8] * 4


@pytest.mark.slow
def test_a_shared_training_is_made_once_and_what_is_there_is_not_made_again(
    tmp_path, cluster, node, patient, digits
):
    register, steps = patient
    register("patient", pause=0.02)
    register("twin", pause=0.02, bright=0.9)
    node(num_cpus=2)
    store = Store(tmp_path, "digits")
    mean = Cell("digits", digits.digest, "mean", MODELS["mean"], seed=0, protocol=Protocol(samples=150))
    with ExitStack() as elsewhere:
        elsewhere.enter_context(cell_lock(mean, store, wait=False))
        watch = Listening(elsewhere.close)
        first = quick(
            ["mean", "patient", "twin"], tmp_path, executor="ray", address=cluster.address, listener=watch
        )
    assert [len(each) for each in steps().values()] == [STEPS]
    assert first["value"].notna().all()
    assert watch.order[0] != "mean"  # another run held it
    assert (len(first), len(store.records())) == (3 * numbers_of_a_cell(), 3 * numbers_of_a_cell())
    second = quick(["mean", "patient", "twin"], tmp_path, executor="ray", address="127.0.0.1:9")
    assert numbers(second) == numbers(first)  # no cluster was needed
    fewer = {"neighbours": STANDARD["neighbours"]}
    forced = quick(
        ["patient", "twin"], tmp_path, executor="ray", address=cluster.address, force=True, metrics=fewer
    )
    assert [len(each) for each in steps().values()] == [2 * STEPS]
    assert numbers(forced).items() <= numbers(first).items()
    assert len(store.records()) == 3 * numbers_of_a_cell()


@pytest.mark.slow
def test_four_cells_share_a_gpu_of_which_each_has_a_quarter(tmp_path, cluster, node, patient):
    register, _ = patient
    register()
    node(num_cpus=8, num_gpus=1)
    watch = Listening()
    records = quick(
        ["patient"],
        tmp_path,
        seeds=5,
        executor="ray",
        address=cluster.address,
        gpus_per_cell=0.25,
        listener=watch,
    )
    assert watch.most == 4
    assert records["device"].str.startswith("cpu").all()
    assert len(Store(tmp_path, "digits").records()) == 5 * numbers_of_a_cell()


@pytest.mark.slow
def test_what_ends_its_process_each_time_or_takes_too_long_is_a_row(tmp_path, cluster, node, patient):
    register, _ = patient
    register("exits", end="exit")
    register("hangs", end="hang")
    node(num_cpus=2)
    watch = Listening()
    records = quick(
        ["exits", "hangs", "mean"],
        tmp_path,
        executor="ray",
        address=cluster.address,
        timeout=40.0,
        listener=watch,
    )
    status = records.groupby("model")["status"].first()
    assert status["exits"] == "failed: its process was lost (WorkerCrashedError), the last of 4 times"
    assert status["hangs"].startswith(
        "timeout: stopped after 40 s; the next run goes on from its last checkpoint"
    )
    assert status["mean"] == "ok"
    assert len(watch.notices) == 3
    # The next worker on a machine deletes what was left there, and at the end its own.
    left = f"bench-{os.uname().nodename}-*"
    assert list(Path(os.environ["TMPDIR"]).glob(left))
    quick(["gaussian"], tmp_path, executor="ray", address=cluster.address)
    assert not list(Path(os.environ["TMPDIR"]).glob(left))


def marked(mark):
    """The processes that have `mark` in their environment."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if (
                mark.encode() in path.read_bytes()
                and "Z" not in (path.parent / "stat").read_text().rpartition(")")[2].split()[:1]
            ):
                found.append((path.parent / "cmdline").read_bytes())
        except OSError:
            pass
    return found


@pytest.mark.slow
def test_ctrl_c_leaves_no_process_and_the_checks_that_arrived(tmp_path):
    pytest.importorskip("ray")
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        mark = {"BENCH_TEST_MARK": folder}
        environment = {**os.environ, "RAY_TMPDIR": folder, "RAY_AUTH_MODE": "disabled", **mark}
        command = [
            sys.executable,
            "-m",
            "bench",
            "run",
            "gan-ns",
            "--seeds",
            "2",
            "--device",
            "cpu",
            "--executor",
            "ray",
        ]
        process = subprocess.Popen(
            [*command, "--results", str(tmp_path)],
            cwd=TESTS.parent,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        for _ in range(600):
            time.sleep(0.1)
            if list(tmp_path.glob(".cache/fits/*/epoch-00005.safetensors")):
                break
        os.killpg(process.pid, signal.SIGINT)
        out, error = process.communicate(timeout=60)
        assert process.returncode == 130, out + error
        assert (
            error.strip()
            == "bench: interrupted; what is finished is kept, and the same command goes on from here"
        )
        assert list(tmp_path.glob(".cache/fits/*/epoch-00005.safetensors")), out
        for _ in range(50):
            if not marked(folder):
                break
            time.sleep(0.1)
        assert marked(folder) == []


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"address": "auto"}, "--address: got auto, but this run is of one machine; add --executor ray"),
        ({"cpus_per_cell": 2}, "--cpus-per-cell: got 2, but this run is of one machine; add --executor ray"),
        (
            {"gpus_per_cell": 0.25},
            "--gpus-per-cell: got 0.25, but this run is of one machine; add --executor ray",
        ),
        ({"executor": "rai"}, "--executor: got 'rai', expected local or ray"),
        (
            {"executor": "ray", "tensorboard": True},
            "--tensorboard: writes on this machine while others train; leave it out",
        ),
        ({"executor": "ray", "timeout": 0.0}, "--timeout: got 0.0, expected seconds above 0"),
        ({"executor": "ray", "cpus_per_cell": 0}, "--cpus-per-cell: got 0, expected at least 1"),
        (
            {"executor": "ray", "gpus_per_cell": 1.5},
            "--gpus-per-cell: got 1.5, expected a share of one, as 0.25, or a whole number",
        ),
        (
            {"executor": "ray", "gpus_per_cell": float("nan")},
            "--gpus-per-cell: got nan, expected a share of one",
        ),
        (
            {"executor": "ray", "device": "cuda"},
            "--device cuda: a cell on a cluster sees the GPUs it is given; add --gpus-per-cell",
        ),
    ],
)
def test_what_does_not_fit_together_is_one_line_and_leaves_nothing(tmp_path, asked, message):
    with pytest.raises(BadOption) as error:
        quick(["mean"], tmp_path, **asked)
    assert str(error.value).startswith(message)
    assert not list(tmp_path.iterdir())


def test_without_ray_one_line_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr("genmodel_bench.execution.executor.find_spec", lambda name: None)
    with pytest.raises(BadOption, match=r"^--executor ray: needs Ray; pip install 'genmodel-bench\[ray\]'$"):
        quick(["mean"], tmp_path, executor="ray")


@pytest.mark.parametrize(
    "address", ["127.0.0.1:9", "ray://127.0.0.1:9", "nowhere", "ftp://127.0.0.1:9", "127.0.0.1:x"]
)
def test_an_address_where_no_cluster_is_is_one_line(tmp_path, address):
    pytest.importorskip("ray")
    with pytest.raises(BadOption, match=rf"^--address: (nothing answers at {address} |got '{address}')"):
        quick(["mean"], tmp_path, executor="ray", address=address)


def test_changes_come_in_the_order_in_which_they_were_written_and_each_once(tmp_path, digits):
    store = Store(tmp_path, "digits")
    store.prepare()
    keep_test_images(digits, store)
    receive(Artefact("fits/k/old.pt", b"old"), store)
    changes = Changes(store.cache)
    for name in ("fits/k/b.safetensors", "checks/a.json", "fits/k/a.pt"):
        receive(Artefact(name, name.encode()), store)
        time.sleep(0.02)
    (store.cache / "fits" / "k" / "a.tmp").write_text("not whole")
    (store.cache / "fits" / "k.lock").write_text("")
    receive(Artefact("fits/k/old.pt", None), store)
    assert list(changes.since(last=True)) == [
        Artefact("fits/k/b.safetensors", b"fits/k/b.safetensors"),
        Artefact("checks/a.json", b"checks/a.json"),
        Artefact("fits/k/a.pt", b"fits/k/a.pt"),
        Artefact("fits/k/old.pt", None),
    ]
    assert list(changes.since(last=True)) == []
    receive(Artefact("checks/a.json", b"other"), store)
    assert list(changes.since()) == []  # too recent
    time.sleep(0.1)
    assert list(changes.since()) == [Artefact("checks/a.json", b"other")]


@pytest.mark.parametrize("name", ["/etc/passwd", "fits/../../x", "../x", "elsewhere/x"])
def test_an_artefact_is_written_nowhere_else(tmp_path, name):
    with pytest.raises(ValueError, match="is no artefact"):
        receive(Artefact(name, b""), Store(tmp_path, "digits"))
    assert not list(tmp_path.iterdir())


def test_what_is_interrupted_sends_home_no_deletion(tmp_path, digits):
    store = Store(tmp_path, "digits")
    store.prepare()
    sent = []

    def slowly(message):
        time.sleep(0.3)
        sent.append(message)

    sender = Sender(1, slowly, Changes(store.cache))
    with pytest.raises(SystemExit), sender:
        receive(Artefact("fits/k/a.pt", b"a"), store)
        receive(Artefact("fits/k/b.pt", b"b"), store)
        # artefacts are sent after two seconds: the first of them is being sent
        time.sleep(2.3)
        raise SystemExit
    shutil.rmtree(store.cache)
    sender.flush(last=True)
    sender.thread.join()
    assert [artefact.content for _, artefact in sent] == [b"a", b"b"]


@pytest.fixture
def heeded():
    """Ctrl-C is heeded, as it is not in a shell's job in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("signals", [1, 2])
def test_ctrl_c_is_raised_where_it_is_heeded_whatever_else_happens(signals, heeded):
    from genmodel_bench.execution.cluster.connection import ctrl_c_noted

    with pytest.raises(KeyboardInterrupt), ctrl_c_noted():
        for _ in range(signals):
            with suppress(KeyboardInterrupt):  # Ray may swallow it like this
                os.kill(os.getpid(), signal.SIGINT)
        raise ValueError("another end")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
