"""How are the fully connected GANs built: ReLU or sigmoid layers against maxout?

`players.py` describes training, losses and sampling.

Source: Goodfellow et al. (2014), Generative Adversarial Nets, arXiv 1406.2661; settings
from the authors' released code (goodfeli/adversarial, June 2014, on pylearn2); maxout:
Goodfellow et al. (2013), arXiv 1302.4389.
Differs from the paper: the number of epochs on MNIST and CIFAR-10, for which the authors
released no rule; the order of the images, which is our own shuffle. On TFD: the last
1,000 unlabelled images are used for validation; the range of D's initial weights is that
of MNIST; that the noise of pretraining is N(0, 1) too is our reading and not verified.
The defaults are the MNIST setting; `tfd` and `cifar10` are the released ones, `digits`
has smaller nets, and `olivetti` is TFD's scheme, scaled down to 220 images.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

from genmodel_bench.models.adversarial.players import GAN, Loss, Pixels, Players, Update, released
from genmodel_bench.models.base import Prior, Shape
from genmodel_bench.models.papers import GOODFELLOW_2013, GOODFELLOW_2014
from genmodel_bench.models.shared.layers import Maxout, dropout, sparse_weights_, uniform_weights_
from torch import Tensor, nn

Activation = Literal["relu", "sigmoid"]
ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "sigmoid": nn.Sigmoid}


@dataclass(frozen=True)
class Config:
    """Adversarial nets: ReLU or sigmoid layers against a maxout discriminator.

    The defaults are the released MNIST setting. `players.py` describes the
    fields that are not named here.

    `activations` are those of the hidden layers `generator`; `sigmoid_bias` is the
    initial bias of the sigmoid ones. G's output layer starts from U(−r, r), r =
    `output_range` (None: `generator_range`), or with `output_sparse` weights per unit
    from N(0, 1) and the others 0.
    With `pretrain_epochs`, G is first trained without its first layers `front`, on noise
    of the size of the last of these. Then `front` (ReLU, the last one sigmoid) is put
    before the other layers, and all are trained for `epochs` against a fresh D.
    """

    loss: Loss = "non-saturating"
    update: Update = "simultaneous"
    k: int = 1
    latent: int = 100
    prior: Prior = "uniform"
    generator: tuple[int, ...] = (1200, 1200)
    activations: tuple[Activation, ...] = ("relu", "relu")
    generator_range: float = 0.05
    sigmoid_bias: float = 0.0
    output_range: float | None = None
    output_sparse: int | None = None
    pixels: Pixels = "unit"
    discriminator: tuple[int, ...] = (240, 240)
    discriminator_range: float = 0.005
    discriminator_scale: float = 0.5
    pieces: int = 5
    dropout_input: float = 0.2
    dropout_hidden: float = 0.5
    max_norm: float | None = None
    front: tuple[int, ...] = ()
    pretrain_epochs: int = 0
    epochs: int = 400
    batch_size: int = 100
    lr: float = 0.1
    lr_decay: float = 1.000004
    lr_floor: float = 1e-6
    momentum: float = 0.5
    momentum_final: float = 0.7
    momentum_epochs: int = 250

    KIND: ClassVar[str] = "models.gan.Config"
    REFERENCE: ClassVar[bool] = False
    SAMPLING: ClassVar[tuple[str, ...]] = ()
    BOUNDS: ClassVar = {
        **{name: (0, 1) for name in ("dropout_input", "dropout_hidden", "momentum", "momentum_final")},
        **{name: (0, None) for name in ("lr_floor", "momentum_epochs")},
    }
    SETTINGS: ClassVar = {
        "digits": {
            "latent": 32,
            "generator": (256, 256),
            "discriminator": (64, 64),
            "discriminator_range": 0.05,
            "dropout_input": 0.1,
            "dropout_hidden": 0.3,
            "epochs": 200,
            "batch_size": 50,
            "lr": 0.2,
            "momentum_epochs": 100,
        },
        "tfd": {
            "prior": "gaussian",
            "generator": (8000, 8000),
            "activations": ("relu", "sigmoid"),
            "sigmoid_bias": -2.0,
            "output_sparse": 100,
            "discriminator": (1200, 1200),
            "max_norm": 1.9365,
            "front": (8000, 100),
            "pretrain_epochs": 50,
            "epochs": 22,
            "lr": 0.05,
        },
        "olivetti": {
            "prior": "gaussian",
            "generator": (400, 400),
            "activations": ("relu", "sigmoid"),
            # narrow layers need larger weights than TFD's, or z hardly changes the pixels
            "generator_range": 0.2,
            "sigmoid_bias": -2.0,
            "output_sparse": 100,
            "discriminator": (240, 240),
            "discriminator_range": 0.05,
            "max_norm": 4.0,
            "front": (400, 100),
            "pretrain_epochs": 200,
            "epochs": 100,
            "batch_size": 10,
            "lr": 0.02,
        },
        "cifar10": {
            "prior": "gaussian",
            "generator": (8000, 8000),
            "activations": ("relu", "sigmoid"),
            "output_range": 0.5,
            "pixels": "contrast",
            "discriminator": (1600, 1600),
            "lr": 0.025,
        },
    }
    SOURCES: ClassVar[tuple[str, ...]] = (
        GOODFELLOW_2014,
        GOODFELLOW_2013,
    )

    def __post_init__(self) -> None:
        if self.k < 1:
            raise ValueError(f"gan: k must be at least 1, got {self.k}")
        if len(self.activations) != len(self.generator):
            raise ValueError(
                f"gan: expected an activation for each of the {len(self.generator)} hidden layers, "
                f"got {len(self.activations)}"
            )
        if bool(self.front) != bool(self.pretrain_epochs):
            raise ValueError(
                f"gan: front and pretrain_epochs go together, got {self.front} and {self.pretrain_epochs}"
            )

    def build(self, shape: Shape) -> GAN:
        """Return untrained nets for images of `shape`: (c, h, w)."""
        d = math.prod(shape)
        first = Discriminator(self, d) if self.front else None
        return GAN(
            self, shape, generator(self, d), Discriminator(self, d), front=2 * len(self.front), first_D=first
        )

    def players(self, G: nn.Sequential, D: nn.Module, output: Callable[[Tensor], Tensor]) -> Players:
        """Return the players of a stage."""
        return released(self, G, D, output)


class Discriminator(nn.Module):
    """Maxout layers and one logit, with dropout before each: (n, d) -> (n,)."""

    def __init__(self, config: Config, d: int) -> None:
        super().__init__()
        sizes = [d, *config.discriminator]
        self.hidden = nn.ModuleList(
            Maxout(a, b, pieces=config.pieces) for a, b in zip(sizes[:-1], sizes[1:], strict=True)
        )
        self.out = nn.Linear(sizes[-1], 1)
        self.rates = [config.dropout_input] + [config.dropout_hidden] * len(config.discriminator)
        uniform_weights_(self, config.discriminator_range)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (n,) for x: (n, d).

        Dropout is always on, in the updates of both D and G.
        """
        for layer, rate in zip([*self.hidden, self.out], self.rates, strict=True):
            x = layer(dropout(x, rate))
        return x.squeeze(1)  # (n, 1) -> (n,)


def generator(config: Config, d: int) -> nn.Sequential:
    """Return the layers of G, linear ones with their activations: (n, latent) -> (n, d).

    The output layer has no activation: `GAN.output` adds it.
    """
    sizes = [config.latent, *config.front, *config.generator]
    kinds = ["relu"] * (len(config.front) - 1) + ["sigmoid"] * bool(config.front) + [*config.activations]
    layers: list[nn.Module] = []
    for n_in, n_out, kind in zip(sizes[:-1], sizes[1:], kinds, strict=True):
        layers += [nn.Linear(n_in, n_out), ACTIVATIONS[kind]()]
    output = nn.Linear(sizes[-1], d)
    net = nn.Sequential(*layers, output)
    uniform_weights_(net, config.generator_range)
    for layer, kind in zip(layers[::2], kinds, strict=True):
        if kind == "sigmoid":
            # layers[::2] are linear, which the annotation of `layers` does not say
            nn.init.constant_(layer.bias, config.sigmoid_bias)  # type: ignore[arg-type]
    if config.output_range is not None:
        uniform_weights_(output, config.output_range)
    if config.output_sparse is not None:
        sparse_weights_(output, config.output_sparse)
    return net
