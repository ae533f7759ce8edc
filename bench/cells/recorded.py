"""Which cell does a stored row come from, and which one stands in its line today?"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from genmodel_bench.cells.cell import Cell, metric_ingredients
from genmodel_bench.cells.protocol import NAMES, Protocol
from genmodel_bench.metrics.base import Metric
from genmodel_bench.models import MODELS, settings_for
from genmodel_bench.models.base import Config
from genmodel_bench.storage.ingredients import Vouched, metric_recipe_of
from genmodel_bench.storage.record import Record, as_json


def same_cell(record: Record, vouched: Vouched) -> Cell | None:
    """Return the cell that a record was made from, under the code and registry as they are, or None if it cannot be made any more."""
    try:
        config = with_values(MODELS[record.model], json.loads(record.model_settings))
    except (KeyError, TypeError, ValueError):
        return None
    return cell_of(record, record.dataset_digest, config, vouched)


def cell_today(record: Record, digest: str, vouched: Vouched) -> Cell:
    """Return the cell that stands in a record's line today: the registered settings with the line's options.

    Raises KeyError, TypeError or ValueError for a model or option that is no more.
    """
    changed = {name: value for name, value in json.loads(record.options).items() if name not in NAMES}
    return cell_of(record, digest, with_values(settings_for(record.model, record.dataset), changed), vouched)


def with_values(config: Config, values: Mapping[str, Any]) -> Config:
    """Return a Config with values of JSON in it."""
    return replace(
        config, **{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    )


def cell_of(record: Record, digest: str, config: Config, vouched: Vouched) -> Cell:
    """Return the cell of a record with another content of the data set or another Config."""
    options = json.loads(record.options)
    checkpoint: Any = record.checkpoint or options.get("checkpoint", "last")
    protocol = Protocol(
        record.samples,
        record.draws,
        checkpoint,
        bool(options.get("deterministic", False)),
        options.get("precision", "highest"),
    )
    return Cell(record.dataset, digest, record.model, config, record.seed or 0, protocol, options, vouched)


def stale_lines(records: Sequence[Record], metrics: Mapping[str, Metric], vouched: Vouched) -> list[str]:
    """Return the names of the lines that today's code would not make as they are stored.

    Scores of metrics other than `metrics` are not judged: whoever gave them may give them
    again.
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
