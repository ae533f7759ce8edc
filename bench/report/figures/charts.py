"""Which curves are drawn of all rows: those that metrics declare, and validation?

They are drawn from the records alone, each for one column of a page and, with '-wide' in
its name, for two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from genmodel_bench.report.figures.figure import (
    BLACK,
    COLOURS,
    ONE_COLUMN,
    TWO_COLUMNS,
    Drawn,
    Figure,
    Section,
    figure_at,
    name_curves,
)
from genmodel_bench.report.figures.lines import Line, SeedCurve, mean_of
from genmodel_bench.report.tables.columns import Column
from genmodel_bench.storage.digest import content_digest
from genmodel_bench.storage.names import file_name

Curve = Mapping[float, float]
Curves = Mapping[Line, SeedCurve]

REFERENCES = {
    "data": (BLACK, "-"),
    "kmeans": ("#444444", "--"),
    "gaussian": ("#666666", "-."),
    "mean": ("#888888", ":"),
}
"""Colour and dashes of the reference rows: real data are the solid black line."""
DASHES = ("-", "--", "-.", ":")
CHECKS = "validation by epoch"
"""The curve of every score of a model that trains: its validation checks."""
BAND = " Lines are means over seeds; bands reach from the lowest seed to the highest."


def charts_of(lines: Sequence[Line], columns: Sequence[Column], folder: Path) -> Iterator[Figure]:
    """Yield the charts of all lines of a data set, for one column and for two."""
    checks = {line: curve for line in lines if (curve := line.curve_by_seed(CHECKS))}
    yield from chart_at(folder, "validation", "learning", checks, {}, validation)
    taken: set[str] = set()
    for column, of in ((c, c.of) for c in columns if c.of and c.is_score):
        for name, said in column.curves.items():
            curves = {line: curve for line in lines if (curve := line.curve_by_seed(name, of))}
            other = str((said.get("beside") or [""])[0])
            beside = next((c for line in curves if (c := line.curve(other, of))), {})
            file = file_name("-".join(["curve", of[0], *name.split()]))
            if file in taken:  # another score has a curve of this name
                file = file_name(" ".join(["curve", *of, name]))
            taken.add(file)
            draw = partial(chart, said, beside, column.better)
            yield from chart_at(folder, file, "curves", curves, beside, draw, [said, column.better])


def chart_at(
    folder: Path,
    file: str,
    section: Section,
    curves: Curves,
    beside: Curve,
    draw: Callable[[Curves, float], Drawn],
    said: Sequence[Any] = (),
) -> Iterator[Figure]:
    """Yield a chart of curves, if there are any, for one column and for two.

    said: what else it shows, besides the curves: it is drawn anew when that changes.
    """
    if not curves:
        return
    drawn_of = [[line.name, line.key[0], list(curve.items())] for line, curve in curves.items()]
    of = content_digest(file, drawn_of, list(beside.items()))
    for suffix, width in (("", ONE_COLUMN), ("-wide", TWO_COLUMNS)):
        path, shown = folder / f"{file}{suffix}.png", content_digest(said) if said else ""
        found = figure_at(path, section, of, partial(draw, curves, width), content=shown)
        yield from [replace(found, wide=width > ONE_COLUMN)] if found else []


def chart(said: Mapping[str, Any], beside: Curve, better: str, curves: Curves, width: float) -> Drawn:
    """Return the chart of a curve that a metric declares (`metrics/column.py: Curve`)."""
    canvas, axes = axes_of(width)
    swapped = bool(said.get("swapped"))
    means = {line: mean_of(curve) for line, curve in curves.items()}
    plot(axes, curves, marker="" if swapped else ".", swapped=swapped)
    if beside:
        look = {"color": BLACK, "linewidth": 2.4, "alpha": 0.35, "label": said["beside"][1]}
        axes.plot(*points_of(beside, swapped=swapped), **look)
    axes.set(xlabel=said["x"], ylabel=said["y"])
    cut = ""
    if swapped:
        points = [point for curve in (*means.values(), beside) for point in curve.items()]
        axes.set(
            xlim=(min(0, *(value for _, value in points)), None),
            ylim=(min(0, *(setting for setting, _ in points)), max(1, *(setting for setting, _ in points))),
        )
    elif better == "higher":
        # Rows can be told apart only near the top: bad settings cost thousands of nats.
        best = [max(curve.values()) for curve in means.values()]
        least = min(min(curve.values()) for curve in means.values())
        spread = max(best) - min(best) or 1.0
        low = min(best) - 0.5 * spread
        cut = " Cut off below." if least < low else ""
        axes.set(ylim=(low, max(best) + 0.1 * spread) if cut else (None, None))
    on_axis = sorted({x for curve in means.values() for x in points_of(curve, swapped=swapped)[0]})
    if said.get("log_x") and on_axis[0] > 0:
        axes.set(xscale="log")
        plain_ticks(axes, on_axis)
    legend(canvas, width)
    return Drawn(
        canvas,
        said["title"],
        f"{said['says']}{real_data(curves)}{band(curves)}{cut}",
        f"Curves of {said['y']} against {said['x']}, one for each row: {ends(curves, better)}"
        + (f"; {said['beside'][1]} {first_to_last(beside)}" if beside else ""),
    )


def validation(curves: Curves, width: float) -> Drawn:
    """Return the chart of validation log-likelihood after each kept epoch.

    Epochs are shown as a share of training.
    """
    canvas, axes = axes_of(width)
    shares = {
        line: {epoch / (max(curve) or 1): values for epoch, values in curve.items()}
        for line, curve in curves.items()
    }
    plot(axes, shares, marker=".")
    axes.set(
        xlabel="share of the epochs of the last stage",
        ylabel="log-likelihood of validation images, nats",
        xlim=(0, 1.02),
    )
    legend(canvas, width)
    return Drawn(
        canvas,
        "Validation through training",
        "Mean log-likelihood of validation images, at most 1,000, under 1,000 samples. By it a checkpoint "
        "may be selected; the last one is sampled unless a row says otherwise. With few samples it prefers "
        f"smooth ones.{band(curves)}",
        f"Curves of nats against the share of training: {ends(curves)}",
    )


def ends(curves: Curves, better: str = "") -> str:
    """Return first and last value of each line's mean as text, and where it is best."""
    means = {line.name: mean_of(curve) for line, curve in curves.items()}
    return "; ".join(f"{name} {first_to_last(mean)}{best_of(mean, better)}" for name, mean in means.items())


