"""How are tensors kept in a file that is not believed once it was changed, or lies where another one should?

A seal is a digest of the tensors, and of the key they are stored under, in the header of the .safetensors file.
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
    """A file whose seal does not fit its content or its place."""


def save(path: Path, key: str, tensors: Mapping[str, Tensor], about: str = "") -> str:
    """Keep `tensors` and a text about them at `path`, sealed under `key`; return the digest of the tensors."""
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    digest = tensors_digest(plain)
    write_atomically(
        path,
        to_bytes(plain, {"key": key, "digest": digest, "about": about, "seal": seal(key, digest, about)}),
    )
    return digest


def load(path: Path, key: str) -> tuple[dict[str, Tensor], str, str]:
    """Return the tensors at `path`, the text about them and their digest.

    Raises FileNotFoundError where there is none, Broken for one that is damaged, changed or sealed under another key.
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
    """Return what is said of the tensors at `path`, without reading them. Raises FileNotFoundError and Broken."""
    try:
        with safe_open(path, framework="pt") as file:
            return dict(file.metadata() or {})
    except FileNotFoundError:
        raise
    except (OSError, SafetensorError) as error:
        raise Broken(f"{path}: is damaged ({error})") from error


def tensors_digest(tensors: Mapping[str, Tensor]) -> str:
    """Return 16 hex digits of the SHA-256 of names, types, shapes and values of tensors on the CPU."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(header_of(name, str(tensor.dtype), tensor.shape))
        digest.update(tensor.contiguous().flatten().numpy().data)
    return digest.hexdigest()[:16]
