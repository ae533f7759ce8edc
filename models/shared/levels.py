"""How does a model of grey levels see pixels, and what does it say of them?

A pixel of `levels` grey levels is k / (levels − 1), k = 0, 1, …. Binary images are those
of two levels. A net's outputs at a pixel are one logit, of the level 1, where there are
two levels, else one for each level, of a softmax.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

Output = Literal["draws", "means"]
"""What a sample is: drawn pixels, or the means of their conditional distributions."""


def outputs_for(levels: int) -> int:
    """Return how many outputs of a net a pixel has."""
    return 1 if levels == 2 else levels


def check_levels(who: str, levels: int) -> None:
    """Raise ValueError unless there are at least two levels; `who` begins the message."""
    if levels < 2:
        raise ValueError(f"{who}: levels must be at least 2, got {levels}")


def log_probs(outputs: Tensor, x: Tensor) -> Tensor:
    """Return the log-probability of each pixel under a net's outputs at it.

    outputs: (n, k, ...), k of `outputs_for`; x: (n, ...), pixels in [0, 1]. Returns
    (n, ...), nats.
    """
    k = outputs.shape[1]
    if k == 1:
        return -binary_cross_entropy_with_logits(outputs[:, 0], x, reduction="none")
    return -cross_entropy(outputs, (x * (k - 1)).round().long(), reduction="none")


def drawn(outputs: Tensor, output: Output) -> tuple[Tensor, Tensor]:
    """Return pixels drawn from a net's outputs, and what a sample shows of them.

    outputs: (n, k). Both are (n,), in [0, 1]: the pixel that those after it depend on,
    and the same again or, for `output` 'means', its mean. Uses one uniform number each.
    """
    n, k = outputs.shape
    u = torch.rand(n, device=outputs.device)
    if k == 1:
        p = outputs[:, 0].sigmoid()
        x = (u < p).to(p.dtype)
        return x, p if output == "means" else x
    p = outputs.softmax(1)
    # the number of levels below u: of the last one the sum may be rounded below 1
    level = (p.cumsum(1)[:, :-1] <= u[:, None]).sum(1)
    x = level.to(p.dtype) / (k - 1)
    return x, p @ torch.linspace(0, 1, k, device=p.device) if output == "means" else x
