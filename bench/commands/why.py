"""What does a cell depend on, and why are its parts reused or made again? `bench why`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from genmodel_bench.cells.catalogue import config_of, sources_in
from genmodel_bench.cells.cell import Cell
from genmodel_bench.cells.plan import plan
from genmodel_bench.cells.protocol import NAMES, Protocol
from genmodel_bench.cells.recorded import cell_today
from genmodel_bench.data.dataset import Dataset
from genmodel_bench.errors import BenchError
from genmodel_bench.metrics import METRICS
from genmodel_bench.metrics.base import Metric
from genmodel_bench.models import MODELS
from genmodel_bench.storage.ingredients import Ingredients, Vouched, changed_modules, is_code, read_vouched
from genmodel_bench.storage.plain import as_json
from genmodel_bench.storage.record import Record
from genmodel_bench.storage.store import Store


@dataclass(frozen=True)
class Part:
    """The fit, the samples or a metric's scores of a cell.

    verdict: whether it is reused or made again, and why.
    before, now: its ingredients when it was made, and today.
    changed: the ingredients that differ; of code, with the modules.
    """

    name: str
    verdict: str
    before: Ingredients
    now: Ingredients
    changed: dict[str, str]


def why(cell: Cell, store: Store, metrics: Mapping[str, Metric]) -> list[Part]:
    """Return the parts of a cell: its fit, its samples, and the scores of each metric."""
    records = store.records()
    rows = {name: stored_row(cell, records, name) for name in metrics}
    made = next((row for row in rows.values() if row), None)
    fit = part("fit", {}, made, "fit", cell.fit_ingredients, cell.vouched)
    if made is None and store.artefact("fits", cell.fit_key).exists():
        fit = replace(fit, verdict="begun or done for another row, goes on from its last checkpoint")
    samples = part("samples", fit.changed, made, "samples", cell.sample_ingredients, cell.vouched)
    upstream = fit.changed | samples.changed
    scores = [
        part(name, upstream, row, "score", cell.score_ingredients(name, metrics[name]), cell.vouched)
        for name, row in rows.items()
    ]
    return [fit, samples, *scores]


def stored_row(cell: Cell, records: list[Record], metric: str) -> Record | None:
    """Return the first row of a metric in the cell's line with its seed, or None."""
    return next(
        (r for r in records if r.metric == metric and (r.line, r.seed) == (cell.line, cell.seed)), None
    )


def part(
    name: str, upstream: Mapping[str, str], row: Record | None, key: str, now: Ingredients, vouched: Vouched
) -> Part:
    """Return a part with its verdict.

    upstream: what has changed in the parts that it is made from.
    key: the name of the part in the ingredients of `row`.
    """
    now = json.loads(as_json(now))
    if row is None:
        return Part(name, "to be made: there is no row of it", {}, now, {})
    before = json.loads(row.ingredients).get(key, {})
    found = {name: described(name, before.get(name), now.get(name)) for name in vouched.changed(before, now)}
    reasons = list(dict.fromkeys([*upstream.values(), *found.values()]))
    if reasons:
        verdict = f"made anew: changed {', '.join(reasons)}"
    elif row.doubt:
        verdict = f"made anew: the row {row.doubt}"
    elif row.failed:  # a fit that failed is the failure of every metric's row
        verdict = f"tried again: {row.status}"
    else:
        verdict = "reused: nothing it depends on has changed"
    return Part(name, verdict, before, now, found)


def described(name: str, before: Any, now: Any) -> str:
    """Return the name of a changed ingredient; of code, with the changed modules."""
    if not (is_code(name, before) and is_code(name, now)):
        return name
    return f"{name} ({', '.join(changed_modules(before, now))})"


def cell_named(
    text: str,
    data: Dataset,
    store: Store,
    *,
    seed: int,
    options: Sequence[str],
    protocol: Protocol,
    like: str = "",
) -> Cell:
    """Return a cell as it would be made today.

    text: the name of a model, the name of a row whose model is from outside this project,
        or the first digits of the id of a stored cell.

    Raises:
        BenchError: it is neither, or several ids begin like this, or today's code cannot
            make the cell.
    """
    vouched = read_vouched(store.results)
    if text in MODELS or not re.fullmatch("[0-9a-f]+", text):
        theirs = [r for r in store.records() if r.model == text and "model" in sources_in(r)]
        usual = [r for r in theirs if not json.loads(r.options).keys() - {*NAMES}]
        named = {text: config_of(usual[0])} if usual else [text]
        cells = plan(
            data, named, METRICS, like=like, seeds=1, options=options, protocol=protocol, vouched=vouched
        )
        if len(cells) > 1:
            raise BenchError(f"why: --set names {len(cells)} cells, expected one; give each option one value")
        return replace(cells[0], seed=seed)
    found = {r.cell: r for r in store.records() if r.role != "samples" and r.cell.startswith(text)}
    if len(found) != 1:
        what = f"the beginning of {len(found)} cells" if found else f"no cell in {store.path}"
        raise BenchError(
            f"why: {text} is {what}; ids stand in the column 'cell', and `bench run --dry-run` prints them"
        )
    (row,) = found.values()
    try:
        return cell_today(row, data.digest, vouched)
    except (KeyError, TypeError, ValueError) as error:
        raise BenchError(
            f"why: {text} cannot be made by today's code: {' '.join(str(error).split())}"
        ) from error
