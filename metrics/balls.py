"""Which images of two sets lie in the balls of the other set?

The ball of an image reaches to its k-th nearest neighbour in its own set. An image on the
edge of a ball is in it, d ≤ r: an image with k copies has a ball of radius 0, which holds
them. Distances that are within rounding of a radius are computed from differences: what
is equally far is equal.

Everything is counted in the whole sets and again without each tenth of both, the balls
made anew, for the error of what is made of the counts.

Cost: `k_nearest` for each set and `pairs_within` for each two sets, see
`metrics/nearby.py`; and 100 ns for each pair of images within a ball.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from genmodel_bench.metrics.comparison import BLOCKS, Estimate
from genmodel_bench.metrics.nearby import k_nearest, pairs_within, squared_distances
from torch import Tensor

EQUAL = 1 + 1e-12
"""Squared distances closer than this are equal: float64 sums, in one order or another."""

PAIRS = 2**16
"""How many pairs of images are looked at at once."""


@dataclass(frozen=True)
class Balls:
    """A set, (n, d), and the squared radii of its balls, (n, 1 + BLOCKS), float64.

    The first radius is in the whole set, the others without each tenth of it: −∞ for the
    images of that tenth.
    """

    x: Tensor
    radii: Tensor

    @property
    def there(self) -> Tensor:
        """Which images are in the whole set, and without each tenth: (n, 1 + BLOCKS)."""
        return self.radii > -torch.inf


@dataclass(frozen=True)
class Counts:
    """How many balls of the other set hold each image: (n, 1 + BLOCKS), float64.

    held: real balls that hold a sample; (m, 1 + BLOCKS).
    covered: samples in a real image's ball.
    recalled: balls of samples that hold a real image. It is a lower bound, above 0 where
        there is one.
    """

    held: Tensor
    covered: Tensor
    recalled: Tensor


@torch.no_grad()
def balls(x: Tensor, k: int) -> Balls:
    """Return the balls of x: (n, d), n > k ≥ 1; else it raises ValueError."""
    kept = min(len(x) - 1, k + k // 4 + 4)  # of these, nearly always k outside a tenth
    distances, index = k_nearest(x, max(k, kept) if k > 0 else k)
    block = torch.arange(len(x), device=x.device) % BLOCKS
    radii = [distances[:, k - 1]]
    for b in range(BLOCKS):
        place = ((block[index] != b).cumsum(1) < k).sum(1).clamp(max=distances.shape[1] - 1)
        radii.append(distances.gather(1, place[:, None])[:, 0].masked_fill(block == b, -torch.inf))
    return Balls(x, torch.stack(radii, 1))


@torch.no_grad()
def counts(samples: Balls, real: Balls) -> Counts:
    """Return how many balls hold each of `samples` and of `real`."""
    held, covered, recalled = (torch.zeros_like(of.radii) for of in (samples, real, real))
    there_x, there_y = samples.there, real.there
    missing = torch.ones(len(real.x), dtype=torch.bool, device=real.x.device)
    largest = [of.radii.amax(1) for of in (real, samples)]
    for *found, error in pairs_within(real.x, samples.x, *largest, open_x=missing):
        for first in range(0, len(found[0]), PAIRS):
            i, j, d2 = (each[first : first + PAIRS] for each in found)
            of_real, of_sample, d2 = real.radii[i], samples.radii[j], d2[:, None]  # (p, 1 + BLOCKS)
            near = torch.minimum((of_real - d2).abs(), (of_sample - d2).abs()).amin(1) <= error
            d2[near, 0] = squared_distances(real.x, i[near], samples.x, j[near])
            in_real = ((d2 <= of_real * EQUAL) & there_x[j]).double()
            held.index_add_(0, j, in_real)
            covered.index_add_(0, i, in_real)
            recalled.index_add_(0, i, ((d2 <= of_sample * EQUAL) & there_y[i]).double())
            missing[i] = ((recalled[i] == 0) & there_y[i]).any(1)
    return Counts(held, covered, recalled)


def estimate(values: Tensor) -> Estimate:
    """Return the value in the whole sets, and its error from those without each tenth.

    values: (1 + BLOCKS,).
    """
    whole, *without = values.tolist()
    mean = math.fsum(without) / BLOCKS
    spread = math.fsum((value - mean) ** 2 for value in without)
    return Estimate(whole, math.sqrt((BLOCKS - 1) / BLOCKS * spread))
