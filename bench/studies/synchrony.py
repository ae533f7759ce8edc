"""How often, and when, has D to be updated?

Algorithm 1 updates D k times for each update of G, and G after D ("alternating"); the
released code takes both gradients from the same fakes and parameters ("simultaneous").
All trainings have the same updates of G. They are measured where these are 1/k of all,
too: so there is a moment of each at which all have as many updates of D, on as many
images, as the one with k = 1 has at its end.

Source: Goodfellow et al. (2014), Generative Adversarial Nets, arXiv 1406.2661,
Algorithm 1, and the authors' released code (goodfeli/adversarial).
Differs from the paper: which used k = 1, "the least expensive option", and shows no
other; the nets are those that the later losses share (`models/adversarial/mlp_gan.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, get_args

from genmodel_bench.metrics.base import Reference
from genmodel_bench.models.adversarial.players import GAN, Update
from genmodel_bench.studies.reach import number, reached
from genmodel_bench.studies.study import Arm, plain, shares

VALUES = (1, 2, 5)


@dataclass(frozen=True)
class Synchrony:
    """Updates of D per update of G, in turn or at once."""

    question: ClassVar[str] = "how often, and when, has D to be updated?"
    steps: ClassVar[int] = 800
    film: ClassVar[bool] = False

    def arms(self, dataset: str) -> Sequence[Arm]:
        """Return a Config for each way and k."""
        config = plain(dataset)
        return [
            Arm(update, str(k), replace(config, update=update, k=k))
            for update in sorted(get_args(Update))
            for k in VALUES
        ]

    def moments(self, steps: int) -> set[int]:
        """Return the numbers of mini-batches after which is measured."""
        return shares(steps, *VALUES)

    def measure(self, model: GAN, data: Reference) -> Mapping[str, float]:
        """Return how much of the data the model's samples reach."""
        return reached(model.eval().sample(number(data)), data)

    def real(self, data: Reference) -> Mapping[str, float]:
        """Return how much of the data unseen real images reach."""
        return reached(data.valid[: number(data)], data)
