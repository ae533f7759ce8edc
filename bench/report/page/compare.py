"""Which rows can a reader compare on the page, and on which test images do they differ?

Every pair is compared as `report/compare.py` does, here; the page's script only looks it
up. Where the values by test image are at hand, it also shows how they differ, and the
images that the one and the other row explain best.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from genmodel_bench.report.compare import Difference, Standing, difference
from genmodel_bench.report.examples import Examples
from genmodel_bench.report.tables.columns import Column, Key
from genmodel_bench.report.tables.table import Table, standing_of
from genmodel_bench.storage.arrays import kept_arrays
from genmodel_bench.storage.record import Record
from genmodel_bench.storage.store import sure
from numpy.typing import NDArray

SHOWN = (8, 4, 2, 1, 0)
"""How many images to show that one row explains best against another.

The first of these numbers that keeps within the budget is taken.
"""
BUDGET = 4_000_000
"""Bytes, at most, of the PNG that holds the images of all pairs."""
SIDE = 64
"""Images with a longer side are shrunk to this many pixels."""

Images = NDArray[np.uint8]
"""(n, h, w) grey or (n, h, w, 3)."""


@dataclass(frozen=True)
class Comparison:
    """All pairs of rows, what each row gives to each test image, and images to look at.

    column: the score that is compared.
    rows: name by row; pairs: their differences, in the order of `combinations`.
    by_image: values of test images, (n,) float32, of those rows where they are at hand.
    shown: how many images are shown for each of two rows.
    images: the numbers of the test images in `sprite`, in order.
    sprite: a PNG of these images, empty if they are not at hand.
    columns: how many images are in a row of it.
    size: (h, w) of each.
    """

    column: Column
    rows: dict[Key, str]
    pairs: list[Difference]
    by_image: dict[Key, NDArray[np.float32]]
    shown: int = 0
    images: Sequence[int] = ()
    sprite: bytes = b""
    columns: int = 1
    size: tuple[int, int] = (1, 1)


def comparison(table: Table, records: Sequence[Record], examples: Examples, cache: Path) -> Comparison | None:
    """Return what can be compared of one data set; None of fewer than two rows.

    The score is the first one whose better direction is known.
    """
    column = next((c for c in table.columns if c.directed and table.has(c)), None)
    if column is None or column.of is None:
        return None
    rows: dict[Key, list[Record]] = {}
    for r in sure(records):
        rows.setdefault((r.role, r.model, r.variant, r.samples), []).append(r)
    names = [of[0].name for of in rows.values()]
    found: dict[Key, Standing] = {}
    for key in (key for key in table.keys if key in rows):
        name = rows[key][0].name
        name += f", N = {key[3]:,}" if names.count(name) > 1 else ""
        known = standing_of(name, key, rows[key], column, examples)
        found |= {key: known} if known else {}
    if len(found) < 2:
        return None
    pairs = [
        difference(a, b, unit=column.unit, better=column.better) for a, b in combinations(found.values(), 2)
    ]
    by_image = {key: x for key in found if (x := examples.by_image.get((column.of, key))) is not None}
    plain = Comparison(column, {key: row.name for key, row in found.items()}, pairs, by_image)
    digests = {r.dataset_digest for r in sure(records)}
    digest = digests.pop() if len(digests) == 1 else ""
    arrays, _ = kept_arrays(cache / "images" / f"{digest}.safetensors", digest) or ({}, {})
    test = arrays.get("test", np.zeros(0))
    values = [x for x in by_image.values() if len(x) == len(test)]
    if len(values) < max(2, len(by_image)) or test.ndim != 4:
        return plain
    for shown in SHOWN:
        images = worth_seeing(values, shown)
        tiles = pixels(test, images)
        columns = max(1, math.ceil(math.sqrt(len(tiles))))
        sprite = mosaic(tiles, columns) if len(tiles) else b""
        if len(sprite) <= BUDGET:
            break
    return replace(
        plain,
        shown=shown,
        images=images,
        sprite=sprite,
        columns=columns,
        size=(tiles.shape[1], tiles.shape[2]),
    )


def worth_seeing(log_probs: Sequence[NDArray[np.float32]], shown: int) -> list[int]:
    """Return the test images with the largest differences between any two rows, in order.

    They are the `shown` largest in each direction.
    """
    found: set[int] = set()
    for a, b in combinations(log_probs, 2):
        order = np.argsort(a.astype(np.float64) - b, kind="stable")
        found.update(order[:shown].tolist(), order[len(order) - shown :].tolist())
    return sorted(found)


def pixels(test: NDArray[Any], images: Sequence[int]) -> Images:
    """Return the test images with these numbers, at most `SIDE` high and wide.

    `test` is (n, c, h, w).
    """
    from PIL import Image

    h, w = test.shape[2:]
    scale = min(1.0, SIDE / max(h, w))
    size = (max(1, round(h * scale)), max(1, round(w * scale)))
    tiles = []
    for i in images:
        x = test[i]  # (c, h, w)
        x = x if x.dtype == np.uint8 else np.rint(np.clip(x, 0, 1) * 255).astype(np.uint8)
        x = x[:3].transpose(1, 2, 0) if len(x) >= 3 else x[0]  # (c, h, w) -> (h, w, 3), or (h, w) of grey
        if scale < 1:
            x = np.asarray(Image.fromarray(x).resize(size[::-1], Image.Resampling.BOX))
        tiles.append(x)
    return np.stack(tiles) if tiles else np.zeros((0, *size), np.uint8)


def mosaic(tiles: Images, columns: int) -> bytes:
    """Return a PNG of the tiles, `columns` in a row, without gaps."""
    from PIL import Image

    rows = -(-len(tiles) // columns)
    n, h, w = tiles.shape[:3]
    sheet = np.zeros((rows * columns, *tiles.shape[1:]), np.uint8)
    sheet[:n] = tiles
    # (rows, columns, h, w) -> (rows, h, columns, w)
    sheet = sheet.reshape(rows, columns, h, w, *tiles.shape[3:]).swapaxes(1, 2)
    buffer = io.BytesIO()
    Image.fromarray(sheet.reshape(rows * h, columns * w, *tiles.shape[3:])).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
