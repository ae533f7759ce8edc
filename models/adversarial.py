"""How are a generator and a discriminator trained against each other, and sampled?

A generator G maps noise z to an image; a discriminator D tells training images from
images of G. D ascends, and G descends (or, in the non-saturating form, ascends its own
objective),

    V(D, G) = E_x log D(x) + E_z log(1 − D(G(z)))                        (eq. 1).

With a = the logit of D, the losses that are minimised are

    D:                      ½ · (E softplus(−a_real) + E softplus(a_fake))
    G, minimax:             E log(1 − D(G(z))) = −E softplus(a_fake)
    G, non-saturating:      −E log D(G(z))     =  E softplus(−a_fake)    (section 3).

The networks are built elsewhere, each kind with its own Config: fully connected ones in
`models/gan.py`, convolutional ones in `models/conv_gan.py`. Both Configs have these
fields:

    loss: the generator's loss, 'non-saturating' or 'minimax'.
    update: 'simultaneous' takes both gradients from the same fakes, dropout masks and
        parameters (those before the update), as the released code does; 'alternating'
        updates D first, then G with fresh noise.
    k: updates of D per update of G, each on a mini-batch of its own (Algorithm 1).
    discriminator_scale: the factor ½ in D's loss.
    max_norm: an upper bound, enforced after each update, for the L2 norm of the incoming
        weights of each linear unit in both networks; None for no bound.
    pixels: 'unit' for a sigmoid after G's last layer; 'contrast' for none, with
        contrast-normalised images (`models/contrast.py`).

Source: Goodfellow et al. (2014), Generative Adversarial Nets, arXiv 1406.2661; updates
and schedules from the authors' released code (goodfeli/adversarial, June 2014, on
pylearn2).
Differs from the paper: nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

import torch
from genmodel_bench.models.base import Prior, Schedule, Shape, Stage
from genmodel_bench.models.contrast import Contrast
from genmodel_bench.models.layers import limit_norms_, pixel_logits
from genmodel_bench.models.optim import Momentum
from torch import Tensor, nn
from torch.nn.functional import softplus

Loss = Literal["non-saturating", "minimax"]
Update = Literal["simultaneous", "alternating"]
Pixels = Literal["unit", "contrast"]


def discriminator_loss(a_real: Tensor, a_fake: Tensor, *, scale: float = 0.5) -> Tensor:
    """Return D's cross-entropy, scale · (E softplus(−a_real) + E softplus(a_fake)).

    Logits (n,), (n,) -> 0-d, nats.
    """
    return scale * (softplus(-a_real).mean() + softplus(a_fake).mean())


def non_saturating_loss(a_fake: Tensor) -> Tensor:
    """Return −E log D(G(z)) = E softplus(−a): logits (n,) -> 0-d, nats.

    The gradient of a term with respect to its logit is −(1 − D(G(z))).
    """
    return softplus(-a_fake).mean()


def minimax_loss(a_fake: Tensor) -> Tensor:
    """Return E log(1 − D(G(z))) = −E softplus(a): logits (n,) -> 0-d, nats.

    The gradient of a term with respect to its logit is −D(G(z)).
    """
    return -softplus(a_fake).mean()


GENERATOR_LOSSES = {"non-saturating": non_saturating_loss, "minimax": minimax_loss}


class GAN(nn.Module):
    """A generator and a discriminator for images of `shape`, trained as a `Config` says.

    G: (n, latent) -> (n, d); D: (n, d) -> (n,), logits. With `first_D` there is a
    pretraining stage, in which the modules of G after the first `front` are trained
    alone, against `first_D`.
    """

    def __init__(
        self,
        config: Any,
        shape: Shape,
        G: nn.Sequential,
        D: nn.Module,
        *,
        front: int = 0,
        first_D: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.config, self.shape, self.front = config, shape, front
        self.prior: Prior = config.prior
        self.G, self.D, self.first_D = G, D, first_D
        self.contrast = Contrast() if config.pixels == "contrast" else None

    @torch.no_grad()
    def initialise(self, x: Tensor) -> None:
        """Fit what depends on the training images x: (n, c, h, w), in [0, 1].

        With `pixels='contrast'`, that is their mean brightness and contrast; otherwise
        the output bias of a fully connected G, set to the logit of the pixel means, which
        are clipped to [1e-7, 1 − 1e-7].
        """
        if self.contrast is not None:
            self.contrast.fit(x)
        elif isinstance(self.G[-1], nn.Linear):
            self.G[-1].bias.copy_(pixel_logits(x, eps=1e-7))

    def stages(self) -> Sequence[Stage]:
        """Return the adversarial stage, preceded by pretraining where there is one."""
        c = self.config
        stages = [self.stage("adversarial", c.epochs, self.G, self.D)]
        if self.first_D is not None:
            stages.insert(0, self.stage("pretraining", c.pretrain_epochs, self.G[self.front :], self.first_D))
        return stages

    def stage(self, name: str, epochs: int, G: nn.Sequential, D: nn.Module) -> Stage:
        """Return the stage that trains G against D.

        Its mini-batch is k · batch_size images, `batch_size` for each update of D.
        """
        c = self.config
        players = Players(c, G, D, self.output)
        optimisers = (players.opt_g, players.opt_d)
        schedules = [Schedule(o.lr, self.learning_rate) for o in optimisers]
        schedules += [Schedule(o.momentum, self.momentum) for o in optimisers]
        inputs = None if self.contrast is None else self.contrast.normalise
        return Stage(name, epochs, c.k * c.batch_size, players.step, optimisers, schedules, inputs)

    def learning_rate(self, step: int, epoch: int) -> float:
        """Return max(lr / lr_decay^t, lr_floor), with t = `step`.

        t counts the mini-batches of the stage so far, k · batch_size images each.
        """
        return float(max(self.config.lr / self.config.lr_decay**step, self.config.lr_floor))

    def momentum(self, step: int, epoch: int) -> float:
        """Return the momentum of an epoch.

        Over the first `momentum_epochs` epochs it rises linearly to `momentum_final`.
        """
        c = self.config
        share = min(1.0, epoch / max(1, c.momentum_epochs - 1))
        return float(c.momentum + (c.momentum_final - c.momentum) * share)

    def output(self, y: Tensor) -> Tensor:
        """Return the images that D sees, for the output y: (n, d) of G's last layer.

        These are pixels in [0, 1], or contrast-normalised images, which y is already.
        """
        return y.sigmoid() if self.contrast is None else y

    def latent(self, n: int) -> Tensor:
        """Return n draws z of the prior, (n, latent)."""
        return noise(self.G, n, self.prior)

    @torch.no_grad()
    def decode(self, z: Tensor) -> Tensor:
        """Return G(z): (n, latent) -> (n, c, h, w)."""
        y = self.output(self.G(z))
        x = y if self.contrast is None else self.contrast.restore(y)
        return x.view(len(z), *self.shape)  # (n, d) -> (n, c, h, w)

    def sample(self, n: int) -> Tensor:
        """Return n draws G(z), (n, c, h, w)."""
        return self.decode(self.latent(n))


def noise(G: nn.Sequential, n: int, prior: str) -> Tensor:
    """Return z: (n, G's inputs), of unit variance: U(−√3, √3) or N(0, 1)."""
    weight = G[0].weight
    assert isinstance(weight, Tensor)
    z = torch.empty(n, weight.shape[1], device=weight.device)
    return z.normal_() if prior == "gaussian" else z.uniform_(-math.sqrt(3), math.sqrt(3))


class Players:
    """G and D in one stage, with their optimisers, and how a mini-batch updates them.

    `output` is applied to the output of G's last layer.
    """

    def __init__(
        self, config: Any, G: nn.Sequential, D: nn.Module, output: Callable[[Tensor], Tensor]
    ) -> None:
        self.config, self.G, self.D, self.output = config, G, D, output
        self.opt_g = Momentum(G.parameters(), lr=config.lr, momentum=config.momentum)
        self.opt_d = Momentum(D.parameters(), lr=config.lr, momentum=config.momentum)

    def fake(self, n: int) -> Tensor:
        """Return n images of G as D sees them, (n, d)."""
        z = noise(self.G, n, self.config.prior)
        return self.output(self.G(z).to(z.dtype))

    def logits(self, x: Tensor) -> Tensor:
        """Return D's logits in the type of x: (n, d) -> (n,)."""
        logits: Tensor = self.D(x).to(x.dtype)
        return logits

    def step(self, x: Tensor, y: Tensor | None) -> dict[str, Tensor]:
        """Update D k times and G once, on x: (k · batch, c, h, w) or (k · batch, d)."""
        # (n, c, h, w) -> k times (batch, d)
        *first, last = x.flatten(1).chunk(self.config.k)
        for batch in first:
            self.update_discriminator(batch)
        if self.config.update == "simultaneous":
            return self.update_both(last)
        return self.update_discriminator(last) | self.update_generator(len(last))

    def update_both(self, x: Tensor) -> dict[str, Tensor]:
        """Update D and G from the same n fakes, dropout masks and parameters.

        x: (n, d), training images.
        """
        # Two passes, so that G's gradient goes through D for the fakes alone.
        a_real, a_fake = self.logits(x), self.logits(self.fake(len(x)))
        loss_d = discriminator_loss(a_real, a_fake, scale=self.config.discriminator_scale)
        loss_g = GENERATOR_LOSSES[self.config.loss](a_fake)
        grad_d = torch.autograd.grad(loss_d, list(self.D.parameters()), retain_graph=True)
        grad_g = torch.autograd.grad(loss_g, list(self.G.parameters()))
        self.apply(self.D, self.opt_d, grad_d)
        self.apply(self.G, self.opt_g, grad_g)
        return discriminator_log(loss_d, a_real, a_fake) | {"loss_g": loss_g.detach()}

    def update_discriminator(self, x: Tensor) -> dict[str, Tensor]:
        """Update D alone, on x: (n, d) and n fresh fakes."""
        with torch.no_grad():
            fake = self.fake(len(x))
        a_real, a_fake = self.logits(torch.cat([x, fake])).chunk(2)
        loss = discriminator_loss(a_real, a_fake, scale=self.config.discriminator_scale)
        self.apply(self.D, self.opt_d, torch.autograd.grad(loss, list(self.D.parameters())))
        return discriminator_log(loss, a_real, a_fake)

    def update_generator(self, n: int) -> dict[str, Tensor]:
        """Update G alone, on n fresh fakes."""
        loss = GENERATOR_LOSSES[self.config.loss](self.logits(self.fake(n)))
        self.apply(self.G, self.opt_g, torch.autograd.grad(loss, list(self.G.parameters())))
        return {"loss_g": loss.detach()}

    def apply(self, net: nn.Module, optimiser: Momentum, gradients: Iterable[Tensor]) -> None:
        """Update one network and bound the norms of its weights."""
        optimiser.apply(gradients)
        if self.config.max_norm is not None:
            limit_norms_(net, self.config.max_norm)


def discriminator_log(loss: Tensor, a_real: Tensor, a_fake: Tensor) -> dict[str, Tensor]:
    """Return the logged values of an update of D.

    These are its loss and the means of D(x) and D(G(z)), all 0-d.
    """
    values = {"loss_d": loss, "d_real": a_real.sigmoid().mean(), "d_fake": a_fake.sigmoid().mean()}
    return {name: value.detach() for name, value in values.items()}
