"""Who waits is told for whom, and what stood still is not counted as run."""

import os
import subprocess
import sys

import pytest
from genmodel_bench.execution.ticking import LONGEST, Ticking
from genmodel_bench.storage import waiting
from genmodel_bench.storage.store import Store
from genmodel_bench.storage.waiting import held, holder

HOLD = """
import sys, filelock
with filelock.FileLock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def another(monkeypatch):
    """A function that starts a process that holds a lock until its input is closed."""
    monkeypatch.setattr(waiting, "PATIENCE", 0.2)
    started = []

    def holds(path):
        command = [sys.executable, "-c", HOLD, path]
        started.append(process := subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        process.stdout.readline()
        return process

    yield holds
    for process in started:
        process.stdin.close()
        process.wait()
        process.stdout.close()


def test_who_is_waited_for_is_said_once(tmp_path, another):
    path, said = tmp_path / "runs.csv.lock", []
    process = another(path)
    if sys.platform == "linux":
        assert holder(path) == f"process {process.pid}"

    def say(text):
        said.append(text)
        process.stdin.close()  # the other one ends

    with held(path, "writes rows", say):
        assert holder(path) in (f"process {os.getpid()}", "another process")
    (text,) = said
    assert text.startswith(("waits for process ", "waits for another process"))
    assert text.endswith(", which writes rows (runs.csv.lock)")


def test_a_free_lock_is_taken_in_silence(tmp_path):
    with held(tmp_path / "new" / "x.lock", "writes rows", pytest.fail):
        pass
    with held(tmp_path / "new" / "x.lock", "writes rows", pytest.fail):
        pass


def test_the_writer_of_rows_says_for_whom_it_waits(tmp_path, another):
    store, said = Store(tmp_path, "mnist"), []
    store.folder.mkdir()
    process = another(store.path.with_name("runs.csv.lock"))

    def say(text):
        said.append(text)
        process.stdin.close()

    store.append([], say)
    assert len(said) == 1


def test_a_gap_in_which_all_was_stopped_does_not_count():
    times = iter([0.0, 1.0, 1.5, 5000.0, 5000.5, 5001.0])
    clock = Ticking(lambda: next(times))
    assert [clock.read() for _ in range(5)] == [1.0, 1.5, 1.5 + LONGEST, 2.0 + LONGEST, 2.5 + LONGEST]
