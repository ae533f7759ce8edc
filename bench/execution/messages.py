"""What is told of a cell while it runs, and which messages do workers send?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from genmodel_bench.cells.cell import Cell
from genmodel_bench.storage.record import Record
from genmodel_bench.training.loop import Epoch, Progress
from genmodel_bench.training.selection import Check


@dataclass(frozen=True)
class Notice:
    """Something the user should know that stops nothing, such as a damaged checkpoint."""

    text: str


@dataclass(frozen=True)
class Waiting:
    """A cell waits for a training that it shares with another cell.

    over: False when the wait begins, True when it ends.
    """

    over: bool


News = Progress | Epoch | Check | Notice | Waiting
Tell = Callable[[News], None]


@dataclass
class Outcome:
    """The records of a cell, and whether all of them were stored already."""

    records: list[Record]
    reused: bool


@dataclass(frozen=True)
class Order:
    """To a worker: run this cell, if its code gives its scores these keys.

    wait: wait for another process that has the cell locked; else answer Elsewhere.
    """

    cell: Cell
    keys: list[str]
    wait: bool


@dataclass(frozen=True)
class Ready:
    """The worker has loaded its data."""


@dataclass(frozen=True)
class Begun:
    """The cell has begun; its timeout counts from here."""


@dataclass(frozen=True)
class Told:
    """News of the cell."""

    news: tuple[News, ...]


@dataclass(frozen=True)
class Artefact:
    """A file of the cell, to be written or deleted.

    name: its path under the folder of artefacts.
    content: None if the file was deleted.
    """

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
