"""What do a critic D and a generator G minimise, in each of the adversarial games?

Everything here is a pure function of D's outputs. a: (n,) are outputs at training images,
b: (m,) at images of G; means are over these. Two kinds of output:

    v       estimates log p(x) / q(x), p the density of the data and q that of G; the
            logit of "x is real" for the games of Goodfellow et al. and of the
            f-divergences;
    score   any number, higher for real images (least squares, Wasserstein, hinge);
            for EBGAN an energy ≥ 0, lower for real images.

    game                minimised by D                              by G
    minimax             E softplus(−a) + E softplus(b)              −E softplus(b)
    non-saturating      the same                                    E softplus(−b)
    least-squares       ½ E (a − 1)² + ½ E b²                       ½ E (b − 1)²
    wasserstein         E b − E a                                   −E b
    hinge               E [1 − a]⁺ + E [1 + b]⁺                     −E b
    energy              E a + E [m − b]⁺                            E b
    fgan-NAME           −E T(a) + E f*(T(b))                        −E f*(T(b)) or −E T(b)

The last line is the variational bound of the divergence Σ q f(p/q). Its critic is written
in the canonical form: with v = log p/q the optimum is T(v) = f′(eᵛ), and D outputs v
itself, so that critics of all divergences estimate the same thing. The first of G's
losses descends the bound; the second is the "trick" of section 3.2, as the non-saturating
loss.

Sources: minimax, non-saturating: Goodfellow et al. (2014), arXiv 1406.2661, section 3.
Least squares: Mao et al. (2017), arXiv 1611.04076, (a, b, c) = (0, 1, 1). Wasserstein:
Arjovsky et al. (2017), arXiv 1701.07875; gradient penalty: Gulrajani et al. (2017), arXiv
1704.00028. Hinge: Miyato et al. (2018), arXiv 1802.05957. f-divergences: Nowozin et al.
(2016), arXiv 1606.00709. Energy: Zhao et al. (2017), arXiv 1609.03126.
Differs from the papers: f-GAN's table of output activations g_f is replaced by the
canonical form above, and D's output is bounded where an exponent of it would exceed
`BOUND`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, relu, softplus

BOUND = 20.0
"""Exponents of the f-divergences are at most this: v stops where one reaches it.

e²⁰ is 5e8: a critic that is sure of one image would else drown a whole mini-batch. T and
f* are of the same stopped v, which is a critic as any other: its loss bounds the
divergence. It has no gradient beyond.
"""
Direction = Literal["divergence", "trick"]


@dataclass(frozen=True)
class Game:
    """What D and G minimise, as functions of D's outputs, (n,) -> 0-d.

    critic: D's loss of its outputs at training images and at fakes.
    generator: G's loss of D's outputs at fakes.
    logit: whether D's output is v = log p/q, of which sigmoid(v) is the probability that
        an image is real.
    """

    critic: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Tensor], Tensor]
    logit: bool = False


def discriminator_loss(a_real: Tensor, a_fake: Tensor, *, scale: float = 0.5) -> Tensor:
    """Return D's cross-entropy, scale · (E softplus(−a_real) + E softplus(a_fake)).

    Logits (n,), (n,) -> 0-d, nats.
    """
    return scale * (softplus(-a_real).mean() + softplus(a_fake).mean())


def non_saturating_loss(a_fake: Tensor) -> Tensor:
    """Return −E log D(G(z)) = E softplus(−a): logits (n,) -> 0-d, nats.

    The gradient of a term with respect to its logit is −(1 − D(G(z))).
    """
    return softplus(-a_fake).mean()


def minimax_loss(a_fake: Tensor) -> Tensor:
    """Return E log(1 − D(G(z))) = −E softplus(a): logits (n,) -> 0-d, nats.

    The gradient of a term with respect to its logit is −D(G(z)).
    """
    return -softplus(a_fake).mean()


GENERATOR_LOSSES = {"non-saturating": non_saturating_loss, "minimax": minimax_loss}


def cross_entropy(loss: str, *, scale: float = 1.0) -> Game:
    """Return the game of Goodfellow et al. with G's loss by name, D's times `scale`."""
    return Game(lambda a, b: discriminator_loss(a, b, scale=scale), GENERATOR_LOSSES[loss], logit=True)


def least_squares(*, fake: float = 0.0, real: float = 1.0, wanted: float = 1.0) -> Game:
    """Return LSGAN's game: D's outputs at fakes and real images, and G's aim at fakes.

    With (−1, 1, 0) G's loss is half the Pearson χ² divergence of p + q from 2q at D's
    optimum. The optimum of D is (real · p + fake · q) / (p + q).
    """
    return Game(
        lambda a, b: ((a - real).square().mean() + (b - fake).square().mean()) / 2,
        lambda b: (b - wanted).square().mean() / 2,
    )


def wasserstein() -> Game:
    """Return WGAN's game: the difference of the means, for a critic of bounded slope."""
    return Game(lambda a, b: b.mean() - a.mean(), lambda b: -b.mean())


