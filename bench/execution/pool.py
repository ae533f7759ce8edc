"""In which processes of this machine do cells run: in this one, or in several workers?

A worker process runs one cell at a time and sends messages through a pipe of its own, so
that killing it does no harm to the others. A cell that another `bench run` has locked is
put off until the others are done; its rows are then found in the store.
"""

from __future__ import annotations

import signal
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing import connection, get_context, resource_tracker
from pathlib import Path
from typing import Any

import torch
from genmodel_bench.cells.cell import Cell
from genmodel_bench.data.dataset import Dataset
from genmodel_bench.errors import BenchError
from genmodel_bench.execution.context import Context, Setup
from genmodel_bench.execution.execute import (
    complete,
    given_up,
    keys_of,
    stored,
    too_slow,
)
from genmodel_bench.execution.listener import Listener
from genmodel_bench.execution.messages import (
    Begun,
    Elsewhere,
    Message,
    Order,
    Outcome,
    Ready,
    Told,
    Trouble,
    Waiting,
)
from genmodel_bench.execution.ticking import Ticking
from genmodel_bench.execution.worker import work

USUAL_JOBS = 4
"""Most worker processes started by default: each holds a copy of the data set."""


def usual_jobs(device: torch.device) -> int:
    """Return how many worker processes share a device by default.

    That is one for each thread of a CPU, up to USUAL_JOBS; a single one on CUDA.
    """
    return 1 if device.type == "cuda" else min(USUAL_JOBS, torch.get_num_threads())


def in_turn(cells: Sequence[Cell], context: Context, listener: Listener) -> Generator[tuple[Cell, Outcome]]:
    """Run cells one after another in this process; yield each with its stored outcome."""

    def attempt(cell: Cell, *, wait: bool) -> Outcome | None:
        begin, tell = partial(listener.started, cell), partial(listener.news, cell)
        return complete(cell, context, wait=wait, begin=begin, tell=tell)

    put_off = []
    for cell in cells:
        outcome = attempt(cell, wait=False)
        if outcome is None:
            put_off.append(cell)
        else:
            yield cell, outcome
    for cell in put_off:
        outcome = attempt(cell, wait=True)
        assert outcome is not None
        yield cell, outcome


@dataclass
class Worker:
    """A worker process, its pipe and the cell that it runs.

    ready: whether it has loaded its data.
    since: the time (of the pool's clock) from which the cell's timeout counts; None while
        it does not count.
    killed_before: `system_kills` when the process was started.
    """

    process: Any
    pipe: connection.Connection
    ready: bool = False
    cell: Cell | None = None
    since: float | None = None
    killed_before: int = 0


