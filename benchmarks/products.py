"""Which matrix products does a training step, or drawing samples, need at least?

They are the floor of its time. A product (m, k, n) is one of (m, k) by (k, n). A linear
layer on b rows costs (b, k, n) forward, (k, b, n) for the gradient of its weights and
(b, n, k) for that of its input, where it is needed. Left out are: what a loss does not
depend on, what is only logged, and everything that is not a product of matrices
(activations, noise, updates). There is no list for convolutional nets.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import torch
from genmodel_bench.models.adversarial import gan
from genmodel_bench.models.autoencoders import cae, gsn, vae
from genmodel_bench.models.boltzmann import dbn, rbm
from genmodel_bench.models.moments import gmmn

Product = tuple[int, int, int]


def layer(b: int, k: int, n: int, *, weights: bool = True, inputs: bool = True) -> list[Product]:
    """Return the products of a linear layer k -> n on b rows, forward and backward.

    `weights` and `inputs` say which gradients are computed.
    """
    return [(b, k, n), *[(k, b, n)] * weights, *[(b, n, k)] * inputs]


def gan_nets(c: gan.Config, d: int) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Return the sizes (inputs, outputs) of the linear layers of G and D.

    The outputs of a maxout layer are all its pieces.
    """
    D = [(a, b * c.pieces) for a, b in pairwise([d, *c.discriminator])]
    return list(pairwise([c.latent, *c.front, *c.generator, d])), [*D, (c.discriminator[-1], 1)]


def gan_step(c: gan.Config, d: int) -> list[Product]:
    """Return the products of a simultaneous update.

    D learns from b images and b fakes, G from the fakes, through D.
    """
    b = c.batch_size
    G, D = gan_nets(c, d)
    of_d = [p for i, (k, n) in enumerate(D) for p in layer(2 * b, k, n, inputs=i > 0)]
    through_d = [(b, n, k) for k, n in D]
    return of_d + through_d + [p for i, (k, n) in enumerate(G) for p in layer(b, k, n, inputs=i > 0)]


def vae_step(c: vae.Config, d: int) -> list[Product]:
    """Return the products of one step on the bound: encoder, then decoder."""
    sizes = [*pairwise([d, *c.hidden, 2 * c.latent]), *pairwise([c.latent, *reversed(c.hidden), d])]
    return [p for i, (k, n) in enumerate(sizes) for p in layer(c.batch_size, k, n, inputs=i > 0)]


def rbm_step(c: Any, d: int, hidden: int, *, chains: int) -> list[Product]:
    """Return the products of an RBM's update: positive phase, Gibbs steps, gradients."""
    b, m = c.batch_size, chains
    moves = [(m, hidden, d), (m, d, hidden)] * c.gibbs_steps
    return [(b, d, hidden), *moves, (d, b, hidden), (d, m, hidden)]


def cae_step(c: cae.Config, d: int) -> list[Product]:
    """Return the products of one step of the bottom layer.

    The code and the reconstruction share its weights.
    """
    b, k = c.batch_size, c.hidden[0]
    return layer(b, d, k, inputs=False) + layer(b, k, d)


def gsn_step(c: gsn.Config, d: int) -> list[Product]:
    """Return the products of one step over all walkbacks.

    The last walkback's second layer reaches no loss, and the first one's is zero.
    """
    b, (k1, k2) = c.batch_size, c.hidden
    up = layer(b, d, k1, inputs=False) + layer(b, k1, d)
    return up * c.walkbacks + (layer(b, k1, k2) + layer(b, k2, k1)) * (c.walkbacks - 1)


def gmmn_sizes(c: gmmn.Config, d: int) -> list[tuple[int, int]]:
    """Return the sizes (inputs, outputs) of the linear layers of G."""
    return list(pairwise([c.latent, *c.hidden, c.encoder[-1] if c.autoencoder else d]))


