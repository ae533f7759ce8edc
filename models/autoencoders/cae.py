"""How does a stacked contractive auto-encoder train and sample?

Each layer encodes h = σ(x W + c) and decodes r = σ(h Wᵀ + b), with tied weights, and
minimises

    cross-entropy(x, r) + λ ‖J‖²_F,
    ‖J‖²_F = Σ_j (h_j (1 − h_j))² ‖W_:j‖²,    J = ∂h/∂x,

summed over pixels and averaged over images. The reconstruction makes the code sensitive
to the directions in which the data vary, the penalty makes it insensitive to all others.
Layers are learned greedily, each on the codes of the one below. J's leading singular
vectors span the directions in which the data vary, so that a random walk along them stays
close to the data. Each step of the walk changes the top code,

    h ← h + J Jᵀ ε,    ε ~ N(0, step² I),
    J Jᵀ = (WᵀW) ∘ (s sᵀ),    s = h (1 − h),

decodes it to an image and encodes the image again. A sample is the last image of a walk.

Source: Rifai, Vincent, Muller, Glorot and Bengio (2011), Contractive auto-encoders;
Rifai, Bengio, Dauphin and Vincent (2012), A generative process for sampling contractive
auto-encoders, arXiv 1206.6434, algorithm 1; as a baseline of Table 1: Bengio, Mesnil,
Dauphin and Rifai (2013), arXiv 1207.4404.
Differs from the papers: a re-implementation, since sizes, λ, step and chain lengths of
the published baseline cannot be recovered, nor whether its J is the Jacobian of the top
layer, as here, or of the whole stack; Adam instead of plain gradient descent. Walks run
in parallel, each from a random one of `starts` training images. Samples are decoded
means, which the Parzen metric favours over draws.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from genmodel_bench.models.base import Shape, Stage, pick
from genmodel_bench.models.papers import BENGIO_2013
from genmodel_bench.models.shared.layers import pixel_logits, squared_norms
from genmodel_bench.models.shared.optim import adam
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, linear


@dataclass(frozen=True)
class Config:
    """Stacked contractive auto-encoder; `contraction` is λ.

    `hidden` are the layers' sizes from the bottom up. The walk of a sample has
    `sample_steps` steps of standard deviation `step` and starts at a random one of
    `starts` training images.
    """

    hidden: tuple[int, ...] = (1000, 1000)
    contraction: float = 0.5
    epochs: int = 30
    batch_size: int = 100
    lr: float = 1e-3
    starts: int = 1000
    sample_steps: int = 30
    step: float = 0.3

    KIND: ClassVar[str] = "models.cae.Config"
    REFERENCE: ClassVar[bool] = False
    SAMPLING: ClassVar[tuple[str, ...]] = ("sample_steps", "step")
    BOUNDS: ClassVar = {"contraction": (0, None), "step": (0, None)}
    SETTINGS: ClassVar = {
        "digits": {"hidden": (128, 128), "contraction": 0.1, "epochs": 100, "batch_size": 50},
        "olivetti": {"hidden": (500, 500), "epochs": 150, "batch_size": 20},
    }
    SOURCES: ClassVar[tuple[str, ...]] = (
        """@inproceedings{rifai2011contractive,
            author = {Rifai, Salah and Vincent, Pascal and Muller, Xavier and Glorot, Xavier and
                Bengio, Yoshua},
            title = {Contractive Auto-Encoders: Explicit Invariance During Feature Extraction},
            booktitle = {Proceedings of the 28th International Conference on Machine Learning},
            year = {2011}}""",
        """@inproceedings{rifai2012generative,
            author = {Rifai, Salah and Bengio, Yoshua and Dauphin, Yann and Vincent, Pascal},
            title = {A Generative Process for Sampling Contractive Auto-Encoders},
            booktitle = {Proceedings of the 29th International Conference on Machine Learning},
            year = {2012}, eprint = {1206.6434}, archivePrefix = {arXiv}}""",
        BENGIO_2013,
    )

    def __post_init__(self) -> None:
        if not self.hidden:
            raise ValueError("cae: hidden needs at least one layer, got ()")
        if self.starts < 1 or self.sample_steps < 1:
            raise ValueError(
                f"cae: expected starts and sample_steps ≥ 1, got {self.starts} and {self.sample_steps}"
            )

    def build(self, shape: Shape) -> StackedCAE:
        """Return an untrained stack for images of `shape`: (c, h, w)."""
        return StackedCAE(self, shape)


class CAE(nn.Module):
    """One layer: weights W: (n_in, n_out), biases c of the code and b of the decoder."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        # Glorot and Bengio (2010), for logistic units
        r = 4 * math.sqrt(6 / (n_in + n_out))
        self.W = nn.Parameter(torch.empty(n_in, n_out).uniform_(-r, r))
        self.c, self.b = nn.Parameter(torch.zeros(n_out)), nn.Parameter(torch.zeros(n_in))

    def encode(self, x: Tensor) -> Tensor:
        """Return h: (n, n_out) for x: (n, n_in)."""
        return (x @ self.W + self.c).sigmoid()

    def logits(self, h: Tensor) -> Tensor:
        """Return the logits of the reconstruction of h: (n, n_out) -> (n, n_in)."""
        return linear(h, self.W, self.b).to(h.dtype)

    def contraction(self, h: Tensor) -> Tensor:
        """Return ‖∂h/∂x‖²_F for codes h: (n, n_out) -> (n,)."""
        return (h * (1 - h)).square() @ squared_norms(self.W)

    def walk(self, h: Tensor, eps: Tensor) -> Tensor:
        """Return h + J Jᵀ eps for codes h and noise eps, (n, n_out) each.

        J Jᵀ is never formed.
        """
        s = h * (1 - h)
        # J = diag(s) Wᵀ: (n_out, n_in), so J Jᵀ eps = s ∘ Wᵀ(W(s ∘ eps))
        return h + s * (linear(s * eps, self.W) @ self.W)


