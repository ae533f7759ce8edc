"""How are a generator and a discriminator trained against each other, and sampled?

A generator G maps noise z to an image; a discriminator, or critic, D tells training
images from images of G. D ascends, and G descends (or, in the non-saturating form,
ascends its own objective),

    V(D, G) = E_x log D(x) + E_z log(1 − D(G(z)))                        (eq. 1),

or they play another of the games of `critics.py`, which has all losses.

The networks are built elsewhere, each kind with its own Config: the paper's in `gan.py`
and `conv_gan.py`, those of later losses in `mlp_gan.py` and `dcgan.py`. These fields mean
the same in all of them:

    loss: which game; for the paper's nets the generator's loss, 'non-saturating' or
        'minimax'.
    update: 'simultaneous' takes both gradients from the same fakes, dropout masks and
        parameters (those before the update), as the released code does; 'alternating'
        updates D first, then G with fresh noise.
    k: updates of D per update of G, each on a mini-batch of its own (Algorithm 1).
    discriminator_scale: the factor ½ in D's loss.
    max_norm: an upper bound, enforced after each update, for the L2 norm of the incoming
        weights of each linear unit in both networks; None for no bound.
    pixels: 'unit' for a sigmoid after G's last layer; 'contrast' for none, with
        contrast-normalised images (`models/shared/contrast.py`).

Source: Goodfellow et al. (2014), Generative Adversarial Nets, arXiv 1406.2661; updates
and schedules (`released`) from the authors' released code (goodfeli/adversarial, June
2014, on pylearn2).
Differs from the paper: nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from genmodel_bench.models.adversarial.critics import Game, cross_entropy
from genmodel_bench.models.base import Prior, Schedule, Shape, Stage
from genmodel_bench.models.shared.contrast import Contrast
from genmodel_bench.models.shared.layers import limit_norms_, pixel_logits
from genmodel_bench.models.shared.optim import Momentum
from torch import Tensor, nn

Loss = Literal["non-saturating", "minimax"]
Update = Literal["simultaneous", "alternating"]
Pixels = Literal["unit", "contrast"]


class GAN(nn.Module):
    """A generator and a discriminator for images of `shape`, trained as a `Config` says.

    G: (n, latent) -> (n, d); D: (n, d) -> (n,), logits. `config.players(G, D, output)`
    says how they play; with `config.critic_epochs` D is first trained alone. With
    `first_D` there is a pretraining stage, in which the modules of G after the first
    `front` are trained alone, against `first_D`.
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
        self.contrast = Contrast() if getattr(config, "pixels", "unit") == "contrast" else None

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
        """Return the adversarial stage, preceded by those in which less is trained."""
        c = self.config
        players = c.players(self.G, self.D, self.output)
        stages = [self.stage("adversarial", c.epochs, players)]
        if critic_epochs := getattr(c, "critic_epochs", 0):
            stages.insert(0, self.stage("critic", critic_epochs, players, players.critic_step))
        if self.first_D is not None:
            players = c.players(self.G[self.front :], self.first_D, self.output)
            stages.insert(0, self.stage("pretraining", c.pretrain_epochs, players))
        return stages

    def stage(
        self, name: str, epochs: int, players: Players, step: Callable[..., dict[str, Tensor]] | None = None
    ) -> Stage:
        """Return the stage of a `step`, by default one in which both players are updated.

        Its mini-batch is k · batch_size images, `batch_size` for each update of D.
        """
        inputs = None if self.contrast is None else self.contrast.normalise
        size, optimisers = players.k * self.config.batch_size, (players.opt_g, players.opt_d)
        return Stage(name, epochs, size, step or players.step, optimisers, players.schedules, inputs)

    def output(self, y: Tensor) -> Tensor:
        """Return the images that D sees, for the output y: (n, d) of G's last layer.

        These are pixels in [0, 1], or contrast-normalised images, which y is already.
        """
        return y.sigmoid() if self.contrast is None else y

    def latent(self, n: int) -> Tensor:
        """Return n draws z of the prior, (n, latent)."""
        return noise(self.G, n, self.prior)

    def decode(self, z: Tensor) -> Tensor:
        """Return G(z): (n, latent) -> (n, c, h, w)."""
        y = self.output(self.G(z))
        x = y if self.contrast is None else self.contrast.restore(y)
        return x.view(len(z), *self.shape)  # (n, d) -> (n, c, h, w)

    @torch.no_grad()
    def sample(self, n: int) -> Tensor:
        """Return n draws G(z), (n, c, h, w)."""
        return self.decode(self.latent(n))


