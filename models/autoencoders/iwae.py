"""How does an auto-encoder train on a bound that importance weights make tighter?

With k draws z_1, …, z_k of the encoder's q(z|x) = N(mu(x), diag sigma(x)²), the mean of
the weights w_i = p(x, z_i) / q(z_i|x) is an unbiased estimate of p(x), so that

    L_k = E log (1/k) Σ_i w_i ≤ log p(x)                                  (eq. 8)

and L_1 ≤ L_k ≤ L_(k+1): k = 1 is the evidence lower bound of a VAE, and with many draws q
need no longer be near the posterior. Its gradient by the reparametrisation
z = mu + sigma · eps is a mean over the draws, each with its share of the weights
(eq. 14), which autograd gets from the log of the sum. The decoder is a product of
Bernoullis over binary pixels.

Source: Burda, Grosse, Salakhutdinov (2016), Importance Weighted Autoencoders,
arXiv 1509.00519; eps from the authors' code (yburda/iwae).
Differs from the paper: the nets of one stochastic layer alone. Batches of 100 instead of
20, and a rate that falls linearly to 0 instead of eight rates from 1e-3 to 1e-4 over
3,280 epochs, for a training of one or two hours on one core. Adam with the usual decay
rates and moments that start at 0; the authors' code has a first one of 0.99, and second
moments that start at 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from genmodel_bench.models.base import Prior, Shape, Stage
from genmodel_bench.models.shared.annealed import Annealed
from genmodel_bench.models.shared.binary import draw
from genmodel_bench.models.shared.layers import mlp, pixel_logits
from genmodel_bench.models.shared.levels import Output
from torch import Tensor, nn
from torch.nn.functional import logsigmoid


@dataclass(frozen=True)
class Config:
    """Auto-encoder of binary images with a code of size `latent`, and k weights.

    hidden: the sizes of the encoder's tanh layers; the decoder's are the same, reversed.
    k: how many draws a step has for each image; 1 makes it a VAE.
    levels: grey levels of a pixel, which have to be two.
    output: whether a sample is 'draws' or the decoder's 'means'.
    """

    latent: int = 50
    hidden: tuple[int, ...] = (200, 200)
    k: int = 50
    levels: int = 2
    epochs: int = 100
    batch_size: int = 100
    lr: float = 3e-3
    output: Output = "draws"

    KIND: ClassVar[str] = "models.iwae.Config"
    REFERENCE: ClassVar[bool] = False
    SAMPLING: ClassVar[tuple[str, ...]] = ("output",)
    ONLY: ClassVar[tuple[str, ...]] = ("digits-binary", "mnist-binary", "mnist-larochelle")
    BOUNDS: ClassVar = {"k": (1, None), "levels": (2, 3)}
    SETTINGS: ClassVar = {
        "digits-binary": {
            "k": 10,
            "latent": 8,
            "hidden": (128, 128),
            "epochs": 60,
            "batch_size": 50,
            "lr": 1e-3,
        },
    }
    SOURCES: ClassVar[tuple[str, ...]] = (
        """@inproceedings{burda2016importance,
            author = {Burda, Yuri and Grosse, Roger and Salakhutdinov, Ruslan},
            title = {Importance Weighted Autoencoders},
            booktitle = {International Conference on Learning Representations},
            year = {2016}, eprint = {1509.00519}, archivePrefix = {arXiv}}""",
    )

    def __post_init__(self) -> None:
        if self.levels != 2:
            raise ValueError(f"iwae: levels must be 2, of binary images, got {self.levels}")
        if self.k < 1:
            raise ValueError(f"iwae: k must be at least 1, got {self.k}")

    def build(self, shape: Shape) -> IWAE:
        """Return an untrained model for images of `shape`: (c, h, w)."""
        return IWAE(self, shape)


class IWAE(nn.Module):
    """Encoder and decoder of a `Config`, for images of `shape`."""

    prior: Prior = "gaussian"

    def __init__(self, config: Config, shape: Shape) -> None:
        super().__init__()
        self.config, self.shape, self.levels = config, shape, config.levels
        d = math.prod(shape)
        self.encoder = mlp([d, *config.hidden, 2 * config.latent], nn.Tanh)
        self.decoder = mlp([config.latent, *reversed(config.hidden), d], nn.Tanh)
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.xavier_uniform_(layer.weight)
                nn.init.zeros_(layer.bias)

    @torch.no_grad()
    def initialise(self, x: Tensor) -> None:
        """Set the decoder's output bias to the logit of the pixel means."""
        self.decoder[-1].bias.copy_(pixel_logits(x, eps=1e-3))

    def stages(self) -> Sequence[Stage]:
        """Return the one stage that maximises the bound."""
        c = self.config
        self.descent = Annealed(self.parameters(), lr=c.lr, epochs=c.epochs, eps=1e-4)
        optimisers, schedules = [self.descent.optimiser], [self.descent.schedule]
        return [Stage("bound", c.epochs, c.batch_size, self.step, optimisers, schedules)]

    def step(self, x: Tensor, y: Tensor | None) -> dict[str, Tensor]:
        """Take one step up the bound L_k of x: (n, c, h, w).

        Logs −L_k, nats per image.
        """
        k = self.config.k
        # the sum over the draws of an image comes before the mean over images
        bound = self.log_weights(x, k).logsumexp(0) - math.log(k)  # (k, n) -> (n,)
        loss = -bound.mean()
        self.descent.descend(loss)
        return {"loss": loss.detach()}

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log-variance of q(z|x): (n, c, h, w) -> (n, latent) each."""
        mu, log_var = self.encoder(x.flatten(1)).to(x.dtype).chunk(2, dim=1)
        return mu, log_var

    def log_weights(self, x: Tensor, k: int) -> Tensor:
        """Return log p(x, z) − log q(z|x) of k draws z of q(z|x) for each image.

        x: (n, c, h, w), of pixels 0 or 1; returns (k, n), nats.
        """
        mu, log_var = self.encode(x)
        eps = torch.randn(k, *mu.shape, device=mu.device, dtype=mu.dtype)
        z = mu + (0.5 * log_var).exp() * eps
        logits = self.decoder(z.flatten(0, 1)).to(x.dtype).unflatten(0, (k, len(x)))  # (k, n, d)
        # log p of a pixel 1 is log sigmoid(a), of a pixel 0 log sigmoid(−a)
        log_p = logsigmoid(logits * (2 * x.flatten(1) - 1)).sum(2)
        # log N(z; 0, I) − log N(z; mu, sigma²): what both have in common cancels
        return log_p + 0.5 * (eps.square() + log_var - z.square()).sum(2)

    def latent(self, n: int) -> Tensor:
        """Return n draws z ~ N(0, I), (n, latent)."""
        return torch.randn(n, self.config.latent, device=self.decoder[-1].weight.device)

    def decode(self, z: Tensor) -> Tensor:
        """Return the decoder's means: (n, latent) -> (n, c, h, w)."""
        # (n, d) -> (n, c, h, w)
        return self.decoder(z).sigmoid().unflatten(1, self.shape)

    @torch.no_grad()
    def sample(self, n: int) -> Tensor:
        """Return n draws of the model, or the means that they are of, (n, c, h, w)."""
        means = self.decode(self.latent(n))
        return means if self.config.output == "means" else draw(means)