def hinge() -> Game:
    """Return the hinge game; D's optimum is the sign of p − q, its loss 2 (1 − TV)."""
    return Game(lambda a, b: relu(1 - a).mean() + relu(1 + b).mean(), lambda b: -b.mean())


def energy(*, margin: float) -> Game:
    """Return EBGAN's game: energies of fakes are raised up to `margin`, each by itself.

    At D's optimum its loss is margin · (1 − TV). The margin is in D's unit.
    """
    return Game(lambda a, b: a.mean() + relu(margin - b).mean(), lambda b: b.mean())


@dataclass(frozen=True)
class Divergence:
    """An f-divergence Σ q f(p/q), by its canonical critic.

    f: of the ratio u = p/q.
    T: the critic f′(eᵛ) of v = log u, increasing.
    conjugate: f*(T(v)) = eᵛ T(v) − f(eᵛ).
    low, high: where v stops.
    """

    f: Callable[[Tensor], Tensor]
    T: Callable[[Tensor], Tensor]
    conjugate: Callable[[Tensor], Tensor]
    low: float = -math.inf
    high: float = math.inf


LOG2 = math.log(2)
DIVERGENCES: dict[str, Divergence] = {
    "kl": Divergence(lambda u: u * u.log(), lambda v: 1 + v, torch.exp, high=BOUND),
    "rkl": Divergence(lambda u: -u.log(), lambda v: -torch.exp(-v), lambda v: v - 1, low=-BOUND),
    "pearson": Divergence(
        lambda u: (u - 1).square(),
        lambda v: 2 * (torch.exp(v) - 1),
        lambda v: torch.exp(2 * v) - 1,
        high=BOUND / 2,
    ),
    "neyman": Divergence(
        lambda u: (1 - u).square() / u,
        lambda v: 1 - torch.exp(-2 * v),
        lambda v: 2 - 2 * torch.exp(-v),
        low=-BOUND / 2,
    ),
    "hellinger": Divergence(
        lambda u: (u.sqrt() - 1).square(),
        lambda v: 1 - torch.exp(-v / 2),
        lambda v: torch.exp(v / 2) - 1,
        low=-2 * BOUND,
        high=2 * BOUND,
    ),
    "jeffrey": Divergence(
        lambda u: (u - 1) * u.log(),
        lambda v: 1 + v - torch.exp(-v),
        lambda v: torch.exp(v) + v - 1,
        low=-BOUND,
        high=BOUND,
    ),
    "js": Divergence(
        lambda u: u * u.log() - (u + 1) * ((1 + u) / 2).log(),
        lambda v: LOG2 - softplus(-v),
        lambda v: softplus(v) - LOG2,
    ),
    "gan": Divergence(lambda u: u * u.log() - (u + 1) * (u + 1).log(), lambda v: -softplus(-v), softplus),
}
"""By name: Kullback–Leibler of q from p, its reverse, Pearson χ², Neyman χ², squared
Hellinger, Jeffrey, twice Jensen–Shannon (nats), and the latter minus log 4."""


def f_divergence(name: str, *, direction: Direction) -> Game:
    """Return f-GAN's game of a divergence by name, with G's loss of a `direction`."""
    d = DIVERGENCES[name]

    def T(v: Tensor) -> Tensor:
        return d.T(v.clamp(d.low, d.high)).mean()

    def conjugate(v: Tensor) -> Tensor:
        return d.conjugate(v.clamp(d.low, d.high)).mean()

    losses: dict[str, Callable[[Tensor], Tensor]] = {
        "divergence": lambda b: -conjugate(b),
        "trick": lambda b: -T(b),
    }
    return Game(lambda a, b: conjugate(b) - T(a), losses[direction], logit=True)


def gradient_penalty(D: nn.Module, x: Tensor, fake: Tensor) -> Tensor:
    """Return E (‖∇D(x̂)‖ − 1)², x̂ between a training image and a fake: 0-d.

    x, fake: (n, d). The position between the two is uniform and each pair's own; the norm
    is over all pixels of an image.
    """
    between = torch.lerp(
        x, fake.detach(), torch.rand(len(x), 1, dtype=x.dtype, device=x.device)
    ).requires_grad_()
    (slope,) = torch.autograd.grad(D(between).sum(), between, create_graph=True)
    # the square root has no gradient at 0, where D is flat
    return (slope.square().sum(1).clamp_min(1e-12).sqrt() - 1).square().mean()


def repelling(codes: Tensor) -> Tensor:
    """Return the mean squared cosine between codes of different fakes, (n, k) -> 0-d.

    EBGAN's "pulling-away" term: 0 for orthogonal codes, 1 for equal ones.
    """
    n = len(codes)
    cosines = normalize(codes, dim=1) @ normalize(codes, dim=1).T
    return (cosines.square().sum() - cosines.diagonal().square().sum()) / (n * (n - 1))


def clip_(net: nn.Module, bound: float) -> None:
    """Bound every parameter of `net` to [−bound, bound], in place: WGAN's slope."""
    with torch.no_grad():
        for p in net.parameters():
            p.clamp_(-bound, bound)
