"""How are sealed arrays read without torch?"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from genmodel_bench.storage.plain import from_json

Arrays = dict[str, np.ndarray[Any, Any]]


def kept_arrays(path: Path, key: str) -> tuple[Arrays, dict[str, Any]] | None:
    """Return the arrays of the artefact stored under `key`, and its metadata.

    None where the file cannot be read, or its key or digest does not match; `bench
    verify` reports which.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            header = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}
    except (OSError, SafetensorError, TypeError, AttributeError):  # numpy lacks some of torch's types
        return None
    if (header.get("key"), header.get("digest")) != (key, digest_of(arrays)):
        return None
    try:
        return arrays, from_json(header.get("about") or "{}")
    except ValueError:
        return None


def digest_of(arrays: Arrays) -> str:
    """Return the digest that `storage/sealed.py` gives tensors of these values."""
    digest = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        digest.update(header_of(name, f"torch.{array.dtype}", array.shape))
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:16]


def header_of(name: str, dtype: str, shape: Sequence[int]) -> bytes:
    """Return the text that a digest holds of an array besides its values.

    `dtype` is the name that torch uses: "torch.float32".
    """
    return f"({name!r}, {dtype}, {tuple(shape)!r})".encode()


def seal(key: str, *content: str) -> str:
    """Return the digest that binds content to its key."""
    return hashlib.sha256("\0".join([key, *content]).encode()).hexdigest()[:16]
