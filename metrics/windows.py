"""What is log p of points under isotropic Gaussian windows at many centres?

    log p(x) = log 1/N Σ_j exp(−‖x − s_j‖² / 2σ²) − d log(σ √(2π))      in nats

Reference implementation: float64 `scipy.special.logsumexp` over explicit differences,
agreed within 5e-3 nats for float32 images of any d and within 1e-9 for float64.
scikit-learn's `KernelDensity` cannot serve as one: version 1.9.1 is wrong by 68 nats at
d = 64 and by about 1,500 at d = 784 (it is right for d ≤ 8).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from genmodel_bench.metrics.distances import squared_distance_blocks
from torch import Tensor

PAPER_SIGMAS = tuple(float(s) for s in np.logspace(-1, 0, 10))

NOTHING = -80.0
"""Smaller exponents are raised to this one: such terms are negligible beside a term of 1.

A billion of them change the sum by 2e-26. Below −87 the results would be subnormal
numbers of float32, and a CPU takes a hundred times longer for such an exponential.
"""

SINGLE = 1024
"""The largest d at which distances of float32 points are computed in float32.

The errors grow with d: they are 2e-3 nats at d = 784, and would be 8e-3 at d = 2304.
"""

Range = tuple[int, int]
"""The centres from the first index up to, but not including, the second."""


@torch.no_grad()
def parzen_log_probs(x: Tensor, centres: Tensor, sigmas: Sequence[float]) -> Tensor:
    """Return log p(x) in nats under a Gaussian window at each centre, for each σ.

    x: (n, d) points, centres: (N, d), both of the same float dtype and in the unit of σ.
    Returns (len(sigmas), n), float64. All σ share the distances; memory is bounded
    whatever n and N are.

    Raises:
        ValueError: x, centres or sigmas is empty, the two differ in d, or a σ is ≤ 0.
    """
    if len(x) == 0 or len(centres) == 0 or x.shape[1] != centres.shape[1]:
        raise ValueError(
            f"parzen: expected (n, d) and (N, d) with n, N ≥ 1, "
            f"got {tuple(x.shape)} and {tuple(centres.shape)}"
        )
    if not sigmas or min(sigmas) <= 0:
        raise ValueError(f"parzen: sigma must be positive, got {list(sigmas)}")
    total = torch.full((len(sigmas), len(x)), -torch.inf, dtype=torch.float64, device=x.device)
    spare = torch.empty(0)
    dtype = torch.float64 if x.shape[1] > SINGLE else x.dtype
    # The blocks hold the exponents for the last σ; from them the others are computed.
    scale = -0.5 / sigmas[-1] ** 2
    for rows, _, a, b in squared_distance_blocks(x, centres, scale=scale, dtype=dtype):
        # The exponent of the closest centre is subtracted, as in log-sum-exp: the largest
        # term is then 1, and no exponential overflows.
        closest = b.amax(1, keepdim=True)  # (rows, 1)
        b -= closest
        # Rounding can make the exponent of nearly identical images positive.
        largest = (closest + a).clamp_max_(0)[:, 0]  # (rows, 1) -> (rows,)
        if spare.numel() < b.numel() and len(sigmas) > 1:
            spare = torch.empty_like(b).flatten()
        for k, sigma in enumerate(sigmas):
            ratio = (sigmas[-1] / sigma) ** 2
            exponents = b if k == len(sigmas) - 1 else torch.mul(b, ratio, out=spare[: b.numel()].view_as(b))
            mass = exponents.clamp_min_(NOTHING).exp_().sum(1)  # (rows,), in [1, columns]
            total[k, rows] = torch.logaddexp(total[k, rows], mass.double().log() + ratio * largest)
    d = x.shape[1]
    norm = [math.log(len(centres)) + d * math.log(s * math.sqrt(2 * math.pi)) for s in sigmas]
    return total - torch.tensor(norm, dtype=total.dtype, device=total.device)[:, None]


def parzen_log_prob(x: Tensor, centres: Tensor, sigma: float) -> Tensor:
    """Return log p(x) in nats under a Gaussian window of width `sigma` at each centre.

    x: (n, d), centres: (N, d), both in the unit of sigma. Returns (n,), float64. The
    formula is in the module docstring.

    Raises:
        ValueError: as for `parzen_log_probs`.
    """
    return parzen_log_probs(x, centres, [sigma])[0]


def pooled(parts: Tensor, pieces: Sequence[Range], within: Range) -> Tensor:
    """Return log p under the centres in `within`, (σ, n), combined from its pieces.

    parts: log p under the centres of each piece, (pieces, σ, n). The range is a union of
    pieces. A mixture of windows over N centres is the mean of the mixtures over its
    pieces, weighted by their numbers of centres.
    """
    lo, hi = within
    inside = [k for k, (a, b) in enumerate(pieces) if lo <= a and b <= hi]
    shares = [(pieces[k][1] - pieces[k][0]) / (hi - lo) for k in inside]
    log_shares = torch.tensor(shares, dtype=parts.dtype, device=parts.device).log()
    return (parts[inside] + log_shares[:, None, None]).logsumexp(0)
