"""How does a cell run on another machine, and what does it send home?

An errand holds all that it takes: no file of the sender's is read. The cell runs in a folder of its own, which goes when it ends; what it
says, its artefacts as they appear, and its rows are sent while it runs, so that little is lost with the machine.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from genmodel_bench.cells.cell import Cell, remember_code
from genmodel_bench.data.dataset import Dataset
from genmodel_bench.errors import BenchError
from genmodel_bench.execution.cluster.transfer import Changes, Files, receive
from genmodel_bench.execution.draws import News
from genmodel_bench.execution.execute import Outcome, check_code, illustrate, run_cell
from genmodel_bench.execution.pool import Place
from genmodel_bench.metrics.base import Metric
from genmodel_bench.models import MODELS
from genmodel_bench.storage.atomic import is_running, write_atomically
from genmodel_bench.storage.ingredients import equivalences_as_text, equivalences_path
from genmodel_bench.storage.provenance import resolve_device
from genmodel_bench.storage.record import Record
from genmodel_bench.training.loop import Progress

NEWS_SECONDS = 0.5
"""What a cell says is sent this often."""
FILES_EVERY = 4
"""Its artefacts are looked for every so many times."""

Kind = Literal["begun", "news", "file", "outcome"]
Send = Callable[[tuple[int, Kind, Any]], None]


@dataclass(frozen=True)
class Errand:
    """A cell to be run elsewhere, the keys of its scores and what there is of it; what is sent home bears its `token`."""

    token: int
    cell: Cell
    keys: list[str]
    device: str
    threads: int
    rescore: bool
    rows: list[Record]
    files: Files


def run_errand(errand: Errand, data: Dataset, metrics: Mapping[str, Metric], send: Send) -> str:
    """Run a cell; return why none can be run anywhere, as with other code, else ''. The tensors of `data` are arrays.

    Raises OSError or MemoryError where this machine has no room for it: another one may.
    """
    send((errand.token, "begun", None))
    torch.set_num_threads(errand.threads)
    try:
        remember_code(MODELS.values(), metrics.values())
        check_code(errand.cell, metrics, errand.keys)
        with scratch() as folder:
            place = Place(data.name, None, Path(folder), errand.device, rescore=errand.rescore)
            # A copy, for the arrays of an object store are read-only, and a stranger's model may write into its data.
            own = data.mapped(lambda array: torch.from_numpy(array.copy()))
            rig = place.rig(own.to(resolve_device(place.device)), metrics)
            rig.store.prepare()
            vouched = equivalences_as_text(errand.cell.vouched.entries)
            write_atomically(equivalences_path(rig.store.results), vouched.encode())
            for name, content in errand.files.items():
                receive(name, content, rig.store)
            rig.store.append(errand.rows)
            with Post(errand.token, send, Changes(rig.store.cache)) as post:
                post.outcome(run_cell(errand.cell, rig, tell=post.tell))
                illustrate(errand.cell, rig, post.tell)
    except BenchError as error:
        return str(error)
    except OSError as error:
        raise OSError(f"{socket.gethostname()}: {error}") from error
    return ""


def scratch() -> tempfile.TemporaryDirectory[str]:
    """Return a folder to be entered, and deleted when it is left; those that killed processes of this machine left are deleted now."""
    name = f"bench-{socket.gethostname()}"
    for left in Path(tempfile.gettempdir()).glob(f"{name}-*"):
        owner = re.match(r"(\d+)-", left.name.removeprefix(f"{name}-"))
        if owner and not is_running(int(owner[1])):
            shutil.rmtree(left, ignore_errors=True)
    return tempfile.TemporaryDirectory(prefix=f"{name}-{os.getpid()}-")


class Post:
    """Sends what a cell says and what it writes, from a thread of its own, so that training does not wait."""

    def __init__(self, token: int, send: Send, changes: Changes) -> None:
        self.token, self.send, self.changes = token, send, changes
        self.said: list[News] = []
        self.progress: Progress | None = None
        self.speaking, self.sending, self.over = threading.Lock(), threading.Lock(), threading.Event()
        self.closed = False
        self.trouble: Exception | None = None
        self.thread = threading.Thread(target=self.go_round, daemon=True)

    def __enter__(self) -> Post:
        self.thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        self.over.set()
        if kind is None:
            self.thread.join()
            self.flush(last=True)
        with self.sending:  # the folder goes next: that its files are gone is not to be sent home
            self.closed = True

    def tell(self, news: News) -> None:
        """Take news; of a cell's progress only the latest is sent."""
        with self.speaking:
            if isinstance(news, Progress):
                self.progress = news
            else:
                self.said.append(news)

    def go_round(self) -> None:
        """Send what there is, until the cell is over."""
        rounds = 0
        while not self.over.wait(NEWS_SECONDS):
            rounds += 1
            try:
                self.flush(files=rounds % FILES_EVERY == 0)
            except OSError:  # a file that went while it was read; the next round finds what there is
                continue
            except Exception as error:  # noqa: BLE001  # without its checkpoints at home, the cell is not to go on in silence
                self.trouble = error
                return

    def flush(self, *, files: bool = True, last: bool = False) -> None:
        """Send the news, and the artefacts that changed."""
        with self.speaking:
            news: list[News] = [*self.said, *([self.progress] if self.progress else [])]
            self.said, self.progress = [], None
        with self.sending:
            if self.closed:
                return
            if news:
                self.send((self.token, "news", news))
            if files:
                for name, content in self.changes.since(last=last):
                    self.send((self.token, "file", (name, content)))

    def outcome(self, outcome: Outcome) -> None:
        """Send the rows of the cell, after the artefacts that are behind them. Raises what kept these from being sent while it ran."""
        if self.trouble:
            raise self.trouble
        self.flush(last=True)
        self.send((self.token, "outcome", outcome))
