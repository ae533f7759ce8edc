"""Does adversarial training end where the theory says, in one dimension?

There every term is known (the paper's Figure 1). Images of one pixel x in (0, 1) come
from a known density p_data. G and D are small networks; losses, updates and schedules are
those of `models/adversarial/players.py`, which trains the rows of the table. The interval
is divided into cells. The densities p and q below, and D, are constant on each cell, so
that the identities hold up to rounding. With D* = p / (p + q) (proposition 1),

    V(D, q) = Σ (p log D + q log(1 − D)) dx  ≤  V(D*, q) = −log 4 + 2 · JSD(p ‖ q),

which is −log 4 where p = q and greater elsewhere (theorem 1). With a = the logit of D,
|∂loss/∂a| is D(G(z)) for the minimax loss, which vanishes where D recognises a fake with
certainty, and 1 − D(G(z)) for the non-saturating one (section 3). p_g is not estimated
from random draws: G maps equally probable z, and the results are counted in each cell.

Source: Goodfellow et al. (2014), Generative Adversarial Nets, arXiv 1406.2661, sections 3
and 4, Figure 1.
Differs from the paper: its figure is a sketch; here z is Gaussian, p_data is known and
has a shoulder, and every curve is measured.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from genmodel_bench.models.adversarial.critics import GENERATOR_LOSSES
from genmodel_bench.models.adversarial.gan import Config
from genmodel_bench.models.adversarial.players import GAN
from genmodel_bench.models.shared.layers import mlp, uniform_weights_
from genmodel_bench.training.seeding import derive_seed
from torch import Tensor, nn

COMPONENTS = ((0.65, -1.0, 0.4), (0.35, 0.2, 0.35))
"""p_data: logit x is a mixture of Gaussians, (weight, mean, standard deviation) each."""
CELLS = 200
STRATA = 100_000
"""The number of equally probable z by which p_g is counted.

The share of a cell is known to about 1e-5 for each monotone piece of G.
"""
CONFIG = Config(k=5, update="alternating", prior="gaussian", batch_size=256, lr=0.1, momentum_final=0.5)
STEPS, FINAL_RATE = 3000, 0.03
"""Updates of G; and the last learning rate, as a share of the first.

G and D oscillate around the equilibrium until their steps are small.
"""
HIDDEN, WAVES, FREQUENCY = 32, 64, 14.0
"""HIDDEN: units of each hidden layer of G; WAVES: of the only one of D.

FREQUENCY: standard deviation of D's initial frequencies, in 1/x.
"""
MOMENTS, PANELS, LINES = 60, (0, 60, 400), 24
"""MOMENTS: about how often the theory is measured; LINES: lines from z to x.

PANELS: updates of G after which curves are stored, besides the last update.
"""
MASS = 0.05
"""|D − ½| is measured only where p_data exceeds this share of its peak.

