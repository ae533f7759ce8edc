"""How does a causal transformer model each pixel given those before it?

With the pixels x_1, …, x_d row by row,

    log p(x) = Σ_i log p(x_i | x_1, …, x_(i−1)),

and one pass of a net gives all terms. The token at i is x_(i−1) u + P_i, P learned and
x_0 = 0, and each block has a residual of attention and one of a layer of units,

    t = t + A attention(Q n(t), K n(t), V n(t))        over the tokens up to each one
    t = t + B gelu(C n(t))                             n: layer normalisation

To draw an image, the keys and values of tokens are kept: each is computed once, as in one
pass.

Source: Vaswani, Shazeer, Parmar, Uszkoreit, Jones, Gomez, Kaiser, Polosukhin (2017),
Attention Is All You Need, arXiv 1706.03762; over pixels: Chen, Radford, Child, Wu, Jun,
Luan, Sutskever (2020), Generative Pretraining from Pixels, section 2.
Differs from the papers: a small net. Pixels enter as numbers k / (levels − 1), not as
vectors of a table. Adam with a rate that falls to 0, without warm-up, and gradients of a
norm of at most 1. The channels of a colour pixel are tokens of their own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from genmodel_bench.models.base import Shape, Stage
from genmodel_bench.models.shared.annealed import Annealed
from genmodel_bench.models.shared.levels import Output, check_levels, drawn, log_probs, outputs_for
from genmodel_bench.models.shared.marginals import marginal_outputs
from torch import Tensor, nn
from torch.nn.functional import gelu, pad, scaled_dot_product_attention

TOKENS = 2**16
"""How many tokens are evaluated, or drawn, at once."""


@dataclass(frozen=True)
class Config:
    """A transformer of `blocks`, with tokens of `width` numbers and so many `heads`.

    levels: grey levels of a pixel.
    output: whether a sample is 'draws' or the 'means' of its conditionals.
    """

    width: int = 64
    blocks: int = 2
    heads: int = 2
    levels: int = 2
    epochs: int = 3
    batch_size: int = 50
    lr: float = 2e-3
    output: Output = "draws"

    KIND: ClassVar[str] = "models.transformer.Config"
    REFERENCE: ClassVar[bool] = False
    SAMPLING: ClassVar[tuple[str, ...]] = ("output",)
    ONLY: ClassVar[tuple[str, ...]] = (
        "digits",
        "digits-binary",
        "mnist",
        "fashion-mnist",
        "mnist-binary",
        "mnist-larochelle",
    )
    BOUNDS: ClassVar = {"levels": (2, 257), "width": (1, None), "blocks": (1, None), "heads": (1, None)}
    SETTINGS: ClassVar = {
        "digits": {"levels": 17, "width": 32, "epochs": 16, "lr": 4e-3},
        "digits-binary": {"width": 32, "epochs": 16, "lr": 4e-3},
        "mnist": {"levels": 256},
        "fashion-mnist": {"levels": 256},
    }
    SOURCES: ClassVar[tuple[str, ...]] = (
        """@inproceedings{vaswani2017attention,
            author = {Vaswani, Ashish and Shazeer, Noam and Parmar, Niki and Uszkoreit, Jakob and
                Jones, Llion and Gomez, Aidan N. and Kaiser, {\\L}ukasz and Polosukhin, Illia},
            title = {Attention Is All You Need},
            booktitle = {Advances in Neural Information Processing Systems 30},
            year = {2017}, eprint = {1706.03762}, archivePrefix = {arXiv}}""",
        """@inproceedings{chen2020generative,
            author = {Chen, Mark and Radford, Alec and Child, Rewon and Wu, Jeffrey and Jun, Heewoo
                and Luan, David and Sutskever, Ilya},
            title = {Generative Pretraining from Pixels},
            booktitle = {Proceedings of the 37th International Conference on Machine Learning},
            year = {2020}}""",
    )

    def __post_init__(self) -> None:
        check_levels("transformer", self.levels)
        if self.width % self.heads:
            raise ValueError(f"transformer: heads must divide the width {self.width}, got {self.heads}")

    def build(self, shape: Shape) -> Transformer:
        """Return an untrained net for images of `shape`: (c, h, w)."""
        return Transformer(self, shape)


class Block(nn.Module):
    """A residual of causal attention, and one of a layer of 4 · width units."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.attended = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, t: Tensor, known: tuple[Tensor, Tensor] | None = None, at: int = 0) -> Tensor:
        """Return the tokens t: (n, m, width) after the block.

        known: the keys and values of all d tokens, each (n, heads, d, width / heads);
            then t is the token at `at` alone, m = 1, and those before it are known.
        """
        # (n, m, 3 · width) -> 3 of (n, heads, m, width / heads)
        q, k, v = self.qkv(self.before(t)).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        if known is None:
            y = scaled_dot_product_attention(q, k, v, is_causal=True)
        else:
            keys, values = known
            keys[:, :, at], values[:, :, at] = k[:, :, 0], v[:, :, 0]
            y = scaled_dot_product_attention(q, keys[:, :, : at + 1], values[:, :, : at + 1])
        t = t + self.attended(y.transpose(1, 2).flatten(2))
        moved: Tensor = t + self.down(gelu(self.up(self.between(t))))
        return moved


