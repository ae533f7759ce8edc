"""What does a metric need, and what does it return?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from genmodel_bench.metrics.column import Column
from torch import Tensor


@dataclass(frozen=True)
class Subject:
    """What is scored: samples, and the model that made them where there is one.

    samples: (n, c, h, w), float32 in [0, 1].
    redraws: further sets of n samples of the same model, drawn independently of the
        first. The spread of their scores is the error that comes from drawing.
    """

    samples: Tensor
    model: object = None
    redraws: Sequence[Tensor] = ()


class Split(Protocol):
    """Real images that were held out from training.

    (n, c, h, w), float32 in [0, 1], on the samples' device.
    """

    @property
    def valid(self) -> Tensor:
        """The validation images: a metric may choose its settings on them."""

    @property
    def test(self) -> Tensor:
        """The test images: they are scored, and no setting is chosen on them."""


class Reference(Split, Protocol):
    """The real images that a metric may compare samples with."""

    @property
    def train(self) -> Tensor:
        """The images that the models were trained on, (n, c, h, w)."""

    @property
    def folds(self) -> Sequence[Split]:
        """The folds, each with its own `valid` and `test`.

        Empty unless the held-out images are published as folds.
        """


@dataclass(frozen=True)
class Score:
    """One number with what is needed to interpret it.

    stderr: the standard error over `stderr_over`.
    stderr_over: what the error is over: "test examples", "samples", "folds".
    n: how many of these there are.
    better: which direction is better, or that neither is.
    warning: the reason not to trust the number, in one line; empty if there is none.
    draw_sd: the standard deviation over draws, where the value is a mean over several
        draws of samples; else None.
    settings: what two scores must share to be comparable, and what the metric chose.
    curves: {name: {setting: value}}: the number, or the one by which a setting was
        chosen, as a function of that setting.
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
    """The scores of one metric, the headline first, and the arrays behind them.

    The arrays hold values per example, for figures and comparisons.
    """

    scores: Mapping[str, Score]
    arrays: Mapping[str, Tensor] = field(default_factory=dict)


class Metric(Protocol):
    """A frozen dataclass of settings; called with a subject, it returns scores.

    Random numbers come from torch's default generator on the samples' device, which the
    caller seeds. `SOURCES` is optional: what to cite for the metric, a tuple of BibTeX
    entries as text, which `bench cite` prints; () where there is nothing to cite.
    """

    @property
    def needs(self) -> tuple[type, ...]:
        """Runtime-checkable Protocols that the subject's model must implement.

        A model that lacks one gets the row "n/a".
        """

    @property
    def min_samples(self) -> int:
        """The fewest samples that can be scored."""

    @property
    def columns(self) -> Mapping[str, Column]:
        """The columns of the scores that tables show, by the score's name.

        A `ClassVar` or a property. Other scores are in `runs.csv` and on the page alone.
        """

    def __call__(self, subject: Subject, reference: Reference) -> Result:
        """Return the scores of `subject` against the real images of `reference`."""
