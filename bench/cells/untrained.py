"""What is a model before it is trained?"""

from __future__ import annotations

import warnings

import torch
from genmodel_bench.models import Config, Model, Shape


def untrained(config: Config, shape: Shape) -> Model:
    """Return a model as it is built, without memory for its weights where that works.

    shape: of an image, (c, h, w). No random number of the caller changes, and what it
    warns of is told when it is trained.

    Raises:
        Exception: whatever the model raises.
    """
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore")
        try:
            with torch.device("meta"):
                return config.build(shape)
        except Exception:  # noqa: BLE001  # it may look at its weights: then it needs them
            return config.build(shape)
