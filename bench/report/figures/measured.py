"""What do the rows of a study say, over its seeds?"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from genmodel_bench.storage.studied import REAL, Studied


@dataclass(frozen=True)
class Spread:
    """The values of a quantity over seeds, in no order."""

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Return their mean."""
        return statistics.fmean(self.values)

    def __str__(self) -> str:
        """Return 'mean (lowest to highest)'."""
        text = f"{self.mean:.3g}"
        low, high = min(self.values), max(self.values)
        return text if len(self.values) < 2 else f"{text} ({low:.3g} to {high:.3g})"


@dataclass(frozen=True)
class Found:
    """The rows of one study on one data set, all of one recipe."""

    rows: Sequence[Studied]

    @property
    def dataset(self) -> str:
        """Return the name of the data set."""
        return self.rows[0].dataset

    @property
    def budget(self) -> int:
        """Return after how many mini-batches a training ends."""
        return self.rows[0].budget

    @cached_property
    def seeds(self) -> list[int]:
        """Return the seeds of which there are trainings."""
        return sorted({r.seed for r in self.rows if r.seed is not None and r.status == "ok"})

    def values_of(self, setting: str) -> list[str]:
        """Return the values of a setting, in the order of the study."""
        return list(dict.fromkeys(r.at for r in self.rows if r.setting == setting and r.status == "ok"))

    def at(self, quantity: str, setting: str, value: str, step: int) -> Spread | None:
        """Return a quantity after `step` mini-batches; None where there is none."""
        found = tuple(
            r.value
            for r in self.rows
            if (r.quantity, r.setting, r.at, r.step) == (quantity, setting, value, step)
        )
        return Spread(found) if found else None

    def steps_of(self, setting: str, value: str) -> list[int]:
        """Return after how many mini-batches was measured."""
        return sorted({r.step for r in self.rows if (r.setting, r.at) == (setting, value) and r.step})

    def after(self, player: str, quantity: str, setting: str, value: str) -> Spread | None:
        """Return a quantity after about `budget` updates of a player, 'G' or 'D'."""
        updates = {
            r.step: r.updates_g if player == "G" else r.updates_d
            for r in self.rows
            if (r.setting, r.at) == (setting, value) and r.step
        }
        nearest = min(updates, key=lambda step: abs(updates[step] - self.budget), default=0)
        return self.at(quantity, setting, value, nearest)

    def real(self, quantity: str) -> float | None:
        """Return a quantity of unseen real images."""
        return next((r.value for r in self.rows if (r.setting, r.quantity) == (REAL, quantity)), None)

    @property
    def said(self) -> str:
        """Return the caption's sentences on seeds and on trainings that failed."""
        n = len(self.seeds)
        text = f" Means over {n} seeds, and from the lowest to the highest." if n > 1 else " One seed."
        failed = [f"{r.setting} {r.at}, seed {r.seed} ({r.status[:80]})" for r in self.rows if r.failed]
        return text + (f" Of {len(failed)} there is no number: {'; '.join(failed)}." if failed else "")
