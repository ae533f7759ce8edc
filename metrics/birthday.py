"""How many different images can a model make? The birthday bound on its support S.

    support     log₁₀ of the lower 95 % bound of S; finite where no pair is found, and at
                most log₁₀ N (N − 1) / 6; higher is better
    estimate    log₁₀ of the median-unbiased estimate of S
    birthday    the size, about 1.18 √S, of a set that has a duplicate with probability
                1/2, from the estimate

S follows from pairs of near-duplicates among the first N samples of a draw, as
`metrics/support.py` says; N is the number of test images, or of samples or training
images where there are fewer. A pair are near-duplicates where they are as near as the
nearest 0.1 % of N training images are to another one. So real images have a few, and S
compares at the same N and threshold alone.

Null: `support_p`, one-sided, is for more pairs than among N test images. Drawn alike,
samples and test images may exchange places, which changes the difference of their pairs
as it does a sum over images. `support_floor` is the support of the test images.

What it misses: copies of many training images (where a model resamples them it finds
their number); quality.
Bias: smooth samples have more near-duplicates; frequent images count more than rare ones.
Standard error: in log₁₀, over samples.
Several draws: the mean of the first two, and twice the median p.
Source: Arora and Zhang (2017), arXiv 1706.08224.
Differs from the paper: pairs are found by a threshold, where people looked at the nearest
ones, and all of them count, not whether there is one.
Cost on MNIST: two products of N × N × 784 for a draw, two more for the first row.
Reference implementation: the loop over pairs of its tests.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from genmodel_bench.metrics.base import Reference, Result, Subject
from genmodel_bench.metrics.column import Column
from genmodel_bench.metrics.comparison import Estimate, Quantity, score
from genmodel_bench.metrics.evidence import remembered
from genmodel_bench.metrics.features import features
from genmodel_bench.metrics.mind import shuffled
from genmodel_bench.metrics.nearness import nearest_others
from genmodel_bench.metrics.nulls import Statistic, exchanged, scores_of
from genmodel_bench.metrics.support import Support, near_duplicates, support
from torch import Tensor


@dataclass(frozen=True)
class Birthday:
    """The birthday bound on the support.

    near: the share of training images that have another one within the threshold.
    permutations: for p.
    draws: how many draws are scored, the first ones.
    """

    features: str = "pixels"
    near: float = 0.001
    permutations: int = 999
    draws: int = 2
    min_samples: int = 2
    needs: tuple[type, ...] = ()
    columns: ClassVar = {
        "support": Column(
            "support ≥",
            "lower 95 % bound of the number of different images, log₁₀, from pairs of near-duplicates among "
            "N samples",
            table="memorisation",
            decimals=2,
            floor="support_floor",
            promises=(("real", "mean image"),),
        )
    }
    SOURCES: ClassVar[tuple[str, ...]] = (
        """@article{arora2017do,
            author = {Arora, Sanjeev and Zhang, Yi},
            title = {Do {GANs} actually learn the distribution? {An} empirical study},
            journal = {arXiv preprint arXiv:1706.08224},
            year = {2017}, eprint = {1706.08224}, archivePrefix = {arXiv}}""",
    )

    @torch.no_grad()
    def __call__(self, subject: Subject, reference: Reference) -> Result:
        """Score `subject` against the test images of `reference`, or of each fold.

        `reference.train` gives the threshold; `reference.valid` is not used.

        Raises:
            NotApplicable: the data lack what the features need.
        """
        extract = features(self.features, reference)
        draws = (subject.samples, *subject.redraws)[: self.draws]
        tests = [split.test for split in reference.folds or [reference]]
        found: list[list[tuple[Support, Statistic]]] = []
        for i, test in enumerate(tests):
            n = min(len(draws[0]), len(test), len(reference.train))

            def make(n: int = n, test: Tensor = test) -> tuple[Tensor, float, Tensor]:
                train = reference.train[shuffled(len(reference.train), reference.train)[:n]]
                apart = nearest_others(extract.of(train))
                threshold = float(apart.kthvalue(max(1, int(self.near * n))).values)
                held = extract.of(test[shuffled(len(test), test)[:n]])
                return held, threshold, near_duplicates(held, held, threshold)[0] - 1

            held, threshold, degrees = remembered(reference, f"{self!r} {extract.about} {n} {i}", make)
            found.append([self.statistic(extract.of(x[:n]), held, threshold, degrees) for x in draws])
        n = min(len(draws[0]), len(tests[0]), len(reference.train))
        known = {"N": n, "folds": len(reference.folds), "near": self.near, **extract.about}
        about = Quantity("log10 images", "higher", "samples")
        supports = [[each for each, _ in fold] for fold in found]
        tested = [[each for _, each in fold] for fold in found]
        estimates = [[Estimate(each.estimate, each.stderr) for each in fold] for fold in supports]
        sizes = [[Estimate(each.birthday, each.birthday_error) for each in fold] for fold in supports]
        return Result(
            {
                **scores_of("support", tested, about, known),
                "estimate": score(estimates, about, known),
                "birthday": score(sizes, Quantity("samples", "higher", "samples"), known),
            }
        )

    def statistic(
        self, x: Tensor, held: Tensor, threshold: float, held_degrees: Tensor
    ) -> tuple[Support, Statistic]:
        """Return the support of samples, (N, k), against as many held-out images."""
        degrees = near_duplicates(x, x, threshold)[0] - 1  # each is within reach of itself
        across, back = near_duplicates(x, held, threshold)
        pooled = torch.cat([degrees + across, held_degrees + back]).double()
        p = exchanged(pooled, len(x), self.permutations).p
        ours, floor = support(degrees), support(held_degrees)
        return ours, Statistic(ours.low, ours.stderr, p, floor.low, floor.stderr)
