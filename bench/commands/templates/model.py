"""An auto-encoder with a Gaussian on its codes.

It minimises |x − decode(encode(x))|² per image; a sample decodes a code that is drawn
from the Gaussian with the codes' mean and standard deviation, component by component.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from genmodel_bench.models import Shape, Stage
from torch import Tensor, nn


@dataclass(frozen=True)
class Config:
    """An auto-encoder with a Gaussian on its codes."""

    hidden: int = 128
    latent: int = 16
    epochs: int = 20
    batch_size: int = 100
    lr: float = 1e-3

    SOURCES: ClassVar[tuple[str, ...]] = ()

    def build(self, shape: Shape) -> Net:
        """Return an untrained model for images of `shape`, (c, h, w)."""
        return Net(self, shape)


class Net(nn.Module):
    """The encoder, the decoder, and the mean and standard deviation of the codes."""

    mean: Tensor
    std: Tensor

    def __init__(self, config: Config, shape: Shape) -> None:
        super().__init__()
        c, h, w = shape
        self.config, self.shape = config, shape
        d, k = config.hidden, config.latent
        self.encode = nn.Sequential(nn.Flatten(), nn.Linear(c * h * w, d), nn.ReLU(), nn.Linear(d, k))
        self.decode = nn.Sequential(nn.Linear(k, d), nn.ReLU(), nn.Linear(d, c * h * w), nn.Sigmoid())
        # Buffers are stored in checkpoints and move to the device with the weights.
        self.register_buffer("mean", torch.zeros(config.latent))
        self.register_buffer("std", torch.ones(config.latent))

    def initialise(self, x: Tensor) -> None:
        """Set what depends on the training images x, (n, c, h, w): nothing here."""

    def stages(self) -> Sequence[Stage]:
        """Return the training phases; optimisers are made here, on the model's device."""
        self.adam = torch.optim.Adam(self.parameters(), lr=self.config.lr, capturable=self.mean.is_cuda)
        return [Stage("reconstruct", self.config.epochs, self.config.batch_size, self.step, [self.adam])]

    def step(self, x: Tensor, y: Tensor | None) -> dict[str, Tensor]:
        """Update the model on x, (batch_size, c, h, w); return what is to be logged."""
        codes = self.encode(x)
        loss = (self.decode(codes) - x.flatten(1)).square().sum(1).mean()
        self.adam.zero_grad(set_to_none=True)
        loss.backward()
        self.adam.step()
        with torch.no_grad():
            self.mean.lerp_(codes.mean(0), 0.1)
            self.std.lerp_(codes.std(0), 0.1)
        return {"squared error": loss.detach()}

    @torch.no_grad()
    def sample(self, n: int) -> Tensor:
        """Return n independent draws, (n, c, h, w), float32 in [0, 1]."""
        z = self.mean + self.std * torch.randn(n, self.config.latent, device=self.mean.device)
        images: Tensor = self.decode(z)  # (n, c * h * w)
        return images.reshape(n, *self.shape)
