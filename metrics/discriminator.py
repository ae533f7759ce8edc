"""How well does a classifier that saw half of two sets tell their other halves apart?

Images are told apart by a small convolutional net, rows of numbers by logistic
regression. A fifth of the training half is for validation: on it are chosen which of 8
states of the training is kept, and the factor t > 0 of the logits. Held-out images decide
nothing. With logits f of the nets, D = σ(t · mean of f); it is between 1/(v + 1) and
v/(v + 1), v being the number of validation images.

An image that is there several times is on one side only, so that none is recognised. One
that makes up more than a hundredth of all is on both: it is what the model does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from genmodel_bench.metrics.distances import full_precision
from torch import Generator, Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, conv2d, leaky_relu, linear

LEVELS = 256
"""The most grey levels that real images have if samples are rounded to them."""

BATCH, EPOCHS, STEPS = 100, 8, 100
"""The images of a step; how often all are used; how many steps there are at least."""

RATE = 3e-3
"""The highest learning rate: it rises to it in the first tenth and then falls to 0."""


@dataclass(frozen=True)
class Verdict:
    """Logits of D, the probability of being real, of held-out images, float64.

    samples: (m,); real: (n,).
    """

    samples: Tensor
    real: Tensor


def told_apart(samples: Tensor, real: Tensor, *, nets: int = 1, seed: int = 0) -> Verdict:
    """Return the logits of the held-out halves of `samples` and `real`.

    Both: (n, c, h, w) or (n, d), float32 or float64; as many are used as the smaller has.
    nets: how many nets there are, whose logits are averaged. `seed` gives the halves and
    the nets; no other generator is used.
    """
    n = min(len(samples), len(real))
    x = torch.cat([as_levels(samples[:n].detach(), real), real[:n].detach()])
    y = torch.arange(2 * n, device=x.device) >= n  # real ones
    generator = Generator().manual_seed(seed)
    place = places(x, generator).to(x.device)
    validation, held_out = (place >= 0.4) & (place < 0.5), place >= 0.5
    fitted, checked = ((x[part], y[part].to(x.dtype)) for part in (place < 0.4, validation))
    with full_precision(), torch.enable_grad():
        if x.ndim == 4:
            found = [by_net(x, fitted, checked, generator) for _ in range(nets)]
            logits = torch.stack(found).mean(0).double()
        else:
            logits = by_line(x, fitted).double()
    logits = logits * best_scale(logits[validation], y[validation].double())[0]
    # One image in so many may be told wrong, unseen by validation: its loss has a bound.
    logits = logits.clamp(-math.log(len(checked[0])), math.log(len(checked[0])))
    return Verdict(logits[held_out & ~y], logits[held_out & y])


def as_levels(x: Tensor, real: Tensor) -> Tensor:
    """Return x with each number rounded to the nearest grey level of `real`.

    Real images of 8 bits have 256 of them; numbers in between would give every sample
    away. Where `real` has more than 256 levels, x is as it was.
    """
    for part in (real[:100], real):  # most that have more show it at once
        levels: Tensor = torch.unique_consecutive(part.flatten().sort().values)
        if len(levels) > LEVELS:
            return x
    rounded: Tensor = levels[torch.bucketize(x, (levels[1:] + levels[:-1]) / 2)]
    return rounded


def places(x: Tensor, generator: Generator) -> Tensor:
    """Return evenly spread random numbers in [0, 1), (n,): equal rows have the same one.

    Rows of which there are more than a hundredth of all have one each.
    """
    known: dict[bytes, int] = {}
    rows = (x.flatten(1) + 0.0).cpu().numpy()  # −0.0 + 0.0 is 0.0
    group = torch.tensor([known.setdefault(row.tobytes(), len(known)) for row in rows])
    often = group.bincount()[group] > max(4, len(x) // 100)
    group[often] = len(known) + torch.arange(int(often.sum()))
    drawn = torch.rand(len(known) + len(x), generator=generator)[group]
    # (n,) -> how many rows have a lower one, over n
    return torch.searchsorted(drawn.sort().values, drawn).double() / len(x)


def best_scale(logits: Tensor, y: Tensor) -> tuple[float, float]:
    """Return the factor t with which logits are best, and the loss in nats with it.

    It is 0.001 where they say nothing: D is nearly 1/2, and its side of 1/2 is kept.
    """
    scales = torch.logspace(-3, 1, 81).to(logits)
    losses = [binary_cross_entropy_with_logits(logits * t, y) for t in scales]
    best = int(torch.stack(losses).argmin())
    return float(scales[best]), float(losses[best])


def by_line(x: Tensor, training: tuple[Tensor, Tensor]) -> Tensor:
    """Return the logits of x, (n, d), by logistic regression on (images, 1 if real)."""
    seen, y = training
    mean, sd = seen.mean(0), seen.std(0).clamp(min=1e-6)
    seen, x = (seen - mean) / sd, (x - mean) / sd
    w = torch.zeros(x.shape[1] + 1, dtype=x.dtype, device=x.device, requires_grad=True)
    optimiser = torch.optim.LBFGS([w], max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        value = binary_cross_entropy_with_logits(seen @ w[1:] + w[0], y)
        value = value + w[1:].square().sum() / len(seen)  # where classes are apart w has no bound
        torch.autograd.backward(value)
        return value

    optimiser.step(loss)  # type: ignore[no-untyped-call]  # torch has no types for it
    return (x @ w[1:] + w[0]).detach()


def by_net(
    x: Tensor, training: tuple[Tensor, Tensor], validation: tuple[Tensor, Tensor], generator: Generator
) -> Tensor:
    """Return the logits of x, (n, c, h, w), by a net trained on (images, 1 if real)."""
    seen, y = training
    weights = fresh(x, generator)
    optimiser = torch.optim.AdamW(weights, lr=RATE)
    batches = -(-len(seen) // BATCH)
    epochs = EPOCHS * max(1, -(-STEPS // (EPOCHS * batches)))
    rates = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=epochs * batches, pct_start=0.1)
    least, kept = torch.inf, weights
    for epoch in range(1, epochs + 1):
        order = torch.randperm(len(seen), generator=generator).to(x.device)
        for batch in (order[i : i + BATCH] for i in range(0, len(order), BATCH)):
            optimiser.zero_grad()
            torch.autograd.backward(binary_cross_entropy_with_logits(net(seen[batch], weights), y[batch]))
            optimiser.step()
            rates.step()
        if epoch % (epochs // EPOCHS) == 0:
            with torch.no_grad():
                _, loss = best_scale(net(validation[0], weights).double(), validation[1].double())
            if loss < least:
                least, kept = loss, [w.detach().clone() for w in weights]
    with torch.no_grad():
        return torch.cat([net(x[i : i + 1000], kept) for i in range(0, len(x), 1000)])


def fresh(x: Tensor, generator: Generator) -> list[Tensor]:
    """Return the first weights of a net for images like x: (n, c, h, w)."""
    _, c, h, w = x.shape
    d = 32 * (-(-h // 4)) * (-(-w // 4))
    weights = []
    for shape in ((16, c, 3, 3), (32, 16, 3, 3), (64, d), (1, 64)):
        fan_in = shape[1] * (9 if len(shape) == 4 else 1)
        drawn = torch.randn(*shape, generator=generator) * (2 / fan_in) ** 0.5
        weights += [drawn.to(x).requires_grad_(), x.new_zeros(shape[0]).requires_grad_()]
    return weights


def net(x: Tensor, weights: list[Tensor]) -> Tensor:
    """Return logits: (n, c, h, w) -> (n, 16, h/2, w/2) -> (n, 32, h/4, w/4) -> (n,)."""
    w1, b1, w2, b2, w3, b3, w4, b4 = weights
    x = leaky_relu(conv2d(x - 0.5, w1, b1, stride=2, padding=1), 0.2)
    x = leaky_relu(conv2d(x, w2, b2, stride=2, padding=1), 0.2)
    x = leaky_relu(linear(x.flatten(1), w3, b3), 0.2)
    return linear(x, w4, b4)[:, 0]
