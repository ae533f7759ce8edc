"""What can a model do besides sampling, that a metric or a figure may ask for?

Structural Protocols: a model has a capability by having its methods, and imports nothing for it. A metric names those it needs.
"""

from __future__ import annotations

from typing import Literal, Protocol, runtime_checkable

from torch import Tensor


@runtime_checkable
class Latent(Protocol):
    """A model that is a map from a latent space, as a GAN or a VAE is: `sample` decodes draws of the prior. The figures walk through it."""

    prior: Literal["uniform", "gaussian"]

    def latent(self, n: int) -> Tensor:
        """Return n draws of the prior, (n, k)."""

    def decode(self, z: Tensor) -> Tensor:
        """Return the images of codes z: (n, k) -> (n, c, h, w), float32 in [0, 1]."""
