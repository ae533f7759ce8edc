"""Who is notified of cells while they run?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from genmodel_bench.cells.cell import Cell
from genmodel_bench.execution.messages import News, Outcome


class Listener(Protocol):
    """Is notified of cells while they run; the command line's listener shows them."""

    def doing(self, what: str) -> None:
        """Handle what the command does from now on, between cells or before them."""
        return None

    def step(self, what: str, done: int, total: int) -> None:
        """Handle what the command does from now on, after `done` of `total` steps."""
        return None

    def planned(self, cells: Sequence[Cell]) -> None:
        """Handle the cells that will be run, in order."""
        return None

    def started(self, cell: Cell) -> None:
        """Handle the start of a cell."""
        return None

    def news(self, cell: Cell, news: News) -> None:
        """Handle news of a cell, such as progress in training or a validation check."""
        return None

    def notice(self, text: str) -> None:
        """Handle something the user should know that is of no single cell."""
        return None

    def finished(self, cell: Cell, outcome: Outcome) -> None:
        """Handle the outcome of a cell; its rows are stored already."""
        return None

    def ended(self, stale: Sequence[str]) -> None:
        """Handle the end of the run; `stale` names the stale lines of the table."""
        return None


class Silent(Listener):
    """A listener that ignores everything."""
