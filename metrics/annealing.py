"""How is an integral over a Gaussian estimated from both sides, by annealing?

With ∫ N(z; 0, I) exp(λ ℓ(z)) dz = Z(λ), weights 0 = λ_0 < … < λ_T and transitions that
leave each f_t(z) = N(z; 0, I) exp(λ_t ℓ(z)) invariant,

    forward     z_0 ~ N(0, I), z_t from z_{t−1} by transition t:
                log w = Σ_t (λ_t − λ_{t−1}) ℓ(z_{t−1})
    reverse     z_{T−1} ~ f_T exactly, z_{t−1} from z_t by transition t backwards: the
                same sum

The mean of w over chains estimates Z(λ_T) without bias, that of 1/w over reverse ones
1/Z. So log mean w is, in expectation, at most log Z (forward), and −log mean 1/w at least
(reverse). There is an exact draw of f_T where the data themselves were drawn from the
model. Without transitions in between, T = 1, forward is importance sampling from N(0, I).

Source: Neal (2001), Annealed importance sampling, arXiv physics/9803008; the reverse:
Grosse, Ghahramani, Adams (2015), Sandwiching the marginal likelihood using bidirectional
Monte Carlo, arXiv 1511.02543.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from genmodel_bench.metrics.hmc import LogLikelihood, State, hmc
from torch import Tensor

Move = Callable[[State, int], State]
"""The state after transition t = 1 … T − 1."""
TARGET = 0.8
"""The mean acceptance that step sizes are tuned to."""
LONGEST = 0.5
"""The longest step, for a target of unit variance."""


def schedule(last: float, temperatures: int) -> list[float]:
    """Return λ_t = last (t/T)³, t = 0 … T.

    Once the image determines z, the variance of λ ℓ is half the dimension of z whatever
    λ is: weights that grow by one share a step would spread it evenly. With T = 100 and 4
    chains, the gaps of 30 images drawn from decoders trained on digits were, in nats,

        linear    t²      t³      t⁴      t⁶      sigmoid
        1.49      0.17    0.33    0.52    0.82    0.58       vae, ± 0.2
        2.02      1.04    0.72    1.34                       gan-mlp, ± 0.2
    """
    return [last * (t / temperatures) ** 3 for t in range(temperatures + 1)]


def forward(state: State, weights: Sequence[float], move: Move) -> Tensor:
    """Return log w of chains up to each weight: (T, n), float64.

    state: draws of N(0, I). Row t − 1 estimates Z(λ_t).
    """
    log_w, found = torch.zeros_like(state.value, dtype=torch.float64), []
    for t in range(1, len(weights)):
        log_w = log_w + (weights[t] - weights[t - 1]) * state.value.double()
        found.append(log_w)
        if t + 1 < len(weights):
            state = move(state, t)
    return torch.stack(found)


def reverse(state: State, weights: Sequence[float], move: Move) -> Tensor:
    """Return log w of chains from exact draws of the last target: (n,), float64."""
    log_w = torch.zeros_like(state.value, dtype=torch.float64)
    for t in range(len(weights) - 1, 0, -1):
        log_w = log_w + (weights[t] - weights[t - 1]) * state.value.double()
        if t > 1:
            state = move(state, t - 1)
    return log_w


def lower(log_w: Tensor, chains: int) -> Tensor:
    """Return log mean w over the chains of each image: (..., images · chains)."""
    by_image = log_w.reshape(*log_w.shape[:-1], -1, chains)
    return by_image.logsumexp(-1) - math.log(chains)


def upper(log_w: Tensor, chains: int) -> Tensor:
    """Return −log mean 1/w over the chains of each image, of reverse ones."""
    return -lower(-log_w, chains)


@dataclass
class Hamiltonian:
    """Transitions by HMC with `leapfrogs` steps, whose sizes were tuned and are frozen.

    sizes: of transitions 0 … T. acceptances: of the transitions that were made.
    """

    ell: LogLikelihood
    weights: Sequence[float]
    sizes: Sequence[float]
    leapfrogs: int

    def __post_init__(self) -> None:
        self.acceptances: list[float] = []

    def __call__(self, state: State, t: int) -> State:
        """Return the state after transition t."""
        state, accepted = hmc(state, self.ell, self.weights[t], self.sizes[t], self.leapfrogs)
        self.acceptances.append(float(accepted.mean()))
        return state


def pilot(state: State, ell: LogLikelihood, weights: Sequence[float], leapfrogs: int) -> list[float]:
    """Return a step size for each weight, from a run of its own that looks for them."""
    size, sizes = LONGEST, [LONGEST]
    for weight in weights[1:]:
        state, accepted = hmc(state, ell, weight, size, leapfrogs)
        size = min(LONGEST, size * math.exp(0.5 * (float(accepted.mean()) - TARGET)))
        sizes.append(size)
    return sizes


def sizes_at(weights: Sequence[float], tuned: Sequence[float], tuned_at: Sequence[float]) -> list[float]:
    """Return the step sizes at other weights: those of the next higher tuned ones."""
    grid = torch.tensor(tuned_at, dtype=torch.float64)
    found = torch.searchsorted(grid, torch.tensor(weights, dtype=torch.float64))
    return [tuned[min(int(i), len(tuned) - 1)] for i in found]
