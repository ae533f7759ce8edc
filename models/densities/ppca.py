"""How likely are images under a Gaussian of a few directions and noise?

    x = W z + mu + sigma eps,  z ~ N(0, I_q), eps ~ N(0, I_d)
    log p(x) = log N(x; mu, W Wᵀ + sigma² I)                              nats per image

With the eigenvalues lambda_1 ≥ … ≥ lambda_d of the covariance of the data, U_q and
Lambda_q the first q vectors and values, the maximum of the likelihood is

    sigma² = mean of lambda_(q+1), …, lambda_d                            (eq. 8)
    W = U_q (Lambda_q − sigma² I)^½                                       (eq. 7)

The images have noise, x = (k + u) / levels, whose moments are known: mean ½ / levels and
variance 1 / (12 levels²) are added in closed form to those of the levels. A sample is a
draw of x, and the level of each pixel. A reference row for likelihoods of images with
noise: all that second moments know. It is a density of all real numbers: what it gives to
pixels outside [0, 1] is lost to it, as samples from there have the first or last level.

Source: Tipping and Bishop (1999), Probabilistic Principal Component Analysis, Journal of
the Royal Statistical Society B 61(3), sections 3.1 and 3.2.
Differs from the paper: nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from genmodel_bench.models.base import Prior, Shape, Stage
from genmodel_bench.models.shared.dequantised import to_levels
from genmodel_bench.models.shared.levels import check_levels
from torch import Tensor, nn


@dataclass(frozen=True)
class Config:
    """Probabilistic PCA with `latent` directions, of images with `levels` grey levels."""

    latent: int = 50
    levels: int = 256

    KIND: ClassVar[str] = "models.ppca.Config"
    REFERENCE: ClassVar[bool] = True
    SAMPLING: ClassVar[tuple[str, ...]] = ()
    ONLY: ClassVar[tuple[str, ...]] = ("digits", "mnist")
    BOUNDS: ClassVar = {"latent": (1, None), "levels": (2, 257)}
    SETTINGS: ClassVar = {"digits": {"levels": 17}}
    SOURCES: ClassVar[tuple[str, ...]] = (
        """@article{tipping1999probabilistic,
            author = {Tipping, Michael E. and Bishop, Christopher M.},
            title = {Probabilistic Principal Component Analysis},
            journal = {Journal of the Royal Statistical Society, Series B},
            volume = {61}, number = {3}, pages = {611--622}, year = {1999}}""",
    )

    def __post_init__(self) -> None:
        check_levels("ppca", self.levels)
        if self.latent < 1:
            raise ValueError(f"ppca: latent must be at least 1, got {self.latent}")

    def build(self, shape: Shape) -> PPCA:
        """Return an unfitted model for images of `shape`: (c, h, w)."""
        d = math.prod(shape)
        if self.latent >= d:
            raise ValueError(f"ppca: latent must be below the {d} numbers of an image, got {self.latent}")
        return PPCA(self, shape)


class PPCA(nn.Module):
    """The Gaussian of a `Config`, for images of `shape`; its parameters are float64.

    mu: (d,), directions: (d, q), U_q; values: (q,), lambda_1, …; noise: (), sigma².
    """

    prior: Prior = "gaussian"
    dequantised = True

    def __init__(self, config: Config, shape: Shape) -> None:
        super().__init__()
        self.config, self.shape, self.levels = config, shape, config.levels
        d, q = math.prod(shape), config.latent
        self.register_buffer("mu", torch.full((d,), 0.5, dtype=torch.float64))
        self.register_buffer("directions", torch.eye(d, q, dtype=torch.float64))
        self.register_buffer("values", torch.ones(q, dtype=torch.float64))
        self.register_buffer("noise", torch.ones((), dtype=torch.float64))
        self.mu: Tensor
        self.directions: Tensor
        self.values: Tensor
        self.noise: Tensor

    @torch.no_grad()
    def initialise(self, x: Tensor) -> None:
        """Fit the Gaussian to x: (n, c, h, w), pixels k / (levels − 1)."""
        q = self.config.latent
        k = x.flatten(1).double() * (self.levels - 1)  # (n, c, h, w) -> (n, d)
        covariance = torch.cov(k.T, correction=0)
        covariance.diagonal().add_(1 / 12)  # of u
        values, vectors = torch.linalg.eigh(covariance / self.levels**2)  # ascending
        self.mu.copy_((k.mean(0) + 0.5) / self.levels)
        self.directions.copy_(vectors[:, -q:].flip(1))
        self.values.copy_(values[-q:].flip(0))
        self.noise.copy_(values[:-q].mean())

    @property
    def weights(self) -> Tensor:
        """W: (d, q)."""
        return self.directions * (self.values - self.noise).clamp_min(0).sqrt()

    def stages(self) -> Sequence[Stage]:
        """Return no stage: `initialise` has fitted everything."""
        return []

    @torch.no_grad()
    def log_prob(self, x: Tensor) -> Tensor:
        """Return log p of pixels with noise, x: (n, c, h, w) -> (n,), float64, nats."""
        d, q = self.directions.shape
        centred = x.flatten(1).double() - self.mu  # (n, c, h, w) -> (n, d)
        along = (centred @ self.directions).square()  # (n, q)
        rest = centred.square().sum(1) - along.sum(1)
        log_det = self.values.log().sum() + (d - q) * self.noise.log()
        return -0.5 * (d * math.log(2 * math.pi) + log_det + (along / self.values).sum(1) + rest / self.noise)

    def latent(self, n: int) -> Tensor:
        """Return n draws z ~ N(0, I), (n, q)."""
        return torch.randn(n, self.config.latent, device=self.mu.device)

    def decode(self, z: Tensor) -> Tensor:
        """Return the means W z + mu within [0, 1]: (n, q) -> (n, c, h, w)."""
        # (n, d) -> (n, c, h, w)
        return (z @ self.weights.to(z.dtype).T + self.mu.to(z.dtype)).clamp(0, 1).unflatten(1, self.shape)

    @torch.no_grad()
    def sample(self, n: int) -> Tensor:
        """Return n draws of images of grey levels, (n, c, h, w)."""
        z = self.latent(n)
        x = z @ self.weights.to(z.dtype).T + self.mu.to(z.dtype)
        x = x + self.noise.sqrt().to(z.dtype) * torch.randn_like(x)
        return to_levels(x, self.levels).unflatten(1, self.shape)  # (n, d) -> (n, c, h, w)
