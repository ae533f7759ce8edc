"""How does a metric's result become rows, and an exception the status of a row?"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from genmodel_bench.data.dataset import Dataset
from genmodel_bench.errors import printable
from genmodel_bench.execution import measure
from genmodel_bench.metrics.base import Metric, Subject
from genmodel_bench.storage import sealed
from genmodel_bench.storage.record import Record, as_json
from genmodel_bench.storage.store import Store
from genmodel_bench.training import loop


def score_records(
    row: Record,
    name: str,
    metric: Metric,
    subject: Subject,
    data: Dataset,
    *,
    base_seed: int,
    of: str,
    store: Store,
) -> list[Record]:
    """Return the rows of one metric, made from `row`, which holds all but the scores; keep its arrays in `store`."""
    row = replace(row, metric=name)
    lacks = measure.missing(metric, subject.model)
    if lacks:
        return [replace(row, status=f"n/a: needs {', '.join(lacks)}")]
    start = time.perf_counter()
    try:
        result = measure.measured(name, metric, subject, data, base_seed=base_seed, dataset=data.name, of=of)
    except Exception as error:  # noqa: BLE001  # whatever a metric raises is a row's status
        return [replace(row, status=failure(error))]
    row = replace(row, score_seconds=time.perf_counter() - start)
    found = (measure.columns_of(quantity, score) for quantity, score in result.scores.items())
    rows = [replace(row, **as_texts(columns, json.loads(row.curves))) for columns in found]
    about = as_json({r.quantity: measured(r) for r in rows})
    sealed.save(store.artefact("scores", f"{row.score_key}.safetensors"), row.score_key, result.arrays, about)
    return rows


def as_texts(columns: Mapping[str, Any], curves: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns of a score with those of JSON as texts; `curves` are those of the cell, which go with the score's own."""
    own = columns["curves"]
    return {
        **columns,
        "metric_settings": as_json(columns["metric_settings"]),
        "curves": as_json({**curves, **own} if own else {}),
    }


def measured(row: Record) -> list[Any]:
    """Return what was measured in a row: it is kept with the arrays behind it."""
    return [row.value, row.stderr, row.n, row.draw_sd, row.status, row.metric_settings]


LONGEST = 2000
"""Characters of what went wrong that are kept."""


def failure(error: Exception) -> str:
    """Return an exception as the status of a row."""
    if isinstance(error, loop.Diverged):
        kind = "diverged"
    elif isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "can't allocate memory" in str(error):
        kind = "oom"
    else:
        kind = "failed"
    return f"{kind}: {one_line(error)}"


def one_line(error: BaseException) -> str:
    """Return an error's text and notes as one line."""
    text = " ".join([str(error) or type(error).__name__, *getattr(error, "__notes__", ())])
    return printable(" ".join(text.split()))[:LONGEST]
