"""How far are samples from the density that the data were drawn from, where it is known?

    jsd         Jensen-Shannon divergence in nats, between the samples and the density,
                over cells of the plane; from 0 to log 2, lower is better
    good        share of samples within 3 sd of a centre; higher is better; of the
                density 1 − exp(−9/2) = 98.9 %
    log_prob    mean log p of the samples in nats; of the density minus its entropy

[0, 1]² is divided into squares, whose edges are 1 sd or less; those at the border reach
to infinity. The mass p of each under the density is exact, a product of normal
distribution functions, and q is the share of samples in it:

    JSD = ½ Σ p log 2p / (p + q) + q log 2q / (p + q)

What it misses: what happens within a cell. So the JSD of the masses is at most that of
the densities, in exact arithmetic. `log_prob` is highest where all samples are at one
centre: neither direction is better. `good` misses what is left out.
Bias: the JSD is too high. Of a perfect sampler it is, exactly, a sum over cells of
expectations over binomial counts: 0.0056 on `ring` and 0.0151 on `grid` at N = 10,000,
0.041 and 0.102 at 1,000; 1 / 8N for each cell that is expected to hold some samples.
`jsd_floor`, `good_floor` and `log_prob_floor` are those of as many test images, where
there are as many.
Standard error: over samples; of the JSD by the delta method, with ∂JSD/∂q =
½ log 2q / (p + q).
Source: the 3 sd of Srivastava et al. (2017), arXiv 1705.07761, whose share of good
samples this is. Lin et al. (2018) have a JSD between frequencies of modes instead, which
`metrics/modes.py` measures by KL.
Reference implementation: `scipy.stats` for the masses, within 1e-12.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from genmodel_bench.metrics.base import Reference, Result, Subject
from genmodel_bench.metrics.column import Column
from genmodel_bench.metrics.comparison import Estimate, Quantity, mean_of, score
from genmodel_bench.metrics.features import NotApplicable
from genmodel_bench.metrics.known import GaussianMixture
from genmodel_bench.metrics.papers import SRIVASTAVA_2017
from genmodel_bench.metrics.plane import jensen_shannon, masses, shares
from torch import Tensor

SHOWN = 2500
"""How many samples are kept for figures: as many as the literature shows."""


@dataclass(frozen=True)
class KnownDensity:
    """Samples against the density that points of the plane were drawn from.

    within: how many sd a good sample is from a centre, at most.
    edge: of the cells of the JSD, in sd.
    """

    within: float = 3.0
    edge: float = 1.0
    min_samples: int = 2
    needs: tuple[type, ...] = ()
    columns: ClassVar = {
        "jsd": Column(
            "JSD",
            "Jensen-Shannon divergence of the samples from the known density, over cells as wide as 1 sd",
            "modes",
            4,
            floor="jsd_floor",
            promises=(("real", "noisy"), ("real", "one class"), ("real", "mean image")),
        ),
        "good": Column(
            "good %",
            "samples within 3 sd of a centre",
            "modes",
            1,
            factor=100,
            floor="good_floor",
            promises=(("real", "noisy"),),
        ),
        "log_prob": Column(
            "log p", "mean log of the known density at the samples", "modes", 2, floor="log_prob_floor"
        ),
    }
    SOURCES: ClassVar[tuple[str, ...]] = (SRIVASTAVA_2017,)

    @torch.no_grad()
    def __call__(self, subject: Subject, reference: Reference) -> Result:
        """Score `subject` by the density of `reference`.

        Raises:
            NotApplicable: it is not known, or not of points of the plane.
        """
        density: GaussianMixture | None = getattr(reference, "density", None)
        if density is None or len(density.centres[0]) != 2:
            raise NotApplicable("the data are not drawn from a known density in the plane")
        n = len(subject.samples)
        settings = {"N": n, "folds": 0, "within": self.within, "edge": self.edge}
        quantities = {
            "jsd": Quantity("nats", "lower", "samples"),
            "good": Quantity("share", "higher", "samples"),
            "log_prob": Quantity("nats", "neither", "samples"),
        }
        p = masses(density, self.edge * density.sd).to(subject.samples.device)
        draws = [self.estimates(x, density, p) for x in (subject.samples, *subject.redraws)]
        scores = {k: score([[e[k] for e in draws]], of, settings) for k, of in quantities.items()}
        if len(reference.test) >= n:
            floor = self.estimates(reference.test[:n], density, p)
            for name, of in quantities.items():
                scores[f"{name}_floor"] = score([[floor[name]]], replace(of, better="neither"), settings)
        return Result(scores, {"points": subject.samples[:SHOWN].flatten(1).detach()})

    def estimates(self, x: Tensor, density: GaussianMixture, p: Tensor) -> dict[str, Estimate]:
        """Return what is said of one set of points (n, 1, 1, 2); p: of the cells."""
        q = shares(x, self.edge * density.sd)
        _, apart = density.nearest(x)
        return {
            "jsd": jensen_shannon(q, p, len(x)),
            "good": mean_of((apart <= self.within).double()),
            "log_prob": mean_of(density.log_prob(x)),
        }
