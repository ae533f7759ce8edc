"""Which σ do validation images choose, how surely, and which is the best one?

The paper's grid is widened while the maximum of the mean log p lies on its edge, and
filled around the maximum; a parabola in log σ through the three best points then gives
the best σ. Over a step of the filled grid, 3 % of σ for the paper's, log p of images is a
parabola so nearly that the σ of a single Gaussian is found within 0.1 %.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from genmodel_bench.metrics.distances import full_precision
from genmodel_bench.metrics.windows import parzen_log_probs
from torch import Tensor

FILLED = 8
"""How many points there are to a step of the grid around its maximum."""

WIDER = 6
"""By how many steps the grid is widened at a time."""

WIDENED = 4
"""How often it is widened, at most: the paper's by a factor of 460."""


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


@full_precision()
def chosen(valid: Tensor, centres: Tensor, sigmas: Sequence[float], resamples: int) -> Choice:
    """Return σ by the mean log p of validation images, (n, d), under windows at centres.

    Since σ is chosen by a mean over images, resamples need log p of each image only once.
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
    for _ in range(WIDENED):
        if 0 < k < len(grid) - 1:
            break
        powers = range(-WIDER, 0) if k == 0 else range(1, WIDER + 1)
        more = [grid[k] * step**power for power in powers]
        new = parzen_log_probs(valid, centres, more).mean(1).tolist()
        grid, curve = (more + grid, new + curve) if k == 0 else (grid + more, curve + new)
        k = curve.index(max(curve))
    low, high = math.log(grid[max(k - 1, 0)]), math.log(grid[min(k + 1, len(grid) - 1)])
    fine = torch.linspace(low, high, 2 * FILLED + 1, dtype=torch.float64, device=valid.device)
    filled = parzen_log_probs(valid, centres, fine.exp().tolist())
    best = peak(fine, weights @ filled.T).exp()  # (1 + resamples,)
    same = float((picks[1:] == picks[0]).double().mean())
    return Choice(sigmas[int(picks[0])], same, float(best[0]), best[1:], k in (0, len(grid) - 1))


def peak(u: Tensor, y: Tensor) -> Tensor:
    """Return where the parabola through the three best of each row of y is highest.

    u: (m,), equally spaced; y: (rows, m). Returns (rows,), within u.
    """
    k = y.argmax(1).clamp(1, len(u) - 2)
    left, middle, right = (y.gather(1, (k + i)[:, None])[:, 0] for i in (-1, 0, 1))
    bend = left - 2 * middle + right
    vertex = (left - right) / (2 * bend.clamp_max(-1e-300))
    offset = torch.where(bend < 0, vertex, (right - left).sign()).clamp(-1, 1)
    return u[k] + offset * (u[1] - u[0])
