"""Which rows are best by the first score of the table, and how sure is each number?

On the left the rows by their score, with published values as diamonds; on the right the
standard error of each, bar within bar: of the test images alone, with that of drawing
samples, with that of training. It is drawn from the table alone.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from statistics import quantiles
from typing import Any

from genmodel_bench.report.figures.figure import (
    BLUE,
    GREEN,
    ONE_COLUMN,
    ORANGE,
    RED,
    SKY,
    TWO_COLUMNS,
    Drawn,
    Figure,
    figure_at,
    name_curves,
)
from genmodel_bench.report.tables.columns import (
    DRAW,
    DRAWS,
    SEED,
    SEEDS,
    TEST,
    THEIR_ERROR,
    THEIRS,
    Column,
    Key,
    name_of,
    number,
)
from genmodel_bench.report.tables.published import HEADLINE, sources
from genmodel_bench.report.tables.table import Table
from genmodel_bench.storage.digest import content_digest

SOURCES = {"test images": (BLUE, 0.30), "and drawing": (SKY, 0.54), "and training": (ORANGE, 0.78)}
"""What an error is over, each with all before it: colour and height of its bar."""
WHOLE = "standard error"
"""The one bar of a score whose error is not taken apart."""
GREYS = ("#333333", "#777777", "#BBBBBB")
"""The colours of these bars in reference rows."""
POINTS = {"model": BLUE, "samples": GREEN, "reference": "#666666"}
PER_ROW, BESIDE_ROWS = 0.165, 1.05
"""Inches of height: for each row, and for axes and legend."""


@dataclass(frozen=True)
class Bar:
    """One row: its score, and its standard error from each source with those before it.

    trained: how many training runs it is the mean of; None if they are not ours.
    published: the published value and its standard error, if there is one.
    """

    key: Key
    name: str
    value: float
    errors: tuple[float, ...]
    trained: int | None
    published: tuple[float, float] | None
    best: bool

    @property
    def certain(self) -> bool:
        """Return whether the spread over training is known."""
        return self.trained is not None and self.trained > 1


def summary_of(table: Table, folder: Path) -> Iterator[Figure]:
    """Yield the figure of the table's first score, for one column and for two."""
    column = table.headline
    bars = bars_of(table, column) if column else []
    if not column or not bars:
        return
    said = [column.title, column.says, column.unit, column.better, column.decimals]
    of = content_digest("summary", said, [asdict(bar) for bar in bars])
    for suffix, width in (("", ONE_COLUMN), ("-wide", TWO_COLUMNS)):
        path = folder / f"summary{suffix}.png"
        found = figure_at(path, "summary", of, partial(summary, column, bars, width))
        yield from [replace(found, wide=width > ONE_COLUMN)] if found else []


def bars_of(table: Table, column: Column) -> list[Bar]:
    """Return the rows of a table of one data set that have the score, in order."""
    (dataset,) = table.datasets
    names = [name_of(key) for key in table.keys]
    bars = []
    for key, name, (_, row) in zip(table.keys, names, table.numbers[dataset].iterrows(), strict=True):
        said = {title: value for title, value in row.items() if not missing(value)}
        if column.title not in said:
            continue
        theirs = said.get(THEIRS.title) if column.of == HEADLINE else None
        bars.append(
            Bar(
                key,
                f"{name}, N = {key[3]:,}" if names.count(name) > 1 else name,
                float(said[column.title]),
                errors_of(said, column),
                None if key[0] == "samples" and SEEDS.title not in said else int(said.get(SEEDS.title, 1)),
                None if theirs is None else (float(theirs), float(said[THEIR_ERROR.title])),
                (dataset, column.title, key) in table.marks,
            )
        )
    return bars


