"""What must torch be told so that the same run gives the same bits, and was it told so?"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def numerics(*, deterministic: bool, precision: str) -> Iterator[None]:
    """Set the precision of torch's float32 matrix products, and, if asked, let it take only algorithms that repeat their bits.

    Its settings are put back afterwards. What a process was told before has no part in a number.
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
    """Let torch take only algorithms that give the same bits each time, if `on`, and put its settings back afterwards.

    A model that needs another algorithm raises RuntimeError. cuBLAS reads its variable when CUDA starts: in a process that
    has used CUDA before, set CUBLAS_WORKSPACE_CONFIG=:4096:8 yourself, or torch will raise.
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