class StackedCAE(nn.Module):
    """The layers of a `Config`, the bottom one over the pixels of `shape`.

    `starts`: (starts, d) are the training images at which walks start.
    """

    def __init__(self, config: Config, shape: Shape) -> None:
        super().__init__()
        self.config, self.shape = config, shape
        sizes = [math.prod(shape), *config.hidden]
        self.layers = nn.ModuleList(CAE(a, b) for a, b in zip(sizes[:-1], sizes[1:], strict=True))
        self.register_buffer("starts", torch.zeros(config.starts, sizes[0]))
        self.starts: Tensor

    @torch.no_grad()
    def initialise(self, x: Tensor) -> None:
        """Set the bottom decoder's bias, and keep random training images as `starts`.

        The bias is the logit of the pixel means of x: (n, c, h, w).
        """
        self.layers[0].b.copy_(pixel_logits(x, eps=1e-3))
        self.starts.copy_(pick(x.flatten(1), self.config.starts))

    def stages(self) -> Sequence[Stage]:
        """Return one stage per layer, from the bottom up."""
        return [self.stage(i) for i in range(len(self.layers))]

    def stage(self, i: int) -> Stage:
        """Return the training phase of layer i, on the codes of the layers below."""
        c = self.config
        optimiser = adam(self.layers[i].parameters(), lr=c.lr)
        return Stage(
            f"cae{i + 1}",
            c.epochs,
            c.batch_size,
            partial(self.step, i, optimiser),
            [optimiser],
            inputs=partial(self.codes, layers=i),
        )

    @torch.no_grad()
    def codes(self, x: Tensor, *, layers: int) -> Tensor:
        """Return the codes of images x after the first `layers` layers.

        (n, c, h, w) or (n, d) -> (n, size).
        """
        h = x.flatten(1)  # (n, c, h, w) -> (n, d)
        for layer in self.layers[:layers]:
            h = layer.encode(h)
        return h

    def step(self, i: int, optimiser: torch.optim.Adam, x: Tensor, y: Tensor | None) -> dict[str, Tensor]:
        """Take one Adam step of layer i on its input x: (n, n_in).

        Logs the reconstruction in nats per image, and ‖J‖²_F.
        """
        layer = self.layers[i]
        h = layer.encode(x)
        reconstruction = binary_cross_entropy_with_logits(layer.logits(h), x, reduction="none").sum(1).mean()
        contraction = layer.contraction(h).mean()
        loss = reconstruction + self.config.contraction * contraction
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        return {"reconstruction": reconstruction.detach(), "contraction": contraction.detach()}

    @torch.no_grad()
    def sample(self, n: int) -> Tensor:
        """Return the last images of n parallel walks, (n, c, h, w)."""
        x, top = pick(self.starts, n), self.layers[-1]
        assert isinstance(top, CAE)
        for _ in range(self.config.sample_steps):
            h = self.codes(x, layers=len(self.layers))
            h = top.walk(h, self.config.step * torch.randn_like(h))
            for layer in reversed(self.layers):
                h = layer.logits(h).sigmoid()
            x = h
        return x.view(n, *self.shape)  # (n, d) -> (n, c, h, w)
