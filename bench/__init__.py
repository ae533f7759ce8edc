"""What does the Python API offer?

`run`, `score` and `compare`; `Executor`, which says where a run is computed; `Protocol`,
which says how its models are sampled; and the errors that they raise. All but the last
two are imported on first use, so that `bench --help` does not wait for torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from genmodel_bench.cells.protocol import Protocol
from genmodel_bench.errors import BadOption, BadRecords, BadSamples, BenchError, DataMissing, UnknownName

if TYPE_CHECKING:
    from genmodel_bench.commands.compare import compare
    from genmodel_bench.commands.run import run
    from genmodel_bench.commands.score import score
    from genmodel_bench.execution.executor import Executor

__all__ = [
    "BadOption",
    "BadRecords",
    "BadSamples",
    "BenchError",
    "DataMissing",
    "Executor",
    "Protocol",
    "UnknownName",
    "compare",
    "run",
    "score",
]


_HOMES = {
    "compare": "genmodel_bench.commands.compare",
    "run": "genmodel_bench.commands.run",
    "score": "genmodel_bench.commands.score",
    "Executor": "genmodel_bench.execution.executor",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'genmodel_bench' has no attribute {name!r}")
