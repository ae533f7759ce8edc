"""What log-likelihood does a restricted Boltzmann machine give to binary test images?

log p(v) = −F(v) − log Z, with log Z by annealed importance sampling: Z is estimated
without bias, so that its logarithm is, in expectation, too low. The log-likelihood tends
to be too HIGH, the opposite of bounds and of AIS for decoders. Of a deep belief net, the
log Z is that of the top machine, and its lower layers have the variational bound

    log p(v) ≥ E_q(h|v) [log p(v, h) − log q(h|v)],    q from the bottom up, by draws,

so that its number errs to either side.

    nll      −log p of the test images, or of the bound; lower is better
    bits     the same per dimension
    train    the same of as many training images
    log_z    log Z; its settings hold log of the mean weight − and + three standard errors
    log_weight_variance, ess    of the chains' weights w: Var(log w), and (Σw)² / Σw²

What it misses: modes that no chain finds; then neither variance nor interval shows it.
Standard error of nll: over test images (`stderr_test`) and over chains (`stderr_ais`), of
which the second is one and the same error in all images.
Cost: two products of chains × visible × hidden units a temperature; 14,500 of them take
about a minute for 784 × 500 units and 100 chains on one core.
Source: Salakhutdinov and Murray (2008), On the quantitative analysis of deep belief
networks; see `metrics/boltzmann.py`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import torch
from genmodel_bench.metrics.base import Reference, Result, Score, Subject
from genmodel_bench.metrics.boltzmann import (
    LogZ,
    base_logits,
    log_unnormalised,
    log_z,
    log_z_estimates,
    schedule,
)
from genmodel_bench.metrics.capabilities import Boltzmann, Machine, machines_of
from genmodel_bench.metrics.column import Column
from genmodel_bench.metrics.distances import full_precision
from genmodel_bench.metrics.supports import Kind, bits, nats, support_of
from torch import Tensor

FEWEST = 10
"""With fewer effective chains than these, log Z hangs on a few of them."""


@dataclass(frozen=True)
class AIS:
    """The log-likelihood of Boltzmann machines, log Z by annealed importance sampling.

    temperatures: how many steps β takes from 0 to 1.
    chains: how many chains there are.
    draws: how many draws of a belief net's hidden units an image's bound is a mean over.
    """

    temperatures: int = 14_500
    chains: int = 100
    draws: int = 10
    min_samples: int = 1
    needs: tuple[type, ...] = (Boltzmann,)
    columns: ClassVar = {
        "nll": Column(
            "NLL AIS",
            "−log p of the test images under a Boltzmann machine, nats per image, with log Z by annealed "
            "importance sampling, which tends to flatter; of a belief net, with a variational bound",
            "density",
            2,
            examples="nll",
        ),
        "log_z": Column("log Z", "log of the (top) machine's partition function", "density", 2),
    }
    SOURCES: ClassVar[tuple[str, ...]] = (
        """@inproceedings{salakhutdinov2008quantitative,
            author = {Salakhutdinov, Ruslan and Murray, Iain},
            title = {On the Quantitative Analysis of Deep Belief Networks},
            booktitle = {Proceedings of the 25th International Conference on Machine Learning},
            year = {2008}}""",
    )

    def __post_init__(self) -> None:
        if self.temperatures < 100 or self.chains < 2 or self.draws < 1:
            got = f"{self.temperatures}, {self.chains}, {self.draws}"
            raise ValueError(f"ais: expected temperatures ≥ 100, chains ≥ 2, draws ≥ 1, got {got}")

    @torch.no_grad()
    @full_precision()
    def __call__(self, subject: Subject, reference: Reference) -> Result:
        """Score the machines of `subject` on the test and training images of `reference`.

        Raises:
            NotApplicable: the images are not binary.
            ValueError: the temperatures are too few for the machine's weights.
        """
        assert isinstance(subject.model, Boltzmann)
        support, machines = support_of(2, reference), machines_of(subject.model)
        everything = reference.train.flatten(1)  # (n, c, h, w) -> (n, d)
        test = reference.test.flatten(1)
        a0 = base_logits(log_unnormalised(machines, everything)[1])
        z = log_z(log_z_estimates(machines[-1], a0, schedule(self.temperatures), self.chains))
        if not (math.isfinite(z.value) and math.isfinite(z.stderr)):
            raise ValueError(f"ais: log Z is {z.value}, with {self.temperatures} temperatures; take more")
        settings = {
            "folds": 0,
            "support": support,
            "kind": kind_of(machines),
            "temperatures": self.temperatures,
            "chains": self.chains,
        }
        found, on_train = (
            z.value - self.bound(machines, images) for images in (test, everything[: len(test)])
        )
        nll = scored(found, z, settings, "lower")
        of_z = {**settings, "low": z.low if math.isfinite(z.low) else None, "high": z.high}
        weights = Score(
            z.value, z.stderr, "AIS chains", self.chains, "nats", "neither", nll.warning, None, of_z
        )
        scores = {
            "nll": nll,
            "bits": bits(nll, test.shape[1]),
            "train": scored(on_train, z, settings, "neither"),
            "log_z": weights,
            "log_weight_variance": replace(weights, value=z.variance, stderr=0.0, unit="squared nats"),
            "ess": replace(weights, value=z.ess, stderr=0.0, unit="chains"),
        }
        return Result(scores, {"nll": found})

    def bound(self, machines: Sequence[Machine], v: Tensor) -> Tensor:
        """Return the bound on log p(v) + log Z, which is −F(v) of one machine: (n,)."""
        draws = 1 if len(machines) == 1 else self.draws
        return torch.stack([log_unnormalised(machines, v)[0] for _ in range(draws)]).mean(0)


def kind_of(machines: Sequence[Machine]) -> Kind:
    """Return how the estimate stands to the log-likelihood (`metrics/supports.py`)."""
    return "≥" if len(machines) == 1 else "≈"


def scored(
    values: Tensor, z: LogZ, settings: Mapping[str, Any], better: Literal["lower", "neither"]
) -> Score:
    """Return the score of NLLs of images: (n,), with both errors and AIS's warning."""
    score = nats(values, settings, better=better)
    warning = ""
    if math.isinf(z.low) or z.ess < FEWEST:
        warning = f"log Z is not to be trusted: {z.ess:.1f} effective of {settings['chains']} AIS chains"
    return replace(
        score,
        stderr=math.hypot(score.stderr, z.stderr),
        stderr_over="test examples and AIS chains",
        warning=warning,
        settings={**settings, "stderr_test": score.stderr, "stderr_ais": z.stderr},
    )
