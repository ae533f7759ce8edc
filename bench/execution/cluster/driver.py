"""How do cells run on the machines of a Ray cluster, while rows and artefacts are written here alone?

Each cell is a task. This process holds the cell's locks, sends what there is of it (`transfer.py`), writes what comes back as it
comes (`task.py`), and stores the rows: the machines share no disk. A cell whose machine or process is lost is sent again with
what came of it, and so goes on from its last checkpoint that arrived.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from typing import Any

import ray
from filelock import Timeout
from genmodel_bench.cells.cell import Cell
from genmodel_bench.data.dataset import Dataset
from genmodel_bench.errors import BadOption, BenchError
from genmodel_bench.execution.artefacts import forget
from genmodel_bench.execution.cluster.connection import connected, ctrl_c_noted, end
from genmodel_bench.execution.cluster.task import Errand, Kind, run_errand
from genmodel_bench.execution.cluster.transfer import pack, receive
from genmodel_bench.execution.draws import Notice, fit_lock
from genmodel_bench.execution.execute import Outcome, abandoned, cell_lock, keep, keys_of, stored, too_slow
from genmodel_bench.execution.listener import Watch
from genmodel_bench.execution.pool import Place
from genmodel_bench.execution.rows import one_line
from genmodel_bench.metrics.base import Metric
from ray.exceptions import NodeDiedError, OutOfMemoryError, RayError, RayTaskError, RuntimeEnvSetupError
from ray.util.queue import Queue
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

ATTEMPTS = 4
"""Times that a cell is sent out before it is given up."""
MAILBOX = 16
"""Messages that are on their way at once."""
TURN = 0.25
"""Seconds between two looks at the tasks."""
SLOW_TURN = 2.0
"""Seconds between two looks at the machines, and at cells that another run is at."""


@dataclass
class Task:
    """A cell that is sent out, under locks that are held here."""

    cell: Cell
    locks: ExitStack
    ref: Any = None
    attempts: int = 0
    since: float | None = None
    outcome: Outcome | None = None


class Cluster:
    """Runs cells as tasks of Ray: `jobs` at once, or as many as there is room for (0), each with `cpus` threads and `gpus` GPUs.

    An autoscaler adds machines for tasks that have none: up to `jobs`, for of 0 no more than one waits.
    """

    def __init__(
        self,
        data: Dataset,
        place: Place,
        metrics: Mapping[str, Metric],
        watch: Watch,
        *,
        jobs: int = 0,
        timeout: float | None = None,
        address: str | None = None,
        cpus: int = 1,
        gpus: float = 0.0,
    ) -> None:
        self.device = "cpu" if place.device == "auto" and not gpus else place.device
        self.rescore, self.metrics, self.watch = place.rescore, dict(metrics), watch
        self.rig = replace(place, device="cpu").rig(
            data, self.metrics
        )  # of this machine, on which nothing is computed
        self.jobs, self.timeout, self.address, self.cpus, self.gpus = jobs, timeout, address, cpus, gpus
        self.tokens = count()
        self.tasks: dict[int, Task] = {}
        self.begun: set[str] = set()
        self.mailbox: Queue | None = None
        self.looked, self.places, self.told = -SLOW_TURN, 0, False

    def run(self, cells: Sequence[Cell]) -> Generator[tuple[Cell, Outcome]]:
        """Yield each cell with its outcome as it comes. Raises BenchError where going on makes no sense, as on a full disk."""
        waiting = list[Cell]()
        for cell in cells:
            done = stored(cell, self.rig)
            if done:
                yield cell, done
            else:
                waiting.append(cell)
        if not waiting:
            return
        with ctrl_c_noted() as heed, connected(self.address, self.cpus):
            try:
                self.prepare()
                yield from self.through(waiting, heed)
            except RayError as error:
                text = f"run: the cluster is lost ({one_line(error)}); what is finished is kept, the same command goes on from here"
                raise BenchError(text) from error
            finally:
                self.stop()

    def through(self, waiting: list[Cell], heed: Callable[[], None]) -> Generator[tuple[Cell, Outcome]]:
        """Send out the cells that wait and yield their outcomes, until none is left."""
        next_try = time.monotonic()
        while waiting or self.tasks:
            heed()
            if time.monotonic() >= next_try:
                next_try = time.monotonic() + SLOW_TURN
                yield from self.send_out(waiting)
            out = len(self.tasks)
            yield from self.hear()
            if len(self.tasks) < out:  # there is room for another one
                next_try = time.monotonic()
            else:
                time.sleep(TURN)

    def prepare(self) -> None:
        """Put the data into the object store, and a mailbox on this machine, which is not lost without us; say what a task is."""
        self.data = ray.put(self.rig.data.mapped(lambda tensor: tensor.numpy()))
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        # Who sends waits while it is full: what it holds, draws of samples among them, is held in memory.
        self.mailbox = Queue(MAILBOX, actor_options={"num_cpus": 0, "scheduling_strategy": here})
        wants = {"num_cpus": self.cpus, "num_gpus": self.gpus, "scheduling_strategy": "SPREAD"}
        # Ray's own retries would start from what was sent the first time.
        self.errand = ray.remote(run_errand).options(max_retries=0, **wants)

    def send_out(self, waiting: list[Cell]) -> Generator[tuple[Cell, Outcome]]:
        """Send out cells that wait, as long as there is room, and yield those that another run has finished meanwhile."""
        for cell in list(waiting):
            if len(self.tasks) >= self.room():
                return
            taken = self.take(cell)
            if taken is None:  # another run is at it, or another cell that shares its training
                continue
            waiting.remove(cell)
            if isinstance(taken, Outcome):
                yield cell, taken
            else:
                self.send(taken)

    def room(self) -> int:
        """Return how many cells may be out at once."""
        if time.monotonic() - self.looked >= SLOW_TURN:
            self.looked = time.monotonic()
            nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]  # Ray has not typed it
            self.places = sum([self.places_on(node["Resources"]) for node in nodes if node["Alive"]])
        return self.jobs or max(1, self.places)

    def places_on(self, resources: Mapping[str, float]) -> int:
        """Return how many cells a machine with these resources holds."""
        held = int(resources.get("CPU", 0) // self.cpus)
        if not self.gpus:
            return held
        # A cell's share is of one GPU: of 0.4 there are two on each.
        gpus, share = int(resources.get("GPU", 0)), self.gpus
        return min(held, int(1 / share + 1e-9) * gpus if share < 1 else int(gpus // share))

    def take(self, cell: Cell) -> Task | Outcome | None:
        """Return a cell under its locks, to be sent out; its outcome if there is one by now; None if its locks are not to be had."""
        locks = ExitStack()
        try:
            locks.enter_context(cell_lock(cell, self.rig.store, wait=False))
            locks.enter_context(fit_lock(cell, self.rig.store, wait=False))
        except Timeout:
            locks.close()
            return None
        try:
            done = stored(cell, self.rig)
            if not done and self.rig.run:
                forget(cell, self.rig.store, run=self.rig.run)
        except BaseException:
            locks.close()
            raise
        if done:
            locks.close()
        return done or Task(cell, locks)

    def send(self, task: Task) -> None:
        """Send out a cell, with the artefacts and rows that there are of it."""
        cell, token = task.cell, next(self.tokens)
        task.attempts, task.since = task.attempts + 1, None
        self.tasks[token] = task  # from here on `stop` lets go of it
        same = [
            r
            for r in self.rig.store.records()
            if r.cell == cell.id or (r.line, r.seed) == (cell.line, cell.seed)
        ]
        files, keys = pack(cell, self.rig.store), keys_of(cell, self.metrics)
        errand = Errand(token, cell, keys, self.device, self.cpus, self.rescore, same, files)
        assert self.mailbox is not None
        task.ref = self.errand.remote(errand, self.data, self.metrics, self.mailbox.put)
        self.tell_of_room(cell)

    def tell_of_room(self, cell: Cell) -> None:
        """Say once that no machine can take a cell. Raises BadOption where none will come."""
        if self.places:
            self.told = False
        elif not self.told:
            self.told = True
            wants = f"{self.cpus} CPUs" + (f" and {self.gpus:g} GPUs" if self.gpus else "")
            if self.address is None:
                raise BadOption(
                    f"--cpus-per-cell, --gpus-per-cell: this machine has no room for a cell of {wants}"
                )
            self.watch.news(cell, Notice(f"waits for a machine with {wants}: the cluster has none"))

    def hear(self) -> Generator[tuple[Cell, Outcome]]:
        """Take in what tasks say and send, and yield the cells that are done, given up or overdue."""
        tokens = {task.ref: token for token, task in self.tasks.items()}
        done = ray.wait(list(tokens), num_returns=len(tokens), timeout=0)[0] if tokens else []
        assert self.mailbox is not None
        # What a task has sent before it was done is here by now.
        for token, kind, content in self.mailbox.get_nowait_batch(self.mailbox.size()):
            if token in self.tasks:  # not of one that was given up
                self.read(self.tasks[token], kind, content)
        late = [token for token, task in self.tasks.items() if self.overdue(task)]
        for token in [tokens[ref] for ref in done] + [
            token for token in late if self.tasks[token].ref not in done
        ]:
            task = self.tasks.pop(token)
            try:
                outcome = (
                    self.stopped(task) if token in late and task.ref not in done else self.concluded(task)
                )
            except BaseException:
                task.locks.close()
                raise
            if outcome:
                task.locks.close()
                yield task.cell, outcome

    def read(self, task: Task, kind: Kind, content: Any) -> None:
        """Act upon what was sent from a cell."""
        if kind == "begun":
            task.since = time.monotonic()
            if task.cell.id not in self.begun:
                self.begun.add(task.cell.id)
                self.watch.started(task.cell)
        elif kind == "news":
            for news in content:
                self.watch.news(task.cell, news)
        elif kind == "file":
            name, file = content
            receive(name, file, self.rig.store)
        else:
            task.outcome = content
            keep(content, self.rig.store, partial(self.watch.news, task.cell))

    def overdue(self, task: Task) -> bool:
        """Return whether a cell has taken longer than it may."""
        return (
            self.timeout is not None
            and task.since is not None
            and time.monotonic() - task.since > self.timeout
        )

    def stopped(self, task: Task) -> Outcome:
        """Stop a cell that takes too long, and return its outcome."""
        assert self.timeout is not None
        end([task.ref])
        return task.outcome or abandoned(task.cell, self.rig, too_slow(self.timeout))

    def concluded(self, task: Task) -> Outcome | None:
        """Return the outcome of a cell whose task is over; None if it was lost, and is sent out again."""
        try:
            trouble = ray.get(task.ref)
        except RayError as error:
            if task.outcome:  # its rows are here; the pictures that may be missing are made by the next run
                return task.outcome
            cause = error.cause if isinstance(error, RayTaskError) else error
            if isinstance(error, RuntimeEnvSetupError) or not isinstance(
                cause, (RayError, OSError, MemoryError)
            ):
                raise BenchError(f"run: no worker can run {task.cell.model} ({one_line(cause)})") from error
            status = status_of(cause)
            if task.attempts == ATTEMPTS:
                return abandoned(task.cell, self.rig, f"{status}, the last of {ATTEMPTS} times")
            text = f"{status.partition(': ')[2]}; it is sent out again, with the last checkpoint that came from there"
            self.watch.news(task.cell, Notice(text))
            self.send(task)
            return None
        if trouble:
            raise BenchError(trouble)
        assert task.outcome is not None, "it is sent before the task ends"
        return task.outcome

    def stop(self) -> None:
        """End the tasks that are out, and let go of their cells."""
        try:
            with suppress(RayError, OSError):
                end([task.ref for task in self.tasks.values() if task.ref])
                if self.mailbox:
                    self.mailbox.shutdown(force=True)
        finally:
            for task in self.tasks.values():
                task.locks.close()


def status_of(loss: Exception) -> str:
    """Return the status of a cell whose task was lost."""
    if isinstance(loss, OSError):
        return f"failed: {one_line(loss)}"
    if isinstance(loss, (OutOfMemoryError, MemoryError)):
        return "oom: its process was killed when its machine had no memory left"
    if isinstance(loss, NodeDiedError):
        return "failed: its machine was lost"
    return f"failed: its process was lost ({type(loss).__name__})"
