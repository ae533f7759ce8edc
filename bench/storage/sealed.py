"""How are tensors stored so that a changed or misplaced file is noticed?

The header of the .safetensors file holds a seal, which is a digest of the tensors, of the
text about them, and of the key that they are stored under.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from genmodel_bench.storage.arrays import header_of, seal
from genmodel_bench.storage.atomic import write_atomically
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor


class Broken(ValueError):
    """A file whose seal does not match its content or its key."""


def save(path: Path, key: str, tensors: Mapping[str, Tensor], about: str = "") -> str:
    """Store `tensors` and a text about them, sealed under `key`; return their digest."""
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    digest = tensors_digest(plain)
    write_atomically(
        path,
        to_bytes(plain, {"key": key, "digest": digest, "about": about, "seal": seal(key, digest, about)}),
    )
    return digest


def load(path: Path, key: str) -> tuple[dict[str, Tensor], str, str]:
    """Return the tensors at `path`, the text about them and their digest.

    Raises:
        FileNotFoundError: there is no such file.
        Broken: it is damaged, was changed, or is sealed under another key.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except FileNotFoundError:
        raise
    except (OSError, SafetensorError) as error:
        raise Broken(f"{path}: is damaged ({error})") from error
    digest, about = tensors_digest(tensors), header.get("about", "")
    if header.get("seal") != seal(key, digest, about):
        what = (
            f"belongs to {header['key']}"
            if header.get("key", key) != key
            else "was changed since it was written"
        )
        raise Broken(f"{path}: {what}")
    return tensors, about, digest


def header(path: Path) -> dict[str, str]:
    """Return the header of the file at `path` without reading its tensors.

    Raises:
        FileNotFoundError: there is no such file.
        Broken: it is damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            return dict(file.metadata() or {})
    except FileNotFoundError:
        raise
    except (OSError, SafetensorError) as error:
        raise Broken(f"{path}: is damaged ({error})") from error


def tensors_digest(tensors: Mapping[str, Tensor]) -> str:
    """Return 16 hex digits of the SHA-256 of tensors, which must be on the CPU.

    Names, types, shapes and values count.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(header_of(name, str(tensor.dtype), tensor.shape))
        digest.update(tensor.contiguous().flatten().numpy().data)
    return digest.hexdigest()[:16]
