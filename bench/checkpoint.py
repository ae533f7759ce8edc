"""How is training state written so that a kill at any moment leaves a whole file to go on from, and how are weights kept by epoch?"""

from __future__ import annotations

import hashlib
import io
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from bench.atomic import write_atomically

KEPT = 2
"""Checkpoints kept of one fit: the last one and the one before it, should the last be damaged."""


def save(folder: Path, position: int, state: Mapping[str, Any]) -> None:
    """Write `state` (tensors and plain values) as the checkpoint of `folder` at `position`; delete those before the last two."""
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    content = buffer.getvalue()
    digest = hashlib.sha256(content).hexdigest()[:16]
    write_atomically(folder / f"{position:012d}-{digest}.pt", content)
    for old in sorted(folder.glob("*.pt"))[:-KEPT]:
        old.unlink(missing_ok=True)


def load_latest(folder: Path, device: torch.device) -> dict[str, Any] | None:
    """Return the newest whole checkpoint of `folder`, or None; one whose digest does not fit is set aside with a warning."""
    for path in sorted(folder.glob("*.pt"), reverse=True):
        content = path.read_bytes()
        if path.stem.endswith(hashlib.sha256(content).hexdigest()[:16]):
            state: dict[str, Any] = torch.load(io.BytesIO(content), map_location=device, weights_only=True)
            return state
        aside = path.with_suffix(".damaged")
        path.replace(aside)
        warnings.warn(f"checkpoint {path} is damaged: set aside as {aside.name}", RuntimeWarning, stacklevel=2)
    return None


def snapshot_path(folder: Path, epoch: int) -> Path:
    """Return where the weights after an epoch of the last stage lie."""
    return folder / f"epoch-{epoch:05d}.safetensors"


def save_snapshot(folder: Path, epoch: int, model: nn.Module) -> None:
    """Keep the weights and buffers of `model` as those after `epoch`."""
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    write_atomically(snapshot_path(folder, epoch), to_bytes(state))


def load_snapshot(folder: Path, epoch: int) -> dict[str, Tensor] | None:
    """Return the weights and buffers after `epoch`, or None where they are not there or damaged."""
    try:
        return load(snapshot_path(folder, epoch).read_bytes())
    except (OSError, SafetensorError):
        return None
