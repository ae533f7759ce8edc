"""How much do the samples vary, for how much the test images do?

The mean squared distance of a sample from the mean of all, over the same of the test
images: 1 for real images, 0 for a model that always gives one image. It does not see
whether the samples vary in the right way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from genmodel_bench.metrics import Reference, Result, Score, Subject
from genmodel_bench.metrics.column import Column
from torch import Tensor


def spread(x: Tensor) -> Tensor:
    """Return the squared distance of each of n images (n, c, h, w) from their mean."""
    flat = x.double().flatten(1)
    return (flat - flat.mean(0)).square().sum(1)


@dataclass(frozen=True)
class Metric:
    """Variance of the samples, over that of the test images."""

    needs: tuple[type, ...] = ()
    min_samples: int = 2

    columns: ClassVar[Mapping[str, Column]] = {
        "variance": Column("variance", "variance of the samples over that of the test images", decimals=2)
    }
    SOURCES: ClassVar[tuple[str, ...]] = ()

    @torch.no_grad()
    def __call__(self, subject: Subject, reference: Reference) -> Result:
        """Return the score of the samples, with the standard error over them."""
        real = float(spread(reference.test).mean())
        values = spread(subject.samples) / real
        n = len(values)
        score = Score(
            float(values.mean()), float(values.std()) / n**0.5, "samples", n, unit="ratio", better="neither"
        )
        return Result({"variance": score})