def noise(G: nn.Sequential, n: int, prior: str) -> Tensor:
    """Return z: (n, G's inputs), of unit variance: U(−√3, √3) or N(0, 1)."""
    weight = G[0].weight
    assert isinstance(weight, Tensor)
    z = torch.empty(n, weight.shape[1], device=weight.device)
    return z.normal_() if prior == "gaussian" else z.uniform_(-math.sqrt(3), math.sqrt(3))


@dataclass
class Players:
    """G and D in one stage, with their optimisers, and how a mini-batch updates them.

    output: applied to the output of G's last layer.
    j: updates of G per update of D; the first in turn with D, the others alone.
    together: whether D judges real images and fakes in one pass where G is not updated
        with it. Not with batch normalisation, whose statistics would be of the mixture.
    bound_g, bound_d: enforced on a network after each of its updates.
    critic_term: added to D's loss, of the real images and fakes: (n, d), (n, d) -> 0-d.
    generator_term: added to G's loss, of the fakes: (n, d) -> 0-d.
    """

    G: nn.Sequential
    D: nn.Module
    output: Callable[[Tensor], Tensor]
    prior: Prior
    game: Game
    opt_g: torch.optim.Optimizer
    opt_d: torch.optim.Optimizer
    schedules: Sequence[Schedule] = ()
    update: Update = "alternating"
    k: int = 1
    j: int = 1
    together: bool = True
    bound_g: Callable[[nn.Module], None] | None = None
    bound_d: Callable[[nn.Module], None] | None = None
    critic_term: Callable[[Tensor, Tensor], Tensor] | None = None
    generator_term: Callable[[Tensor], Tensor] | None = None

    def fake(self, n: int) -> Tensor:
        """Return n images of G as D sees them, (n, d)."""
        z = noise(self.G, n, self.prior)
        return self.output(self.G(z).to(z.dtype))

    def judged(self, x: Tensor) -> Tensor:
        """Return D's outputs in the type of x: (n, d) -> (n,)."""
        outputs: Tensor = self.D(x).to(x.dtype)
        return outputs

    def step(self, x: Tensor, y: Tensor | None) -> dict[str, Tensor]:
        """Update D k times and G j times, on k mini-batches.

        x: (k · batch, c, h, w) or (k · batch, d).
        """
        # (n, c, h, w) -> k times (batch, d)
        *first, last = x.flatten(1).chunk(self.k)
        for batch in first:
            self.update_discriminator(batch)
        if self.update == "simultaneous":
            values = self.update_both(last)
        else:
            values = self.update_discriminator(last) | self.update_generator(len(last))
        for _ in range(self.j - 1):
            values |= self.update_generator(len(last))
        return values

    def critic_step(self, x: Tensor, y: Tensor | None) -> dict[str, Tensor]:
        """Update D alone, k times, on x as in `step`."""
        for batch in x.flatten(1).chunk(self.k):
            values = self.update_discriminator(batch)
        return values

    def update_both(self, x: Tensor) -> dict[str, Tensor]:
        """Update D and G from the same n fakes, dropout masks and parameters.

        x: (n, d), training images.
        """
        # Two passes, so that G's gradient goes through D for the fakes alone.
        a, fake = self.judged(x), self.fake(len(x))
        b = self.judged(fake)
        loss_d, loss_g = self.critic_loss(a, b, x, fake), self.generator_loss(b, fake)
        grad_d = torch.autograd.grad(loss_d, list(self.D.parameters()), retain_graph=True)
        grad_g = torch.autograd.grad(loss_g, list(self.G.parameters()))
        self.apply(self.D, self.opt_d, grad_d, self.bound_d)
        self.apply(self.G, self.opt_g, grad_g, self.bound_g)
        return self.log(loss_d, a, b) | {"loss_g": loss_g.detach()}

    def update_discriminator(self, x: Tensor) -> dict[str, Tensor]:
        """Update D alone, on x: (n, d) and n fresh fakes."""
        with torch.no_grad():
            fake = self.fake(len(x))
        if self.together:
            a, b = self.judged(torch.cat([x, fake])).chunk(2)
        else:
            a, b = self.judged(x), self.judged(fake)
        loss = self.critic_loss(a, b, x, fake)
        gradients = torch.autograd.grad(loss, list(self.D.parameters()))
        self.apply(self.D, self.opt_d, gradients, self.bound_d)
        return self.log(loss, a, b)

    def update_generator(self, n: int) -> dict[str, Tensor]:
        """Update G alone, on n fresh fakes."""
        fake = self.fake(n)
        loss = self.generator_loss(self.judged(fake), fake)
        gradients = torch.autograd.grad(loss, list(self.G.parameters()))
        self.apply(self.G, self.opt_g, gradients, self.bound_g)
        return {"loss_g": loss.detach()}

    def critic_loss(self, a: Tensor, b: Tensor, x: Tensor, fake: Tensor) -> Tensor:
        """Return D's loss of its outputs at x and at fakes, 0-d."""
        loss = self.game.critic(a, b)
        return loss if self.critic_term is None else loss + self.critic_term(x, fake)

    def generator_loss(self, b: Tensor, fake: Tensor) -> Tensor:
        """Return G's loss of D's outputs at fakes, 0-d."""
        loss = self.game.generator(b)
        return loss if self.generator_term is None else loss + self.generator_term(fake)

    def log(self, loss: Tensor, a: Tensor, b: Tensor) -> dict[str, Tensor]:
        """Return the logged values of an update of D, 0-d.

        These are its loss and the means of D(x) and D(G(z)), or of scores.
        """
        if self.game.logit:
            values = {"loss_d": loss, "d_real": a.sigmoid().mean(), "d_fake": b.sigmoid().mean()}
        else:
            values = {"loss_d": loss, "critic_real": a.mean(), "critic_fake": b.mean()}
        return {name: value.detach() for name, value in values.items()}

    def apply(
        self,
        net: nn.Module,
        optimiser: torch.optim.Optimizer,
        gradients: Iterable[Tensor],
        bound: Callable[[nn.Module], None] | None,
    ) -> None:
        """Update one network and bound its weights."""
        for p, g in zip(net.parameters(), gradients, strict=True):
            p.grad = g.to(p.dtype)  # a product under autocast has another type
        optimiser.step()
        if bound is not None:
            bound(net)


