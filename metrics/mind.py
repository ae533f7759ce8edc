"""What is the sliced Wasserstein distance of two sets of points, and what does each add?

    MIND = 3d · mean over u of W₂²(u·x, u·y),      W₂²(a, b) = 1/N Σ_j (a₍ⱼ₎ − b₍ⱼ₎)²

u are unit vectors of d dimensions, x and y are N points each, and a₍ⱼ₎ is the j-th
smallest. For two Gaussians with means μ, ν and covariances s²·1, t²·1 it is
3 |μ − ν|² + 3d (s − t)², as N grows.

By duality W₂² is the mean of a potential over x plus the mean of another over y. The
potentials are the derivatives of W₂² by the weights of the points: their variances, over
N, are the variances of MIND that come from x and from y. Where x and y have the same
distribution, this is more than the true variance.

Source: Berthet et al. (2026), MIND: Monge Inception Distance, arXiv 2605.06797.
Differs from the paper: the directions form orthonormal bases, instead of being
independent (Rowland et al. 2019, Orthogonal Estimation of Wasserstein Distances). The
mean over u is the same; its error is a quarter or less on MNIST, two fifths on `digits`.
Reference implementation: `mind_features_to_metric` in the repository of torch-fidelity
(not yet in its version 0.4.0), with the same directions agreed within 1e-6 relative.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from genmodel_bench.metrics.distances import full_precision
from torch import Tensor
from torch.nn.functional import pad

BASIS = 2**24
"""The most numbers in a basis: where d is larger than 4,096, it is not a whole one."""

CHUNK = 2**20
"""How many projections of a set are made at once, or one direction's of a larger set."""


@dataclass(frozen=True)
class Pair:
    """MIND of one set and one test set.

    by_test: what each test point adds, (N,) float64; their mean is MIND.
    variance: of MIND, the part that comes from the set.
    """

    by_test: Tensor
    variance: float


@torch.no_grad()
def mind(sets: Sequence[Tensor], tests: Sequence[Tensor], u: Tensor) -> list[list[Pair]]:
    """Return MIND of each of `sets`, (n, d), and each of `tests`, (m, d): [test][set].

    u: the directions, (slices, d), of length 1, the same for all. N is the least of m and
    all n. A set of n points is n // N sets of N, whose MIND are averaged.
    """
    sizes = [min(len(points) for points in (*sets, test)) for test in tests]
    of_tests = [[u.new_zeros(size, dtype=torch.float64) for _ in sets] for size in sizes]
    of_sets = [[u.new_zeros(len(x) // n, n, dtype=torch.float64) for x in sets] for n in sizes]
    with full_precision():
        step = max(1, CHUNK // max(map(len, sets)))
        for part in (u[i : i + step] for i in range(0, len(u), step)):
            y = [in_order(blocks(part @ test.T, size)[:, 0]) for test, size in zip(tests, sizes, strict=True)]
            for k, x in enumerate(sets):
                projected = part @ x.T  # (rows, d) @ (d, n) -> (rows, n)
                for (ordered, places), size, of_test, of_set in zip(y, sizes, of_tests, of_sets, strict=True):
                    mine, my_places = in_order(blocks(projected, size))
                    cost, potential = transport(mine, ordered[:, None])
                    of_test[k] += put_back(potential.mean(1), places)
                    of_set[k] += put_back(cost - potential, my_places)
    scale = 3 * u.shape[1] / len(u)
    return [
        [Pair(scale * y, scale**2 * float(x.var(correction=0)) / x.numel()) for y, x in zip(*of, strict=True)]
        for of in zip(of_tests, of_sets, strict=True)
    ]


def directions(d: int, slices: int, like: Tensor) -> Tensor:
    """Return random directions, (m, d), of the dtype and device of `like`.

    They are orthonormal bases, as many as make m closest to `slices`, at least one.
    """
    rows = min(d, max(1, BASIS // d))
    bases = [
        torch.linalg.qr(torch.randn(d, rows, dtype=like.dtype, device=like.device)).Q.T
        for _ in range(max(1, round(slices / rows)))
    ]
    return torch.cat(bases)


def shuffled(n: int, like: Tensor) -> Tensor:
    """Return a permutation of n indices, always the same one."""
    return torch.randperm(n, generator=torch.Generator().manual_seed(0)).to(like.device)


def blocks(values: Tensor, size: int) -> Tensor:
    """Return n values as blocks of `size`: (rows, n) -> (rows, n // size, size).

    Of those left over none is used. Which ones are in a block is random, whatever the
    order of the set, and the same for all rows.
    """
    n = values.shape[1]
    if n > size:
        values = values[:, shuffled(n, values)[: n // size * size]]
    return values.reshape(len(values), -1, size)


def in_order(values: Tensor) -> tuple[Tensor, Tensor]:
    """Return values in ascending order along the last axis, and where they were."""
    if values.device.type != "cpu":
        ordered, order = values.sort()
        return ordered, order
    places = torch.from_numpy(np.argsort(values.numpy(), -1))  # a third of torch's time
    return values.gather(-1, places), places


def put_back(values: Tensor, places: Tensor) -> Tensor:
    """Return values where they were before `in_order`, summed over the first axis."""
    return torch.empty_like(values).scatter_(-1, places, values).sum(0)


def transport(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Return (x − y)² of points in ascending order, and the potential at each y.

    x, y: (..., n), both results float64, (..., n). The mean of each is W₂²; the potential
    at each x, of mean 0, is the first minus the second.
    """
    apart = y.double() - x
    cost = apart.square()
    # Its slope is 2 (y − x); between two points it is the mean of theirs.
    steps = y.diff() * (apart[..., 1:] + apart[..., :-1])
    potential = pad(steps.cumsum(-1), (1, 0))
    return cost, potential + (cost.mean(-1, keepdim=True) - potential.mean(-1, keepdim=True))
