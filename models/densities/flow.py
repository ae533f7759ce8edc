"""How do affine couplings make an invertible net with an exact density?

Pixels with noise, x in [0, 1], are moved off the borders and mapped to all real numbers,
scaled by fixed numbers, and pass through couplings: of the two halves of the pixels, as
the black and the white squares of a checkerboard, one stays and moves the other,

    v = logit(y),  y = margin + (1 − 2 margin) x
    h = (v − shift) / scale
    h_b ← h_b · exp(s(h_a)) + t(h_a),  a and b in turn                    (eq. 7, 8)

up to z, which is N(0, I). Each step is undone in closed form, and with the log of each
Jacobian's determinant,

    log p(x) = log N(z; 0, I) + Σ s − Σ log scale
               + Σ log (1 − 2 margin) − Σ log y (1 − y)                   nats per image

is exact. It is trained by maximum likelihood, with new noise in each step. A sample is
z ~ N(0, I) mapped back, and the level of each pixel. Some of the mass lies where y is
nearer to 0 or 1 than the margin: the density of [0, 1] has an integral below 1, and
samples from there have the first or the last level.

Source: Dinh, Sohl-Dickstein, Bengio (2017), Density estimation using Real NVP,
arXiv 1605.08803, sections 3.2, 3.4 and 4.1; nets of tanh for s and ReLU for t, and the
margins, from Papamakarios et al. (2017), arXiv 1705.07057, and the authors' code.
Differs from the papers: dense nets on one scale, as in the second, whose halves are odd
and even pixels; no batch norm, but `shift` and `scale`, the moments of the training
logits, stay fixed; s = c · tanh(net), c trained; the last layer of each net starts at 0.
A rate that falls linearly to 0, and weight decay apart from the gradient.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from genmodel_bench.models.base import Prior, Shape, Stage
from genmodel_bench.models.shared.annealed import Annealed
from genmodel_bench.models.shared.dequantised import to_levels, with_noise
from genmodel_bench.models.shared.layers import mlp
from genmodel_bench.models.shared.levels import check_levels
from torch import Tensor, nn

AT_ONCE = 1000
"""How many images are mapped at once without gradients."""


@dataclass(frozen=True)
class Config:
    """Couplings whose nets have `hidden` layers, of images with `levels` grey levels.

    margin: how far from 0 and 1 pixels are kept, so that their logits are finite.
    """

    couplings: int = 6
    hidden: tuple[int, ...] = (512, 512)
    margin: float = 1e-6
    levels: int = 256
    epochs: int = 60
    batch_size: int = 100
    lr: float = 1e-3
    weight_decay: float = 1e-2

    KIND: ClassVar[str] = "models.flow.Config"
    REFERENCE: ClassVar[bool] = False
    SAMPLING: ClassVar[tuple[str, ...]] = ()
    ONLY: ClassVar[tuple[str, ...]] = ("digits", "mnist")
    BOUNDS: ClassVar = {"margin": (1e-7, 0.5), "levels": (2, 257), "weight_decay": (0, None)}
    SETTINGS: ClassVar = {
        "digits": {"levels": 17, "couplings": 4, "hidden": (128, 128), "margin": 0.05, "batch_size": 50},
    }
    SOURCES: ClassVar[tuple[str, ...]] = (
        """@inproceedings{dinh2017density,
            author = {Dinh, Laurent and Sohl-Dickstein, Jascha and Bengio, Samy},
            title = {Density Estimation using {Real NVP}},
            booktitle = {International Conference on Learning Representations},
            year = {2017}, eprint = {1605.08803}, archivePrefix = {arXiv}}""",
        """@inproceedings{papamakarios2017masked,
            author = {Papamakarios, George and Pavlakou, Theo and Murray, Iain},
            title = {Masked Autoregressive Flow for Density Estimation},
            booktitle = {Advances in Neural Information Processing Systems 30},
            year = {2017}, eprint = {1705.07057}, archivePrefix = {arXiv}}""",
    )

    def __post_init__(self) -> None:
        check_levels("flow", self.levels)
        if not 0 < self.margin < 0.5:
            raise ValueError(f"flow: margin must be above 0 and below 0.5, got {self.margin}")

    def build(self, shape: Shape) -> Flow:
        """Return an untrained model for images of `shape`: (c, h, w)."""
        if math.prod(shape) < 2:
            raise ValueError("flow: got images of one pixel, expected two or more")
        return Flow(self, shape)


class Coupling(nn.Module):
    """h_b ← h_b · exp(s(h_a)) + t(h_a) for the places a and b of a row."""

    def __init__(self, a: Tensor, b: Tensor, hidden: Sequence[int]) -> None:
        super().__init__()
        self.register_buffer("a", a)
        self.register_buffer("b", b)
        self.a: Tensor
        self.b: Tensor
        sizes = [len(a), *hidden, len(b)]
        self.s, self.t = mlp(sizes, nn.Tanh), mlp(sizes)
        self.c = nn.Parameter(torch.ones(len(b)))
        for net in (self.s, self.t):
            nn.init.zeros_(net[-1].weight)
            nn.init.zeros_(net[-1].bias)

    def moved(self, h: Tensor) -> tuple[Tensor, Tensor]:
        """Return s and t of rows h: (n, d) -> (n, len(b)) each."""
        seen = h[:, self.a]
        return self.c * self.s(seen).to(h.dtype).tanh(), self.t(seen).to(h.dtype)

    def forward(self, h: Tensor) -> tuple[Tensor, Tensor]:
        """Return the new rows, (n, d), and the log-determinant of each, (n,)."""
        s, t = self.moved(h)
        return h.index_copy(1, self.b, h[:, self.b] * s.exp() + t), s.sum(1)

    def inverse(self, h: Tensor) -> Tensor:
        """Return the rows that `forward` maps to h: (n, d)."""
        s, t = self.moved(h)
        return h.index_copy(1, self.b, (h[:, self.b] - t) * (-s).exp())


class Flow(nn.Module):
    """The couplings of a `Config`, for images of `shape`."""

    prior: Prior = "gaussian"
    dequantised = True

    def __init__(self, config: Config, shape: Shape) -> None:
        super().__init__()
        self.config, self.shape, self.levels = config, shape, config.levels
        self.d = math.prod(shape)
        channel, row, column = torch.meshgrid(*map(torch.arange, shape), indexing="ij")
        colour = (channel + row + column).flatten() % 2
        black, white = (torch.nonzero(colour == c)[:, 0] for c in (0, 1))
        halves = [(black, white), (white, black)]
        self.couplings = nn.ModuleList(
            Coupling(*halves[i % 2], config.hidden) for i in range(config.couplings)
        )
        self.register_buffer("shift", torch.zeros(self.d))
        self.register_buffer("scale", torch.ones(self.d))
        self.shift: Tensor
        self.scale: Tensor

    @torch.no_grad()
    def initialise(self, x: Tensor) -> None:
        """Set `shift` and `scale` to the moments of the logits of x: (n, c, h, w)."""
        v, _ = self.logits(with_noise(x, self.levels).flatten(1).double())
        self.shift.copy_(v.mean(0))
        self.scale.copy_(v.std(0).clamp_min(1e-3))

    def stages(self) -> Sequence[Stage]:
        """Return the one stage of maximum likelihood."""
        c = self.config
        self.descent = Annealed(self.parameters(), lr=c.lr, epochs=c.epochs, weight_decay=c.weight_decay)
        optimisers, schedules = [self.descent.optimiser], [self.descent.schedule]
        return [Stage("likelihood", c.epochs, c.batch_size, self.step, optimisers, schedules)]

    def step(self, x: Tensor, y: Tensor | None) -> dict[str, Tensor]:
        """Take one step up the log-density of x: (n, c, h, w), with new noise.

        Logs −log p(x') + d log(levels), nats per image of levels.
        """
        loss = -self.log_density(with_noise(x, self.levels)).mean()
        self.descent.descend(loss)
        return {"loss": loss.detach() + self.d * math.log(self.levels)}

    def logits(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return v and the log of dv/dx for pixels x: (n, d) in [0, 1] -> (n, d) each."""
        margin = self.config.margin
        inside = 1 - 2 * margin
        # 1 − y from 1 − x, which is exact where y is so near 1 that 1 − y would not be
        y, rest = margin + inside * x, margin + inside * (1 - x)
        return y.log() - rest.log(), math.log(inside) - y.log() - rest.log()

    def forward_map(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the code z of pixels x and the log-determinant of dz/dx.

        x: (n, c, h, w), with noise, in [0, 1]; z is (n, d), the log-determinant (n,).
        """
        v, slopes = self.logits(x.flatten(1))  # (n, c, h, w) -> (n, d)
        h, total = (v - self.shift) / self.scale, slopes.sum(1) - self.scale.log().sum()
        for coupling in self.couplings:
            h, more = coupling(h)
            total = total + more
        return h, total

    def inverse_map(self, z: Tensor) -> Tensor:
        """Return the pixels of codes z: (n, d) -> (n, c, h, w), in [0, 1]."""
        h = z
        for coupling in reversed(self.couplings):
            h = coupling.inverse(h)
        y = (h * self.scale + self.shift).sigmoid()
        x = (y - self.config.margin) / (1 - 2 * self.config.margin)
        return x.clamp(0, 1).unflatten(1, self.shape)  # (n, d) -> (n, c, h, w)

    def log_density(self, x: Tensor) -> Tensor:
        """Return log p(x) as `log_prob` does, by autograd differentiable."""
        z, log_det = self.forward_map(x)
        return log_det - 0.5 * z.square().sum(1) - 0.5 * self.d * math.log(2 * math.pi)

    @torch.no_grad()
    def log_prob(self, x: Tensor) -> Tensor:
        """Return log p of pixels with noise, x: (n, c, h, w) in [0, 1] -> (n,), nats."""
        return torch.cat([self.log_density(part) for part in x.split(AT_ONCE)])

    def latent(self, n: int) -> Tensor:
        """Return n draws z ~ N(0, I), (n, d)."""
        return torch.randn(n, self.d, device=self.shift.device)

    def decode(self, z: Tensor) -> Tensor:
        """Return the pixels, with noise, of codes z: (n, d) -> (n, c, h, w)."""
        return self.inverse_map(z)

    @torch.no_grad()
    def sample(self, n: int) -> Tensor:
        """Return n draws of images of grey levels, (n, c, h, w)."""
        sizes = [min(AT_ONCE, n - start) for start in range(0, n, AT_ONCE)]
        return torch.cat([to_levels(self.decode(self.latent(size)), self.levels) for size in sizes])
