"""How does a statistic stand to its null, and how is that told in scores?

`exchanged` is the null of sums over one of two sets of images that might as well be the
other: their images exchange places at random.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from genmodel_bench.metrics.base import Score
from genmodel_bench.metrics.comparison import Estimate, Quantity, score
from torch import Tensor


@dataclass(frozen=True)
class Statistic:
    """A statistic, its standard error and its null.

    p: the probability under the null of a value that speaks at least as much of copying.
    floor, floor_stderr: the value that real images have instead, and its error.
    """

    value: float
    stderr: float
    p: float
    floor: float
    floor_stderr: float


@dataclass(frozen=True)
class Exchange:
    """A sum of weights over one set, the standard error of its null, and p."""

    total: float
    stderr: float
    p: float


def exchanged(weights: Tensor, m: int, permutations: int) -> Exchange:
    """Return the sum of the first m weights, with its null if all may exchange places.

    weights: (M,), float64. The standard error is that of m weights drawn without
        replacement; p the share of random orders, the given one among them, with at
        least this sum.
    """
    size, total = len(weights), float(weights[:m].sum())
    variance = float((weights - weights.mean()).square().sum()) * m * (size - m) / (size * (size - 1))
    sums = [weights[torch.randperm(size, device=weights.device)[:m]].sum() for _ in range(permutations)]
    as_large = int((torch.stack(sums) >= total).sum())
    return Exchange(total, math.sqrt(variance), (1 + as_large) / (1 + permutations))


def of_all(ps: Sequence[float]) -> float:
    """Return one p for several tests of a null, whatever their dependence.

    It is twice their median (Rüger 1978); of one test, its own p.
    """
    return ps[0] if len(ps) == 1 else min(1.0, 2 * sorted(ps)[(len(ps) - 1) // 2])


def scores_of(
    name: str, found: Sequence[Sequence[Statistic]], of: Quantity, settings: Mapping[str, Any]
) -> dict[str, Score]:
    """Return the scores `name`, `name_p` and `name_floor` of tests, [fold][draw].

    settings: "N" and "folds" as in `comparison.score`, and others.
    """
    neither = Quantity(of.unit, "neither", of.over)
    values = [[Estimate(each.value, each.stderr) for each in fold] for fold in found]
    floors = [[Estimate(fold[0].floor, fold[0].floor_stderr)] for fold in found]
    p = of_all([each.p for fold in found for each in fold])
    return {
        name: score(values, of, settings),
        f"{name}_p": Score(p, 0.0, of.over, settings["N"], "probability", "neither", settings=settings),
        f"{name}_floor": score(floors, neither, settings),
    }
