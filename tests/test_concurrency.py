"""Several runs on one results folder: no row lost, doubled or torn, no cell trained twice."""

import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from filelock import FileLock

from bench.pipeline import run
from bench.store import Store

ROOT = Path(__file__).parents[1]
MODELS = ["vae", "rbm", "deep-gsn", "deep-gsn-chain", "data", "mean"]
OPTIONS = ["vae.epochs=10", "rbm.epochs=10", "deep-gsn.epochs=3", "deep-gsn-chain.epochs=3", "deep-gsn-chain.sample_steps=5"]


def started(results, *args):
    options = [part for option in OPTIONS for part in ("--set", option)]
    command = [sys.executable, "-m", "bench", "run", *MODELS, "--seeds", "2", "--samples", "150", "--device", "cpu", *options]
    environment = {**os.environ, "NO_COLOR": "1", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [*command, "--results", str(results), *args], cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
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
    assert len(numbers) == 2 * len(MODELS) * 7
    assert all(r.ok for r in rows)


def test_the_lock_of_a_dead_process_holds_nobody_up(tmp_path):
    def quick(results):
        return run(["mean"], results=results, device="cpu", seeds=1, samples=150)

    quick(tmp_path / "a")
    names = [path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*.lock")]
    assert {path.parent.name for path in names} == {"locks", "fits", "digits"}
    paths = [tmp_path / "b" / name for name in names]
    for path in paths:
        path.parent.mkdir(parents=True)
    code = "import sys, time; from filelock import FileLock\n"
    code += "held = [FileLock(p) for p in sys.argv[1:]]; [lock.acquire() for lock in held]; print('held', flush=True); time.sleep(600)"
    holder = subprocess.Popen([sys.executable, "-c", code, *map(str, paths)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(TimeoutError):
        FileLock(paths[0]).acquire(timeout=0)
    holder.send_signal(signal.SIGKILL)
    holder.communicate()
    start = time.monotonic()
    quick(tmp_path / "b")
    assert time.monotonic() - start < 60
    assert len(Store(tmp_path / "b", "digits").records()) == 7


def test_temporary_files_of_dead_processes_are_swept_away_and_others_stay(tmp_path):
    store = Store(tmp_path, "digits")
    store.prepare()
    dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True).stdout.strip()
    host = os.uname().nodename
    gone = [store.cache / "fits" / "k" / f"a.pt.{host}.{dead}.tmp", store.folder / f"runs.csv.{host}.{dead}.tmp"]
    stay = [store.folder / f"runs.csv.{host}.{os.getpid()}.tmp", store.folder / f"runs.csv.elsewhere.{dead}.tmp", store.folder / "mine.tmp"]
    for path in [*gone, *stay]:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    store.prepare()
    assert not any(path.exists() for path in gone)
    assert all(path.exists() for path in stay)
