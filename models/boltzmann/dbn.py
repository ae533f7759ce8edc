"""How does a deep belief net train and sample?

A stack of RBMs is learned greedily: each models the hidden probabilities of the one
below. Together they are a generative model: its top two layers are the top RBM, its lower
layers are directed downwards. A sample runs a Gibbs chain in the top RBM, then passes the
means down. Each RBM ascends the log-likelihood of its input (see `rbm.py`).

Source: Hinton, Osindero and Teh (2006), A fast learning algorithm for deep belief nets;
as a baseline of Table 1: Bengio, Mesnil, Dauphin and Rifai (2013), Better Mixing via Deep
Representations, arXiv 1207.4404.
Differs from the paper: a re-implementation, since the sizes, epochs and chain lengths of
the published baseline cannot be recovered; no up-down fine-tuning. The top RBM learns
with persistent chains, and the chain of a sample continues a random one of them. Samples
are conditional means, which the Parzen metric favours over draws.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from genmodel_bench.models.base import Shape, Stage, pick
from genmodel_bench.models.boltzmann.rbm import RBM, check_chains, learning
from genmodel_bench.models.papers import BENGIO_2013
from genmodel_bench.models.shared.layers import pixel_logits
from torch import Tensor, nn


@dataclass(frozen=True)
class Config:
    """Deep belief net of RBMs with `hidden` sizes from the bottom up.

    `persistent`: the top RBM learns by PCD with `chains` chains (otherwise by CD); the
    RBMs below always learn by CD. `gibbs_steps` is k of PCD-k and CD-k. `sample_steps`
    Gibbs steps lie between a chain's state after the last update and a sample.
    The learning rate falls linearly to 0 within each RBM; momentum rises after `warm_up`
    epochs.
    """

    hidden: tuple[int, ...] = (1000, 1000)
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

    KIND: ClassVar[str] = "models.dbn.Config"
    REFERENCE: ClassVar[bool] = False
    SAMPLING: ClassVar[tuple[str, ...]] = ("sample_steps",)
    BOUNDS: ClassVar = {
        **{name: (0, 1) for name in ("momentum", "momentum_final")},
        **{name: (0, None) for name in ("weight_decay", "warm_up", "sample_steps")},
    }
    SETTINGS: ClassVar = {
        "digits": {"hidden": (128, 128), "epochs": 150, "batch_size": 50},
        "olivetti": {"hidden": (500, 500), "epochs": 200, "batch_size": 20, "lr": 0.01},
    }
    SOURCES: ClassVar[tuple[str, ...]] = (
        """@article{hinton2006fast,
            author = {Hinton, Geoffrey E. and Osindero, Simon and Teh, Yee-Whye},
            title = {A Fast Learning Algorithm for Deep Belief Nets},
            journal = {Neural Computation}, volume = {18}, number = {7}, pages = {1527--1554},
            year = {2006}}""",
        BENGIO_2013,
    )

    def __post_init__(self) -> None:
        if not self.hidden:
            raise ValueError("dbn: hidden needs at least one layer, got ()")
        check_chains("dbn", self)

    def build(self, shape: Shape) -> DBN:
        """Return an untrained stack for images of `shape`: (c, h, w)."""
        return DBN(self, shape)


class DBN(nn.Module):
    """The RBMs of a `Config`, the bottom one over the pixels of `shape`."""

    def __init__(self, config: Config, shape: Shape) -> None:
        super().__init__()
        self.config, self.shape = config, shape
        sizes = [math.prod(shape), *config.hidden]
        self.rbms = nn.ModuleList(
            RBM(a, b, chains=config.chains) for a, b in zip(sizes[:-1], sizes[1:], strict=True)
        )

    @torch.no_grad()
    def initialise(self, x: Tensor) -> None:
        """Set the bottom visible bias to the logit of the pixel means.

        Source: Hinton (2010), section 8.1.
        """
        self.rbms[0].b.copy_(pixel_logits(x, eps=1e-3))

    def stages(self) -> Sequence[Stage]:
        """Return one stage per RBM, from the bottom up.

        The inputs of a stage are the codes of the layers below.
        """
        top = len(self.rbms) - 1
        return [
            learning(
                f"rbm{i + 1}",
                rbm,
                self.config,
                persistent=self.config.persistent and i == top,
                inputs=partial(self.codes, layer=i),
            )
            for i, rbm in enumerate(self.rbms)
        ]

    @torch.no_grad()
    def codes(self, x: Tensor, *, layer: int) -> Tensor:
        """Return the input of RBM `layer`: the hidden probabilities of the one below.

        (n, c, h, w) -> (n, size); for layer 0 these are the pixels.
        """
        v = x.flatten(1)
        for rbm in self.rbms[:layer]:
            v = rbm.hidden(v)
        return v

    @torch.no_grad()
    def sample(self, n: int) -> Tensor:
        """Return the means at the end of n parallel Gibbs chains, (n, c, h, w).

        The chains run in the top RBM.
        """
        *below, top = self.rbms
        h = top.gibbs(pick(top.chains, n), self.config.sample_steps)
        v = top.visible(h)
        for rbm in reversed(below):
            v = rbm.visible(v)
        return v.view(n, *self.shape)  # (n, d) -> (n, c, h, w)
