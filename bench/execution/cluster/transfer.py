"""Which artefacts of a cell travel between machines that share no disk, and which have changed?

Each file goes by its path under the folder of artefacts. They are all written whole, by rename:
a file is sent when it is another one than the last time.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from genmodel_bench.cells.cell import Cell
from genmodel_bench.execution.artefacts import made_of_cell, shared_by_fit
from genmodel_bench.execution.messages import Artefact
from genmodel_bench.storage.atomic import write_atomically
from genmodel_bench.storage.store import Store

Files = dict[str, bytes]
KINDS = ("fits", "checks", "samples", "scores", "visuals")
"""The folders of artefacts that a cell reads and writes."""
PASSING = (".tmp", ".lock")
"""What lies there besides artefacts."""
SETTLED = 0.05
"""Age in seconds of a file that is sent: a file system's clock lags behind time.time()."""

Mark = tuple[int, int, int]


def pack(cell: Cell, store: Store) -> Files:
    """Return a cell's artefacts: checkpoints and kept weights, checks, draws, visuals."""
    found = [*shared_by_fit(cell, store), *made_of_cell(cell, store)]
    return {path.relative_to(store.cache).as_posix(): path.read_bytes() for path in found}


def receive(artefact: Artefact, store: Store) -> None:
    """Write or delete a file as another machine did. Raises ValueError for an odd name."""
    path = PurePosixPath(artefact.name)
    if path.is_absolute() or ".." in path.parts or path.parts[0] not in KINDS:
        raise ValueError(f"transfer: {artefact.name!r} is no artefact")
    if artefact.content is None:
        (store.cache / path).unlink(missing_ok=True)
    else:
        write_atomically(store.cache / path, artefact.content)


class Changes:
    """Tells which artefacts under a folder appeared, changed or went since it was last asked."""

    def __init__(self, cache: Path) -> None:
        self.cache = cache
        self.known = self.look()

    def look(self) -> dict[str, Mark]:
        """Return each artefact's time of writing, inode and size, which tell it from the next."""
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

    def since(self, *, last: bool = False) -> Iterator[Artefact]:
        """Yield new artefacts, in the order in which they were written, then the deleted ones.

        One that is younger than a moment waits for the next time, unless this is the `last`: a
        folder is not read at one moment, and a checkpoint must not be sent before the weights
        that were kept before it, without which training starts anew.
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
            yield Artefact(name, content)
            self.known[name] = mark
        if len(settled) == len(new):
            for name in sorted(self.known.keys() - there.keys()):
                yield Artefact(name, None)
                del self.known[name]
