"""Which matrix products does a training step, or drawing samples, need at least: the floor of its time?

A product (m, k, n) is one of (m, k) by (k, n). A linear layer on b rows costs (b, k, n) forward, (k, b, n) for the gradient of its weights
and (b, n, k) for that of its input, where that is asked for. What a loss does not depend on, what is only logged, and everything that is no
product of matrices (activations, noise, updates) is left out. Convolutional nets have no such list.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import torch
from genmodel_bench.models import cae, dbn, gan, gsn, rbm, vae

Product = tuple[int, int, int]


def layer(b: int, k: int, n: int, *, weights: bool = True, inputs: bool = True) -> list[Product]:
    """Return the products of a linear layer k -> n on b rows, forward and the asked ones of backward."""
    return [(b, k, n), *[(k, b, n)] * weights, *[(b, n, k)] * inputs]


def gan_nets(c: gan.Config, d: int) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Return the sizes (inputs, outputs) of the linear layers of G and D; a maxout layer's outputs are all its pieces."""
    D = [(a, b * c.pieces) for a, b in pairwise([d, *c.discriminator])]
    return list(pairwise([c.latent, *c.front, *c.generator, d])), [*D, (c.discriminator[-1], 1)]


def gan_step(c: gan.Config, d: int) -> list[Product]:
    """Return the products of a simultaneous update: D learns from b images and b fakes, G through D from the fakes."""
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
    """Return the products of one update of an RBM: the positive phase, the chains' Gibbs steps, both gradients."""
    b, m = c.batch_size, chains
    moves = [(m, hidden, d), (m, d, hidden)] * c.gibbs_steps
    return [(b, d, hidden), *moves, (d, b, hidden), (d, m, hidden)]


def cae_step(c: cae.Config, d: int) -> list[Product]:
    """Return the products of one step of the bottom layer, whose weights the code and the reconstruction share."""
    b, k = c.batch_size, c.hidden[0]
    return layer(b, d, k, inputs=False) + layer(b, k, d)


def gsn_step(c: gsn.Config, d: int) -> list[Product]:
    """Return the products of one step over all walkbacks; the last one's second layer reaches no loss, the first one's is zero."""
    b, (k1, k2) = c.batch_size, c.hidden
    up = layer(b, d, k1, inputs=False) + layer(b, k1, d)
    return up * c.walkbacks + (layer(b, k1, k2) + layer(b, k2, k1)) * (c.walkbacks - 1)


STEPS: dict[type, Callable[[Any, int], list[Product]]] = {
    gan.Config: gan_step,
    vae.Config: vae_step,
    rbm.Config: lambda c, d: rbm_step(c, d, c.hidden, chains=c.chains if c.persistent else c.batch_size),
    # the bottom one of several learns by CD
    dbn.Config: lambda c, d: rbm_step(c, d, c.hidden[0], chains=c.batch_size),
    cae.Config: cae_step,
    gsn.Config: gsn_step,
}
"""By the class of a Config: the products of a step of the first stage on images of d pixels."""


def gibbs(sizes: Sequence[int], steps: int, n: int) -> list[Product]:
    """Return the products of n Gibbs chains in the top layer of an RBM stack of `sizes`, passed down at the end."""
    *below, top = pairwise(sizes)
    down = [(n, k, d) for d, k in reversed([*below, top])]
    return [(n, top[1], top[0]), (n, top[0], top[1])] * steps + down


def cae_samples(c: cae.Config, d: int, n: int) -> list[Product]:
    """Return the products of n walks: up, a step with the Jacobian of the top layer, down."""
    up = [(n, a, b) for a, b in pairwise([d, *c.hidden])]
    down = [(m, b, a) for m, a, b in reversed(up)]
    return [*up, down[0], up[-1], *down] * c.sample_steps


def gsn_samples(c: gsn.Config, d: int, n: int) -> list[Product]:
    """Return the products of the chains: n parallel ones of `sample_steps`, or a single one of n."""
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
}
"""By the class of a Config: the products of drawing n samples of d pixels."""


def flops(products: Sequence[Product]) -> int:
    """Return the floating-point operations of all `products`: a multiplication and an addition for each of mkn."""
    return sum(2 * math.prod(p) for p in products)


def multiply(products: Sequence[Product], device: torch.device) -> Callable[[], None]:
    """Return a call that makes all `products` one after another, by torch.mm into memory it already has."""
    made = {
        p: (torch.rand(p[0], p[1]), torch.rand(p[1], p[2]), torch.empty(p[0], p[2])) for p in set(products)
    }
    made = {p: tuple(part.to(device) for part in parts) for p, parts in made.items()}

    def run() -> None:
        for p in products:
            a, b, out = made[p]
            torch.mm(a, b, out=out)

    return run
