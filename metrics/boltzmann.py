"""How is the partition function of a Boltzmann machine estimated, and a net's bound?

A machine of binary units has p(v) = exp(−F(v)) / Z, F(v) = −b·v − Σ_j softplus(v W+c)_j.
Annealed importance sampling starts M chains from independent pixels with logits a0, whose
partition function is known, and raises β from 0 to 1 along

    log f_β(v) = (1−β) a0·v + β b·v + Σ_j softplus(β (v W + c)_j),

one Gibbs step at each β. A chain's weight w = Π_t f_{β_t}(v_t) / f_{β_{t−1}}(v_t), times
the known constant, is an unbiased estimate of Z at any number of temperatures.

Source: Salakhutdinov and Murray (2008), On the quantitative analysis of deep belief
networks, sections 3 and 4; the temperatures are those of their `RBM_AIS.m`: 500 steps of
1/1,000 to β = 0.5, 4,000 to 0.9, 10,000 to 1.
Differs from the source: a0 are the logits of 0.9 mean + 0.05; there, pixels that are
always 1 are not smoothed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from genmodel_bench.metrics.capabilities import Machine
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, softplus

SHARES = ((0.5, 500), (0.9, 4_000), (1.0, 10_000))
"""Up to which β, and how many of 14,500 temperatures until there."""


def schedule(temperatures: int) -> list[float]:
    """Return β from 0 to 1, about `temperatures` steps in the shares of the source."""
    betas, start, total = [0.0], 0.0, sum(share for _, share in SHARES)
    for end, share in SHARES:
        n = max(1, round(temperatures * share / total))
        betas += [start + (end - start) * (i / n) for i in range(1, n + 1)]
        start = end
    return betas


def base_logits(v: Tensor) -> Tensor:
    """Return the logits of the smoothed means of v: (n, n_visible) -> (n_visible,)."""
    return (0.9 * v.mean(0) + 0.05).logit()


@torch.no_grad()
def log_z_estimates(machine: Machine, a0: Tensor, betas: Sequence[float], chains: int) -> Tensor:
    """Return logs of independent, unbiased estimates of Z: (chains,), float64.

    a0: the logits of the base model, (n_visible,). The steps of β have to be small: times
    any of v W + c at most 5, for the weights to be exact to 1e-5.
    """
    W, b, c = machine.W.detach(), machine.b.detach(), machine.c.detach()
    n_visible, n_hidden = W.shape
    v, y = W.new_empty(chains, n_visible), W.new_empty(chains, n_visible)
    h, x, p = (W.new_empty(chains, n_hidden) for _ in range(3))
    # Half the calls of the generator, a third of the time besides products: each draws 63
    # bits, the sizes of whose halves, of 32 and 31 bits, are uniform below 2**31.
    bits = torch.empty((v.numel() + h.numel() + 1) // 2, dtype=torch.int64, device=W.device)
    halves = bits.view(torch.int32)
    of_h, of_v = halves[: h.numel()], halves[h.numel() : h.numel() + v.numel()]
    shift, bias = b - a0, torch.empty_like(a0)
    log_w = W.new_zeros(chains, dtype=torch.float64)
    v.uniform_().lt_(a0.sigmoid())
    for before, beta in zip(betas[:-1], betas[1:], strict=True):
        step = beta - before
        torch.addmm(c, v, W, out=x)  # (chains, n_visible) -> (chains, n_hidden)
        torch.mul(x, beta, out=p).sigmoid_()
        bits.random_()
        h.copy_(of_h.view_as(h)).abs_().mul_(2.0**-31).lt_(p)
        # softplus(βx) − softplus(βx − s) = −log(1 + σ(βx) (exp(−s) − 1)), s = step · x
        x.mul_(-step).expm1_().mul_(p).log1p_()
        log_w += step * torch.mv(v, shift) - x.sum(1)
        torch.add(a0, shift, alpha=beta, out=bias)
        torch.addmm(bias, h, W.T, alpha=beta, out=y).sigmoid_()  # and back to n_visible
        v.copy_(of_v.view_as(v)).abs_().mul_(2.0**-31).lt_(y)
    return log_w + softplus(a0.double()).sum() + n_hidden * math.log(2)


@dataclass(frozen=True)
class LogZ:
    """log Z from M chains, and what is known of its error; nats.

    value: log of the mean of the weights.
    low, high: log of the mean ± three standard errors; low is −∞ where they reach 0.
    stderr: of log Z, to first order: sd(w) / (mean(w) √M).
    variance: of the chains' log w, squared nats.
    ess: (Σw)² / Σw², the effective number of chains, from 1 to M.
    """

    value: float
    low: float
    high: float
    stderr: float
    variance: float
    ess: float


def log_z(estimates: Tensor) -> LogZ:
    """Return log Z from logs of independent, unbiased estimates of Z: (M,), M ≥ 2."""
    value = float(estimates.logsumexp(0)) - math.log(len(estimates))
    w = (estimates - value).exp()  # their mean is 1
    stderr = float(w.std()) / math.sqrt(len(w))
    low = value + math.log1p(-3 * stderr) if 3 * stderr < 1 else -math.inf
    ess = float(w.sum() ** 2 / w.square().sum())
    return LogZ(value, low, value + math.log1p(3 * stderr), stderr, float(estimates.var()), ess)


@torch.no_grad()
def log_unnormalised(machines: Sequence[Machine], v: Tensor) -> tuple[Tensor, Tensor]:
    """Return log Z p(v, h) / q(h|v) for one draw h ~ q(h|v) of each image, and top units.

    v: (n, n_visible), of units 0 or 1. Z is that of the top machine, and q goes from the
    bottom up. Returns (n,), nats in float64, and the visible units of the top machine,
    (n, size). Of one machine nothing is drawn: the first is −F(v), the second v.
    """
    *below, top = machines
    found = v.new_zeros(len(v), dtype=torch.float64)
    for machine in below:
        up = torch.addmm(machine.c, v, machine.W)
        h = torch.rand_like(up).lt_(up.sigmoid())
        down = torch.addmm(machine.b, h, machine.W.T)
        # cross-entropies: −log p(v|h), and −log q(h|v)
        found -= binary_cross_entropy_with_logits(down, v, reduction="none").double().sum(1)
        found += binary_cross_entropy_with_logits(up, h, reduction="none").double().sum(1)
        v = h
    hidden = softplus(torch.addmm(top.c, v, top.W)).double().sum(1)
    return found + (v @ top.b).double() + hidden, v
