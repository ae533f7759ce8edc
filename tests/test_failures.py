"""A failure is a row with its reason, and the other cells go on."""

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from flat import run
from genmodel_bench import BenchError
from genmodel_bench.metrics import STANDARD
from genmodel_bench.models import MODELS
from genmodel_bench.storage.atomic import NoRoom
from genmodel_bench.storage.store import Store
from genmodel_bench.training import loop as harness
from safetensors import safe_open


def quick(results, models, **kwargs):
    return run(
        list(models),
        results=results,
        **{"device": "cpu", "seeds": 1, "samples": 200, "figures": False, **kwargs},
    )


class Broken(torch.nn.Module):
    def __init__(self, how):
        super().__init__()
        self.how = how

    def initialise(self, x):
        if self.how == "raise":
            raise RuntimeError("no luck\ntoday")
        if self.how == "exit":
            os._exit(9)
        if self.how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.how == "hang":
            time.sleep(600)
        if self.how == "order":
            torch.zeros(4).put_(torch.zeros(4, dtype=torch.int64), torch.rand(4), accumulate=False)
        if self.how == "memory":
            torch.empty(2**60, dtype=torch.uint8)

    def stages(self):
        return []

    def sample(self, n):
        samples = torch.rand(n, 1, 8, 8)
        return {"nan": samples / 0, "range": samples * 2, "shape": samples[:5]}[self.how]


@dataclass(frozen=True)
class BrokenConfig:
    how: str = "raise"
    REFERENCE: ClassVar = False
    SAMPLING: ClassVar = ()
    SETTINGS: ClassVar = {}

    def build(self, shape):
        return Broken(self.how)


@pytest.mark.parametrize(
    ("how", "status"),
    [
        ("raise", "failed: no luck today"),
        ("nan", "failed: sample: 200 of 200 rows are not finite (first: row 0)"),
        ("range", "failed: sample: 200 of 200 rows leave [0, 1]"),
        ("shape", "failed: sample: got (5, 1, 8, 8) torch.float32, expected (200, 1, 8, 8) torch.float32"),
    ],
)
def test_a_failure_is_a_row_and_never_a_value_and_the_others_go_on(tmp_path, monkeypatch, how, status):
    monkeypatch.setitem(MODELS, "broken", BrokenConfig(how))
    records = quick(tmp_path, ["broken", "mean"])
    rows = records[records["model"] == "broken"]
    assert list(rows["metric"]) == list(STANDARD)
    assert rows["status"].str.startswith(status).all()
    assert rows["value"].isna().all()
    assert records[records["model"] == "mean"]["value"].notna().all()
    assert "failed" in (tmp_path / "digits" / "table1.md").read_text()


def test_a_failure_is_tried_again(tmp_path, monkeypatch):
    trained = []
    real = harness.train
    monkeypatch.setattr(
        harness, "train", lambda model, *args, **kwargs: trained.append(model) or real(model, *args, **kwargs)
    )
    monkeypatch.setitem(MODELS, "broken", BrokenConfig())
    quick(tmp_path, ["broken"])
    quick(tmp_path, ["broken"])
    assert len(trained) == 2
    assert len(Store(tmp_path, "digits").records()) == len(STANDARD)


def test_divergence_is_a_status(tmp_path):
    records = quick(tmp_path, ["vae"], options=["vae.epochs=3", "vae.lr=1e30"])
    assert records["status"].str.startswith("diverged: loss is nan (in stage elbo, epoch ").all()
    assert records["value"].isna().all()


@pytest.mark.slow
def test_what_ends_a_process_is_a_row_and_the_other_cells_go_on(tmp_path, monkeypatch):
    statuses = {
        "hang": "timeout: stopped after 5 s; the next run goes on from its last checkpoint",
        "exit": "failed: its process ended with exit code 9",
        "kill": "failed: its process was killed by SIGKILL",
        "memory": "oom: ",
        "raise": "failed: no luck today",
    }
    for how in statuses:
        monkeypatch.setitem(MODELS, f"broken-{how}", BrokenConfig(how))
    names = [f"broken-{how}" for how in statuses]
    records = quick(tmp_path, [*names, "mean", "gaussian"], jobs=2, timeout=5.0)
    for how, status in statuses.items():
        rows = records[records["model"] == f"broken-{how}"]
        assert list(rows["metric"]) == list(STANDARD)
        assert rows["status"].str.startswith(status).all(), list(rows["status"])
        assert rows["value"].isna().all()
    assert records[records["model"].isin(["mean", "gaussian"])]["value"].notna().all()
    assert {r.model for r in Store(tmp_path, "digits").records()} == {*names, "mean", "gaussian"}
    table = (tmp_path / "digits" / "table1.md").read_text()
    assert all(status.partition(":")[0] in table for status in statuses.values())
    again = quick(tmp_path, ["broken-exit", "mean"], jobs=1)
    assert again[again["model"] == "broken-exit"]["value"].isna().all()
    assert len(Store(tmp_path, "digits").records()) == len(records)


def test_no_memory_is_a_status_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setitem(MODELS, "broken", BrokenConfig("memory"))
    assert quick(tmp_path, ["broken"])["status"].str.startswith("oom: ").all()


def small_disk(tmp_path):
    """A folder on a small file system of its own, which is soon full."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = (
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", folder], capture_output=True
        ).returncode
        == 0
    )
    if not mounted:
        pytest.skip("needs the right to mount a small disk")
    return folder


@pytest.mark.parametrize("jobs", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_full_disk_is_one_line_and_leaves_no_torn_file(tmp_path, jobs):
    folder = small_disk(tmp_path)
    try:
        with pytest.raises(
            (BenchError, NoRoom), match=r"the disk is full; make room, the same command goes on"
        ) as error:
            quick(folder, ["mean", "vae"], options=["vae.epochs=2"], jobs=jobs, figures=True)
        assert "\n" not in str(error.value)
        assert not list(folder.rglob("*.tmp"))
        for path in folder.rglob("*.safetensors"):
            safe_open(path, framework="pt")
        Store(folder, "digits").records()
        shutil.copytree(folder, tmp_path / "large")
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)
    assert quick(tmp_path / "large", ["mean", "vae"], options=["vae.epochs=2"])["value"].notna().all()


def test_a_file_that_may_not_grow_is_one_line(tmp_path):
    # a limit of the process, as quotas are limits of a user
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
        "import sys; sys.argv = ['bench', 'run', 'mean', '--jobs', '1', '--seeds', '1', "
        "'--results', sys.argv[1]]\n"
        "if __name__ == '__main__':\n    from genmodel_bench.cli.main import main; main()\n"
    )
    script = tmp_path / "run.py"
    script.write_text(code)
    done = subprocess.run(
        [sys.executable, script, tmp_path / "r"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": "."},
    )
    assert done.returncode == 2, done.stderr
    assert "the file may not become as large; make room" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not list((tmp_path / "r").rglob("*.tmp"))


@pytest.mark.slow
def test_a_script_without_a_main_guard_is_told_so_and_leaves_no_rows(tmp_path):
    script = tmp_path / "run.py"
    script.write_text(
        "import sys\nfrom genmodel_bench import Executor, run\n"
        "run(['mean'], executor=Executor(jobs=1), seeds=1, device='cpu', results=sys.argv[1])\n"
    )
    done = subprocess.run(
        [sys.executable, script, tmp_path / "r"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": "."},
    )
    assert done.returncode == 1
    assert "under `if __name__ == '__main__':`" in done.stderr.splitlines()[-1]
    assert not (tmp_path / "r" / "digits" / "runs.csv").exists()
