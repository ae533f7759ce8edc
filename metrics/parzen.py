"""What log-likelihood does a Parzen window over a model's samples give the test images?

    log p(x) = log 1/N Σ_j exp(−‖x − s_j‖² / 2σ²) − d log(σ √(2π))      in nats

Pixels are in [0, 1]. σ maximises the mean over the first 1,000 validation images on the
grid logspace(−1, 0, 10). The score is the mean over the test images, ± its standard error
over them; higher is better. Where the held-out images are published as folds, σ is chosen
on each fold's validation images, and the score is the mean over folds, ± its standard
error over them. With several draws of samples, the score is the mean over draws.

Source: Goodfellow et al. (2014), arXiv 1406.2661, section 5 and Table 1; Breuleux, Bengio
and Vincent (2011). The protocol is that of the authors' released `parzen_ll.py`, except
for its quirk that `limit_size = -1` drops an image.
What it measures: how close the samples are to the data in pixel space.
What it misses: everything else. It grows with N, it prefers k-means centroids to real
images and conditional means to draws, and it depends strongly on σ (Theis et al. 2016,
arXiv 1511.01844).
Bias: far below the true log-likelihood in high dimension, at any affordable N.
Reference implementation: see `metrics/windows.py`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from genmodel_bench.metrics.base import Reference, Result, Score, Subject
from genmodel_bench.metrics.column import Column, Curve
from genmodel_bench.metrics.papers import GOODFELLOW_2014, THEIS_2016
from genmodel_bench.metrics.windows import PAPER_SIGMAS, Range, parzen_log_prob, parzen_log_probs, pooled
from torch import Tensor

__all__ = ["PAPER_SIGMAS", "Parzen", "parzen_log_prob", "parzen_log_probs"]


@dataclass(frozen=True)
class Parzen:
    """The paper's metric: σ from validation, the mean test log-likelihood in nats.

    sigmas: the grid of σ, ascending; the curve against σ is of the validation images.
    valid_images: how many validation images choose σ, the first ones; of a fold, all do.
    sizes: the numbers of samples N of the curve against N. The first N are taken from all
        draws, one after the other. Models that draw from a finite set, as `data` and
        `kmeans` do, repeat samples from draw to draw.
    fixed_sigma: the bandwidth that some published numbers use without choosing it. The
        score at it is reported beside the headline.
    """

    sigmas: tuple[float, ...] = PAPER_SIGMAS
    valid_images: int = 1000
    sizes: tuple[int, ...] = (1_000, 2_000, 5_000, 10_000, 20_000, 50_000)
    fixed_sigma: float = 0.2
    min_samples: int = 100
    needs: tuple[type, ...] = ()
    columns: ClassVar = {
        "log_likelihood": Column(
            "nats",
            "Parzen-window log-likelihood of the test images",
            table="table1",
            decimals=1,
            examples="log_prob",
            curves={
                "sigma on validation": Curve(
                    "Parzen against σ",
                    "σ, grey levels in [0, 1]",
                    "nats, validation images",
                    "Mean log-likelihood of validation images against the bandwidth, in the mean over draws, "
                    "folds and seeds; each of these takes the σ where its own is highest.",
                    log_x=True,
                ),
                "samples": Curve(
                    "Parzen against N",
                    "N, samples",
                    "nats, test images",
                    "Mean log-likelihood of the test images against the number of samples, σ chosen anew for "
                    "each: rows of one N alone compare. Where a finite set of images has been drawn whole, "
                    "its curve stays level.",
                    log_x=True,
                ),
            },
        )
    }
    SOURCES: ClassVar[tuple[str, ...]] = (
        GOODFELLOW_2014,
        """@article{breuleux2011quickly,
            author = {Breuleux, Olivier and Bengio, Yoshua and Vincent, Pascal},
            title = {Quickly Generating Representative Samples from an {RBM}-Derived Process},
            journal = {Neural Computation}, volume = {23}, number = {8}, pages = {2053--2073},
            year = {2011}}""",
        THEIS_2016,
    )

    @torch.no_grad()
    def __call__(self, subject: Subject, reference: Reference) -> Result:
        """Score the test images of `reference`, or of each of its folds, under `subject`.

        σ is chosen on the validation images.
        """
        n, draws = len(subject.samples), 1 + len(subject.redraws)
        # One draw may be mapped from a file larger than memory: it is not copied.
        everything = torch.cat([subject.samples, *subject.redraws]) if subject.redraws else subject.samples
        centres = everything.flatten(1)  # (draws * N, c, h, w) -> (draws * N, d)
        sizes = [size for size in self.sizes if size <= len(centres)]
        ranges = [(k * n, (k + 1) * n) for k in range(draws)] + [(0, size) for size in sizes]
        # The whole validation set of a fold chooses σ, as published.
        limit = None if reference.folds else self.valid_images
        splits = [
            self.score_split(s.valid[:limit], s.test, centres, ranges, draws)
            for s in reference.folds or [reference]
        ]
        # for each split (ranges, n) -> (ranges,), then their mean: (ranges,)
        by_range = torch.stack([split.log_probs.mean(1) for split in splits]).mean(0)
        # (ranges, n) -> (n,), with n the test images of the split
        per_image = [split.log_probs[:draws].mean(0) for split in splits]
        fixed = [split.fixed for split in splits]
        folded = bool(reference.folds)
        sigma_curve = torch.stack([split.curve for split in splits]).mean(0)
        chosen = sorted({sigma for split in splits for sigma in split.sigmas[:draws]})
        edges = [sigma for sigma in chosen if sigma in (self.sigmas[0], self.sigmas[-1])]
        score = Score(
            **mean_and_error(per_image, folded=folded),
            warning=f"σ = {edges[0]:.4g} lies on the edge of its grid" if edges else "",
            draw_sd=float(by_range[:draws].std()) if draws > 1 else None,
            settings={
                "sigma": splits[0].sigmas[0],
                **({"sigmas": chosen} if len(chosen) > 1 else {}),
                "samples": n,
                "valid_images": sum(split.valid_images for split in splits),
                "folds": len(reference.folds),
                "valid_value": float(sigma_curve.max()),
                "sigma_grid": [self.sigmas[0], self.sigmas[-1], len(self.sigmas)],
            },
            curves={
                "samples": {
                    str(size): float(value) for size, value in zip(sizes, by_range[draws:], strict=True)
                },
                "sigma on validation": {
                    f"{sigma:.6g}": float(value)
                    for sigma, value in zip(self.sigmas, sigma_curve, strict=True)
                },
            },
        )
        at_fixed = Score(**mean_and_error(fixed, folded=folded))
        arrays = {"log_prob": torch.cat(per_image), "sigma_curve": sigma_curve}
        return Result({"log_likelihood": score, f"at_sigma_{self.fixed_sigma:g}": at_fixed}, arrays)

    def score_split(
        self, valid: Tensor, test: Tensor, centres: Tensor, ranges: Sequence[Range], draws: int
    ) -> SplitScores:
        """Return log p of a split's images (n, c, h, w) under each range of centres.

        centres: (m, d). The first `draws` ranges are the draws. Ranges that overlap share
        the work: the centres are cut where any range begins or ends, and each piece is
        computed once.
        """
        cuts = sorted({bound for pair in ranges for bound in pair})
        pieces = list(zip(cuts[:-1], cuts[1:], strict=True))
        valid, test = valid.flatten(1), test.flatten(1)  # (n, c, h, w) -> (n, d)
        on_valid = torch.stack(
            [parzen_log_probs(valid, centres[lo:hi], self.sigmas) for lo, hi in pieces]
        )  # (pieces, σ, n)
        # for each range (pieces, σ, n) -> (σ, n) -> (σ,), stacked: (ranges, σ)
        curves = torch.stack([pooled(on_valid, pieces, within).mean(1) for within in ranges])
        chosen = [self.sigmas[int(k)] for k in curves.argmax(1)]
        used = sorted({*chosen, self.fixed_sigma})
        on_test = torch.stack([parzen_log_probs(test, centres[lo:hi], used) for lo, hi in pieces])
        log_probs = [
            pooled(on_test, pieces, within)[used.index(sigma)]
            for within, sigma in zip(ranges, chosen, strict=True)
        ]
        at_fixed = on_test[:, used.index(self.fixed_sigma), None]  # (pieces, 1, n)
        fixed = torch.cat([pooled(at_fixed, pieces, within) for within in ranges[:draws]]).mean(0)
        return SplitScores(chosen, torch.stack(log_probs), fixed, curves[:draws].mean(0), len(valid))


@dataclass(frozen=True)
class SplitScores:
    """The scores of one split, in nats.

    sigmas: the chosen σ for each range of centres.
    log_probs: log p of the test images at that σ, (ranges, n).
    fixed: log p of the test images at the fixed σ, the mean over draws, (n,).
    curve: mean log p of the validation images for each σ, the mean over draws, (σ,).
    valid_images: how many validation images there are.
    """

    sigmas: list[float]
    log_probs: Tensor
    fixed: Tensor
    curve: Tensor
    valid_images: int


def mean_and_error(log_probs: Sequence[Tensor], *, folded: bool) -> dict[str, Any]:
    """Return fields of a Score: the mean of `log_probs` and its standard error.

    log_probs: for each split, log p of its test images, (n,).
    folded: the splits are folds, and the error is over them; else it is over the images
        of the only split.

    The error over images has ddof 0, as in the released code; over as few as five folds
    the variance needs ddof 1.
    """
    values = torch.stack([log_prob.mean() for log_prob in log_probs]) if folded else log_probs[0]
    error = float(values.std(correction=1 if folded else 0)) / math.sqrt(len(values))
    over = "folds" if folded else "test examples"
    return {
        "value": float(values.mean()),
        "stderr": error,
        "stderr_over": over,
        "n": len(values),
        "unit": "nats",
        "better": "higher",
    }
