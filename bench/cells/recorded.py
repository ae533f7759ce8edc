"""Which cell does a stored row come from, and which one stands in its line today?"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from genmodel_bench.cells.cell import PROTOCOL, Cell
from genmodel_bench.models import MODELS, settings_for
from genmodel_bench.models.base import Config
from genmodel_bench.storage.ingredients import Vouched
from genmodel_bench.storage.record import Record


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
    changed = {name: value for name, value in json.loads(record.options).items() if name not in PROTOCOL}
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
    return Cell(
        dataset=record.dataset,
        dataset_digest=digest,
        model=record.model,
        config=config,
        seed=record.seed or 0,
        samples=record.samples,
        draws=record.draws,
        checkpoint=checkpoint,
        deterministic=bool(options.get("deterministic", False)),
        precision=options.get("precision", "highest"),
        options=options,
        vouched=vouched,
    )
