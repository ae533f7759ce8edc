"""How does a moment matching network train and sample, on pixels or on codes?

A network G maps noise z to an image, as a GAN's generator does, and there is no second
network: what tells samples from data is a fixed kernel. G descends the maximum mean
discrepancy of N samples x and M images y, over all pairs, i = j too,

    L = √MMD²,    MMD² = mean k(x, x′) + mean k(y, y′) − 2 · mean k(x, y),
    k(a, b) = Σ_s exp(−‖a − b‖² / 2s).

It is least, over distributions, where p_g is that of the data. s are variances, in
squared units of pixels. The root keeps the gradient from vanishing with MMD².
With `autoencoder`, an auto-encoder is trained before, layer by layer and then as a whole,
and G learns its codes instead of images; a sample is the decoded code.

Source: Li, Swersky and Zemel (2015), Generative Moment Matching Networks, arXiv
1502.02761; settings from the authors' released code (yujiali/gmmn, on yujiali/pynn).
Differs from the paper: 50,000 MNIST images train, not 55,000, so that 40,000 updates of
1,000 images are 800 epochs. G's noise has unit variance like that of every prior here,
and is scaled to the paper's U(−1, 1) before it enters. Dropout divides what it keeps by
1 − rate, so that codes are made as they were trained; the released code does not. Initial
weights are of an early pynn: later ones are N(0, 0.1/inputs), from which training starts
much slower. What `max_gradient` bounds is the norm of the whole gradient, our reading. On
TFD, epochs are for about 97,000 images. `digits` and `olivetti` have our own settings.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from genmodel_bench.models.base import Prior, Schedule, Shape, Stage
from genmodel_bench.models.moments.discrepancy import root_mmd
from genmodel_bench.models.shared.layers import dropout, mlp
from genmodel_bench.models.shared.optim import Momentum
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits


@dataclass(frozen=True)
class Config:
    """Moment matching network; the defaults are the published MNIST setting.

    `hidden` are G's layers. `variances` are the s of the kernel on pixels. After a share
    `first` of the epochs, lr and 1 − momentum are divided by `slower`.
    `weights` is the standard deviation of all initial weights.

    With `autoencoder`, the fields from `encoder` on count: its layers' sizes from the
    bottom up, and the `dropout` of what enters each; the decoder has the same ones,
    reversed. Each layer is trained for `code_epochs`, then all together for as many, with
    gradients of norm `max_gradient` at most; `code_momentum` is the last momentum.
    `code_variances` and `matching_lr` take the place of `variances` and `lr`.
    """

    latent: int = 10
    hidden: tuple[int, ...] = (64, 256, 256, 1024)
    weights: float = 0.1
    variances: tuple[float, ...] = (2.0, 5.0, 10.0, 20.0, 40.0, 80.0)
    epochs: int = 800
    batch_size: int = 1000
    lr: float = 2.0
    momentum: float = 0.9
    first: float = 0.25
    slower: float = 10.0
    autoencoder: bool = False
    encoder: tuple[int, ...] = (1024, 32)
    dropout: tuple[float, ...] = (0.2, 0.5)
    code_variances: tuple[float, ...] = (1.0,)
    matching_lr: float = 2.0
    code_epochs: int = 6
    code_batch_size: int = 100
    code_lr: float = 0.1
    code_momentum: float = 0.9
    max_gradient: float = 10.0

    KIND: ClassVar[str] = "models.moments.Config"
    REFERENCE: ClassVar[bool] = False
    SAMPLING: ClassVar[tuple[str, ...]] = ()
    BOUNDS: ClassVar = {"momentum": (0, 1), "dropout": (0, 1), "code_momentum": (0, 1), "first": (0, None)}
    SETTINGS: ClassVar = {
        "digits": {
            "hidden": (64, 256),
            "weights": 0.3,
            "variances": (0.5, 2.0, 8.0),
            "epochs": 200,
            "batch_size": 199,
            "lr": 1.0,
            "encoder": (64, 8),
            "dropout": (0.1, 0.1),
            "code_variances": (0.1,),
            "matching_lr": 1.0,
            "code_epochs": 30,
            "code_batch_size": 50,
        },
        "tfd": {
            "variances": (5.0, 10.0, 20.0, 40.0, 80.0, 160.0),
            "epochs": 495,
            "first": 10 / 48,
            "encoder": (512, 512, 128),
            "dropout": (0.1, 0.1, 0.1),
            "code_variances": (1.0, 2.0, 5.0, 10.0, 20.0, 40.0),
            "matching_lr": 0.1,
            "code_epochs": 15,
            "code_momentum": 0.0,
        },
        "olivetti": {
            "hidden": (64, 256),
            "weights": 0.05,
            "variances": (5.0, 20.0, 80.0, 320.0),
            "epochs": 300,
            "batch_size": 110,
            "lr": 1.0,
            "encoder": (128, 16),
            "dropout": (0.1, 0.1),
            "code_variances": (0.1, 0.5),
            "matching_lr": 1.0,
            "code_epochs": 60,
            "code_batch_size": 20,
            "code_lr": 0.002,
        },
    }
    SOURCES: ClassVar[tuple[str, ...]] = (
        """@inproceedings{li2015generative,
            author = {Li, Yujia and Swersky, Kevin and Zemel, Richard},
            title = {Generative Moment Matching Networks},
            booktitle = {Proceedings of the 32nd International Conference on Machine Learning},
            pages = {1718--1727}, year = {2015}, eprint = {1502.02761}, archivePrefix = {arXiv}}""",
    )

    def __post_init__(self) -> None:
        if not (self.variances and self.code_variances):
            raise ValueError("gmmn: the kernel needs at least one variance, got ()")
        if not self.encoder or len(self.encoder) != len(self.dropout):
            raise ValueError(
                f"gmmn: got encoder = {self.encoder} and dropout = {self.dropout}, "
                "expected one rate for each layer, and at least one layer"
            )

    def build(self, shape: Shape) -> MomentMatching:
        """Return an untrained model for images of `shape`: (c, h, w)."""
        return MomentMatching(self, shape)


class AutoEncoder(nn.Module):
    """Sigmoid layers: `up[i]` encodes, `down[i]` decodes what it encoded.

    sizes: from the pixels to the code. rates: of the dropout before each of `up`.
    """

    def __init__(self, sizes: Sequence[int], rates: Sequence[float]) -> None:
        super().__init__()
        pairs = list(zip(sizes[:-1], sizes[1:], strict=True))
        self.up = nn.ModuleList(nn.Linear(a, b) for a, b in pairs)
        self.down = nn.ModuleList(nn.Linear(b, a) for a, b in pairs)
        self.rates = rates

    def encode(self, x: Tensor, layers: range, *, noisy: bool = False) -> Tensor:
        """Return the code of x after `layers`; `noisy`: with dropout."""
        for i in layers:
            h = dropout(x, self.rates[i]) if noisy and self.rates[i] else x
            x = self.up[i](h).to(x.dtype).sigmoid()
        return x

    def logits(self, h: Tensor, layers: range) -> Tensor:
        """Return the logits of what `layers` encoded to h."""
        for i in reversed(layers[1:]):
            h = self.down[i](h).to(h.dtype).sigmoid()
        logits: Tensor = self.down[layers[0]](h).to(h.dtype)
        return logits


class MomentMatching(nn.Module):
    """G of a `Config`, and with `autoencoder` the auto-encoder whose codes it makes."""

    prior: Prior = "uniform"

    def __init__(self, config: Config, shape: Shape) -> None:
        super().__init__()
        self.config, self.shape = config, shape
        sizes = [math.prod(shape), *config.encoder]
        self.ae = AutoEncoder(sizes, config.dropout) if config.autoencoder else None
        self.layers = range(len(config.encoder))
        self.G = mlp([config.latent, *config.hidden, sizes[-1] if config.autoencoder else sizes[0]])
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.normal_(layer.weight, std=config.weights)
                nn.init.zeros_(layer.bias)

    def initialise(self, x: Tensor) -> None:
        """Do nothing: no weight depends on the images before the first step."""

    def stages(self) -> Sequence[Stage]:
        """Return the stage of G, after those of the auto-encoder if there is one."""
        c = self.config
        optimiser = Momentum(self.G.parameters(), lr=c.lr, momentum=c.momentum)
        step, inputs = partial(self.match, optimiser), self.codes if c.autoencoder else None
        schedules = [
            Schedule(optimiser.lr, self.learning_rate),
            Schedule(optimiser.momentum, self.momentum),
        ]
        matching = Stage("matching", c.epochs, c.batch_size, step, [optimiser], schedules, inputs)
        if self.ae is None:
            return [matching]
        each = [self.coding(f"layer {i + 1}", self.layers[i : i + 1]) for i in self.layers]
        return [*each, self.coding("auto-encoder", self.layers), matching]

    def coding(self, name: str, layers: range) -> Stage:
        """Return the stage that trains `layers` of the auto-encoder together."""
        c, ae = self.config, self.ae
        assert ae is not None
        weights = [p for i in layers for part in (ae.up[i], ae.down[i]) for p in part.parameters()]
        optimiser = Momentum(weights, lr=c.code_lr, momentum=0.5)
        # as released: 0.5 for one layer, a momentum that rises for all
        rising = [Schedule(optimiser.momentum, self.code_momentum)] if layers == self.layers else []
        step = partial(self.reconstruct, layers, optimiser, weights)
        below = partial(self.codes, layers=range(layers[0]))
        return Stage(name, c.code_epochs, c.code_batch_size, step, [optimiser], rising, below)

    def learning_rate(self, step: int, epoch: int) -> float:
        """Return the rate of an epoch."""
        c = self.config
        lr = c.matching_lr if c.autoencoder else c.lr
        return lr if epoch < c.first * c.epochs else lr / c.slower

    def momentum(self, step: int, epoch: int) -> float:
        """Return the momentum of an epoch."""
        c = self.config
        return c.momentum if epoch < c.first * c.epochs else 1 - (1 - c.momentum) / c.slower

    def code_momentum(self, step: int, epoch: int) -> float:
        """Return the momentum of a step of the whole auto-encoder.

        It is 0, from the 50th step 0.5, and from the 200th `code_momentum`.
        """
        return 0.0 if step < 49 else 0.5 if step < 199 else self.config.code_momentum

    @torch.no_grad()
    def codes(self, x: Tensor, layers: range | None = None) -> Tensor:
        """Return the codes of images: (n, c, h, w) -> (n, size).

        layers: up to which they are encoded; None for all.
        """
        assert self.ae is not None
        return self.ae.encode(x.flatten(1), self.layers if layers is None else layers)

    def reconstruct(
        self, layers: range, optimiser: Momentum, weights: Sequence[Tensor], x: Tensor, y: Tensor | None
    ) -> dict[str, Tensor]:
        """Take one step of `layers` on their input x: (n, n_in), in [0, 1].

        Logs the cross-entropy, nats per image.
        """
        assert self.ae is not None
        logits = self.ae.logits(self.ae.encode(x, layers, noisy=True), layers)
        loss = binary_cross_entropy_with_logits(logits, x, reduction="none").sum(1).mean()
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(weights, self.config.max_gradient)
        optimiser.step()
        return {"reconstruction": loss.detach()}

    def match(self, optimiser: Momentum, y: Tensor, labels: Tensor | None) -> dict[str, Tensor]:
        """Take one step of G on as many samples as there are images or codes in y.

        y: (n, c, h, w) or (n, size). Logs √MMD².
        """
        c, y = self.config, y.flatten(1)
        x = self.made(self.latent(len(y)))
        variances = c.code_variances if c.autoencoder else c.variances
        with torch.autocast(y.device.type, enabled=False):  # distances cancel in bfloat16
            mmd, gradient = root_mmd(x, y, variances)
        optimiser.apply(torch.autograd.grad(x, list(self.G.parameters()), gradient))
        return {"mmd": mmd}

    def made(self, z: Tensor) -> Tensor:
        """Return G(z), pixels or codes: (n, latent) -> (n, size)."""
        made: Tensor = self.G(z / math.sqrt(3)).to(z.dtype).sigmoid()
        return made

    def latent(self, n: int) -> Tensor:
        """Return n draws z of the prior U(−√3, √3), (n, latent)."""
        z = torch.empty(n, self.config.latent, device=self.G[0].weight.device)
        return z.uniform_(-math.sqrt(3), math.sqrt(3))

    def decode(self, z: Tensor) -> Tensor:
        """Return G(z), or the decoded codes G(z): (n, latent) -> (n, c, h, w)."""
        x = self.made(z)
        if self.ae is not None:
            x = self.ae.logits(x, self.layers).sigmoid()
        return x.unflatten(1, self.shape)  # (n, d) -> (n, c, h, w)

    @torch.no_grad()
    def sample(self, n: int) -> Tensor:
        """Return the images of n draws of the prior, (n, c, h, w)."""
        return self.decode(self.latent(n))