def released(config: Any, G: nn.Sequential, D: nn.Module, output: Callable[[Tensor], Tensor]) -> Players:
    """Return the players of the paper's nets, updated as in the released code."""
    optimisers = [Momentum(net.parameters(), lr=config.lr, momentum=config.momentum) for net in (G, D)]
    schedules = [Schedule(o.lr, lambda step, epoch: learning_rate(config, step)) for o in optimisers]
    schedules += [Schedule(o.momentum, lambda step, epoch: momentum(config, epoch)) for o in optimisers]
    bound = None if config.max_norm is None else partial(limit_norms_, norm=config.max_norm)
    return Players(
        G, D, output, config.prior, cross_entropy(config.loss, scale=config.discriminator_scale),
        *optimisers, schedules, config.update, config.k, bound_g=bound, bound_d=bound,
    )  # fmt: skip


def learning_rate(config: Any, step: int) -> float:
    """Return max(lr / lr_decay^t, lr_floor); t = `step`, mini-batches so far."""
    return float(max(config.lr / config.lr_decay**step, config.lr_floor))


def momentum(config: Any, epoch: int) -> float:
    """Return the momentum: it rises to `momentum_final` in `momentum_epochs` epochs."""
    share = min(1.0, epoch / max(1, config.momentum_epochs - 1))
    return float(config.momentum + (config.momentum_final - config.momentum) * share)
