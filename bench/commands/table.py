"""How does a table for a paper become what its author wants? `bench table`.

Rows and columns are chosen, ordered and rounded; the numbers are those of every other
table.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from genmodel_bench.commands.report import today
from genmodel_bench.errors import BadOption, BenchError, UnknownName
from genmodel_bench.metrics import METRICS, Metric
from genmodel_bench.report.examples import Examples, examples_of
from genmodel_bench.report.tables.columns import Column, Key, columns_of, name_of, number
from genmodel_bench.report.tables.render import (
    columns_in,
    escape_latex,
    escape_markdown,
    legend_as_text,
    lettered,
    pipe_table,
    printed_views,
    tabular,
    to_csv,
)
from genmodel_bench.report.tables.table import Table, table1
from genmodel_bench.storage.beside import with_beside
from genmodel_bench.storage.names import results_at
from genmodel_bench.storage.record import ROLES, Record
from genmodel_bench.storage.store import Store, stores_of

Format = Literal["md", "csv", "tex", "macros"]


def table(
    results: Path | str | None = None,
    *,
    datasets: Sequence[str] = (),
    rows: Sequence[str] = (),
    columns: Sequence[str] = (),
    metrics: Mapping[str, Metric] = METRICS,
) -> pd.DataFrame:
    """Return the numbers of stored rows, a line for each data set and row.

    The columns are `dataset`, `row` (the name as every table prints it), `role` ("model",
    "samples" or "reference"), `samples` (how many are scored), one for each column of the
    printed tables, by its title and unrounded, and `notes`.

    results: default `results` in a clone of this project, else `bench-results`.
    datasets: names, in order; default all that have records.
    rows: names of rows, in order; a model's name alone stands for all of its rows;
        default all.
    columns: titles, or names of views such as "table1" and "memorisation"; default all.
    metrics: whose scores are known; add your own to the registered ones.

    Raises:
        BenchError: there are no records, or a data set, row or column does not exist.

    Example:
        >>> from tempfile import mkdtemp
        >>> from genmodel_bench import Protocol, run, table
        >>> few, folder = Protocol(samples=200, draws=1), mkdtemp()
        >>> rows = run(["mean"], seeds=1, protocol=few, figures=False, results=folder)
        >>> table(folder, columns=["nats"]).round(1).values.tolist()
        [['digits', 'mean (draws=1)', 'reference', 200, -7.5, '']]
    """
    whole = with_rows(read(results_at(results), datasets, metrics), rows)
    chosen = chosen_columns(whole, columns) if columns else whole.filled
    lines: list[dict[str, Any]] = []
    for dataset in whole.datasets:
        numbers = whole.numbers[dataset]
        for key in whole.keys:
            values = {column.title: numbers.loc[key, column.title] for column in chosen}
            if pd.Series(values).notna().any():
                named = {"dataset": dataset, "row": name_of(key), "role": key[0], "samples": key[3]}
                lines.append(named | values | {"notes": "; ".join(whole.notes.get(key, []))})
    return pd.DataFrame(lines).infer_objects()


def printed_table(
    results: Path,
    *,
    datasets: Sequence[str] = (),
    rows: Sequence[str] = (),
    columns: Sequence[str] = (),
    sort: str = "",
    digits: int | None = None,
    caption: str = "",
    label: str = "",
    format: Format = "md",
    metrics: Mapping[str, Metric] = METRICS,
) -> str:
    """Return a table of stored rows as text.

    datasets: names, in order; default all that have records.
    rows: names of rows, in the order in which they are to stand; default all.
    columns: titles, or names of views such as "table1" and "memorisation"; default the
        first view.
    sort: the title of a column, best first; after "-" the other way round.
    digits: decimals of the columns that have any.
    caption, label: of the float that LaTeX puts around the table.

    Raises:
        BenchError: a data set, row or column does not exist.
    """
    whole = read(results, datasets, metrics)
    chosen = chosen_columns(whole, columns)
    found = with_rows(whole, rows)
    if sort:
        found = sorted_by(found, sort)
    match format:
        case "csv":
            return to_csv(narrowed(found, chosen))
        case "md":
            title = f"**{caption}**\n\n" if caption else ""
            legend = escape_markdown(legend_as_text(found, chosen))
            notes = "".join(f"\n- {escape_markdown(note)}" for note in lettered(found))
            return f"{title}{pipe_table(found, chosen, digits=digits)}\n\n{legend}\n{notes}\n"
        case "tex":
            return float_of(found, chosen, digits, caption, label)
        case "macros":
            return macros(found, chosen, digits)


def read(results: Path, datasets: Sequence[str], metrics: Mapping[str, Metric]) -> Table:
    """Return the table of the records of some data sets, or of all. Raises BenchError."""
    stores = {store.dataset: store for store in stores_of(results)}
    for name in datasets:
        if name not in stores:
            raise UnknownName("data set with records", name, stores)
    if not stores:
        raise BenchError(f"table: no records under {results}; make some with `bench run`")
    known = today(results, metrics)
    records: list[Record] = []
    examples: dict[str, Examples] = {}
    outdated: set[tuple[str, str]] = set()
    for name in datasets or stores:
        own = Store(results, name).records()
        shown = with_beside(stores[name], own)
        records += shown
        outdated |= {(name, line) for line in known.stale(own)}
        examples[name] = examples_of(stores[name], shown, columns_of(shown, known.declared))
    return table1(records, stale=outdated, declared=known.declared, examples=examples)


def chosen_columns(table: Table, names: Sequence[str]) -> list[Column]:
    """Return the columns of these titles and views, in order. Raises UnknownName."""
    if not names:
        return columns_in(table, printed_views(table)[0])
    by_title = {column.title: column for column in table.columns}
    found: list[Column] = []
    for name in names:
        if name in by_title:
            found.append(by_title[name])
        elif name in table.views:
            found += columns_in(table, name)
        else:
            raise UnknownName("column", name, [*by_title, *table.views])
    return list({column.title: column for column in found}.values())


def with_rows(table: Table, names: Sequence[str]) -> Table:
    """Return a table of the rows with these names, in their order. Raises UnknownName.

    A model's name alone stands for all of its rows.
    """
    if not names:
        return table
    keys: list[Key] = []
    for name in names:
        exact = [key for key in table.keys if name_of(key) == name]
        own = exact or [key for key in table.keys if key[1] == name]
        if not own:
            raise UnknownName("row", name, dict.fromkeys(name_of(key) for key in table.keys))
        keys += own
    return replace(table, numbers=table.numbers.loc[list(dict.fromkeys(keys))])


def sorted_by(table: Table, title: str) -> Table:
    """Return a table sorted by a column of the first data set, best first.

    Reference rows stay behind the others.

    Raises:
        UnknownName: there is no such column.
    """
    backwards, title = title.startswith("-"), title.removeprefix("-")
    column = next((c for c in table.columns if c.title == title), None)
    if column is None:
        raise UnknownName("column", title, [c.title for c in table.columns])
    values = table.numbers[table.datasets[0], title]
    try:
        values = values.astype(float)
    except (TypeError, ValueError):
        values = values.astype(str)
    ascending = (column.better != "higher") != backwards
    order = list(values.sort_values(ascending=ascending, kind="stable", na_position="last").index)
    order.sort(key=lambda key: ROLES.index(key[0]))
    return replace(table, numbers=table.numbers.loc[order])


def narrowed(table: Table, columns: Sequence[Column]) -> Table:
    """Return a table with these columns alone, in their order."""
    titles = [column.title for column in columns]
    kept = [(dataset, title) for dataset in table.datasets for title in titles]
    marks = frozenset(mark for mark in table.marks if mark[1] in titles)
    return replace(table, numbers=table.numbers[kept], columns=tuple(columns), marks=marks)


def float_of(table: Table, columns: Sequence[Column], digits: int | None, caption: str, label: str) -> str:
    """Return a LaTeX table: a float around one tabular, its legend as a note under it."""
    notes = [legend_as_text(table, columns), *(f"{note}." for note in lettered(table))]
    return "\n".join(
        [
            r"% needs \usepackage{booktabs}",
            r"\begin{table}[t]",
            r"\centering",
            *([rf"\caption{{{escape_latex(caption)}}}"] if caption else []),
            *([rf"\label{{{checked_label(label)}}}"] if label else []),
            tabular(table, columns, digits),
            rf"\par\smallskip{{\footnotesize {escape_latex(' '.join(notes))}\par}}",
            r"\end{table}",
            "",
        ]
    )


def checked_label(label: str) -> str:
    r"""Return a label that LaTeX takes in \label. Raises BadOption."""
    if not re.fullmatch(r"[A-Za-z0-9:._-]+", label):
        raise BadOption(f"--label: got {label!r}, expected letters, digits and : . _ -")
    return label


def macros(table: Table, columns: Sequence[Column], digits: int | None) -> str:
    r"""Return a \newcommand for each number, named by data set, row and column.

    Such as \mnistVaeNats: a command's name has letters alone, so digits are spelt.
    """
    lines: list[str] = []
    taken: dict[str, str] = {}
    for dataset in table.datasets:
        for key in table.keys:
            for column in columns:
                value = table.numbers.loc[key, (dataset, column.title)]
                if value is None or value != value:
                    continue
                what = f"{dataset}, {name_of(key)}, {column.title}"
                name = command(dataset, name_of(key), column.title)
                if name in taken:
                    raise BenchError(
                        f"table: {what} and {taken[name]} would both be \\{name}; choose fewer rows"
                    )
                taken[name] = what
                decimals = column.decimals if digits is None or not column.decimals else digits
                lines.append(rf"\newcommand{{\{name}}}{{\ensuremath{{{plain(number(value, decimals))}}}}}")
    return "\n".join([*lines, ""])


SPELT = ("Zero", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine")
SIGNS = {"±": " error ", "%": " percent ", "σ": " sigma "}


def command(*parts: str) -> str:
    """Return the name of a LaTeX command of some texts: 'mnistGanNsNats'."""
    text = " ".join(parts)
    for sign, word in SIGNS.items():
        text = text.replace(sign, word)
    words = re.findall(r"[A-Za-z]+|[0-9]", text)
    spelt = [SPELT[int(word)] if word.isdigit() else word for word in words]
    return spelt[0].lower() + "".join(word[:1].upper() + word[1:] for word in spelt[1:])


def plain(text: str) -> str:
    """Return a printed number, or range of numbers, in LaTeX's maths."""
    return text.replace("−", "-").replace(" to ", r"\text{ to }")
