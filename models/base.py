"""What must a model offer so that it can be trained and scored?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

Shape = tuple[int, int, int]
"""One image: (c, h, w)."""


Prior = Literal["uniform", "gaussian"]
"""The distribution of latent codes; each component has mean 0 and variance 1."""


@dataclass(frozen=True)
class Schedule:
    """A 0-d tensor that changes during training, such as a learning rate.

    Before each step the training loop sets `tensor` to `value(step, epoch)`, both counted
    from 0 in each stage. The tensor is on the model's device and is read by the stage's
    step: a rate can change without a host synchronisation or a new CUDA graph.
    """

    tensor: Tensor
    value: Callable[[int, int], float]


@dataclass(frozen=True)
class Stage:
    """One training phase: `epochs` passes of shuffled mini-batches through `step`.

    `step(x, y)` updates the model on one mini-batch and returns named 0-d tensors to log.
    x: (batch_size, c, h, w), or rows of what `inputs` returns; y: (batch_size,) int64 or
    None. `step` neither synchronises with the host nor branches on data, so that it can
    be captured as a CUDA graph.
    `inputs` maps the training images to what the stage trains on. It is called once,
    before the first epoch, and uses no random numbers.
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
    """An `nn.Module` used in this order: initialise, the steps of its stages, sample.

    Every random number comes from torch's default generator of the model's device, which
    the caller seeds.
    """

    # The part of nn.Module that is used.
    def to(self, device: torch.device) -> Model:
        """Move the model to `device` and return it."""

    def train(self) -> Model:
        """Switch the model to training mode and return it."""

    def eval(self) -> Model:
        """Switch the model to evaluation mode and return it."""

    def parameters(self) -> Iterator[nn.Parameter]:
        """Yield the tensors that are trained."""

    def buffers(self) -> Iterator[Tensor]:
        """Yield the other tensors that `state_dict` returns."""

    def state_dict(self) -> dict[str, Tensor]:
        """Return parameters and buffers by name."""

    def load_state_dict(self, state_dict: Mapping[str, Tensor]) -> object:
        """Set parameters and buffers by name, as returned by `state_dict`."""

    def initialise(self, x: Tensor) -> None:
        """Set what depends on the training images, before any stage.

        x: (n, c, h, w), float32 in [0, 1]. The reference rows have no stages and are
        fitted here entirely.
        """

    def stages(self) -> Sequence[Stage]:
        """Return the training phases in order.

        Called once, with the model on its device.
        """

    def sample(self, n: int) -> Tensor:
        """Return n independent draws, (n, c, h, w), float32 in [0, 1]."""


class Config(Protocol):
    """A frozen dataclass of hyper-parameters; `build` is the only way to make a Model.

    A field `epochs` is the number of epochs of the last stage.

    `KIND` names the kind of model in seeds and keys and never changes: if the file moves,
    the random numbers stay the same. `SETTINGS` maps a data set to the fields that differ
    from the defaults there. `SAMPLING` names the fields that only `sample` reads: models
    that differ in nothing else share one training. `REFERENCE` marks the rows that
    calibrate a metric.

    Four attributes are optional. `ONLY` names data sets: `bench run --all` runs the
    Config on these alone. `INPUTS` names the files that the model itself opens, as paths
    relative to the folder of its module: results then depend on their content, which the
    digest of the code does not cover. `SOURCES` is what to cite for the model, a tuple of
    BibTeX entries as text, which `bench cite` prints. `BOUNDS` maps a field to (low,
    high): `bench run --set` takes numbers of at least low and below high, None for no
    bound; of other fields a number has to be of the sign of the registered ones.
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]
    KIND: ClassVar[str]
    SETTINGS: ClassVar[Mapping[str, Mapping[str, Any]]]
    SAMPLING: ClassVar[tuple[str, ...]]
    REFERENCE: ClassVar[bool]

    def build(self, shape: Shape) -> Model:
        """Return an untrained Model for images of `shape`."""


def pick(rows: Tensor, n: int) -> Tensor:
    """Return n rows in random order, drawn without replacement as far as possible.

    rows: (m, ...), m ≥ 1; returns (n, ...). When n > m, each row is taken n // m times,
    and n % m random rows once more.
    """
    m = len(rows)
    whole, rest = divmod(n, m)
    index = torch.cat([torch.arange(m).repeat(whole), torch.randperm(m)[:rest]])
    index = index[torch.randperm(n)]
    return rows[index.to(rows.device)]
