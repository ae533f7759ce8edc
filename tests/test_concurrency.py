"""Runs on one results folder: no row lost, doubled or torn, no cell trained twice."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from filelock import FileLock
from flat import run
from genmodel_bench.cells.cell import Cell
from genmodel_bench.cells.protocol import Protocol
from genmodel_bench.commands.verify import verify
from genmodel_bench.execution.cluster.code import lay_out
from genmodel_bench.execution.draws import fit_lock
from genmodel_bench.execution.messages import Waiting
from genmodel_bench.metrics import STANDARD
from genmodel_bench.models import settings_for
from genmodel_bench.storage.store import Store

ROOT = Path(__file__).parents[1]
MODELS = ["vae", "rbm", "deep-gsn", "deep-gsn-chain", "data", "mean"]
OPTIONS = [
    "vae.epochs=10",
    "rbm.epochs=10",
    "deep-gsn.epochs=3",
    "deep-gsn-chain.epochs=3",
    "deep-gsn-chain.sample_steps=5",
]


def started(results, *args):
    options = [part for option in OPTIONS for part in ("--set", option)]
    command = [
        sys.executable,
        "-m",
        "bench",
        "run",
        *MODELS,
        "--seeds",
        "2",
        "--samples",
        "150",
        "--device",
        "cpu",
        "--no-figures",
        *options,
    ]
    environment = {**os.environ, "NO_COLOR": "1", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [*command, "--results", str(results), *args],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
def test_three_runs_at_once_share_the_cells(tmp_path):
    runs = [started(tmp_path, "--jobs", jobs) for jobs in ("1", "1", "2")]
    told = [process.communicate(timeout=300) for process in runs]
    assert [process.returncode for process in runs] == [0, 0, 0], told
    lines = [line for out, _ in told for line in out.splitlines() if re.search(r"\[(trained|reused)", line)]
    cells = Counter(line.partition(":")[0] for line in lines)
    made = Counter(line.partition(":")[0] for line in lines if "[trained" in line)
    assert set(cells.values()) == {3}
    assert len(cells) == 2 * len(MODELS)
    assert set(made.values()) == {1}
    assert made.keys() == cells.keys()
    rows = Store(tmp_path, "digits").records()
    numbers = Counter((r.model, r.seed, r.metric, r.quantity) for r in rows)
    assert set(numbers.values()) == {1}
    assert len(numbers) == sum(len(scores) for scores in of_every_cell(rows).values())
    assert all(r.ok for r in rows)


def of_every_cell(rows):
    """Return the scores of each cell; all have the same, of every metric."""
    found = {(name, seed): set() for name in MODELS for seed in (0, 1)}
    for r in rows:
        found[r.model, r.seed].add((r.metric, r.quantity))
    assert len(set(map(frozenset, found.values()))) == 1
    assert {metric for metric, _ in next(iter(found.values()))} == STANDARD.keys()
    return found


def test_the_lock_of_a_dead_process_holds_nobody_up(tmp_path):
    def quick(results):
        return run(["mean"], results=results, device="cpu", seeds=1, samples=150, figures=False)

    quick(tmp_path / "a")
    names = [path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*.lock")]
    assert {str(path.parent) for path in names} == {".", "digits", ".cache/locks", ".cache/fits"}
    paths = [tmp_path / "b" / name for name in names]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
    code = "import sys, time; from filelock import FileLock\n"
    code += (
        "held = [FileLock(p) for p in sys.argv[1:]]; [lock.acquire() for lock in held]; "
        "print('held', flush=True); time.sleep(600)"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, paths)], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(TimeoutError):
        FileLock(paths[0]).acquire(timeout=0)
    holder.send_signal(signal.SIGKILL)
    holder.communicate()
    start = time.monotonic()
    quick(tmp_path / "b")
    assert time.monotonic() - start < 60
    scores = [{(r.metric, r.quantity) for r in Store(tmp_path / name, "digits").records()} for name in "ab"]
    assert scores[0] == scores[1]
    assert {metric for metric, _ in scores[0]} == STANDARD.keys()


def test_temporary_files_of_dead_processes_are_swept_away_and_others_stay(tmp_path):
    store = Store(tmp_path, "digits")
    store.prepare()
    dead = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True
    ).stdout.strip()
    host = os.uname().nodename
    gone = [
        store.cache / "fits" / "k" / f"a.pt.{host}.{dead}.tmp",
        store.folder / f"runs.csv.{host}.{dead}.tmp",
    ]
    stay = [
        store.folder / f"runs.csv.{host}.{os.getpid()}.tmp",
        store.folder / f"runs.csv.elsewhere.{dead}.tmp",
        store.folder / "mine.tmp",
    ]
    for path in [*gone, *stay]:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    store.prepare()
    assert not any(path.exists() for path in gone)
    assert all(path.exists() for path in stay)


def test_threads_of_one_process_take_turns(tmp_path):
    def quick(results, model):
        return run(
            [model],
            results=results,
            device="cpu",
            seeds=1,
            samples=150,
            options=[f"{model}.epochs=5"],
            figures=False,
        )

    alone = {model: quick(tmp_path / "alone", model) for model in ("vae", "rbm")}
    with ThreadPoolExecutor(2) as pool:
        both = dict(zip(alone, pool.map(lambda model: quick(tmp_path / "both", model), alone), strict=True))
    for model, records in both.items():
        assert list(records["weights"]) == list(alone[model]["weights"])
        assert list(records["value"]) == list(alone[model]["value"])


def test_who_waits_for_a_shared_training_says_so(tmp_path, few):
    cell = Cell(
        "digits", few.digest, "rbm", settings_for("rbm", "digits"), seed=0, protocol=Protocol(samples=150)
    )
    store, heard = Store(tmp_path, "digits"), []
    with fit_lock(cell, store, heard.append):
        assert heard == []
        waiting = threading.Thread(target=lambda: fit_lock(cell, store, heard.append).__enter__())
        waiting.start()
        while not heard:
            time.sleep(0.01)
        assert heard == [Waiting(over=False)]
    waiting.join()
    assert heard == [Waiting(over=False), Waiting(over=True)]


@pytest.mark.slow
def test_force_beside_a_run_loses_nothing(tmp_path):
    runs = [started(tmp_path, "--jobs", "1"), started(tmp_path, "--jobs", "1", "--force")]
    told = [process.communicate(timeout=300) for process in runs]
    assert [process.returncode for process in runs] == [0, 0], told
    rows = Store(tmp_path, "digits").records()
    assert len(rows) == sum(len(scores) for scores in of_every_cell(rows).values())
    assert all(r.ok and r.intact for r in rows)
    assert [finding for finding in verify(tmp_path, cells=0) if not finding.good] == []


@pytest.fixture
def copy(tmp_path):
    """A copy of the code that may be edited, and a function that starts it."""
    lay_out(tmp_path)

    def start(*args):
        command = [sys.executable, "-m", "genmodel_bench", *args, "--set", "rbm.epochs=2", "--samples", "150"]
        environment = {**os.environ, "NO_COLOR": "1", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(tmp_path)}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(command, cwd=tmp_path, env=environment, start_new_session=True, **pipes)

    def edited():
        """Start a run, and edit the second model while it trains the first."""
        process = start("run", "vae", "rbm", "--seeds", "1", "--jobs", "1", "--set", "vae.epochs=60")
        while not list(tmp_path.glob("bench-results/.cache/fits/*/epoch-00002.safetensors")):
            time.sleep(0.05)
        path = tmp_path / "genmodel_bench" / "models" / "boltzmann" / "rbm.py"
        text = path.read_text()
        assert text.count("    def sample(self, n: int) -> Tensor:\n") == 1
        path.write_text(
            text.replace(
                "    def sample(self, n: int) -> Tensor:\n",
                "    def sample(self, n: int) -> Tensor:\n        n + 0\n",
            )
        )
        return process

    return start, edited


@pytest.mark.slow
def test_an_edit_while_a_run_goes_on_is_not_taken_for_what_ran(copy):
    start, edited = copy
    out, error = (process := edited()).communicate(timeout=120)
    assert process.returncode == 0, error
    assert out.count("[trained") == 2
    why, _ = start("why", "rbm").communicate(timeout=60)
    assert "fit: made anew: changed code of the model (genmodel_bench.models.boltzmann.rbm)" in why, why
    out, _ = start("run", "vae", "rbm", "--seeds", "1", "--jobs", "1", "--set", "vae.epochs=60").communicate(
        timeout=120
    )
    assert (out.count("[trained"), out.count("[reused]")) == (1, 1)


@pytest.mark.slow
def test_a_new_worker_that_finds_other_code_ends_the_run_with_one_line(copy):
    _, edited = copy
    process = edited()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            worker = b"spawn_main" in path.read_bytes() and os.getpgid(int(path.parent.name)) == process.pid
        except OSError:
            continue
        if worker:
            os.kill(int(path.parent.name), signal.SIGKILL)
    out, error = process.communicate(timeout=120)
    assert process.returncode == 2, out
    assert error.strip() == (
        "bench: run: the code was changed while it ran; what is finished is kept, "
        "start the same command again"
    )
    assert "failed: its process was killed by SIGKILL" in out
