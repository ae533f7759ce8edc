"""Which files of a cell are stored, where, and when are they deleted?

They are stored under the results folder and found again by the cell's keys.
"""

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
from genmodel_bench.storage.atomic import is_running, remove, write_atomically
from genmodel_bench.storage.plain import from_json
from genmodel_bench.storage.store import Store
from torch import Tensor


@dataclass(frozen=True)
class Fit:
    """How, where and by which code a cell's samples were made.

    It is stored with the samples, and becomes columns of the records.
    """

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
    """Delete the cell's artefacts, so that it is trained and sampled again.

    Those that this run has made are not deleted: two cells may share a training, and only
    the first of a run deletes it. The caller holds the locks on the cell and on its
    training.

    run: the mark of the run (`new_mark`).
    """
    for path, shared in ((mark_of(run, cell.fit_key, store), True), (mark_of(run, cell.id, store), False)):
        if not path.exists():
            for old in shared_by_fit(cell, store) if shared else made_of_cell(cell, store):
                remove(old)
            write_atomically(path, b"")


def mark_of(run: str, key: str, store: Store) -> Path:
    """Return the path of the file that marks what has this key as made by a run."""
    return store.artefact("marks", run) / key


def unmark(run: str, store: Store) -> None:
    """Delete the marks of a run that has ended, and of killed runs of this machine."""
    for folder in store.cache.glob("marks/*"):
        host, _, pid = folder.name.rpartition("-")
        if folder.name == run or (host == socket.gethostname() and not is_running(int(pid))):
            shutil.rmtree(folder, ignore_errors=True)


def new_mark() -> str:
    """Return the mark for a run of this process: host name and process id."""
    return f"{socket.gethostname()}-{os.getpid()}"


def shared_by_fit(cell: Cell, store: Store) -> list[Path]:
    """Return the existing files of a cell's training.

    These are checkpoints, stored weights, peak memory and checks.
    """
    folder = store.artefact("fits", cell.fit_key)
    found = [path for pattern in ("*.pt", "*.safetensors", "*.json") for path in sorted(folder.glob(pattern))]
    return [*found, *(path for path in [checks_path(cell, store)] if path.exists())]


def made_of_cell(cell: Cell, store: Store) -> list[Path]:
    """Return the existing files of a cell besides those of its training.

    These are draws from the weights of any epoch, and visuals.
    """
    draws = [
        path
        for epoch in (None, *epochs_of(cell))
        for path in store.cache.glob(f"samples/{cell.draw_key(epoch)}-*.safetensors")
    ]
    return [*draws, *(path for path in [visuals_path(cell, store)] if path.exists())]


def sample_paths(cell: Cell, epoch: int | None, store: Store) -> list[Path]:
    """Return the path of each draw of the cell's samples.

    epoch: after which the sampled weights were stored; None if the model does not train.
    """
    return [
        store.artefact("samples", f"{cell.draw_key(epoch)}-{k}.safetensors")
        for k in range(cell.protocol.draws)
    ]


def visuals_path(cell: Cell, store: Store) -> Path:
    """Return the path of the cell's visuals (`bench/execution/visuals.py`)."""
    return store.artefact("visuals", f"{cell.id}.safetensors")


def keep_test_images(data: Dataset, store: Store) -> None:
    """Store the test images, so that a report can show them without the data set.

    "test": (n, c, h, w), in the order in which metrics score them; uint8 if that is
        exact.
    "fold": (n,) int64, the fold of each image, if there are folds.
    "centres", "sd": (k, d), (), of the density, if it is known.
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
    if data.density:
        images |= {"centres": torch.tensor(data.density.centres), "sd": torch.tensor(data.density.sd)}
    sealed.save(path, path.stem, images)


def sampled(cell: Cell, data: Dataset, store: Store) -> bool:
    """Return whether all checks and all draws of the cell are stored."""
    checks = checks_of(cell, data, store)
    return checks.complete and all(path.exists() for path in sample_paths(cell, checks.taken, store))


def keep_samples(path: Path, samples: Tensor, fit: Fit) -> None:
    """Store a draw of samples (n, c, h, w) at `path`, with how it was made."""
    sealed.save(path, path.stem, {"samples": samples}, json.dumps(asdict(fit)))


def cached_samples(path: Path) -> tuple[Tensor, Fit] | None:
    """Return stored samples and how they were made.

    None where there are none, or where the file does not match its seal.
    """
    try:
        tensors, about, _ = sealed.load(path, path.stem)
        return tensors["samples"], Fit(**from_json(about))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def highest(path: Path, mib: float | None) -> float | None:
    """Return the highest peak memory in MiB of the processes that trained a model.

    It is stored at `path`; None if it is not known.

    mib: the peak of this process, None if it did not train.
    """
    try:
        before = float(from_json(path.read_bytes()))
    except (OSError, ValueError, TypeError, OverflowError):  # not stored yet, or damaged
        before = 0.0
    if mib is None:
        return before or None
    write_atomically(path, json.dumps(max(before, mib)).encode())
    return max(before, mib)
