"""What does a metric need, and what does it return?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from torch import Tensor


@dataclass(frozen=True)
class Subject:
    """What is scored: samples (n, c, h, w), float32 in [0, 1], and the model that made them where there is one.

    `redraws` are further samples of the same model, as many each, drawn independently of the first: their spread is the error that
    comes from drawing.
    """

    samples: Tensor
    model: object = None
    redraws: Sequence[Tensor] = ()


class Split(Protocol):
    """Real images that were held out from training, (n, c, h, w), float32 in [0, 1], on the samples' device."""

    @property
    def valid(self) -> Tensor:
        """What a metric may choose its settings on."""

    @property
    def test(self) -> Tensor:
        """What is scored."""


class Reference(Split, Protocol):
    """The real images a metric may compare with."""

    @property
    def train(self) -> Tensor:
        """What the models were trained on."""

    @property
    def folds(self) -> Sequence[Split]:
        """Where the held-out images are published as folds: each has its own `valid` and `test`; empty elsewhere."""


@dataclass(frozen=True)
class Score:
    """One number with what it takes to read it.

    `stderr` is the standard error over `stderr_over` ("test examples", "samples", "folds"), of which there are `n`. Of a mean over
    several draws of samples, `draw_sd` is the standard deviation over them. `better` is the direction; `warning` says in one line why the
    number is not to be trusted, or is empty. `settings` hold what makes two scores comparable, and what the metric chose; `curves` how the
    number, or the one that chose a setting, moves with it: {name: {setting: value}}.
    """

    value: float
    stderr: float
    stderr_over: str
    n: int
    unit: str
    better: Literal["higher", "lower", "neither"]
    warning: str = ""
    draw_sd: float | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    curves: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Result:
    """The scores of one metric, the headline first, and the arrays behind them (per example, for figures and comparisons)."""

    scores: Mapping[str, Score]
    arrays: Mapping[str, Tensor] = field(default_factory=dict)


class Metric(Protocol):
    """A frozen dataclass of settings that turns a subject into scores.

    `needs` are runtime-checkable Protocols that the subject's model must fit; a model that does not gets the row "n/a".
    Randomness comes from torch's default generator of the samples' device, which the caller seeds.
    """

    @property
    def needs(self) -> tuple[type, ...]:
        """What the subject's model must be an instance of."""

    @property
    def min_samples(self) -> int:
        """The fewest samples that can be scored."""

    def __call__(self, subject: Subject, reference: Reference) -> Result:
        """Score the subject."""
