"""Which images does a metric of samples compare, and what do its values together say?

One protocol for all of them. N is the number of test images, or of samples or training
images where there are fewer. The first N samples of each draw are compared with N test
images and, as a second set, with N training images. For a score `q`:

    q          against the test images
    q_gain     by how much it is better against training images than against test images:
               what a model gains by copying; near 0 for images of which neither was seen
    q_floor    N training images, none of the second set where there are 2N, against the
               same test images: what unseen real images have at this N

Values are means over draws. Where the held-out images are published as folds, each is
compared by itself, and the folds are averaged.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch
from genmodel_bench.metrics.base import Reference, Result, Score, Subject
from genmodel_bench.metrics.distances import full_precision
from genmodel_bench.metrics.evidence import remembered
from genmodel_bench.metrics.features import Features, features
from genmodel_bench.metrics.mind import shuffled
from torch import Tensor


@dataclass(frozen=True)
class Estimate:
    """A value and its standard error."""

    value: float
    stderr: float


@dataclass(frozen=True)
class Quantity:
    """What is said of a score: unit, better direction, and what its error is over."""

    unit: str
    better: Literal["higher", "lower", "neither"]
    over: str = "samples and test examples"


class Comparison(Protocol):
    """A metric of this protocol; its `__call__` returns `compared(self, ...)`."""

    @property
    def features(self) -> str:
        """The name of the features."""

    @property
    def quantities(self) -> Mapping[str, Quantity]:
        """What is said of each score, the headline first."""

    def prepare(self, x: Tensor) -> Any:
        """Return what is computed of one set alone: of features (N, k), float32."""

    def estimate(self, x: Any, real: Any) -> Mapping[str, Estimate]:
        """Return each quantity of two sets that are prepared: samples and real images."""


@full_precision()
def compared(
    metric: Comparison,
    subject: Subject,
    reference: Reference,
    *,
    extract: Features | None = None,
    **settings: Any,
) -> Result:
    """Return the scores of samples by the protocol of this module.

    extract: what `prepare` is given instead of the features by the metric's name.
    settings: what two scores must share besides N and features, as k.

    Raises:
        NotApplicable: the data lack what the features need.
    """
    extract = extract or features(metric.features, reference)
    splits = [split.test for split in reference.folds or [reference]]
    draws = (subject.samples, *subject.redraws)
    folds = []
    for i, test in enumerate(splits):
        n = min(len(test), len(reference.train), len(subject.samples))
        prepared = [metric.prepare(extract.of(x[:n])) for x in draws]

        def make(n: int = n, test: Tensor = test) -> tuple[Any, Any, Mapping[str, Estimate]]:
            order = shuffled(len(reference.train), reference.train)
            held = metric.prepare(extract.of(test[shuffled(len(test), test)[:n]]))
            first, second = order[:n], order[n : 2 * n] if 2 * n <= len(order) else order[:n]
            floor = metric.estimate(metric.prepare(extract.of(reference.train[first])), held)
            return held, metric.prepare(extract.of(reference.train[second])), floor

        held, seen, floor = remembered(reference, f"{metric!r} {extract.about} {n} {i}", make)
        folds.append(
            Fold(
                n,
                [metric.estimate(x, held) for x in prepared],
                [metric.estimate(x, seen) for x in prepared],
                floor,
            )
        )
    known = {"N": folds[0].n, "folds": len(reference.folds), **extract.about, **settings}
    scores: dict[str, Score] = {}
    for name, of in metric.quantities.items():
        gain = Quantity(of.unit, "neither", of.over)
        gains = [
            [minus(b[name], a[name], of.better) for a, b in zip(f.test, f.train, strict=True)] for f in folds
        ]
        scores[name] = score([[e[name] for e in f.test] for f in folds], of, known)
        scores[f"{name}_gain"] = score(gains, gain, known)
        scores[f"{name}_floor"] = score([[f.floor[name]] for f in folds], gain, known)
    return Result(scores)


@dataclass(frozen=True)
class Fold:
    """Estimates at n images a set: of each draw against test and training images."""

    n: int
    test: Sequence[Mapping[str, Estimate]]
    train: Sequence[Mapping[str, Estimate]]
    floor: Mapping[str, Estimate]


def minus(a: Estimate, b: Estimate, better: str) -> Estimate:
    """Return by how much a is better than b.

    Both are of the same samples: the error is an upper bound.
    """
    sign = -1 if better == "lower" else 1
    return Estimate(sign * (a.value - b.value), math.hypot(a.stderr, b.stderr))


def score(found: Sequence[Sequence[Estimate]], of: Quantity, settings: Mapping[str, Any]) -> Score:
    """Return the score of estimates, [fold][draw]; one fold is all there is, or none."""
    values = torch.tensor([[e.value for e in fold] for fold in found], dtype=torch.float64)
    over, count = of.over, settings["N"]
    error = math.fsum(e.stderr for e in found[0]) / len(found[0])
    if settings["folds"]:
        over, count = "folds", len(found)
        error = float(values.mean(1).std()) / math.sqrt(count)
    return Score(
        float(values.mean()),
        error,
        over,
        count,
        of.unit,
        of.better,
        draw_sd=float(values.mean(0).std()) if values.shape[1] > 1 else None,
        settings=settings,
    )


BLOCKS = 10
"""How many blocks the jackknife leaves out, one after the other."""


def jackknife(value: Callable[[Tensor], float], n: int, device: torch.device) -> float:
    """Return the standard error of a statistic of two sets of n rows each.

    value: the statistic of the rows of a mask, (n,), in both sets. One tenth of both is
        left out after the other: the number of rows, and with it the bias, stays nearly
        the same. A bootstrap repeats rows, which changes distances and neighbours.
    """
    block = torch.arange(n, device=device) % BLOCKS
    values = torch.tensor([value(block != b) for b in range(BLOCKS)], dtype=torch.float64)
    return math.sqrt((BLOCKS - 1) / BLOCKS * float((values - values.mean()).square().sum()))
