"""How far can the Parzen estimate of a model be trusted?

The first draw is scored as `metrics/parzen.py` does it, and then questioned. All numbers
are of the σ that the paper's grid gives, except those of the best σ.

    best_sigma     nats of the test images at the best σ (`metrics/bandwidth.py`)
    moved          the same, minus nats at the σ of the paper's grid
    sigma          the best σ, ± its standard deviation over bootstrap resamples of the
                   validation images; the setting `same_sigma` is the share of resamples
                   that choose the same σ of the paper's grid
    sigma_nats     what the error of the best σ adds to that of best_sigma
    neighbours     1 / Σ_j w_j², so many equally near samples would carry p(x) as evenly,
                   w_j the share of sample j in p(x): the median over test images
    single         share of test images of which one sample carries more than half
    per_doubling   by how many nats N samples have more than N/2 of them

What it measures: whether nats compare models, σ or N, and whether p(x) averages samples
or is the distance to the nearest one.
What it misses: the error that comes from drawing, `draw_sd` of the Parzen row.
Bias: per_doubling grows smaller with N; 0 means that more samples would not help.
Where the held-out images are published as folds, each has its own σ; numbers are means
over folds, and errors over folds.
Cost: about 1.4 times that of `parzen` for one draw, 5 s on one thread on MNIST.
Source: that nats depend on σ and N is in Theis et al. (2016), arXiv 1511.01844. 1 / Σ w²
is the effective sample size of importance sampling; its use here is ours.
Reference implementation: float64 softmax over explicit differences, agreed within 1e-9
for float64, and within 2 % for float32 images of 784 pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from genmodel_bench.metrics.arrays import for_arrays
from genmodel_bench.metrics.bandwidth import Choice, chosen
from genmodel_bench.metrics.base import Reference, Result, Subject
from genmodel_bench.metrics.column import Column
from genmodel_bench.metrics.comparison import Estimate, Quantity, mean_of, score
from genmodel_bench.metrics.papers import THEIS_2016
from genmodel_bench.metrics.windows import PAPER_SIGMAS, parzen_log_probs, pooled
from torch import Tensor

VANISHING = 1e-3
"""At this share of σ a window's mass is that of the nearest sample alone."""

APART = 0.03
"""A step in log σ: small enough for a parabola, large enough for float32."""


