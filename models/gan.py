"""How does an adversarial net train and sample?

A generator G maps noise z to an image; a discriminator D tells images of the data from images of G. D ascends, and
G descends (or, in the non-saturating form, ascends its own objective),

    V(D, G) = E_x log D(x) + E_z log(1 − D(G(z)))                                       (eq. 1).

With a = D's logit the losses that are minimised are

    D:                      ½ · (E softplus(−a_real) + E softplus(a_fake))
    G, minimax:             E log(1 − D(G(z))) = −E softplus(a_fake)
    G, non-saturating:      −E log D(G(z))     =  E softplus(−a_fake)                   (section 3).

Source: Goodfellow et al. (2014), Generative Adversarial Nets, arXiv 1406.2661; settings and update from the authors'
released code (goodfeli/adversarial, June 2014, on pylearn2).
Differs from the paper: the number of epochs, for which the authors released no rule; MNIST images in the order of our own
shuffle. The defaults are the MNIST setting; `digits` has smaller nets.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, softplus

from models.base import Schedule, Shape, Stage
from models.layers import Maxout, mlp, pixel_logits, uniform_weights_
from models.optim import Momentum


@dataclass(frozen=True)
class Config:
    """Adversarial nets, a ReLU generator against a maxout discriminator; the defaults are the released MNIST setting.

    `loss` is the generator's. `update`: 'simultaneous' takes both gradients from the same fakes, dropout masks and pre-update
    parameters, as the released code does; 'alternating' updates D first, then G with fresh noise. `k`: updates of D
    for each of G, each on a minibatch of its own (Algorithm 1). `discriminator_scale` is the ½ in D's loss.
    """

    loss: Literal["non-saturating", "minimax"] = "non-saturating"
    update: Literal["simultaneous", "alternating"] = "simultaneous"
    k: int = 1
    latent: int = 100
    prior: Literal["uniform", "gaussian"] = "uniform"
    generator: tuple[int, ...] = (1200, 1200)
    generator_range: float = 0.05
    discriminator: tuple[int, ...] = (240, 240)
    discriminator_range: float = 0.005
    discriminator_scale: float = 0.5
    pieces: int = 5
    dropout_input: float = 0.2
    dropout_hidden: float = 0.5
    epochs: int = 400
    batch_size: int = 100
    lr: float = 0.1
    lr_decay: float = 1.000004
    lr_floor: float = 1e-6
    momentum: float = 0.5
    momentum_final: float = 0.7
    momentum_epochs: int = 250

    REFERENCE: ClassVar[bool] = False
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
    }

    def __post_init__(self) -> None:
        if self.k < 1:
            raise ValueError(f"gan: k must be at least 1, got {self.k}")

    def build(self, shape: Shape) -> GAN:
        """Return untrained nets for images of `shape`: (c, h, w)."""
        return GAN(self, shape)


def discriminator_loss(a_real: Tensor, a_fake: Tensor, *, scale: float = 0.5) -> Tensor:
    """Return scale · (E softplus(−a_real) + E softplus(a_fake)), D's cross-entropy; logits (n,) -> 0-d, nats."""
    return scale * (softplus(-a_real).mean() + softplus(a_fake).mean())


def non_saturating_loss(a_fake: Tensor) -> Tensor:
    """Return −E log D(G(z)) = E softplus(−a); its gradient at the logit is −(1 − D(G(z))). Logits (n,) -> 0-d, nats."""
    return softplus(-a_fake).mean()


def minimax_loss(a_fake: Tensor) -> Tensor:
    """Return E log(1 − D(G(z))) = −E softplus(a); its gradient at the logit is −D(G(z)). Logits (n,) -> 0-d, nats."""
    return -softplus(a_fake).mean()


GENERATOR_LOSSES = {"non-saturating": non_saturating_loss, "minimax": minimax_loss}


class Discriminator(nn.Module):
    """Maxout layers and one logit, with dropout before each: (n, d) -> (n,)."""

    def __init__(self, config: Config, d: int) -> None:
        super().__init__()
        sizes = [d, *config.discriminator]
        self.hidden = nn.ModuleList(Maxout(a, b, pieces=config.pieces) for a, b in zip(sizes[:-1], sizes[1:], strict=True))
        self.out = nn.Linear(sizes[-1], 1)
        self.rates = [config.dropout_input] + [config.dropout_hidden] * len(config.discriminator)
        uniform_weights_(self, config.discriminator_range)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (n,) for x: (n, d); dropout is always on, in both players' updates."""
        for layer, rate in zip([*self.hidden, self.out], self.rates, strict=True):
            x = layer(dropout(x, rate))
        return x.squeeze(1)  # (n, 1) -> (n,)


