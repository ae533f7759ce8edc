"""What can be heard of cells while they run?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from genmodel_bench.cells.cell import Cell
from genmodel_bench.execution.draws import News
from genmodel_bench.execution.execute import Outcome


class Watch(Protocol):
    """What is told of cells while they run; the command line shows it."""

    def started(self, cell: Cell) -> None:
        """Hear that a cell begins."""
        return None

    def news(self, cell: Cell, news: News) -> None:
        """Hear where its training or sampling stands, or what a check on validation images says."""
        return None

    def finished(self, cell: Cell, outcome: Outcome) -> None:
        """Hear what came of it; its rows are stored already."""
        return None

    def ended(self, stale: Sequence[str]) -> None:
        """Hear that all is done, and which lines of the table other code or data made than there are now."""
        return None


class Silent(Watch):
    """Listens to nothing."""
