"""How do gated convolutions that see no pixel after their own model an image?

With the pixels x_1, …, x_d row by row,

    log p(x) = Σ_i log p(x_i | x_1, …, x_(i−1)),

and one pass of a net gives all terms. It is of two stacks of layers,

    a = K_v ∗ v          v' = tanh(a_1) · σ(a_2)                       vertical
    e = K_h ∗ h + L a    h' = h + O (tanh(e_1) · σ(e_2))               horizontal

(a_1, a_2 the halves of a; L, O of 1 × 1). The kernels of the vertical stack reach over
the rows above and its own, and its input is shifted down by one row: it sees all rows
above a pixel. Those of the horizontal one reach to the left, and its input is shifted by
one pixel. So an output depends on every pixel before its own within reach of the kernels,
without a blind spot, and on no other. The first layer has no residual.

To draw an image, the vertical stack is computed once a row, and the horizontal one once a
pixel: each value once, as in one pass.

Source: van den Oord, Kalchbrenner, Vinyals, Espeholt, Graves, Kavukcuoglu (2016),
Conditional Image Generation with PixelCNN Decoders, arXiv 1606.05328, section 2; the
likelihood of binary MNIST: van den Oord, Kalchbrenner, Kavukcuoglu (2016), Pixel
Recurrent Neural Networks, arXiv 1601.06759.
Differs from the papers: a small net. Pixels enter as 2x − 1, so that the zeros beyond the
border are no pixel's value. Adam with a rate that falls to 0. The channels of a colour
pixel stand side by side, as pixels of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from genmodel_bench.models.base import Shape, Stage
from genmodel_bench.models.shared.annealed import Annealed
from genmodel_bench.models.shared.levels import Output, check_levels, drawn, log_probs, outputs_for
from genmodel_bench.models.shared.marginals import marginal_outputs
from torch import Tensor, nn
from torch.nn.functional import linear, pad, relu

AT_ONCE = 100
"""How many images are evaluated at once."""
DRAWN_AT_ONCE = 500
"""How many images are drawn at once: their values at a pixel stay in the cache."""


@dataclass(frozen=True)
class Config:
    """A gated PixelCNN of a first layer and `blocks` more.

    channels: of each stack; head: of the layer before the outputs.
    kernel, first_kernel: widths of the kernels, odd, of the blocks and the first layer.
    levels: grey levels of a pixel.
    output: whether a sample is 'draws' or the 'means' of its conditionals.
    """

    channels: int = 16
    blocks: int = 7
    kernel: int = 3
    first_kernel: int = 7
    head: int = 32
    levels: int = 2
    epochs: int = 20
    batch_size: int = 50
    lr: float = 2e-3
    output: Output = "draws"

    KIND: ClassVar[str] = "models.pixelcnn.Config"
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
    BOUNDS: ClassVar = {
        "levels": (2, 257),
        "blocks": (0, None),
        "kernel": (3, None),
        "first_kernel": (3, None),
    }
    SETTINGS: ClassVar = {
        "digits": {"levels": 17, "blocks": 3, "first_kernel": 5, "lr": 4e-3},
        "digits-binary": {"blocks": 3, "first_kernel": 5, "lr": 4e-3},
        "mnist": {"levels": 256},
        "fashion-mnist": {"levels": 256},
    }
    SOURCES: ClassVar[tuple[str, ...]] = (
        """@inproceedings{vandenoord2016pixelcnn,
            author = {van den Oord, A{\\"a}ron and Kalchbrenner, Nal and Vinyals, Oriol and
                Espeholt, Lasse and Graves, Alex and Kavukcuoglu, Koray},
            title = {Conditional Image Generation with {PixelCNN} Decoders},
            booktitle = {Advances in Neural Information Processing Systems 29},
            year = {2016}, eprint = {1606.05328}, archivePrefix = {arXiv}}""",
    )

    def __post_init__(self) -> None:
        check_levels("pixelcnn", self.levels)
        for name in ("kernel", "first_kernel"):
            if getattr(self, name) < 3 or getattr(self, name) % 2 == 0:
                raise ValueError(f"pixelcnn: {name} must be odd and at least 3, got {getattr(self, name)}")

    def build(self, shape: Shape) -> PixelCNN:
        """Return an untrained net for images of `shape`: (c, h, w)."""
        return PixelCNN(self, shape)


class Layer(nn.Module):
    """A gated layer of both stacks: a kernel of `rows` × `width`, and one of `left` × 1.

    first: no residual.
    """

    def __init__(self, n_in: int, n_out: int, rows: int, width: int, left: int, *, first: bool) -> None:
        super().__init__()
        self.rows, self.left, self.first = rows, left, first
        self.side = width // 2
        self.v = nn.Conv2d(n_in, 2 * n_out, (rows, width))
        self.h = nn.Conv2d(n_in, 2 * n_out, (1, left))
        self.link = nn.Conv2d(2 * n_out, 2 * n_out, 1)
        self.out = nn.Conv2d(n_out, n_out, 1)

    def forward(self, v: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """Return both stacks after the layer, each (n, channels, h, w)."""
        down, link = self.vertical(pad(v, (0, 0, self.rows - 1, 0)))
        right = self.out(gated(self.h(pad(h, (self.left - 1, 0))) + link))
        return down, right if self.first else h + right

    def vertical(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """Return the vertical stack and what it tells the horizontal one.

        v: with rows − 1 rows more above than both have.
        """
        a = self.v(pad(v, (self.side, self.side)))
        return gated(a), self.link(a)

    def pixel(self, window: Tensor, link: Tensor) -> Tensor:
        """Return the horizontal stack at one pixel, (n, channels).

        window: (n, left · n_in), the stack at the pixels up to this one; link: (n, 2
        channels).
        """
        # (2 channels, n_in, 1, left) -> (2 channels, left · n_in)
        taps = self.h.weight[:, :, 0].transpose(1, 2).flatten(1)
        right = pointwise(self.out, gated(linear(window, taps, self.h.bias) + link))
        return right if self.first else window[:, -right.shape[1] :] + right


def gated(a: Tensor) -> Tensor:
    """Return tanh(a_1) σ(a_2) of the halves of channels, the axis 1."""
    left, right = a.chunk(2, 1)
    return left.tanh() * right.sigmoid()


def pointwise(layer: nn.Conv2d, x: Tensor) -> Tensor:
    """Return a 1 × 1 convolution of the values at one pixel, (n, channels)."""
    return linear(x, layer.weight.flatten(1), layer.bias)


class PixelCNN(nn.Module):
    """The two stacks of a `Config`, for images of `shape`.

    Its order of pixels, and of the channels of each, is row by row: (h, w, c).
    """

    dequantised = False

    def __init__(self, config: Config, shape: Shape) -> None:
        super().__init__()
        self.config, self.shape, self.levels = config, shape, config.levels
        c, k, first = config.channels, config.kernel // 2, config.first_kernel
        # of the first layer without the pixel itself: the input is shifted
        layers = [Layer(1, c, first // 2, first, first // 2, first=True)]
        layers += [Layer(c, c, k + 1, config.kernel, k + 1, first=False) for _ in range(config.blocks)]
        self.layers = nn.ModuleList(layers)
        self.head = nn.Conv2d(c, config.head, 1)
        self.last = nn.Conv2d(config.head, outputs_for(config.levels), 1)

    @torch.no_grad()
    def initialise(self, x: Tensor) -> None:
        """Set the output bias to the logits of the levels' shares of all pixels."""
        assert self.last.bias is not None
        self.last.bias.copy_(marginal_outputs(x.reshape(-1, 1), self.levels)[0])

    def stages(self) -> Sequence[Stage]:
        """Return the one stage of maximum likelihood."""
        c = self.config
        self.descent = Annealed(self.parameters(), lr=c.lr, epochs=c.epochs)
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
        x = 2 * x.unflatten(1, (1, self.shape[1], -1)) - 1  # (n, 1, h, w · c)
        v, h = pad(x, (0, 0, 1, -1)), pad(x, (1, -1))
        for layer in self.layers:
            v, h = layer(v, h)
        y: Tensor = self.last(relu(self.head(relu(h))))
        return y.flatten(2)

    def log_probs(self, x: Tensor) -> Tensor:
        """Return log p(x), (n, c, h, w) -> (n,), differentiable."""
        x = x.permute(0, 2, 3, 1).flatten(1)
        return log_probs(self.outputs(x), x).sum(1)

    @torch.no_grad()
    def log_prob(self, x: Tensor) -> Tensor:
        """Return log p(x): (n, c, h, w) -> (n,), nats."""
        return torch.cat([self.log_probs(part) for part in x.split(AT_ONCE)])

    @torch.no_grad()
    def sample(self, n: int) -> Tensor:
        """Return n draws, (n, c, h, w), each value of the net computed once."""
        c, h, w = self.shape
        at_once = range(0, n, DRAWN_AT_ONCE)
        x = torch.cat([self.draw(min(DRAWN_AT_ONCE, n - start)) for start in at_once])
        return x.view(n, h, w, c).permute(0, 3, 1, 2).contiguous()

    def draw(self, n: int) -> Tensor:
        """Return n draws at once, (n, h, w · c)."""
        c, h, w = self.shape
        x, shown = (self.head.weight.new_zeros(n, h, w * c) for _ in range(2))
        # the last rows of what the vertical stack of each layer sees
        above = [x.new_zeros(n, layer.v.in_channels, layer.rows, w * c) for layer in self.layers]
        for r in range(h):
            v = 2 * x[:, r - 1].view(n, 1, 1, -1) - 1 if r else above[0][:, :, :1]
            links = []
            for i, layer in enumerate(self.layers):
                above[i] = torch.cat([above[i][:, :, 1:], v], 2)
                v, link = layer.vertical(above[i])
                links.append(link[:, :, 0].permute(2, 0, 1).contiguous())  # (w · c, n, channels)
            self.draw_row(links, x[:, r], shown[:, r])
        return shown

    def draw_row(self, links: Sequence[Tensor], x: Tensor, shown: Tensor) -> None:
        """Draw one row into x, and what is shown of it into `shown`: (n, w · c)."""
        n, w = x.shape
        # what the horizontal stack of each layer sees in the row, beyond the border zeros
        seen = [x.new_zeros(n, (layer.left - 1 + w) * layer.h.in_channels) for layer in self.layers]
        for q in range(w):
            h = 2 * x[:, q - 1, None] - 1 if q else x.new_zeros(n, 1)
            for layer, link, row in zip(self.layers, links, seen, strict=True):
                size = h.shape[1]
                window = row[:, q * size : (q + layer.left) * size]
                window[:, -size:] = h
                h = layer.pixel(window, link[q])
            y = pointwise(self.last, relu(pointwise(self.head, relu(h))))
            x[:, q], shown[:, q] = drawn(y, self.config.output)
