"""How likely are test images, in features, under Gaussians around the samples?

    FLD = 100 (nll − nll of real images) / k
    nll = −mean over x of log 1/N Σ_j N(x; s_j, v_j · 1)

as in `metrics/divergence.py`. N is the number of test images, or of samples or a third of
the training images where there are fewer: the first N of each draw are the centres s. The
v are fitted to `fit_images` training images at most, which are in neither of two further
sets of N that stand for unseen ones. Numbers are means over draws; where the held-out
images are published as folds, each is scored by itself, and the folds are averaged.

    fld         lower is better; 0 for unseen real images, the first set
    fld_floor   of the second set: how far unseen real images are from 0
    gap         100 (nll of the images that v was fitted to − nll of test images) / k: far
                below gap_floor where samples are copies of training images
    gap_floor   of the second set; below 0, since v is fitted to these images

What it measures: whether there is a sample near each test image, and how near. It is
Parzen with a width for each sample, in features.
What it misses: samples that are near no image cost little; what the features do not see,
as noise and blur in principal components of MNIST; of copies of a training set larger
than `fit_images`, all but that part.
Bias: nll falls as N grows: only scores of one N compare. Samples nearer to the mean than
images are can be below 0: k-means centroids are, in principal components, and of data
that are one Gaussian so is a single point. Where nearly all samples are copies of fitted
images, FLD is in the thousands, and has a warning.
Standard error: over test images, of the gap over fitted images as well, with samples and
variances held fixed; `draw_sd` is the rest.
Cost: 8 s on one thread for a draw of 10,000 samples, with 10,000 fitted and test images
and 64 features; the real images as much again for each set, once for all rows.
Source and reference implementation: see `metrics/divergence.py`, `metrics/mixture.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from genmodel_bench.metrics.base import Reference, Result, Subject
from genmodel_bench.metrics.column import Column
from genmodel_bench.metrics.comparison import Quantity, score
from genmodel_bench.metrics.distances import full_precision
from genmodel_bench.metrics.divergence import Nll, Scale, feature_likelihood_divergence, nll
from genmodel_bench.metrics.evidence import remembered
from genmodel_bench.metrics.features import Features, features
from genmodel_bench.metrics.mind import shuffled
from torch import Tensor

__all__ = ["FLD", "feature_likelihood_divergence"]

COPIED = 1000.0
"""A larger FLD has a warning, as in the authors' release."""

QUANTITIES = {
    "fld": Quantity("nats per 100 features", "lower", "test examples"),
    "gap": Quantity("nats per 100 features", "higher", "fitted and test examples"),
}


@dataclass(frozen=True)
class FLD:
    """The feature likelihood divergence, and its gap between training and test images.

    features: their name, as in `metrics/features.py`.
    fit_images: to how many training images variances are fitted, at most.
    """

    features: str = "classifier"
    fit_images: int = 10_000
    min_samples: int = 2
    needs: tuple[type, ...] = ()
    SOURCES: ClassVar[tuple[str, ...]] = (
        """@inproceedings{jiralerspong2023feature,
            author = {Jiralerspong, Marco and Bose, Avishek Joey and Gemp, Ian and Qin, Chongli and
                Bachrach, Yoram and Gidel, Gauthier},
            title = {Feature Likelihood Divergence: Evaluating the Generalization of Generative
                Models Using Samples},
            booktitle = {Advances in Neural Information Processing Systems 36},
            year = {2023}, eprint = {2302.04440}, archivePrefix = {arXiv}}""",
    )

    @property
    def columns(self) -> Mapping[str, Column]:
        """The divergence is with the likelihoods, the gap with memorisation."""
        native = self.features == "classifier"
        name = "FLD" if native else f"FLD {self.features}"
        return {
            "fld": Column(
                name,
                f"feature likelihood divergence, {self.features} features; 0 for unseen real images",
                table="likelihood" if native else "features",
                decimals=1,
                examples="fld",
                floor="fld_floor",
                promises=(("real", "mean image"), ("real", "one class")),
            ),
            "gap": Column(
                f"{name} gap",
                "FLD of the training images that it was fitted to minus that of test images; far below the "
                "gap of unseen real images where samples are copies",
                table="memorisation",
                decimals=1,
                floor="gap_floor",
                promises=(("real", "copies"),),
            ),
        }

    @torch.no_grad()
    @full_precision()
    def __call__(self, subject: Subject, reference: Reference) -> Result:
        """Score `subject` against the test images of `reference`, or of each fold.

        Raises:
            NotApplicable: the data lack what the features need.
            ValueError: no feature varies over the test images.
        """
        extract = features(self.features, reference)
        draws, splits = (subject.samples, *subject.redraws), reference.folds or [reference]
        ours, reals = [], []
        for i, split in enumerate(splits):
            n = min(len(split.test), len(subject.samples), len(reference.train) // 3)

            def make(n: int = n, test: Tensor = split.test) -> Real:
                return self.real(n, test, reference.train, extract)

            real = remembered(reference, f"{self!r} {extract.about} {n} {i}", make)
            reals.append(real)
            ours.append([nll(real.scale(extract.of(x[:n])), real.fitted, real.test) for x in draws])
        settings = {
            "N": reals[0].n,
            "folds": len(reference.folds),
            "fit_images": len(reals[0].fitted),
            "zero": float(reals[0].zero.test.mean()),
            **extract.about,
        }
        scores = {}
        for suffix, found in (("", ours), ("_floor", [[real.floor] for real in reals])):
            values = [
                [each.against(real.zero) for each in fold] for fold, real in zip(found, reals, strict=True)
            ]
            for name, of in QUANTITIES.items():
                said = replace(of, better="neither" if suffix else of.better, count=len(splits[0].test))
                estimates = [[value[name] for value in fold] for fold in values]
                scores[name + suffix] = score(estimates, said, settings)
        if scores["fld"].value > COPIED:
            scores["fld"] = replace(scores["fld"], warning="the samples are copies, or unlike any image")
        by_image = [
            torch.stack([each.above(real.zero) for each in fold]).mean(0)
            for fold, real in zip(ours, reals, strict=True)
        ]
        return Result(scores, {"fld": torch.cat(by_image)})

    def real(self, n: int, test: Tensor, train: Tensor, extract: Features) -> Real:
        """Return what is made of real images, (m, c, h, w), with n of them as centres."""
        held, order = extract.of(test), shuffled(len(train), train)
        scale = Scale(held)
        parts = order[:n], order[n : 2 * n], order[2 * n :][: self.fit_images]
        first, second, fitted = (scale(extract.of(train[part])) for part in parts)
        held = scale(held)
        return Real(n, scale, fitted, held, nll(first, fitted, held), nll(second, fitted, held))


@dataclass(frozen=True)
class Real:
    """What is made of the real images of a split, for all rows.

    n: how many centres there are. scale: of features. fitted, test: features of the
    images that variances are fitted to, and of test images. zero, floor: of two sets of n
    unseen images.
    """

    n: int
    scale: Scale
    fitted: Tensor
    test: Tensor
    zero: Nll
    floor: Nll
