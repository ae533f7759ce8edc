"""Which rows of a cell are stored, which cannot be, and which are missing?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import torch
from genmodel_bench.cells.catalogue import sources_of
from genmodel_bench.cells.cell import Cell, is_reference
from genmodel_bench.cells.untrained import untrained
from genmodel_bench.data.dataset import Dataset
from genmodel_bench.execution.context import Context
from genmodel_bench.execution.measure import missing
from genmodel_bench.metrics.base import Metric
from genmodel_bench.storage import provenance
from genmodel_bench.storage.plain import as_json
from genmodel_bench.storage.record import Record


def split(cell: Cell, context: Context) -> tuple[list[Record], dict[str, Record]]:
    """Return the rows of a cell that are there already, and blanks for the rest.

    There are those that are stored and up to date, and one that says "n/a" for each
    metric that needs what the model lacks. A blank is the row of a metric that is
    missing, without a score.
    """
    metrics = context.metrics
    there = {} if context.rescore else reusable(context.store.records(), cell, metrics)
    # The same settings may have had another label, as before a change of the defaults:
    # the rows get today's.
    kept = [
        replace(r, options=as_json(cell.options, in_order=True))
        for name in metrics
        for r in there.get(name, ())
    ]
    blank = blank_record(cell, context.data, context.device)
    blanks = {
        name: replace(
            blank,
            metric=name,
            sources=sources_of(model=(cell.model, cell.config), metric=(name, metric)),
            score_key=cell.score_key(name, metric),
            ingredients=as_json(cell.ingredients(name, metric)),
        )
        for name, metric in metrics.items()
        if name not in there
    }
    for name, lacks in lacking(cell, context, blanks).items():
        kept.append(replace(blanks.pop(name), status=f"n/a: needs {', '.join(lacks)}"))
    return kept, blanks


def lacking(cell: Cell, context: Context, names: Iterable[str]) -> dict[str, list[str]]:
    """Return what metrics with these names need and the cell's model lacks, if anything.

    It is asked of a model that is built and not trained. Where none can be built, nothing
    is lacking: training will say what is wrong.
    """
    asking = {name: context.metrics[name] for name in names if context.metrics[name].needs}
    if not asking:
        return {}
    try:
        model = untrained(cell.config, context.data.shape)
    except Exception:  # noqa: BLE001  # any error of a model becomes the status of its rows
        return {}
    found = {name: missing(metric, model) for name, metric in asking.items()}
    return {name: lacks for name, lacks in found.items() if lacks}


def reusable(records: Sequence[Record], cell: Cell, metrics: Mapping[str, Metric]) -> dict[str, list[Record]]:
    """Return, by metric, the stored rows of `cell` that are up to date.

    A metric is left out if one of its rows failed, is doubted, or is of another recipe.
    """
    found: dict[str, list[Record]] = {}
    for r in records:
        if r.cell == cell.id or (r.line, r.seed) == (cell.line, cell.seed):
            found.setdefault(r.metric, []).append(r)
    recipe, scored = cell.recipe, {name: cell.metric_recipe(name, metric) for name, metric in metrics.items()}

    def good(r: Record) -> bool:
        done = r.ok or r.status.startswith("n/a")
        return (
            done
            and not r.doubt
            and (r.cell, r.role) == (cell.id, cell.role)
            and (r.recipe, r.metric_recipe) == (recipe, scored[r.metric])
        )

    return {name: found[name] for name in metrics if name in found and all(map(good, found[name]))}


def blank_record(cell: Cell, data: Dataset, device: torch.device) -> Record:
    """Return a record of the cell without a score."""
    return Record(
        dataset=cell.dataset,
        model=cell.model,
        options=as_json(cell.options, in_order=True),
        role=cell.role,
        seed=cell.seed,
        samples=cell.protocol.samples,
        draws=cell.protocol.draws,
        epochs=getattr(cell.config, "epochs", None),
        checkpoint="" if is_reference(cell.config) else cell.protocol.checkpoint,
        model_settings=as_json(cell.settings),
        dataset_digest=cell.dataset_digest,
        cell=cell.id,
        dtype=str(data.train.dtype).removeprefix("torch."),
        created=provenance.now(),
        **provenance.machine(device),
    )
