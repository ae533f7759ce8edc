"""Which curves are drawn of all rows: Parzen by σ and N, validation, distances?

They are drawn from the records alone, each for one column of a page and, with '-wide' in
its name, for two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
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
from genmodel_bench.report.figures.lines import Line
from genmodel_bench.storage.digest import content_digest

Curve = Mapping[float, float]
Curves = Mapping[Line, Curve]

REFERENCES = {
    "data": (BLACK, "-"),
    "kmeans": ("#444444", "--"),
    "gaussian": ("#666666", "-."),
    "mean": ("#888888", ":"),
}
"""Colour and dashes of the reference rows: real data are the solid black line."""
HELD_OUT = "distance of held-out images by share"
DASHES = ("-", "--", "-.", ":")


def charts_of(lines: Sequence[Line], folder: Path) -> Iterator[Figure]:
    """Yield the charts of all lines of a data set, for one column and for two."""
    charts: tuple[tuple[str, Section, Callable[[Curves, float], Drawn]], ...] = (
        ("sigma on validation", "curves", against_sigma),
        ("samples", "curves", against_samples),
        ("validation by epoch", "learning", validation),
        ("distance of samples by share", "distances", distances),
    )
    for name, section, draw in charts:
        metric = "neighbours" if section == "distances" else "parzen"
        curves = {line: curve for line in lines if (curve := line.curve(name, metric))}
        if curves:
            held_out = [line.curve(HELD_OUT, metric) for line in curves]
            drawn_of = [[line.name, line.key[0], list(curve.items())] for line, curve in curves.items()]
            of = content_digest(name, drawn_of, [list(curve.items()) for curve in held_out])
            file = draw.__name__.replace("_", "-")
            for suffix, width in (("", ONE_COLUMN), ("-wide", TWO_COLUMNS)):
                found = figure_at(folder / f"{file}{suffix}.png", section, of, partial(draw, curves, width))
                yield from [replace(found, wide=width > ONE_COLUMN)] if found else []


def against_sigma(curves: Curves, width: float) -> Drawn:
    """Return the chart of validation log-likelihood against σ, from which σ is chosen."""
    best = [max(curve.values()) for curve in curves.values()]
    canvas, axes = axes_of(width)
    plot(axes, curves, marker=".")
    # A small σ costs thousands of nats: rows can be told apart only near the top.
    spread = max(best) - min(best) or 1.0
    axes.set(
        xscale="log",
        xlabel="σ",
        ylabel="nats, validation images",
        ylim=(min(best) - 0.5 * spread, max(best) + 0.1 * spread),
    )
    plain_ticks(axes, (0.1, 0.2, 0.3, 0.5, 1.0))
    legend(canvas, width)
    highest = "; ".join(
        f"{line.name} at σ = {max(curve, key=curve.__getitem__):.3g}" for line, curve in curves.items()
    )
    return Drawn(
        canvas,
        "Parzen against σ",
        "Mean log-likelihood of validation images against the bandwidth, in the mean over draws, folds and "
        f"seeds; each of these takes the σ where its own is highest.{real_data(curves)} Cut off below.",
        f"Curves of nats against σ, one for each row, highest: {highest}",
    )


def against_samples(curves: Curves, width: float) -> Drawn:
    """Return the chart of test log-likelihood against the number of samples."""
    canvas, axes = axes_of(width)
    plot(axes, curves, marker=".")
    axes.set(xscale="log", xlabel="N, samples", ylabel="nats, test images")
    sizes = sorted({n for curve in curves.values() for n in curve})
    plain_ticks(axes, sizes)
    legend(canvas, width)
    gained = "; ".join(f"{line.name} {ends(curve)}" for line, curve in curves.items())
    return Drawn(
        canvas,
        "Parzen against N",
        "Mean log-likelihood of the test images against the number of samples, σ chosen anew for each: rows "
        f"of one N alone compare.{real_data(curves)} Where a finite set of images has been drawn whole, its "
        "curve stays level.",
        f"Curves of nats against the number of samples, from {sizes[0]:g} to {sizes[-1]:g}: {gained}",
    )


def validation(curves: Curves, width: float) -> Drawn:
    """Return the chart of validation log-likelihood after each kept epoch.

    Epochs are shown as a share of training.
    """
    canvas, axes = axes_of(width)
    shares = {
        line: {epoch / (max(curve) or 1): value for epoch, value in curve.items()}
        for line, curve in curves.items()
    }
    plot(axes, shares, marker=".")
    axes.set(xlabel="share of the epochs of the last stage", ylabel="nats, validation images", xlim=(0, 1.02))
    legend(canvas, width)
    return Drawn(
        canvas,
        "Validation through training",
        "Mean log-likelihood of validation images, at most 1,000, under 1,000 samples, in the mean over "
        "seeds. By it a checkpoint may be selected; the last one is sampled unless a row says otherwise. "
        "With few samples it prefers smooth ones.",
        "Curves of nats against the share of training: "
        f"{'; '.join(f'{line.name} {ends(curve)}' for line, curve in curves.items())}",
    )


def distances(curves: Curves, width: float) -> Drawn:
    """Return the chart of distances to the nearest training image.

    It shows the share of samples within each distance, beside that of held-out images.
    """
    held_out = next(iter(curves)).curve(HELD_OUT, "neighbours")
    canvas, axes = axes_of(width)
    plot(
        axes, {line: {distance: share for share, distance in curve.items()} for line, curve in curves.items()}
    )
    axes.plot(
        list(held_out.values()),
        list(held_out),
        color=BLACK,
        linewidth=2.4,
        alpha=0.35,
        label="held-out images",
    )
    axes.set(
        xlabel="distance to the nearest training image", ylabel="share of images", ylim=(0, 1), xlim=(0, None)
    )
    legend(canvas, width)
    halves = "; ".join(f"{line.name} {half(curve):.2f}" for line, curve in curves.items())
    return Drawn(
        canvas,
        "Distances to training images",
        "The share of samples that lie within a distance (Euclidean, pixels in [0, 1]) of their nearest "
        "training image; the broad grey line is of held-out test images. A curve left of it is of smooth or "
        "copied images, one right of it of images unlike the data.",
        "Rising curves, one for each row; medians: "
        f"{f'held-out images {half(held_out):.2f}; ' if held_out else ''}{halves}",
    )


def ends(curve: Curve) -> str:
    """Return the first and last value of a curve as text, 'from … to …'."""
    values = list(curve.values())
    return f"from {values[0]:.0f} to {values[-1]:.0f}"


def half(curve: Curve) -> float:
    """Return the median distance of images, from {share: distance}."""
    return float(np.interp(0.5, list(curve), list(curve.values())))


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


def plot(axes: Any, curves: Curves, *, marker: str = "") -> None:
    """Draw curves {x: y}, each in the style of its line."""
    looks = looks_of(list(curves))
    for line, curve in curves.items():
        axes.plot(list(curve), list(curve.values()), marker=marker, **looks[line])


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
    axes.set_xticks(shown, [f"{value:,g}" for value in shown])


def legend(canvas: Any, width: float) -> None:
    """Draw the legend: beside the axes of a wide figure, under those of a narrow one."""
    if width > ONE_COLUMN:
        name_curves(canvas.legend(loc="outside right upper"))
    else:
        name_curves(canvas.legend(loc="outside lower center", ncols=2))
