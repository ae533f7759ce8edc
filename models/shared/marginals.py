"""Which outputs of a net of grey levels are right of each pixel by itself?"""

from __future__ import annotations

import torch
from genmodel_bench.models.shared.layers import pixel_logits
from torch import Tensor

LEAST = 1e-3
"""The smallest share that a level is taken to have."""


@torch.no_grad()
def marginal_outputs(x: Tensor, levels: int) -> Tensor:
    """Return outputs, as `levels.outputs_for` counts them, that give levels their shares.

    x: (n, d), pixels in [0, 1]; returns (d, k).
    """
    if levels == 2:
        return pixel_logits(x, eps=LEAST)[:, None]
    level = (x * (levels - 1)).round()
    shares = [(level == k).double().mean(0) for k in range(levels)]
    return torch.stack(shares, 1).clamp_min(LEAST).log().to(x.dtype)
