"""Which cell was a stored row made from, and which cell has its line today?"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from genmodel_bench.cells.catalogue import config_of, sources_in, with_values
from genmodel_bench.cells.cell import ROLES, Cell, metric_ingredients
from genmodel_bench.cells.protocol import LIKE, NAMES, Protocol
from genmodel_bench.errors import BenchError
from genmodel_bench.metrics.base import Metric
from genmodel_bench.models import settings_for
from genmodel_bench.models.base import Config
from genmodel_bench.storage.ingredients import CODE, Vouched, code_of, metric_recipe_of, recipe_of
from genmodel_bench.storage.plain import as_json
from genmodel_bench.storage.record import Record


def same_cell(record: Record, vouched: Vouched) -> Cell | None:
    """Return the cell that a record was made from, with today's code and registry.

    None if it cannot be made any more.
    """
    try:
        config = config_of(record)
    except (BenchError, KeyError, TypeError, ValueError):
        return None
    return cell_of(record, record.dataset_digest, config, vouched)


def cell_today(record: Record, digest: str, vouched: Vouched) -> Cell:
    """Return the cell that has a record's line today.

    It has the registered settings with the options of the line; a model from outside this
    project has the settings of the record.

    digest: of the data set's content.

    Raises:
        KeyError, TypeError, ValueError: the model or an option does not exist any more.
        BenchError: a model from outside this project cannot be imported.
    """
    if "model" in sources_in(record):
        return cell_of(record, digest, config_of(record), vouched)
    options = json.loads(record.options)
    changed = {name: value for name, value in options.items() if name not in (*NAMES, LIKE)}
    usual = settings_for(record.model, options.get(LIKE, record.dataset))
    return cell_of(record, digest, with_values(usual, changed), vouched)


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

    Scores of metrics other than `metrics` are not judged, except by the code that their
    rows name. Nothing from outside this project is imported: its code is read.
    """
    today = {name: metric_ingredients(name, metric, dataset="", draws=0) for name, metric in metrics.items()}
    recipes: dict[str, str | None] = {}
    found: list[str] = []
    for r in (r for r in records if r.name not in found):
        if r.metric in today:
            score = as_json({"score": today[r.metric] | {"data set": r.dataset, "draws": r.draws}})
            other_metric = metric_recipe_of(score, vouched) != r.metric_recipe
        else:
            other_metric = metric_recipe_of(with_code_of_today(r), vouched) != r.metric_recipe
        if r.role != "samples" and r.cell not in recipes:
            recipes[r.cell] = recipe_today(r, vouched)
        if other_metric or (r.role != "samples" and recipes[r.cell] != r.recipe):
            found.append(r.name)
    return found


def recipe_today(record: Record, vouched: Vouched) -> str | None:
    """Return the recipe of a record's cell under today's code; None if it has none."""
    if "model" in sources_in(record):
        return recipe_of(with_code_of_today(record), vouched)
    cell = same_cell(record, vouched)
    return cell.recipe if cell else None


def with_code_of_today(record: Record) -> str:
    """Return a record's ingredients with the code of today, as JSON.

    Where the code of a model or metric from outside this project cannot be found, as on
    another machine, it counts as unchanged.
    """
    specs = sources_in(record)
    modules = {name: (spec.partition(":")[0],) for name, spec in specs.items()} | ROLES
    parts = json.loads(record.ingredients)
    for ingredients in parts.values():
        if CODE + "features" in ingredients:
            modules["features"] = (str(ingredients["metric's features"]).partition(":")[0],)
        for name in [name for name in ingredients if name.startswith(CODE)]:
            role = name.removeprefix(CODE)
            try:
                ingredients |= code_of(role, *modules[role]) if role in modules else {}
            except BenchError:
                continue
    return as_json(parts)
