"""Which rows calibrate a metric?

Four "models" whose quality is known beforehand: real training images, the best few
prototypes of them, the best Gaussian, and one constant image. A metric that ranks one of
the last three above the first measures something other than the quality of samples
(Theis, van den Oord and Bethge, 2016, A note on the evaluation of generative models,
arXiv 1511.01844).
They have no stages: `initialise` fits them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from genmodel_bench.models.base import Shape, Stage, pick
from torch import Tensor, nn


@dataclass(frozen=True)
class Data:
    """Real training images as samples: the score of a model that memorises them."""

    KIND: ClassVar[str] = "models.references.Data"
    REFERENCE: ClassVar[bool] = True
    SAMPLING: ClassVar[tuple[str, ...]] = ()
    SETTINGS: ClassVar = {}
    SOURCES: ClassVar[tuple[str, ...]] = (
        """@inproceedings{theis2016note,
            author = {Theis, Lucas and van den Oord, Aäron and Bethge, Matthias},
            title = {A Note on the Evaluation of Generative Models},
            booktitle = {International Conference on Learning Representations},
            year = {2016}, eprint = {1511.01844}, archivePrefix = {arXiv}}""",
    )

    def build(self, shape: Shape) -> Prototypes:
        """Return a model that will draw from the training images."""
        return Prototypes(clusters=None)


@dataclass(frozen=True)
class KMeans:
    """k-means centroids of the training images: prototypes, not a model of the data.

    A metric that prefers prototypes scores them above real images, as Parzen does.
    """

    clusters: int = 10_000
    iterations: int = 20

    KIND: ClassVar[str] = "models.references.KMeans"
    REFERENCE: ClassVar[bool] = True
    SAMPLING: ClassVar[tuple[str, ...]] = ()
    SETTINGS: ClassVar = {"digits": {"clusters": 600}, "olivetti": {"clusters": 120}}
    SOURCES: ClassVar[tuple[str, ...]] = Data.SOURCES

    def build(self, shape: Shape) -> Prototypes:
        """Return a model that will draw from the centroids."""
        return Prototypes(clusters=self.clusters, iterations=self.iterations)


class Prototypes(nn.Module):
    """Draws from a finite set of images, each once before any is drawn twice."""

    def __init__(self, *, clusters: int | None, iterations: int = 20) -> None:
        super().__init__()
        self.clusters, self.iterations = clusters, iterations

    def initialise(self, x: Tensor) -> None:
        """Keep the images x: (n, c, h, w), or `clusters` centroids of them.

        Lloyd's algorithm starts at random images.
        """
        self.prototypes = x if self.clusters is None else self.centroids(x, min(self.clusters, len(x)))

    def centroids(self, x: Tensor, k: int) -> Tensor:
        """Return k centroids of x: (n, c, h, w) -> (k, c, h, w)."""
        # imported here: it takes half a second, and no other model needs it
        from sklearn.cluster import KMeans as Lloyd

        seed = int(torch.randint(2**31, ()))
        fit = Lloyd(k, init="random", n_init=1, max_iter=self.iterations, random_state=seed).fit
        centres = fit(x.flatten(1).cpu().numpy()).cluster_centers_
        # (k, d) -> (k, c, h, w); rounding can put a mean of values in [0, 1] outside it
        return torch.from_numpy(centres).to(x).unflatten(1, x.shape[1:]).clamp(0, 1)

    def stages(self) -> Sequence[Stage]:
        """Return no stage: `initialise` has fitted everything."""
        return []

    def sample(self, n: int) -> Tensor:
        """Return n prototypes, (n, c, h, w)."""
        return pick(self.prototypes, n)


@dataclass(frozen=True)
class Gaussian:
    """Gaussian with the training images' mean and covariance, clipped to [0, 1].

    `rank` is the number of leading eigenvectors of the covariance that are kept: None for
    all, 0 for the mean image alone.
    """

    rank: int | None = None

    KIND: ClassVar[str] = "models.references.Gaussian"
    REFERENCE: ClassVar[bool] = True
    SAMPLING: ClassVar[tuple[str, ...]] = ()
    SETTINGS: ClassVar = {}
    SOURCES: ClassVar[tuple[str, ...]] = Data.SOURCES

    def build(self, shape: Shape) -> GaussianFit:
        """Return a model that will be fitted to mean and covariance."""
        return GaussianFit(self, shape)


class GaussianFit(nn.Module):
    """x = mean + A eps, eps ~ N(0, I), A Aᵀ the covariance, clipped to [0, 1]."""

    def __init__(self, config: Gaussian, shape: Shape) -> None:
        super().__init__()
        d = math.prod(shape)
        self.config, self.shape = config, shape
        self.register_buffer("mean", torch.zeros(d))
        self.register_buffer("factor", torch.zeros(d, d if config.rank is None else config.rank))
        self.mean: Tensor
        self.factor: Tensor

    @torch.no_grad()
    def initialise(self, x: Tensor) -> None:
        """Fit mean and covariance to x: (n, c, h, w), in float64."""
        x = x.flatten(1).double()  # (n, c, h, w) -> (n, d)
        self.mean.copy_(x.mean(0))
        # A constant pixel makes the covariance singular: values below 0 are rounding.
        values, vectors = torch.linalg.eigh(torch.cov(x.T, correction=0))
        k = self.factor.shape[1]
        self.factor.copy_((vectors * values.clamp_min(0).sqrt())[:, len(values) - k :])

    def stages(self) -> Sequence[Stage]:
        """Return no stage: `initialise` has fitted everything."""
        return []

    @torch.no_grad()
    def sample(self, n: int) -> Tensor:
        """Return n draws, (n, c, h, w)."""
        eps = torch.randn(n, self.factor.shape[1], device=self.factor.device)
        x = self.mean + eps @ self.factor.T
        return x.clamp(0, 1).unflatten(1, self.shape)  # (n, d) -> (n, c, h, w)
