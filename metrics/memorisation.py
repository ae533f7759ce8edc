"""Are samples nearer to training images than unseen real images are? Each with a null.

    nearer_train     P(ρ < 1): how often a sample is nearer to a training image than to a
                     held-out one, at equal numbers; 1/2 without copying, 1 for copies
    c_t              C_T of Meehan et al. (2020): a Z score, averaged over k-means cells;
                     ≪ 0 copies, near 0 as real images, ≫ 0 unlike the data
    authenticity     share of samples that are farther from their nearest training image
                     than that one is from its own nearest; 0 for copies
    shifted_copies   share of samples nearer to a training image, over shifts by up to a
                     pixel, than 99 % of held-out images; about 1 % for unseen images

Each has `_p`, the one-sided p of its null, small where samples are nearer to training
images than the null allows, and `_floor`, the value of unseen real images.
`metrics/copying.py` has the definitions and nulls. The held-out images are the test
images. The first draw is scored, of it the first N samples, at most as many as there are
test images. Of several draws or folds, p is twice the median of theirs.

What they miss: copies that are changed by more than a shift of a pixel.
What looks like copying and is none: smooth samples, such as conditional means, are near
everything (`nearer_train` alone does not mind); so are samples of the training images'
own kind, where the test images are of another: on MNIST, of other writers, so that
unseen images of the training images' writers have a `c_t` of -0.5 ± 0.15.
Bias: samples unlike the data have high `c_t` and `authenticity`, which hides copies.
Standard errors: of `nearer_train` and `c_t` those of their null, of shares over samples.
Cost on MNIST, N = 10,000: a row takes three matrix products of N × 50,000 × 784, of which
the shifts take two; the first row eight more, of real images among themselves.
Reference implementations: `scipy.stats.mannwhitneyu` and the loops of its tests.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from genmodel_bench.metrics.base import Reference, Result, Score, Subject
from genmodel_bench.metrics.column import Column
from genmodel_bench.metrics.comparison import Quantity
from genmodel_bench.metrics.copying import authenticity, c_t, near_copies, nearer_train
from genmodel_bench.metrics.distances import nearest
from genmodel_bench.metrics.features import Features, features
from genmodel_bench.metrics.nearness import (
    cells_of,
    held_to_train,
    shifted_to_train,
    train_features,
    train_to_train,
)
from genmodel_bench.metrics.neighbours import nearest_shifted
from genmodel_bench.metrics.nulls import Statistic, scores_of
from genmodel_bench.metrics.papers import THEIS_2016
from torch import Tensor

QUANTITIES: Mapping[str, Quantity] = {
    "nearer_train": Quantity("probability", "lower", "training and test examples"),
    "c_t": Quantity("Z score", "neither", "samples and test examples"),
    "authenticity": Quantity("share", "higher", "samples"),
    "shifted_copies": Quantity("share", "lower", "samples and test examples"),
}


@dataclass(frozen=True)
class Memorisation:
    """Distances of samples to training images, against those of test images.

    features: of all but `shifted_copies`, which is of pixels.
    cells: of C_T, at most; one for each hundred test images.
    near: the share of test images that are nearer than the threshold of `shifted_copies`.
    shifted: how many samples, and test images, are shifted.
    permutations: for the p of `nearer_train`.
    draws: how many draws are scored, the first ones; each costs as much as a row.
    """

    features: str = "pixels"
    cells: int = 50
    near: float = 0.01
    shifted: int = 2000
    permutations: int = 999
    draws: int = 1
    min_samples: int = 2
    needs: tuple[type, ...] = ()
    columns: ClassVar = {
        "nearer_train": Column(
            "P(ρ<1)",
            "how often a sample is nearer to a training image than to a test image, at equal numbers of "
            "both; 0.5 without copying, 1 for copies",
            table="memorisation",
            floor="nearer_train_floor",
            promises=(("real", "copies"),),
        ),
        "c_t": Column(
            "C_T",
            "Z score of distances to training images against those of test images, over cells (Meehan et "
            "al. 2020); far below 0 for copies, far above 0 for samples unlike the data",
            table="memorisation",
            decimals=2,
            floor="c_t_floor",
        ),
        "authenticity": Column(
            "authentic %",
            "samples farther from their nearest training image than that one is from its own nearest (Alaa "
            "et al. 2022); compare with the row of real images alone",
            table="memorisation",
            decimals=1,
            factor=100,
            floor="authenticity_floor",
            promises=(("real", "copies"),),
        ),
        "shifted_copies": Column(
            "shifted copies %",
            "samples nearer to a training image, over shifts by up to a pixel, than 99 % of the test images "
            "are; 1 % for unseen images",
            table="memorisation",
            decimals=1,
            factor=100,
            floor="shifted_copies_floor",
            promises=(("real", "copies"), ("real", "5% copies")),
        ),
    }
    SOURCES: ClassVar[tuple[str, ...]] = (
        """@inproceedings{meehan2020nonparametric,
            author = {Meehan, Casey and Chaudhuri, Kamalika and Dasgupta, Sanjoy},
            title = {A Non-Parametric Test to Detect Data-Copying in Generative Models},
            booktitle = {The 23rd International Conference on Artificial Intelligence and Statistics},
            year = {2020}, eprint = {2004.05675}, archivePrefix = {arXiv}}""",
        """@inproceedings{alaa2022faithful,
            author = {Alaa, Ahmed M. and van Breugel, Boris and Saveliev, Evgeny and
                van der Schaar, Mihaela},
            title = {How Faithful is your Synthetic Data? {S}ample-level Metrics for Evaluating and
                Auditing Generative Models},
            booktitle = {International Conference on Machine Learning},
            year = {2022}, eprint = {2102.08921}, archivePrefix = {arXiv}}""",
        THEIS_2016,
    )

    @torch.no_grad()
    def __call__(self, subject: Subject, reference: Reference) -> Result:
        """Score `subject` against `reference.train` and the test images, or each fold's.

        `reference.valid` is not used.

        Raises:
            NotApplicable: the data lack what the features need.
        """
        extract = features(self.features, reference)
        draws = (subject.samples, *subject.redraws)[: self.draws]
        tests = [split.test for split in reference.folds or [reference]]
        found = [
            [self.statistics(x, test, i, reference, extract) for x in draws] for i, test in enumerate(tests)
        ]
        n = min(len(draws[0]), len(tests[0]))
        sizes = {"N": n, "folds": len(reference.folds), "train": len(reference.train), "test": len(tests[0])}
        known = {name: {**sizes, **extract.about} for name in QUANTITIES}
        known["c_t"]["cells"] = self.cells_for(tests[0])
        few = min(self.shifted, n)
        known["shifted_copies"] = {**sizes, "N": few, "near": self.near, "features": "pixels"}
        scores: dict[str, Score] = {}
        for name, of in QUANTITIES.items():
            each = [[statistic[name] for statistic in fold] for fold in found]
            scores |= scores_of(name, each, of, known[name])
        return Result(scores)

    def statistics(
        self, samples: Tensor, test: Tensor, fold: int, reference: Reference, extract: Features
    ) -> dict[str, Statistic]:
        """Return the four statistics of one draw, (N, c, h, w), and one fold."""
        x = extract.of(samples[: len(test)])  # (N, c, h, w) -> (N, k)
        ours = nearest(x, train_features(reference, extract))
        held = held_to_train(reference, extract, test, fold)
        cells, held_cells = cells_of((samples[: len(test)], test), reference, self.cells_for(test))
        shifted, _ = nearest_shifted(samples[: min(self.shifted, len(test))], reference.train.flatten(1))
        held_shifted = shifted_to_train(reference, test[: self.shifted], fold)
        m, n = len(reference.train), len(test)
        return {
            "nearer_train": nearer_train(ours, nearest(x, extract.of(test)), m, n, self.permutations),
            "c_t": c_t(ours[0], held[0], cells, held_cells),
            "authenticity": authenticity(ours, held, train_to_train(reference, extract)),
            "shifted_copies": near_copies(shifted, held_shifted, self.near),
        }

    def cells_for(self, test: Tensor) -> int:
        """Return how many cells there are for test images, (n, c, h, w)."""
        return max(1, min(self.cells, len(test) // 100))
