"""What is told of a cell while it runs, and what do worker processes tell the one that reads them?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from genmodel_bench.cells.cell import Cell
from genmodel_bench.storage.record import Record
from genmodel_bench.training.loop import Epoch, Progress
from genmodel_bench.training.selection import Check


@dataclass(frozen=True)
class Notice:
    """Something a user should know that stops nothing, like a damaged checkpoint."""

    text: str


@dataclass(frozen=True)
class Waiting:
    """A cell waits for a training that another one shares with it, or no longer does."""

    over: bool


News = Progress | Epoch | Check | Notice | Waiting
Tell = Callable[[News], None]


@dataclass
class Outcome:
    """The records of a cell, and whether all of them were there already."""

    records: list[Record]
    reused: bool


@dataclass(frozen=True)
class Order:
    """To a worker: run this cell, if this process's code gives its scores these keys.

    With `wait`, wait for another process that has the cell locked; else answer Elsewhere.
    """

    cell: Cell
    keys: list[str]
    wait: bool


@dataclass(frozen=True)
class Ready:
    """A worker has loaded its data."""


@dataclass(frozen=True)
class Begun:
    """The cell has begun; time counts from here."""


@dataclass(frozen=True)
class Told:
    """What is told of the cell."""

    news: tuple[News, ...]


@dataclass(frozen=True)
class Artefact:
    """A file under the folder of artefacts, or None for one that was deleted."""

    name: str
    content: bytes | None


@dataclass(frozen=True)
class Elsewhere:
    """Another process has the cell locked."""


@dataclass(frozen=True)
class Trouble:
    """No cell can be run, for this reason."""

    text: str


Message = Ready | Begun | Told | Artefact | Outcome | Elsewhere | Trouble
