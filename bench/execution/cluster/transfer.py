"""Which artefacts of a cell are sent between machines, and which have changed?

The machines share no disk. Each file is sent with its path under the folder of artefacts.
All files are written whole, by rename: one is sent if it is not the same file as last
time.
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
KINDS = ("fits", "checks", "samples", "scores", "visuals", "features")
"""The folders of artefacts that a cell reads and writes."""
PASSING = (".tmp", ".lock")
"""Suffixes of other files there."""
SETTLED = 0.05
"""Least age in seconds of a file that is sent: file systems' clocks lag time.time()."""

Mark = tuple[int, int, int]


def pack(cell: Cell, store: Store) -> Files:
    """Return a cell's artefacts by path: checkpoints, weights, checks, draws, visuals.

    And what was made of real images, that all rows have the same.
    """
    features = (store.cache / "features").glob("*.safetensors")
    found = [*shared_by_fit(cell, store), *made_of_cell(cell, store), *features]
    return {path.relative_to(store.cache).as_posix(): path.read_bytes() for path in found}


def receive(artefact: Artefact, store: Store) -> None:
    """Write or delete a file as another machine did.

    Raises:
        ValueError: its name is not the path of an artefact.
    """
    path = PurePosixPath(artefact.name)
    if path.is_absolute() or ".." in path.parts or path.parts[0] not in KINDS:
        raise ValueError(f"transfer: {artefact.name!r} is no artefact")
    if artefact.content is None:
        (store.cache / path).unlink(missing_ok=True)
    else:
        write_atomically(store.cache / path, artefact.content)


class Changes:
    """Finds artefacts under a folder that are new, changed or deleted since last time."""

    def __init__(self, cache: Path) -> None:
        self.cache = cache
        self.known = self.look()

    def look(self) -> dict[str, Mark]:
        """Return each artefact's time of writing, inode and size.

        They differ between two versions of a file.
        """
        found = {}
        for kind in KINDS:
            for path in (self.cache / kind).rglob("*"):
                try:
                    stat = path.stat()
                except FileNotFoundError:  # it has just been replaced
                    continue
                if path.is_file() and path.suffix not in PASSING:
                    found[path.relative_to(self.cache).as_posix()] = (
                        stat.st_mtime_ns,
                        stat.st_ino,
                        stat.st_size,
                    )
        return found

    def since(self, *, last: bool = False) -> Iterator[Artefact]:
        """Yield new artefacts in the order in which they were written, then deleted ones.

        One that is younger than SETTLED waits for the next time, unless this is the
        `last`. The reason is that a folder is not read at one moment: a checkpoint must
        not be sent before the weights that were stored before it, without which training
        starts again.
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
