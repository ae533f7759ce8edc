"""Are samples that somebody made what they are taken for?

Their values are compared with those of the training images, so that a scale that was
forgotten or applied twice is not scored in silence; and they are compared with the images
that models are not to see, the validation and test images.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from genmodel_bench.data.dataset import Dataset
from genmodel_bench.errors import BadSamples
from genmodel_bench.inputs.samples import parts
from genmodel_bench.metrics.distances import nearest
from torch import Tensor

TOLERATED = 0.05
"""A larger share of copies gives a warning, as it does for training images."""
NEAR = 0.01
"""Copies are searched among samples nearer than this quantile of training images."""
COMPARED = 2000
"""Training images from which that quantile is taken; samples looked at at once."""


@dataclass(frozen=True)
class Values:
    """The lowest, highest and mean value of images, and the range of their means.

    grey: the share of values that are neither 0 nor 1.
    """

    low: float
    high: float
    mean: float
    darkest: float
    lightest: float
    grey: float


def values_of(x: Tensor) -> Values:
    """Return what the values of x: (n, c, h, w) are, read in parts."""
    low, high, total, darkest, lightest = math.inf, -math.inf, 0.0, math.inf, -math.inf
    grey = 0
    for part in parts(x):
        flat = part.flatten(1)
        means = flat.mean(1, dtype=torch.float64)
        low, high = min(low, float(flat.min())), max(high, float(flat.max()))
        darkest, lightest = min(darkest, float(means.min())), max(lightest, float(means.max()))
        total += float(means.sum())
        grey += int(((flat != 0) & (flat != 1)).sum())
    return Values(low, high, total / len(x), darkest, lightest, grey / x.numel())


def doubt_of_values(x: Tensor, train: Tensor, who: str) -> str:
    """Return a warning if samples have other values than training images, else "".

    x, train: (n, c, h, w), in [0, 1]. Samples that are black throughout have no scale;
    only their mean is looked at.

    Raises:
        BadSamples: the samples would be black in 256 grey levels, and are not all 0: they
            were divided by 255 twice.
    """
    ours, real = values_of(x), values_of(train)
    span = real.high - real.low
    if 0 < ours.high <= 1.01 * real.high / 255:
        raise BadSamples(
            f"{who}: values reach {ours.high:.2g}, those of the data {real.high:.3g}: divided by 255 twice; "
            "give x * 255"
        )
    if 0 < ours.high < real.high / 4:
        return (
            f"values reach {ours.high:.3g}, those of the data {real.high:.3g}: were they scaled to [0, 1]? "
            f"if not, give x * {real.high / ours.high:.4g}"
        )
    if ours.low < ours.high and ours.low > real.low + span / 4:
        mending = "2 * x - 1" if ours.low >= 0.4 else f"(x - {ours.low:.3g}) / {ours.high - ours.low:.3g}"
        return (
            f"values begin at {ours.low:.3g}, those of the data at {real.low:.3g}: were they moved twice? "
            f"if so, give {mending}"
        )
    if real.grey == 0 and ours.grey > TOLERATED:
        return (
            f"{ours.grey:.0%} of the values are neither 0 nor 1, as those of the data are: "
            "are they means? a sample of binary images is a draw"
        )
    if not real.darkest <= ours.mean <= real.lightest:
        inverted = real.darkest <= 1 - ours.mean <= real.lightest and ours.mean > real.lightest
        return (
            f"the mean value is {ours.mean:.3g}, that of any training image "
            f"{real.darkest:.3g} to {real.lightest:.3g}"
        ) + (": are they inverted? if so, give 1 - x" if inverted else "")
    return ""


@torch.no_grad()
def held_out_copies(x: Tensor, data: Dataset) -> dict[str, int]:
    """Return how many samples are copies of validation and of test images.

    A copy, perhaps with a little noise, is a sample nearer to a held-out image than 99 %
    of training images are, and not half as far from it as from any training image: smooth
    samples are near to all images alike.

    x: (n, c, h, w), on the device of `data`.
    """
    held_out = torch.cat([data.valid, data.test]).flatten(1)
    train, flat = data.train.flatten(1), x.flatten(1)
    near, index = nearest(flat, held_out)
    usual, _ = nearest(train[:: -(-len(train) // COMPARED)], held_out)
    suspected = (near <= usual.double().quantile(NEAR)).nonzero()[:, 0]
    found = {"valid": 0, "test": 0}
    # In parts: samples may be mapped from a file larger than memory.
    for i in range(0, len(suspected), COMPARED):
        rows = suspected[i : i + COMPARED]
        to_train, _ = nearest(flat[rows], train)
        copies = index[rows[near[rows] < to_train / 2]]
        valid = int((copies < len(data.valid)).sum())
        found["valid"] += valid
        found["test"] += len(copies) - valid
    return found


def doubt_of_copies(copies: dict[str, int], n: int) -> str:
    """Return a warning of one line if too many of n samples are copies, else ""."""
    if sum(copies.values()) <= TOLERATED * n:
        return ""
    kinds = " or ".join(kind for kind, name in (("test", "test"), ("validation", "valid")) if copies[name])
    count = sum(copies.values())
    return f"{count:,} of {n:,} samples are copies of {kinds} images, exact or with a little noise"
