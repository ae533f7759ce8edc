"""How are images laid out in a figure: in rows, with frames, titles and signs between them?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.report.figure import ONE_COLUMN

Image = np.ndarray[Any, Any]
"""One image, (c, h, w) in [0, 1], or uint8 in [0, 255]."""
GAP = 0.08
"""White around a tile, as a share of it."""


@dataclass(frozen=True)
class Tile:
    """An image in a figure, in a colour's frame or none, or a text where there is no image."""

    image: Image | None = None
    frame: str | None = None
    text: str = ""


def draw_tiles(rows: Sequence[Sequence[Tile]], *, width: float = ONE_COLUMN, titles: Sequence[str] = (), left: Sequence[str] = ()) -> Any:
    """Return a matplotlib Figure, `width` inches wide, of rows of tiles, with titles over the columns and texts left of the rows."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    columns = max(len(row) for row in rows)
    c, h, w = next(tile.image.shape for row in rows for tile in row if tile.image is not None)
    margin = 0.32 if left else 0.0
    head = 0.16 if titles else 0.0
    side = (width - margin) / columns  # inches from tile to tile
    tall = side * h / w
    figure = Figure(figsize=(width, head + tall * len(rows)))
    axes = figure.add_axes((margin / width, 0, 1 - margin / width, tall * len(rows) / (head + tall * len(rows))))
    axes.set(xlim=(0, columns), ylim=(len(rows), 0))
    axes.axis("off")
    for i, row in enumerate(rows):
        for j, tile in enumerate(row):
            inside = (j + GAP / 2, j + 1 - GAP / 2, i + 1 - GAP / 2, i + GAP / 2)
            if tile.image is None:
                axes.text(j + 0.5, i + 0.5, tile.text, ha="center", va="center", fontsize=9)
                continue
            axes.imshow(pixels(tile.image), extent=inside, interpolation="none", aspect="auto")
            if tile.frame:
                corner = (inside[0], inside[3])
                axes.add_patch(Rectangle(corner, 1 - GAP, 1 - GAP, fill=False, edgecolor=tile.frame, linewidth=1.5, clip_on=False))
    axes.set(xlim=(0, columns), ylim=(len(rows), 0))
    for j, title in enumerate(titles):
        axes.text(j + 0.5, 0, title, ha="center", va="bottom", fontsize=6)
    for i, text in enumerate(left):
        axes.text(-0.05, i + 0.5, text, ha="right", va="center", fontsize=6)
    return figure


def pixels(image: Image) -> Image:
    """Return an image as (h, w, 3) uint8: grey ones in three equal channels, of more than three channels the first three."""
    whole = image if image.dtype == np.uint8 else np.rint(image * 255).astype(np.uint8)
    rgb = np.broadcast_to(whole, (3, *whole.shape[1:])) if whole.shape[0] == 1 else whole[:3]
    return rgb.transpose(1, 2, 0)  # (3, h, w) -> (h, w, 3)