def gmmn_step(c: gmmn.Config, d: int) -> list[Product]:
    """Return the products of an update of G, or of the auto-encoder's bottom layer.

    Those of G's loss are the distances of b samples from 2b points and of b images from
    each other, and the gradient.
    """
    if c.autoencoder:
        b, k = c.code_batch_size, c.encoder[0]
        return layer(b, d, k, inputs=False) + layer(b, k, d)
    b = c.batch_size
    G = [p for i, (k, n) in enumerate(gmmn_sizes(c, d)) for p in layer(b, k, n, inputs=i > 0)]
    return [*G, (2 * b, d, b), (b, d, b), (b, 2 * b, d)]


def gmmn_samples(c: gmmn.Config, d: int, n: int) -> list[Product]:
    """Return the products of G and, where there is one, of the decoder."""
    decoder = list(pairwise([*reversed(c.encoder), d])) if c.autoencoder else []
    return [(n, a, b) for a, b in [*gmmn_sizes(c, d), *decoder]]


STEPS: dict[type, Callable[[Any, int], list[Product]]] = {
    gan.Config: gan_step,
    vae.Config: vae_step,
    rbm.Config: lambda c, d: rbm_step(c, d, c.hidden, chains=c.chains if c.persistent else c.batch_size),
    # where there are several RBMs, the bottom one is trained by CD
    dbn.Config: lambda c, d: rbm_step(c, d, c.hidden[0], chains=c.batch_size),
    cae.Config: cae_step,
    gsn.Config: gsn_step,
    gmmn.Config: gmmn_step,
}
"""Class of a Config -> products of a step of its first stage on images of d pixels."""


def gibbs(sizes: Sequence[int], steps: int, n: int) -> list[Product]:
    """Return the products of n Gibbs chains in a stack's top RBM, and of the way down."""
    *below, top = pairwise(sizes)
    down = [(n, k, d) for d, k in reversed([*below, top])]
    return [(n, top[1], top[0]), (n, top[0], top[1])] * steps + down


def cae_samples(c: cae.Config, d: int, n: int) -> list[Product]:
    """Return the products of n walks: up, a step with the top layer's Jacobian, down."""
    up = [(n, a, b) for a, b in pairwise([d, *c.hidden])]
    down = [(m, b, a) for m, a, b in reversed(up)]
    return [*up, down[0], up[-1], *down] * c.sample_steps


def gsn_samples(c: gsn.Config, d: int, n: int) -> list[Product]:
    """Return the products of n chains of `sample_steps`, or of one chain of n steps."""
    k1, k2 = c.hidden
    rows, steps = (1, n) if c.chain == "consecutive" else (n, c.sample_steps)
    return [(rows, d, k1), (rows, k1, d)] * steps + [(rows, k1, k2), (rows, k2, k1)] * (steps - 1)


SAMPLES: dict[type, Callable[[Any, int, int], list[Product]]] = {
    gan.Config: lambda c, d, n: [(n, a, b) for a, b in gan_nets(c, d)[0]],
    vae.Config: lambda c, d, n: [(n, a, b) for a, b in pairwise([c.latent, *reversed(c.hidden), d])],
    rbm.Config: lambda c, d, n: gibbs([d, c.hidden], c.sample_steps, n),
    dbn.Config: lambda c, d, n: gibbs([d, *c.hidden], c.sample_steps, n),
    cae.Config: cae_samples,
    gsn.Config: gsn_samples,
    gmmn.Config: gmmn_samples,
}
"""Class of a Config -> the products of drawing n samples of d pixels."""


def flops(products: Sequence[Product]) -> int:
    """Return the floating-point operations of `products`: 2mkn for each."""
    return sum(2 * math.prod(p) for p in products)


def multiply(products: Sequence[Product], device: torch.device) -> Callable[[], None]:
    """Return a call that computes all `products` in turn, into memory it already has."""
    made = {
        p: (torch.rand(p[0], p[1]), torch.rand(p[1], p[2]), torch.empty(p[0], p[2])) for p in set(products)
    }
    made = {p: tuple(part.to(device) for part in parts) for p, parts in made.items()}

    def run() -> None:
        for p in products:
            a, b, out = made[p]
            torch.mm(a, b, out=out)

    return run
