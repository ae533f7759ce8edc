"""Where do random numbers come from?

Seeds are derived from names, not from an order: adding a metric changes no other number.
"""

from __future__ import annotations

import hashlib
import random

import numpy as np
import torch


def derive_seed(base: int, *names: str) -> int:
    """Return a seed in [0, 2⁶³) from a base seed and names, by SHA-256."""
    text = "\0".join([str(base), *names])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def fit_seed(base: int, dataset: str, family: str) -> int:
    """Return the seed of the training of a family on a data set."""
    return derive_seed(base, dataset, family, "fit")


def check_seed(base: int, dataset: str, family: str) -> int:
    """Return the seed of the checks of a training: the same for every epoch."""
    return derive_seed(base, dataset, family, "check")


def draw_seed(base: int, dataset: str, family: str, k: int) -> int:
    """Return the seed of draw `k` of samples from a trained model."""
    return derive_seed(base, dataset, family, "sample", str(k))


def metric_seed(base: int, dataset: str, subject: str, metric: str) -> int:
    """Return the seed of a metric's own random numbers.

    subject: the model's family, or the name of a user's samples.
    """
    return derive_seed(base, dataset, subject, metric)


def seed_everything(seed: int) -> None:
    """Seed the default generators of Python, NumPy and torch (on every device)."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # libraries that models call may use it
    torch.manual_seed(seed)


def generator_states(device: torch.device) -> dict[str, torch.Tensor]:
    """Return the states of torch's default generators, on the CPU and on `device`."""
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


def restore_generators(states: dict[str, torch.Tensor], device: torch.device) -> None:
    """Set torch's default generators to `states`, as `generator_states` returns them."""
    torch.set_rng_state(states["cpu"])
    if device.type == "cuda" and "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"], device)
