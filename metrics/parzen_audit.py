"""How far can the Parzen estimate of a model be trusted?

The first draw is scored as `metrics/parzen.py` does, and then questioned. All numbers are
of the σ that the paper's grid gives, except those of the best σ.

    best_sigma       nats of the test images at the best σ: the grid is widened while the
                     maximum over validation images lies on its edge, filled around the
                     maximum, and a parabola in log σ goes through the three best
    moved            the same minus nats at the σ of the paper's grid
    sigma            the best σ
    sigma_nats       what the error of that σ adds to the error of the best score: its
                     standard deviation over bootstrap resamples of validation images
    neighbours       1 / Σ_j w_j², the number of equally near samples that would carry the
                     estimate of a test image as evenly, w_j the share of sample j in
                     p(x): the median over test images
    single           share of test images of which one sample carries more than half
    per_doubling     nats that twice as many samples would add, as N samples have more
                     than N/2: above 0, the estimate is below what the model deserves

What it measures: whether nats compare models or σ, and whether p(x) is an average over
samples or the distance to the nearest one.
What it misses: the error from drawing samples, `draw_sd` of the Parzen row; σ is chosen
once for all of a row's test images, so that error does not fall with their number.
Where the held-out images are published as folds, each has its own σ, all numbers are
means over folds, and errors are over folds, except of sigma_nats, which is a mean too.
Cost: about 1.3 times that of `parzen` with one draw.
Source: ours. That nats depend on σ and N: Theis et al. (2016), arXiv 1511.01844. 1 / Σ w²
is the effective sample size of importance sampling, Kong (1992).
Reference implementation: float64 softmax over explicit differences, agreed within 1 % for
float32 images.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from genmodel_bench.metrics.base import Reference, Result, Score, Subject
from genmodel_bench.metrics.column import Column
from genmodel_bench.metrics.papers import THEIS_2016
from genmodel_bench.metrics.windows import PAPER_SIGMAS, parzen_log_probs, pooled
from torch import Tensor

WIDEST = 24
"""By how many steps the grid is widened on either side, at most: a factor of 460."""

FILLED = 8
"""How many points there are to a step of the grid around its maximum."""

STEPS = 6
"""By how many at a time."""

VANISHING = 1e-3
"""At this share of σ a window's mass is that of the nearest sample alone."""


