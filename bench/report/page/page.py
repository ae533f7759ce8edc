"""How does all that is known of a data set's rows become one self-contained, safe page?

The page is a single file that needs nothing else and trusts no name in it. Pictures are
data URIs, each once. Style and script are inside it and named by their digests in its
Content-Security-Policy, so that nothing else would run or load, whatever a model is
called. Without the script everything is there to read; with it the table sorts, shows one
view at a time and is copied, details fold, and any two rows are compared. The same input
gives the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
import math
import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from genmodel_bench.report.figures.figure import Figure
from genmodel_bench.report.page.command import commands
from genmodel_bench.report.page.compare import Comparison
from genmodel_bench.report.page.details import Block, blocks
from genmodel_bench.report.page.plates import SECTIONS, Picture, plates_of
from genmodel_bench.report.tables.columns import LEDGER, TABLE1, Column, Key, name_of
from genmodel_bench.report.tables.render import (
    DIRECTIONS,
    LATEX,
    MARK,
    MARKED,
    escape_latex,
    escape_markdown,
    floor_in_words,
    legend,
    letter,
    marks_of,
    printed,
)
from genmodel_bench.report.tables.table import Table
from genmodel_bench.storage.record import FORMULA, Record

GROUPS = {"model": "models", "samples": "users’ samples", "reference": "reference rows"}
STYLES = ("base.css", "page.css")
SCRIPTS = ("dom.js", "table.js", "copy.js", "tips.js", "compare.js", "start.js")
ERRORS = "standard error of the score on its left, over what it is measured on and over training seeds"


@dataclass(frozen=True)
class Cell:
    """A number as printed, and as sorted: all its digits, or nothing."""

    text: str
    value: str
    column: Column


@dataclass(frozen=True)
class Term:
    """An entry of the legend; headings of the table are described by it."""

    id: str
    name: str
    text: str


@dataclass(frozen=True)
class Row:
    """A row of the table with its details.

    `first` says that it is the first of its group; `marks` are the letters of its notes.
    """

    id: str
    key: Key
    name: str
    first: bool
    cells: list[Cell]
    marks: list[str]
    notes: list[str]
    blocks: list[Block]
    pictures: list[Picture]


def page(
    dataset: str,
    table: Table,
    records: Sequence[Record],
    figures: Sequence[Figure],
    compared: Comparison | None,
) -> str:
    """Return the page of one data set as HTML.

    `figures` are read from their paths; `compared` is what can be compared, if anything.
    """
    css, js = templates(STYLES), templates(SCRIPTS)
    plates = plates_of(figures)
    columns = table.filled
    rows = rows_of(dataset, table, records, [p for part in plates.values() for p in part.pictures])
    terms = legend_of(table)
    return rendered(
        "page.html.j2",
        css,
        js,
        dataset=dataset,
        columns=columns,
        described=[described_by(column, terms) for column in columns],
        sorted=next((i for i, column in enumerate(columns) if column.directed), None),
        views={view: tab_title(view) for view in table.views},
        rows=rows,
        groups=GROUPS,
        titles=SECTIONS,
        plates=plates,
        comparison=compared and embeddable(compared, rows),
        sprite=base64.b64encode(compared.sprite).decode() if compared else "",
        remarks=table.remarks,
        legend=terms,
        footnotes=lettered(dataset, table),
        escapes=escapes(),
        commands=commands(in_order(records, table.keys), width=100),
        created=max((r.created for r in records), default=""),
    )


def rendered(name: str, css: str, js: str, **content: Any) -> str:
    """Return a template with its content, style and script."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("genmodel_bench.report.page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    own = {"policy": policy(css, js), "css": Markup(css), "js": Markup(js)}  # not a user's text
    return environment.get_template(name).render(content | own) + "\n"


def templates(names: Sequence[str]) -> str:
    """Return the texts of files beside the template, one after the other."""
    folder = files("genmodel_bench.report.page") / "templates"
    return "".join((folder / name).read_text(encoding="utf-8") for name in names)


def policy(css: str, js: str) -> str:
    """Return the page's Content-Security-Policy.

    Only this style and this script run under it, and only data URIs load.
    """
    style, script = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (css, js))
    return (
        f"default-src 'none'; img-src data:; style-src 'sha256-{style}'; "
        + (f"script-src 'sha256-{script}'; " if js else "")
        + "base-uri 'none'; form-action 'none'"
    )


