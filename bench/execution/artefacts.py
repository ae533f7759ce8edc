"""What of a cell's work is kept under the results folder, where, and how is it found again or forgotten?"""

from __future__ import annotations

import json
import os
import shutil
import socket
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from genmodel_bench.cells.cell import Cell
from genmodel_bench.data.dataset import Dataset
from genmodel_bench.execution.checks import checks_of, checks_path, epochs_of
from genmodel_bench.storage import sealed
from genmodel_bench.storage.atomic import is_running, write_atomically
from genmodel_bench.storage.store import Store
from torch import Tensor


@dataclass(frozen=True)
class Fit:
    """What the records tell of how, where and by which code a cell's samples were made; it is kept with them."""

    fit_seconds: float
    sample_seconds: float
    checkpoint_epoch: int | None
    valid_best: float | None
    valid_last: float | None
    parameters: int
    peak_memory_mib: float | None
    weights: str
    trace: str
    device: str
    processor: str
    threads: int
    deterministic: bool
    python: str
    version: str
    versions: str
    commit: str


def forget(cell: Cell, store: Store, *, run: str) -> None:
    """Delete the cell's artefacts, so that it is trained and sampled again, but for those that the run of this mark has made.

    Two cells may share a training: the first of a run forgets it. The caller holds the locks on both.
    """
    for path, shared in ((mark_of(run, cell.fit_key, store), True), (mark_of(run, cell.id, store), False)):
        if not path.exists():
            for old in shared_by_fit(cell, store) if shared else made_of_cell(cell, store):
                old.unlink(missing_ok=True)
            write_atomically(path, b"")


def mark_of(run: str, key: str, store: Store) -> Path:
    """Return the file by which a run marks that what is under a key is its own."""
    return store.artefact("marks", run) / key


def unmark(run: str, store: Store) -> None:
    """Delete the marks of a run that is over, and of runs of this machine that were killed."""
    for folder in store.cache.glob("marks/*"):
        host, _, pid = folder.name.rpartition("-")
        if folder.name == run or (host == socket.gethostname() and not is_running(int(pid))):
            shutil.rmtree(folder, ignore_errors=True)


def new_mark() -> str:
    """Return what a run of this process marks its own with."""
    return f"{socket.gethostname()}-{os.getpid()}"


def shared_by_fit(cell: Cell, store: Store) -> list[Path]:
    """Return the files that there are of a cell's training: checkpoints, kept weights, what it cost, checks."""
    folder = store.artefact("fits", cell.fit_key)
    found = [path for pattern in ("*.pt", "*.safetensors", "*.json") for path in sorted(folder.glob(pattern))]
    return [*found, *(path for path in [checks_path(cell, store)] if path.exists())]


def made_of_cell(cell: Cell, store: Store) -> list[Path]:
    """Return the files that there are of a cell besides its training: draws from any epoch's weights, visuals."""
    draws = [
        path
        for epoch in (None, *epochs_of(cell))
        for path in store.cache.glob(f"samples/{cell.draw_key(epoch)}-*.safetensors")
    ]
    return [*draws, *(path for path in [visuals_path(cell, store)] if path.exists())]


def sample_paths(cell: Cell, epoch: int | None, store: Store) -> list[Path]:
    """Return where each draw of the cell's samples from the weights after `epoch` is kept."""
    return [
        store.artefact("samples", f"{cell.draw_key(epoch)}-{k}.safetensors")
        for k in range(cell.protocol.draws)
    ]


def visuals_path(cell: Cell, store: Store) -> Path:
    """Return where the visuals of the cell are kept (`bench/execution/visuals.py`)."""
    return store.artefact("visuals", f"{cell.id}.safetensors")


def keep_test_images(data: Dataset, store: Store) -> None:
    """Keep the test images, in the order in which metrics score them, so that a report can show them without the data set.

    "test": (n, c, h, w), uint8 where that loses nothing, and, where there are folds, "fold": (n,) int64, that of each image.
    """
    path = store.artefact("images", f"{data.digest}.safetensors")
    try:
        sealed.load(path, path.stem)
        return
    except (FileNotFoundError, sealed.Broken):
        pass
    test = torch.cat([fold.test for fold in data.folds]) if data.folds else data.test
    pixels = (test * 255).round()
    exact = torch.equal((pixels / 255).to(test.dtype), test)
    images = {"test": pixels.byte() if exact else test}
    if data.folds:
        images["fold"] = torch.cat([torch.full((len(fold.test),), k) for k, fold in enumerate(data.folds)])
    sealed.save(path, path.stem, images)


def sampled(cell: Cell, data: Dataset, store: Store) -> bool:
    """Return whether every draw of the cell is there already."""
    checks = checks_of(cell, data, store)
    return checks.complete and all(path.exists() for path in sample_paths(cell, checks.taken, store))


def keep_samples(path: Path, samples: Tensor, fit: Fit) -> None:
    """Keep a draw of samples at its path, with how they were made."""
    sealed.save(path, path.stem, {"samples": samples}, json.dumps(asdict(fit)))


def cached_samples(path: Path) -> tuple[Tensor, Fit] | None:
    """Return stored samples and how they were made; None where there are none, or none that their seal fits."""
    try:
        tensors, about, _ = sealed.load(path, path.stem)
        return tensors["samples"], Fit(**json.loads(about))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def highest(path: Path, mib: float | None) -> float | None:
    """Return the highest peak memory of the processes that trained, this one with `mib` (None: it did not), and keep it at `path`."""
    try:
        before = float(json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError):  # none yet, or damaged
        before = 0.0
    if mib is None:
        return before or None
    write_atomically(path, json.dumps(max(before, mib)).encode())
    return max(before, mib)
