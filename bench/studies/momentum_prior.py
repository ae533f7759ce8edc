"""What do the momentum, and the prior of the codes and their number, change?

The paper's text gives none of them; the released code has momentum that rises from 0.5 to
0.7, and a uniform prior on MNIST, a Gaussian one elsewhere. Each prior is trained with
codes of four sizes, and with four momenta that are constant: none, both ends of the
released schedule, and the usual 0.9. The momentum is Adam's first beta, which DCGAN
lowered from 0.9 to 0.5. Both priors have a variance of 1, so that the first layer of G
sees inputs of one size.

Source: Goodfellow et al. (2014), Generative Adversarial Nets, arXiv 1406.2661, and the
authors' released code (goodfeli/adversarial); Radford et al. (2016), arXiv 1511.06434,
section 4.
Differs from the papers: the nets are those that the later losses share
(`models/adversarial/mlp_gan.py`), with Adam instead of plain momentum, and no schedule.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, get_args

from genmodel_bench.metrics.base import Reference
from genmodel_bench.models.adversarial.players import GAN
from genmodel_bench.models.base import Prior
from genmodel_bench.studies.reach import number, reached
from genmodel_bench.studies.study import Arm, plain, shares

SIZES = (2, 8, 32, 128)
MOMENTA = (0.0, 0.5, 0.7, 0.9)


@dataclass(frozen=True)
class MomentumPrior:
    """Momentum, prior and size of the codes."""

    question: ClassVar[str] = "what do momentum, prior and latent size change?"
    steps: ClassVar[int] = 800
    film: ClassVar[bool] = False

    def arms(self, dataset: str) -> Sequence[Arm]:
        """Return a Config for each prior and size, and for each prior and momentum."""
        found = []
        for prior in sorted(get_args(Prior)):
            config = replace(plain(dataset), prior=prior)
            found += [Arm(f"latent size, {prior}", str(n), replace(config, latent=n)) for n in SIZES]
            found += [
                Arm(f"momentum, {prior}", f"{m:g}", replace(config, betas=(m, config.betas[1])))
                for m in MOMENTA
            ]
        return found

    def moments(self, steps: int) -> set[int]:
        """Return the numbers of mini-batches after which is measured."""
        return shares(steps, 2)

    def measure(self, model: GAN, data: Reference) -> Mapping[str, float]:
        """Return how much of the data the model's samples reach."""
        return reached(model.eval().sample(number(data)), data)

    def real(self, data: Reference) -> Mapping[str, float]:
        """Return how much of the data unseen real images reach."""
        return reached(data.valid[: number(data)], data)