def tab_title(view: str) -> str:
    """Return the short title of a view."""
    short = {TABLE1: "Table 1", LEDGER: "Beside Parzen", "density": "Own likelihood"}
    return short.get(view, view[:1].upper() + view[1:])


def legend_of(table: Table) -> list[Term]:
    """Return the terms of the whole table and what each means.

    Columns of errors share one entry.
    """
    columns = table.filled
    scores = [column for column in columns if not column.error]
    terms = zip(scores, legend(table, scores), strict=True)
    said = [(name, text + floor_in_words(table, c)) for c, (name, text) in terms]
    found = [Term(f"means-{i}", name, f"{text}.") for i, (name, text) in enumerate(said)]
    if any(column.error for column in columns):
        found.append(Term("means-error", "… ±", f"{ERRORS}."))
    found.append(Term("means-arrows", "↑ ↓", f"{DIRECTIONS}."))
    if table.marks:
        found.append(Term("means-mark", MARK, MARKED.removeprefix(f"{MARK} ") + "."))
    if table.agreement:
        found.append(Term("means-agreement", "Kendall’s τ", f"{'; '.join(table.agreement)}."))
    return found


def described_by(column: Column, terms: Sequence[Term]) -> str:
    """Return the id of the legend's entry that says what a column holds."""
    return "means-error" if column.error else next(t.id for t in terms if t.name == column.title)


def rows_of(dataset: str, table: Table, records: Sequence[Record], pictures: Sequence[Picture]) -> list[Row]:
    """Return the rows in the order of the table."""
    columns = table.filled
    text = printed(table, columns, str, lambda mark: "")
    rows: list[Row] = []
    for i, key in enumerate(table.keys):
        values = table.numbers[dataset].iloc[i]
        cells = [Cell(text.iloc[i, 1 + j], exact(values[c.title]), c) for j, c in enumerate(columns)]
        own = [r for r in records if r.key == key]
        notes = [without(dataset, note) for note in table.notes.get(key, [])]
        first = not rows or rows[-1].key[0] != key[0]
        shown = [p for p in pictures if p.figure.key == key]
        rows.append(
            Row(f"row-{i}", key, name_of(key), first, cells, marks_of(table, key), notes, blocks(own), shown)
        )
    return rows


def in_order(records: Sequence[Record], keys: Sequence[Key]) -> list[Record]:
    """Return the records in the order of the table's rows."""
    return sorted(records, key=lambda r: keys.index(r.key))


def exact(value: Any) -> str:
    """Return a number with all its digits, a range as it is, or '' if there is none."""
    if isinstance(value, str):
        return value
    return "" if value is None or math.isnan(value) else repr(float(value))


def lettered(dataset: str, table: Table) -> list[tuple[str, str]]:
    """Return the notes of a table with their letters."""
    return [(letter(i), without(dataset, note)) for i, note in enumerate(table.footnotes)]


def without(dataset: str, note: str) -> str:
    """Return a note without the name of the data set, which the whole page is about."""
    return note.removeprefix(f"{dataset}: ")


def escapes() -> dict[str, Any]:
    """Return how the page's script writes characters in tables that are copied.

    By the functions that write our own files, so that both write the same.
    """

    def changed(escape: Callable[[str], str]) -> dict[str, str]:
        return {c: escape(c) for c in dict.fromkeys([*string.punctuation, *LATEX]) if escape(c) != c}

    return {
        "latex": changed(escape_latex),
        "markdown": changed(escape_markdown),
        "formula": "".join(FORMULA),
    }


def embeddable(compared: Comparison, rows: Sequence[Row]) -> dict[str, Any]:
    """Return a comparison as JSON can hold it.

    Values by image are base64 of little-endian float32.
    """
    ids = {row.key: row.id for row in rows}
    h, w = compared.size

    def entry(key: Key, name: str) -> dict[str, Any]:
        values = compared.by_image.get(key)
        return {
            "name": name,
            "group": GROUPS[key[0]],
            "id": ids[key],
            "values": None if values is None else base64.b64encode(values.astype("<f4").tobytes()).decode(),
        }

    return {
        "title": compared.column.title,
        "unit": compared.column.unit,
        "rows": [entry(key, name) for key, name in compared.rows.items()],
        "pairs": [
            {"value": d.value, "stderr": d.stderr, "sentence": f"{d.sentence}."} for d in compared.pairs
        ],
        "shown": compared.shown,
        "images": list(compared.images),
        "columns": compared.columns,
        "height": h,
        "width": w,
    }