def first_to_last(curve: Curve) -> str:
    """Return the first and last value of a curve as text."""
    values = list(curve.values())
    return f"from {values[0]:.3g} to {values[-1]:.3g}"


def best_of(curve: Curve, better: str) -> str:
    """Return at which setting a curve is best as text, '' if neither direction is."""
    if better not in ("higher", "lower"):
        return ""
    word, pick = ("highest", max) if better == "higher" else ("lowest", min)
    return f", {word} at {pick(curve, key=curve.__getitem__):.3g}"


def band(curves: Curves) -> str:
    """Return the caption's sentence on bands over seeds, '' if there are none."""
    return BAND if any(len(values) > 1 for curve in curves.values() for values in curve.values()) else ""


def real_data(curves: Curves) -> str:
    """Return the caption's sentence on real training images, '' if they are not drawn."""
    return (
        " Real training images are the solid black line."
        if any(line.key[:2] == ("reference", "data") for line in curves)
        else ""
    )


def axes_of(width: float) -> tuple[Any, Any]:
    """Return a matplotlib Figure of a width in inches, and its axes."""
    from matplotlib.figure import Figure

    canvas = Figure(figsize=(width, 2.9 if width <= ONE_COLUMN else 2.6), layout="constrained")
    return canvas, canvas.add_subplot()


def points_of(curve: Curve, *, swapped: bool) -> tuple[list[float], list[float]]:
    """Return the x and y of a curve; if `swapped`, its values are on the x axis."""
    settings, values = list(curve), list(curve.values())
    return (values, settings) if swapped else (settings, values)


def plot(axes: Any, curves: Curves, *, marker: str = "", swapped: bool = False) -> None:
    """Draw the means of curves, each in the style of its line, with bands over seeds."""
    looks = looks_of(list(curves))
    for line, curve in curves.items():
        axes.plot(*points_of(mean_of(curve), swapped=swapped), marker=marker, **looks[line])
        draw_band(axes, curve, looks[line]["color"], swapped=swapped)


def draw_band(axes: Any, curve: SeedCurve, colour: str, *, swapped: bool = False) -> None:
    """Draw the band from the lowest seed to the highest, where there are several."""
    if any(len(values) > 1 for values in curve.values()):
        lows, highs = ([f(values) for values in curve.values()] for f in (min, max))
        fill = axes.fill_betweenx if swapped else axes.fill_between
        fill(list(curve), lows, highs, color=colour, alpha=0.18, linewidth=0)


def looks_of(lines: Sequence[Line]) -> dict[Line, dict[str, Any]]:
    """Return each line's colour, dashes, width and name in the legend.

    Reference rows are black and grey, real data solid and bolder.
    """
    looks: dict[Line, dict[str, Any]] = {}
    others = [line for line in lines if line.key[0] != "reference"]
    for line in lines:
        model = line.key[1]
        if line in others:
            k = others.index(line)
            colour, dashes = COLOURS[k % len(COLOURS)], DASHES[k // len(COLOURS) % len(DASHES)]
        else:
            colour, dashes = REFERENCES.get(model, ("#666666", ":"))
        # matplotlib leaves names that begin with _ out of a legend.
        name = f" {line.short_name}" if line.name.startswith("_") else line.short_name
        bold = line.key[:2] == ("reference", "data")
        looks[line] = {"color": colour, "linestyle": dashes, "label": name, "linewidth": 1.6 if bold else 1.0}
    return looks


def plain_ticks(axes: Any, values: Sequence[float]) -> None:
    """Put ticks at `values` of a logarithmic x axis, written as plain numbers.

    Where they are crowded, only those a factor of 1.5 apart.
    """
    from matplotlib.ticker import NullLocator

    shown: list[float] = []
    for value in values:
        if not shown or value >= 1.5 * shown[-1]:
            shown.append(value)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(shown, [f"{value:,g}" if value >= 1 else f"{value:.2g}" for value in shown])


def legend(canvas: Any, width: float) -> None:
    """Draw the legend: beside the axes of a wide figure, under those of a narrow one."""
    if width > ONE_COLUMN:
        name_curves(canvas.legend(loc="outside right upper"))
    else:
        name_curves(canvas.legend(loc="outside lower center", ncols=2))
