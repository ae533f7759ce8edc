"""How does Adam descend with a rate that falls to 0 by the end of training?"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from genmodel_bench.models.base import Schedule
from torch import Tensor


class Annealed:
    """Adam whose rate falls linearly, epoch by epoch, from `lr` towards 0.

    The last of `epochs` has the rate lr / epochs. Weights are decayed apart from the
    gradient (AdamW). `norm` limits the norm of all gradients together.
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        *,
        lr: float,
        epochs: int,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        norm: float | None = None,
    ) -> None:
        self.parameters, self.norm = list(parameters), norm
        rate = torch.tensor(lr, device=self.parameters[0].device)
        self.optimiser = torch.optim.AdamW(
            self.parameters,
            lr=rate,
            betas=betas,
            eps=eps,
            weight_decay=weight_decay,
            fused=True,
            capturable=rate.is_cuda,
        )
        self.rate = rate
        # A loaded state has a copy of the rate, which the schedule would not reach.
        self.optimiser.register_load_state_dict_post_hook(self.relink)
        self.schedule = Schedule(rate, lambda step, epoch: lr * (1 - epoch / epochs))

    def relink(self, optimiser: torch.optim.Optimizer) -> None:
        """Let the optimiser read its rate where the schedule writes it."""
        for group in optimiser.param_groups:
            group["lr"] = self.rate

    def descend(self, loss: Tensor) -> None:
        """Take one step down the gradient of `loss`, 0-d."""
        gradients = torch.autograd.grad(loss, self.parameters)
        for p, gradient in zip(self.parameters, gradients, strict=True):
            p.grad = gradient.to(p.dtype)
        if self.norm is not None:
            torch.nn.utils.clip_grad_norm_(self.parameters, self.norm)
        self.optimiser.step()
