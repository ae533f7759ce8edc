"""How much of a density, and how many points, lie in each cell of the plane?

[0, 1]² is divided into equal squares; those at the border reach to infinity. The mass of
a square under round Gaussians is a product of normal distribution functions.
"""

from __future__ import annotations

import math

import torch
from genmodel_bench.metrics.comparison import Estimate
from genmodel_bench.metrics.known import GaussianMixture
from torch import Tensor


def jensen_shannon(q: Tensor, p: Tensor, n: int) -> Estimate:
    """Return the JSD in nats of shares q of n samples from probabilities p, both (k,)."""
    there = p + q > 0  # of the others 0 log 0 / 0 is 0
    q, p = q[there].double(), p[there].double()
    ours, theirs = (2 * q / (p + q)), (2 * p / (p + q))
    value = (torch.xlogy(q, ours) + torch.xlogy(p, theirs)).sum() / 2
    slope = torch.where(q > 0, ours, 1).log() / 2
    mean = (q * slope).sum()
    return Estimate(float(value), math.sqrt(float((q * (slope - mean).square()).sum()) / n))


def masses(density: GaussianMixture, edge: float) -> Tensor:
    """Return the probability of each cell of the plane, (m · m,), float64.

    edge: of a cell, at most. The cells at the border of [0, 1]² reach to infinity.
    """
    cuts = torch.linspace(0, 1, cells(edge) + 1, dtype=torch.float64)
    cuts[0], cuts[-1] = -math.inf, math.inf
    centres = torch.tensor(density.centres, dtype=torch.float64)
    # (k, 2, 1) against (m + 1,) -> (k, 2, m): what each coordinate has in each interval
    parts = torch.special.ndtr((cuts - centres[:, :, None]) / density.sd).diff(dim=2)
    weights = torch.tensor(density.weights, dtype=torch.float64)
    return torch.einsum("k,kx,ky->xy", weights, parts[:, 0], parts[:, 1]).flatten()


def shares(x: Tensor, edge: float) -> Tensor:
    """Return the share of points (n, ..., 2) of [0, 1]² in each cell, (m · m,)."""
    m = cells(edge)
    # (n, ..., 2) -> (n, 2)
    places = (x.flatten(1).double() * m).long().clamp_(0, m - 1)
    return (places[:, 0] * m + places[:, 1]).bincount(minlength=m * m).double() / len(x)


def cells(edge: float) -> int:
    """Return into how many intervals [0, 1] is divided, none longer than `edge`."""
    return math.ceil(1 / edge - 1e-9)
