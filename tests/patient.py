"""A slow model that notes each step, in a module that workers elsewhere can import."""

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from genmodel_bench.models.base import Stage
from genmodel_bench.training import loop as harness


@dataclass(frozen=True)
class Patient:
    """Writes each step to the file `steps`, a line of the training's seed and the step.

    `end` may be 'exit' or 'hang'.
    """

    steps: str = ""
    epochs: int = 4
    batch_size: int = 100
    pause: float = 0.1
    end: str = ""
    bright: float = 1.0
    REFERENCE: ClassVar = False
    SAMPLING: ClassVar = ("bright",)
    SETTINGS: ClassVar = {}

    def build(self, shape):
        harness.train.__kwdefaults__["every"] = 0.4  # a checkpoint every few steps
        return Net(self, shape)


class Net(torch.nn.Module):
    def __init__(self, config, shape):
        super().__init__()
        self.config, self.shape = config, shape
        self.pixels = torch.nn.Parameter(torch.rand(shape))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    def initialise(self, x):
        if self.config.end == "exit":
            os._exit(9)
        if self.config.end == "hang":
            time.sleep(600)

    def stages(self):
        self.optimiser = torch.optim.SGD(self.parameters(), lr=0.1)
        return [
            Stage(
                "waiting", self.config.epochs, self.config.batch_size, self.step, optimisers=[self.optimiser]
            )
        ]

    def step(self, x, y):
        time.sleep(self.config.pause)
        loss = (self.pixels + 0.1 * torch.randn(self.shape) - x).square().mean()
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        self.count += 1
        with Path(self.config.steps).open("a") as file:
            file.write(f"{torch.initial_seed()} {int(self.count)}\n")
        return {"loss": loss.detach()}

    @torch.no_grad()
    def sample(self, n):
        return (self.pixels + 0.1 * torch.randn(n, *self.shape)).clamp(0, 1) * self.config.bright
