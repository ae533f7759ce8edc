"""How does a net of masked weights model each pixel given those before it?

With the pixels x_1, …, x_d in an order,

    log p(x) = Σ_i log p(x_i | x_1, …, x_(i−1)),

and one pass of a net gives all terms: a hidden unit has a degree m, and sees inputs and
units of degree at most m; the output of pixel i sees units of a degree below i, and, by
`direct` connections, the pixels before it (MADE). Without hidden layers each conditional
is a logistic regression on the pixels before it, or a softmax for more than two levels:
a fully visible belief network (FVBN).

With several masks, each with an order and degrees of its own, the model is the mixture of
all of them: probabilities are averaged, never logits, whose mean is of no density.

A sample costs about one pass over the weights: a hidden unit is computed when the last
pixel that it sees is drawn, and never again.

Source: Germain, Gregor, Murray, Larochelle (2015), MADE: Masked Autoencoder for
Distribution Estimation, arXiv 1502.03509; FVBN: Neal (1992), Frey (1998); ReLU, direct
connections and initial weights from the authors' code (mgermain/MADE).
Differs from the papers: Adam with a rate that falls to 0 instead of Adagrad; direct
connections start at 0; no look-ahead, the benchmark selects the weights. Pixels of more
than two levels have a softmax, and enter as k / (levels − 1). The masks of a mixture take
turns by the mini-batch, as there; the natural order is never among them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import torch
from genmodel_bench.models.base import Shape, Stage
from genmodel_bench.models.shared.annealed import Annealed
from genmodel_bench.models.shared.levels import Output, check_levels, drawn, log_probs, outputs_for
from genmodel_bench.models.shared.marginals import marginal_outputs
from torch import Tensor, nn
from torch.nn.functional import linear, relu

CHUNK = 2**26
"""How many numbers a layer's values of some images hold, at most, in `log_prob`."""
AT_ONCE = 1000
"""How many images are sampled at once: their values stay in the cache."""


@dataclass(frozen=True)
class Config:
    """Masked nets of `hidden` ReLU layers; none is a fully visible belief network.

    masks: how many orders, each with connections of its own, are mixed.
    direct: whether outputs see the pixels before theirs directly.
    levels: grey levels of a pixel.
    output: whether a sample is 'draws' or the 'means' of its conditionals.
    """

    hidden: tuple[int, ...] = (500,)
    masks: int = 1
    direct: bool = True
    levels: int = 2
    epochs: int = 50
    batch_size: int = 100
    lr: float = 1e-3
    output: Output = "draws"

    KIND: ClassVar[str] = "models.autoregressive.Config"
    REFERENCE: ClassVar[bool] = False
    SAMPLING: ClassVar[tuple[str, ...]] = ("output",)
    ONLY: ClassVar[tuple[str, ...]] = ("digits", "digits-binary", "mnist-binary", "mnist-larochelle")
    BOUNDS: ClassVar = {"levels": (2, 257)}
    SETTINGS: ClassVar = {
        "digits": {"levels": 17, "hidden": (256,), "epochs": 60, "batch_size": 50},
        "digits-binary": {"hidden": (256,), "epochs": 60, "batch_size": 50},
        "mnist-larochelle": {"hidden": (8000,), "epochs": 7},
    }
    SOURCES: ClassVar[tuple[str, ...]] = (
        """@inproceedings{germain2015made,
            author = {Germain, Mathieu and Gregor, Karol and Murray, Iain and Larochelle, Hugo},
            title = {{MADE}: Masked Autoencoder for Distribution Estimation},
            booktitle = {Proceedings of the 32nd International Conference on Machine Learning},
            year = {2015}, eprint = {1502.03509}, archivePrefix = {arXiv}}""",
        """@book{frey1998graphical,
            author = {Frey, Brendan J.},
            title = {Graphical Models for Machine Learning and Digital Communication},
            publisher = {MIT Press}, year = {1998}}""",
    )

    def __post_init__(self) -> None:
        check_levels("autoregressive", self.levels)
        if not self.hidden and not self.direct:
            raise ValueError("autoregressive: without hidden layers nothing is seen unless direct is true")

    def build(self, shape: Shape) -> Masked:
        """Return an untrained net for images of `shape`: (c, h, w)."""
        if math.prod(shape) < 2:
            raise ValueError("autoregressive: got images of one pixel, expected two or more")
        return Masked(self, shape)


