"""How do images of grey levels become pixels of a density, and back?

A density of real numbers needs images to which noise was added: the level k of a pixel
becomes (k + u) / levels with u uniform, a number in [0, 1], whose cell, of the width
1 / levels, gives the level back.
"""

from __future__ import annotations

import torch
from torch import Tensor


def with_noise(x: Tensor, levels: int) -> Tensor:
    """Return (k + u) / levels for pixels x = k / (levels − 1), u uniform in [0, 1)."""
    return (x * (levels - 1) + torch.rand_like(x)) / levels


def to_levels(x: Tensor, levels: int) -> Tensor:
    """Return the pixel k / (levels − 1) of the cell that holds each number, of any size.

    Numbers below 0 have the level 0, those of at least 1 the last one.
    """
    return (x * levels).floor().clamp(0, levels - 1) / (levels - 1)
