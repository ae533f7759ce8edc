"""How do names of models become rows in the table? The straight line of `bench run`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, get_args

import pandas as pd
from genmodel_bench.cells.cell import (
    DRAWS,
    Cell,
    Checkpoint,
    Precision,
    changed_options,
    metric_ingredients,
    remember_code,
)
from genmodel_bench.cells.options import apply_options
from genmodel_bench.cells.recorded import same_cell
from genmodel_bench.data.dataset import Dataset
from genmodel_bench.data.registry import load
from genmodel_bench.errors import BadOption, UnknownName
from genmodel_bench.execution.artefacts import keep_test_images, new_mark, unmark
from genmodel_bench.execution.executor import Executor, Spread
from genmodel_bench.execution.listener import Silent, Watch
from genmodel_bench.execution.pool import Place
from genmodel_bench.metrics import METRICS, Metric
from genmodel_bench.models import MODELS, settings_for
from genmodel_bench.report.rebuild import report
from genmodel_bench.storage.ingredients import Vouched, metric_recipe_of, read_vouched
from genmodel_bench.storage.names import default_results
from genmodel_bench.storage.record import Record, as_json, frame
from genmodel_bench.storage.store import Store

remember_code(MODELS.values(), METRICS.values())
NOTHING_VOUCHED = Vouched()


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
    deterministic: bool = False,
    precision: Precision | None = None,
    jobs: int = 0,
    timeout: float | None = None,
    data: Path | str | None = None,
    results: Path | str | None = None,
    force: bool = False,
    replace: bool = False,
    tensorboard: bool = False,
    figures: bool = True,
    executor: Executor = "local",
    address: str | None = None,
    cpus_per_cell: int | None = None,
    gpus_per_cell: float | None = None,
    metrics: Mapping[str, Metric] = METRICS,
    watch: Watch | None = None,
) -> pd.DataFrame:
    """Train, sample and score models on a data set, and write its table; return the records of the cells.

    `models` None stands for all of `MODELS` that are meant for the data set. `seeds` runs of each, with base seeds 0, 1, …; `draws` times
    `samples` images from each, made with the 'last' weights or with those that are 'best' on validation images (`checkpoint`); `options`
    like "gan-ns.epochs=100". Finished cells under `results` (default: `results` in a clone of this project, else `bench-results`) are
    reused, interrupted ones go on; `force` does them anew. Rows of another content of the data set are refused, or with `replace`
    superseded. Scores are in the units of their metric, see `metrics`.
    Cells run in this process, or in `jobs` others that share its threads; there, one that takes more than `timeout` seconds is stopped.
    `deterministic` lets torch take only algorithms that repeat their bits; `precision` is that of float32 matrix products (None: as torch
    is set). `tensorboard` writes training for it under `results/.cache/tensorboard`; without `figures`, only the tables are written.
    With the `executor` 'ray', cells run on the cluster at `address` ('auto', 'HOST:PORT' or 'ray://HOST:PORT'; None: Ray on this machine
    alone), as many at once as it has room for, or `jobs`, each with `cpus_per_cell` threads (1) and `gpus_per_cell` GPUs (0; a share like
    0.25); they are stored here.
    Raises BenchError for names, options or data that are not there. A model that fails is a row with its status.
    """
    watch = watch or Silent()
    spread = Spread(executor, jobs, timeout, address, cpus_per_cell, gpus_per_cell)
    spread.check(device=device, tensorboard=tensorboard)
    place = Place(
        dataset,
        Path(data) if data else None,
        Path(results or default_results()),
        device,
        rescore=force,
        run=new_mark() if force else "",
        tensorboard=tensorboard,
    )
    content = load(dataset, root=data)
    cells = plan(
        content,
        models,
        seeds=seeds,
        samples=samples,
        draws=draws,
        checkpoint=checkpoint,
        deterministic=deterministic,
        precision=precision or current_precision(),
        options=options,
        metrics=metrics,
        vouched=read_vouched(place.results),
    )
    store = Store(place.results, dataset)
    store.prepare(content.digest, replace=replace)
    unmark(place.run, store)
    keep_test_images(content, store)
    records: list[Record] = []
    try:
        with closing(spread.outcomes(cells, content, place, metrics, watch)) as outcomes:
            for cell, outcome in outcomes:
                records += outcome.records
                watch.finished(cell, outcome)
    finally:
        unmark(place.run, store)
    report(place.results, figures=figures)
    watch.ended(stale_lines(store.records(), metrics, read_vouched(place.results)))
    return frame(records)


def plan(
    data: Dataset,
    models: Sequence[str] | None = None,
    *,
    seeds: int = 3,
    samples: int = 10_000,
    draws: int = DRAWS,
    checkpoint: Checkpoint = "last",
    deterministic: bool = False,
    precision: Precision = "highest",
    options: Sequence[str] = (),
    metrics: Mapping[str, Metric] = METRICS,
    vouched: Vouched = NOTHING_VOUCHED,
) -> list[Cell]:
    """Return the cells of a run, models in the order given, seeds innermost. Raises UnknownName and BadOption."""
    meant = [name for name, config in MODELS.items() if data.name in getattr(config, "ONLY", (data.name,))]
    names = list(dict.fromkeys(models)) if models else meant
    for name in names:
        if name not in MODELS:
            raise UnknownName("model", name, MODELS)
    fewest = max(metric.min_samples for metric in metrics.values())
    if samples < fewest:
        raise BadOption(
            f"--samples: got {samples}, expected at least {fewest}: a bandwidth cannot be chosen from fewer"
        )
    for option, count in (("--seeds", seeds), ("--draws", draws)):
        if count < 1:
            raise BadOption(f"{option}: got {count}, expected at least 1")
    for option, chosen, choices in (
        ("--checkpoint", checkpoint, get_args(Checkpoint)),
        ("--precision", precision, get_args(Precision)),
    ):
        if chosen not in choices:
            raise BadOption(f"{option}: got {chosen!r}, expected {' or '.join(choices)}")
    usual = {name: settings_for(name, data.name) for name in names}
    configs = apply_options(usual, options)
    same: Any = {
        "checkpoint": checkpoint,
        "draws": draws,
        "deterministic": deterministic,
        "precision": precision,
    }
    changed = {name: changed_options(configs[name], usual[name], **same) for name in names}
    return [
        Cell(
            data.name,
            data.digest,
            name,
            configs[name],
            seed,
            samples,
            options=changed[name],
            vouched=vouched,
            **same,
        )
        for name in names
        for seed in range(seeds)
    ]


def current_precision() -> Any:
    """Return the precision of float32 matrix products that torch is set to."""
    import torch

    return torch.get_float32_matmul_precision()


def stale_lines(
    records: Sequence[Record], metrics: Mapping[str, Metric] = METRICS, vouched: Vouched = NOTHING_VOUCHED
) -> list[str]:
    """Return the names of the lines that today's code would not make as they are stored: to be run again.

    Scores of metrics other than `metrics` are not judged: whoever gave them may give them again.
    """
    today = {name: metric_ingredients(name, metric, dataset="", draws=0) for name, metric in metrics.items()}
    recipes: dict[str, str | None] = {}
    found: list[str] = []
    for r in (r for r in records if r.name not in found):
        score = as_json({"score": today.get(r.metric, {}) | {"data set": r.dataset, "draws": r.draws}})
        other_metric = r.metric in today and metric_recipe_of(score, vouched) != r.metric_recipe
        if r.role != "samples" and r.cell not in recipes:
            cell = same_cell(r, vouched)
            recipes[r.cell] = cell.recipe if cell else None
        if other_metric or (r.role != "samples" and recipes[r.cell] != r.recipe):
            found.append(r.name)
    return found
