"""Does the gradient at G vanish with the minimax loss, in real training?

"Early in learning, when G is poor, D can reject samples with high confidence [...]. In
this case, log(1 − D(G(z))) saturates" (section 3). At moments of real trainings with
either loss, the norm of the gradient of both losses is measured at the parameters of G,
on the nets as they are, with the mean of D at fakes and at training images. The paper's
nets are trained by momentum, as released; the later ones by Adam, which divides by the
size of past gradients, so that a small one is no small step.

Source: Goodfellow et al. (2014), Generative Adversarial Nets, arXiv 1406.2661, section 3.
Differs from the paper: which shows no experiment of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from genmodel_bench.metrics.base import Reference
from genmodel_bench.models.adversarial.critics import GENERATOR_LOSSES
from genmodel_bench.models.adversarial.gan import Config as Released
from genmodel_bench.models.adversarial.players import GAN
from genmodel_bench.studies.study import Arm, plain, usual

AT_ONCE, MOMENTS = 1000, 32
"""Fakes, and training images, that are judged; about how often."""


@dataclass(frozen=True)
class Saturation:
    """The two losses of G, with momentum and with Adam."""

    question: ClassVar[str] = "does the gradient at G vanish with the minimax loss?"
    steps: ClassVar[int] = 1000
    film: ClassVar[bool] = False

    def arms(self, dataset: str) -> Sequence[Arm]:
        """Return a Config for each optimiser and loss."""
        configs = {"momentum": usual(Released(), dataset), "Adam": plain(dataset)}
        return [
            Arm(name, loss, replace(config, loss=loss))
            for name, config in configs.items()
            for loss in GENERATOR_LOSSES
        ]

    def moments(self, steps: int) -> set[int]:
        """Return the numbers of mini-batches after which is measured: denser at first."""
        return {max(1, round(steps ** (i / (MOMENTS - 1)))) for i in range(MOMENTS)}

    def measure(self, model: GAN, data: Reference) -> Mapping[str, float]:
        """Return the norms of both losses' gradients, and the means of D."""
        players = model.config.players(model.G, model.D, model.output)
        outputs = players.judged(players.fake(AT_ONCE))
        values = {}
        for loss, of in GENERATOR_LOSSES.items():
            gradients = torch.autograd.grad(of(outputs), list(model.G.parameters()), retain_graph=True)
            values[f"gradient, {loss}"] = float(torch.stack([g.norm() for g in gradients]).norm())
        with torch.no_grad():
            x = data.train[:AT_ONCE]
            x = x if model.contrast is None else model.contrast.normalise(x)
            real = players.judged(x.flatten(1))  # (n, c, h, w) -> (n, d)
            judged = {"D(G(z))": outputs, "D(x)": real}
            return values | {name: float(a.sigmoid().mean()) for name, a in judged.items()}

    def real(self, data: Reference) -> Mapping[str, float]:
        """Return nothing: it is of nets in training."""
        return {}
