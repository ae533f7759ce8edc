"""What log-probability does a model with an exact density give to images?"""

from __future__ import annotations

import math

import torch
from genmodel_bench.metrics.capabilities import Density
from torch import Tensor


@torch.no_grad()
def negative_log_likelihoods(model: Density, x: Tensor) -> Tensor:
    """Return −log p of images x: (n, c, h, w) -> (n,), float64, nats.

    For a dequantised model noise is added, from torch's default generator.
    """
    if not model.dequantised:
        return -model.log_prob(x).double()
    d = x[0].numel()
    noisy = (x * (model.levels - 1) + torch.rand_like(x)) / model.levels
    return d * math.log(model.levels) - model.log_prob(noisy).double()
