"""How are fully connected nets trained under each of the adversarial losses?

All losses are played on the same nets by the same updates, so that rows of a table differ
in the loss alone: G of batch-normalised ReLU layers ends in a sigmoid, D is of leaky ReLU
layers with one output. What belongs to a method comes with it, as fields: WGAN's clipping
or gradient penalty with several updates of D for one of G, spectral normalisation, and
EBGAN's D, an auto-encoder whose reconstruction error is an image's energy,

    D(x) = ‖Dec(Enc(x)) − x‖.

`critics.py` has the losses with their sources, `players.py` how the players are updated.

Sources: those of `critics.py`; spectral normalisation: Miyato et al. (2018), arXiv
1802.05957.
Differs from the papers: the nets, their sizes, optimiser, rates and epochs, which are our
own and the same for all rows but for RMSProp with clipping (Arjovsky et al.: momentum
makes it unstable); weights start as torch's layers do.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal

import torch
from genmodel_bench.models.adversarial.critics import (
    Direction,
    Game,
    clip_,
    cross_entropy,
    energy,
    f_divergence,
    gradient_penalty,
    hinge,
    least_squares,
    repelling,
    wasserstein,
)
from genmodel_bench.models.adversarial.players import GAN, Players, Update
from genmodel_bench.models.base import Prior, Shape
from genmodel_bench.models.papers import (
    ARJOVSKY_2017,
    GOODFELLOW_2014,
    GULRAJANI_2017,
    MAO_2017,
    MIYATO_2018,
    NOWOZIN_2016,
    ZHAO_2017,
)
from genmodel_bench.models.shared.layers import mlp
from genmodel_bench.models.shared.optim import adam
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

Loss = Literal[
    "non-saturating", "minimax", "least-squares", "wasserstein", "hinge", "energy",
    "fgan-kl", "fgan-rkl", "fgan-pearson", "fgan-neyman", "fgan-hellinger", "fgan-jeffrey", "fgan-js",
    "fgan-gan",
]  # fmt: skip

PAPERS = {
    "non-saturating": (GOODFELLOW_2014,),
    "minimax": (GOODFELLOW_2014,),
    "least-squares": (MAO_2017,),
    "wasserstein": (ARJOVSKY_2017,),
    "hinge": (MIYATO_2018,),
    "energy": (ZHAO_2017,),
    "fgan": (NOWOZIN_2016,),
}
"""What to cite for each loss."""


@dataclass(frozen=True)
class Config:
    """Fully connected nets under one of the adversarial losses.

    `players.py` describes update and k.

    generator: for the f-divergences, whether G descends the bound of the 'divergence' or
        plays the 'trick', which does not saturate.
    j: updates of G per update of D.
    critic_epochs: epochs in which D is trained alone, before the others.
    generator_layers, critic_layers: units of the hidden layers; for the loss 'energy' the
        critic's are the encoder's, and one linear layer decodes.
    batch_norm: whether G's hidden layers are batch-normalised, which the exponential
        f-divergences need; `sample` uses the statistics of training, so that draws are
        independent.
    slope: of the critic's leaky ReLU below 0; 0 is a ReLU.
    clip: bound of the critic's parameters, enforced after each of its updates.
    penalty: weight of the gradient penalty in the critic's loss.
    spectral: whether the critic's weights are divided by their spectral norm.
    margin, repelling: EBGAN's margin, in the unit of the energy; weight in G's loss of
        the mean squared cosine between codes.
    optimiser: 'adam' with `betas`, or 'rmsprop' without momentum.
    """

    loss: Loss = "non-saturating"
    generator: Direction = "divergence"
    update: Update = "alternating"
    k: int = 1
    j: int = 1
    critic_epochs: int = 0
    latent: int = 100
    prior: Prior = "uniform"
    generator_layers: tuple[int, ...] = (512, 512)
    critic_layers: tuple[int, ...] = (512, 512)
    batch_norm: bool = True
    slope: float = 0.2
    clip: float | None = None
    penalty: float = 0.0
    spectral: bool = False
    margin: float = 10.0
    repelling: float = 0.0
    epochs: int = 100
    batch_size: int = 100
    optimiser: Literal["adam", "rmsprop"] = "adam"
    lr: float = 5e-4
    betas: tuple[float, float] = (0.5, 0.999)

    KIND: ClassVar[str] = "models.mlp_gan.Config"
    REFERENCE: ClassVar[bool] = False
    SAMPLING: ClassVar[tuple[str, ...]] = ()
    BOUNDS: ClassVar = {
        "slope": (0, 1),
        "betas": (0, 1),
        "batch_size": (2, None),  # of one image there is no batch norm and no pair of codes
        **{name: (0, None) for name in ("critic_epochs", "penalty", "repelling")},
    }
    SETTINGS: ClassVar = {
        "digits": {
            "latent": 32,
            "generator_layers": (256, 256),
            "critic_layers": (128, 128),
            "epochs": 80,
            "batch_size": 50,
            "margin": 3.0,
        },
        **{
            points: {
                "latent": 2,
                "prior": "gaussian",
                "generator_layers": (128, 128),
                "critic_layers": (128, 128),
                "margin": 1.0,
                "epochs": 60,
                "lr": 1e-3,
            }
            for points in ("ring", "grid")
        },
    }

    def __post_init__(self) -> None:
        if self.k < 1 or self.j < 1:
            raise ValueError(f"mlp_gan: k and j must be at least 1, got {self.k} and {self.j}")
        if self.repelling and self.loss != "energy":
            raise ValueError(f"mlp_gan: repelling is of the loss energy, got {self.loss}")
        if self.loss == "energy" and not self.critic_layers:
            raise ValueError("mlp_gan: got no critic_layers, expected those of the energy's encoder")

    @property
    def SOURCES(self) -> tuple[str, ...]:
        """Return what to cite: the loss, and what bounds the critic's slope."""
        loss = self.loss.partition("-")[0] if self.loss.startswith("fgan") else self.loss
        slope = {GULRAJANI_2017: self.penalty, MIYATO_2018: self.spectral}
        return (*PAPERS[loss], *(paper for paper, used in slope.items() if used))

    def build(self, shape: Shape) -> GAN:
        """Return untrained nets for images of `shape`: (c, h, w)."""
        d = math.prod(shape)
        G = generator(self, d)
        D = Energy(self, d) if self.loss == "energy" else Critic(self, d)
        if self.spectral:
            for layer in [layer for layer in D.modules() if isinstance(layer, nn.Linear)]:
                spectral_norm(layer)
        return GAN(self, shape, G, D)

    def game(self) -> Game:
        """Return what D and G minimise."""
        match self.loss:
            case "non-saturating" | "minimax":
                return cross_entropy(self.loss)
            case "least-squares":
                return least_squares()
            case "wasserstein":
                return wasserstein()
            case "hinge":
                return hinge()
            case "energy":
                return energy(margin=self.margin)
        return f_divergence(self.loss.removeprefix("fgan-"), direction=self.generator)

    def players(self, G: nn.Sequential, D: nn.Module, output: Callable[[Tensor], Tensor]) -> Players:
        """Return the players of a stage."""
        opt_g, opt_d = (self.descent(net) for net in (G, D))
        return Players(
            G, D, output, self.prior, self.game(), opt_g, opt_d,
            update=self.update,
            k=self.k,
            j=self.j,
            bound_d=None if self.clip is None else partial(clip_, bound=self.clip),
            critic_term=(lambda x, b: self.penalty * gradient_penalty(D, x, b)) if self.penalty else None,
            generator_term=(lambda b: self.repelling * repelling(D.encoder(b))) if self.repelling else None,
        )  # fmt: skip

    def descent(self, net: nn.Module) -> torch.optim.Optimizer:
        """Return the optimiser of one network."""
        if self.optimiser == "adam":
            return adam(net.parameters(), lr=self.lr, betas=self.betas)
        parameters = list(net.parameters())
        return torch.optim.RMSprop(parameters, lr=self.lr, capturable=parameters[0].is_cuda)


