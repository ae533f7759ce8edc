"""How far apart are the Gaussians fitted to two sets, and what does each point add?

    FD = |μ − ν|² + tr S + tr T − 2 tr (S½ T S½)½

is the squared 2-Wasserstein (Fréchet) distance of N(μ, S) and N(ν, T). Covariances are
divided by n − 1. The trace of the root is the sum of the singular values of S½ T½, taken
without squaring them first: that would cost half of the digits where n < k.

Sources: Dowson and Landau (1982), The Fréchet distance between multivariate normal
distributions, equation 4. The influence of a point is the Kantorovich potential of the
two Gaussians, 2 (μ − ν)·x + |x|² − x·A x for x without its mean, where the linear map A
carries N(0, S) to N(0, T).
"""

from __future__ import annotations

import torch
from torch import Tensor


class Gaussian:
    """The Gaussian fitted to points, in float64, and the points.

    points: (n, k). mean: (k,).
    axes: (k, r): the principal axes, each times the standard deviation along it, so that
        the covariance is axes axesᵀ; r is its rank. scale: these deviations, (r,).
    """

    def __init__(self, points: Tensor) -> None:
        """Fit the Gaussian to points, (n, k) with n ≥ 2."""
        self.points = points
        self.mean = points.double().mean(0)
        x = points.double() - self.mean
        variances, vectors = torch.linalg.eigh(x.T @ x / (len(x) - 1))
        # The rest is rounding, along axes in which the points have no extent.
        kept = variances > variances.max() * len(variances) * torch.finfo(x.dtype).eps
        self.scale = variances[kept].sqrt()
        self.axes = vectors[:, kept] * self.scale

    def influence(self, shift: Tensor, u: Tensor, sigma: Tensor) -> Tensor:
        """Return the derivative of FD by the weight of each point: (n,), of mean 0.

        shift: from the other mean to this one. u, sigma: axes, (r, s), and values, (s,),
            of (S½ T S½)½ in the coordinates `z`, in which A is u diag(sigma) uᵀ.
        """
        z = (self.points.double() - self.mean) @ (self.axes / self.scale.square())  # unit covariance
        values: Tensor = (
            z @ (2 * self.axes.T @ shift) + z.square() @ self.scale.square() - (z @ u).square() @ sigma
        )
        return values - values.mean()


def between(x: Gaussian, y: Gaussian) -> tuple[float, Tensor, Tensor]:
    """Return FD, and the influence of each point of x and of y on it, (n,) and (m,)."""
    shift = x.mean - y.mean
    u, sigma, vh = torch.linalg.svd(x.axes.T @ y.axes, full_matrices=False)
    spread = x.scale.square().sum() + y.scale.square().sum() - 2 * sigma.sum()
    value = shift.square().sum() + spread.clamp(min=0)  # below 0 by rounding alone
    return float(value), x.influence(shift, u, sigma), y.influence(-shift, vh.T, sigma)
