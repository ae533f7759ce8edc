"""How does a variational auto-encoder train and sample?

An encoder q(z|x) = N(mu(x), diag sigma(x)²) and a decoder p(x|z), a product of Bernoullis
with means f(z), maximise the evidence lower bound

    log p(x) ≥ E_q(z|x) log p(x|z) − KL(q(z|x) ‖ N(0, I))                 (eq. 3, 10)

by the reparametrisation z = mu + sigma · eps. A sample is the decoder's mean f(z) for
z ~ N(0, I).

Source: Kingma and Welling (2013), Auto-Encoding Variational Bayes, arXiv 1312.6114.
Differs from the paper: Adam instead of Adagrad; two ReLU layers instead of one of tanh.
Grey pixels in [0, 1] replace the Bernoulli's binary outcome (the expected cross-entropy),
so that the bound is not a likelihood of real-valued pixels. Samples are conditional
means, which the Parzen metric favours over draws.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from genmodel_bench.models.base import Prior, Shape, Stage
from genmodel_bench.models.shared.layers import mlp, pixel_logits
from genmodel_bench.models.shared.optim import adam
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits


@dataclass(frozen=True)
class Config:
    """Variational auto-encoder with a latent code z of size `latent`.

    `hidden` are the sizes of the encoder's layers; the decoder's are the same, reversed.
    """

    latent: int = 20
    hidden: tuple[int, ...] = (500, 500)
    epochs: int = 100
    batch_size: int = 100
    lr: float = 1e-3

    KIND: ClassVar[str] = "models.vae.Config"
    REFERENCE: ClassVar[bool] = False
    SAMPLING: ClassVar[tuple[str, ...]] = ()
    SETTINGS: ClassVar = {
        "digits": {"latent": 8, "hidden": (128, 128), "epochs": 150, "batch_size": 50},
        "olivetti": {"epochs": 200, "batch_size": 20},
    }
    SOURCES: ClassVar[tuple[str, ...]] = (
        """@inproceedings{kingma2014auto,
            author = {Kingma, Diederik P. and Welling, Max},
            title = {Auto-Encoding Variational {Bayes}},
            booktitle = {International Conference on Learning Representations},
            year = {2014}, eprint = {1312.6114}, archivePrefix = {arXiv}}""",
    )

    def build(self, shape: Shape) -> VAE:
        """Return an untrained model for images of `shape`: (c, h, w)."""
        return VAE(self, shape)


def gaussian_kl(mu: Tensor, log_var: Tensor) -> Tensor:
    """Return KL(N(mu, diag exp(log_var)) ‖ N(0, I)): (n, k), (n, k) -> (n,), nats.

    Source: arXiv 1312.6114, appendix B.
    """
    return 0.5 * (mu.square() + log_var.exp() - 1 - log_var).sum(1)


class VAE(nn.Module):
    """Encoder and decoder of a `Config`, for images of `shape`."""

    prior: Prior = "gaussian"

    def __init__(self, config: Config, shape: Shape) -> None:
        super().__init__()
        self.config, self.shape = config, shape
        d = math.prod(shape)
        self.encoder = mlp([d, *config.hidden, 2 * config.latent])
        self.decoder = mlp([config.latent, *reversed(config.hidden), d])

    @torch.no_grad()
    def initialise(self, x: Tensor) -> None:
        """Set the decoder's output bias to the logit of the pixel means."""
        self.decoder[-1].bias.copy_(pixel_logits(x, eps=1e-3))

    def stages(self) -> Sequence[Stage]:
        """Return the one stage that maximises the bound."""
        self.optimiser = adam(self.parameters(), lr=self.config.lr)
        return [Stage("elbo", self.config.epochs, self.config.batch_size, self.step, [self.optimiser])]

    def step(self, x: Tensor, y: Tensor | None) -> dict[str, Tensor]:
        """Take one Adam step on the negative bound of x: (n, c, h, w).

        Logs the loss and its KL term, nats per image.
        """
        x = x.flatten(1)  # (n, c, h, w) -> (n, d)
        mu, log_var = self.encoder(x).to(x.dtype).chunk(2, dim=1)  # (n, 2k) -> twice (n, k)
        z = mu + (0.5 * log_var).exp() * torch.randn_like(mu)
        logits = self.decoder(z).to(x.dtype)
        reconstruction = binary_cross_entropy_with_logits(logits, x, reduction="none").sum(1)
        kl = gaussian_kl(mu, log_var)
        loss = (reconstruction + kl).mean()
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        return {"loss": loss.detach(), "kl": kl.detach().mean()}

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log-variance of q(z|x): (n, c, h, w) -> (n, latent) each."""
        mu, log_var = self.encoder(x.flatten(1)).chunk(2, dim=1)
        return mu, log_var

    def log_weights(self, x: Tensor, k: int) -> Tensor:
        """Return log p(x, z) − log q(z|x) of k draws z of q(z|x) for each image.

        x: (n, c, h, w), of pixels 0 or 1; returns (k, n), nats.
        """
        mu, log_var = self.encode(x)
        eps = torch.randn(k, *mu.shape, device=mu.device)
        z = mu + (0.5 * log_var).exp() * eps
        logits = self.decoder(z.flatten(0, 1)).unflatten(0, (k, len(x)))
        log_p = -binary_cross_entropy_with_logits(
            logits, x.flatten(1).expand_as(logits), reduction="none"
        ).sum(2)
        # log N(z; 0, I) − log N(z; mu, sigma²): what both have in common cancels
        return log_p + 0.5 * (eps.square() + log_var - z.square()).sum(2)

    def latent(self, n: int) -> Tensor:
        """Return n draws z ~ N(0, I), (n, latent)."""
        return torch.randn(n, self.config.latent, device=self.decoder[-1].weight.device)

    def decode(self, z: Tensor) -> Tensor:
        """Return the decoder's means f(z): (n, latent) -> (n, c, h, w)."""
        # (n, d) -> (n, c, h, w)
        return self.decoder(z).sigmoid().unflatten(1, self.shape)

    @torch.no_grad()
    def sample(self, n: int) -> Tensor:
        """Return the decoder's means for n draws from the prior, (n, c, h, w)."""
        return self.decode(self.latent(n))
