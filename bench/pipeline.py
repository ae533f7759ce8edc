"""How do names of models become rows in the table? The straight line of `bench run`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pandas as pd

from bench.artefacts import forget
from bench.cell import DRAWS, Cell, Checkpoint, metric_recipe, variant_of
from bench.data import load
from bench.dataset import Dataset
from bench.errors import BadOption, UnknownName
from bench.options import apply_options
from bench.provenance import resolve_device
from bench.report import report
from bench.store import Record, Store, frame
from bench.watch import Silent, Watch
from bench.workers import Place, in_turn, side_by_side
from metrics import METRICS, Metric
from models import MODELS, settings_for


def run(
    models: Sequence[str] | None = None,
    *,
    dataset: str = "digits",
    seeds: int = 3,
    samples: int = 10_000,
    draws: int = DRAWS,
    checkpoint: Checkpoint = "last",
    options: Sequence[str] = (),
    device: str = "auto",
    jobs: int = 1,
    data: Path | str | None = None,
    results: Path | str = "results",
    force: bool = False,
    metrics: Mapping[str, Metric] = METRICS,
    watch: Watch | None = None,
) -> pd.DataFrame:
    """Train, sample and score models on a data set, and write its table; return the records of the cells.

    `models` None stands for all of `MODELS` that are meant for the data set. `seeds` runs of each, with base seeds 0, 1, …; `draws` times
    `samples` images from each, made with the 'last' weights or with those that are 'best' on validation images (`checkpoint`); `options`
    like "gan-ns.epochs=100". Finished cells under `results` are reused, interrupted ones go on; `force` does them anew. Scores are
    in the units of their metric, see `metrics`.
    Raises BenchError for names, options or data that are not there. A model that fails is a row with its status.
    """
    watch = watch or Silent()
    place = Place(dataset, Path(data) if data else None, Path(results), device, rescore=force)
    if jobs < 1:
        raise BadOption(f"--jobs: got {jobs}, expected at least 1")
    resolve_device(device)
    content = load(dataset, root=data)
    cells = plan(content, models, seeds=seeds, samples=samples, draws=draws, checkpoint=checkpoint, options=options, metrics=metrics)
    store = Store(place.results, dataset)
    store.prepare()
    if force:
        for cell in cells:
            forget(cell, store)
    records: list[Record] = []
    outcomes = in_turn(cells, content, place, metrics, watch) if jobs == 1 else side_by_side(cells, place, metrics, watch, jobs)
    for cell, outcome in outcomes:
        if set(outcome.records) - set(store.records()):
            store.append(outcome.records)
        records += outcome.records
        watch.finished(cell, outcome)
    report(place.results)
    watch.ended(stale_lines(store.records(), metrics))
    return frame(records)


def plan(
    data: Dataset,
    models: Sequence[str] | None = None,
    *,
    seeds: int = 3,
    samples: int = 10_000,
    draws: int = DRAWS,
    checkpoint: Checkpoint = "last",
    options: Sequence[str] = (),
    metrics: Mapping[str, Metric] = METRICS,
) -> list[Cell]:
    """Return the cells of a run, models in the order given, seeds innermost. Raises UnknownName and BadOption."""
    meant = [name for name, config in MODELS.items() if data.name in getattr(config, "ONLY", (data.name,))]
    names = list(dict.fromkeys(models)) if models else meant
    for name in names:
        if name not in MODELS:
            raise UnknownName("model", name, MODELS)
    fewest = max(metric.min_samples for metric in metrics.values())
    if samples < fewest:
        raise BadOption(f"--samples: got {samples}, expected at least {fewest}: a bandwidth cannot be chosen from fewer")
    for option, count in (("--seeds", seeds), ("--draws", draws)):
        if count < 1:
            raise BadOption(f"{option}: got {count}, expected at least 1")
    if checkpoint not in get_args(Checkpoint):
        raise BadOption(f"--checkpoint: got {checkpoint!r}, expected {' or '.join(get_args(Checkpoint))}")
    usual = {name: settings_for(name, data.name) for name in names}
    configs = apply_options(usual, options)
    variants = {name: variant_of(configs[name], usual[name], checkpoint, draws) for name in names}
    return [
        Cell(data.name, data.digest, name, configs[name], seed, samples, draws, checkpoint, variants[name])
        for name in names
        for seed in range(seeds)
    ]


def stale_lines(records: Sequence[Record], metrics: Mapping[str, Metric] = METRICS) -> list[str]:
    """Return the names of the lines that today's code would not make as they are stored: to be run again.

    Scores of metrics other than `metrics` are not judged: whoever gave them may give them again.
    """
    today = {name: metric_recipe(name, metric) for name, metric in metrics.items()}
    found: list[str] = []
    for r in records:
        name = f"{r.model} ({r.variant})" if r.variant else r.model
        other_metric = today.get(r.metric, r.metric_recipe) != r.metric_recipe
        if name not in found and (other_metric or (r.role != "samples" and _recipe_today(r) != r.recipe)):
            found.append(name)
    return found


def _recipe_today(record: Record) -> str:
    """Return the recipe of a record's cell under the code and registry as they are, or '' if it cannot be made any more."""
    settings = {key: tuple(v) if isinstance(v, list) else v for key, v in json.loads(record.model_settings).items()}
    try:
        config = replace(MODELS[record.model], **settings)
    except (KeyError, TypeError, ValueError):
        return ""
    checkpoint: Any = record.checkpoint or "last"
    return Cell(record.dataset, record.dataset_digest, record.model, config, 0, record.samples, record.draws, checkpoint).recipe
