"""Which cell does a stored row come from, and on what did it depend when it was made?"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

from bench.cell import Cell, Ingredients
from bench.store import Record
from models import MODELS, settings_for


def cell_of(record: Record, digest: str, config: Any) -> Cell:
    """Return the cell of a record with another content of the data set or another Config."""
    checkpoint: Any = record.checkpoint or "last"
    return Cell(
        dataset=record.dataset,
        dataset_digest=digest,
        model=record.model,
        config=config,
        seed=record.seed or 0,
        samples=record.samples,
        draws=record.draws,
        checkpoint=checkpoint,
        deterministic=is_deterministic(record),
        variant=record.variant,
    )


def same_cell(record: Record) -> Cell | None:
    """Return the cell that a record was made from, under the code and registry as they are, or None if it cannot be made any more."""
    settings = {key: tuple(v) if isinstance(v, list) else v for key, v in json.loads(record.model_settings).items()}
    try:
        return cell_of(record, record.dataset_digest, replace(MODELS[record.model], **settings))
    except (KeyError, TypeError, ValueError):
        return None


def cell_today(record: Record, digest: str) -> Cell:
    """Return the cell that stands in a record's line today: the registered settings with the variant's options.

    Raises KeyError, TypeError or ValueError for a model or option that is no more.
    """
    settings = json.loads(record.model_settings)
    names = [name for name in re.findall(r"(?:^|, )(\w+)=", record.variant) if name not in ("checkpoint", "draws", "deterministic")]
    options = {name: tuple(v) if isinstance(v := settings[name], list) else v for name in names}
    return cell_of(record, digest, replace(settings_for(record.model, record.dataset), **options))


@dataclass(frozen=True)
class Recorded:
    """What the parts of a stored row depended on when they were made, under the names that a `Cell` gives the ingredients."""

    fit: Ingredients
    samples: Ingredients
    score: Ingredients


def recorded(record: Record, sampling: Collection[str]) -> Recorded:
    """Return the ingredients of a record; `sampling` names the settings that only sampling reads."""
    settings, rest = json.loads(record.model_settings), json.loads(record.ingredients)
    named = {
        "data set": record.dataset,
        "content of the data set": record.dataset_digest,
        "seed": record.seed,
        "deterministic": is_deterministic(record),
    }
    return Recorded(
        fit={**named, **{f"setting {k}": v for k, v in settings.items() if k not in sampling}, **rest.get("fit", {})},
        samples={
            **{f"setting {k}": v for k, v in settings.items() if k in sampling},
            "number of samples": record.samples,
            "checkpoint": record.checkpoint or "last",
            **rest.get("samples", {}),
        },
        score={"draws": record.draws, "metric": record.metric, **rest.get("score", {})},
    )


def is_deterministic(record: Record) -> bool:
    """Return whether a record was asked for with `--deterministic`: its name says so. Its column tells what torch was set to."""
    return "deterministic=True" in record.variant.split(", ")
