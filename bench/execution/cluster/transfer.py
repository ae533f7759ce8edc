"""What of a cell's artefacts travels between machines that share no disk, and how is it known what has changed since?

A parcel holds the files that the cell goes on from, each by its path under the folder of artefacts. They are all written whole, by rename:
a file is sent when it is another one than the last time.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from genmodel_bench.cells.cell import Cell
from genmodel_bench.execution.artefacts import made_of_cell, shared_by_fit
from genmodel_bench.storage.atomic import write_atomically
from genmodel_bench.storage.store import Store

Files = dict[str, bytes]
KINDS = ("fits", "checks", "samples", "scores", "albums")
"""The folders of artefacts that a cell reads and writes."""
PASSING = (".tmp", ".lock")
"""What lies there besides artefacts."""
SETTLED = 0.05
"""Seconds after which a file is sent: more than the clock of a file system lags behind the clock of time.time()."""

Mark = tuple[int, int, int]


def pack(cell: Cell, store: Store) -> Files:
    """Return the artefacts of a cell that there are: checkpoints and kept weights, checks, draws, album."""
    found = [*shared_by_fit(cell, store), *made_of_cell(cell, store)]
    return {path.relative_to(store.cache).as_posix(): path.read_bytes() for path in found}


def receive(name: str, content: bytes | None, store: Store) -> None:
    """Write an artefact that came from another machine, or delete the one that is no more there. Raises ValueError for an odd name."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or path.parts[0] not in KINDS:
        raise ValueError(f"parcel: {name!r} is no artefact")
    if content is None:
        (store.cache / path).unlink(missing_ok=True)
    else:
        write_atomically(store.cache / path, content)


class Changes:
    """Tells which artefacts under a folder appeared, changed or went since it was last asked; those that are there at first are known."""

    def __init__(self, cache: Path) -> None:
        self.cache = cache
        self.known = self.look()

    def look(self) -> dict[str, Mark]:
        """Return what tells one state of each artefact from the next: when it was written, which file it is, its size."""
        found = {}
        for kind in KINDS:
            for path in (self.cache / kind).rglob("*"):
                try:
                    stat = path.stat()
                except FileNotFoundError:  # replaced just now
                    continue
                if path.is_file() and path.suffix not in PASSING:
                    found[path.relative_to(self.cache).as_posix()] = (
                        stat.st_mtime_ns,
                        stat.st_ino,
                        stat.st_size,
                    )
        return found

    def since(self, *, last: bool = False) -> Iterator[tuple[str, bytes | None]]:
        """Yield each artefact that is new, in the order in which they were written, then those that are gone, as None.

        One that is younger than a moment waits for the next time, unless this is the `last`: a folder is not read at one moment, and a
        checkpoint must not be sent before the weights that were kept before it, without which training starts anew.
        """
        until = time.time_ns() - (0 if last else int(SETTLED * 1e9))
        there = self.look()
        new = sorted((mark, name) for name, mark in there.items() if self.known.get(name) != mark)
        settled = [(mark, name) for mark, name in new if last or mark[0] < until]
        for mark, name in settled:
            try:
                content = (self.cache / name).read_bytes()
            except FileNotFoundError:
                continue
            yield name, content
            self.known[name] = mark
        if len(settled) == len(new):
            for name in sorted(self.known.keys() - there.keys()):
                yield name, None
                del self.known[name]
