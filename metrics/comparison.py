"""Which images does a metric of samples compare, and what do its values together say?

One protocol for all of them. N is the number of test images, or of samples, or half of
the training images, whichever is least. N samples of each draw, in a random order that is
always the same, are compared with N test images and with N training images. For a score
`q`:

    q               against the test images
    q_gain          by how much it is better against training images than against test
                    images: what a model gains by copying
    q_floor         N other training images in place of the samples: what real images
                    that are in neither set have at this N
    q_gain_floor    the gain of these: near 0 where test and training images have the same
                    distribution, which those of MNIST have not

Values are means over draws. Where the held-out images are published as folds, each is
compared by itself, and the folds are averaged.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
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
    """A value, its standard error, and the reason not to trust it, if there is one."""

    value: float
    stderr: float
    warning: str = ""


@dataclass(frozen=True)
class Quantity:
    """What is said of a score: unit, better direction, and what its error is over.

    count: how many of the latter there are; None: N.
    """

    unit: str
    better: Literal["higher", "lower", "neither"]
    over: str = "samples and test examples"
    count: int | None = None


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


@torch.no_grad()
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
    sets, folds = (subject.samples, *subject.redraws), []
    for i, split in enumerate(reference.folds or [reference]):
        n = min(len(split.test), len(reference.train) // 2, len(subject.samples))
        make = partial(real_sets, metric, extract.of, reference.train, split.test, n)
        real = remembered(reference, f"{metric!r} {extract.about} {n} {i}", make)
        draws = [metric.prepare(extract.of(chosen(x, n))) for x in sets]
        test, train = ([metric.estimate(x, y) for x in draws] for y in (real.test, real.train))
        folds.append(Fold(n, test, train, real.against_test, real.against_train))
    known = {"N": folds[0].n, "folds": len(reference.folds), **extract.about, **settings}
    scores: dict[str, Score] = {}
    for name, of in metric.quantities.items():
        other = replace(of, better="neither")
        pairs = [zip(f.test, f.train, strict=True) for f in folds]
        gains = [[minus(b[name], a[name], of.better) for a, b in fold] for fold in pairs]
        floors = [minus(f.unseen_train[name], f.unseen_test[name], of.better) for f in folds]
        scores[name] = score([[e[name] for e in f.test] for f in folds], of, known)
        scores[f"{name}_gain"] = score(gains, other, known)
        scores[f"{name}_floor"] = score([[f.unseen_test[name]] for f in folds], other, known)
        scores[f"{name}_gain_floor"] = score([[floor] for floor in floors], other, known)
    return Result(scores)


def chosen(x: Tensor, n: int, part: int = 0) -> Tensor:
    """Return n rows of x, or the n after `part` times as many: always the same ones.

    They are in a random order: samples may come sorted, or one class after the other.
    """
    return x[shuffled(len(x), x)[part * n : (part + 1) * n]]


@dataclass(frozen=True)
class Real:
    """N test and N training images, prepared, and other training images against both."""

    test: Any
    train: Any
    against_test: Mapping[str, Estimate]
    against_train: Mapping[str, Estimate]


def real_sets(
    metric: Comparison, extract: Callable[[Tensor], Tensor], train: Tensor, test: Tensor, n: int
) -> Real:
    """Return what is made of n test images and of 2n training images."""
    held, seen, unseen = (
        metric.prepare(extract(images))
        for images in (chosen(test, n), chosen(train, n), chosen(train, n, part=1))
    )
    return Real(held, seen, metric.estimate(unseen, held), metric.estimate(unseen, seen))


@dataclass(frozen=True)
class Fold:
    """Estimates at n images a set: of each draw, and of training images of no set."""

    n: int
    test: Sequence[Mapping[str, Estimate]]
    train: Sequence[Mapping[str, Estimate]]
    unseen_test: Mapping[str, Estimate]
    unseen_train: Mapping[str, Estimate]


def minus(a: Estimate, b: Estimate, better: str) -> Estimate:
    """Return by how much a is better than b.

    Both are of the same samples: the error is an upper bound.
    """
    sign = -1 if better == "lower" else 1
    return Estimate(sign * (a.value - b.value), math.hypot(a.stderr, b.stderr), a.warning or b.warning)


def mean_of(values: Tensor) -> Estimate:
    """Return the mean of values, (n,), with its standard error."""
    return Estimate(float(values.mean()), float(values.std(correction=0)) / math.sqrt(len(values)))


def score(found: Sequence[Sequence[Estimate]], of: Quantity, settings: Mapping[str, Any]) -> Score:
    """Return the score of estimates, [fold][draw]; one fold is all there is, or none."""
    values = torch.tensor([[e.value for e in fold] for fold in found], dtype=torch.float64)
    over, count = of.over, of.count or settings["N"]
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
        next((e.warning for fold in found for e in fold if e.warning), ""),
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