class Masked(nn.Module):
    """Masked layers of a `Config`, for images of `shape`.

    place: (masks, d), the place of each pixel in each order, from 0.
    degrees: (masks, units), of all hidden units: the last place that a unit sees.
    turn: the mask of the next mini-batch, (1,).
    """

    dequantised = False

    def __init__(self, config: Config, shape: Shape) -> None:
        super().__init__()
        self.config, self.shape, self.levels = config, shape, config.levels
        d, self.k = math.prod(shape), outputs_for(config.levels)
        sizes = [d, *config.hidden]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        # The outputs of a pixel lie side by side: (d · k, …).
        self.out = nn.Linear(sizes[-1], d * self.k, bias=False) if config.hidden else None
        self.direct = nn.Linear(d, d * self.k, bias=False) if config.direct else None
        self.bias = nn.Parameter(torch.zeros(d * self.k))
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.xavier_uniform_(layer.weight)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
        if self.direct is not None:
            nn.init.zeros_(self.direct.weight)
        self.register_buffer("place", torch.stack([torch.randperm(d) for _ in range(config.masks)]))
        self.register_buffer("degrees", torch.stack([self.draw_degrees(d) for _ in range(config.masks)]))
        self.register_buffer("turn", torch.zeros(1, dtype=torch.int64))
        self.place: Tensor
        self.degrees: Tensor
        self.turn: Tensor

    def draw_degrees(self, d: int) -> Tensor:
        """Return degrees of all hidden units: (units,)."""
        found, least = [], 0
        for size in self.config.hidden:
            found.append(torch.randint(least, d - 1, (size,)))
            least = int(found[-1].min())
        return torch.cat(found) if found else torch.zeros(0, dtype=torch.int64)

    @torch.no_grad()
    def initialise(self, x: Tensor) -> None:
        """Set the output bias to what gives each pixel's levels their shares."""
        self.bias.copy_(marginal_outputs(x.flatten(1), self.levels).flatten())

    def stages(self) -> Sequence[Stage]:
        """Return the one stage of maximum likelihood."""
        c = self.config
        self.descent = Annealed(self.parameters(), lr=c.lr, epochs=c.epochs)
        optimisers, schedules = [self.descent.optimiser], [self.descent.schedule]
        return [Stage("likelihood", c.epochs, c.batch_size, self.step, optimisers, schedules)]

    def step(self, x: Tensor, y: Tensor | None) -> dict[str, Tensor]:
        """Take one step up the log-likelihood of x: (n, c, h, w), under the next mask.

        Logs its negative, nats per image.
        """
        loss = -self.log_probs(x.flatten(1), self.turn).mean()
        self.descent.descend(loss)
        self.turn.add_(1).remainder_(len(self.place))
        return {"loss": loss.detach()}

    def outputs(self, x: Tensor, mask: int | Tensor) -> Tensor:
        """Return the net's outputs for x: (n, d) under one mask, (n, k, d)."""
        place = self.place[mask].flatten()
        degrees = self.degrees[mask].flatten().split(self.config.hidden) if self.config.hidden else ()
        h, seen = x, place
        for layer, degree in zip(self.layers, degrees, strict=True):
            connected = degree[:, None] >= seen[None]
            h, seen = relu(linear(h, layer.weight * connected, layer.bias)), degree
        y = self.bias.expand(len(x), -1)
        if self.out is not None:
            y = y + linear(h, self.masked(self.out, place, seen))
        if self.direct is not None:
            y = y + linear(x, self.masked(self.direct, place, place))
        # (n, d · k) -> (n, k, d)
        return y.to(x.dtype).unflatten(1, (-1, self.k)).transpose(1, 2)

    def masked(self, layer: nn.Linear, place: Tensor, seen: Tensor) -> Tensor:
        """Return a layer's weights, 0 where what is seen is not before the pixel."""
        connected = place[:, None] > seen[None]
        return layer.weight * connected.repeat_interleave(self.k, 0)

    def log_probs(self, x: Tensor, mask: int | Tensor) -> Tensor:
        """Return log p of x: (n, d) under one mask, (n,)."""
        return log_probs(self.outputs(x, mask), x).sum(1)

    @torch.no_grad()
    def log_prob(self, x: Tensor) -> Tensor:
        """Return log p(x), the log of the mean over masks: (n, c, h, w) -> (n,), nats."""
        units = max(len(self.bias), *self.config.hidden, 1)
        return torch.cat([self.mixed(part.flatten(1)) for part in x.split(max(1, CHUNK // units))])

    def mixed(self, x: Tensor) -> Tensor:
        """Return log p of x: (n, d) under the mixture of all masks, (n,)."""
        each = torch.stack([self.log_probs(x, mask).double() for mask in range(len(self.place))])
        return each.logsumexp(0) - math.log(len(each))

    @torch.no_grad()
    def sample(self, n: int) -> Tensor:
        """Return n draws, (n, c, h, w), each under a mask that is drawn for it."""
        masks = torch.randint(len(self.place), (n,), device=self.place.device)
        x = self.bias.new_empty(n, math.prod(self.shape))
        for mask in range(len(self.place)):
            mine = (masks == mask).nonzero()[:, 0]
            for part in mine.split(AT_ONCE):
                x[part] = self.sample_under(mask, len(part))
        return x.view(n, *self.shape)

    def sample_under(self, mask: int, n: int) -> Tensor:
        """Return n draws under one mask, (n, d): each unit is computed once.

        Pixels in the order of the mask, and units in the order of their degrees, are rows
        of (·, n): what is known is the first rows of each.
        """
        c, d = self.config, len(self.bias) // self.k
        order = self.place[mask].argsort()
        degrees = self.degrees[mask].split(c.hidden) if c.hidden else ()
        orders = [degree.argsort(stable=True) for degree in degrees]
        # ends[l][t]: how many units of layer l see no place after t
        ends = [torch.bincount(degree, minlength=d).cumsum(0).tolist() for degree in degrees]
        below = [order, *orders]
        weights = [layer.weight[a][:, b] for layer, a, b in zip(self.layers, orders, below, strict=False)]
        biases = [layer.bias[a, None] for layer, a in zip(self.layers, orders, strict=True)]
        rows = (order[:, None] * self.k + torch.arange(self.k, device=order.device)).flatten()
        out = None if self.out is None else self.out.weight[rows][:, below[-1]]
        direct = None if self.direct is None else self.direct.weight[rows][:, order]
        bias = self.bias[rows, None]
        x, shown = (self.bias.new_zeros(d, n) for _ in range(2))
        units = [self.bias.new_empty(size, n) for size in c.hidden]
        done = [0] * len(units)
        for t in range(d):
            here = slice(t * self.k, (t + 1) * self.k)
            y = bias[here].expand(-1, n)
            if out is not None and done[-1]:
                y = torch.addmm(y, out[here, : done[-1]], units[-1][: done[-1]])
            if direct is not None and t:
                y = torch.addmm(y, direct[here, :t], x[:t])
            x[t], shown[t] = drawn(y.T, c.output)
            h, known = x, t + 1
            for i, (w, b) in enumerate(zip(weights, biases, strict=True)):
                new = slice(done[i], ends[i][t])
                if new.start < new.stop:
                    units[i][new] = relu(torch.addmm(b[new].expand(-1, n), w[new, :known], h[:known]))
                h, known, done[i] = units[i], new.stop, new.stop
        return shown[order.argsort()].T  # rows of places -> (n, d)
