"""How are binary units drawn and images corrupted?"""

from __future__ import annotations

import torch
from torch import Tensor


def draw(p: Tensor) -> Tensor:
    """Return 1 with probability p and else 0, independently for each element of p.

    As `torch.bernoulli`, but several times faster on a CPU.
    """
    return (torch.rand_like(p) < p).to(p.dtype)


def salt_and_pepper(x: Tensor, share: float) -> Tensor:
    """Return x, with each value replaced by 0 or 1 with probability `share`.

    0 and 1 are equally likely.
    """
    u = torch.rand_like(x)  # u < share/2: 0; share/2 ≤ u < share: 1; else x
    return torch.where(u < share, (u >= share / 2).to(x.dtype), x)
