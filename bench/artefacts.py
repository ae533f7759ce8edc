"""What of a cell's work is kept under the results folder, where, and how is it found again or forgotten?"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench import harness, sealed
from bench.atomic import write_atomically
from bench.cell import Cell
from bench.dataset import Dataset
from bench.seeding import check_seed
from bench.selection import Checks
from bench.store import Store


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
    device: str
    threads: int
    deterministic: bool
    python: str
    versions: str
    commit: str


def epochs_of(cell: Cell) -> list[int]:
    """Return the epochs after which the cell's weights are kept; none of a model that does not train."""
    return harness.snapshot_epochs(getattr(cell.config, "epochs", 0))


def checks_of(cell: Cell, data: Dataset, store: Store) -> Checks:
    """Return the validation checks of the cell's training that are there."""
    path = store.artefact("checks", f"{cell.check_key}.json")
    return Checks(path, data.valid, epochs=epochs_of(cell), seed=check_seed(cell.seed, cell.dataset, cell.family))


def taken(cell: Cell, checks: Checks) -> int | None:
    """Return the epoch whose weights the cell samples, from complete checks; None of a model that does not train."""
    if not checks.values:
        return None
    return (checks.best if cell.checkpoint == "best" else checks.last).epoch


def selection_of(cell: Cell, checks: Checks) -> dict[str, Any]:
    """Return the fields of a Fit that tell of the selection."""
    epoch = taken(cell, checks)
    if epoch is None:
        return {"checkpoint_epoch": None, "valid_best": None, "valid_last": None}
    return {"checkpoint_epoch": epoch, "valid_best": checks.best.value, "valid_last": checks.last.value}


def forget(cell: Cell, store: Store, *, before: float) -> None:
    """Delete the cell's artefacts that are older than `before`, in seconds of time.time(), so that it is trained and sampled again.

    A training that went on since, as one of another cell that shares it, stays whole.
    """
    for path in made_of_fit(cell, store):
        if path.stat().st_mtime < before:
            path.unlink(missing_ok=True)
    folder = store.artefact("fits", cell.fit_key)
    if all(path.stat().st_mtime < before for path in folder.glob("*")):
        forget_training(folder)


def made_of_fit(cell: Cell, store: Store) -> list[Path]:
    """Return the files that there are of the cell besides its training: draws from any epoch's weights, checks, album."""
    draws = [path for epoch in (None, *epochs_of(cell)) for path in store.cache.glob(f"samples/{cell.draw_key(epoch)}-*.safetensors")]
    others = [album_path(cell, store), store.artefact("checks", f"{cell.check_key}.json")]
    return [*draws, *(path for path in others if path.exists())]


def forget_training(folder: Path) -> None:
    """Delete the checkpoints and kept weights of a training run, and what it cost."""
    for pattern in ("*.pt", "*.safetensors", "*.json"):
        for old in folder.glob(pattern):
            old.unlink(missing_ok=True)


def sample_paths(cell: Cell, epoch: int | None, store: Store) -> list[Path]:
    """Return where each draw of the cell's samples from the weights after `epoch` is kept."""
    return [store.artefact("samples", f"{cell.draw_key(epoch)}-{k}.safetensors") for k in range(cell.draws)]


def album_path(cell: Cell, store: Store) -> Path:
    """Return where the album of the cell is kept (`bench/album.py`)."""
    return store.artefact("albums", f"{cell.id}.safetensors")


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
    return checks.complete and all(path.exists() for path in sample_paths(cell, taken(cell, checks), store))


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
