"""What does the Python API of the benchmark offer? `run`, `score`, and the errors they raise.

The functions are imported on first use, so that `bench --help` does not wait for torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from bench.errors import BadOption, BadRecords, BadSamples, BenchError, DataMissing, UnknownName

if TYPE_CHECKING:
    from bench.pipeline import run, score

__all__ = ["BadOption", "BadRecords", "BadSamples", "BenchError", "DataMissing", "UnknownName", "run", "score"]


def __getattr__(name: str) -> Any:
    if name in ("run", "score"):
        return getattr(import_module("bench.pipeline"), name)
    raise AttributeError(f"module 'bench' has no attribute {name!r}")
