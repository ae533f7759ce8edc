"""How do anybody's samples become a row in the table? `bench score`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.cell import metric_recipe, score_key
from bench.data import load
from bench.digest import content_digest
from bench.errors import BadOption, BadSamples
from bench.execute import score_records
from bench.provenance import machine, now, resolve_device
from bench.report import report
from bench.samples import as_samples, read_samples
from bench.seeding import derive_seed
from bench.store import Record, Store
from metrics import METRICS, Metric, Subject
from models import MODELS


def score(
    samples: Any,
    *,
    dataset: str,
    name: str | None = None,
    device: str = "auto",
    data: Path | str | None = None,
    results: Path | str = "results",
    metrics: Mapping[str, Metric] = METRICS,
) -> dict[str, Any]:
    """Score anybody's samples of a data set and put them in its table as the row `name`; return the scores as plain values.

    samples: a path (.npy, .npz, .pt, .safetensors, a folder of images) or an array (n, d), (n, h, w) or (n, c, h, w), float in
    [0, 1] or uint8. Returns {"name", "dataset", "n", "metrics": {metric: {"value", "stderr", "unit", "status", …}}}, the headline
    score of a metric at its top, its settings and other scores beside it. Raises BenchError.
    """
    where = resolve_device(device)
    content = load(dataset, root=data)
    path = Path(samples) if isinstance(samples, (str, Path)) else None
    name = checked_name(name or (path.resolve().stem if path else "samples"))
    x = as_samples(samples, content.shape) if path is None else read_samples(path, content.shape)
    for key, metric in metrics.items():
        if len(x) < metric.min_samples:
            raise BadSamples(f"{path or 'samples'}: {len(x)} samples are too few for {key}, which needs at least {metric.min_samples}")
    content, store = content.to(where), Store(Path(results), dataset)
    store.prepare()
    digest = content_digest("given", hashlib.sha256(x.numpy().tobytes()).hexdigest())
    made = {"created": now(), **machine(where)}
    row = Record(dataset, name, role="samples", samples=len(x), dataset_digest=content.digest, cell=digest, recipe=digest, **made)
    records: list[Record] = []
    for key, metric in metrics.items():
        seeded = derive_seed(0, dataset, name, key)
        this = replace(row, metric_recipe=metric_recipe(key, metric), score_key=score_key(digest, content.digest, key, metric))
        records += score_records(this, key, metric, Subject(x.to(where)), content, seed=seeded, store=store)
    store.append(records)
    report(Path(results))
    return {"name": name, "dataset": dataset, "n": len(x), "metrics": summary(records)}


def checked_name(name: str) -> str:
    """Return a name for a user's row that no registered model has and that prints on one line. Raises BadOption."""
    if name in MODELS:
        raise BadOption(f"--name: {name!r} is a registered model; choose another name for your samples")
    if not name.strip() or not name.isprintable():
        raise BadOption(f"--name: got {name!r}, expected printable text")
    return name


def summary(records: Sequence[Record]) -> dict[str, Any]:
    """Return the records of one subject by metric: the headline score's fields, then the other scores by name."""
    found: dict[str, Any] = {}
    for r in records:
        if r.metric not in found:
            found[r.metric] = {
                "quantity": r.quantity,
                "value": r.value,
                "stderr": r.stderr,
                "stderr_over": r.stderr_over,
                "n": r.n,
                "unit": r.unit,
                "status": r.status,
                **json.loads(r.metric_settings),
            }
        else:
            found[r.metric][r.quantity] = r.value
    return found
