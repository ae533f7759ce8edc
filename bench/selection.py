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
from bench.sealed import seal
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
    """The checks of one training run after its kept `epochs`, in a file that is sealed under its name and grows as they are made."""

    def __init__(self, path: Path, valid: Tensor, *, epochs: Sequence[int], seed: int) -> None:
        self.path, self.valid, self.epochs, self.seed = path, valid, epochs, seed
        self.values = {epoch: value for epoch, value in read_checks(path).items() if epoch in epochs}

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
            self.write()
        return Check(epoch, self.values[epoch])

    def write(self) -> None:
        """Keep the checks, sealed."""
        content = {"values": self.values, "seal": seal(self.path.stem, json.dumps(self.values))}
        write_atomically(self.path, json.dumps(content).encode())

    @property
    def complete(self) -> bool:
        """Return whether there is a check of each of the epochs."""
        return set(self.values) == set(self.epochs)

    @property
    def best(self) -> Check:
        """Return the check with the highest value, the first of equals."""
        return max((Check(epoch, value) for epoch, value in sorted(self.values.items())), key=lambda check: check.value)

    @property
    def last(self) -> Check:
        """Return the check at the end of training."""
        epoch = max(self.values)
        return Check(epoch, self.values[epoch])


def read_checks(path: Path) -> dict[int, float]:
    """Return the values by epoch in a file of checks; none where there is no file, or none that its seal fits: they are made again."""
    try:
        content = json.loads(path.read_bytes())
        whole = content["seal"] == seal(path.stem, json.dumps(content["values"]))
        return {int(epoch): float(value) for epoch, value in content["values"].items()} if whole else {}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}