class GAN(nn.Module):
    """The pair (G, D) of a `Config`, for images of `shape`."""

    def __init__(self, config: Config, shape: Shape) -> None:
        super().__init__()
        self.config, self.shape = config, shape
        d = math.prod(shape)
        self.G = mlp([config.latent, *config.generator, d])
        uniform_weights_(self.G, config.generator_range)
        self.D = Discriminator(config, d)

    @torch.no_grad()
    def initialise(self, x: Tensor) -> None:
        """Set G's output bias to the logit of the pixel means, clipped to 1e-7."""
        self.G[-1].bias.copy_(pixel_logits(x, eps=1e-7))

    def stages(self) -> Sequence[Stage]:
        """Return the one adversarial stage; a minibatch of it holds k batches, one for each update of D."""
        c = self.config
        self.opt_g = Momentum(self.G.parameters(), lr=c.lr, momentum=c.momentum)
        self.opt_d = Momentum(self.D.parameters(), lr=c.lr, momentum=c.momentum)
        optimisers = (self.opt_g, self.opt_d)
        schedules = [Schedule(o.lr, self.learning_rate) for o in optimisers]
        schedules += [Schedule(o.momentum, self.momentum) for o in optimisers]
        return [Stage("adversarial", c.epochs, c.k * c.batch_size, self.step, optimisers, schedules)]

    def learning_rate(self, step: int, epoch: int) -> float:
        """Return lr / decay^t with t the minibatches seen, not under the floor."""
        return max(self.config.lr / self.config.lr_decay**step, self.config.lr_floor)

    def momentum(self, step: int, epoch: int) -> float:
        """Return the momentum of an epoch, rising linearly over the first `momentum_epochs` of them."""
        c = self.config
        share = min(1.0, epoch / max(1, c.momentum_epochs - 1))
        return c.momentum + (c.momentum_final - c.momentum) * share

    def noise(self, n: int) -> Tensor:
        """Return z: (n, latent), of unit variance: U(−√3, √3) or N(0, 1)."""
        z = torch.empty(n, self.config.latent, device=self.D.out.weight.device)
        return z.normal_() if self.config.prior == "gaussian" else z.uniform_(-math.sqrt(3), math.sqrt(3))

    def generate(self, z: Tensor) -> Tensor:
        """Return images (n, d) in [0, 1] for z: (n, latent)."""
        return self.G(z).sigmoid()

    def step(self, x: Tensor, y: Tensor | None) -> dict[str, Tensor]:
        """Update D k times and G once, on x: (k · batch, c, h, w)."""
        *first, last = x.flatten(1).chunk(self.config.k)  # (n, c, h, w) -> k times (batch, d)
        for batch in first:
            self.update_discriminator(batch)
        if self.config.update == "simultaneous":
            return self.update_both(last)
        return self.update_discriminator(last) | self.update_generator(len(last))

    def update_both(self, x: Tensor) -> dict[str, Tensor]:
        """Update both players from the same fakes, masks and parameters."""
        fake = self.generate(self.noise(len(x)))
        a_real, a_fake = self.D(torch.cat([x, fake])).chunk(2)
        loss_d = discriminator_loss(a_real, a_fake, scale=self.config.discriminator_scale)
        loss_g = GENERATOR_LOSSES[self.config.loss](a_fake)
        grad_d = torch.autograd.grad(loss_d, list(self.D.parameters()), retain_graph=True)
        grad_g = torch.autograd.grad(loss_g, list(self.G.parameters()))
        self.opt_d.apply(grad_d)
        self.opt_g.apply(grad_g)
        return discriminator_log(loss_d, a_real, a_fake) | {"loss_g": loss_g.detach()}

    def update_discriminator(self, x: Tensor) -> dict[str, Tensor]:
        """Update D alone, on x: (n, d) and as many fakes."""
        with torch.no_grad():
            fake = self.generate(self.noise(len(x)))
        a_real, a_fake = self.D(torch.cat([x, fake])).chunk(2)
        loss = discriminator_loss(a_real, a_fake, scale=self.config.discriminator_scale)
        self.opt_d.apply(torch.autograd.grad(loss, list(self.D.parameters())))
        return discriminator_log(loss, a_real, a_fake)

    def update_generator(self, n: int) -> dict[str, Tensor]:
        """Update G alone, on n fresh fakes."""
        loss = GENERATOR_LOSSES[self.config.loss](self.D(self.generate(self.noise(n))))
        self.opt_g.apply(torch.autograd.grad(loss, list(self.G.parameters())))
        return {"loss_g": loss.detach()}

    @torch.no_grad()
    def sample(self, n: int) -> Tensor:
        """Return n draws G(z), (n, c, h, w)."""
        return self.generate(self.noise(n)).unflatten(1, self.shape)  # (n, d) -> (n, c, h, w)


def discriminator_log(loss: Tensor, a_real: Tensor, a_fake: Tensor) -> dict[str, Tensor]:
    """Return what is logged of an update of D: its loss, and the means of D(x) and D(G(z))."""
    values = {"loss_d": loss, "d_real": a_real.sigmoid().mean(), "d_fake": a_fake.sigmoid().mean()}
    return {name: value.detach() for name, value in values.items()}
