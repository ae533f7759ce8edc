"""How does a metric's result become rows, and an exception the status of a row?"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import torch
from genmodel_bench.errors import printable
from genmodel_bench.execution import measure
from genmodel_bench.execution.evidence import Evidence
from genmodel_bench.metrics.base import Metric, Subject
from genmodel_bench.metrics.column import declared
from genmodel_bench.metrics.features import NotApplicable
from genmodel_bench.storage import sealed
from genmodel_bench.storage.plain import as_json
from genmodel_bench.storage.record import Record
from genmodel_bench.storage.store import Store
from genmodel_bench.training import loop


def score_records(
    row: Record,
    name: str,
    metric: Metric,
    subject: Subject,
    data: Evidence,
    *,
    base_seed: int,
    of: str,
    store: Store,
    warning: str = "",
) -> list[Record]:
    """Return the rows of one metric, and keep its arrays in `store`.

    row: holds everything but the scores.
    of: the kind of model, or the name of a user's samples.
    warning: of the samples, for the headline score.
    """
    row = replace(row, metric=name)
    lacks = measure.missing(metric, subject.model)
    if lacks:
        return [replace(row, status=f"n/a: needs {', '.join(lacks)}")]
    start = time.perf_counter()
    try:
        result = measure.measured(name, metric, subject, data, base_seed=base_seed, dataset=data.name, of=of)
    except NotApplicable as error:
        return [replace(row, status=f"n/a: {one_line(error)}")]
    except Exception as error:  # noqa: BLE001  # any error of a metric becomes a row's status
        return [replace(row, status=failure(error))]
    row = replace(row, score_seconds=time.perf_counter() - start)
    found = [measure.columns_of(quantity, score) for quantity, score in result.scores.items()]
    rows = [replace(row, **as_texts(columns, json.loads(row.curves))) for columns in found]
    shown = {quantity: as_json(asdict(column)) for quantity, column in declared(metric).items()}
    if warning:
        rows[0] = replace(rows[0], status=with_warning(rows[0].status, warning))
    rows = [replace(r, column=shown.get(r.quantity, "{}")) for r in rows]
    about = as_json({r.quantity: measured(r) for r in rows})
    sealed.save(store.artefact("scores", f"{row.score_key}.safetensors"), row.score_key, result.arrays, about)
    return rows


def as_texts(columns: Mapping[str, Any], curves: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns of a score, its settings and curves as JSON.

    curves: the cell's, which are added to the score's own where it has any.

    A row holds floats, also where a metric gives integers: it is read back as it was.
    """
    own, floats = columns["curves"], ("value", "stderr", "draw_sd")
    return {
        **columns,
        **{name: float(columns[name]) for name in floats if columns[name] is not None},
        "metric_settings": as_json(columns["metric_settings"]),
        "curves": as_json({**curves, **own} if own else {}),
    }


def measured(row: Record) -> list[Any]:
    """Return the columns that hold what was measured.

    They are also stored with the metric's arrays, to be compared by `bench verify`.
    """
    return [row.value, row.stderr, row.n, row.draw_sd, row.status, row.metric_settings]


def with_warning(status: str, warning: str) -> str:
    """Return the status of a score that has a value, with a warning more."""
    return f"{status}; {warning}" if status.startswith("warning: ") else f"warning: {warning}"


LONGEST = 2000
"""Most characters of an error's text that are kept."""


def failure(error: Exception) -> str:
    """Return an exception as a row's status: diverged, oom or failed, and its text."""
    if isinstance(error, loop.Diverged):
        kind = "diverged"
    elif isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "can't allocate memory" in str(error):
        kind = "oom"
    else:
        kind = "failed"
    return f"{kind}: {one_line(error)}"


def one_line(error: BaseException) -> str:
    """Return an error's text and notes as one printable line."""
    text = " ".join([str(error) or type(error).__name__, *getattr(error, "__notes__", ())])
    return printable(" ".join(text.split()))[:LONGEST]
