"""SIGKILL at any moment loses nothing: the run that goes on ends with the weights and rows of one that was never interrupted.

The children are real processes, killed in two ways: at a random time, and at a given rename, that is in the middle of writing a
checkpoint, kept weights, a check, samples, scores or the table.
"""

import os
import random
import signal
import sys
import time
from dataclasses import asdict, replace
from multiprocessing import get_context

import pytest
import torch
from conftest import tiny

from bench import harness, sealed
from bench.cell import Cell
from bench.data import load
from bench.store import Store
from bench.watch import Silent
from bench.workers import Place, in_turn
from metrics import METRICS
from models import MODELS, settings_for

COSTS = {"fit_seconds", "sample_seconds", "score_seconds", "peak_memory_mib", "created"}
TWO_STAGES = {"generator": (12, 10), "front": (14, 8), "discriminator": (6, 6), "output_sparse": 4, "pretrain_epochs": 2}
SERVER = get_context("forkserver")
SERVER.set_forkserver_preload(["bench.pipeline", "sklearn.datasets", "torch._dynamo", "torch._inductor"])  # seconds to import


def configs():
    """One tiny Config of each family that trains, and the scheme of two stages."""
    families = {type(config): name for name, config in MODELS.items() if not config.REFERENCE}
    found = {name: tiny(settings_for(name, "digits")) for name in families.values()}
    found["gan-ns"] = tiny(settings_for("gan-ns", "digits"))
    found["two stages"] = replace(settings_for("gan-ns", "tfd"), **TWO_STAGES, epochs=2, batch_size=100)
    return {name: replace(config, batch_size=100) for name, config in found.items()}


def cell_of(name):
    model = "gan-ns" if name == "two stages" else name
    return Cell("digits", load("digits").digest, model, configs()[name], seed=0, samples=150, draws=2)


def child(results, name, begun, renames, at):
    """Run a cell; count the renames under `results`, and die of SIGKILL just before number `at` of them."""
    torch.set_num_threads(1)

    def hook(event, args):
        if event == "os.rename" and str(args[0]).startswith(str(results)):
            renames.value += 1
            if renames.value == at:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    begun.set()
    harness.train.__kwdefaults__["every"] = 0.01  # a checkpoint every few steps
    place = Place("digits", None, results, "cpu")
    Store(results, "digits").prepare()
    for _ in in_turn([cell_of(name)], load("digits"), place, METRICS, Silent()):
        pass


def run(results, name, *, at=None, after=None):
    """Run a cell in a process of its own, killed at rename `at` or `after` seconds; return its exit code, renames and seconds."""
    begun, renames = SERVER.Event(), SERVER.Value("i", 0)
    process = SERVER.Process(target=child, args=(results, name, begun, renames, at))
    process.start()
    begun.wait()
    start = time.monotonic()
    process.join(after)
    if process.is_alive():
        process.kill()
        process.join()
    return process.exitcode, renames.value, time.monotonic() - start


def outcome(results):
    """The rows of a results folder without what they cost, and the names of files that no finished run leaves."""
    rows = [{k: v for k, v in asdict(r).items() if k not in COSTS} for r in Store(results, "digits").records()]
    return rows, sorted(p.name for p in results.rglob("*.tmp")), sorted(p.name for p in results.rglob("*.damaged"))


def weights(results):
    """The digest of the weights kept after each epoch."""
    files = sorted(results.rglob("epoch-*.safetensors"))
    return {path.name: sealed.load(path, f"{path.parent.name}/{int(path.stem[6:])}")[2] for path in files}


def survives(tmp_path, name, kills, *, seed):
    """Kill runs of a cell until there were as many `kills`, some runs several times; compare each with the uninterrupted one."""
    choose = random.Random(seed)
    code, renames, seconds = run(tmp_path / "whole", name)
    assert code == 0
    expected, kept = outcome(tmp_path / "whole"), weights(tmp_path / "whole")
    assert all(row["value"] is not None for row in expected[0])
    assert kept
    died, attempt = 0, 0
    while died < kills:
        folder = tmp_path / str(attempt)
        for _ in range(4):
            if died % 2:
                code, _, _ = run(folder, name, at=choose.randint(1, renames))
            else:
                code, _, _ = run(folder, name, after=choose.uniform(0.05, 0.95) * seconds)
            assert code in (0, -signal.SIGKILL)
            if code == 0:
                break
            died += 1
        assert run(folder, name)[0] == 0
        assert outcome(folder) == expected, f"{name}, attempt {attempt}"
        assert weights(folder) == kept, f"{name}, attempt {attempt}"
        attempt += 1
        assert attempt < 4 * kills, "runs end before they are killed"
    return died


@pytest.mark.parametrize("name", ["vae", "dbn"])
def test_a_run_that_is_killed_now_and_then_ends_with_the_same_rows_and_weights(tmp_path, name):
    survives(tmp_path, name, 3, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(configs()))
def test_twenty_kills_of_each_family_lose_nothing(tmp_path, name):
    assert survives(tmp_path, name, 20, seed=0) >= 20
