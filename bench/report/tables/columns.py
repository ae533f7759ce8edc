"""Which columns do tables have, in which order, and what does each of them say?

A column is of a score, as its metric declares it (`metrics/column.py`), or of what is
known of every row: seeds, samples, cost. A table of the report is a view: the columns
that name it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from genmodel_bench.report.tables.published import HEADLINE, TABLE_1
from genmodel_bench.storage.record import Record

TABLE1, LEDGER, UNCERTAINTY, COST = "table1", "ledger", "uncertainty", "cost"
VIEWS = {
    TABLE1: "Table 1",
    LEDGER: "Parzen beside the models' own likelihood",
    "density": "The models' own likelihood",
    "likelihood": "Likelihood",
    "quality": "Sample quality",
    "features": "Sample quality in other features",
    "memorisation": "Memorisation",
    UNCERTAINTY: "Where the uncertainty comes from",
    COST: "Whose weights were sampled, and what it took",
}
"""The titles of views. Another view that a metric names is titled by its name."""

DASH = "–"
MINUS = "−"

Key = tuple[str, str, str, int]
"""A row: (role, model, variant, number of samples).

Log-likelihoods from different numbers of samples are not comparable.
"""
Quantity = tuple[str, str]
"""A score: (metric, its name)."""
Declared = Mapping[Quantity, Mapping[str, Any]]
"""How scores are shown, by quantity: the fields of `metrics/column.py: Column`."""


@dataclass(frozen=True)
class Column:
    """A column of the tables.

    says: what it holds, a clause for the legend.
    of: the score that it is of, if it is of one.
    error: it holds the standard error of that score, not the score.
    factor: what the score is multiplied by.
    examples: the array that holds the score of each test image, if one does.
    curves: how curves of the score are drawn, by name.
    floor: the score that unseen real images have in place of the samples, if it is known.
    promises: pairs (better, worse) of probes whose order the score has to give.
    """

    title: str
    says: str
    view: str
    decimals: int = 0
    of: Quantity | None = None
    error: bool = False
    unit: str = ""
    better: str = ""
    factor: float = 1.0
    examples: str = ""
    curves: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    floor: Quantity | None = None
    promises: tuple[tuple[str, str], ...] = ()

    @property
    def is_score(self) -> bool:
        """Return whether it holds a score itself."""
        return self.of is not None and not self.error

    @property
    def directed(self) -> bool:
        """Return whether one direction of the score is better."""
        return self.is_score and self.better in ("higher", "lower")

    @property
    def arrow(self) -> str:
        """Return an arrow in the better direction, or nothing."""
        return {"higher": "↑", "lower": "↓"}.get(self.better, "") if self.is_score else ""


TOTAL, SEEDS, SAMPLES, SIGMA, THEIRS, THEIR_ERROR, Z = (
    Column(
        "total ±",
        "standard error of it: the root of test ±² + seed ±² / seeds; with one seed the spread over training "
        "runs is unknown, and ≥ marks what is known without it",
        TABLE1,
        1,
    ),
    Column("seeds", "training runs, from different seeds", TABLE1),
    Column("N", "samples in a draw", TABLE1),
    Column("σ", "bandwidth chosen on validation images", TABLE1, 4),
    Column("published", TABLE_1, TABLE1, 1),
    Column("published ±", "its standard error as published", TABLE1, 1),
    Column("z", "our mean minus theirs, over the root of the summed squared errors", TABLE1, 1),
)
TEST, TEST_N, DRAW, DRAWS, SEED, DETECTABLE = (
    Column("test ±", "standard error over the test n images, or folds", UNCERTAINTY, 1),
    Column("test n", "test images, or folds", UNCERTAINTY),
    Column("draw ±", "standard deviation over sample sets drawn from one trained model", UNCERTAINTY, 1),
    Column("draws", "sample sets drawn from each trained model", UNCERTAINTY),
    Column("seed ±", "standard deviation over training seeds", UNCERTAINTY, 1),
    Column(
        "detectable",
        "the difference to the best row (of the best, to the second) that a test at 5 %, corrected for all "
        "pairs, would find four times in five",
        UNCERTAINTY,
        1,
    ),
)
EPOCH, EPOCHS, VALID_LAST, VALID_BEST, MINUTES, MEMORY, DEVICE = (
    Column("epoch", "whose weights were sampled, the last unless the name says otherwise", COST),
    Column("epochs", "of how many of the last stage", COST),
    Column(
        "valid last",
        "what validation images say of the last weights: the model's own log p, or Parzen with 1,000 samples",
        COST,
        1,
    ),
    Column("valid best", "the same of the best weights", COST, 1),
    Column("minutes", "wall time of training one seed", COST, 2),
    Column("MiB", "peak memory of its process or device", COST),
    Column("device", "on which it was trained, or drawn from again later", COST),
)
BESIDE_HEADLINE = (TOTAL, SEEDS, SAMPLES, SIGMA, THEIRS, THEIR_ERROR, Z)
AFTER = (
    *(TEST, TEST_N, DRAW, DRAWS, SEED, DETECTABLE),
    *(EPOCH, EPOCHS, VALID_LAST, VALID_BEST, MINUTES, MEMORY, DEVICE),
)
PARZEN, OWN_LOG_P, KIND, SUPPORT, BITS, PARZEN_RANK, OWN_RANK, OWN_PUBLISHED = BESIDE_PARZEN = (
    Column("Parzen", "Parzen-window log-likelihood of the test images, nats", LEDGER, 1),
    Column("own log p", "their log-likelihood by the model itself, nats per image", LEDGER, 2),
    Column(
        "kind",
        "how own log p stands to the log-likelihood: = it is it, ≤ a lower bound of it, ≥ an estimate that "
        "tends to be above it, ≈ both",
        LEDGER,
    ),
    Column("support", "of which images p is the probability; only within one do rows compare", LEDGER),
    Column("bits", "minus own log p, in bits per pixel and channel", LEDGER, 3),
    Column("rank Parzen", "place by Parzen among the rows of the support, 1 the best", LEDGER),
    Column("rank own", "place by own log p among them", LEDGER),
    Column("own published", "own log p as published", LEDGER, 2),
)
KNOWN = (*BESIDE_HEADLINE, *BESIDE_PARZEN, *AFTER)
"""The columns that no metric declares."""


def columns_of(records: Sequence[Record], declared: Declared) -> tuple[Column, ...]:
    """Return the columns of a table of `records`, in order: Table 1, scores, cost.

    Scores come in the order of `declared`, then as the records name them. Titles differ:
    one that is taken is followed by the names of metric and score, as far as needed.
    """
    scores = list(scores_of(records, declared))
    taken = {"model", *(column.title for column in KNOWN)}
    titled: list[Column] = []
    for column in scores:
        title = untaken(column, taken)
        taken |= belonging_to(title)
        titled.append(replace(column, title=title))
    first = [c for c in titled if c.of == HEADLINE]
    others = [c for c in titled if c.of != HEADLINE]
    views = list(dict.fromkeys([TABLE1, *(c.view for c in others)]))
    ordered = [both for view in views for c in others if c.view == view for both in (c, error_of(c))]
    own = [c for c in ordered if c.view == TABLE1]
    return (
        *first,
        *(BESIDE_HEADLINE if first else (SEEDS, SAMPLES)),
        *own,
        *(BESIDE_PARZEN if first else ()),
        *(c for c in ordered if c.view != TABLE1),
        *AFTER,
    )


def untaken(column: Column, taken: set[str]) -> str:
    """Return the title of a score's column, with more words if another column has it."""
    metric, quantity = column.of or ("", "")
    title = column.title
    for words in (metric, f"{metric} {quantity}"):
        if taken & belonging_to(title):
            title = f"{column.title} ({words})"
    while taken & belonging_to(title):
        title += "'"
    return title


