"""Which checkpoint of a training run is taken, and what did validation say of the others?

Every family is treated alike: after the epochs at which the harness keeps the weights, 1,000 samples are drawn from the model as it is,
and the Parzen log-likelihood of the first 1,000 validation images under them is noted, with the best σ of the paper's grid. The same random
numbers are used each time. 'last' takes the end of training, 'best' the epoch with the highest value. Test images play no part.

'best' is not the default: with few samples the Parzen estimate prefers smooth ones, and may choose an early epoch whose samples are
prototypes. On MNIST it took a VAE's first epoch, which scores lower with 10,000 samples than its last.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench.atomic import write_atomically
from bench.seeding import seed_everything
from metrics.windows import PAPER_SIGMAS, parzen_log_probs

SAMPLES = 1000
IMAGES = 1000


@dataclass(frozen=True)
class Check:
    """What validation says of the weights after an epoch of the last stage, in nats."""

    epoch: int
    value: float


@torch.no_grad()
def validation_score(samples: Tensor, valid: Tensor) -> float:
    """Return the mean Parzen log-likelihood, in nats, of the first images of `valid` under `samples`, (n, c, h, w) both."""
    log_probs = parzen_log_probs(valid[:IMAGES].flatten(1), samples.flatten(1), PAPER_SIGMAS)
    return float(log_probs.mean(1).max())


class Checks:
    """The checks of one training run, kept in a file as they are made."""

    def __init__(self, path: Path, valid: Tensor, *, seed: int) -> None:
        self.path, self.valid, self.seed = path, valid, seed
        try:
            self.values = {int(epoch): float(value) for epoch, value in json.loads(path.read_bytes()).items()}
        except (OSError, ValueError, TypeError, AttributeError):  # not there, or damaged: they are made again
            self.values = {}

    def make(self, model: Any, epoch: int) -> Check:
        """Return the check of `model` after `epoch`; one that was made before is not made again. Seeds the generators.

        Raises ValueError for samples that are not finite.
        """
        if epoch not in self.values:
            seed_everything(self.seed)
            value = validation_score(model.sample(SAMPLES), self.valid)
            if not math.isfinite(value):
                raise ValueError(f"samples after epoch {epoch} have the validation score {value}")
            self.values[epoch] = value
            write_atomically(self.path, json.dumps(self.values).encode())
        return Check(epoch, self.values[epoch])

    def complete(self, epochs: Sequence[int]) -> bool:
        """Return whether there is a check of each of the epochs and of no other."""
        return set(self.values) == set(epochs)

    @property
    def best(self) -> Check:
        """Return the check with the highest value, the first of equals."""
        return max((Check(epoch, value) for epoch, value in sorted(self.values.items())), key=lambda check: check.value)

    @property
    def last(self) -> Check:
        """Return the check at the end of training."""
        epoch = max(self.values)
        return Check(epoch, self.values[epoch])
