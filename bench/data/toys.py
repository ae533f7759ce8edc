"""Which toy data are there, of which all modes are known?

    ring            8 Gaussians on a circle, sd 1/100 of its radius
    grid            25 Gaussians on a square lattice, sd 1/40 of its step
    stacked-mnist   three images of MNIST as the channels of one: 10³ modes

Points of the plane are images of two pixels, (n, 1, 1, 2). They are those of the
literature, moved into [0, 1] by one affine map: a ring of radius 2 and sd 0.02, or of
radius 1 and 0.01, which is the same then, and a grid of −4 to 4 in steps of 2, sd 0.05.
The outermost centres are at 0.1 and 0.9, at least 20 sd inside: points beyond the edges
would be moved onto them, and none of all that there are is.

All are made by code, each split from a seed that its name gives (`streams.py`).

Source: ring and grid: Metz et al. (2017), Srivastava et al. (2017), Lin et al. (2018),
whose code has radius 1, sd 0.01 and sd 0.05. Stacked MNIST: Metz et al. (2017).
Differs from the papers: a training set of finite size, where their code draws fresh
points or makes more, 128,000 stacked images of Lin et al.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from genmodel_bench.data.dataset import Dataset, dataset_of_parts
from genmodel_bench.data.streams import streams
from genmodel_bench.data.vision import load_registered
from genmodel_bench.metrics.known import GaussianMixture
from torch import Tensor

POINTS = {"train": 10_000, "valid": 2_000, "test": 10_000}
STACKS = {"train": 50_000, "valid": 10_000, "test": 10_000}
SIZES = {"ring": (2.0, 0.02), "grid": (4.0, 0.05)}
"""Of each, the largest coordinate of a centre, and the sd, in the literature's units."""
REACH = 0.4
"""The largest coordinate of a centre, from the middle of [0, 1]."""


def ring() -> GaussianMixture:
    """Return eight Gaussians on a circle, from the right, anticlockwise."""
    angles = [2 * math.pi * k / 8 for k in range(8)]
    return mixture("ring", [(2 * math.cos(a), 2 * math.sin(a)) for a in angles])


def grid() -> GaussianMixture:
    """Return 25 Gaussians on a square lattice, column by column."""
    return mixture("grid", [(x, y) for x in range(-4, 5, 2) for y in range(-4, 5, 2)])


def mixture(name: str, centres: list[tuple[float, float]]) -> GaussianMixture:
    """Return equally probable Gaussians, their centres in the literature's units."""
    most, sd = SIZES[name]
    scale = REACH / most
    # Rounded: the last bit of a cosine may be another on another machine.
    moved = tuple(tuple(round(0.5 + scale * each, 12) for each in centre) for centre in centres)
    return GaussianMixture(moved, (1 / len(moved),) * len(moved), round(scale * sd, 12))


def load_ring(name: str, root: Path | str | None) -> Dataset:
    """Return points of a ring of eight Gaussians, as images of two pixels."""
    return drawn(name, ring())


def load_grid(name: str, root: Path | str | None) -> Dataset:
    """Return points of a grid of 25 Gaussians, as images of two pixels."""
    return drawn(name, grid())


def drawn(name: str, density: GaussianMixture) -> Dataset:
    """Return points of a known density; the label of each is its component."""
    parts = [points(density, n, stream) for n, stream in streams(name, POINTS)]
    return dataset_of_parts(name, [x for x, _ in parts], [y for _, y in parts], density=density)


def points(density: GaussianMixture, n: int, stream: np.random.RandomState) -> tuple[Tensor, Tensor]:
    """Return n draws of equally probable Gaussians, (n, 1, 1, d), and which it was."""
    labels = stream.randint(len(density.weights), size=n)
    x = np.array(density.centres)[labels]
    x = (x + density.sd * stream.standard_normal(x.shape)).clip(0, 1)
    # (n, d) -> (n, 1, 1, d)
    return torch.from_numpy(x).float()[:, None, None], torch.from_numpy(labels).long()


def load_stacked(name: str, root: Path | str | None) -> Dataset:
    """Return images of MNIST stacked by threes, the channels of an image.

    The three are of one split, drawn with replacement. The label is the number that their
    digits write, 0 to 999. All of it takes 0.7 GB of memory.

    Raises:
        DataMissing: MNIST's files are neither under `root` nor can be downloaded.
        BenchError: they are damaged.
    """
    mnist = load_registered(
        name,
        root,
        cls="MNIST",
        files="MNIST/raw/train-images-idx3-ubyte",
        valid=10_000,
        shape=(1, 28, 28),
    )
    singles = {"train": mnist.train, "valid": mnist.valid, "test": mnist.test}
    parts, labels = [], []
    for (n, stream), (split, x) in zip(streams(name, STACKS), singles.items(), strict=True):
        chosen = torch.from_numpy(stream.randint(len(x), size=(n, 3)))
        digits = (mnist.labels or {})[split][chosen]
        parts.append(x[:, 0][chosen])  # (n, 28, 28) -> (m, 3, 28, 28)
        labels.append(digits @ torch.tensor([100, 10, 1]))
    return dataset_of_parts(name, parts, labels, stacked=10)