Elsewhere there are almost no samples, and D learns nothing.
"""


@dataclass(frozen=True)
class Moment:
    """What was measured after `step` updates of G.

    value: V of D as it is, in nats.
    optimum: V of the best D for this G, in nats.
    jsd, total_variation: distance of p_g from p_data, the first in nats.
    """

    step: int
    value: float
    optimum: float
    jsd: float
    total_variation: float
    furthest: float
    """max |D − ½| where p_data exceeds MASS of its peak."""


@dataclass(frozen=True)
class Panel:
    """The curves after `step` updates of G.

    p_g, D: their value in each cell.
    mapped: x = G(z) of the lines' z.
    """

    step: int
    p_g: list[float]
    D: list[float]
    mapped: list[float]


@dataclass(frozen=True)
class Theory:
    """Everything that was measured.

    x: the centres of the cells.
    z: the start of each line from z to x.
    gradients: |∂loss/∂a| where D(G(z)) is `gradient_at`, by loss.
    """

    seed: int
    threads: int
    settings: dict[str, Any]
    x: list[float]
    p_data: list[float]
    z: list[float]
    panels: list[Panel]
    moments: list[Moment]
    gradient_at: list[float]
    gradients: dict[str, list[float]]


def value(p: Tensor, q: Tensor, D: Tensor, dx: float) -> float:
    """Return V(D, G) = E_p log D + E_q log(1 − D), eq. 1, in nats.

    p, q: (cells,), densities. D: (cells,), in [0, 1]. dx: the width of a cell.
    """
    eps = torch.finfo(D.dtype).eps
    # Where one density is tiny, p / (p + q) rounds to 0 or 1, and log 0 is −∞.
    D = D.clamp(eps, 1 - eps)
    return float((p * D.log() + q * (-D).log1p()).sum() * dx)


def optimal_discriminator(p: Tensor, q: Tensor) -> Tensor:
    """Return D* = p / (p + q), proposition 1: (cells,).

    It is ½ where both densities are 0, as V does not depend on it there.
    """
    total = p + q
    return torch.where(total > 0, p / total.where(total > 0, 1), 0.5)


def jensen_shannon(p: Tensor, q: Tensor, dx: float) -> float:
    """Return JSD(p ‖ q) = ½ KL(p ‖ m) + ½ KL(q ‖ m), m = ½ (p + q), in nats.

    It is in [0, log 2]. p, q: (cells,), densities. dx: the width of a cell.
    """
    m = (p + q) / 2
    return sum(float((torch.xlogy(a, a) - torch.xlogy(a, m)).sum() * dx) / 2 for a in (p, q))


def logit_gradients(loss: str, D: Tensor) -> Tensor:
    """Return |∂loss/∂a| for each a = logit D(G(z)), by autograd.

    loss: a generator loss by name. D: (n,), in (0, 1).
    """
    a = D.logit().requires_grad_()
    # The loss is a mean over n: its gradient at a logit is 1/n of that example's own.
    return torch.autograd.grad(GENERATOR_LOSSES[loss](a), a)[0].abs() * len(a)


def measure(seed: int = 0, *, steps: int = STEPS) -> Theory:
    """Train G against D on p_data, for `steps` updates of G, and measure on the way.

    It runs on the CPU, and leaves the state of torch's random generators unchanged.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "theory"))
        config = replace(CONFIG, lr_decay=FINAL_RATE ** (-1 / steps))
        G, D = generator(), discriminator()
        (stage,) = GAN(config, (1, 1, 1), G, D).stages()
        p, grid = data_density(), centres()
        lines = quantiles(LINES)
        kept, watched = {*(s for s in PANELS if s < steps), steps}, watched_steps(steps)
        panels, moments = [], []
        for step in range(steps + 1):
            if step in kept | watched:
                q, d = generated_density(G), judged(D, grid)
                moments.append(moment(step, p, q, d))
                if step in kept:
                    panels.append(Panel(step, q.tolist(), d.tolist(), mapped(G, lines).tolist()))
            if step < steps:
                for schedule in stage.schedules:
                    schedule.tensor.fill_(schedule.value(step, 0))
                # Fresh draws each time, as in Algorithm 1: there are no epochs.
                stage.step(data(stage.batch_size), None)
    at = torch.logspace(-4, -0.005, 25, dtype=torch.float64)
    gradients = {name: logit_gradients(name, at).tolist() for name in GENERATOR_LOSSES}
    about = described(config, steps)
    return Theory(
        seed,
        torch.get_num_threads(),
        about,
        grid.tolist(),
        p.tolist(),
        lines.tolist(),
        panels,
        moments,
        at.tolist(),
        gradients,
    )


class Sine(nn.Module):
    """A layer: the sine of each input."""

    def forward(self, x: Tensor) -> Tensor:
        """Return sin x, elementwise."""
        return x.sin()


def generator() -> nn.Sequential:
    """Return G: (n, 1) -> (n, 1), without the sigmoid that `GAN.output` adds.

    At the start p_g has a single peak, and overlaps p_data.
    """
    G = mlp([1, HIDDEN, HIDDEN, 1], nn.Tanh)
    uniform_weights_(G, 0.3)
    uniform_weights_(G[-1], 0.6)
    return G


