"""How do cells run on a Ray cluster, while only this process writes rows and artefacts?

Each cell is a task. This process holds the cell's locks, sends its artefacts
(`transfer.py`), writes those that the task (`task.py`) sends back as they arrive, and
stores the rows: the machines share no disk. A cell whose machine or process is lost is
sent again with the artefacts that arrived, and so resumes from the last checkpoint among
them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any

import ray
from filelock import Timeout
from genmodel_bench.cells.cell import Cell
from genmodel_bench.cells.featured import features_of
from genmodel_bench.data.dataset import Dataset
from genmodel_bench.errors import BadOption, BenchError
from genmodel_bench.execution.artefacts import forget
from genmodel_bench.execution.cluster.connection import connected, ctrl_c_noted, end
from genmodel_bench.execution.cluster.task import Job, run_job
from genmodel_bench.execution.cluster.transfer import pack, receive
from genmodel_bench.execution.context import Setup
from genmodel_bench.execution.draws import fit_lock
from genmodel_bench.execution.execute import abandoned, cell_lock, keep, keys_of, stored, too_slow
from genmodel_bench.execution.listener import Listener
from genmodel_bench.execution.messages import Artefact, Begun, Message, Notice, Outcome, Told, Trouble
from genmodel_bench.execution.rows import one_line
from genmodel_bench.execution.ticking import Ticking
from genmodel_bench.inputs.objects import is_spec
from ray.exceptions import NodeDiedError, OutOfMemoryError, RayError, RayTaskError, RuntimeEnvSetupError
from ray.util.queue import Queue
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

if TYPE_CHECKING:
    from genmodel_bench.execution.executor import Executor

ATTEMPTS = 4
"""Number of times that a cell is sent before it is given up."""
QUEUED = 16
"""Most messages in the queue at once."""
TURN = 0.25
"""Seconds between two polls of the tasks."""
SLOW_TURN = 2.0
"""Seconds between two polls of the machines, and of cells that another run has locked."""


@dataclass
class Task:
    """A cell that was sent to the cluster, and its locks, which this process holds."""

    cell: Cell
    locks: ExitStack
    ref: Any = None
    attempts: int = 0
    since: float | None = None
    outcome: Outcome | None = None


class Cluster:
    """Runs cells as Ray tasks, as many at once as asked for or as there is room for.

    An autoscaler adds machines for tasks that find no room: for as many as there are
    jobs, or, if their number was not given, for one at a time.
    """

    def __init__(self, executor: Executor, data: Dataset, setup: Setup, listener: Listener) -> None:
        self.clock = Ticking()
        self.jobs, self.timeout, self.address = executor.jobs, executor.timeout, executor.address
        self.cpus, self.gpus = executor.cpus_per_cell or 1, executor.gpus_per_cell or 0.0
        self.listener = listener
        # Nothing is computed on this machine.
        self.context = replace(setup, device="cpu").context(data)
        device = "cpu" if setup.device == "auto" and not self.gpus else setup.device
        self.setup = replace(setup, device=device, metrics=dict(setup.metrics), run="")
        self.tokens = count()
        self.tasks: dict[int, Task] = {}
        self.begun: set[str] = set()
        self.queue: Queue | None = None
        self.looked, self.places, self.told = -SLOW_TURN, 0, False

    def run(self, cells: Sequence[Cell]) -> Generator[tuple[Cell, Outcome]]:
        """Yield each cell with its outcome as it comes.

        Raises:
            BenchError: going on makes no sense, as on a full disk or when the cluster is
                lost.
        """
        waiting = list[Cell]()
        for cell in cells:
            done = stored(cell, self.context)
            if done:
                yield cell, done
            else:
                waiting.append(cell)
        if not waiting:
            return
        kinds = [type(cell.config) for cell in waiting] + [type(m) for m in self.setup.metrics.values()]
        theirs = {f.partition(":")[0] for m in self.setup.metrics.values() if is_spec(f := features_of(m))}
        modules = sorted({kind.__module__ for kind in kinds} | theirs)
        with ctrl_c_noted() as heed, connected(self.address, self.cpus, modules):
            try:
                self.prepare()
                yield from self.through(waiting, heed)
            except RayError as error:
                text = (
                    f"run: the cluster is lost ({one_line(error)}); "
                    "what is finished is kept, the same command goes on from here"
                )
                raise BenchError(text) from error
            finally:
                self.stop()

    def through(self, waiting: list[Cell], heed: Callable[[], None]) -> Generator[tuple[Cell, Outcome]]:
        """Send the waiting cells and yield their outcomes, until none is left.

        heed: raises Ctrl-C if there was one.
        """
        next_try = time.monotonic()
        while waiting or self.tasks:
            heed()
            if time.monotonic() >= next_try:
                next_try = time.monotonic() + SLOW_TURN
                yield from self.send_out(waiting)
            out = len(self.tasks)
            yield from self.hear()
            if len(self.tasks) < out:  # there is room for another task
                next_try = time.monotonic()
            else:
                time.sleep(TURN)

    def prepare(self) -> None:
        """Put the data into the object store; start the message queue on this machine."""
        self.data = ray.put(self.context.data.mapped(lambda tensor: tensor.numpy()))
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        # It is short because its messages, such as files of samples, are held in memory;
        # tasks wait while it is full.
        self.queue = Queue(QUEUED, actor_options={"num_cpus": 0, "scheduling_strategy": here})
        wants = {"num_cpus": self.cpus, "num_gpus": self.gpus, "scheduling_strategy": "SPREAD"}
        # Ray's own retries would start from the artefacts that were sent first.
        self.run_job = ray.remote(run_job).options(max_retries=0, **wants)

    def send_out(self, waiting: list[Cell]) -> Generator[tuple[Cell, Outcome]]:
        """Send waiting cells while there is room.

        Yield those that another run has finished meanwhile.
        """
        for cell in list(waiting):
            if len(self.tasks) >= self.room():
                return
            taken = self.take(cell)
            if taken is None:  # locked by another run or a cell with the same training
                continue
            waiting.remove(cell)
            if isinstance(taken, Outcome):
                yield cell, taken
            else:
                self.send(taken)

    def room(self) -> int:
        """Return how many tasks may be on the cluster at once."""
        if time.monotonic() - self.looked >= SLOW_TURN:
            self.looked = time.monotonic()
            nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]  # untyped in Ray
            self.places = sum([self.places_on(node["Resources"]) for node in nodes if node["Alive"]])
        return self.jobs or max(1, self.places)

    def places_on(self, resources: Mapping[str, float]) -> int:
        """Return how many cells fit on a machine with these resources."""
        held = int(resources.get("CPU", 0) // self.cpus)
        if not self.gpus:
            return held
        # A share is of a single GPU: two shares of 0.4 fit on each.
        gpus, share = int(resources.get("GPU", 0)), self.gpus
        return min(held, int(1 / share + 1e-9) * gpus if share < 1 else int(gpus // share))

    def take(self, cell: Cell) -> Task | Outcome | None:
        """Lock a cell, and return the task to be sent.

        Return the cell's outcome if it is finished by now; None if another cell or
        process holds one of its locks.
        """
        locks = ExitStack()
        try:
            locks.enter_context(cell_lock(cell, self.context.store, wait=False))
            locks.enter_context(fit_lock(cell, self.context.store, wait=False))
        except Timeout:
            locks.close()
            return None
        try:
            done = stored(cell, self.context)
            if not done and self.context.run:
                forget(cell, self.context.store, run=self.context.run)
        except BaseException:
            locks.close()
            raise
        if done:
            locks.close()
        return done or Task(cell, locks)

    def send(self, task: Task) -> None:
        """Send a cell, with its stored artefacts and rows."""
        cell, token = task.cell, next(self.tokens)
        task.attempts, task.since = task.attempts + 1, None
        self.tasks[token] = task  # from here on `stop` releases its locks
        same = [
            r
            for r in self.context.store.records()
            if r.cell == cell.id or (r.line, r.seed) == (cell.line, cell.seed)
        ]
        files, keys = pack(cell, self.context.store), keys_of(cell, self.setup.metrics)
        job = Job(token, cell, keys, self.setup, self.cpus, same, files)
        assert self.queue is not None
        task.ref = self.run_job.remote(job, self.data, self.queue.put)
        self.tell_of_room(cell)

    def tell_of_room(self, cell: Cell) -> None:
        """Tell the listener, once, that no machine has room for a cell.

        Raises:
            BadOption: Ray runs on this machine alone, and it has no room.
        """
        if self.places:
            self.told = False
        elif not self.told:
            self.told = True
            wants = f"{self.cpus} CPUs" + (f" and {self.gpus:g} GPUs" if self.gpus else "")
            if self.address is None:
                raise BadOption(
                    f"--cpus-per-cell, --gpus-per-cell: this machine has no room for a cell of {wants}"
                )
            self.listener.news(cell, Notice(f"waits for a machine with {wants}: the cluster has none"))

    def hear(self) -> Generator[tuple[Cell, Outcome]]:
        """Read the messages of all tasks, and yield the cells that have ended.

        They are done, given up or overdue.
        """
        tokens = {task.ref: token for token, task in self.tasks.items()}
        done = ray.wait(list(tokens), num_returns=len(tokens), timeout=0)[0] if tokens else []
        assert self.queue is not None
        # All messages of a task that has ended are in the queue by now.
        for token, message in self.queue.get_nowait_batch(self.queue.size()):
            if token in self.tasks:  # not from an attempt that was given up
                self.read(self.tasks[token], message)
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

    def read(self, task: Task, message: Message) -> None:
        """Act on a message from a cell's task."""
        match message:
            case Begun():
                task.since = self.clock.read()
                if task.cell.id not in self.begun:
                    self.begun.add(task.cell.id)
                    self.listener.started(task.cell)
            case Told(every):
                for news in every:
                    self.listener.news(task.cell, news)
            case Artefact():
                receive(message, self.context.store)
            case Outcome():
                task.outcome = message
                keep(message, self.context.store, partial(self.listener.news, task.cell))

    def overdue(self, task: Task) -> bool:
        """Return whether a cell has run for longer than the timeout."""
        return (
            self.timeout is not None
            and task.since is not None
            and self.clock.read() - task.since > self.timeout
        )

    def stopped(self, task: Task) -> Outcome:
        """Stop an overdue cell, and return its outcome."""
        assert self.timeout is not None
        end([task.ref])
        return task.outcome or abandoned(task.cell, self.context, too_slow(self.timeout))

    def concluded(self, task: Task) -> Outcome | None:
        """Return the outcome of a cell whose task has ended.

        None if the task was lost and the cell is sent again; it is given up after
        ATTEMPTS times.

        Raises:
            BenchError: another attempt would fail too.
        """
        try:
            trouble: Trouble | None = ray.get(task.ref)
        except RayError as error:
            if task.outcome:  # its rows are stored; the next run makes missing visuals
                return task.outcome
            cause = error.cause if isinstance(error, RayTaskError) else error
            if isinstance(error, RuntimeEnvSetupError) or not isinstance(
                cause, (RayError, OSError, MemoryError)
            ):
                raise BenchError(f"run: no worker can run {task.cell.model} ({one_line(cause)})") from error
            status = status_of(cause)
            if task.attempts == ATTEMPTS:
                return abandoned(task.cell, self.context, f"{status}, the last of {ATTEMPTS} times")
            text = (
                f"{status.partition(': ')[2]}; "
                "it is sent out again, with the last checkpoint that came from there"
            )
            self.listener.news(task.cell, Notice(text))
            self.send(task)
            return None
        if trouble:
            raise BenchError(trouble.text)
        assert task.outcome is not None, "it is sent before the task ends"
        return task.outcome

    def stop(self) -> None:
        """End all tasks on the cluster, and release the locks of their cells."""
        try:
            with suppress(RayError, OSError):
                end([task.ref for task in self.tasks.values() if task.ref])
                if self.queue:
                    self.queue.shutdown(force=True)
        finally:
            for task in self.tasks.values():
                task.locks.close()


def status_of(loss: Exception) -> str:
    """Return the status of a cell whose task was lost by an error."""
    if isinstance(loss, OSError):
        return f"failed: {one_line(loss)}"
    if isinstance(loss, (OutOfMemoryError, MemoryError)):
        return "oom: its process was killed when its machine had no memory left"
    if isinstance(loss, NodeDiedError):
        return "failed: its machine was lost"
    return f"failed: its process was lost ({type(loss).__name__})"
