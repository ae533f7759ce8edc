"""What has to be typed so that somebody's numbers become images of the data set?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import permutations

SLACK = 0.05
"""By how much values that are meant to be in [0, 1] may leave it, as by rounding."""


def is_channels_last(got: Sequence[int], shape: tuple[int, int, int]) -> bool:
    """Return whether an array's shape is (n, h, w, c) and not (n, c, h, w) too."""
    c, h, w = shape
    return len(got) == 4 and tuple(got[1:]) == (h, w, c) != shape


def for_shape(got: Sequence[int], shape: tuple[int, int, int]) -> str:
    """Return what turns an array of the shape `got` into images of `shape`, (c, h, w)."""
    c, h, w = shape
    forms = [(shape, 4), *([((h, w), 3)] if c == 1 else []), ((math.prod(shape),), 2)]
    for form, axes in forms:
        if tuple(got) == form:
            return "one image alone; give x[None], or better some thousands of them"
        if len(got) == axes:
            for order in permutations(range(axes)):
                if tuple(got[i] for i in order[1:]) == form and order != tuple(range(axes)):
                    return f"give x.transpose{order}" if axes > 2 else "give x.T"
    if len(got) == 4 and c == 1 and tuple(got[2:]) == (h, w):
        return "turn them grey, as with x.mean(1)"
    if len(got) == 4 and got[1] == 1 and tuple(got[2:]) == (h, w):
        return f"give numpy.repeat(x, {c}, axis=1)"
    return f"draw images of {c} × {h} × {w}, one after the other"


def for_values(low: float, high: float) -> str:
    """Return what brings values between `low` and `high` into [0, 1]."""
    if low >= -SLACK and high <= 1 + SLACK:
        return "give x.clip(0, 1)"
    if low >= -1 - SLACK and high <= 1 + SLACK:
        return "of values in [-1, 1] give (x + 1) / 2"
    if low >= 0 and high <= 16:
        return "of values up to 16 give x / 16"
    if low >= 0 and high <= 255:
        return "of values up to 255 give x / 255"
    return "scale them to [0, 1], or leave those rows out"
