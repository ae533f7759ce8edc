"""SIGKILL at any moment loses nothing.

The resumed run ends with the weights and rows of one that was never interrupted. The
children are real processes, killed in two ways: at a random time, and at a given rename,
that is in the middle of writing a checkpoint, kept weights, a check, samples, scores, the
table or the visuals.
"""

import itertools
import os
import random
import re
import signal
import sys
import time
from collections import Counter
from dataclasses import asdict, replace
from multiprocessing import get_context

import pytest
import torch
from conftest import KINDS, tiny
from genmodel_bench.cells.cell import Cell
from genmodel_bench.cells.protocol import Protocol
from genmodel_bench.data.registry import load
from genmodel_bench.execution.context import Context
from genmodel_bench.execution.listener import Silent
from genmodel_bench.execution.pool import in_turn
from genmodel_bench.metrics import STANDARD
from genmodel_bench.models import settings_for
from genmodel_bench.storage import sealed
from genmodel_bench.storage.store import Store
from genmodel_bench.training import loop as harness

COSTS = {"fit_seconds", "sample_seconds", "score_seconds", "peak_memory_mib", "created", "seal"}
TWO_STAGES = {
    "generator": (12, 10),
    "front": (14, 8),
    "discriminator": (6, 6),
    "output_sparse": 4,
    "pretrain_epochs": 2,
}
SERVER = get_context("forkserver")
# these take seconds to import
SERVER.set_forkserver_preload(
    ["genmodel_bench.commands.run", "sklearn.datasets", "torch._dynamo", "torch._inductor"]
)


def configs():
    """One tiny Config of each family that trains, and the scheme of two stages."""
    found = {name: tiny(settings_for(name, "digits")) for name in KINDS}
    found["two stages"] = replace(settings_for("gan-ns", "tfd"), **TWO_STAGES, epochs=2, batch_size=100)
    return {name: replace(config, batch_size=100) for name, config in found.items()}


def cell_of(name):
    model = "gan-ns" if name == "two stages" else name
    return Cell(
        "digits",
        load("digits").digest,
        model,
        configs()[name],
        seed=0,
        protocol=Protocol(samples=150, draws=2),
    )


WRITTEN = {
    "checkpoint": r"\.pt$",
    "weights": r"/epoch-\d+\.safetensors$",
    "check": r"/checks/",
    "cost": r"/peak\.json$",
    "samples": r"/samples/",
    "scores": r"/scores/",
    "table": r"/runs\.csv$",
    "visuals": r"/visuals/",
}
"""What a run writes, in the order in which it first does so."""


def child(results, name, begun, renames, kind, number):
    """Run a cell; count the renames to final names, and die by SIGKILL before one."""
    torch.set_num_threads(1)

    def hook(event, args):
        if event == "os.rename":
            for i, (written, pattern) in enumerate(WRITTEN.items()):
                if re.search(pattern, str(args[1])):
                    renames[i] += 1
                    if (written, renames[i]) == (kind, number):
                        os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    begun.set()
    harness.train.__kwdefaults__["every"] = 0.01  # a checkpoint every few steps
    store = Store(results, "digits")
    context = Context(load("digits"), store, STANDARD, torch.device("cpu"))
    Store(results, "digits").prepare()
    for _ in in_turn([cell_of(name)], context, Silent()):
        pass


def run(results, name, *, kind="", number=0, after=None):
    """Run a cell in a process of its own, killed at a rename or `after` seconds.

    Returns the exit code, the renames by kind, and the seconds.
    """
    begun, renames = SERVER.Event(), SERVER.Array("i", len(WRITTEN))
    process = SERVER.Process(target=child, args=(results, name, begun, renames, kind, number))
    process.start()
    begun.wait()
    start = time.monotonic()
    process.join(after)
    if process.is_alive():
        process.kill()
        process.join()
    return process.exitcode, dict(zip(WRITTEN, renames, strict=True)), time.monotonic() - start


def outcome(results):
    """The rows without their costs, and the files that no finished run leaves."""
    rows = [
        {k: v for k, v in asdict(r).items() if k not in COSTS} for r in Store(results, "digits").records()
    ]
    return (
        rows,
        sorted(p.name for p in results.rglob("*.tmp")),
        sorted(p.name for p in results.rglob("*.damaged")),
    )


def weights(results):
    """The digests of the weights kept after each epoch, and of the visuals."""
    files = {
        path: f"{path.parent.name}/{int(path.stem[6:])}"
        for path in sorted(results.rglob("epoch-*.safetensors"))
    }
    files |= {path: path.stem for path in results.rglob("visuals/*.safetensors")}
    return {path.name: sealed.load(path, key)[2] for path, key in files.items()}


def survives(tmp_path, name, kills, *, seed):
    """Kill runs of a cell `kills` times in all, most runs several times.

    Each is compared with the uninterrupted one. Every second kill is at a random time,
    the others while something of each kind is written in turn. Returns the counts of what
    was being written at the kills, or had been last.
    """
    choose = random.Random(seed)
    code, renames, seconds = run(tmp_path / "whole", name)
    assert code == 0
    assert all(renames.values()), renames
    expected, kept = outcome(tmp_path / "whole"), weights(tmp_path / "whole")
    assert all(row["value"] is not None for row in expected[0])
    assert kept
    kinds, hit, attempt = itertools.cycle(WRITTEN), [], 0
    while len(hit) < kills:
        folder = tmp_path / str(attempt)
        for k in range(3):
            if len(hit) % 2:
                kind = next(kinds)
                code, seen, _ = run(
                    folder, name, kind=kind, number=1 if k else choose.randint(1, renames[kind])
                )
            else:
                code, seen, _ = run(folder, name, after=choose.uniform(0.05, 0.95) * seconds)
            assert code in (0, -signal.SIGKILL)
            if code == 0:
                break
            hit.append(([kind for kind, count in seen.items() if count] or ["nothing"])[-1])
        assert run(folder, name)[0] == 0
        assert outcome(folder) == expected, f"{name}, attempt {attempt}"
        assert weights(folder) == kept, f"{name}, attempt {attempt}"
        attempt += 1
        assert attempt < 4 * kills, "runs end before they are killed"
    return Counter(hit)


def test_a_run_that_is_killed_now_and_then_ends_with_the_same_rows_and_weights(tmp_path):
    survives(tmp_path, "dbn", 3, seed=1)


ANNEALED = {"nade", "pixelcnn", "transformer", "iwae", "realnvp"}
"""They are resumed as made-32 is (`tests/test_annealed.py`)."""
MOST = {"two stages": 20, "vae": 20}
"""Kills of these come while anything of a run is written; what they write is shared."""


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(configs().keys() - ANNEALED))
def test_kills_of_each_family_lose_nothing(tmp_path, name, record_property):
    kills = MOST.get(name, 3)
    hit = survives(tmp_path, name, kills, seed=0)
    record_property("kills", dict(hit))
    assert hit.total() >= kills
    assert len(hit) >= 4 or name not in MOST, hit
