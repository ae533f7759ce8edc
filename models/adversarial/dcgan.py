"""How is the deep convolutional GAN built: strided convolutions with batch normalisation?

D halves the image's sides with each strided convolution, and one linear unit over the
last maps is its output. G projects z to maps of that size and doubles the sides with each
fractionally strided (transposed) convolution. The paper's guidelines are

    1. strided and fractionally strided convolutions in place of pooling;
    2. batch normalisation in both, but neither at G's output nor at D's first layer;
    3. no fully connected hidden layer;
    4. ReLU in G, tanh at its output;
    5. leaky ReLU in D.

Sides are halved upwards, as 28 -> 14 -> 7 -> 4, and G's maps have the same sizes on the
way up: an image's sides need not be powers of 2. `players.py` describes the
updates, `critics.py` the losses.

In training, batch normalisation uses the statistics of the mini-batch, for real images
and fakes apart. In evaluation mode it uses the running statistics of training: an image
then depends on its own z alone, and draws are independent.

Source: Radford, Metz, Chintala (2016), Unsupervised Representation Learning with Deep
Convolutional Generative Adversarial Networks, arXiv 1511.06434; settings from the
authors' code (Newmu/dcgan_code, faces/train_uncond_dcgan.py; the channels on MNIST from
mnist/train_cond_dcgan.py). Fewer, smaller layers for 28 × 28 and 32 × 32: Gulrajani et
al. (2017), arXiv 1704.00028 (igul222/improved_wgan_training, gan_mnist.py).
Differs from the paper: the number of layers, which is for images smaller than 64 × 64,
and of epochs; z is scaled to unit variance; D and G are updated in turn on every
mini-batch instead of on every other one; no weight decay (there 1e-5); 1e-5 instead of
1e-8 is added to variances; samples are drawn with running statistics, where the authors'
code takes those of the batch of samples.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Literal

import torch
from genmodel_bench.models.adversarial.critics import Game, cross_entropy, hinge, least_squares
from genmodel_bench.models.adversarial.players import GAN, Players
from genmodel_bench.models.base import Prior, Shape
from genmodel_bench.models.papers import GOODFELLOW_2014
from genmodel_bench.models.shared.optim import adam
from torch import Tensor, nn

KERNEL, PAD = 5, 2
"""Of all convolutions: with stride 2, a side of n becomes ⌈n / 2⌉."""
STD = 0.02
"""Of the initial weights, and of the gains of batch normalisation around 1."""


@dataclass(frozen=True)
class Config:
    """Deep convolutional adversarial nets, with the published optimiser as the default.

    channels: maps of D's convolutions, in order; G has them in reverse. Sides are halved
        once for each.
    slope: of D's leaky ReLU below 0.
    `players.py` describes loss and k.
    """

    loss: Literal["non-saturating", "minimax", "least-squares", "hinge"] = "non-saturating"
    k: int = 1
    latent: int = 100
    prior: Prior = "uniform"
    channels: tuple[int, ...] = (64, 128, 256)
    slope: float = 0.2
    epochs: int = 25
    batch_size: int = 128
    lr: float = 2e-4
    betas: tuple[float, float] = (0.5, 0.999)

    KIND: ClassVar[str] = "models.dcgan.Config"
    REFERENCE: ClassVar[bool] = False
    SAMPLING: ClassVar[tuple[str, ...]] = ()
    BOUNDS: ClassVar = {"slope": (0, 1), "betas": (0, 1), "batch_size": (2, None)}
    SETTINGS: ClassVar = {
        "digits": {"latent": 16, "channels": (16, 32), "epochs": 60, "batch_size": 50, "lr": 1e-3},
        "mnist": {"channels": (64, 128)},
        "fashion-mnist": {"channels": (64, 128)},
    }
    SOURCES: ClassVar[tuple[str, ...]] = (
        """@inproceedings{radford2016unsupervised,
            author = {Radford, Alec and Metz, Luke and Chintala, Soumith},
            title = {Unsupervised Representation Learning with Deep Convolutional Generative
            Adversarial Networks},
            booktitle = {International Conference on Learning Representations},
            year = {2016}, eprint = {1511.06434}, archivePrefix = {arXiv}}""",
        GOODFELLOW_2014,
    )

    def __post_init__(self) -> None:
        if self.k < 1 or not self.channels:
            raise ValueError(
                f"dcgan: k must be at least 1 and channels not empty, got {self.k} and {self.channels}"
            )

    def build(self, shape: Shape) -> GAN:
        """Return untrained nets for images of `shape`: (c, h, w), sides of at least 4."""
        if min(shape[1:]) < 4:
            raise ValueError(f"dcgan: got images of {shape[2]}×{shape[1]}, expected sides of at least 4")
        model = GAN(self, shape, nn.Sequential(*generator(self, shape)), Discriminator(self, shape))
        normal_weights_(model)
        return model

    def game(self) -> Game:
        """Return what D and G minimise."""
        match self.loss:
            case "least-squares":
                return least_squares()
            case "hinge":
                return hinge()
        return cross_entropy(self.loss)

    def players(self, G: nn.Sequential, D: nn.Module, output: Callable[[Tensor], Tensor]) -> Players:
        """Return the players of the adversarial stage."""
        opt_g, opt_d = (adam(net.parameters(), lr=self.lr, betas=self.betas) for net in (G, D))
        return Players(G, D, output, self.prior, self.game(), opt_g, opt_d, k=self.k, together=False)


def sides(side: int, layers: int) -> list[int]:
    """Return an image's side and those of D's maps: 28, 14, 7, 4."""
    found = [side]
    for _ in range(layers):
        found.append(math.ceil(found[-1] / 2))
    return found


class Twice(nn.Module):
    """G's output y -> 2y, whose sigmoid, of `GAN.output`, is tanh y in [0, 1].

    σ(2y) = (tanh y + 1) / 2.
    """

    def forward(self, y: Tensor) -> Tensor:
        """Return 2y."""
        return 2 * y


def generator(config: Config, shape: Shape) -> list[nn.Module]:
    """Return the layers of G, (n, latent) -> (n, d)."""
    c, h, w = shape
    widths = [c, *config.channels][::-1]
    rows, columns = (sides(side, len(config.channels))[::-1] for side in (h, w))
    first = (widths[0], rows[0], columns[0])
    units = math.prod(first)
    layers: list[nn.Module] = [
        nn.Linear(config.latent, units, bias=False),
        nn.BatchNorm1d(units),
        nn.ReLU(inplace=True),
        nn.Unflatten(1, first),
    ]
    steps = list(zip(pairwise(widths), pairwise(rows), pairwise(columns), strict=True))
    for i, ((a, b), (low, high), (left, right)) in enumerate(steps, start=1):
        # A row or column that is missing to twice the side is not computed, where it
        # would be cropped.
        missing = (high - (2 * low - 1), right - (2 * left - 1))
        layers.append(nn.ConvTranspose2d(a, b, KERNEL, 2, PAD, output_padding=missing, bias=False))
        if i < len(steps):
            layers += [nn.BatchNorm2d(b), nn.ReLU(inplace=True)]
    return [*layers, nn.Flatten(), Twice()]


class Discriminator(nn.Module):
    """Strided convolutions and one output: (n, d) -> (n,)."""

    def __init__(self, config: Config, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        widths = [shape[0], *config.channels]
        layers: list[nn.Module] = []
        for i, (a, b) in enumerate(pairwise(widths)):
            layers.append(nn.Conv2d(a, b, KERNEL, 2, PAD, bias=False))
            if i:
                layers.append(nn.BatchNorm2d(b))
            layers.append(nn.LeakyReLU(config.slope, inplace=True))
        last = [sides(side, len(config.channels))[-1] for side in shape[1:]]
        output = nn.Linear(widths[-1] * math.prod(last), 1, bias=False)
        self.net = nn.Sequential(*layers, nn.Flatten(), output)

    def forward(self, x: Tensor) -> Tensor:
        """Return D's outputs (n,) at images x: (n, d) in [0, 1]; its net sees [−1, 1]."""
        # (n, d) -> (n, c, h, w) -> (n, 1) -> (n,)
        return self.net(2 * x.unflatten(1, self.shape) - 1).squeeze(1)


@torch.no_grad()
def normal_weights_(module: nn.Module) -> None:
    """Draw weights from N(0, STD²) and gains from N(1, STD²), in place; biases are 0."""
    for layer in module.modules():
        if isinstance(layer, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)):
            layer.weight.normal_(0, STD)
        elif isinstance(layer, (nn.BatchNorm1d, nn.BatchNorm2d)):
            layer.weight.normal_(1, STD)
