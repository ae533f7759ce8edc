"""How likely are images under a mixture of independent pixels?

    p(x) = Σ_k pi_k Π_i theta_(k, i, x_i)

where theta_(k, i, l) is the probability of level l at pixel i in component k: Bernoullis
for binary images. EM fits it, in turn

    r_nk ∝ pi_k Π_i theta_(k, i, x_ni)
    theta_(k, i, l) = (Σ_n r_nk [x_ni = l] + a m_il) / (Σ_n r_nk + a)
    pi_k = (Σ_n r_nk + a) / (n + a K)

with m_il the share of level l at pixel i of all images, itself smoothed by one image of
all levels in equal parts: no probability is 0. Each round raises, or leaves,
log p(X) + a Σ m log theta + a Σ log pi, the log-likelihood with a Dirichlet prior.
Components start at random training images. A reference row for likelihoods: a model of
images that knows no shapes but those it has counted.

Source: Dempster, Laird, Rubin (1977), Maximum Likelihood from Incomplete Data via the EM
Algorithm; smoothed as the posterior mode (Bishop, 2006, section 9.3.3 and exercise 9.18).
Differs from the source: nothing but the smoothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from genmodel_bench.models.base import Shape, Stage, pick
from genmodel_bench.models.shared.levels import Output, check_levels
from torch import Tensor, nn

CHUNK = 2**25
"""How many numbers the indicators of some images' levels hold, at most."""


@dataclass(frozen=True)
class Config:
    """Mixture of `components`, each of independent pixels of `levels` grey levels.

    rounds: of EM.
    smoothing: a, how many images each component has besides its own, with the shares of
        all images.
    output: whether a sample is 'draws' or the 'means' of its component.
    """

    components: int = 500
    rounds: int = 40
    smoothing: float = 1.0
    levels: int = 2
    output: Output = "draws"

    KIND: ClassVar[str] = "models.mixture.Config"
    REFERENCE: ClassVar[bool] = True
    SAMPLING: ClassVar[tuple[str, ...]] = ("output",)
    ONLY: ClassVar[tuple[str, ...]] = ("digits", "digits-binary", "mnist-binary", "mnist-larochelle")
    BOUNDS: ClassVar = {"components": (1, None), "levels": (2, 257), "smoothing": (1e-6, None)}
    SETTINGS: ClassVar = {
        "digits": {"levels": 17, "components": 60, "smoothing": 10.0},
        "digits-binary": {"components": 60, "smoothing": 5.0},
    }
    SOURCES: ClassVar[tuple[str, ...]] = (
        """@article{dempster1977maximum,
            author = {Dempster, Arthur P. and Laird, Nan M. and Rubin, Donald B.},
            title = {Maximum Likelihood from Incomplete Data via the {EM} Algorithm},
            journal = {Journal of the Royal Statistical Society, Series B},
            volume = {39}, number = {1}, pages = {1--38}, year = {1977}}""",
    )

    def __post_init__(self) -> None:
        check_levels("mixture", self.levels)
        if self.components < 1:
            raise ValueError(f"mixture: components must be at least 1, got {self.components}")
        if not self.smoothing > 0:
            raise ValueError(f"mixture: smoothing must be above 0, got {self.smoothing}")

    def build(self, shape: Shape) -> Mixture:
        """Return an unfitted mixture for images of `shape`: (c, h, w)."""
        return Mixture(self, shape)


