"""Does G collapse when it is updated j times for each update of D?

"G must not be trained too much without updating D, in order to avoid 'the Helvetica
scenario' in which G collapses too many values of z to the same value of x to have enough
diversity to model p_data" (section 6). All trainings have the same updates of D, on the
as many images; G has j times as many updates. They are measured where D's are 1/d of
all, d the values of j: so there is a moment of each at which all have as many updates of
G as the one with j = 1 has at its end.

Source: Goodfellow et al. (2014), Generative Adversarial Nets, arXiv 1406.2661, section 6.
Differs from the paper: which shows no experiment of it; the nets are those that the later
losses share (`models/adversarial/mlp_gan.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from genmodel_bench.metrics.base import Reference
from genmodel_bench.models.adversarial.players import GAN
from genmodel_bench.studies.reach import number, reached
from genmodel_bench.studies.study import Arm, plain, shares

VALUES = (1, 2, 5, 10, 25)


@dataclass(frozen=True)
class Helvetica:
    """Updates of G per update of D."""

    question: ClassVar[str] = "does G collapse when it is updated j times for each update of D?"
    steps: ClassVar[int] = 1000
    film: ClassVar[bool] = True

    def arms(self, dataset: str) -> Sequence[Arm]:
        """Return a Config for each j."""
        config = plain(dataset)
        return [Arm("j", str(j), replace(config, j=j)) for j in VALUES]

    def moments(self, steps: int) -> set[int]:
        """Return the numbers of mini-batches after which is measured."""
        return shares(steps, *VALUES)

    def measure(self, model: GAN, data: Reference) -> Mapping[str, float]:
        """Return how much of the data the model's samples reach."""
        return reached(model.eval().sample(number(data)), data)

    def real(self, data: Reference) -> Mapping[str, float]:
        """Return how much of the data unseen real images reach."""
        return reached(data.valid[: number(data)], data)
