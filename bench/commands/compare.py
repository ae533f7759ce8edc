"""Which of some rows are told apart by a score? `bench compare`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import pandas as pd
from genmodel_bench.commands.report import declared_by
from genmodel_bench.errors import BadOption, BenchError, UnknownName
from genmodel_bench.metrics import METRICS, Metric
from genmodel_bench.report.compare import Difference, Standing, differences
from genmodel_bench.report.examples import Examples, examples_of
from genmodel_bench.report.tables.columns import Column, by_row, columns_of
from genmodel_bench.report.tables.table import standing_of
from genmodel_bench.storage.beside import with_beside
from genmodel_bench.storage.names import results_at
from genmodel_bench.storage.store import Store, sure


class Rows:
    """The rows of a data set's table and one score of theirs, to be compared by name."""

    def __init__(
        self, results: Path, dataset: str, score: str | None, metrics: Mapping[str, Metric] = METRICS
    ) -> None:
        store = Store(results, dataset)
        self.dataset, records = dataset, sure(with_beside(store, store.records()))
        if not records:
            raise BenchError(
                f"compare: no records of {dataset!r} under {results}; make some with `bench run`"
            )
        columns = columns_of(records, declared_by(metrics))
        self.column = chosen(score, columns)
        self.examples: Examples = examples_of(store, records, [self.column])
        self.rows = by_row(records)

    def standing(self, name: str) -> Standing:
        """Return what is known of the row called `name`, as the table calls it.

        A model's name alone is enough where a single row is of it.

        Raises:
            UnknownName: there is no such row.
            BadOption: several rows are called so, or the row has no such score.
        """
        found = [key for key, of in self.rows.items() if of[0].name == name]
        found = found or [key for key in self.rows if key[1] == name]
        if not found:
            raise UnknownName("row", name, dict.fromkeys(of[0].name for of in self.rows.values()))
        if len(found) > 1:
            names = ", ".join(f"{self.rows[key][0].name!r} with N = {key[3]}" for key in found)
            raise BadOption(f"compare: {name!r} is the name of {len(found)} rows, {names}; name one of them")
        row = standing_of(name, found[0], self.rows[found[0]], self.column, self.examples)
        if row is None:
            raise BadOption(f"compare: {name!r} has no {self.column.title} on {self.dataset}")
        return row


def chosen(score: str | None, columns: Sequence[Column]) -> Column:
    """Return the column of a score: METRIC, for its first one, or METRIC.SCORE.

    Without a name, the first column of which one direction is better.

    Raises:
        UnknownName: no row has such a score.
        BenchError: no row has any score.
    """
    scores = [column for column in columns if column.is_score and column.of]
    if score is None:
        found = next((column for column in scores if column.directed), None)
        if found is None:
            raise BenchError("compare: no row has a score of which one direction is better")
        return found
    named = {".".join(column.of): column for column in scores if column.of}
    first = {column.of[0]: column for column in reversed(scores) if column.of}
    if score not in {*named, *first}:
        raise UnknownName("score", score, first | named)
    return first[score] if score in first else named[score]


def compared(
    names: Sequence[str], *, dataset: str, metric: str | None, results: Path
) -> tuple[Column, list[Difference]]:
    """Return the score and the differences of all pairs of rows, corrected by Holm.

    Raises:
        BenchError: fewer than two rows are named, or one of them does not exist.
    """
    if not all(isinstance(name, str) for name in names):
        raise BadOption("compare: expected the names of rows, as in compare('vae', 'dbn')")
    names = list(dict.fromkeys(names))
    if len(names) < 2:
        raise BadOption(f"compare: got {len(names)} row, expected two or more, as in `bench compare vae dbn`")
    rows = Rows(results, dataset, metric)
    column = rows.column
    standings = [rows.standing(name) for name in names]
    return column, differences(standings, unit=column.unit, better=column.better)


def compare(
    *names: str,
    dataset: str = "digits",
    metric: str | None = None,
    results: Path | str | None = None,
) -> pd.DataFrame:
    """Return how far rows of a table differ in a score, and whether they are told apart.

    names: of two or more rows, as the table prints them: "vae", "gan-ns (epochs=200)".
    metric: whose first score is compared, or METRIC.SCORE; default that of Table 1.

    Returns a row for each pair: `value` is the mean of `a` minus that of `b`, with its
    standard error `stderr`, its parts `examples` and `seeds` (NaN where a side has one
    seed), an interval at 95 %, `t`, `dof`, `p`, `corrected` by Holm over all pairs, the
    `verdict` "higher", "lower", "not told apart" or "unknown", and a `sentence`.

    Raises:
        BenchError: a row or score does not exist.

    Example:
        >>> from tempfile import mkdtemp
        >>> from genmodel_bench import Protocol, compare, run
        >>> few, folder = Protocol(samples=200, draws=1), mkdtemp()
        >>> names = ["mean", "gaussian"]
        >>> rows = run(names, seeds=1, protocol=few, figures=False, results=folder)
        >>> found = compare(*names, results=folder)
        >>> found.loc[0, "verdict"]  # with one seed the spread over training is unknown
        'unknown'
    """
    _, found = compared(names, dataset=dataset, metric=metric, results=results_at(results))
    return pd.DataFrame([asdict(d) | {"verdict": d.verdict, "sentence": d.sentence} for d in found])