class Mixture(nn.Module):
    """The probabilities of a `Config`, for images of `shape`.

    log_pi: (components,).
    log_theta: (components, levels, d).
    shares: (levels, d), m of all training images.
    """

    dequantised = False

    def __init__(self, config: Config, shape: Shape) -> None:
        super().__init__()
        self.config, self.shape, self.levels = config, shape, config.levels
        k, d = config.components, math.prod(shape)
        self.register_buffer("log_pi", torch.full((k,), -math.log(k)))
        self.register_buffer("log_theta", torch.full((k, self.levels, d), -math.log(self.levels)))
        self.register_buffer("shares", torch.full((self.levels, d), 1 / self.levels))
        self.log_pi: Tensor
        self.log_theta: Tensor
        self.shares: Tensor

    @torch.no_grad()
    def initialise(self, x: Tensor) -> None:
        """Fit the mixture to x: (n, c, h, w), by EM."""
        self.start(x)
        for _ in range(self.config.rounds):
            self.round(x)

    @torch.no_grad()
    def start(self, x: Tensor) -> None:
        """Set the shares, and the components to random images of x: (n, c, h, w)."""
        counts = sum(self.indicators(part).sum(0, dtype=torch.float64) for part in self.parts(x))
        self.shares.copy_(self.with_first(counts + 1 / self.levels, len(x) + 1.0) / (len(x) + 1))
        chosen = self.indicators(pick(x, self.config.components))
        self.set_components(chosen.to(self.shares.dtype), chosen.new_ones(len(chosen)))

    @torch.no_grad()
    def round(self, x: Tensor) -> None:
        """Take one round of EM on x: (n, c, h, w)."""
        k, d = self.config.components, self.shares.shape[1]
        counts = self.shares.new_zeros(k, (self.levels - 1) * d)
        sizes = torch.zeros(k, dtype=torch.float64, device=x.device)
        for part in self.parts(x):
            seen = self.indicators(part)
            r = self.joint(seen).softmax(1)  # (n, k)
            counts.addmm_(r.T, seen.flatten(1))
            sizes += r.sum(0, dtype=torch.float64)
        self.set_components(counts.unflatten(1, (-1, d)), sizes.to(counts.dtype))

    def set_components(self, counts: Tensor, sizes: Tensor) -> None:
        """Set all probabilities from the counts of levels in each component.

        counts: (k, levels − 1, d), of the levels above 0; sizes: (k,), images in each.
        """
        a, n = self.config.smoothing, sizes.sum()
        smoothed = self.with_first(counts, sizes[:, None]).clamp_min(0) + a * self.shares
        self.log_theta.copy_((smoothed / (sizes[:, None, None] + a)).log())
        self.log_pi.copy_(((sizes + a) / (n + a * len(sizes))).log())

    def with_first(self, counts: Tensor, total: Tensor | float) -> Tensor:
        """Return counts of all levels from those above 0: (..., levels − 1, d)."""
        first = total - counts.sum(-2)  # (..., d)
        return torch.cat([first.unsqueeze(-2), counts], -2)

    def parts(self, x: Tensor) -> Sequence[Tensor]:
        """Return x in parts whose indicators are of bounded size."""
        return x.split(max(1, CHUNK // (max(1, self.levels - 1) * self.shares.shape[1])))

    def indicators(self, x: Tensor) -> Tensor:
        """Return which level above 0 pixels have: (n, c, h, w) -> (n, levels − 1, d)."""
        level = (x.flatten(1) * (self.levels - 1)).round()  # (n, c, h, w) -> (n, d)
        if self.levels == 2:
            return level[:, None].to(self.shares.dtype)
        above = torch.arange(1, self.levels, device=x.device)
        return (level[:, None] == above[:, None]).to(self.shares.dtype)

    def joint(self, seen: Tensor) -> Tensor:
        """Return log pi_k p(x|k) of images by their indicators: (n, k)."""
        # log p(x|k) is that of level 0 everywhere and what other levels change
        first, others = self.log_theta[:, :1], self.log_theta[:, 1:]
        base = self.log_pi + first.sum((1, 2))
        return torch.addmm(base, seen.flatten(1), (others - first).flatten(1).T)

    @torch.no_grad()
    def log_prob(self, x: Tensor) -> Tensor:
        """Return log p(x), (n, c, h, w) -> (n,), nats."""
        return torch.cat([self.joint(self.indicators(part)).logsumexp(1) for part in self.parts(x)])

    def objective(self, x: Tensor) -> float:
        """Return what EM never lowers: log p of all of x with that of its prior, nats."""
        prior = (self.shares * self.log_theta).sum() + self.log_pi.sum()
        return float(self.log_prob(x).double().sum() + self.config.smoothing * prior.double())

    def stages(self) -> Sequence[Stage]:
        """Return no stage: `initialise` has fitted everything."""
        return []

    @torch.no_grad()
    def sample(self, n: int) -> Tensor:
        """Return n draws, or the means of the components drawn, (n, c, h, w)."""
        which = torch.multinomial(self.log_pi.exp(), n, replacement=True)
        theta = self.log_theta.exp()
        if self.config.output == "means":
            grey = torch.linspace(0, 1, self.levels, device=theta.device)
            return torch.einsum("kld,l->kd", theta, grey)[which].clamp(0, 1).unflatten(1, self.shape)
        below = theta.cumsum(1)[:, :-1]  # (k, levels − 1, d): the probability of at most a level
        u = torch.rand(n, self.shares.shape[1], device=theta.device)
        level = torch.zeros_like(u)
        for i in range(self.levels - 1):
            level += u >= below[which, i]
        return (level / (self.levels - 1)).unflatten(1, self.shape)  # (n, d) -> (n, c, h, w)
