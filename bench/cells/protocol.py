"""How is every model of a run sampled, and with which numerics is it computed?"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

from genmodel_bench.errors import BadOption

MOST = 10**9
"""The largest number of samples or of draws: more are taken for a mistake."""
Checkpoint = Literal["best", "last"]
Precision = Literal["float32", "tf32", "bf16"]


@dataclass(frozen=True)
class Protocol:
    """The settings that are the same for all models of a run.

    samples: number of images drawn from each model and scored together.
    draws: number of such sets; their spread is the error that comes from drawing.
    checkpoint: the weights that are sampled, after the 'last' epoch or the one that is
        'best' on validation images.
    deterministic: use only algorithms of torch that give the same bits every time.
    precision: of matrix products: 'float32'; 'tf32' on CUDA, but not in metrics; or
        'bf16' in training alone, under torch's autocast, with weights in float32.
        Metrics are always in float32, as is everything published.
    """

    samples: int = 10_000
    draws: int = 5
    checkpoint: Checkpoint = "last"
    deterministic: bool = False
    precision: Precision = "float32"

    def check(self) -> None:
        """Check the values.

        Raises:
            BadOption: a number is below 1 or absurd, or a choice does not exist.
        """
        for option, count in (("--samples", self.samples), ("--draws", self.draws)):
            if not 1 <= count <= MOST:
                raise BadOption(f"{option}: got {count}, expected at least 1 and at most {MOST:,}")
        for option, chosen, choices in (
            ("--checkpoint", self.checkpoint, get_args(Checkpoint)),
            ("--precision", self.precision, get_args(Precision)),
        ):
            if chosen not in choices:
                raise BadOption(f"{option}: got {chosen!r}, expected {' or '.join(choices)}")

    @property
    def matmul(self) -> str:
        """Return the precision of float32 products by torch's name."""
        return "high" if self.precision == "tf32" else "highest"

    def options(self, *, reference: bool) -> dict[str, Any]:
        """Return by name what differs from the defaults, except the number of samples.

        Reference models have no checkpoints to choose from.
        """
        without = {"samples", "checkpoint"} if reference else {"samples"}
        return {
            name: getattr(self, name)
            for name in NAMES
            if name not in without and getattr(self, name) != getattr(USUAL, name)
        }


NAMES = ("checkpoint", "draws", "deterministic", "precision", "samples")
"""The fields, in the order in which options are printed."""
LIKE = "like"
"""Among the options of a row: the data set whose settings its model has."""
assert set(NAMES) == {f.name for f in fields(Protocol)}
USUAL = Protocol()
