"""Which rows can a reader compare on the page, and on which test images do they differ?

Every pair is compared as `report/compare.py` does, here; the page's script only looks it
up. Where the values by test image are at hand, it also shows how they differ, and the
images that the one and the other row explain best.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from genmodel_bench.report.compare import Difference, Standing, difference
from genmodel_bench.report.examples import Examples
from genmodel_bench.report.figures.plane import is_plane
from genmodel_bench.report.tables.columns import Column, Key, by_row, name_of
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
    by_image: values of test images, (n,) float32, of those rows where they are at hand;
        n is the same for all.
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
    column = table.headline
    if column is None or column.of is None:
        return None
    rows = by_row(sure(records))
    names = names_of([key for key in table.keys if key in rows])
    found: dict[Key, Standing] = {}
    for key, name in names.items():
        known = standing_of(name, key, rows[key], column, examples)
        found |= {key: known} if known else {}
    if len(found) < 2:
        return None
    pairs = [
        difference(a, b, unit=column.unit, better=column.better) for a, b in combinations(found.values(), 2)
    ]
    test = test_images(records, cache)
    by_image = of_one_length(
        {key: x for key in found if (x := examples.by_image.get((column.of, key))) is not None}, len(test)
    )
    scaled = {key: np.float32(column.factor) * x for key, x in by_image.items()}
    plain = Comparison(column, {key: row.name for key, row in found.items()}, pairs, scaled)
    values = list(scaled.values())
    if len(values) < 2 or test.ndim != 4 or is_plane(test):
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


def names_of(keys: Sequence[Key]) -> dict[Key, str]:
    """Return a name of each row that no other has, in order."""
    plain = [name_of(key) for key in keys]
    sizes: dict[str, set[int]] = {}
    for name, key in zip(plain, keys, strict=True):
        sizes.setdefault(name, set()).add(key[3])
    sized = [
        f"{name}, N = {key[3]:,}" if len(sizes[name]) > 1 else name
        for name, key in zip(plain, keys, strict=True)
    ]
    return {
        key: f"{name}, {key[0]}" if sized.count(name) > 1 else name
        for name, key in zip(sized, keys, strict=True)
    }


def test_images(records: Sequence[Record], cache: Path) -> NDArray[Any]:
    """Return the test images of the rows' data, (n, c, h, w), or an empty array."""
    digests = {r.dataset_digest for r in sure(records)}
    digest = digests.pop() if len(digests) == 1 else ""
    arrays, _ = kept_arrays(cache / "images" / f"{digest}.safetensors", digest) or ({}, {})
    return arrays.get("test", np.zeros(0))


def of_one_length(values: Mapping[Key, NDArray[np.float32]], n: int) -> dict[Key, NDArray[np.float32]]:
    """Return the values of those rows that have `n` of them; if n is 0, as most have."""
    lengths = [len(x) for x in values.values()]
    n = n or max(lengths, key=lengths.count, default=0)
    return {key: x for key, x in values.items() if len(x) == n}


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
