"""Which settings of torch make a run repeat bit for bit?"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def numerics(*, deterministic: bool, precision: str) -> Iterator[None]:
    """Set the numerics of torch inside the context; restore its settings on leaving.

    Results thus do not depend on the settings that the process had before.

    deterministic: allow only deterministic algorithms, as `determinism` does.
    precision: that of float32 matrix products: "highest", "high" or "medium".
    """
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        with determinism(deterministic):
            yield
    finally:
        torch.set_float32_matmul_precision(before)


@contextmanager
def determinism(on: bool) -> Iterator[None]:
    """If `on`, allow only deterministic algorithms; restore torch's settings on leaving.

    These algorithms give the same bits each time; a model that needs another one raises
    RuntimeError. cuBLAS reads CUBLAS_WORKSPACE_CONFIG when CUDA starts: in a process that
    uses CUDA before this, set the variable to :4096:8 yourself, or torch raises too.
    """
    if not on:
        yield
        return
    before = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0])
        torch.backends.cudnn.benchmark = before[1]
