"""How does a restricted Boltzmann machine learn, and how does its Gibbs chain run?

It is a model of its own (`Machine`) and a layer of others (`RBM`). Binary v and h have
the energy and, with σ the logistic function, the conditionals

    E(v, h) = −v·W h − b·v − c·h,      p(h|v) = σ(v W + c),      p(v|h) = σ(h Wᵀ + b),

and the gradient of the log-likelihood is ⟨v hᵀ⟩_data − ⟨v hᵀ⟩_model. Contrastive
divergence (CD-k) takes the second term from k Gibbs steps started at the data; persistent
CD (PCD-k) from chains that continue from one update to the next.

Source: Hinton (2002), Training products of experts by minimizing contrastive divergence,
eq. 5; Tieleman (2008), Training restricted Boltzmann machines using approximations to the
likelihood gradient; Hinton (2010), A practical guide to training restricted Boltzmann
machines.
Differs from the papers: grey pixels in [0, 1] are taken as the probabilities of binary
ones (Hinton 2010, section 3). A sample is the conditional mean at the end of a chain,
which the Parzen metric favours over a draw; its chain continues a random persistent one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from genmodel_bench.models.base import Schedule, Shape, Stage, pick
from genmodel_bench.models.shared.binary import draw
from genmodel_bench.models.shared.layers import pixel_logits
from genmodel_bench.models.shared.optim import Momentum
from torch import Tensor, nn
from torch.nn.functional import linear, softplus


@dataclass(frozen=True)
class Config:
    """Restricted Boltzmann machine of `hidden` units.

    It learns by PCD with `chains` chains (`persistent`) or by CD; `gibbs_steps` is k of
    PCD-k and CD-k. `sample_steps` Gibbs steps lie between a persistent chain and a
    sample. The learning rate falls linearly to 0; momentum rises after `warm_up` epochs.
    """

    hidden: int = 500
    epochs: int = 50
    batch_size: int = 100
    lr: float = 0.05
    weight_decay: float = 2e-4
    momentum: float = 0.5
    momentum_final: float = 0.9
    warm_up: int = 5
    gibbs_steps: int = 1
    persistent: bool = True
    chains: int = 100
    sample_steps: int = 100

    KIND: ClassVar[str] = "models.rbm.Config"
    REFERENCE: ClassVar[bool] = False
    SAMPLING: ClassVar[tuple[str, ...]] = ("sample_steps",)
    BOUNDS: ClassVar = {
        **{name: (0, 1) for name in ("momentum", "momentum_final")},
        **{name: (0, None) for name in ("weight_decay", "warm_up", "sample_steps")},
    }
    SETTINGS: ClassVar = {
        "digits": {"hidden": 128, "epochs": 150, "batch_size": 50},
        "olivetti": {"epochs": 200, "batch_size": 20, "lr": 0.01, "sample_steps": 50},
    }
    SOURCES: ClassVar[tuple[str, ...]] = (
        """@article{hinton2002training,
            author = {Hinton, Geoffrey E.},
            title = {Training Products of Experts by Minimizing Contrastive Divergence},
            journal = {Neural Computation}, volume = {14}, number = {8}, pages = {1771--1800},
            year = {2002}}""",
        """@inproceedings{tieleman2008training,
            author = {Tieleman, Tijmen},
            title = {Training Restricted {Boltzmann} Machines using Approximations to the Likelihood
                Gradient},
            booktitle = {Proceedings of the 25th International Conference on Machine Learning},
            year = {2008}}""",
        """@techreport{hinton2010practical,
            author = {Hinton, Geoffrey E.},
            title = {A Practical Guide to Training Restricted {Boltzmann} Machines},
            institution = {University of Toronto}, number = {UTML TR 2010-003},
            year = {2010}}""",
    )

    def __post_init__(self) -> None:
        check_chains("rbm", self)

    def build(self, shape: Shape) -> Machine:
        """Return an untrained machine over the pixels of `shape`: (c, h, w)."""
        return Machine(self, shape)


def check_chains(who: str, config: Any) -> None:
    """Raise ValueError unless the chains of a Config can run.

    `who` begins the message.
    """
    if min(config.gibbs_steps, config.chains) < 1 or config.sample_steps < 0:
        got = f"{config.gibbs_steps}, {config.chains}, {config.sample_steps}"
        raise ValueError(f"{who}: expected gibbs_steps, chains ≥ 1 and sample_steps ≥ 0, got {got}")


class RBM(nn.Module):
    """Weights W: (n_visible, n_hidden), biases b and c, and persistent Gibbs chains.

    `chains`: (chains, n_hidden) are the chains' hidden states.
    """

    def __init__(self, n_visible: int, n_hidden: int, *, chains: int) -> None:
        super().__init__()
        self.W = nn.Parameter(0.01 * torch.randn(n_visible, n_hidden), requires_grad=False)
        self.b = nn.Parameter(torch.zeros(n_visible), requires_grad=False)
        self.c = nn.Parameter(torch.zeros(n_hidden), requires_grad=False)
        self.register_buffer("chains", torch.rand(chains, n_hidden).round())
        self.chains: Tensor

    def hidden(self, v: Tensor) -> Tensor:
        """Return p(h = 1 | v): (n, n_visible) -> (n, n_hidden)."""
        return (v @ self.W + self.c).sigmoid()

    def visible(self, h: Tensor) -> Tensor:
        """Return p(v = 1 | h): (n, n_hidden) -> (n, n_visible)."""
        return linear(h, self.W, self.b).to(h.dtype).sigmoid()

    def free_energy(self, v: Tensor) -> Tensor:
        """Return F(v) = −b·v − Σ_j softplus(v W + c)_j, which is −log p(v) − log Z.

        (n, n_visible) -> (n,), nats.
        """
        return -v @ self.b - softplus(v @ self.W + self.c).sum(1)

    def gibbs(self, h: Tensor, steps: int) -> Tensor:
        """Return the hidden states h: (n, n_hidden) after `steps` Gibbs steps.

        A full step is h -> v -> h.
        """
        for _ in range(steps):
            h = draw(self.hidden(draw(self.visible(h))))
        return h

    def gradients(self, v: Tensor, *, steps: int, persistent: bool) -> tuple[Tensor, Tensor, Tensor]:
        """Return the estimated gradient of the mean log-likelihood of v, for W, b and c.

        v: (n, n_visible). The sign is that for ascent. A persistent estimate advances
        `chains` in place; the other starts its chains at v.
        """
        positive = self.hidden(v)
        h = self.gibbs(self.chains if persistent else draw(positive), steps - 1)
        model_v = draw(self.visible(h))
        negative = self.hidden(model_v)
        if persistent:
            self.chains.copy_(draw(negative))
        n, m = len(v), len(model_v)
        # vᵀ positive / n − model_vᵀ negative / m as one product
        both = torch.cat([positive / n, negative / -m])
        return (
            (torch.cat([v, model_v]).T @ both).to(v.dtype),
            v.mean(0) - model_v.mean(0),
            positive.mean(0) - negative.mean(0),
        )


def learning(
    name: str, rbm: RBM, config: Any, *, persistent: bool, inputs: Callable[[Tensor], Tensor] | None = None
) -> Stage:
    """Return the stage in which `rbm` learns as `config` says.

    `inputs` maps the training images to the visible units; None for the pixels.
    """
    c = config
    optimiser = Momentum(rbm.parameters(), lr=c.lr, momentum=c.momentum)
    schedules = [
        Schedule(optimiser.lr, lambda step, epoch: c.lr * (1 - epoch / c.epochs)),
        Schedule(
            optimiser.momentum, lambda step, epoch: c.momentum if epoch < c.warm_up else c.momentum_final
        ),
    ]
    step = partial(update, rbm, optimiser, config, persistent)
    return Stage(name, c.epochs, c.batch_size, step, [optimiser], schedules, inputs)


@torch.no_grad()
def update(
    rbm: RBM, optimiser: Momentum, config: Any, persistent: bool, x: Tensor, y: Tensor | None
) -> dict[str, Tensor]:
    """Update an RBM by PCD or CD with weight decay.

    x: (n, c, h, w) or (n, n_visible). Logs ⟨E⟩_data − ⟨E⟩_model, nats per image, which is
    −⟨W, up_W⟩ − b·up_b − c·up_c, since the energy is linear in W, b and c.
    """
    v = x.flatten(1)  # (n, c, h, w) -> (n, n_visible)
    up_W, up_b, up_c = rbm.gradients(v, steps=config.gibbs_steps, persistent=persistent)
    gap = -(torch.vdot(rbm.W.flatten(), up_W.flatten()) + rbm.b @ up_b + rbm.c @ up_c)
    optimiser.apply([config.weight_decay * rbm.W - up_W, -up_b, -up_c])
    return {"energy_gap": gap}


class Machine(nn.Module):
    """A model of one RBM over the pixels of `shape`."""

    def __init__(self, config: Config, shape: Shape) -> None:
        super().__init__()
        self.config, self.shape = config, shape
        self.rbm = RBM(math.prod(shape), config.hidden, chains=config.chains)

    @torch.no_grad()
    def initialise(self, x: Tensor) -> None:
        """Set the visible bias to the logit of the pixel means.

        Source: Hinton (2010), section 8.1.
        """
        self.rbm.b.copy_(pixel_logits(x, eps=1e-3))

    def stages(self) -> Sequence[Stage]:
        """Return the one stage of learning."""
        return [learning("rbm", self.rbm, self.config, persistent=self.config.persistent)]

    @torch.no_grad()
    def sample(self, n: int) -> Tensor:
        """Return the means at the end of n parallel Gibbs chains, (n, c, h, w)."""
        h = self.rbm.gibbs(pick(self.rbm.chains, n), self.config.sample_steps)
        return self.rbm.visible(h).view(n, *self.shape)  # (n, d) -> (n, c, h, w)
