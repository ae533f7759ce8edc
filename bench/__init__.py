"""What does the Python API of the benchmark offer? `run`, `score`, `report`, and the errors they raise.

The functions are imported on first use, so that `bench --help` does not wait for torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from bench.errors import BadOption, BadSamples, BenchError, DataMissing, UnknownName

if TYPE_CHECKING:
    from bench.report import report
    from bench.run import run, score

__version__ = "0.1.0"
__all__ = ["BadOption", "BadSamples", "BenchError", "DataMissing", "UnknownName", "report", "run", "score"]

_HOMES = {"run": "bench.run", "score": "bench.run", "report": "bench.report"}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'bench' has no attribute {name!r}")
