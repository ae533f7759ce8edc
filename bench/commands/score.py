"""How do a user's own samples become a row in the table? `bench score`."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from genmodel_bench.cells.cell import metric_ingredients
from genmodel_bench.commands.display import heard
from genmodel_bench.commands.report import report
from genmodel_bench.data.dataset import Dataset
from genmodel_bench.data.registry import load
from genmodel_bench.errors import BadOption, BadSamples
from genmodel_bench.execution.artefacts import keep_test_images
from genmodel_bench.execution.listener import Listener
from genmodel_bench.execution.measure import subject_of
from genmodel_bench.execution.rows import score_records
from genmodel_bench.inputs.samples import as_samples, parts, read_samples
from genmodel_bench.metrics import METRICS, Metric
from genmodel_bench.models import MODELS
from genmodel_bench.storage.digest import content_digest
from genmodel_bench.storage.ingredients import read_vouched, score_key_of
from genmodel_bench.storage.names import in_home, results_at
from genmodel_bench.storage.provenance import machine, now, resolve_device
from genmodel_bench.storage.record import Record, as_json
from genmodel_bench.storage.store import Store
from torch import Tensor


def score(
    samples: Any,
    *,
    dataset: str,
    name: str | None = None,
    device: str = "auto",
    data: Path | str | None = None,
    results: Path | str | None = None,
    figures: bool = True,
    replace_data: bool = False,
    metrics: Mapping[str, Metric] = METRICS,
    listener: Listener | None = None,
) -> dict[str, Any]:
    """Score a user's samples, and add them to the table of a data set as the row `name`.

    samples: a path (.npy, .npz, .pt, .safetensors, or a folder of images), or an array
        (n, d), (n, h, w) or (n, c, h, w), float in [0, 1] or uint8.
    name: by default the name of the file without its ending; "samples" for an array.
    replace_data: supersede rows made from another content of the data set. Without it,
        such rows are an error.
    metrics: those that are computed, by name.
    listener: is notified of what is done; by default a display in IPython or a notebook.

    Returns the scores as plain values: {"name", "dataset", "n", "metrics": {metric:
    {"value", "stderr", "unit", "status", …}}}. The entry of a metric holds the fields of
    its headline score, its settings, and its other scores by name.

    Raises:
        BadSamples: the samples cannot be read, or are too few for a metric.
        BadOption: the name is invalid, or there is no such device.
        BenchError: the data set is missing, or stored rows are damaged or made from other
            data.
    """
    where = resolve_device(device)
    path = in_home(samples) if isinstance(samples, (str, Path)) else None
    name = checked_name(name or (Path(os.path.realpath(path)).stem if path else "samples"))
    with heard(listener) as listener:
        listener.doing(f"loading {dataset}")
        content = load(dataset, root=data)
        store = Store(results_at(results), dataset)
        listener.doing(f"reading {path or 'samples'}")
        read = partial(as_samples, samples) if path is None else partial(read_samples, path)
        x = read(content.shape, scratch=store.cache)
        for key, metric in metrics.items():
            if len(x) < metric.min_samples:
                needs = (
                    f"which needs at least {metric.min_samples}; "
                    "draw 10,000 to compare with published numbers"
                )
                raise BadSamples(f"{path or 'samples'}: {len(x)} samples are too few for {key}, {needs}")
        store.prepare(content.digest, replace=replace_data)
        keep_test_images(content, store)
        records = scored(x, name, content.to(where), where, store, metrics, listener)
        store.append(records, listener.notice)
        listener.doing("writing tables, figures and the page" if figures else "writing tables")
        report(store.results, figures=figures, metrics={**METRICS, **metrics}, say=listener.notice)
    return {"name": name, "dataset": dataset, "n": len(x), "metrics": summary(records)}


def scored(
    x: Tensor,
    name: str,
    content: Dataset,
    where: torch.device,
    store: Store,
    metrics: Mapping[str, Metric],
    listener: Listener,
) -> list[Record]:
    """Return the rows of samples x: (n, c, h, w) that are called `name`.

    content: the data set, on the device `where`.
    """
    vouched = read_vouched(store.results)
    digest = content_digest("given", sha256(x))
    made = {"created": now(), "dtype": str(x.dtype).removeprefix("torch."), **machine(where)}
    row = Record(
        content.name, name, role="samples", samples=len(x), dataset_digest=content.digest, cell=digest, **made
    )
    given = {
        "name": name,
        "data set": content.name,
        "content of the data set": content.digest,
        "content of the samples": digest,
    }
    records: list[Record] = []
    for i, (key, metric) in enumerate(metrics.items()):
        listener.doing(f"scoring {len(x):,} samples with {key} ({i + 1} of {len(metrics)})")
        score = metric_ingredients(key, metric, dataset=content.name, draws=1)
        ingredients = {"samples": given, "score": score}
        blank = replace(row, ingredients=as_json(ingredients), score_key=score_key_of(ingredients, vouched))
        records += score_records(
            blank, key, metric, subject_of([x], None, where), content, base_seed=0, of=name, store=store
        )
    return [r.sealed().settled(vouched) for r in records]


def sha256(x: Tensor) -> str:
    """Return the SHA-256 of the values of x: (n, ...), in hexadecimal.

    x may be mapped from a file larger than memory: it is read in parts.
    """
    digest = hashlib.sha256()
    for part in parts(x):
        digest.update(part.numpy().tobytes())
    return digest.hexdigest()


def checked_name(name: str) -> str:
    """Return `name` if a user's row may have it.

    Raises:
        BadOption: a registered model has it, or it does not print on one line.
    """
    if name in MODELS:
        raise BadOption(f"--name: {name!r} is a registered model; choose another name for your samples")
    if not name.strip() or not name.isprintable():
        raise BadOption(f"--name: got {name!r}, expected printable text; choose another with --name")
    return name


def summary(records: Sequence[Record]) -> dict[str, Any]:
    """Return the scores of one subject, by metric.

    The fields of the headline score come first, then the other scores by name.
    """
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