def generator(config: Config, d: int) -> nn.Sequential:
    """Return the layers of G, (n, latent) -> (n, d); `GAN.output` adds the sigmoid."""
    sizes = [config.latent, *config.generator_layers]
    layers: list[nn.Module] = []
    for n_in, n_out in zip(sizes[:-1], sizes[1:], strict=True):
        norm = [nn.BatchNorm1d(n_out)] if config.batch_norm else []
        layers += [nn.Linear(n_in, n_out), *norm, nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(sizes[-1], d))


class Critic(nn.Module):
    """Leaky ReLU layers and one output: (n, d) -> (n,)."""

    def __init__(self, config: Config, d: int) -> None:
        super().__init__()
        self.net = mlp([d, *config.critic_layers, 1], partial(nn.LeakyReLU, config.slope))

    def forward(self, x: Tensor) -> Tensor:
        """Return D's outputs (n,) at x: (n, d)."""
        return self.net(x).squeeze(1)  # (n, 1) -> (n,)


class Energy(nn.Module):
    """An auto-encoder's reconstruction error, an energy: (n, d) -> (n,)."""

    def __init__(self, config: Config, d: int) -> None:
        super().__init__()
        activation = partial(nn.LeakyReLU, config.slope)
        self.encoder = nn.Sequential(*mlp([d, *config.critic_layers], activation), activation())
        self.decoder = nn.Linear(config.critic_layers[-1], d)

    def forward(self, x: Tensor) -> Tensor:
        """Return ‖Dec(Enc(x)) − x‖, (n,), for x: (n, d)."""
        error = self.decoder(self.encoder(x)) - x
        # the square root has no gradient at 0
        return error.square().sum(1).clamp_min(1e-12).sqrt()
