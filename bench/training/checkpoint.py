"""How are the state of a training and its weights by epoch stored?

A training that is killed at any moment leaves an intact checkpoint to resume from. A
checkpoint's name holds a digest of its content and of the name of its folder, which is
the key of the fit. One that was truncated, changed or taken from another fit is set
aside, and the one before it is used.
"""

from __future__ import annotations

import hashlib
import io
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from genmodel_bench.models.base import Model
from genmodel_bench.storage import atomic, sealed
from genmodel_bench.storage.atomic import remove, write_atomically
from torch import Tensor

KEPT = 2
"""Checkpoints kept of one fit: the last, and the one before it in case of damage."""


def save(folder: Path, position: int, state: Mapping[str, Any]) -> None:
    """Write `state` as the checkpoint of `folder` at `position`; delete all but two.

    The last two stay.

    state: tensors and plain values.
    position: the number of steps so far. An older checkpoint at the same position is
        deleted: the end of an epoch changes the state but not the number of steps.
    """
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    content = buffer.getvalue()
    path = folder / f"{position:012d}-{digest(folder, content)}.pt"
    write_atomically(path, content)
    outdated = [old for old in folder.glob(f"{position:012d}-*.pt") if old != path]
    for old in [*outdated, *sorted(set(folder.glob("*.pt")) - set(outdated))[:-KEPT]]:
        remove(old)


def load_latest(folder: Path, device: torch.device) -> dict[str, Any] | None:
    """Return the newest intact checkpoint of `folder`, or None.

    One whose digest does not match is set aside with a warning.
    """
    for path in sorted(folder.glob("*.pt"), reverse=True):
        content = b"" if path.is_dir() else path.read_bytes()
        if fits(path, content):
            state: dict[str, Any] = torch.load(io.BytesIO(content), map_location=device, weights_only=True)
            return state
        set_aside(path, "is damaged, or of another fit")
    return None


def digest(folder: Path, content: bytes) -> str:
    """Return 16 hex digits: SHA-256 of the folder's name and a checkpoint's content."""
    return hashlib.sha256(folder.name.encode() + b"\0" + content).hexdigest()[:16]


def fits(path: Path, content: bytes) -> bool:
    """Return whether a checkpoint's content matches the digest in its name."""
    return path.stem.endswith(f"-{digest(path.parent, content)}")


def set_aside(path: Path, why: str) -> None:
    """Rename a file that cannot be used to *.damaged, and warn."""
    aside = atomic.set_aside(path)
    warnings.warn(f"{path} {why}: set aside as {aside.name}", RuntimeWarning, stacklevel=3)


def snapshot_path(folder: Path, epoch: int) -> Path:
    """Return the path of the weights after an epoch of the last stage."""
    return folder / f"epoch-{epoch:05d}.safetensors"


def snapshot_key(folder: Path, epoch: int) -> str:
    """Return the key that the weights after an epoch are sealed under."""
    return f"{folder.name}/{epoch}"


def save_snapshot(folder: Path, epoch: int, model: Model) -> None:
    """Store the weights and buffers of `model` as those after `epoch`."""
    sealed.save(snapshot_path(folder, epoch), snapshot_key(folder, epoch), model.state_dict())


def load_snapshot(folder: Path, epoch: int) -> dict[str, Tensor] | None:
    """Return the weights and buffers after `epoch`, or None where there are none.

    A damaged file is set aside with a warning, and counts as none.
    """
    path = snapshot_path(folder, epoch)
    try:
        return sealed.load(path, snapshot_key(folder, epoch))[0]
    except FileNotFoundError:
        return None
    except sealed.Broken:
        set_aside(path, "is damaged, or of another fit")
        return None


class Checkpoints:
    """Stores one training in a folder.

    This is the `Keeper` that the loop is given (`genmodel_bench.training.loop.Keeper`).
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def load(self, device: torch.device) -> dict[str, Any] | None:
        """Return the newest intact checkpoint, its tensors on `device`, or None."""
        return load_latest(self.folder, device)

    def save(self, position: int, state: Mapping[str, Any]) -> None:
        """Write `state` as the checkpoint at `position`, the number of steps so far."""
        save(self.folder, position, state)

    def keep(self, model: Model, epoch: int) -> None:
        """Store the weights and buffers of `model` as those after `epoch`."""
        save_snapshot(self.folder, epoch, model)

    def digest(self, model: Model, where: str = "") -> str:
        """Return the digest of the weights and buffers of `model`.

        It is the one in the header of the stored weights. `where` is not used.
        """
        return weights_digest(model)


def weights_digest(model: Model) -> str:
    """Return the digest of a model's weights and buffers, on whatever device they are."""
    return sealed.tensors_digest({name: tensor.cpu() for name, tensor in model.state_dict().items()})
