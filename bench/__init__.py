"""What does the Python API offer?

`run` and `score` make rows, `table` and `compare` read them, `check` makes them again,
`load` returns a data set; `Executor` says where a run is computed and `Protocol` how its
models are sampled; and the errors that they raise. All but the last two are imported on
first use, so that `bench --help` does not wait for torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from genmodel_bench.cells.protocol import Protocol
from genmodel_bench.errors import BadOption, BadRecords, BadSamples, BenchError, DataMissing, UnknownName

if TYPE_CHECKING:
    from genmodel_bench.commands.check import check
    from genmodel_bench.commands.compare import compare
    from genmodel_bench.commands.run import run
    from genmodel_bench.commands.score import score
    from genmodel_bench.commands.table import table
    from genmodel_bench.data.registry import load
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
    "check",
    "compare",
    "load",
    "run",
    "score",
    "table",
]


_HOMES = {
    "check": "genmodel_bench.commands.check",
    "compare": "genmodel_bench.commands.compare",
    "load": "genmodel_bench.data.registry",
    "run": "genmodel_bench.commands.run",
    "score": "genmodel_bench.commands.score",
    "table": "genmodel_bench.commands.table",
    "Executor": "genmodel_bench.execution.executor",
}


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'genmodel_bench' has no attribute {name!r}")
