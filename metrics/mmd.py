"""Can a kernel test tell samples from real images, and by how much do they differ?

    mmd2    unbiased MMD² of `metrics/kernel.py`, with the mean of five Gaussian kernels
            exp(−|a − b|² / 2h²); lower is better
    p       the share of random exchanges of samples and real images for which MMD² is at
            least that large, itself counted: the p-value of the hypothesis that both have
            the same distribution

h is ¼, ½, 1, 2 and 4 times the median distance between training images (in features): it
is the same for all rows. At most 2,000 of each set are used, drawn once and for all.

What it measures: any difference of the two distributions of features, at scales from a
quarter of the median distance to four times it.
What it misses: copies of training images; differences at smaller scales, to which the
kernels are blind in many dimensions; what the features do not see.
Bias: `mmd2` none, at any N; it may be below 0. `p` is uniform, in steps of
1/(permutations + 1), where samples are real images, and at its least for every row where
N is large: then `mmd2` compares rows, `p` does not. A mean of p over draws is no p-value;
twice it is one.
Standard error: of `mmd2` as of `kd`; of `p` that of the drawn permutations, which are
always the same ones. p_gain is of no use.
Reference implementation: the sums over all pairs, one by one, of each permutation too,
agreed within 1e-12; the closed form for Gaussians within the error.
Cost: 6 s on one thread for five draws on MNIST; one matrix of kernels, 64 MB at 2,000 of
each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from genmodel_bench.metrics.base import Reference, Result, Subject
from genmodel_bench.metrics.column import Column
from genmodel_bench.metrics.comparison import Estimate, Quantity, compared
from genmodel_bench.metrics.distances import full_precision
from genmodel_bench.metrics.evidence import remembered
from genmodel_bench.metrics.features import NotApplicable, features
from genmodel_bench.metrics.mind import shuffled
from genmodel_bench.metrics.orders import DISTANCE
from genmodel_bench.metrics.permutations import kernel_test, median_distance
from torch import Tensor

POINTS = 2000
"""How many of each set are used, at most: one matrix of their kernels is 64 MB."""


@dataclass(frozen=True)
class Mmd:
    """The unbiased squared MMD of features with Gaussian kernels, and its p-value.

    features: their name (`metrics/features.py`).
    bandwidth: the middle one; None: the median distance between training images.
    """

    features: str = "classifier"
    bandwidth: float | None = None
    permutations: int = 500
    min_samples: int = 3
    needs: tuple[type, ...] = ()
    SOURCES: ClassVar[tuple[str, ...]] = (
        """@article{gretton2012kernel,
            author = {Gretton, Arthur and Borgwardt, Karsten M. and Rasch, Malte J. and
                Sch{\\"o}lkopf, Bernhard and Smola, Alexander},
            title = {A Kernel Two-Sample Test},
            journal = {Journal of Machine Learning Research},
            volume = {13}, pages = {723--773}, year = {2012}}""",
    )

    @property
    def quantities(self) -> Mapping[str, Quantity]:
        """What is said of each score."""
        return {
            "mmd2": Quantity("mean kernel", "lower"),
            "p": Quantity("p-value", "neither", "permutations", self.permutations),
        }

    @property
    def columns(self) -> Mapping[str, Column]:
        """The columns of both scores."""
        own = self.features == "classifier"
        more, table = ("", "quality") if own else (f" {self.features}", "features")
        return {
            "mmd2": Column(
                f"MMD² × 1000{more}",
                "unbiased squared MMD of the samples' features from those of as many test images, with "
                "Gaussian kernels, times 1,000",
                table,
                factor=1000,
                floor="mmd2_floor",
                promises=DISTANCE,
            ),
            "p": Column(
                f"MMD p{more}",
                "p-value of the hypothesis that samples and test images have one distribution, by "
                "permutations",
                table,
                floor="p_floor",
            ),
        }

    @torch.no_grad()
    @full_precision()
    def __call__(self, subject: Subject, reference: Reference) -> Result:
        """Score `subject` by the protocol of `metrics/comparison.py`."""
        h = self.bandwidth or self.median(reference)
        samples, *redraws = (x[shuffled(len(x), x)[:POINTS]] for x in (subject.samples, *subject.redraws))
        few = replace(subject, samples=samples, redraws=redraws)
        return compared(
            replace(self, bandwidth=h), few, reference, bandwidth=h, permutations=self.permutations
        )

    def median(self, reference: Reference) -> float:
        """Return the median distance between training images.

        Raises:
            NotApplicable: it is 0.
        """
        extract, train = features(self.features, reference), reference.train
        some = train[shuffled(len(train), train)[:POINTS]]
        key = f"median distance {extract.about}"
        h = remembered(reference, key, lambda: median_distance(extract.of(some)))
        if not h:
            raise NotApplicable("mmd: the median distance between training images is 0")
        return h

    def prepare(self, x: Tensor) -> Tensor:
        """Return the features."""
        return x

    def estimate(self, x: Tensor, real: Tensor) -> Mapping[str, Estimate]:
        """Return both scores of two sets."""
        assert self.bandwidth is not None
        mmd2, p = kernel_test(x, real, self.bandwidth, permutations=self.permutations)
        return {"mmd2": mmd2, "p": p}
