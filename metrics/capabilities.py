"""Which capabilities besides sampling may a metric or a figure require of a model?

They are structural Protocols: a model that has the methods has the capability, and
imports nothing for it. A metric names the capabilities that it needs.
"""

from __future__ import annotations

from typing import Literal, Protocol, runtime_checkable

from torch import Tensor


@runtime_checkable
class Latent(Protocol):
    """A model that maps a latent space to images, as a GAN or a VAE does.

    Its `sample` decodes draws from the prior. The figures show walks in this space.
    """

    prior: Literal["uniform", "gaussian"]

    def latent(self, n: int) -> Tensor:
        """Return n draws from the prior: (n, k)."""

    def decode(self, z: Tensor) -> Tensor:
        """Return the images of codes z: (n, k) -> (n, c, h, w), float32 in [0, 1]."""
