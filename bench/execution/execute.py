"""How does one cell become records?

It is trained, sampled and scored; each part is read from the cache if nothing that it
depends on has changed.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, replace
from typing import Any

from filelock import FileLock, Timeout
from genmodel_bench.cells.cell import Cell
from genmodel_bench.errors import BenchError
from genmodel_bench.execution.artefacts import forget
from genmodel_bench.execution.checks import checks_of
from genmodel_bench.execution.context import Context, numerics_of
from genmodel_bench.execution.draws import draws_of, fit_lock
from genmodel_bench.execution.measure import subject_of
from genmodel_bench.execution.messages import News, Notice, Outcome, Tell
from genmodel_bench.execution.reuse import split
from genmodel_bench.execution.rows import failure, score_records
from genmodel_bench.execution.tensorboard import TensorBoardWriter
from genmodel_bench.execution.visuals import make_visuals, visuals_due
from genmodel_bench.metrics.base import Metric
from genmodel_bench.storage.atomic import NoRoom
from genmodel_bench.storage.plain import as_json
from genmodel_bench.storage.store import Store
from genmodel_bench.storage.waiting import held
from genmodel_bench.training.loop import CHECKPOINT_SECONDS


def complete(
    cell: Cell,
    context: Context,
    *,
    wait: bool = True,
    begin: Callable[[], None] = lambda: None,
    tell: Tell = lambda news: None,
) -> Outcome | None:
    """Run what is missing of a cell, as `run_cell` does, and store its rows.

    Return None if another process runs the cell and `wait` is False. The cell is locked
    meanwhile: a process that waits for the lock then finds the rows. The system releases
    the lock of a process that died.

    begin: called once the lock is held.
    tell: called with the news of the cell.
    """
    try:
        with cell_lock(cell, context.store, tell, wait=wait):
            begin()
            if context.run:
                with fit_lock(cell, context.store, tell):
                    forget(cell, context.store, run=context.run)
            writer = TensorBoardWriter(cell, context.store) if context.tensorboard else None
            outcome = run_cell(cell, context, tell=tell, writer=writer)
            if context.stores:
                keep(outcome, context.store, tell)
                illustrate(cell, context, tell)
            if writer:
                writer.close(outcome.records)
            return outcome
    except Timeout:
        return None


def illustrate(cell: Cell, context: Context, tell: Tell) -> None:
    """Make the cell's visuals.

    If the model fails, `tell` is called with a notice, and the cell's rows stay valid.

    Raises:
        NoRoom: the disk is full.
    """
    try:
        with (
            _ALONE,
            numerics_of(cell),
            warnings_told(tell),
        ):
            make_visuals(cell, context.data, context.store, context.device)
    except NoRoom:
        raise
    except Exception as error:  # noqa: BLE001  # whatever it raises, the scores are stored
        tell(Notice(f"no pictures of it: {failure(error)}"))


def keep(outcome: Outcome, store: Store, tell: Tell = lambda news: None) -> None:
    """Store the rows of an outcome, unless all are stored already.

    tell: called with a notice of the values that they supersede, if any.
    """
    if set(outcome.records) - set(store.records()):
        gone = store.append(outcome.records, lambda text: tell(Notice(text)))
        if gone:
            of = dict.fromkeys(f"{r.name}{'' if r.seed is None else f' seed {r.seed}'}" for r in gone)
            text = (
                f"{len(gone)} rows that it outdates ({', '.join(of)}) are superseded, "
                f"kept in {store.path.with_name('runs-superseded.csv')}"
            )
            tell(Notice(text))


def cell_lock(
    cell: Cell, store: Store, tell: Tell = lambda news: None, *, wait: bool
) -> AbstractContextManager[object]:
    """Return the lock on a cell, for a `with` statement.

    tell: called with a notice of which process is waited for, if one is.

    Raises:
        Timeout: on entering, if another process has the lock and `wait` is False.
    """
    path = store.artefact("locks", f"{cell.id}.lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    if wait:
        return held(path, "runs the same cell", lambda text: tell(Notice(text)))
    return FileLock(path, timeout=0)


@contextmanager
def warnings_told(tell: Tell) -> Iterator[None]:
    """Pass warnings to `tell` as notices instead of printing them."""

    def show(message: Warning | str, *rest: Any, **named: Any) -> None:
        tell(Notice(" ".join(str(message).split())))

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield


def run_cell(
    cell: Cell, context: Context, *, tell: Tell = lambda news: None, writer: TensorBoardWriter | None = None
) -> Outcome:
    """Run what is missing of a cell and return its records, which are not stored yet.

    An exception of a model or metric becomes the status of a row; KeyboardInterrupt,
    SystemExit and NoRoom are raised. Only one cell at a time runs in a process, because
    all share torch's generators.
    """
    with (
        _ALONE,
        numerics_of(cell),
        warnings_told(tell),
    ):
        outcome = _run_cell(cell, context, tell, writer)
    return replace(outcome, records=[r.sealed().settled(cell.vouched) for r in outcome.records])


_ALONE = threading.Lock()


def _run_cell(cell: Cell, context: Context, tell: Tell, writer: TensorBoardWriter | None) -> Outcome:
    data, store, metrics = context.data, context.store, context.metrics

    def hear(news: News) -> None:
        tell(news)
        if writer:
            writer.hear(news)

    kept, blanks = split(cell, context)
    if not blanks:
        return Outcome(kept, reused=True)
    needs_model = any(metrics[name].needs for name in blanks)
    try:
        look = writer.look if writer else None
        draws, model, fit = draws_of(
            cell, data, store, context.device, hear, needs_model=needs_model, look=look
        )
        subject = subject_of(draws, model, context.device)
    except NoRoom:
        raise
    except Exception as error:  # noqa: BLE001  # any error of a model becomes a row's status
        status = failure(error)
        return Outcome([*kept, *(replace(row, status=status) for row in blanks.values())], reused=False)
    by_epoch = {str(epoch): value for epoch, value in sorted(checks_of(cell, data, store).values.items())}
    curves = as_json({"validation by epoch": by_epoch} if by_epoch else {})
    records = list(kept)
    for name, row in blanks.items():
        row = replace(row, **asdict(fit), curves=curves)
        records += score_records(
            row,
            name,
            metrics[name],
            subject,
            context.evidence,
            base_seed=cell.seed,
            of=cell.family,
            store=store,
        )
    return Outcome(records, reused=False)


def stored(cell: Cell, context: Context) -> Outcome | None:
    """Return the outcome of a cell of which nothing is missing, else None."""
    kept, blanks = split(cell, context)
    if blanks or context.tensorboard or visuals_due(cell, context.data, context.store):
        return None
    outcome = Outcome([r.sealed().settled(cell.vouched) for r in kept], reused=True)
    if context.stores:
        keep(outcome, context.store)
    return outcome


def given_up(cell: Cell, context: Context, status: str) -> Outcome | None:
    """Return the outcome of a cell whose process was lost, and store its rows.

    What is missing gets the `status`. Return None if another process runs the cell by
    now.
    """
    try:
        with cell_lock(cell, context.store, wait=False):
            return abandoned(cell, context, status)
    except Timeout:
        return None


def abandoned(cell: Cell, context: Context, status: str) -> Outcome:
    """Return the outcome of a cell whose process was lost, and store its rows.

    What is missing gets the `status`. The caller holds the cell's lock.
    """
    kept, blanks = split(cell, context)
    records = [
        r.sealed().settled(cell.vouched)
        for r in (*kept, *(replace(row, status=status) for row in blanks.values()))
    ]
    if context.stores:
        context.store.append(records)
    return Outcome(records, reused=False)


def too_slow(seconds: float) -> str:
    """Return the status of a cell that was stopped after its timeout in seconds."""
    text = (
        f"the next run goes on from its last checkpoint, of which there is one every {CHECKPOINT_SECONDS:g} s"
    )
    return f"timeout: stopped after {seconds:g} s; {text}"


def keys_of(cell: Cell, metrics: Mapping[str, Metric]) -> list[str]:
    """Return the keys of a cell's scores, by the code that this process has loaded."""
    return [cell.score_key(name, metric) for name, metric in metrics.items()]


def check_code(cell: Cell, metrics: Mapping[str, Metric], keys: Sequence[str]) -> None:
    """Check that this process has the code by which the cell's scores have these `keys`.

    Raises:
        BenchError: it has other code.
    """
    if keys_of(cell, metrics) != keys:
        raise BenchError(
            "run: the code was changed while it ran; what is finished is kept, start the same command again"
        )
