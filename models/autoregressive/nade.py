"""How do hidden units that take in one pixel after another model each pixel?

With the pixels x_1, …, x_d in a random order that is fixed,

    log p(x) = Σ_i log p(x_i | x_1, …, x_(i−1))
    h_i = σ(c + Σ_(j<i) W_j x_j)
    p(x_i = 1 | x_1, …, x_(i−1)) = σ(b_i + V_i·h_i)

and for more than two levels a softmax of b_i + V_i h_i, V_i with a row for each level.
What the units take in is a running sum, so that all conditionals, and a sample as well,
cost O(d · hidden), as one conditional does.

Source: Larochelle, Murray (2011), The Neural Autoregressive Distribution Estimator, eqs.
4–6; Uria, Côté, Gregor, Murray, Larochelle (2016), Neural Autoregressive Distribution
Estimation, arXiv 1605.02226, section 2; initial weights from the authors' code
(MarcCote/NADE).
Differs from the papers: Adam with a rate that falls to 0 instead of stochastic gradient
descent with a decreasing one, and no early stop: the benchmark selects the weights.
Pixels of more than two levels have a softmax, and enter as k / (levels − 1).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from genmodel_bench.models.base import Shape, Stage
from genmodel_bench.models.shared.annealed import Annealed
from genmodel_bench.models.shared.levels import Output, check_levels, drawn, log_probs, outputs_for
from genmodel_bench.models.shared.marginals import marginal_outputs
from torch import Tensor, nn

AT_ONCE = 200
"""How many images are evaluated or sampled at once: their units stay in the cache."""


LAROCHELLE_2011 = """@inproceedings{larochelle2011nade,
    author = {Larochelle, Hugo and Murray, Iain},
    title = {The Neural Autoregressive Distribution Estimator},
    booktitle = {Proceedings of the 14th International Conference on Artificial
        Intelligence and Statistics},
    year = {2011}}"""


@dataclass(frozen=True)
class Config:
    """A NADE of `hidden` sigmoid units.

    levels: grey levels of a pixel.
    output: whether a sample is 'draws' or the 'means' of its conditionals.
    """

    hidden: int = 500
    levels: int = 2
    epochs: int = 50
    batch_size: int = 100
    lr: float = 3e-3
    output: Output = "draws"

    KIND: ClassVar[str] = "models.nade.Config"
    REFERENCE: ClassVar[bool] = False
    SAMPLING: ClassVar[tuple[str, ...]] = ("output",)
    ONLY: ClassVar[tuple[str, ...]] = ("digits", "digits-binary", "mnist-binary", "mnist-larochelle")
    BOUNDS: ClassVar = {"levels": (2, 257)}
    SETTINGS: ClassVar = {
        "digits": {"levels": 17, "hidden": 64, "epochs": 30, "batch_size": 50, "lr": 0.02},
        "digits-binary": {"hidden": 64, "epochs": 30, "batch_size": 50, "lr": 0.02},
        "mnist-larochelle": {"epochs": 14},
    }
    SOURCES: ClassVar[tuple[str, ...]] = (
        LAROCHELLE_2011,
        """@article{uria2016nade,
            author = {Uria, Benigno and C{\\^o}t{\\'e}, Marc-Alexandre and Gregor, Karol and
                Murray, Iain and Larochelle, Hugo},
            title = {Neural Autoregressive Distribution Estimation},
            journal = {Journal of Machine Learning Research}, volume = {17}, number = {205},
            year = {2016}, eprint = {1605.02226}, archivePrefix = {arXiv}}""",
    )

    def __post_init__(self) -> None:
        check_levels("nade", self.levels)

    def build(self, shape: Shape) -> NADE:
        """Return an untrained net for images of `shape`: (c, h, w)."""
        return NADE(self, shape)


class NADE(nn.Module):
    """A NADE of a `Config`, for images of `shape`; W, V and b are in its order.

    order: (d,), the pixel at each place of the order.
    W: (d, hidden); V: (d, k, hidden); b: (d, k), k outputs of a pixel; c: (hidden,).
    """

    dequantised = False

    def __init__(self, config: Config, shape: Shape) -> None:
        super().__init__()
        self.config, self.shape, self.levels = config, shape, config.levels
        d, k = math.prod(shape), outputs_for(config.levels)
        self.W = nn.Parameter(0.01 * torch.randn(d, config.hidden))
        self.V = nn.Parameter(0.01 * torch.randn(d, k, config.hidden))
        self.b = nn.Parameter(torch.zeros(d, k))
        self.c = nn.Parameter(torch.zeros(config.hidden))
        self.register_buffer("order", torch.randperm(d))
        self.order: Tensor

    @torch.no_grad()
    def initialise(self, x: Tensor) -> None:
        """Set the output bias to the logits of the levels' shares of each pixel."""
        self.b.copy_(marginal_outputs(x.flatten(1)[:, self.order], self.levels))

    def stages(self) -> Sequence[Stage]:
        """Return the one stage of maximum likelihood."""
        c = self.config
        self.descent = Annealed(self.parameters(), lr=c.lr, epochs=c.epochs)
        # for all steps: fresh memory of this size takes as long as what is done in it
        self.units = self.W.new_empty(len(self.W), c.batch_size, c.hidden)
        optimisers, schedules = [self.descent.optimiser], [self.descent.schedule]
        return [Stage("likelihood", c.epochs, c.batch_size, self.step, optimisers, schedules)]

    def step(self, x: Tensor, y: Tensor | None) -> dict[str, Tensor]:
        """Take one step up the log-likelihood of x: (n, c, h, w).

        Logs its negative, nats per image.
        """
        loss = -self.log_probs(x, self.units).mean()
        self.descent.descend(loss)
        return {"loss": loss.detach()}

    def outputs(self, x: Tensor, units: Tensor | None = None) -> Tensor:
        """Return the outputs for x: (n, d), pixels in the order of the net, (n, k, d).

        units: (d, n, hidden), to be overwritten; the gradient reads it.
        """
        if units is None:
            places = len(self.W) if torch.is_grad_enabled() else 1
            units = x.new_empty(places, len(x), len(self.c))
        scan: Callable[..., Tensor] = Scan.apply  # which torch does not annotate
        y = scan(x, self.W, self.V, self.c, units)
        return (y + self.b[:, None]).permute(1, 2, 0)  # (d, n, k) -> (n, k, d)

    def log_probs(self, x: Tensor, units: Tensor | None = None) -> Tensor:
        """Return log p(x), (n, c, h, w) -> (n,), differentiable."""
        x = x.flatten(1)[:, self.order]
        return log_probs(self.outputs(x, units), x).sum(1)

    @torch.no_grad()
    def log_prob(self, x: Tensor) -> Tensor:
        """Return log p(x): (n, c, h, w) -> (n,), nats."""
        return torch.cat([self.log_probs(part) for part in x.split(AT_ONCE)])

    @torch.no_grad()
    def sample(self, n: int) -> Tensor:
        """Return n draws, (n, c, h, w), each in one pass over the pixels."""
        found = [self.draw(min(AT_ONCE, n - start)) for start in range(0, n, AT_ONCE)]
        return torch.cat(found).view(n, *self.shape)

    def draw(self, n: int) -> Tensor:
        """Return n draws, (n, d), at once."""
        a = self.c.repeat(n, 1)
        shown = a.new_empty(len(self.order), n)
        for i, pixel in enumerate(self.order.tolist()):
            x, shown[pixel] = drawn(torch.addmm(self.b[i], a.sigmoid(), self.V[i].T), self.config.output)
            a.addr_(x, self.W[i])
        return shown.T


class Scan(torch.autograd.Function):
    """V_i σ(c + Σ_(j<i) W_j x_j) at each place i, of x: (n, d), (d, n, k).

    One place after another, there and back: the values of all units at a place stay in
    the cache, where autograd would pass over those of all places many times.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, W: Tensor, V: Tensor, c: Tensor, h: Tensor) -> Tensor:
        """Return the sums; h, (d, n, hidden), becomes the units at each place.

        h of one place alone is enough where there is no gradient.
        """
        x = x.T.contiguous()
        y = x.new_empty(len(W), x.shape[1], V.shape[1])
        a = c.repeat(x.shape[1], 1)
        for x_i, W_i, V_i, h_i, y_i in zip(x, W, V, h.expand(len(W), -1, -1), y, strict=True):
            torch.mm(torch.sigmoid(a, out=h_i), V_i.T, out=y_i)
            a.addr_(x_i, W_i)
        ctx.save_for_backward(x, W, V, h)
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of x, W, V and c, of that of the sums."""
        (dy,), (x, W, V, h) = gradients, ctx.saved_tensors
        dx, dW, dV = torch.zeros_like(x), torch.empty_like(W), torch.empty_like(V)
        da = h.new_zeros(h.shape[1:])  # at place i: of all that the units took in after it
        g, s = torch.empty_like(da), torch.empty_like(da)
        places = list(zip(x, W, V, h, dy, dx, dW, dV, strict=True))
        for x_i, W_i, V_i, h_i, dy_i, dx_i, dW_i, dV_i in reversed(places):
            if ctx.needs_input_grad[0]:
                torch.mv(da, W_i, out=dx_i)
            torch.mv(da.T, x_i, out=dW_i)
            torch.mm(dy_i.T, h_i, out=dV_i)
            torch.mm(dy_i, V_i, out=g)
            da += torch.ops.aten.sigmoid_backward.grad_input(g, h_i, grad_input=s)
        return dx.T, dW, dV, da.sum(0), None
