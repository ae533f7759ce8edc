"""How are the convolutional GANs built: one deconvolution against maxout convolutions?

`players.py` describes training, losses and sampling. G is fully connected up
to a stack of small maps, from which one transposed convolution makes an image; if it is
larger than the data's images, it is cropped at the right and the bottom. D's layers are
convolutions, each followed by the maximum over its pieces and by max pooling whose last
window may overhang (ceil mode).

Source: Goodfellow et al. (2014), Generative Adversarial Nets, arXiv 1406.2661, Figure 2
(d); settings from the authors' released code (goodfeli/adversarial, June 2014, on
pylearn2).
Differs from the paper: the number of epochs, for which the authors released no rule; the
order of the images, which is our own shuffle; the padding (4, 3, 3) of D's convolutions,
which is that of the maxout networks' CIFAR-10 setting (Goodfellow et al. 2013, arXiv
1302.4389).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from genmodel_bench.models.adversarial.players import GAN, Loss, Pixels, Players, Update, released
from genmodel_bench.models.base import Prior, Shape
from genmodel_bench.models.papers import GOODFELLOW_2013, GOODFELLOW_2014
from genmodel_bench.models.shared.layers import Maxout, dropout, uniform_weights_
from torch import Tensor, nn
from torch.nn.functional import max_pool2d


@dataclass(frozen=True)
class Config:
    """Convolutional adversarial nets; the defaults are the released CIFAR-10 setting.

    G: a ReLU layer of `generator` units, sigmoid `maps`, and a transposed convolution of
    `generator_kernel` and `generator_stride`.
    D: layers of `channels` maps, each the maximum of `conv_pieces` convolutions of
    `kernels` with `pads`, pooled over `pools` at `pool_strides`; then a maxout layer of
    `units` with `pieces`.
    `generator_range` and `discriminator_range` bound the uniform initial weights.
    `players.py` describes the fields that are not named here.
    """

    loss: Loss = "non-saturating"
    update: Update = "simultaneous"
    k: int = 1
    latent: int = 100
    prior: Prior = "gaussian"
    generator: int = 8000
    maps: int = 80
    generator_kernel: int = 5
    generator_stride: int = 3
    generator_range: float = 0.05
    pixels: Pixels = "contrast"
    channels: tuple[int, ...] = (32, 32, 192)
    conv_pieces: int = 2
    kernels: tuple[int, ...] = (8, 8, 5)
    pads: tuple[int, ...] = (4, 3, 3)
    pools: tuple[int, ...] = (4, 4, 2)
    pool_strides: tuple[int, ...] = (2, 2, 2)
    units: int = 500
    pieces: int = 5
    discriminator_range: float = 0.005
    discriminator_scale: float = 0.5
    dropout_input: float = 0.2
    dropout_hidden: float = 0.5
    max_norm: float | None = None
    epochs: int = 200
    batch_size: int = 128
    lr: float = 0.004
    lr_decay: float = 1.000004
    lr_floor: float = 1e-6
    momentum: float = 0.5
    momentum_final: float = 0.7
    momentum_epochs: int = 250

    KIND: ClassVar[str] = "models.conv_gan.Config"
    REFERENCE: ClassVar[bool] = False
    SAMPLING: ClassVar[tuple[str, ...]] = ()
    BOUNDS: ClassVar = {
        **{name: (0, 1) for name in ("dropout_input", "dropout_hidden", "momentum", "momentum_final")},
        **{name: (0, None) for name in ("pads", "lr_floor", "momentum_epochs")},
    }
    ONLY: ClassVar[tuple[str, ...]] = ("cifar10",)
    SETTINGS: ClassVar = {
        "digits": {
            "pixels": "unit",
            "channels": (16, 32),
            "kernels": (5, 3),
            "pads": (2, 1),
            "pools": (2, 2),
            "pool_strides": (2, 2),
            "latent": 32,
            "generator": 256,
            "maps": 32,
            "units": 64,
            "discriminator_range": 0.05,
            "dropout_input": 0.1,
            "dropout_hidden": 0.3,
            "epochs": 60,
            "batch_size": 50,
            "lr": 0.1,
            "momentum_epochs": 30,
        },
    }
    SOURCES: ClassVar[tuple[str, ...]] = (
        GOODFELLOW_2014,
        GOODFELLOW_2013,
    )

    def __post_init__(self) -> None:
        if self.k < 1:
            raise ValueError(f"gan: k must be at least 1, got {self.k}")
        sizes = {
            len(field) for field in (self.channels, self.kernels, self.pads, self.pools, self.pool_strides)
        }
        if len(sizes) != 1:
            raise ValueError(
                "gan: channels, kernels, pads, pools and pool_strides differ in length; "
                "expected one of each for every layer"
            )

    def build(self, shape: Shape) -> GAN:
        """Return untrained nets for images of `shape`: (c, h, w)."""
        G = nn.Sequential(*generator(self, shape))
        uniform_weights_(G, self.generator_range)
        nn.init.uniform_(G[-3].weight, -self.generator_range, self.generator_range)
        nn.init.zeros_(G[-3].bias)
        return GAN(self, shape, G, Discriminator(self, shape))

    def players(self, G: nn.Sequential, D: nn.Module, output: Callable[[Tensor], Tensor]) -> Players:
        """Return the players of a stage."""
        return released(self, G, D, output)


class Crop(nn.Module):
    """Crop images at the right and the bottom: (n, c, H, W) -> (n, c, h, w)."""

    def __init__(self, h: int, w: int) -> None:
        super().__init__()
        self.h, self.w = h, w

    def forward(self, x: Tensor) -> Tensor:
        """Return the first h rows and w columns of x."""
        return x[:, :, : self.h, : self.w]


def generator(config: Config, shape: Shape) -> list[nn.Module]:
    """Return the layers of G, (n, latent) -> (n, d).

    The last has no activation: `GAN.output` adds it.
    """
    c, h, w = shape
    k, s = config.generator_kernel, config.generator_stride
    # the smallest map size m whose image, (m − 1)·s + k wide, covers the data's
    rows, columns = (1 + max(0, math.ceil((size - k) / s)) for size in (h, w))
    return [
        nn.Linear(config.latent, config.generator),
        nn.ReLU(),
        nn.Linear(config.generator, config.maps * rows * columns),
        nn.Sigmoid(),
        nn.Unflatten(1, (config.maps, rows, columns)),
        nn.ConvTranspose2d(config.maps, c, k, s),
        Crop(h, w),
        nn.Flatten(),
    ]


class Discriminator(nn.Module):
    """Maxout convolutions with pooling, a maxout layer and one logit: (n, d) -> (n,).

    Dropout precedes each layer.
    """

    def __init__(self, config: Config, shape: Shape) -> None:
        super().__init__()
        self.config, self.shape = config, shape
        widths = [shape[0], *config.channels]
        self.convolutions = nn.ModuleList(
            nn.Conv2d(a, b * config.conv_pieces, kernel, padding=pad)
            for a, b, kernel, pad in zip(widths[:-1], widths[1:], config.kernels, config.pads, strict=True)
        )
        features = self.features(torch.zeros(1, *shape)).numel()
        self.hidden = Maxout(features, config.units, pieces=config.pieces)
        self.out = nn.Linear(config.units, 1)
        r = config.discriminator_range
        uniform_weights_(self, r)
        for layer in self.convolutions:
            nn.init.uniform_(layer.weight, -r, r)
            nn.init.zeros_(layer.bias)

    def features(self, x: Tensor) -> Tensor:
        """Return the pooled maps of the last convolution.

        (n, c, h, w) -> (n, features).
        """
        c = self.config
        for i, layer in enumerate(self.convolutions):
            x = layer(dropout(x, c.dropout_hidden if i else c.dropout_input))
            # (n, channels * pieces, h, w) -> (n, channels, pieces, h, w)
            # -> (n, channels, h, w)
            x = x.unflatten(1, (-1, c.conv_pieces)).max(2).values
            x = max_pool2d(x, c.pools[i], c.pool_strides[i], ceil_mode=True)
        return x.flatten(1)  # (n, c, h, w) -> (n, features)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (n,) for images x: (n, d).

        Dropout is always on, in the updates of both D and G.
        """
        c = self.config
        # (n, d) -> (n, c, h, w) -> (n, features)
        h = self.features(x.unflatten(1, self.shape))
        h = self.hidden(dropout(h, c.dropout_hidden))
        return self.out(dropout(h, c.dropout_hidden)).squeeze(1)  # (n, 1) -> (n,)
