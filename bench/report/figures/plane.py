"""How are images of two pixels drawn: as points of the plane, on the density of the data?

The circles have a radius of 3 standard deviations about the centres of the density, where
it is known; the square is [0, 1]².
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from genmodel_bench.report.figures.figure import BLUE, COLOURS, ONE_COLUMN, TWO_COLUMNS
from genmodel_bench.storage.arrays import kept_arrays
from genmodel_bench.storage.record import Record
from numpy.typing import NDArray

Points = NDArray[Any]
"""(n, 2), in [0, 1]."""
ACROSS = 6
"""The most panels in a row."""
REACH = 3
"""Radius of a circle in standard deviations."""
CIRCLES = f"Circles: {REACH} standard deviations about the centres of the known density. "


@dataclass(frozen=True)
class Density:
    """The centres, (k, 2), and the standard deviation of a density; none if unknown."""

    centres: Points
    sd: float

    @property
    def said(self) -> str:
        """Return what the circles of a figure are."""
        return CIRCLES if len(self.centres) else ""


UNKNOWN = Density(np.zeros((0, 2)), 0.0)


def density_of(record: Record, cache: Path) -> Density:
    """Return the known density of a record's data, if it is kept with the test images."""
    path = cache / "images" / f"{record.dataset_digest}.safetensors"
    arrays, _ = kept_arrays(path, path.stem) or ({}, {})
    if "centres" not in arrays:
        return UNKNOWN
    return Density(arrays["centres"], float(arrays["sd"]))


def is_plane(images: NDArray[Any]) -> bool:
    """Return whether images (..., c, h, w) have two pixels."""
    return images.shape[-3:] == (1, 1, 2)


def draw_points(panels: Sequence[Points], density: Density, *, titles: Sequence[str] = ()) -> Any:
    """Return a matplotlib Figure with points in each of several panels."""
    canvas, axes = squares(len(panels), density)
    size = 1.5 if len(panels) == 1 else 1.0
    for ax, points in zip(axes, panels, strict=True):
        ax.plot(*points.reshape(-1, 2).T, ".", color=BLUE, markersize=size, markeredgewidth=0, alpha=0.6)
    for ax, title in zip(axes, titles, strict=False):
        ax.set_title(title, pad=2)
    return canvas


def draw_walks(walks: Points, density: Density) -> Any:
    """Return a matplotlib Figure of walks (walks, steps, 1, 1, 2), each a line."""
    canvas, (ax,) = squares(1, density)
    for walk, colour in zip(walks, COLOURS, strict=False):
        x, y = walk.reshape(-1, 2).T
        ax.plot(x, y, "o-", color=colour, markersize=2, linewidth=0.7)
        ax.plot(x[[0, -1]], y[[0, -1]], "o", color=colour, markersize=4)
    return canvas


def squares(n: int, density: Density) -> tuple[Any, list[Any]]:
    """Return a matplotlib Figure, and n panels of the unit square with the circles."""
    from matplotlib.collections import EllipseCollection
    from matplotlib.figure import Figure

    across = min(n, ACROSS)
    down, width = math.ceil(n / across), ONE_COLUMN if n == 1 else TWO_COLUMNS
    canvas = Figure(figsize=(width, down * (width / across + 0.16 * (n > 1))), layout="constrained")
    axes = canvas.subplots(down, across, squeeze=False).flatten().tolist()
    for ax in axes[n:]:
        ax.remove()
    for ax in axes[:n]:
        ax.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", xticks=[], yticks=[])
        ax.spines[["top", "right"]].set_visible(True)
        wide = np.full(len(density.centres), 2 * REACH * density.sd)
        ax.add_collection(
            EllipseCollection(
                wide, wide, 0 * wide, units="xy", offsets=density.centres, transOffset=ax.transData,
                facecolors="#DDDDDD", edgecolors="#777777", linewidths=0.3,
            )
        )  # fmt: skip
    return canvas, axes[:n]
