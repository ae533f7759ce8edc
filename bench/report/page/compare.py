"""By how much, and on which test images, does one row explain the data better?

Two rows were scored on the same test images, so their difference is paired: image by
image, d_i = log p_A(x_i) − log p_B(x_i) in nats. Its mean has the standard error sd(d) /
√n with ddof 1, far smaller than the errors of both rows would suggest. Where the data set
has folds, d is the mean of each fold, and n the number of folds. This error is over test
images alone: it lacks the spread over training runs.

Here the arrays are gathered and the images chosen. The differences between the two rows
that a reader picks are computed by the page's script.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from genmodel_bench.report.figures.lines import lines_of, scores_of
from genmodel_bench.report.tables.table import Key
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
    """What each row says of each test image, and the images worth looking at.

    log_probs: nats of each test image, (n,) float32, the mean over training seeds.
    folds: the fold of each test image, (n,) from 0, or None.
    shown: how many images are shown for each of two rows.
    images: the numbers of the test images in `sprite`, in order.
    sprite: a PNG of these images.
    columns: how many images are in a row of it.
    size: (h, w) of each.
    """

    log_probs: dict[Key, NDArray[np.float32]]
    folds: NDArray[np.int64] | None
    shown: int
    images: list[int]
    sprite: bytes
    columns: int
    size: tuple[int, int]


def comparison(records: Sequence[Record], cache: Path) -> Comparison | None:
    """Return what can be compared of one data set, from the arrays under `cache`.

    None where fewer than two rows, or no images, are at hand.
    """
    digests = {r.dataset_digest for r in sure(records)}
    if len(digests) != 1:
        return None
    digest = digests.pop()
    arrays, _ = kept_arrays(cache / "images" / f"{digest}.safetensors", digest) or ({}, {})
    test = arrays.get("test", np.zeros(0))
    log_probs = {key: x for key, x in row_means(records, cache).items() if len(x) == len(test)}
    if len(log_probs) < 2 or test.ndim != 4:
        return None
    folds = np.unique(arrays["fold"], return_inverse=True)[1].astype(np.int64) if "fold" in arrays else None
    for shown in SHOWN:
        images = worth_seeing(list(log_probs.values()), shown)
        tiles = pixels(test, images)
        columns = max(1, math.ceil(math.sqrt(len(tiles))))
        sprite = mosaic(tiles, columns) if len(tiles) else b""
        if len(sprite) <= BUDGET:
            break
    return Comparison(log_probs, folds, shown, images, sprite, columns, (tiles.shape[1], tiles.shape[2]))


def row_means(records: Iterable[Record], cache: Path) -> dict[Key, NDArray[np.float32]]:
    """Return log p of the test images, the mean over seeds, of each row.

    Rows are left out where the arrays of any seed are not at hand.
    """
    means: dict[Key, NDArray[np.float32]] = {}
    for line in lines_of(list(records)):
        arrays = [(scores_of(r, cache) or {}).get("log_prob") for r in line.likelihoods]
        seeds = [x for x in arrays if x is not None and x.ndim == 1 and np.isfinite(x).all()]
        if seeds and len(seeds) == len(arrays) and len({len(x) for x in seeds}) == 1:
            means[line.key] = np.stack(seeds).mean(0, dtype=np.float64).astype(np.float32)
    return means


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
