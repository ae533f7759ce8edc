"""From which density were the images of a toy data set drawn?

    p(x) = Σ_k w_k N(x; μ_k, σ² · 1)

The images are points: all their pixels, one after the other, are the coordinates. A
`Reference` whose density is known has it as `density`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

CHUNK = 2**14
"""How many points are compared with all centres at once."""


@dataclass(frozen=True)
class GaussianMixture:
    """Round Gaussians of one width. Plain numbers: it travels to any process or device.

    centres: d coordinates of each mean.
    weights: the probability of each, which sum to 1.
    sd: the standard deviation of each in every direction.
    """

    centres: tuple[tuple[float, ...], ...]
    weights: tuple[float, ...]
    sd: float

    def log_prob(self, x: Tensor) -> Tensor:
        """Return log p of points in nats: (n, ...) -> (n,), float64."""
        return torch.cat([self._log_prob(part) for part in torch.split(x, CHUNK)])

    def nearest(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return each point's nearest centre, and how many sd it is away: (n,), (n,)."""
        found = [(self._squares(part) / self.sd**2).min(1) for part in torch.split(x, CHUNK)]
        return torch.cat([each.indices for each in found]), torch.cat([each.values.sqrt() for each in found])

    def _log_prob(self, x: Tensor) -> Tensor:
        d = len(self.centres[0])
        weights = torch.tensor(self.weights, dtype=torch.float64, device=x.device)
        exponents = weights.log() - self._squares(x) / (2 * self.sd**2)
        return exponents.logsumexp(1) - d * math.log(self.sd * math.sqrt(2 * math.pi))

    def _squares(self, x: Tensor) -> Tensor:
        """Return squared distances of points to centres, (n, k), float64."""
        centres = torch.tensor(self.centres, dtype=torch.float64, device=x.device)
        points = x.flatten(1).double()
        if points.shape[1] != centres.shape[1]:
            raise ValueError(
                f"density: got points of {points.shape[1]} coordinates, expected {centres.shape[1]}"
            )
        # (n, 1, d) − (k, d) -> (n, k)
        return (points[:, None] - centres).square().sum(2)
