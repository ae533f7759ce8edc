"""What log-likelihood does a Parzen window over a model's samples give the test images?

    log p(x) = log 1/N Σ_j exp(−‖x − s_j‖² / 2σ²) − d log(σ √(2π))                        nats, pixels in [0, 1]

σ maximises the mean over the first 1,000 validation images on the grid logspace(−1, 0, 10); the score is the mean over the test
images, higher is better, ± its standard error over them.

Source: Goodfellow et al. (2014), arXiv 1406.2661, section 5 and Table 1; Breuleux, Bengio and Vincent (2011). The protocol is
that of the authors' released `parzen_ll.py`, without its `limit_size = -1` quirk that drops an image.
What it measures: closeness of the samples to the data in pixel space. What it misses: everything else. It grows with N, it
prefers k-means centroids to real images, conditional means to draws, and it depends strongly on σ (Theis et al. 2016,
arXiv 1511.01844). Bias: far under the true log-likelihood in high dimension, at any N one can afford.
Reference implementation: float64 `scipy.special.logsumexp` over explicit differences, agreed within 5e-3 nats in float32 for
d ≤ 2304 (the error grows with d) and within 1e-9 in float64. scikit-learn's `KernelDensity` is none: version 1.9.1 is wrong by 68 nats
at d = 64 and by about 1,500 at d = 784 (it is right for d ≤ 8).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from metrics.base import Reference, Result, Score, Subject
from metrics.distances import squared_distance_blocks

PAPER_SIGMAS = tuple(float(s) for s in np.logspace(-1, 0, 10))


@torch.no_grad()
def parzen_log_probs(x: Tensor, centres: Tensor, sigmas: Sequence[float]) -> Tensor:
    """Return log p(x) in nats under an isotropic Gaussian window at each centre, for each σ: (len(sigmas), n), float64.

    x: (n, d) points, centres: (N, d), both of one float dtype in the unit of σ; the distances are shared by all σ, and memory is
    bounded whatever n and N are. Raises ValueError for an empty set, a mismatch of d, or σ ≤ 0.
    """
    if len(x) == 0 or len(centres) == 0 or x.shape[1] != centres.shape[1]:
        raise ValueError(f"parzen: expected (n, d) and (N, d) with n, N ≥ 1, got {tuple(x.shape)} and {tuple(centres.shape)}")
    if not sigmas or min(sigmas) <= 0:
        raise ValueError(f"parzen: sigma must be positive, got {list(sigmas)}")
    total = torch.full((len(sigmas), len(x)), -torch.inf, dtype=torch.float64, device=x.device)
    for rows, _, d2 in squared_distance_blocks(x, centres):
        # The closest centre carries the sum: with it taken out, no exponential overflows and the largest term is 1.
        closest = d2.min(1, keepdim=True).values  # (rows, 1)
        d2 -= closest
        for k, sigma in enumerate(sigmas):
            scale = -0.5 / sigma**2
            mass = torch.mul(d2, scale).exp_().sum(1, dtype=torch.float64)  # (rows,), in [1, columns]
            total[k, rows] = torch.logaddexp(total[k, rows], mass.log() + scale * closest[:, 0].double())
    d = x.shape[1]
    norm = [math.log(len(centres)) + d * math.log(s * math.sqrt(2 * math.pi)) for s in sigmas]
    return total - torch.tensor(norm, dtype=total.dtype, device=total.device)[:, None]


def parzen_log_prob(x: Tensor, centres: Tensor, sigma: float) -> Tensor:
    """Return log p(x) in nats under an isotropic Gaussian window of width `sigma` at each centre: (n,), float64.

    x: (n, d), centres: (N, d), in the unit of sigma. Raises ValueError as `parzen_log_probs` does. Source: module docstring.
    """
    return parzen_log_probs(x, centres, [sigma])[0]


@dataclass(frozen=True)
class Parzen:
    """The paper's metric: σ from validation, the mean test log-likelihood in nats."""

    sigmas: tuple[float, ...] = PAPER_SIGMAS
    valid_images: int = 1000
    min_samples: int = 100
    needs: tuple[type, ...] = ()

    def __call__(self, subject: Subject, reference: Reference) -> Result:
        """Score `subject`; `reference.valid` chooses σ and `reference.test` is scored."""
        centres = subject.samples.flatten(1)  # (N, c, h, w) -> (N, d)
        valid = reference.valid[: self.valid_images].flatten(1)
        curve = parzen_log_probs(valid, centres, self.sigmas).mean(1)
        best = int(curve.argmax())
        sigma = self.sigmas[best]
        log_prob = parzen_log_prob(reference.test.flatten(1), centres, sigma)
        edge = best in (0, len(self.sigmas) - 1)
        score = Score(
            value=float(log_prob.mean()),
            stderr=float(log_prob.std(correction=0) / math.sqrt(len(log_prob))),
            stderr_over="test examples",
            n=len(log_prob),
            unit="nats",
            better="higher",
            warning=f"σ = {sigma:.4g} lies on the edge of its grid" if edge else "",
            settings={
                "sigma": sigma,
                "samples": len(centres),
                "valid_images": len(valid),
                "valid_value": float(curve[best]),
                "sigma_grid": [self.sigmas[0], self.sigmas[-1], len(self.sigmas)],
            },
        )
        return Result({"log_likelihood": score}, {"log_prob": log_prob, "sigma_curve": curve})
