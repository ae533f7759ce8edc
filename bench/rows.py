"""How does a metric's result become rows, and an exception the status of a row?"""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import Any

import torch

from bench import harness, sealed
from bench.dataset import Dataset
from bench.errors import printable
from bench.seeding import seed_everything
from bench.store import Record, Store, as_json
from metrics.base import Metric, Result, Subject


def score_records(row: Record, name: str, metric: Metric, subject: Subject, data: Dataset, *, seed: int, store: Store) -> list[Record]:
    """Return the rows of one metric, made from `row`, which holds all but the scores; keep its arrays in `store`."""
    missing = [need.__name__ for need in metric.needs if not isinstance(subject.model, need)]
    row = replace(row, metric=name)
    if missing:
        return [replace(row, status=f"n/a: needs {', '.join(missing)}")]
    seed_everything(seed)
    start = time.perf_counter()
    try:
        result = metric(subject, data)
        check_finite(result)
    except Exception as error:  # noqa: BLE001  # whatever a metric raises is a row's status
        return [replace(row, status=failure(error))]
    row = replace(row, score_seconds=time.perf_counter() - start)
    rows = [
        replace(
            row,
            quantity=quantity,
            value=score.value,
            stderr=score.stderr,
            stderr_over=score.stderr_over,
            n=score.n,
            draw_sd=score.draw_sd,
            unit=score.unit,
            better=score.better,
            status=f"warning: {score.warning}" if score.warning else "ok",
            metric_settings=as_json(score.settings),
            curves=as_json(json.loads(row.curves) | score.curves) if score.curves else "{}",
        )
        for quantity, score in result.scores.items()
    ]
    about = as_json({r.quantity: measured(r) for r in rows})
    sealed.save(store.artefact("scores", f"{row.score_key}.safetensors"), row.score_key, result.arrays, about)
    return rows


def measured(row: Record) -> list[Any]:
    """Return what was measured in a row: it is kept with the arrays behind it."""
    return [row.value, row.stderr, row.n, row.draw_sd, row.status, row.metric_settings]


def check_finite(result: Result) -> None:
    """Raise ValueError if a score is NaN or infinite: it is never written."""
    for quantity, score in result.scores.items():
        if not torch.tensor([score.value, score.stderr]).isfinite().all():
            raise ValueError(f"{quantity}: value {score.value}, standard error {score.stderr} are not finite")


def failure(error: Exception) -> str:
    """Return an exception as the status of a row."""
    if isinstance(error, harness.Diverged):
        kind = "diverged"
    elif isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "can't allocate memory" in str(error):
        kind = "oom"
    else:
        kind = "failed"
    return f"{kind}: {one_line(error)}"


def one_line(error: BaseException) -> str:
    """Return an error's text and notes as one line."""
    text = " ".join([str(error) or type(error).__name__, *getattr(error, "__notes__", ())])
    return printable(" ".join(text.split()))
