"""What log-likelihood does a Parzen window over a model's samples give the test images?

    log p(x) = log 1/N Σ_j exp(−‖x − s_j‖² / 2σ²) − d log(σ √(2π))                        nats, pixels in [0, 1]

σ maximises the mean over the first 1,000 validation images on the grid logspace(−1, 0, 10); the score is the mean over the test
images, higher is better, ± its standard error over them. Where the held-out images are published as folds, σ is chosen on each fold's
validation images, and the score is the mean over folds ± its standard error over them. Of several draws of samples the mean is taken.

Source: Goodfellow et al. (2014), arXiv 1406.2661, section 5 and Table 1; Breuleux, Bengio and Vincent (2011). The protocol is
that of the authors' released `parzen_ll.py`, without its `limit_size = -1` quirk that drops an image.
What it measures: closeness of the samples to the data in pixel space. What it misses: everything else. It grows with N, it
prefers k-means centroids to real images, conditional means to draws, and it depends strongly on σ (Theis et al. 2016,
arXiv 1511.01844). Bias: far under the true log-likelihood in high dimension, at any N one can afford.
Reference implementation: as `metrics/windows.py`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from genmodel_bench.metrics.base import Reference, Result, Score, Subject
from genmodel_bench.metrics.windows import PAPER_SIGMAS, Range, parzen_log_prob, parzen_log_probs, pooled
from torch import Tensor

__all__ = ["PAPER_SIGMAS", "Parzen", "parzen_log_prob", "parzen_log_probs"]


@dataclass(frozen=True)
class Parzen:
    """The paper's metric: σ from validation, the mean test log-likelihood in nats.

    `sizes` are the numbers of samples of the curve against N, the first ones of all draws in a row (draws of a finite set, as `data` and
    `kmeans` are, repeat each other's); the curve against σ is of the validation images that choose it. `fixed_sigma` is the bandwidth
    that some published numbers took without choosing: the score at it stands beside the headline.
    """

    sigmas: tuple[float, ...] = PAPER_SIGMAS
    valid_images: int = 1000
    sizes: tuple[int, ...] = (1_000, 2_000, 5_000, 10_000, 20_000, 50_000)
    fixed_sigma: float = 0.2
    min_samples: int = 100
    needs: tuple[type, ...] = ()

    @torch.no_grad()
    def __call__(self, subject: Subject, reference: Reference) -> Result:
        """Score `subject`; the validation images of `reference`, or of each of its folds, choose σ, and the test images are scored."""
        n, draws = len(subject.samples), 1 + len(subject.redraws)
        # One draw may be mapped from a file larger than memory: it is not copied.
        everything = torch.cat([subject.samples, *subject.redraws]) if subject.redraws else subject.samples
        centres = everything.flatten(1)  # (draws * N, c, h, w) -> (draws * N, d)
        sizes = [size for size in self.sizes if size <= len(centres)]
        ranges = [(k * n, (k + 1) * n) for k in range(draws)] + [(0, size) for size in sizes]
        # of a fold the whole validation set chooses σ, as published
        limit = None if reference.folds else self.valid_images
        splits = [
            self.score_split(s.valid[:limit], s.test, centres, ranges, draws)
            for s in reference.folds or [reference]
        ]
        by_range = torch.stack([split.log_probs.mean(1) for split in splits]).mean(0)  # (ranges,)
        per_image = [split.log_probs[:draws].mean(0) for split in splits]  # (test images,) each
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
        """Return what a split's images (n, c, h, w) say of the centres (m, d), for each range of them; the first `draws` are the draws.

        The ranges share the work: the centres are cut where any of them begins or ends.
        """
        cuts = sorted({bound for pair in ranges for bound in pair})
        pieces = list(zip(cuts[:-1], cuts[1:], strict=True))
        valid, test = valid.flatten(1), test.flatten(1)  # (n, c, h, w) -> (n, d)
        on_valid = torch.stack(
            [parzen_log_probs(valid, centres[lo:hi], self.sigmas) for lo, hi in pieces]
        )  # (pieces, σ, n)
        curves = torch.stack([pooled(on_valid, pieces, within).mean(1) for within in ranges])  # (ranges, σ)
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
    """What one split says.

    By range of the centres, σ and log p of the test images, (ranges, n); in the mean over draws, log p at the fixed σ, (n,), and the mean
    over the validation images against σ, (σ,).
    """

    sigmas: list[float]
    log_probs: Tensor
    fixed: Tensor
    curve: Tensor
    valid_images: int


def mean_and_error(log_probs: Sequence[Tensor], *, folded: bool) -> dict[str, Any]:
    """Return the fields of a Score for log p of the test images of each split, (n,) each, with the error over images or over folds.

    The ddof 0 of the error over images is the released code's; over five folds the variance needs ddof 1.
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