def belonging_to(title: str) -> set[str]:
    """Return a score's title and those of the columns beside it: its error, its marks."""
    return {title, f"{title} ±", f"{title} best"}


def scores_of(records: Iterable[Record], declared: Declared) -> Iterable[Column]:
    """Yield a column for each declared score that records have, in order.

    Today's declaration counts before the one that was stored. A metric that declares
    nothing has a column for its headline. Doubtful records declare nothing.
    """
    found: dict[Quantity, Record] = {}
    metrics: dict[str, list[Quantity]] = {}
    for r in records:
        if r.metric and r.quantity and not r.doubt:
            quantity = (r.metric, r.quantity)
            metrics.setdefault(r.metric, [])
            metrics[r.metric] += [quantity] * (quantity not in metrics[r.metric])
            if quantity not in found or r.created > found[quantity].created:
                found[quantity] = r
    known = {q: declared.get(q) or json.loads(r.column) for q, r in found.items()}
    order = [*declared, *(q for quantities in metrics.values() for q in quantities)]
    for quantity in dict.fromkeys(order):
        if quantity in found:
            silent = not any(known[q] for q in metrics[quantity[0]])
            if known[quantity]:
                yield column_of(quantity, found[quantity], known[quantity])
            elif silent and quantity == metrics[quantity[0]][0]:
                title, says = quantity[0], f"{quantity[1]} of the metric {quantity[0]}"
                yield column_of(quantity, found[quantity], {"title": title, "says": says, "table": "quality"})


def column_of(quantity: Quantity, record: Record, said: Mapping[str, Any]) -> Column:
    """Return the column of a score by what its metric declares, and by a row of it."""
    return Column(
        title=" ".join(str(said["title"]).split()),
        says=" ".join(str(said["says"]).split()),
        view=str(said.get("table", "quality")),
        decimals=int(said.get("decimals", 3)),
        of=quantity,
        unit=record.unit,
        better=record.better,
        factor=float(said.get("factor", 1.0)),
        examples=str(said.get("examples", "")),
        curves=said.get("curves", {}),
        floor=(quantity[0], str(said["floor"])) if said.get("floor") else None,
        promises=tuple((str(better), str(worse)) for better, worse in said.get("promises", ())),
    )


def error_of(column: Column) -> Column:
    """Return the column of a score's standard error."""
    says = f"standard error of {column.title}, over what it is measured on and over training seeds"
    return replace(column, title=f"{column.title} ±", says=says, error=True, curves={}, promises=())


def number(value: Any, decimals: int) -> str:
    """Return a number as printed, with a true minus sign, or a dash if there is none.

    What is text already, as a range is, stays as it is.
    """
    if isinstance(value, str):
        return value
    there = value is not None and not math.isnan(value)
    return f"{value:.{decimals}f}".replace("-", MINUS) if there else DASH


def name_of(key: Key) -> str:
    """Return the name of a row with the options that differ."""
    _, model, variant, _ = key
    return f"{model} ({variant})" if variant else model


def by_row(records: Iterable[Record]) -> dict[Key, list[Record]]:
    """Return the records of each row of a table, in the order of first appearance."""
    found: dict[Key, list[Record]] = {}
    for r in records:
        found.setdefault(r.key, []).append(r)
    return found


def view_title(view: str) -> str:
    """Return the title of a view."""
    return VIEWS.get(view, view[:1].upper() + view[1:])
