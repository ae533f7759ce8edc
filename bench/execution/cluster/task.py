"""How does a cell run on another machine, and what does it send back?

A job holds all that it needs: no file of the sender is read. The cell runs in a temporary
folder, which is deleted when it ends. News, artefacts and rows are sent while it runs, so
that little is lost if the machine is.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from genmodel_bench.cells.cell import Cell, remember_code
from genmodel_bench.data.dataset import Dataset
from genmodel_bench.errors import BenchError
from genmodel_bench.execution.cluster.transfer import Changes, Files, receive
from genmodel_bench.execution.context import Setup
from genmodel_bench.execution.execute import check_code, illustrate, run_cell
from genmodel_bench.execution.messages import Artefact, Begun, Message, News, Outcome, Told, Trouble
from genmodel_bench.models import MODELS
from genmodel_bench.storage.atomic import is_running, write_atomically
from genmodel_bench.storage.ingredients import equivalences_as_text, equivalences_path
from genmodel_bench.storage.record import Record
from genmodel_bench.training.loop import Progress

NEWS_SECONDS = 0.5
"""Seconds between two messages of news."""
FILES_EVERY = 4
"""New artefacts are looked for, and sent, with every so many of these messages."""

Send = Callable[[tuple[int, Message]], None]


@dataclass(frozen=True)
class Job:
    """A cell to run elsewhere, the keys of its scores, and its rows and files so far.

    token: sent with every message of this attempt.
    setup: its results folder is replaced on the other machine.
    threads: number of torch's threads.
    """

    token: int
    cell: Cell
    keys: list[str]
    setup: Setup
    threads: int
    rows: list[Record]
    files: Files


def run_job(job: Job, data: Dataset, send: Send) -> Trouble | None:
    """Run a cell on this machine; return what keeps any cell from running, else None.

    data: its tensors are NumPy arrays.

    Raises:
        OSError, MemoryError: this machine has no room for it, but another one may.
    """
    send((job.token, Begun()))
    torch.set_num_threads(job.threads)
    try:
        remember_code(MODELS.values(), job.setup.metrics.values())
        check_code(job.cell, job.setup.metrics, job.keys)
        with scratch() as folder:
            # A copy: arrays of an object store are read-only, and a model may write into
            # its data.
            own = data.mapped(lambda array: torch.from_numpy(array.copy()))
            context = replace(job.setup, results=Path(folder)).context(own)
            context.store.prepare()
            vouched = equivalences_as_text(job.cell.vouched.entries)
            write_atomically(equivalences_path(context.store.results), vouched.encode())
            for name, content in job.files.items():
                receive(Artefact(name, content), context.store)
            context.store.append(job.rows)
            with Sender(job.token, send, Changes(context.store.cache)) as sender:
                sender.outcome(run_cell(job.cell, context, tell=sender.tell))
                illustrate(job.cell, context, sender.tell)
    except BenchError as error:
        return Trouble(str(error))
    except OSError as error:
        raise OSError(f"{socket.gethostname()}: {error}") from error
    return None


def scratch() -> tempfile.TemporaryDirectory[str]:
    """Return a temporary folder; delete those of killed processes of this machine."""
    name = f"bench-{socket.gethostname()}"
    for left in Path(tempfile.gettempdir()).glob(f"{name}-*"):
        owner = re.match(r"(\d+)-", left.name.removeprefix(f"{name}-"))
        if owner and not is_running(int(owner[1])):
            shutil.rmtree(left, ignore_errors=True)
    return tempfile.TemporaryDirectory(prefix=f"{name}-{os.getpid()}-")


class Sender:
    """Sends news and artefacts from its own thread, so that training does not wait."""

    def __init__(self, token: int, send: Send, changes: Changes) -> None:
        self.token, self.send, self.changes = token, send, changes
        self.said: list[News] = []
        self.progress: Progress | None = None
        self.speaking, self.sending, self.over = threading.Lock(), threading.Lock(), threading.Event()
        self.closed = False
        self.trouble: Exception | None = None
        self.thread = threading.Thread(target=self.go_round, daemon=True)

    def __enter__(self) -> Sender:
        self.thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        self.over.set()
        if kind is None:
            self.thread.join()
            self.flush(last=True)
        with self.sending:  # the folder is deleted next: that is not sent
            self.closed = True

    def tell(self, news: News) -> None:
        """Add news to the next message; of the progress only the latest is sent."""
        with self.speaking:
            if isinstance(news, Progress):
                self.progress = news
            else:
                self.said.append(news)

    def go_round(self) -> None:
        """Send news and artefacts at regular intervals, until the cell has ended."""
        rounds = 0
        while not self.over.wait(NEWS_SECONDS):
            rounds += 1
            try:
                self.flush(files=rounds % FILES_EVERY == 0)
            except OSError:  # a file was deleted while it was read; try again next round
                continue
            except Exception as error:  # noqa: BLE001  # raised by `outcome`: the cell must fail
                self.trouble = error
                return

    def flush(self, *, files: bool = True, last: bool = False) -> None:
        """Send the news, and the artefacts that changed.

        files: False leaves the artefacts out.
        last: do not wait for files that were written just now.
        """
        with self.speaking:
            news: list[News] = [*self.said, *([self.progress] if self.progress else [])]
            self.said, self.progress = [], None
        with self.sending:
            if self.closed:
                return
            if news:
                self.send((self.token, Told(tuple(news))))
            if files:
                for artefact in self.changes.since(last=last):
                    self.send((self.token, artefact))

    def outcome(self, outcome: Outcome) -> None:
        """Send the rows of the cell, after the artefacts behind them.

        Raises:
            Exception: artefacts could not be sent while the cell ran; this is that error.
        """
        if self.trouble:
            raise self.trouble
        self.flush(last=True)
        self.send((self.token, outcome))