def errors_of(said: dict[Any, Any], column: Column) -> tuple[float, ...]:
    """Return the standard errors of a row, each from one source more.

    Those of the paper's metric are known by source, of any other metric the whole. The
    spread over training contains that over drawing: it takes its place.
    """
    if column.of != HEADLINE:
        return (float(said.get(f"{column.title} ±", 0.0)),)
    test, seeds = float(said.get(TEST.title, 0.0)), int(said.get(SEEDS.title, 1))
    found = [test, math.hypot(test, float(said.get(DRAW.title, 0.0)) / math.sqrt(said[DRAWS.title] * seeds))]
    if SEED.title in said:
        found.append(math.hypot(test, float(said[SEED.title]) / math.sqrt(seeds)))
    return tuple(found)


def missing(value: Any) -> bool:
    """Return whether a cell of the table is empty."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def summary(column: Column, bars: Sequence[Bar], width: float) -> Drawn:
    """Return the figure: scores on the left, their standard errors on the right."""
    from matplotlib.figure import Figure as Canvas

    canvas = Canvas(figsize=(width, BESIDE_ROWS + PER_ROW * (len(bars) + 1)), layout="constrained")
    left, right = canvas.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    places = heights(bars)
    low, high = limits(bars)
    for bar, y in zip(bars, places, strict=True):
        draw_score(left, bar, y, low, high, column.decimals)
        draw_errors(right, bar, y)
    left.set(xlim=(low, high), ylim=(places[-1] - 0.8, 0.8), xlabel=axis_label(column, width))
    left.set_yticks(places, [shortened(bar, 20 if width <= ONE_COLUMN else 44) for bar in bars])
    for axes in (left, right):
        axes.grid(axis="x", color="#DDDDDD", linewidth=0.4)
        axes.set_axisbelow(True)
        axes.tick_params(axis="y", length=0)
    for label in left.get_yticklabels():
        label.set_parse_math(False)
    unit = f", {column.unit}" if column.unit else ""
    right.set(xlim=(0, None), xlabel=textwrap.fill(WHOLE + unit, 15 if width <= ONE_COLUMN else 70))
    legend(canvas, bars, ncols=3 if width <= ONE_COLUMN else 5)
    found = "; ".join(
        f"{bar.name} {number(bar.value, column.decimals)} ± {number(max(bar.errors), column.decimals)}"
        for bar in bars
    )
    return Drawn(
        canvas,
        f"The rows by {column.title}, with what is uncertain in each",
        caption(column, bars),
        f"Rows by {column.says}, with standard errors: {found}",
    )


def heights(bars: Sequence[Bar]) -> list[float]:
    """Return the y of each row, downward from 0, with a gap between groups of rows."""
    found, y = [], 0.0
    for i, bar in enumerate(bars):
        y -= (1.0 if bar.key[0] == bars[i - 1].key[0] else 1.6) if i else 0.0
        found.append(y)
    return found


def limits(bars: Sequence[Bar]) -> tuple[float, float]:
    """Return the ends of the score axis.

    Rows beyond three interquartile ranges from the middle half (Tukey's outer fences) are
    outside: one row far off would push all others together.
    """
    values = [bar.value for bar in bars]
    inside = values
    if len(values) > 3:
        first, _, third = quantiles(values, method="inclusive")
        reach = 3 * (third - first)
        inside = [v for v in values if first - reach <= v <= third + reach] if reach else values
    ends = [*(bar.value - max(bar.errors) for bar in bars if bar.value in inside)]
    ends += [bar.value + max(bar.errors) for bar in bars if bar.value in inside]
    ends += [v + sign * e for v, e in (b.published for b in bars if b.published) for sign in (-1, 1)]
    margin = 0.06 * (max(ends) - min(ends)) or 0.5
    return min(ends) - margin, max(ends) + margin


def draw_score(axes: Any, bar: Bar, y: float, low: float, high: float, decimals: int) -> None:
    """Draw a row's score with its whole error, and the published one."""
    colour = POINTS[bar.key[0]]
    if not low <= bar.value <= high:
        right = bar.value > high
        text, place = number(bar.value, decimals), high if right else low
        axes.text(
            place,
            y,
            f"{text} ▸" if right else f"◂ {text}",
            color=colour,
            ha="right" if right else "left",
            va="center",
            fontsize=6,
        )
    else:
        face = colour if bar.certain else "white"
        look: dict[str, Any] = {"marker": "o", "markersize": 4, "markerfacecolor": face, "zorder": 3}
        axes.errorbar(bar.value, y, xerr=max(bar.errors), color=colour, capsize=1.5, linewidth=0.8, **look)
    if bar.published:
        value, error = bar.published
        look = {"marker": "D", "markersize": 3.5, "markerfacecolor": "white", "zorder": 2.5}
        axes.errorbar(value, y, xerr=error, color=RED, capsize=1.5, linewidth=0.8, **look)


def draw_errors(axes: Any, bar: Bar, y: float) -> None:
    """Draw a row's standard errors from 0, the narrower bars over the broader ones."""
    looks = list(SOURCES.values()) if len(bar.errors) > 1 else [(BLUE, 0.54)]
    for i in reversed(range(len(bar.errors))):
        colour, height = looks[i]
        axes.barh(y, bar.errors[i], height=height, color=GREYS[i] if bar.key[0] == "reference" else colour)
    if not bar.certain:
        axes.plot(
            max(bar.errors), y, marker=">", markersize=2.5, color=POINTS[bar.key[0]], clip_on=False, zorder=3
        )


def axis_label(column: Column, width: float) -> str:
    """Return the name of the score axis with its unit and better direction, in lines."""
    name = column.says.split(";")[0]
    name = name if len(name) <= 60 else column.title
    unit = f", {column.unit}" if column.unit and column.unit not in name else ""
    sideways = {"higher": "→", "lower": "←"}[column.better]
    room = 24 if width <= ONE_COLUMN else 70
    return textwrap.fill(f"{name}{unit} {sideways}", room, break_on_hyphens=False)


def shortened(bar: Bar, room: int) -> str:
    """Return a row's name in so many characters, with the mark of the best."""
    mark = " †" if bar.best else ""
    name = bar.name if len(bar.name) <= room else f"{bar.name[: room - 9]}…{bar.name[-8:]}"
    return name + mark


def legend(canvas: Any, bars: Sequence[Bar], *, ncols: int) -> None:
    """Draw the legend under the axes, of what there is to see."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    most = max(len(bar.errors) for bar in bars)
    found: list[Any] = [Patch(color=colour, label=name) for name, (colour, _) in [*SOURCES.items()][:most]]
    found = found if most > 1 else [Patch(color=BLUE, label=WHOLE)]
    look: dict[str, Any]
    if any(bar.published for bar in bars):
        look = {"marker": "D", "markersize": 3.5, "markerfacecolor": "white", "color": RED}
        found.append(Line2D([], [], linewidth=0.8, label="published", **look))
    if not all(bar.certain for bar in bars):
        look = {"marker": "o", "markersize": 4, "markerfacecolor": "white", "color": BLUE}
        found.append(Line2D([], [], linewidth=0.8, label="one training run", **look))
    place = {"loc": "outside lower center", "ncols": min(ncols, len(found)), "columnspacing": 1}
    name_curves(canvas.legend(handles=found, **place))


def caption(column: Column, bars: Sequence[Bar]) -> str:
    """Return how to read the figure, of what there is to see."""
    parts = [f"Left: {column.says}, {column.better} is better, with its whole standard error."]
    if max(len(bar.errors) for bar in bars) > 1:
        parts.append(
            "Right: that error, bar within bar: of the test images alone, with that of drawing samples, with "
            "that of training, which contains the one of drawing."
        )
    else:
        parts.append("Right: that error.")
    if not all(bar.certain for bar in bars):
        parts.append("Hollow: one training run, whose spread is unknown; its error is at least this (▸).")
    if compared := [bar.key[1] for bar in bars if bar.published]:
        parts.append(f"Diamonds: {sources(compared)}.")
    if any(bar.best for bar in bars):
        parts.append("†: not told apart from the best.")
    if any(bar.key[0] == "reference" for bar in bars):
        parts.append("Grey: reference rows, which calibrate the score.")
    return " ".join(parts)
