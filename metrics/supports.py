"""Of which images is a likelihood, and how does a number stand to it?

Log-probabilities compare within one support alone: binary images, images of 17 grey
levels, of 256, those with noise added, and real numbers in [0, 1] are different things to
be probable. `kind` says how the number of a row stands to the log-likelihood, which is
minus the NLL:

    =   it is it
    ≤   it is at most it, in expectation: a bound, as the ELBO
    ≥   it is at least it, in expectation
    ≈   bounds of both directions are in it
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

from genmodel_bench.metrics.base import Score
from genmodel_bench.metrics.features import NotApplicable
from torch import Tensor

Kind = Literal["=", "≤", "≥", "≈"]


def support(levels: int, *, dequantised: bool = False) -> str:
    """Return the name of a support: of images of so many grey levels, 0 for any."""
    name = {0: "[0, 1]", 2: "binary"}.get(levels, f"{levels} levels")
    return f"{name} + noise" if dequantised else name


def support_of(levels: int, reference: object, *, dequantised: bool = False) -> str:
    """Return the name of a model's support, which has to be that of the data.

    Raises:
        NotApplicable: the data have other grey levels.
    """
    of_data = getattr(reference, "levels", 0)
    if levels != of_data:
        raise NotApplicable(f"the model's support is {support(levels)}, that of the data {support(of_data)}")
    return support(levels, dequantised=dequantised)


def nats(
    values: Tensor, settings: Mapping[str, Any], *, better: Literal["lower", "higher", "neither"]
) -> Score:
    """Return the score of a mean over test images, of what each has in nats: (n,)."""
    n = len(values)
    stderr = float(values.std(correction=0)) / math.sqrt(n)
    return Score(float(values.mean()), stderr, "test examples", n, "nats", better, settings=settings)


def bits(nll: Score, d: int) -> Score:
    """Return a score in nats per image as bits per dimension, of images of d numbers."""
    factor = 1 / (d * math.log(2))
    return replace(nll, value=nll.value * factor, stderr=nll.stderr * factor, unit="bits")
