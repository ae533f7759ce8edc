"""How do names of models become rows in the table? The steps of `bench run`, in order."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

import pandas as pd
from genmodel_bench.cells.catalogue import metrics_named
from genmodel_bench.cells.cell import Cell, remember_code
from genmodel_bench.cells.featured import with_features
from genmodel_bench.cells.plan import plan
from genmodel_bench.cells.protocol import Protocol
from genmodel_bench.commands.display import heard
from genmodel_bench.commands.report import report, stale_under, tables_so_far
from genmodel_bench.data.registry import load
from genmodel_bench.errors import BadOption
from genmodel_bench.execution.artefacts import keep_test_images, new_mark, unmark
from genmodel_bench.execution.context import Setup
from genmodel_bench.execution.executor import Executor
from genmodel_bench.execution.listener import Listener
from genmodel_bench.metrics import METRICS, STANDARD, Metric
from genmodel_bench.models import MODELS, Config
from genmodel_bench.storage.ingredients import read_vouched
from genmodel_bench.storage.names import results_at
from genmodel_bench.storage.record import Record, frame
from genmodel_bench.storage.store import Store

remember_code(MODELS.values(), METRICS.values())
USUAL, HERE = Protocol(), Executor()
INTERIM = 60.0
"""Seconds after which the tables are written while cells still run.

If that takes long, they wait for twenty times as long as it took.
"""


def run(
    models: Sequence[str] | Mapping[str, Config] | None = None,
    *,
    dataset: str = "digits",
    like: str = "",
    seeds: int | Sequence[int] | None = None,
    options: Sequence[str] = (),
    protocol: Protocol = USUAL,
    device: str = "auto",
    executor: Executor = HERE,
    data: Path | str | None = None,
    results: Path | str | None = None,
    force: bool = False,
    replace_data: bool = False,
    tensorboard: bool = False,
    figures: bool = True,
    metrics: Sequence[str] | Mapping[str, Metric] = STANDARD,
    features: Sequence[str] = (),
    listener: Listener | None = None,
) -> pd.DataFrame:
    """Train, sample and score models on a data set, and write its table.

    Finished cells under `results` are reused, and interrupted ones are continued.

    models: names of `bench list models`, "mylab.ae:Config" or "NAME=mylab.ae:Config" for
        your own, or Configs by name, as {"ours": Config(width=64)}; None for all of this
        project that are meant for the data set.
    dataset: one of `DATASETS`, or your own, as "npz:PATH" or "folder:PATH".
    like: take the models' settings for this registered data set, as "mnist".
    seeds: training runs of each model, with base seeds 0, 1, …; or these seeds. By
        default 3; of all models, the later families have one, which is minutes on digits.
    options: changed hyper-parameters, like "gan-ns.epochs=100"; "vae.lr=1e-3,1e-4" makes
        a row of each value, and several such options a row of each combination.
    protocol: how all models are sampled, and the numerics.
    executor: where cells run: in this process, in others, or on a cluster.
    data: root folder of the data sets' files.
    results: default `results` in a clone of this project, else `bench-results`.
    force: train, sample and score again, even if the results exist.
    replace_data: supersede rows made from another content of the data set. Without it,
        such rows are an error.
    tensorboard: log training for TensorBoard, in `results/.cache/tensorboard`.
    figures: draw the figures and write the page too, not only the tables.
    metrics: those that are computed: names like those of models, ["all"] for all of this
        project, or metrics by name.
    features: those of the metrics that have features are computed in these as well, each
        as METRIC-NAME: "inception", "dinov2", "classifier", "random", "pca", "pixels",
        "mylab.nets:Extractor" or "NAME=mylab.nets:Extractor".
    listener: is notified of what is done; by default a display in IPython or a notebook.

    Returns the records of the cells; scores are in the units of their metric. A model
    that fails is a row with the failure as its status.

    Raises:
        BenchError: a name, an option or the data do not exist, or stored rows are damaged
            or made from other data.

    Example:
        >>> from tempfile import mkdtemp
        >>> from genmodel_bench import Protocol, run
        >>> few, folder = Protocol(samples=200, draws=1), mkdtemp()
        >>> rows = run(["mean"], seeds=1, protocol=few, figures=False, results=folder)
        >>> sorted(set(rows["metric"]))
        ['histogram', 'mind-pixels', 'neighbours', 'parzen']
        >>> set(rows["status"])
        {'ok'}
    """
    executor.check(device=device, tensorboard=tensorboard)
    metrics = with_features(metrics_named(metrics), features)
    where, mark = results_at(results), new_mark() if force else ""
    source = partial(load, dataset, root=data)
    with heard(listener) as listener:
        listener.doing(f"loading {dataset}")
        content, vouched = source(), read_vouched(where)
        cells = plan(
            content,
            models,
            metrics,
            like=like,
            seeds=seeds,
            options=options,
            protocol=protocol,
            vouched=vouched,
        )
        remember_code((cell.config for cell in cells), metrics.values())
        store = Store(where, content.name)
        check_no_samples(cells, store.records())
        store.prepare(content.digest, replace=replace_data)
        unmark(mark, store)
        keep_test_images(content, store)
        setup = Setup(source, where, device, metrics, rescore=force, run=mark, tensorboard=tensorboard)
        listener.planned(cells)
        listener.doing("starting")
        records: list[Record] = []
        known = {**METRICS, **metrics}  # rows of other metrics are in the tables too
        written, pause = time.monotonic(), INTERIM
        try:
            with closing(executor.outcomes(cells, content, setup, listener)) as outcomes:
                for cell, outcome in outcomes:
                    records += outcome.records
                    listener.finished(cell, outcome)
                    if (begun := time.monotonic()) - written > pause:
                        tables_so_far(store, known)
                        written = time.monotonic()
                        pause = max(INTERIM, 20 * (written - begun))
                        listener.notice(f"tables so far: {store.folder / 'table1.md'}")
        finally:
            unmark(mark, store)
        listener.doing("writing tables, figures and the page" if figures else "writing tables")
        report(where, figures=figures, metrics=known, say=listener.notice)
        listener.ended(stale_under(where, known)(store.records()))
    return frame(records)


def check_no_samples(cells: Sequence[Cell], records: Sequence[Record]) -> None:
    """Check that no cell bears the name of a row of somebody's samples.

    Raises:
        BadOption: one does.
    """
    names = {r.model for r in records if r.role == "samples" and not r.doubt}
    for cell in cells:
        if cell.model in names:
            text = "is the row of samples in this table; choose another name, or take them out"
            raise BadOption(f"{cell.model}: {text} with `bench remove`")
