"""In which features are images compared?

pixels      the pixels themselves
pca         the leading principal components of the training images
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from genmodel_bench.metrics.base import Reference
from genmodel_bench.metrics.evidence import remembered
from torch import Tensor

COMPONENTS = 64
"""How many principal components there are, at most."""


class NotApplicable(Exception):
    """A metric has no meaning for the data: its row says "n/a", and is no failure."""


@dataclass(frozen=True)
class Features:
    """A map of images to features, and what a row says of it.

    of: (n, c, h, w), float32 in [0, 1] -> (n, k), float32.
    about: its name, digest and what else two scores must share to be comparable.
    """

    of: Callable[[Tensor], Tensor]
    about: Mapping[str, Any] = field(default_factory=dict)


def features(name: str, reference: Reference) -> Features:
    """Return the features called `name`, fitted to the training images where they are.

    Raises:
        NotApplicable: the data lack what they need, as labels.
        ValueError: there are none of this name.
    """
    if name == "pixels":
        return Features(lambda x: x.flatten(1), {"features": name})
    if name == "pca":
        return remembered(reference, "features pca", lambda: principal_components(reference.train))
    raise ValueError(f"features: got {name!r}, expected pixels or pca")


def principal_components(train: Tensor) -> Features:
    """Return the projection on principal components of `train`: (n, c, h, w)."""
    x = train.flatten(1).double()  # (n, c, h, w) -> (n, d)
    mean = x.mean(0)
    _, vectors = torch.linalg.eigh((x - mean).T @ (x - mean))
    axes = vectors.flip(1)[:, :COMPONENTS].float()  # (d, k)
    return Features(lambda x: (x.flatten(1) - mean.float()) @ axes, {"features": "pca"})