@torch.no_grad()
def effective_neighbours(x: Tensor, centres: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
    """Return 1 / Σ_j w_j² of each point, in [1, N], and the largest w_j, (n,) each.

    x: (n, d), centres: (N, d); w_j ∝ exp(−‖x − s_j‖² / 2σ²), and the w of a point sum to 1.
    """
    return spread(parzen_log_probs(x, centres, shrunk(sigma)), len(centres), x.shape[1], sigma)


def shrunk(sigma: float) -> list[float]:
    """Return the σ at which `spread` needs log p."""
    return [sigma * VANISHING, sigma / math.sqrt(2), sigma]


def spread(log_probs: Tensor, n: int, d: int, sigma: float) -> tuple[Tensor, Tensor]:
    """Return what `effective_neighbours` does, of log p at `shrunk(sigma)`: (3, points).

    With e_j the exponents at σ, log Σ exp(e_j) is log p but for a constant, and
    log Σ exp(2 e_j) is that of σ/√2. Where σ vanishes it is the largest exponent alone.
    """
    norms = [math.log(n) + d * math.log(s * math.sqrt(2 * math.pi)) for s in shrunk(sigma)]
    largest, twice, once = log_probs + torch.tensor(norms, dtype=log_probs.dtype)[:, None].to(log_probs.device)
    return (2 * once - twice).exp().clamp(1, n), (VANISHING**2 * largest - once).exp().clamp(1 / n, 1)


@dataclass(frozen=True)
class Choice:
    """σ by validation images.

    sigma: of the paper's grid; same: the share of resamples that choose it too.
    best: of the widened and filled grid; resampled: that of each resample, (resamples,).
    edge: the maximum lies on the edge of the widened grid.
    """

    sigma: float
    same: float
    best: float
    resampled: Tensor
    edge: bool


def chosen(valid: Tensor, centres: Tensor, sigmas: Sequence[float], resamples: int) -> Choice:
    """Return σ by the mean log p of validation images, (n, d), under windows at centres.

    Resamples of the images need log p of each image once: σ is chosen by a mean over them.
    """
    n, grid = len(valid), list(sigmas)
    values = parzen_log_probs(valid, centres, grid)  # (σ, n)
    drawn = torch.randint(n, (resamples, n), device=valid.device)
    counts = torch.zeros(resamples, n, dtype=values.dtype, device=valid.device)
    counts.scatter_add_(1, drawn, torch.ones_like(counts))
    weights = torch.cat([torch.ones_like(counts[:1]), counts]) / n  # (1 + resamples, n)
    picks = (weights @ values.T).argmax(1)
    k = int(picks[0])
    curve, step = values.mean(1).tolist(), grid[1] / grid[0]
    for _ in range(WIDEST // STEPS):
        if 0 < k < len(grid) - 1:
            break
        powers = range(-STEPS, 0) if k == 0 else range(1, STEPS + 1)
        more = [grid[k] * step**power for power in powers]
        new = parzen_log_probs(valid, centres, more).mean(1).tolist()
        grid, curve = (more + grid, new + curve) if k == 0 else (grid + more, curve + new)
        k = curve.index(max(curve))
    ends = [math.log(grid[max(k - 1, 0)]), math.log(grid[min(k + 1, len(grid) - 1)])]
    fine = torch.linspace(*ends, 2 * FILLED + 1, dtype=torch.float64)
    filled = parzen_log_probs(valid, centres, fine.exp().tolist())
    best = peak(fine.to(valid.device), weights @ filled.T).exp()  # (1 + resamples,)
    same = float((picks[1:] == picks[0]).double().mean())
    return Choice(sigmas[int(picks[0])], same, float(best[0]), best[1:], k in (0, len(grid) - 1))


def peak(u: Tensor, y: Tensor) -> Tensor:
    """Return where the parabola through the three best of each row of y is highest.

    u: (m,), equally spaced; y: (rows, m). Returns (rows,), within u.
    """
    k = y.argmax(1).clamp(1, len(u) - 2)
    left, middle, right = (y.gather(1, (k + i)[:, None])[:, 0] for i in (-1, 0, 1))
    bend = left - 2 * middle + right
    offset = torch.where(bend < 0, (left - right) / (2 * bend.clamp_max(-1e-300)), 0).clamp(-1, 1)
    return u[k] + offset * (u[1] - u[0])


@dataclass(frozen=True)
class Audit:
    """What is found on one split: of each test image, (n,), but for the last.

    paper, best: log p at the σ of the paper's grid, and at the best one.
    neighbours, largest: 1 / Σ w² and the largest w. doubling: log p minus that of N/2.
    sigma_nats: the standard deviation of the best score over resamples of σ.
    """

    paper: Tensor
    best: Tensor
    neighbours: Tensor
    largest: Tensor
    doubling: Tensor
    sigma_nats: float


def audited(test: Tensor, centres: Tensor, sigma: Choice) -> Audit:
    """Return what is found on test images, (n, d), under windows at centres, (N, d)."""
    n, d = centres.shape
    apart = 0.03  # in log σ: near enough for a parabola, far enough for rounding
    around = [sigma.best * math.exp(t * apart) for t in (-1, 0, 1)]
    pieces = [(0, n // 2), (n // 2, n)]
    used = [*around, *shrunk(sigma.sigma)]
    # each (6, n), stacked: (2, 6, n)
    halves = torch.stack([parzen_log_probs(test, centres[lo:hi], used) for lo, hi in pieces])
    whole = pooled(halves, pieces, (0, n))  # (6, n)
    neighbours, largest = spread(whole[3:], n, d, sigma.sigma)
    left, middle, right = whole[:3].mean(1).tolist()
    t = (sigma.resampled / sigma.best).log() / apart
    nats = t * (right - left) / 2 + t.square() * (left - 2 * middle + right) / 2
    return Audit(
        whole[5], whole[1], neighbours, largest, whole[5] - halves[:, 5].mean(0), float(nats.std())
    )


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
        """Audit the estimate of the test images of `reference`, or of each of its folds."""
        centres = subject.samples.flatten(1)  # (N, c, h, w) -> (N, d)
        limit = None if reference.folds else self.valid_images
        splits = reference.folds or [reference]
        sigmas = [chosen(s.valid[:limit].flatten(1), centres, self.sigmas, self.resamples) for s in splits]
        found = [audited(s.test.flatten(1), centres, sigma) for s, sigma in zip(splits, sigmas, strict=True)]
        about = {
            "samples": len(centres),
            "draws": 1,
            "folds": len(reference.folds),
            "sigma": sigmas[0].sigma,
            "same_sigma": sigmas[0].same,
            "resamples": self.resamples,
        }

        def told(of: Quantity, estimates: Sequence[Estimate]) -> Score:
            n = len(sigmas[0].resampled) if of.over == "resamples" else len(found[0].paper)
            return score([[each] for each in estimates], of, {**about, "N": n})

        test, nats = "test examples", "nats"
        best = [
            Estimate(mean.value, math.hypot(mean.stderr, of.sigma_nats))
            for of, mean in ((of, mean_of(of.best)) for of in found)
        ]
        log_sigmas = [Estimate(of.best, float(of.resampled.std())) for of in sigmas]
        scores = {
            "best_sigma": told(Quantity(nats, "higher", "test examples and σ"), best),
            "moved": told(Quantity(nats, "neither", test), [mean_of(of.best - of.paper) for of in found]),
            "sigma": told(Quantity("grey levels", "neither", "resamples"), log_sigmas),
            "sigma_nats": told(
                Quantity(nats, "neither", "resamples"), [Estimate(of.sigma_nats, spread_error(of)) for of in found]
            ),
        }
        return Result(scores, {"best_log_prob": torch.cat([of.best for of in found])})
