"""How are images laid out in a figure: in rows, with frames, titles and signs between?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Image = np.ndarray[Any, Any]
"""One image, (c, h, w) in [0, 1]."""
FINE = 60
"""Images are enlarged to about this height in pixels.

The factor is whole, so that pixels stay sharp wherever the figure is shown.
"""
LARGEST = 0.55
"""Inches from a tile to the next, at most."""
GAP = 4
"""Pixels, after enlarging, that are left white around an image."""


@dataclass(frozen=True)
class Tile:
    """An image, with a coloured frame or none, or a text where there is no image."""

    image: Image | None = None
    frame: str | None = None
    text: str = ""


def draw_tiles(
    rows: Sequence[Sequence[Tile]], *, width: float, titles: Sequence[str] = (), left: Sequence[str] = ()
) -> Any:
    """Return a matplotlib Figure of rows of tiles.

    `titles` stand over the columns, `left` beside the rows. The figure is `width` inches
    wide, or less where tiles would be larger than `LARGEST`.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    sheet = sheet_of(rows)
    columns, (height, across, _) = max(len(row) for row in rows), sheet.shape
    margin, head = 0.45 if left else 0.02, 0.16 if titles else 0.02  # inches
    width = min(width, margin + LARGEST * columns)
    tall = (width - margin) * height / across
    canvas = Figure(figsize=(width, head + tall))
    axes = canvas.add_axes((margin / width, 0, 1 - margin / width, tall / (head + tall)))
    axes.imshow(sheet, extent=(0, columns, len(rows), 0), interpolation="none", aspect="auto")
    axes.axis("off")
    for i, row in enumerate(rows):
        for j, tile in enumerate(row):
            if tile.text:
                axes.text(j + 0.5, i + 0.5, tile.text, ha="center", va="center", fontsize=9)
            if tile.frame:
                axes.add_patch(
                    Rectangle(
                        (j + 0.02, i + 0.02), 0.96, 0.96, fill=False, edgecolor=tile.frame, linewidth=1.5
                    )
                )
    for j, title in enumerate(titles):
        axes.text(j + 0.5, -0.05, title, ha="center", va="bottom", fontsize=6)
    for i, text in enumerate(left):
        axes.text(-0.08, i + 0.5, text, ha="right", va="center", fontsize=6)
    return canvas


def sheet_of(rows: Sequence[Sequence[Tile]]) -> Image:
    """Return all images of rows of tiles on one white sheet, (height, width, 3) uint8.

    Each is enlarged and has its gap around it.
    """
    _, h, w = next(tile.image.shape for row in rows for tile in row if tile.image is not None)
    scale = max(1, round(FINE / h))
    tall, wide = h * scale + 2 * GAP, w * scale + 2 * GAP
    sheet = np.full((len(rows) * tall, max(len(row) for row in rows) * wide, 3), 255, dtype=np.uint8)
    for i, row in enumerate(rows):
        for j, tile in enumerate(row):
            if tile.image is not None:
                top, left = i * tall + GAP, j * wide + GAP
                sheet[top : top + h * scale, left : left + w * scale] = (
                    pixels(tile.image).repeat(scale, axis=0).repeat(scale, axis=1)
                )
    return sheet


def pixels(image: Image) -> Image:
    """Return an image as (h, w, 3) uint8.

    A grey one is repeated in three channels; of more than three, the first three are
    shown.
    """
    whole = np.rint(image * 255).astype(np.uint8)
    rgb = np.broadcast_to(whole, (3, *whole.shape[1:])) if whole.shape[0] == 1 else whole[:3]
    return rgb.transpose(1, 2, 0)  # (3, h, w) -> (h, w, 3)
