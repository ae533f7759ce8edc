"""Who is told of cells while they run?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from genmodel_bench.cells.cell import Cell
from genmodel_bench.execution.messages import News, Outcome


class Listener(Protocol):
    """What is told of cells while they run; the command line shows it."""

    def started(self, cell: Cell) -> None:
        """Hear that a cell begins."""
        return None

    def news(self, cell: Cell, news: News) -> None:
        """Hear of its progress in training or sampling, or of a validation check."""
        return None

    def finished(self, cell: Cell, outcome: Outcome) -> None:
        """Hear its outcome; its rows are stored already."""
        return None

    def ended(self, stale: Sequence[str]) -> None:
        """Hear that the run is over, and which lines of the table are stale."""
        return None


class Silent(Listener):
    """Listens to nothing."""
