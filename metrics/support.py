"""How many different images are there, judged by pairs of near-duplicates among N?

In N of S images, all as probable, a pair is the same image with probability 1/S: of K
pairs among N (N − 1) / 2 follows S ≈ N (N − 1) / 2K. Where some images are more probable
than others S, here 1 / Σ p², is smaller than their number.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from genmodel_bench.metrics.distances import squared_distance_blocks
from scipy.special import gammaincinv
from torch import Tensor


@dataclass(frozen=True)
class Support:
    """Log₁₀ of the lower 95 % bound of S and of its estimate, with their error."""

    low: float
    estimate: float
    stderr: float

    @property
    def birthday(self) -> float:
        """The size of a set that has a duplicate with probability 1/2."""
        return 0.5 + math.sqrt(0.25 + 2 * math.log(2) * 10**self.estimate)

    @property
    def birthday_error(self) -> float:
        """The standard error of that size, which grows as √S."""
        return self.birthday * self.stderr * math.log(10) / 2


def support(degrees: Tensor) -> Support:
    """Return the support of N samples, of which each has `degrees` near-duplicates: (N,).

    The number of pairs K is a U-statistic with a variance of about
    Σ degree² − K − 4 K² / N: K, as of a Poisson number, if all images are as probable as
    one another. Bounds are those of a Poisson number of clumps of variance / K pairs.
    """
    n, k = len(degrees), float(degrees.double().sum()) / 2
    variance = float(degrees.double().square().sum()) - k - 4 * k**2 / n
    clump = max(1.0, variance / k) if k else 1.0
    # the mean for which K or fewer have probability 5 %, and 1/2
    most, middle = (clump * float(gammaincinv(k / clump + 1, q)) for q in (0.95, 0.5))
    low, estimate = (max(0.0, math.log10(n * (n - 1) / 2 / count)) for count in (most, middle))
    return Support(low, estimate, math.sqrt(clump / middle) / math.log(10))


@torch.no_grad()
def near_duplicates(x: Tensor, s: Tensor, threshold: float) -> tuple[Tensor, Tensor]:
    """Return how many rows of s are within `threshold` of each row of x, and the reverse.

    x: (n, d), s: (m, d); counts (n,), (m,). Up to rounding of the squared distance, about
    1e-6 of ‖x‖²: rows that are equal always count.
    """
    of_x, of_s = (torch.zeros(len(y), dtype=torch.int64, device=y.device) for y in (x, s))
    for rows, columns, a, b in squared_distance_blocks(x, s):
        within = b <= (threshold**2 - a + 4e-6 * a).to(b.dtype)
        of_x[rows] += within.sum(1)
        of_s[columns] += within.sum(0)
    return of_x, of_s
