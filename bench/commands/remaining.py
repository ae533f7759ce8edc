"""How long will the rest of a run take?

The basis is what cells of a kind have taken: those that were finished here, else the
progress of one that runs, else what stored rows say. A model of which none of these is
known is taken to need the mean of the other models, a reference row that of the other
reference rows, and the estimate says that it is a guess. Without a basis there is no
estimate.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from genmodel_bench.cells.cell import Cell

Kind = tuple[str, str, str, int]
"""What cells that differ in the seed alone share: role, model, variant, samples."""
WATCHED = 2.0
"""Seconds for which progress is watched before anything is concluded from it."""


@dataclass(frozen=True)
class Remaining:
    """The seconds that are left, and whether kinds without a basis are among them."""

    seconds: float
    guessed: bool = False


@dataclass
class Running:
    """A cell that runs: since when, and the first and the last progress of its phase.

    A phase is training or sampling; each counts to a total of its own.
    """

    since: float
    phase: float = 0.0
    first: int = 0
    done: int = 0
    total: int = 0

    def left(self, now: float) -> float | None:
        """Return the seconds that are left of the phase; None without a basis."""
        made, took = self.done - self.first, now - self.phase
        if made <= 0 or took < WATCHED:
            return None
        return max(0.0, took * (self.total - self.done) / made)


@dataclass
class Estimate:
    """What is known of the time that the cells of a run take.

    now: the clock, in seconds.
    """

    now: Callable[[], float] = time.monotonic
    cells: dict[Cell, None] = field(default_factory=dict)
    running: dict[Cell, Running] = field(default_factory=dict)
    finished: int = 0
    at_once: int = 1
    here: dict[Kind, list[float]] = field(default_factory=dict)
    stored: dict[Kind, list[float]] = field(default_factory=dict)

    def planned(self, cells: Sequence[Cell]) -> None:
        """Note the cells that will be run."""
        self.cells = dict.fromkeys(cells)

    def started(self, cell: Cell) -> None:
        """Note the start of a cell."""
        self.running[cell] = Running(self.now())
        self.at_once = max(self.at_once, len(self.running))

    def progress(self, cell: Cell, done: int, total: int) -> None:
        """Note how far a cell is in its phase."""
        at = self.running.get(cell)
        if at is None:
            return
        if total != at.total or done < at.done:
            at.phase, at.first, at.total = self.now(), done, total
        at.done = done

    def ended(self, cell: Cell, *, reused: bool = False, stored: float | None = None) -> None:
        """Note the end of a cell.

        stored: the seconds that its rows say it took, if they are reused and say so.
        """
        at = self.running.pop(cell, None)
        self.cells.pop(cell, None)
        self.finished += 1
        if reused:
            if stored is not None:
                self.stored.setdefault(kind_of(cell), []).append(stored)
        elif at is not None:
            self.here.setdefault(kind_of(cell), []).append(self.now() - at.since)

    def left_of(self, cell: Cell) -> float | None:
        """Return the seconds that a running cell still takes; None without a basis.

        They are those of its phase, or what lacks to what its kind took if that is more.
        """
        at, whole = self.running[cell], self.finished_mean(kind_of(cell))
        parts = [at.left(self.now()), None if whole is None else whole - (self.now() - at.since)]
        known = [part for part in parts if part is not None]
        return max(0.0, *known) if known else None

    def finished_mean(self, kind: Kind) -> float | None:
        """Return what finished cells of a kind took, here or else elsewhere; or None."""
        times = self.here.get(kind) or self.stored.get(kind)
        return fmean(times) if times else None

    def basis(self) -> dict[Kind, float]:
        """Return the seconds of a cell of each kind of which something is known."""
        found = {kind: fmean(times) for kind, times in {**self.stored, **self.here}.items()}
        now = self.now()
        for cell, at in list(self.running.items()):
            left = at.left(now)
            if left is not None:
                found.setdefault(kind_of(cell), now - at.since + left)
        return found

    def remaining(self) -> Remaining | None:
        """Return what is left of all cells, as many of them at once as so far."""
        basis, now, guessed = self.basis(), self.now(), False
        whole, runs = list[float](), list[float]()
        for cell in list(self.cells):
            at = self.running.get(cell)
            left = self.left_of(cell) if at else None
            if left is None:
                alike = [seconds for kind, seconds in basis.items() if kind[0] == cell.role]
                usual = basis.get(kind_of(cell), fmean(alike) if alike else None)
                if usual is None:
                    return None
                guessed = guessed or kind_of(cell) not in basis
                left = max(0.0, usual - (now - at.since)) if at else usual
            (runs if at else whole).append(left)
        return Remaining(max([sum(whole + runs) / self.at_once, *runs]), guessed) if whole or runs else None


def kind_of(cell: Cell) -> Kind:
    """Return what a cell shares with those of other seeds."""
    return (cell.role, *cell.line)


def in_words(seconds: float) -> str:
    """Return a time as people say it: '40 s', '3 min', '2.5 h', '3 d'."""
    if seconds < 10:
        return f"{max(1, round(seconds))} s"
    if seconds < 57.5:
        return f"{5 * round(seconds / 5)} s"
    if seconds < 3570:
        return f"{max(1, round(seconds / 60))} min"
    if seconds < 48 * 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{round(seconds / 86400)} d"
