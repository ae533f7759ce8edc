"""What must a model offer, so that the training loop can train it and the metrics can score it?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

Shape = tuple[int, int, int]
"""One image: (c, h, w)."""


Prior = Literal["uniform", "gaussian"]
"""What latent codes are drawn from, each number of them with mean 0 and variance 1."""


@dataclass(frozen=True)
class Schedule:
    """A 0-d tensor that the training loop sets to `value(step, epoch)` before each step, both counted from 0.

    `tensor` lives on the model's device and is read by `step`: a rate that changes then needs
    neither a host synchronisation nor a new CUDA graph.
    """

    tensor: Tensor
    value: Callable[[int, int], float]


@dataclass(frozen=True)
class Stage:
    """One training phase: `epochs` passes of shuffled minibatches through `step`.

    `step(x, y)` takes one minibatch, x: (batch_size, c, h, w) or whatever `inputs` returns,
    y: (batch_size,) int64 or None; it updates the model and returns named 0-d tensors to log. It neither
    synchronises with the host nor branches on data, so that it can be captured as a CUDA graph.
    `inputs` maps the training images to what the stage trains on, once, before its first epoch; it draws nothing.
    `optimisers` are listed so that a checkpoint holds their state.
    """

    name: str
    epochs: int
    batch_size: int
    step: Callable[[Tensor, Tensor | None], dict[str, Tensor]]
    optimisers: Sequence[torch.optim.Optimizer] = ()
    schedules: Sequence[Schedule] = ()
    inputs: Callable[[Tensor], Tensor] | None = None


@runtime_checkable
class Model(Protocol):
    """An `nn.Module` with three verbs, called in this order: initialise, the stages' steps, sample.

    Every random draw comes from torch's default generator of the model's device, which is seeded outside.
    """

    # What is used of nn.Module.
    def to(self, device: torch.device) -> Model:
        """Return the model on a device."""

    def train(self) -> Model:
        """Return the model, set to train."""

    def eval(self) -> Model:
        """Return the model, set to be used."""

    def parameters(self) -> Iterator[nn.Parameter]:
        """Yield what is trained."""

    def buffers(self) -> Iterator[Tensor]:
        """Yield what else belongs to the weights."""

    def state_dict(self) -> dict[str, Tensor]:
        """Return parameters and buffers by name."""

    def load_state_dict(self, state_dict: Mapping[str, Tensor]) -> object:
        """Take parameters and buffers by name."""

    def initialise(self, x: Tensor) -> None:
        """Set what depends on the training images x: (n, c, h, w), float32 in [0, 1], before any stage.

        The reference rows, which have no stages, do all their fitting here.
        """

    def stages(self) -> Sequence[Stage]:
        """Return the training phases in order; called once, with the model on its device."""

    def sample(self, n: int) -> Tensor:
        """Return n independent draws, (n, c, h, w), float32 in [0, 1]."""


class Config(Protocol):
    """A frozen dataclass of hyper-parameters; `build` is the only way to make a Model. A field `epochs` is of the last stage.

    `KIND` names the kind of model in seeds and keys, and is never changed: a file may move, the random numbers may not. `SETTINGS` names,
    for a data set, the fields that differ from the defaults there; `SAMPLING` the fields that only `sample` reads: models
    that differ in nothing else share one training. `REFERENCE` marks the rows that calibrate a metric. A Config that is
    meant for some data sets alone names them in `ONLY`: `bench run --all` runs it on these. One whose model opens files of its own names
    them in `INPUTS`, paths from the folder of its module: their content is an ingredient, which nothing else would know of.
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]
    KIND: ClassVar[str]
    SETTINGS: ClassVar[Mapping[str, Mapping[str, Any]]]
    SAMPLING: ClassVar[tuple[str, ...]]
    REFERENCE: ClassVar[bool]

    def build(self, shape: Shape) -> Model:
        """Return an untrained Model for images of `shape`."""


def pick(rows: Tensor, n: int) -> Tensor:
    """Return n rows in random order, without replacement; when n exceeds them, each as often as any other.

    rows: (m, ...), m ≥ 1; returns (n, ...).
    """
    m = len(rows)
    whole, rest = divmod(n, m)
    index = torch.cat([torch.arange(m).repeat(whole), torch.randperm(m)[:rest]])
    index = index[torch.randperm(n)]
    return rows[index.to(rows.device)]
