"""On what does a cell depend, and which ingredient makes its parts be reused or made anew? `bench why`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from bench.cell import Cell, Ingredients, changed_ingredients
from bench.dataset import Dataset
from bench.errors import BenchError
from bench.origin import cell_today, recorded
from bench.pipeline import plan
from bench.store import Record, Store, as_json
from metrics.base import Metric
from models import MODELS


@dataclass(frozen=True)
class Part:
    """The fit, the samples or the scores of a metric: what becomes of it and why, and its ingredients when it was made and now."""

    name: str
    verdict: str
    before: Ingredients
    now: Ingredients


def why(cell: Cell, store: Store, metrics: Mapping[str, Metric]) -> list[Part]:
    """Return the parts of a cell: its fit, its samples, the scores of each metric."""
    records = store.records()
    rows = {name: stored_row(cell, records, name) for name in metrics}
    made = next((row for row in rows.values() if row), None)
    before = recorded(made, cell.config.SAMPLING) if made else None
    fit = part("fit", [], made, before.fit if before else None, cell.fit_ingredients)
    if made is None and store.artefact("fits", cell.fit_key).exists():
        fit = Part(fit.name, "begun or done for another row, goes on from its last checkpoint", {}, fit.now)
    samples = part("samples", changed(fit), made, before.samples if before else None, cell.sample_ingredients)
    parts = [fit, samples]
    for name, row in rows.items():
        scored = recorded(row, cell.config.SAMPLING).score if row else None
        parts.append(part(name, [*changed(fit), *changed(samples)], row, scored, cell.score_ingredients(name, metrics[name])))
    return parts


def stored_row(cell: Cell, records: list[Record], metric: str) -> Record | None:
    """Return the first row of a metric in the cell's line of the table and of its seed, or None."""
    return next((r for r in records if r.metric == metric and (r.line, r.seed) == (cell.line, cell.seed)), None)


def part(name: str, upstream: list[str], row: Record | None, before: Ingredients | None, now: Ingredients) -> Part:
    """Return a part with its verdict; `upstream` names what has changed of the parts that it is made from."""
    now = json.loads(as_json(now))
    if row is None or before is None:
        return Part(name, "to be made: there is no row of it", {}, now)
    found = Part(name, "reused: nothing it depends on has changed", before, now)
    reasons = list(dict.fromkeys([*upstream, *changed(found)]))
    if reasons:
        return Part(name, f"made anew: changed {', '.join(reasons)}", before, now)
    if not row.intact:
        return Part(name, "made anew: the row was edited", before, now)
    # a fit that failed is the failure of every metric's row
    return Part(name, f"tried again: {row.status}", before, now) if row.failed else found


def changed(part: Part) -> list[str]:
    """Return the names of a part's ingredients that have changed since it was made; none of one that never was."""
    return changed_ingredients(part.before, part.now) if part.before else []


def cell_named(text: str, data: Dataset, store: Store, *, seed: int, **protocol: Any) -> Cell:
    """Return the cell of a model's name, a seed and the options of `plan`, or that of a stored row's id or its first digits, as made today.

    Raises BenchError for what is neither, or is the beginning of several ids.
    """
    if text in MODELS or not re.fullmatch("[0-9a-f]+", text):
        return replace(plan(data, [text], seeds=1, **protocol)[0], seed=seed)
    found = {r.cell: r for r in store.records() if r.role != "samples" and r.cell.startswith(text)}
    if len(found) != 1:
        what = f"the beginning of {len(found)} cells" if found else f"no cell in {store.path}"
        raise BenchError(f"why: {text} is {what}; ids stand in the column 'cell', and `bench run --dry-run` prints them")
    (row,) = found.values()
    try:
        return cell_today(row, data.digest)
    except (KeyError, TypeError, ValueError) as error:
        raise BenchError(f"why: {text} cannot be made by today's code: {' '.join(str(error).split())}") from error