class Pool:
    """Runs cells in `jobs` worker processes that share the threads of this one."""

    def __init__(
        self,
        data: Dataset,
        setup: Setup,
        listener: Listener,
        *,
        jobs: int,
        timeout: float | None = None,
    ) -> None:
        self.setup, self.listener = setup, listener
        self.context = setup.context(data)
        self.jobs, self.timeout = jobs, timeout
        self.threads = max(1, torch.get_num_threads() // jobs)
        self.workers: list[Worker] = []
        self.clock = Ticking()

    def run(self, cells: Sequence[Cell]) -> Generator[tuple[Cell, Outcome]]:
        """Yield each cell with its outcome as it comes.

        Raises:
            BenchError: going on makes no sense, as on a full disk.
        """
        fresh, put_off = list[Cell](), list[Cell]()
        for cell in cells:
            done = stored(cell, self.context)
            if done:
                yield cell, done
            else:
                fresh.append(cell)
        try:
            self.workers = [self.start() for _ in range(min(self.jobs, len(fresh)))]
            while fresh or put_off or any(worker.cell for worker in self.workers):
                for worker in [worker for worker in self.workers if worker.cell is None]:
                    if fresh or put_off:
                        wait = not fresh
                        self.hand(worker, (put_off if wait else fresh).pop(0), wait=wait)
                for worker in self.ready():
                    at, outcome = worker.cell, self.hear(worker)
                    assert at is not None
                    if isinstance(outcome, Outcome):
                        yield at, outcome
                    elif outcome:
                        put_off.append(at)
        finally:
            for worker in self.workers:
                worker.process.kill()
            for worker in self.workers:
                worker.process.join()

    def start(self) -> Worker:
        """Start a worker process, in which Ctrl-C is blocked, and return it."""
        context = get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=work, args=(theirs, self.setup, self.threads), daemon=True)
        # Ctrl-C reaches every process of the terminal. A child inherits that it is
        # blocked here, so the parent alone decides. The first child would start
        # multiprocessing's resource tracker, which unblocks it: that is started before.
        resource_tracker.ensure_running()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()
        return Worker(process, ours, killed_before=system_kills())

    def hand(self, worker: Worker, cell: Cell, *, wait: bool) -> None:
        """Send a cell to a worker, or to its replacement if it died while it was idle."""
        if not worker.process.is_alive():
            worker = self.renewed(worker)
        worker.cell, worker.since = cell, None
        order = Order(cell, keys_of(cell, self.context.metrics), wait)
        try:
            worker.pipe.send(order)
        except OSError:  # it has just died
            worker = self.renewed(worker)
            worker.cell = cell
            worker.pipe.send(order)

    def renewed(self, worker: Worker) -> Worker:
        """Kill a worker, and return the new one that replaces it."""
        worker.process.kill()
        worker.process.join()
        worker.pipe.close()
        other = self.start()
        self.workers[self.workers.index(worker)] = other
        return other

    def ready(self) -> list[Worker]:
        """Wait for workers that have sent a message, died or are overdue; return them."""
        while True:
            self.clock.read()
            busy = [worker for worker in self.workers if worker.cell is not None]
            # With a worker overdue, do not wait: it might send a message in each wait,
            # and so never be given up.
            late = any(self.overdue(worker) for worker in busy)
            said = connection.wait([worker.pipe for worker in busy], timeout=0 if late else 0.2)
            found = [worker for worker in busy if worker.pipe in said or self.overdue(worker)]
            if found:
                return found

    def overdue(self, worker: Worker) -> bool:
        """Return whether a worker's cell has run for longer than the timeout."""
        return (
            self.timeout is not None
            and worker.since is not None
            and self.clock.read() - worker.since > self.timeout
        )

    def hear(self, worker: Worker) -> Outcome | Elsewhere | None:
        """Read a message of a worker; return what became of its cell, None if it goes on.

        Raises:
            BenchError: no worker can start, or no cell can be run.
        """
        cell = worker.cell
        assert cell is not None
        if self.timeout and self.overdue(worker) and not worker.pipe.poll():
            return self.give_up(worker, too_slow(self.timeout))
        try:
            message: Message = worker.pipe.recv()
        except (EOFError, OSError):
            worker.process.join()
            cause = cause_of_death(worker)
            if not worker.ready:
                text = "a script that calls `run` with jobs has to do so under `if __name__ == '__main__':`"
                raise BenchError(f"run: a worker process could not start ({cause}); {text}") from None
            return self.give_up(worker, cause)
        match message:
            case Ready():
                worker.ready = True
            case Begun():
                worker.since = self.clock.read()
                self.listener.started(cell)
            case Told(every):
                for news in every:
                    if isinstance(news, Waiting):  # does not count for the timeout
                        worker.since = self.clock.read() if news.over else None
                    self.listener.news(cell, news)
            case Trouble(text):
                raise BenchError(text)
            case Outcome() | Elsewhere():
                worker.cell = None
                return message
        return None

    def give_up(self, worker: Worker, status: str) -> Outcome | Elsewhere:
        """Give up a worker's cell with `status`, and replace the worker.

        Return Elsewhere if another process has the cell locked by now.
        """
        cell = worker.cell
        assert cell is not None
        self.renewed(worker)
        return given_up(cell, self.context, status) or Elsewhere()


def cause_of_death(worker: Worker) -> str:
    """Return the status of a cell whose worker process ended or was killed."""
    code = worker.process.exitcode
    if code is None or code >= 0:
        return f"failed: its process ended with exit code {code}"
    if -code == signal.SIGKILL and system_kills() > worker.killed_before:
        return "oom: its process was killed when the system had no memory left"
    return f"failed: its process was killed by {signal.Signals(-code).name}"


def system_kills() -> int:
    """Return how many processes Linux has killed for lack of memory since it booted.

    0 where the system does not count them.
    """
    try:
        lines = Path("/proc/vmstat").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)
