"""How does Hamiltonian Monte Carlo move points of a tempered Gaussian?

The target is f(z) = N(z; 0, I) exp(λ ℓ(z)), for a differentiable ℓ and a weight λ ≥ 0. A
transition draws a momentum p ~ N(0, I), follows

    z' = p,    p' = −z + λ ∇ℓ(z)

for some leapfrog steps, and accepts the end with the probability
min(1, exp(H(start) − H(end))), H = ½‖z‖² − λ ℓ(z) + ½‖p‖². It leaves the target invariant
at any step size, and is reversible.

Source: Neal (2011), MCMC using Hamiltonian dynamics, arXiv 1206.1901, sections 2.3 and 3.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

LogLikelihood = Callable[[Tensor], Tensor]
"""ℓ of points, (n, k) -> (n,), differentiable; each value depends on its point alone."""


@dataclass(frozen=True)
class State:
    """Points z: (n, k), with ℓ(z): (n,), and its gradient: (n, k)."""

    z: Tensor
    value: Tensor
    gradient: Tensor


def state_at(z: Tensor, ell: LogLikelihood) -> State:
    """Return the state at z: (n, k). Takes gradients where they are disabled too."""
    with torch.enable_grad():
        z = z.detach().requires_grad_()
        value = ell(z)
        (gradient,) = torch.autograd.grad(value.sum(), z)
    return State(z.detach(), value.detach(), gradient)


def leapfrog(
    state: State, p: Tensor, ell: LogLikelihood, weight: float, step: float, n: int
) -> tuple[State, Tensor]:
    """Return state and momentum after n leapfrog steps; p: (n, k)."""
    for _ in range(n):
        p = p + 0.5 * step * (weight * state.gradient - state.z)
        state = state_at(state.z + step * p, ell)
        p = p + 0.5 * step * (weight * state.gradient - state.z)
    return state, p


def energy(state: State, p: Tensor, weight: float) -> Tensor:
    """Return H of points and momenta: (n,)."""
    return 0.5 * (state.z.square() + p.square()).sum(1) - weight * state.value


@torch.no_grad()
def hmc(state: State, ell: LogLikelihood, weight: float, step: float, n: int) -> tuple[State, Tensor]:
    """Return the state after one transition of n leapfrog steps, and acceptances.

    The acceptances are probabilities, (n,); of a diverged trajectory, 0.
    """
    p = torch.randn_like(state.z)
    end, q = leapfrog(state, p, ell, weight, step, n)
    accepted = (energy(state, p, weight) - energy(end, q, weight)).exp().clamp(max=1).nan_to_num(nan=0.0)
    taken = torch.rand_like(accepted) < accepted
    new = State(
        torch.where(taken[:, None], end.z, state.z),
        torch.where(taken, end.value, state.value),
        torch.where(taken[:, None], end.gradient, state.gradient),
    )
    return new, accepted