def discriminator() -> nn.Sequential:
    """Return D: (n, 1) -> (n,) logits, with one hidden layer of sines.

    Sines learn coarse and fine features at similar rates; with ReLU or tanh, fine
    features would lag behind.
    """
    first, last = nn.Linear(1, WAVES), nn.Linear(WAVES, 1)
    nn.init.normal_(first.weight, 0, FREQUENCY)
    nn.init.uniform_(first.bias, 0, 2 * math.pi)
    return nn.Sequential(first, Sine(), last, nn.Flatten(0))


def data(n: int) -> Tensor:
    """Return n draws of p_data, (n, 1)."""
    w, mu, sigma = torch.tensor(COMPONENTS).T
    k = torch.multinomial(w, n, replacement=True)
    y: Tensor = mu[k] + sigma[k] * torch.randn(n)
    return y.sigmoid()[:, None]  # (n,) -> (n, 1)


def data_density() -> Tensor:
    """Return the mean of p_data in each cell, (CELLS,) float64, from its CDF."""
    edges = torch.linspace(0, 1, CELLS + 1, dtype=torch.float64).logit()  # ∓∞ at the ends
    return sum(
        (w * torch.special.ndtr((edges - mu) / sigma).diff() * CELLS for w, mu, sigma in COMPONENTS),
        torch.zeros(CELLS).double(),
    )


@torch.no_grad()
def generated_density(G: nn.Module) -> Tensor:
    """Return p_g in each cell, (CELLS,) float64.

    It is the share of STRATA equally probable z that G maps there, over the cell's width.
    """
    cell = (mapped(G, quantiles(STRATA)) * CELLS).long().clamp(max=CELLS - 1)
    return torch.bincount(cell, minlength=CELLS).double() * (CELLS / STRATA)


def centres() -> Tensor:
    """Return the centre of each cell, (CELLS,) float64."""
    return (torch.arange(CELLS, dtype=torch.float64) + 0.5) / CELLS


def quantiles(n: int) -> Tensor:
    """Return n equally probable z of N(0, 1), (n,) float64: the medians of n strata."""
    z: Tensor = torch.special.ndtri((torch.arange(n, dtype=torch.float64) + 0.5) / n)
    return z


@torch.no_grad()
def mapped(G: nn.Module, z: Tensor) -> Tensor:
    """Return x = G(z) in (0, 1), (n,) float64 for z: (n,)."""
    y: Tensor = G(z.float()[:, None])[:, 0]  # (n,) -> (n, 1) -> (n,)
    return y.double().sigmoid()


@torch.no_grad()
def judged(D: nn.Module, x: Tensor) -> Tensor:
    """Return D(x), a probability, (n,) float64 for x: (n,)."""
    a: Tensor = D(x.float()[:, None])  # (n,) -> (n, 1) -> (n,)
    return a.double().sigmoid()


def moment(step: int, p: Tensor, q: Tensor, D: Tensor) -> Moment:
    """Return what is measured after `step` updates of G; p, q, D: (CELLS,)."""
    dx = 1 / CELLS
    jsd = jensen_shannon(p, q, dx)
    return Moment(
        step=step,
        value=value(p, q, D, dx),
        optimum=-math.log(4) + 2 * jsd,
        jsd=jsd,
        total_variation=float((p - q).abs().sum() * dx / 2),
        furthest=float((D - 0.5).abs()[p > MASS * p.max()].max()),
    )


def watched_steps(steps: int) -> set[int]:
    """Return about MOMENTS numbers of updates, from 0 to `steps`.

    They are dense at the start, where most changes happen.
    """
    return {0} | {round(steps ** (i / (MOMENTS - 2))) for i in range(MOMENTS - 1)}


def described(config: Config, steps: int) -> dict[str, Any]:
    """Return the settings that the numbers depend on besides seed and code."""
    names = (
        "loss",
        "update",
        "k",
        "prior",
        "batch_size",
        "lr",
        "lr_decay",
        "momentum",
        "discriminator_scale",
    )
    p = data_density()
    nets = {"hidden": HIDDEN, "waves": WAVES, "frequency": FREQUENCY}
    share = float(p[p > MASS * p.max()].sum() / CELLS)
    return (
        {name: getattr(config, name) for name in names}
        | nets
        | {"steps": steps, "components": COMPONENTS, "mass": share}
    )
