"""How wide is a Gaussian around each of many centres, to make given points likely?

    p(x) = 1/n Σ_j N(x; s_j, v_j · 1) + N(0.9 (x − x̄); 0, v₀ · 1)

The variances v maximise the mean of log p over the points. The second term, whose weight
is 1, is of the mean of the points: it keeps the centres from stretching to points that
none is near. It is left out once the variances are found. Each step of expectation and
maximisation is a sum over all pairs, and no step makes the points less likely:

    v_j = Σ_i r_ij ‖x_i − s_j‖² / (k Σ_i r_ij),      r_ij the share of centre j in p(x_i)

A centre that lies on a point could be arbitrarily narrow, and p as large as one likes:
no variance falls below `LEAST` / k. The error of distances in float32, 1e-4 for
standardised features, is a tenth of `LEAST`.

Source: Jiralerspong et al. (2023), arXiv 2302.04440, as released in the authors'
repository marcojira/fld: the second term, the start, and `LEAST`, which it adds to the
first distances alone.
Differs from the release: expectation and maximisation in place of 50 epochs of Adam with
a step of 0.5, which moves the widths of centres that lose all their points; v is bounded
below by LEAST / k, not by e⁻⁴⁰, which distances in float32 do not resolve.
Reference implementation: float64 automatic differentiation, whose gradient is 0 at the
result. There are many optima: the mean of log p / k agrees with that after the release's
steps within 1e-3, and either may be the higher.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from genmodel_bench.metrics.distances import full_precision, squared_norms
from torch import Tensor

LEAST = 1e-3
"""No variance is less than this over k."""

STEPS = 50
"""The most steps of expectation and maximisation."""

GAIN = 1e-5
"""The last step gained less than this, in nats per dimension."""

BLOCK = 2**19
"""How many distances are held at once, if there are no more centres than that."""

NOTHING = -80.0
"""Smaller exponents are raised to this one: below −87 they are slow, and negligible here.

A centre whose share of all points is about e⁻⁸⁰ of one point keeps its variance.
"""


@torch.no_grad()
@full_precision()
def fitted_variances(x: Tensor, centres: Tensor) -> Tensor:
    """Return the variance of the Gaussian around each centre, (n,), float64.

    x: (m, k), the points that are to be likely; centres: (n, k), of the same float dtype.
    """
    n, k = centres.shape
    nearest = torch.full((n,), torch.inf, dtype=x.dtype, device=x.device)
    for _, distances in distance_blocks(x, centres):
        nearest = torch.minimum(nearest, distances.amin(0))
    variances = (nearest.double() + LEAST) / k
    to_mean = 0.81 * squared_norms(x - x.mean(0))  # (m,)
    wide = torch.ones((), dtype=torch.float64, device=x.device)
    before = -math.inf
    spare = torch.empty(rows_at_once(n), n, dtype=x.dtype, device=x.device)
    for _ in range(STEPS):
        shares, sums = torch.zeros_like(variances), torch.zeros_like(variances)
        log_p, of_mean = [], []
        a, b = terms(variances, x)
        for rows, distances in distance_blocks(x, centres):
            exponents = torch.addcmul(b, distances, a, out=spare[: len(distances)])  # (rows, n)
            behind = -to_mean[rows] / (2 * wide) - k / 2 * (2 * math.pi * wide).log()
            largest = torch.maximum(exponents.amax(1).double(), behind)
            mass = exponents.sub_(largest.to(x.dtype)[:, None]).clamp_min_(NOTHING).exp_()
            rest = (behind - largest).exp()
            total = mass.sum(1).double() + rest
            each = (1 / total).to(x.dtype)
            shares += each @ mass  # (rows,) @ (rows, n) -> (n,)
            sums += each @ mass.mul_(distances)
            log_p.append(largest + total.log())
            of_mean.append(rest / total)
        now = float(torch.cat(log_p).mean()) / k
        if now - before < GAIN:
            break
        before = now
        alive = shares > math.exp(NOTHING / 2)
        variances = torch.where(alive, sums / (k * shares.clamp_min(1e-300)), variances).clamp_min(LEAST / k)
        share = torch.cat(of_mean)
        if float(share.sum()) > 0:
            wide = ((share * to_mean).sum() / (k * share.sum())).clamp_min(LEAST / k)
    return variances


@torch.no_grad()
@full_precision()
def log_probs(x: Tensor, centres: Tensor, variances: Tensor) -> Tensor:
    """Return log p(x), (m,), float64, in nats, without the term of the mean.

    x: (m, k), centres: (n, k), of the same float dtype, variances: (n,), float64.
    """
    found = []
    a, b = terms(variances, x)
    for _, distances in distance_blocks(x, centres):
        exponents = distances.mul_(a).add_(b)
        largest = exponents.amax(1, keepdim=True)
        mass = exponents.sub_(largest).clamp_min_(NOTHING).exp_().sum(1)
        found.append(largest[:, 0].double() + mass.double().log())
    return torch.cat(found)


def terms(variances: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return a and b, (n,) each, with log(N(x; s, v · 1) / n) = a ‖x − s‖² + b."""
    shift = -x.shape[1] / 2 * (2 * math.pi * variances).log() - math.log(len(variances))
    return (-0.5 / variances).to(x.dtype), shift.to(x.dtype)


def rows_at_once(n: int) -> int:
    """Return how many rows of n distances are in a block."""
    return max(1, BLOCK // n)


def distance_blocks(x: Tensor, centres: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Yield rows of x and their squared distances to all centres, (rows, n), ≥ 0.

    A row is whole: the shares of the centres add up to 1 in it. Each block overwrites the
    one before it.
    """
    middle = centres.mean(0)
    s = centres - middle
    s2 = squared_norms(s).to(x.dtype)
    step = min(rows_at_once(len(s)), len(x))
    buffer = torch.empty(step, len(s), dtype=x.dtype, device=x.device)
    for i in range(0, len(x), step):
        xi = x[i : i + step] - middle
        distances = torch.addmm(s2, xi, s.T, alpha=-2, out=buffer[: len(xi)])
        yield slice(i, i + len(xi)), distances.add_(squared_norms(xi).to(x.dtype)[:, None]).clamp_min_(0)
