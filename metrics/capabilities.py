"""Which capabilities besides sampling may a metric or a figure require of a model?

They are structural Protocols: a model that has the methods has the capability, and
imports nothing for it. A metric names the capabilities that it needs.
"""

from __future__ import annotations

from typing import Any, Literal, Protocol, runtime_checkable

from torch import Tensor


@runtime_checkable
class Latent(Protocol):
    """A model that maps a latent space to images, as a GAN or a VAE does.

    Its `sample` decodes draws from the prior. The figures show walks in this space.

    prior: of each number of a code, N(0, 1) or U(−√3, √3), both of variance 1.
    """

    prior: Literal["uniform", "gaussian"]

    def latent(self, n: int) -> Tensor:
        """Return n draws from the prior: (n, k)."""

    def decode(self, z: Tensor) -> Tensor:
        """Return the images of codes z: (n, k) -> (n, c, h, w), float32 in [0, 1].

        By autograd, differentiable.
        """


@runtime_checkable
class Density(Protocol):
    """A model that has the exact log-probability, or log-density, of an image.

    levels: how many grey levels a pixel has, 2 for binary images. An image is of the
        levels k / (levels − 1).
    dequantised: whether the model is a density of pixels in [0, 1], of images to which
        noise was added: (k + u) / levels, u uniform.
    """

    levels: int
    dequantised: bool

    def log_prob(self, x: Tensor) -> Tensor:
        """Return log p(x) in nats, (n, c, h, w) -> (n,), a probability or a density."""


@runtime_checkable
class Posterior(Protocol):
    """A model of binary images with a latent code z and an approximate q(z|x)."""

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log-variance of q(z|x): (n, c, h, w) -> (n, k) each."""

    def log_weights(self, x: Tensor, k: int) -> Tensor:
        """Return log p(x, z) − log q(z|x) of k draws of q(z|x), (k, n), for n images."""


class Machine(Protocol):
    """The energy −v·W h − b·v − c·h of binary v and h: W (n_visible, n_hidden)."""

    W: Tensor
    b: Tensor
    c: Tensor


class Stacked(type):
    """Of whoever has `rbms`, or a single `rbm`: a Protocol cannot say "or"."""

    def __instancecheck__(cls, instance: object) -> bool:
        """Return whether a model is one, or a stack, of such machines."""
        return hasattr(instance, "rbms") or hasattr(instance, "rbm")


class Boltzmann(metaclass=Stacked):
    """A restricted Boltzmann machine, `rbm`, or a stack of them upwards, `rbms`.

    The top one of a stack is undirected; below it, each layer generates the one beneath.
    """


def machines_of(model: Any) -> list[Machine]:
    """Return the machines of a `Boltzmann` model, the first one over the pixels."""
    return list(model.rbms) if hasattr(model, "rbms") else [model.rbm]