class Transformer(nn.Module):
    """A causal transformer of a `Config`, for images of `shape`.

    Its order of pixels, and of the channels of each, is row by row: (h, w, c).
    """

    dequantised = False

    def __init__(self, config: Config, shape: Shape) -> None:
        super().__init__()
        self.config, self.shape, self.levels = config, shape, config.levels
        self.d = math.prod(shape)
        self.value = nn.Parameter(torch.randn(config.width))
        self.position = nn.Parameter(0.1 * torch.randn(self.d, config.width))
        self.blocks = nn.ModuleList(Block(config.width, config.heads) for _ in range(config.blocks))
        self.norm = nn.LayerNorm(config.width)
        self.last = nn.Linear(config.width, outputs_for(config.levels))

    @torch.no_grad()
    def initialise(self, x: Tensor) -> None:
        """Set the output bias to the logits of the levels' shares of all pixels."""
        self.last.bias.copy_(marginal_outputs(x.reshape(-1, 1), self.levels)[0])

    def stages(self) -> Sequence[Stage]:
        """Return the one stage of maximum likelihood."""
        c = self.config
        self.descent = Annealed(self.parameters(), lr=c.lr, epochs=c.epochs, norm=1.0)
        optimisers, schedules = [self.descent.optimiser], [self.descent.schedule]
        return [Stage("likelihood", c.epochs, c.batch_size, self.step, optimisers, schedules)]

    def step(self, x: Tensor, y: Tensor | None) -> dict[str, Tensor]:
        """Take one step up the log-likelihood of x: (n, c, h, w).

        Logs its negative, nats per image.
        """
        loss = -self.log_probs(x).mean()
        self.descent.descend(loss)
        return {"loss": loss.detach()}

    def outputs(self, x: Tensor) -> Tensor:
        """Return the outputs for x: (n, d), pixels in the order of the net, (n, k, d)."""
        t = pad(x, (1, -1))[:, :, None] * self.value + self.position  # (n, d, width)
        for block in self.blocks:
            t = block(t)
        y: Tensor = self.last(self.norm(t))
        return y.transpose(1, 2)

    def log_probs(self, x: Tensor) -> Tensor:
        """Return log p(x), (n, c, h, w) -> (n,), differentiable."""
        x = x.permute(0, 2, 3, 1).flatten(1)
        return log_probs(self.outputs(x), x).sum(1)

    @torch.no_grad()
    def log_prob(self, x: Tensor) -> Tensor:
        """Return log p(x): (n, c, h, w) -> (n,), nats."""
        return torch.cat([self.log_probs(part) for part in x.split(max(1, TOKENS // self.d))])

    @torch.no_grad()
    def sample(self, n: int) -> Tensor:
        """Return n draws, (n, c, h, w), each key and value computed once."""
        c, h, w = self.shape
        most = max(1, TOKENS // self.d)
        x = torch.cat([self.draw(min(most, n - start)) for start in range(0, n, most)])
        return x.view(n, h, w, c).permute(0, 3, 1, 2).contiguous()

    def draw(self, n: int) -> Tensor:
        """Return n draws at once, (n, d), in the order of the net."""
        size = (n, self.config.heads, self.d, self.config.width // self.config.heads)
        known = [(self.value.new_empty(size), self.value.new_empty(size)) for _ in self.blocks]
        x, shown = self.value.new_zeros(n), self.value.new_empty(n, self.d)
        for i, position in enumerate(self.position):
            t = (x[:, None] * self.value + position)[:, None]  # (n, 1, width)
            for block, pair in zip(self.blocks, known, strict=True):
                t = block(t, pair, i)
            x, shown[:, i] = drawn(self.last(self.norm(t[:, 0])), self.config.output)
        return shown
