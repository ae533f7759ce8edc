"""How probable are images under a decoder with Gaussian pixels around its outputs?

    p_σ(x) = ∫ p(z) N(x; g(z), σ² I) dz = (λ/2π)^(d/2) ∫ p(z) exp(λ ℓ(z)) dz,
    ℓ(z) = −½‖x − g(z)‖²,    λ = 1/σ²

by annealing from λ = 0 (`metrics/annealing.py`). A uniform prior U(−√3, √3) is reached
from a Gaussian ε by z = √3 erf(ε/√2): all chains move in a Gaussian's space, and the
integral is the same. On its way to a small σ an annealing passes all larger ones, and
estimates p_σ for each: one run chooses σ.

Source: Wu, Burda, Salakhutdinov, Grosse (2017), On the quantitative analysis of
decoder-based generative models, arXiv 1611.04273, section 4.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from genmodel_bench.metrics.annealing import (
    Hamiltonian,
    forward,
    lower,
    pilot,
    reverse,
    schedule,
    sizes_at,
    upper,
)
from genmodel_bench.metrics.capabilities import Latent
from genmodel_bench.metrics.hmc import LogLikelihood, state_at
from torch import Tensor

Decoder = Callable[[Tensor], Tensor]
"""The images of ε ~ N(0, I), (n, k) -> (n, d), differentiable."""
WIDEST = 1.0
"""No wider Gaussian is tried for pixels in [0, 1]."""
OFF = 0.2
"""How far mean and standard deviation of 1,000 draws of a prior may be off 0 and 1."""


def in_gaussian_space(model: Latent) -> Decoder:
    """Return the decoder of a model as a map of ε ~ N(0, I), whatever its prior is."""
    if model.prior == "gaussian":
        return lambda eps: model.decode(eps).flatten(1)
    return lambda eps: model.decode(math.sqrt(3) * torch.erf(eps / math.sqrt(2))).flatten(1)


def check_latent(model: Latent) -> None:
    """Check that a model draws from the prior that it names, and can be annealed.

    Raises:
        ValueError: it does not, or autograd cannot follow `decode`.
    """
    z = model.latent(1000)
    within = {"gaussian": torch.inf, "uniform": math.sqrt(3) + 1e-3}.get(model.prior, 0.0)
    if abs(z.mean()) > OFF or abs(z.std() - 1) > OFF or z.abs().max() > within:
        raise ValueError(
            f"latent: draws have mean {float(z.mean()):.2f} and standard deviation {float(z.std()):.2f}, "
            f"prior is {model.prior!r}; expected N(0, I), 'gaussian', or U(−√3, √3), 'uniform'"
        )
    with torch.enable_grad():
        if not model.decode(z[:1].requires_grad_()).requires_grad:
            raise ValueError("decode: autograd cannot follow it; leave torch.no_grad to `sample`")


def nearness(decoder: Decoder, x: Tensor, chains: int) -> LogLikelihood:
    """Return ℓ(ε) = −½‖x − g(ε)‖² of `chains` chains for each image x: (n, d)."""
    images = x.repeat_interleave(chains, 0)
    return lambda eps: -0.5 * (images - decoder(eps)).square().sum(1)


def log_constant(weight: float, d: int) -> float:
    """Return log of (λ/2π)^(d/2)."""
    return 0.5 * d * math.log(weight / (2 * math.pi))


@dataclass(frozen=True)
class Chosen:
    """What validation images chose.

    sigma: the σ of their highest mean log p_σ, log_probs: that mean by σ.
    edge: whether the smallest σ was the best.
    sizes: of HMC's steps, tuned at `weights`.
    """

    sigma: float
    log_probs: Mapping[float, float]
    edge: bool
    weights: Sequence[float]
    sizes: Sequence[float]


@dataclass(frozen=True)
class Annealer:
    """Bounds of log p_σ of images, by chains in the space of ε, of k dimensions."""

    decoder: Decoder
    k: int
    chains: int
    temperatures: int
    leapfrogs: int

    def choose(self, x: Tensor, smallest: float) -> Chosen:
        """Return the σ ≥ `smallest` of the highest log p_σ of images x: (n, d).

        A pilot run tunes the step sizes, a second one is the estimate.
        """
        ell, weights = nearness(self.decoder, x, self.chains), schedule(smallest**-2, self.temperatures)
        sizes = pilot(state_at(self.start(x), ell), ell, weights, self.leapfrogs)
        move = Hamiltonian(ell, weights, sizes, self.leapfrogs)
        log_w = forward(state_at(self.start(x), ell), weights, move)
        means = lower(log_w, self.chains).mean(1)  # (T, n · chains) -> (T, n) -> (T,)
        found = {
            weight**-0.5: float(mean) + log_constant(weight, x.shape[1])
            for weight, mean in zip(weights[1:], means, strict=True)
            if weight >= WIDEST**-2
        }
        sigma = max(found, key=found.__getitem__)
        return Chosen(sigma, found, sigma == min(found), weights, sizes)

    def below(self, x: Tensor, chosen: Chosen) -> tuple[Tensor, float]:
        """Return lower bounds of images x: (n, d), (n,), and HMC's mean acceptance."""
        ell = nearness(self.decoder, x, self.chains)
        weights, move = self.path(ell, chosen)
        log_w = forward(state_at(self.start(x), ell), weights, move)[-1]
        found = lower(log_w, self.chains) + log_constant(weights[-1], x.shape[1])
        return found, sum(move.acceptances) / max(1, len(move.acceptances))

    def above(self, x: Tensor, eps: Tensor, chosen: Chosen) -> Tensor:
        """Return upper bounds of images x = g(ε) + σ · noise, with their ε: (n, k)."""
        ell = nearness(self.decoder, x, self.chains)
        weights, move = self.path(ell, chosen)
        log_w = reverse(state_at(eps.repeat_interleave(self.chains, 0), ell), weights, move)
        return upper(log_w, self.chains) + log_constant(weights[-1], x.shape[1])

    def path(self, ell: LogLikelihood, chosen: Chosen) -> tuple[list[float], Hamiltonian]:
        """Return the weights up to the chosen σ, and the frozen transitions."""
        weights = schedule(chosen.sigma**-2, self.temperatures)
        sizes = sizes_at(weights, chosen.sizes, chosen.weights)
        return weights, Hamiltonian(ell, weights, sizes, self.leapfrogs)

    def start(self, x: Tensor) -> Tensor:
        """Return draws of N(0, I) for all chains: (n · chains, k)."""
        return torch.randn(len(x) * self.chains, self.k, dtype=x.dtype, device=x.device)
