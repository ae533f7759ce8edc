"""How does all that is known of a data set's rows become one self-contained, safe page?

The page is a single file that needs nothing else and trusts no name in it. Pictures are
data URIs, each once. Style and script are inside it and named by their digests in its
Content-Security-Policy, so that nothing else would run or load, whatever a model is
called. Without the script everything is there to read; with it the table sorts, details
fold, and any two rows are compared. The same input gives the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from genmodel_bench.report.figures.figure import Figure, Section
from genmodel_bench.report.page.compare import Comparison
from genmodel_bench.report.page.details import Block, blocks
from genmodel_bench.report.tables.columns import Column, Key, view_title
from genmodel_bench.report.tables.render import DIRECTIONS, MARK, MARKED, legend, letter, marks_of, printed
from genmodel_bench.report.tables.table import Table
from genmodel_bench.storage.record import Record

GROUPS = {"model": "models", "samples": "users’ samples", "reference": "reference rows"}
SECTIONS: dict[Section, str] = {
    "samples": "Samples",
    "walks": "Walks between draws",
    "arithmetic": "Arithmetic on codes",
    "film": "The course of training",
    "learning": "Learning curves",
    "curves": "Curves behind the scores",
    "theory": "Theory",
}
"""The sections of figures, in order, with their headings."""
ENLARGED = 1.4
"""How much larger than on paper a figure is shown, if its file gives its size.

Its font of 7 points then has the size of the text around it.
"""


@dataclass(frozen=True)
class Cell:
    """A number as printed, and as sorted: all its digits, or nothing."""

    text: str
    value: str
    column: Column


@dataclass(frozen=True)
class Picture:
    """A figure in the page: its PNG in base64, and its width and height in CSS pixels."""

    id: str
    figure: Figure
    png: str
    width: int
    height: int

    @property
    def broad(self) -> bool:
        """Return whether it would be unreadable when shrunk to a narrow screen."""
        return self.width > 600


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
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    css, js = template("page.css"), template("page.js")
    pictures = embedded(figures)
    rows = rows_of(dataset, table, records, pictures)
    content = {
        "dataset": dataset,
        "policy": policy(css, js),
        "css": Markup(css),  # our own files, not a user's text
        "js": Markup(js),
        "columns": columns_of(table),
        "sorted": next((i for i, c in enumerate(columns_of(table)) if c.directed), None),
        "views": [(view, view_title(view)) for view in table.views],
        "rows": rows,
        "groups": GROUPS,
        "sections": [
            (name, title, [p for p in pictures if p.figure.section == name])
            for name, title in SECTIONS.items()
        ],
        "comparison": compared and embeddable(compared, rows),
        "sprite": base64.b64encode(compared.sprite).decode() if compared else "",
        "remarks": table.remarks,
        "legend": [(term, f"{text}.") for term, text in legend_of(table)],
        "footnotes": [(letter(i), without(dataset, note)) for i, note in enumerate(table.footnotes)],
        "created": max((r.created for r in records), default=""),
    }
    environment = Environment(
        loader=PackageLoader("genmodel_bench.report.page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.j2").render(content) + "\n"


def template(name: str) -> str:
    """Return the text of a file beside the template."""
    return (files("genmodel_bench.report.page") / "templates" / name).read_text(encoding="utf-8")


def policy(css: str, js: str) -> str:
    """Return the page's Content-Security-Policy.

    Only this style and this script run under it, and only data URIs load.
    """
    style, script = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (css, js))
    return (
        f"default-src 'none'; img-src data:; style-src 'sha256-{style}'; script-src 'sha256-{script}'; "
        "base-uri 'none'; form-action 'none'"
    )


def columns_of(table: Table) -> list[Column]:
    """Return the columns that are not empty, in order."""
    return [column for column in table.columns if table.has(column)]


def legend_of(table: Table) -> list[tuple[str, str]]:
    """Return the terms of the whole table and what each means."""
    found = [*legend(table, columns_of(table)), ("↑ ↓", DIRECTIONS)]
    return [*found, (MARK, MARKED.removeprefix(f"{MARK} "))] if table.marks else found


def rows_of(dataset: str, table: Table, records: Sequence[Record], pictures: Sequence[Picture]) -> list[Row]:
    """Return the rows in the order of the table."""
    columns = columns_of(table)
    text = printed(table, columns, str, lambda mark: "")
    keys: list[Key] = list(table.numbers.index)
    rows: list[Row] = []
    for i, key in enumerate(keys):
        values = table.numbers[dataset].iloc[i]
        cells = [Cell(text.iloc[i, 1 + j], sortable(values[c.title]), c) for j, c in enumerate(columns)]
        own = [r for r in records if (r.role, r.model, r.variant, r.samples) == key]
        notes = [without(dataset, note) for note in table.notes.get(key, [])]
        first = not rows or rows[-1].key[0] != key[0]
        shown = [p for p in pictures if p.figure.key == key]
        rows.append(
            Row(f"row-{i}", key, name_of(key), first, cells, marks_of(table, key), notes, blocks(own), shown)
        )
    return rows


def name_of(key: Key) -> str:
    """Return a row's name with the options that differ."""
    _, model, variant, _ = key
    return f"{model} ({variant})" if variant else model


def sortable(value: Any) -> str:
    """Return what a cell is sorted by, with all its digits.

    A number, the lower end of a range, or nothing where there is none.
    """
    if isinstance(value, str):
        return value.split()[0]
    return "" if value is None or math.isnan(value) else repr(float(value))


def without(dataset: str, note: str) -> str:
    """Return a note without the name of the data set, which the whole page is about."""
    return note.removeprefix(f"{dataset}: ")


def embedded(figures: Sequence[Figure]) -> list[Picture]:
    """Return the figures whose files exist, with their pixels."""
    from PIL import Image

    found: list[Picture] = []
    for figure in figures:
        if not figure.path.exists():
            continue
        png = figure.path.read_bytes()
        with Image.open(io.BytesIO(png)) as image:
            scale = 96 / image.info["dpi"][0] * ENLARGED if image.info.get("dpi", (0,))[0] else 1.0
            width, height = (round(pixels * scale) for pixels in image.size)
        found.append(Picture(f"figure-{len(found)}", figure, base64.b64encode(png).decode(), width, height))
    return found


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
            "samples": key[3],
            "id": ids[key],
            "values": None if values is None else base64.b64encode(values.astype("<f4").tobytes()).decode(),
        }

    return {
        "title": compared.column.title,
        "unit": compared.column.unit,
        "better": compared.column.better,
        "rows": [entry(key, name) for key, name in compared.rows.items()],
        "pairs": [
            {"value": d.value, "stderr": d.stderr, "verdict": d.verdict, "sentence": f"{d.sentence}."}
            for d in compared.pairs
        ],
        "shown": compared.shown,
        "images": list(compared.images),
        "columns": compared.columns,
        "height": h,
        "width": w,
    }
