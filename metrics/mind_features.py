"""How far are features of samples from those of test images, seen from every direction?

    mind   the squared sliced Wasserstein distance of `metrics/mind.py` between N samples
           and N test images, in features; lower is better

What it measures: whether the features have the mean, the spread and, seen from any side,
the shape of those of the data: more than the Fréchet distance, which sees two moments.
What it misses: what moves few projections by little; copies of training images, which
score as unseen real images do; what the features do not see.
Bias: upwards, by about c / N; only scores of the same N compare.
Standard error: over samples and test images, with the directions held fixed; near the
floor it is up to twice too large. The directions are always the same ones.
Reference implementation: see `metrics/mind.py`.
Cost: 2 s on one thread for five draws of 10,000 × 64 on MNIST.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from genmodel_bench.metrics.base import Reference, Result, Subject
from genmodel_bench.metrics.column import Column
from genmodel_bench.metrics.comparison import Estimate, Quantity, compared
from genmodel_bench.metrics.mind import directions, mind
from genmodel_bench.metrics.mind_pixels import MindPixels
from genmodel_bench.metrics.orders import DISTANCE
from torch import Tensor


@dataclass(frozen=True)
class Mind:
    """The sliced Wasserstein distance of features.

    features: their name (`metrics/features.py`).
    slices: about how many directions; they are whole orthonormal bases, at least one.
    """

    features: str = "classifier"
    slices: int = 256
    min_samples: int = 2
    needs: tuple[type, ...] = ()
    quantities: ClassVar = {"mind": Quantity("squared feature units", "lower")}
    SOURCES: ClassVar[tuple[str, ...]] = MindPixels.SOURCES

    @property
    def columns(self) -> Mapping[str, Column]:
        """The column of `mind`."""
        own = self.features == "classifier"
        return {
            "mind": Column(
                "MIND" if own else f"MIND {self.features}",
                "squared sliced Wasserstein distance of the samples' features from those of as many test "
                "images, times 3 × features",
                table="quality" if own else "features",
                floor="mind_floor",
                promises=DISTANCE,
            )
        }

    def __call__(self, subject: Subject, reference: Reference) -> Result:
        """Score `subject` by the protocol of `metrics/comparison.py`."""
        return compared(self, subject, reference, slices=self.slices)

    def prepare(self, x: Tensor) -> Tensor:
        """Return the features."""
        return x

    def estimate(self, x: Tensor, real: Tensor) -> Mapping[str, Estimate]:
        """Return the distance of two sets of N points each."""
        with torch.random.fork_rng(devices=()):
            torch.default_generator.manual_seed(0)
            u = directions(x.shape[1], self.slices, torch.empty(0)).to(x)
        ((pair,),) = mind([x], [real], u)
        error = math.sqrt(pair.variance + float(pair.by_test.var(correction=0)) / len(real))
        return {"mind": Estimate(float(pair.by_test.mean()), error)}
