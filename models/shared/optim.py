"""Which update rules do models share that torch lacks or has in another form?"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor


class Momentum(torch.optim.Optimizer):
    """Momentum as in pylearn2: inc ← m·inc − lr·g; p ← p + inc.

    Unlike in `torch.optim.SGD`, past increments keep the learning rate they were made
    with. `lr` and `momentum` are 0-d tensors on the parameters' device: a `Schedule` sets
    them without a host synchronisation.
    """

    def __init__(self, params: Iterable[Tensor], *, lr: float, momentum: float) -> None:
        super().__init__(params, {})
        device = self.param_groups[0]["params"][0].device
        self.lr = torch.tensor(lr, device=device)
        self.momentum = torch.tensor(momentum, device=device)
        for group in self.param_groups:
            for p in group["params"]:
                self.state[p]["inc"] = torch.zeros_like(p)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # no closures
        """Apply one update from the parameters' `.grad`."""
        for group in self.param_groups:
            for p in group["params"]:
                inc = self.state[p]["inc"]
                inc.mul_(self.momentum).addcmul_(p.grad, -self.lr)
                p.add_(inc)

    def apply(self, gradients: Iterable[Tensor]) -> None:
        """Apply one update from explicit gradients, one for each parameter in order."""
        params = [p for group in self.param_groups for p in group["params"]]
        for p, g in zip(params, gradients, strict=True):
            p.grad = g.to(p.dtype)  # a product under autocast has another type
        self.step()


def adam(
    params: Iterable[Tensor], *, lr: float, betas: tuple[float, float] = (0.9, 0.999)
) -> torch.optim.Adam:
    """Return torch's Adam, fused and, on a GPU, capturable as a CUDA graph.

    The fused form is the fast one on every device.
    """
    params = list(params)
    return torch.optim.Adam(params, lr=lr, betas=betas, fused=True, capturable=params[0].is_cuda)
