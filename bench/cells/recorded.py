"""Which cell was a stored row made from, and which cell has its line today?"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from genmodel_bench.cells.cell import Cell, metric_ingredients
from genmodel_bench.cells.protocol import LIKE, NAMES, Protocol
from genmodel_bench.metrics.base import Metric
from genmodel_bench.models import MODELS, settings_for
from genmodel_bench.models.base import Config
from genmodel_bench.storage.ingredients import Vouched, metric_recipe_of
from genmodel_bench.storage.record import Record, as_json


def same_cell(record: Record, vouched: Vouched) -> Cell | None:
    """Return the cell that a record was made from, with today's code and registry.

    None if it cannot be made any more.
    """
    try:
        config = with_values(MODELS[record.model], json.loads(record.model_settings))
    except (KeyError, TypeError, ValueError):
        return None
    return cell_of(record, record.dataset_digest, config, vouched)


def cell_today(record: Record, digest: str, vouched: Vouched) -> Cell:
    """Return the cell that has a record's line today.

    It has the registered settings with the options of the line.

    digest: of the data set's content.

    Raises:
        KeyError, TypeError, ValueError: the model or an option does not exist any more.
    """
    options = json.loads(record.options)
    changed = {name: value for name, value in options.items() if name not in (*NAMES, LIKE)}
    usual = settings_for(record.model, options.get(LIKE, record.dataset))
    return cell_of(record, digest, with_values(usual, changed), vouched)


def with_values(config: Config, values: Mapping[str, Any]) -> Config:
    """Return a Config with `values` from JSON in it, lists as tuples."""
    return replace(
        config, **{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    )


def cell_of(record: Record, digest: str, config: Config, vouched: Vouched) -> Cell:
    """Return a record's cell, but with this content of the data set and this Config.

    digest: of the data set's content.
    """
    options = json.loads(record.options)
    checkpoint: Any = record.checkpoint or options.get("checkpoint", "last")
    protocol = Protocol(
        record.samples,
        record.draws,
        checkpoint,
        bool(options.get("deterministic", False)),
        options.get("precision", "float32"),
    )
    return Cell(record.dataset, digest, record.model, config, record.seed or 0, protocol, options, vouched)


def stale_lines(records: Sequence[Record], metrics: Mapping[str, Metric], vouched: Vouched) -> list[str]:
    """Return the names of the lines that have another recipe under today's code.

    Scores of metrics other than `metrics` are not judged: a caller may have passed such a
    metric to `run`, and may pass it again.
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