@for_arrays
@torch.no_grad()
def effective_neighbours(x: Tensor, centres: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
    """Return 1 / Σ_j w_j² of each point, in [1, N], and its largest w_j, (n,) each.

    x: (n, d), centres: (N, d); w_j ∝ exp(−‖x − s_j‖² / 2σ²), and the w_j sum to 1.
    """
    return spread(parzen_log_probs(x, centres, shrunk(sigma)), len(centres), x.shape[1], sigma)


def shrunk(sigma: float) -> list[float]:
    """Return the σ at which `spread` needs log p."""
    return [sigma * VANISHING, sigma / math.sqrt(2), sigma]


def spread(log_probs: Tensor, n: int, d: int, sigma: float) -> tuple[Tensor, Tensor]:
    """Return what `effective_neighbours` does, of log p at `shrunk(sigma)`, (3, points).

    But for a constant, log p is log Σ exp(e_j), with e_j the exponents at σ; at σ/√2 it
    is log Σ exp(2 e_j), and where σ vanishes a multiple of the largest e_j.
    """
    norms = [math.log(n) + d * math.log(s * math.sqrt(2 * math.pi)) for s in shrunk(sigma)]
    constant = torch.tensor(norms, dtype=log_probs.dtype, device=log_probs.device)
    nearest, twice, once = log_probs + constant[:, None]
    return (2 * once - twice).exp().clamp(1, n), (VANISHING**2 * nearest - once).exp().clamp(1 / n, 1)


def audited(test: Tensor, centres: Tensor, sigma: Choice) -> tuple[dict[str, Estimate], Tensor]:
    """Return each score of test images, (m, d), and their log p at the best σ, (m,).

    centres: (N, d), N ≥ 2.
    """
    n, d = centres.shape
    around = [sigma.best * math.exp(t * APART) for t in (-1, 0, 1)]
    used = [*around, *shrunk(sigma.sigma)]
    # each (6, m), stacked: (2, 6, m)
    halves = torch.stack([parzen_log_probs(test, half, used) for half in (centres[::2], centres[1::2])])
    middle = (n + 1) // 2
    whole = pooled(halves, [(0, middle), (middle, n)], (0, n))  # (6, m)
    best, paper = whole[1], whole[5]
    neighbours, largest = spread(whole[3:], n, d, sigma.sigma)
    left, middle, right = whole[:3].mean(1).tolist()
    t = (sigma.resampled / sigma.best).log() / APART
    by_sigma = float((t * (right - left) / 2 + t.square() * (left - 2 * middle + right) / 2).std())
    score = mean_of(best)
    error = by_sigma / math.sqrt(2 * len(t))  # of a standard deviation
    return {
        "best_sigma": Estimate(score.value, math.hypot(score.stderr, by_sigma)),
        "moved": mean_of(best - paper),
        "sigma": Estimate(sigma.best, float(sigma.resampled.std())),
        "sigma_nats": Estimate(by_sigma, error),
        "neighbours": median_of(neighbours),
        "single": mean_of((largest > 0.5).double()),
        "per_doubling": mean_of(paper - halves[:, 5].mean(0)),
    }, best


def median_of(values: Tensor) -> Estimate:
    """Return the median of values, (m,), with half the width of its 68 % interval."""
    half = 0.5 / math.sqrt(len(values))  # of the share of values below the median
    low, high = values.quantile(torch.tensor([max(0, 0.5 - half), min(1, 0.5 + half)]).to(values)).tolist()
    return Estimate(float(values.median()), (high - low) / 2)


QUANTITIES = {
    "best_sigma": Quantity("nats", "higher", "test examples and σ"),
    "moved": Quantity("nats", "neither", "test examples"),
    "sigma": Quantity("grey levels", "neither", "validation examples"),
    "sigma_nats": Quantity("nats", "neither", "validation examples"),
    "neighbours": Quantity("samples", "neither", "test examples"),
    "single": Quantity("share", "neither", "test examples"),
    "per_doubling": Quantity("nats", "neither", "test examples"),
}


@dataclass(frozen=True)
class ParzenAudit:
    """What stands behind the Parzen estimate of the first draw.

    sigmas, valid_images: as of `Parzen`.
    resamples: bootstrap resamples of the validation images.
    """

    sigmas: tuple[float, ...] = PAPER_SIGMAS
    valid_images: int = 1000
    resamples: int = 200
    min_samples: int = 100
    needs: tuple[type, ...] = ()
    columns: ClassVar = {
        "best_sigma": Column(
            "nats, best σ",
            "Parzen-window log-likelihood of the test images at the best σ, of the first draw",
            table="likelihood",
            decimals=1,
            examples="best_log_prob",
        ),
        "moved": Column(
            "+ nats", "what the best σ adds to the nats of the paper's grid", table="likelihood", decimals=1
        ),
        "sigma_nats": Column(
            "σ's nats", "error of the best score that comes from σ's own", table="likelihood", decimals=2
        ),
        "neighbours": Column(
            "neighbours",
            "samples that carry the Parzen estimate of a test image, effectively, the median",
            table="likelihood",
            decimals=1,
        ),
        "single": Column(
            "single %",
            "test images of whose Parzen estimate one sample carries more than half",
            table="likelihood",
            decimals=1,
            factor=100,
        ),
        "per_doubling": Column(
            "nats per 2 N", "nats that twice as many samples would add", table="likelihood", decimals=1
        ),
    }
    SOURCES: ClassVar[tuple[str, ...]] = (THEIS_2016,)

    @torch.no_grad()
    def __call__(self, subject: Subject, reference: Reference) -> Result:
        """Audit the estimate of test images of `reference`, or of each of its folds."""
        centres = subject.samples.flatten(1)  # (N, c, h, w) -> (N, d)
        limit = None if reference.folds else self.valid_images
        splits = reference.folds or [reference]
        sigmas = [chosen(s.valid[:limit].flatten(1), centres, self.sigmas, self.resamples) for s in splits]
        found = [audited(s.test.flatten(1), centres, sigma) for s, sigma in zip(splits, sigmas, strict=True)]
        settings = {
            "N": len(centres),
            "draws": 1,
            "folds": len(reference.folds),
            "sigma": sigmas[0].sigma,
            "same_sigma": sum(sigma.same for sigma in sigmas) / len(sigmas),
            "resamples": self.resamples,
        }
        sizes = {"test examples": len(splits[0].test), "validation examples": len(splits[0].valid[:limit])}
        scores = {
            name: score(
                [[of[name]] for of, _ in found],
                replace(q, count=sizes.get(q.over, len(splits[0].test))),
                settings,
            )
            for name, q in QUANTITIES.items()
        }
        if any(sigma.edge for sigma in sigmas):
            warning = "the best σ lies on the edge of the widened grid"
            scores["best_sigma"] = replace(scores["best_sigma"], warning=warning)
        return Result(scores, {"best_log_prob": torch.cat([best for _, best in found])})
