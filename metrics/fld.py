"""How likely are test images, in features, under Gaussians around the samples?

    FLD = 100 (nll − nll of real images) / k,      nll = −mean of log 1/N Σ_j N(x; s_j, v_j · 1)

over the test images, of k features that have mean 0 and variance 1 over these. The v_j
are fitted to training images (`metrics/mixture.py`). N is the number of test images, or
of samples or a third of the training images where there are fewer. The real images are N
training images as centres, fitted to the same training images as the samples: those that
are in neither of the sets of real images, `fit_images` of them at most. A draw counts as
any other; where the held-out images are published as folds, each is scored by itself.

    fld         of the first N samples; lower is better, 0 for unseen real images
    fld_floor   of N more training images: 0 but for which images they are
    gap         100 (nll of the images that v was fitted to − nll of the test images) / k:
                far below gap_floor where samples are copies of training images
    gap_floor   of the N more training images; below 0, as v was fitted to the first

What it measures: whether there is a sample near each test image, and how near; Parzen
with a width for each sample, in features.
What it misses: samples that are near no image cost little; a copied image counts where it
is among the `fit_images`: of a larger training set, a part of the copies.
Bias: nll falls as N grows; only scores of one N compare. Copies give no small number but
an unbounded one: FLD is then in the thousands, and has a warning. Samples that are
smoother than images can be below 0, as k-means centroids are.
Standard error: over test images, with samples and variances held fixed: `draw_sd` is the
rest. Of the gap, over test and fitted images.
Cost: 6 s on one thread for a draw of 10,000 samples, 10,000 + 10,000 images, 64 features.
Source: Jiralerspong et al. (2023), arXiv 2302.04440, and the authors' marcojira/fld.
Differs from the release: see `metrics/mixture.py`; it fits the samples to all training
images, and the real ones to those that are not centres. Features that do not vary over
the test images are left out, which there divide by 0.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from genmodel_bench.metrics.base import Reference, Result, Subject
from genmodel_bench.metrics.column import Column
from genmodel_bench.metrics.comparison import Estimate, Quantity, score
from genmodel_bench.metrics.evidence import remembered
from genmodel_bench.metrics.features import features
from genmodel_bench.metrics.mind import shuffled
from genmodel_bench.metrics.mixture import fitted_variances, log_probs
from torch import Tensor

COPIED = 1000.0
"""A larger FLD has a warning, as in the authors' release."""


@dataclass(frozen=True)
class Nll:
    """−log p / k of points, float64: of those that were fitted, (m,), and of test points."""

    fitted: Tensor
    test: Tensor

    @property
    def gap(self) -> Estimate:
        """Return by how much fitted points are less likely than test points, times 100."""
        variance = sum(float(x.var()) / len(x) for x in (self.fitted, self.test))
        return Estimate(100 * float(self.fitted.mean() - self.test.mean()), 100 * math.sqrt(variance))

    def above(self, real: Nll) -> Tensor:
        """Return what each test point adds to FLD."""
        return 100 * (self.test - real.test)


@torch.no_grad()
def nll(centres: Tensor, fitted: Tensor, test: Tensor) -> Nll:
    """Return −log p / k under Gaussians around centres, (n, k), whose widths are fitted."""
    variances = fitted_variances(fitted, centres)
    found = [-log_probs(x, centres, variances) / x.shape[1] for x in (fitted, test)]
    return Nll(*found)


