"""How does a deep generative stochastic network train and sample?

A GSN learns the transition of a Markov chain whose equilibrium is the data distribution:
a noisy chain starts at an image and has to reconstruct the clean image at each of a few
steps, the walkbacks. With two hidden layers, tied weights W1: (d, k1), W2: (k1, k2), and
h2 = 0 at first, one step from the corrupted image x̃ is

    h1 = tanh(h2 W2ᵀ + x̃ W1 + b1)
    p  = σ(h1 W1ᵀ + b0)                          the conditional mean, which the loss uses
    h2 = tanh(h1 W2 + b2 + ε) + ε′,   ε, ε′ ~ N(0, noise²)
    x̃  = corrupt(draw from Bernoulli(p))         salt and pepper

and the loss is the sum over the walkbacks of the mean binary cross-entropy between p and
the clean image. Samples come from a chain of the same steps. No gradient flows through
the draw.

Source: Bengio, Thibodeau-Laufer, Alain and Yosinski (2014), Deep Generative Stochastic
Networks Trainable by Backprop, arXiv 1306.1091, section 5 and algorithm 1; settings from
the authors' code (yaoli/GSN).
Differs from the paper: trained on the 50,000 training images, not on all 60,000. A sample
is the conditional mean at the end of a chain of its own, which starts from pixels drawn
independently with their training means. (Chains that start from uniform noise reach the
negatives of digits and stay there, as validation images showed.) The published number is
that of consecutive conditional means of one chain, started at a test image;
`chain="consecutive"` does the same, started at a training image. When the learning rate
changes, past increments of the momentum keep the rate they were made with. The Parzen
metric favours means over draws, consecutive or not.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import ClassVar, Literal

import torch
from genmodel_bench.models.base import Schedule, Shape, Stage, pick
from genmodel_bench.models.shared.binary import draw, salt_and_pepper
from genmodel_bench.models.shared.optim import Momentum
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, linear


@dataclass(frozen=True)
class Config:
    """Deep GSN of two `hidden` layers; the defaults are the published MNIST setting.

    `corruption` is the share of pixels that salt and pepper replace, `noise` the standard
    deviation of the noise before and after the second layer's activation. The learning
    rate is multiplied by `lr_decay` each epoch; the momentum is damped:
    m ← μm + (1 − μ)g.
    `chain`: 'independent' draws each sample at the end of its own chain of `sample_steps`
    steps; 'consecutive' runs a single chain and takes a sample at each of its steps.
    """

    hidden: tuple[int, int] = (1500, 1500)
    walkbacks: int = 4
    corruption: float = 0.4
    noise: float = 2.0
    epochs: int = 1000
    batch_size: int = 100
    lr: float = 0.25
    lr_decay: float = 0.995
    momentum: float = 0.5
    chain: Literal["independent", "consecutive"] = "independent"
    sample_steps: int = 50

    KIND: ClassVar[str] = "models.gsn.Config"
    REFERENCE: ClassVar[bool] = False
    SAMPLING: ClassVar[tuple[str, ...]] = ("chain", "sample_steps")
    BOUNDS: ClassVar = {"corruption": (0, 1), "noise": (0, None), "momentum": (0, 1)}
    SETTINGS: ClassVar = {
        "digits": {
            "hidden": (200, 200),
            "corruption": 0.2,
            "noise": 1.0,
            "epochs": 100,
            "batch_size": 50,
            "lr": 2.0,
        },
        "olivetti": {"hidden": (1000, 1000), "epochs": 150, "batch_size": 20, "sample_steps": 20},
    }
    SOURCES: ClassVar[tuple[str, ...]] = (
        """@inproceedings{bengio2014deep,
            author = {Bengio, Yoshua and Thibodeau-Laufer, Éric and Alain, Guillaume and Yosinski, Jason},
            title = {Deep Generative Stochastic Networks Trainable by Backprop},
            booktitle = {Proceedings of the 31st International Conference on Machine Learning},
            year = {2014}, eprint = {1306.1091}, archivePrefix = {arXiv}}""",
    )

    def __post_init__(self) -> None:
        if len(self.hidden) != 2:
            raise ValueError(f"gsn: expected two hidden layers, got {len(self.hidden)}")
        if self.walkbacks < 1 or self.sample_steps < 1:
            raise ValueError(
                f"gsn: expected walkbacks and sample_steps ≥ 1, got {self.walkbacks} and {self.sample_steps}"
            )

    def build(self, shape: Shape) -> GSN:
        """Return an untrained network for images of `shape`: (c, h, w)."""
        return GSN(self, shape)


class GSN(nn.Module):
    """The tied weights of a `Config`, and where chains start.

    Independent chains start from binary pixels drawn with the training means `mean`:
    (d,), the consecutive one from the training image `start`: (1, d).
    """

    def __init__(self, config: Config, shape: Shape) -> None:
        super().__init__()
        self.config, self.shape = config, shape
        d, (k1, k2) = math.prod(shape), config.hidden
        self.W1, self.W2 = nn.Parameter(glorot(d, k1)), nn.Parameter(glorot(k1, k2))
        self.b0, self.b1, self.b2 = (nn.Parameter(torch.zeros(size)) for size in (d, k1, k2))
        self.register_buffer("start", torch.zeros(1, d))
        self.register_buffer("mean", torch.zeros(d))
        self.start: Tensor
        self.mean: Tensor

    @torch.no_grad()
    def initialise(self, x: Tensor) -> None:
        """Keep the pixels' means and one random image of x: (n, c, h, w)."""
        x = x.flatten(1)  # (n, c, h, w) -> (n, d)
        self.mean.copy_(x.mean(0))
        self.start.copy_(pick(x, 1))

    def stages(self) -> Sequence[Stage]:
        """Return the one stage of training by walkbacks."""
        c = self.config
        # m ← μm + (1 − μ)g with rate lr is the usual momentum with rate (1 − μ) · lr
        self.optimiser = Momentum(self.parameters(), lr=(1 - c.momentum) * c.lr, momentum=c.momentum)
        rate = Schedule(self.optimiser.lr, lambda step, epoch: (1 - c.momentum) * c.lr * c.lr_decay**epoch)
        return [Stage("walkback", c.epochs, c.batch_size, self.step, [self.optimiser], [rate])]

    def first(self, x: Tensor, h2: Tensor | None) -> Tensor:
        """Return h1: (n, k1) for corrupted x: (n, d) and h2: (n, k2), None for 0."""
        a1 = x @ self.W1 + self.b1
        return (a1 if h2 is None else a1 + linear(h2, self.W2)).tanh()

    def second(self, h1: Tensor) -> Tensor:
        """Return the next h2: (n, k1) -> (n, k2); noise before and after the tanh."""
        sigma = self.config.noise
        a2 = h1 @ self.W2 + self.b2
        h2 = (a2 + sigma * torch.randn_like(a2)).tanh()
        return h2 + sigma * torch.randn_like(h2)

    def logits(self, h1: Tensor) -> Tensor:
        """Return the logits of p: (n, k1) -> (n, d)."""
        return linear(h1, self.W1, self.b0).to(h1.dtype)

    def corrupted(self, x: Tensor) -> Tensor:
        """Return images x: (n, d) with salt and pepper."""
        return salt_and_pepper(x, self.config.corruption)

    def step(self, x: Tensor, y: Tensor | None) -> dict[str, Tensor]:
        """Take one gradient step on the walkbacks from x: (n, c, h, w).

        Logs the mean cross-entropy of the first and the last walkback, nats per pixel.
        """
        x = x.flatten(1)  # (n, c, h, w) -> (n, d)
        h1 = self.first(self.corrupted(x), None)
        logits = self.logits(h1)
        losses = [binary_cross_entropy_with_logits(logits, x)]
        for _ in range(self.config.walkbacks - 1):
            picture = draw(logits.detach().sigmoid())
            h1 = self.first(self.corrupted(picture), self.second(h1))
            logits = self.logits(h1)
            losses.append(binary_cross_entropy_with_logits(logits, x))
        self.optimiser.apply(torch.autograd.grad(torch.stack(losses).sum(), list(self.parameters())))
        return {"first": losses[0].detach(), "last": losses[-1].detach()}

    @torch.no_grad()
    def sample(self, n: int) -> Tensor:
        """Return n conditional means, (n, c, h, w).

        Each is from a chain of its own, or they are consecutive ones of a single chain.
        """
        if self.config.chain == "consecutive":
            # n times (1, d) -> (n, d)
            p = torch.cat(list(islice(self.walk(self.start), n)))
        else:
            p = next(islice(self.walk(draw(self.mean.expand(n, -1))), self.config.sample_steps - 1, None))
        return p.view(n, *self.shape)  # (n, d) -> (n, c, h, w)

    def walk(self, x: Tensor) -> Iterator[Tensor]:
        """Yield the conditional means p: (n, d) of parallel chains, without end.

        x: (n, d) are the images that the chains start from.
        """
        h1 = self.first(self.corrupted(x), None)
        while True:
            p = self.logits(h1).sigmoid()
            yield p
            h1 = self.first(self.corrupted(draw(p)), self.second(h1))


def glorot(n_in: int, n_out: int) -> Tensor:
    """Return W: (n_in, n_out) from U(±√(6 / (n_in + n_out)))."""
    r = math.sqrt(6 / (n_in + n_out))
    return torch.empty(n_in, n_out).uniform_(-r, r)