@torch.no_grad()
def feature_likelihood_divergence(samples: Tensor, train: Tensor, test: Tensor) -> tuple[float, float]:
    """Return FLD and its gap of samples, (n, k), against train, (m, k), and test, (l, k).

    As many training points as there are samples, half of them at most, are the centres of
    the baseline; the variances of both are fitted to the others.
    """
    scale = Scale(test)
    size = min(len(samples), len(train) // 2)
    samples, train, test = scale(samples), scale(train)[shuffled(len(train), train)], scale(test)
    ours, real = (nll(centres, train[size:], test) for centres in (samples, train[:size]))
    return float(ours.above(real).mean()), ours.gap.value


class Scale:
    """Moves features to mean 0 and variance 1 over `test`, (n, k), and leaves out constant ones."""

    def __init__(self, test: Tensor) -> None:
        std, mean = torch.std_mean(test, 0)
        self.kept = std > 1e-6 * std.max()  # rounding of float32 makes constant ones vary
        if not self.kept.any():
            raise ValueError("fld: no feature varies over the test images; give other images or features")
        self.mean, self.std = mean[self.kept], std[self.kept]

    def __call__(self, x: Tensor) -> Tensor:
        return (x[:, self.kept] - self.mean) / self.std


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
            title = {Feature Likelihood Score: Evaluating the Generalization of Generative Models Using
                Samples},
            booktitle = {Advances in Neural Information Processing Systems 36},
            year = {2023}, eprint = {2302.04440}, archivePrefix = {arXiv}}""",
    )

    @property
    def columns(self) -> Mapping[str, Column]:
        """The divergence with the likelihoods, the gap with the scores of memorisation."""
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
                promises=(("real", "mean image"), ("real", "one class"), ("real", "noisy")),
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
    def __call__(self, subject: Subject, reference: Reference) -> Result:
        """Score `subject` against the test images of `reference`, or of each fold.

        Raises:
            NotApplicable: the data lack what the features need.
            ValueError: no feature varies over the test images.
        """
        extract = features(self.features, reference)
        train, splits = reference.train, [split.test for split in reference.folds or [reference]]
        sizes = [min(len(test), len(subject.samples), len(train) // 3) for test in splits]
        order = shuffled(len(train), train)
        ours, floors, baselines, fitted_to = [], [], [], 0
        for i, (test, n) in enumerate(zip(splits, sizes, strict=True)):

            def make(test: Tensor = test, n: int = n) -> tuple[Scale, Tensor, Tensor, Nll, Nll]:
                images = extract.of(test)
                scale = Scale(images)
                parts = order[: 2 * n + self.fit_images].split([n, n, min(self.fit_images, len(order) - 2 * n)])
                real, more, fitted = (scale(extract.of(train[part])) for part in parts)
                held = scale(images)
                return scale, fitted, held, nll(real, fitted, held), nll(more, fitted, held)

            key = f"{self!r} {extract.about} {n} {i}"
            scale, fitted, held, real, more = remembered(reference, key, make)
            draws = (subject.samples, *subject.redraws)
            ours.append([nll(scale(extract.of(x[:n])), fitted, held) for x in draws])
            floors.append([more])
            baselines.append(real)
            fitted_to = len(fitted)
        known = {
            "N": sizes[0],
            "folds": len(reference.folds),
            "fit_images": fitted_to,
            "baseline": baselines[0].test.mean().item(),
            **extract.about,
        }
        scores = {}
        for name, found, better in (("", ours, True), ("_floor", floors, False)):
            above = [
                [mean_of(of.above(real)) for of in draws]
                for draws, real in zip(found, baselines, strict=True)
            ]
            gaps = [[of.gap for of in draws] for draws in found]
            unit, over = "nats per 100 features", "test examples"
            scores[f"fld{name}"] = score(above, Quantity(unit, "lower" if better else "neither", over), known)
            over = "fitted and test examples"
            scores[f"gap{name}"] = score(gaps, Quantity(unit, "higher" if better else "neither", over), known)
        if scores["fld"].value > COPIED:
            scores["fld"] = replace(scores["fld"], warning="the samples are copies of training images, or far off")
        by_image = [
            torch.stack([of.above(real) for of in draws]).mean(0)
            for draws, real in zip(ours, baselines, strict=True)
        ]
        return Result(scores, {"fld": torch.cat(by_image)})


def mean_of(values: Tensor) -> Estimate:
    """Return the mean of values, (n,), and its standard error."""
    return Estimate(float(values.mean()), float(values.std(correction=0)) / math.sqrt(len(values)))
