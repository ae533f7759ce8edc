"""How does one cell become records?

It is trained, sampled and scored; each part is read from the cache if nothing that it
depends on has changed.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Any

import torch
from filelock import FileLock, Timeout
from genmodel_bench.cells.cell import Cell
from genmodel_bench.data.dataset import Dataset
from genmodel_bench.errors import BenchError
from genmodel_bench.execution.artefacts import forget
from genmodel_bench.execution.checks import checks_of
from genmodel_bench.execution.context import Context
from genmodel_bench.execution.draws import draws_of, fit_lock
from genmodel_bench.execution.measure import subject_of
from genmodel_bench.execution.messages import News, Notice, Outcome, Tell
from genmodel_bench.execution.rows import failure, score_records
from genmodel_bench.execution.tensorboard import TensorBoardWriter
from genmodel_bench.execution.visuals import make_visuals, visuals_due
from genmodel_bench.metrics.base import Metric
from genmodel_bench.storage import provenance
from genmodel_bench.storage.atomic import NoRoom
from genmodel_bench.storage.record import Record, as_json
from genmodel_bench.storage.store import Store
from genmodel_bench.training.loop import CHECKPOINT_SECONDS
from genmodel_bench.training.numerics import numerics


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
        with cell_lock(cell, context.store, wait=wait):
            begin()
            if context.run:
                with fit_lock(cell, context.store, tell):
                    forget(cell, context.store, run=context.run)
            writer = TensorBoardWriter(cell, context.store) if context.tensorboard else None
            outcome = run_cell(cell, context, tell=tell, writer=writer)
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
            numerics(deterministic=cell.protocol.deterministic, precision=cell.protocol.matmul),
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
        gone = store.append(outcome.records)
        if gone:
            of = dict.fromkeys(f"{r.name}{'' if r.seed is None else f' seed {r.seed}'}" for r in gone)
            text = (
                f"{len(gone)} rows that it outdates ({', '.join(of)}) are superseded, "
                f"kept in {store.path.with_name('runs-superseded.csv')}"
            )
            tell(Notice(text))


def cell_lock(cell: Cell, store: Store, *, wait: bool) -> FileLock:
    """Return the lock on a cell, for a `with` statement.

    Raises:
        Timeout: on entering, if another process has the lock and `wait` is False.
    """
    path = store.artefact("locks", f"{cell.id}.lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(path, timeout=-1 if wait else 0)


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
        numerics(deterministic=cell.protocol.deterministic, precision=cell.protocol.matmul),
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
            row, name, metrics[name], subject, data, base_seed=cell.seed, of=cell.family, store=store
        )
    return Outcome(records, reused=False)


def stored(cell: Cell, context: Context) -> Outcome | None:
    """Return the outcome of a cell of which nothing is missing, else None."""
    kept, blanks = split(cell, context)
    if blanks or context.tensorboard or visuals_due(cell, context.data, context.store):
        return None
    outcome = Outcome([r.sealed().settled(cell.vouched) for r in kept], reused=True)
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


def split(cell: Cell, context: Context) -> tuple[list[Record], dict[str, Record]]:
    """Return the stored rows of a cell that are up to date, and blanks for the rest.

    A blank is the row of a metric that is missing, without a score.
    """
    metrics = context.metrics
    there = {} if context.rescore else reusable(context.store.records(), cell, metrics)
    # The same settings may have had another label, as before a change of the defaults:
    # the rows get today's.
    kept = [
        replace(r, options=as_json(cell.options, in_order=True))
        for name in metrics
        for r in there.get(name, ())
    ]
    blank = blank_record(cell, context.data, context.device)
    blanks = {
        name: replace(
            blank,
            metric=name,
            score_key=cell.score_key(name, metric),
            ingredients=as_json(cell.ingredients(name, metric)),
        )
        for name, metric in metrics.items()
        if name not in there
    }
    return kept, blanks


def reusable(records: Sequence[Record], cell: Cell, metrics: Mapping[str, Metric]) -> dict[str, list[Record]]:
    """Return, by metric, the stored rows of `cell` that are up to date.

    A metric is left out if one of its rows failed, is doubted, or is of another recipe.
    """
    found: dict[str, list[Record]] = {}
    for r in records:
        if r.cell == cell.id or (r.line, r.seed) == (cell.line, cell.seed):
            found.setdefault(r.metric, []).append(r)
    recipe, scored = cell.recipe, {name: cell.metric_recipe(name, metric) for name, metric in metrics.items()}

    def good(r: Record) -> bool:
        done = r.ok or r.status.startswith("n/a")
        return (
            done
            and not r.doubt
            and (r.cell, r.role) == (cell.id, cell.role)
            and (r.recipe, r.metric_recipe) == (recipe, scored[r.metric])
        )

    return {name: found[name] for name in metrics if name in found and all(map(good, found[name]))}


def blank_record(cell: Cell, data: Dataset, device: torch.device) -> Record:
    """Return a record of the cell without a score."""
    return Record(
        dataset=cell.dataset,
        model=cell.model,
        options=as_json(cell.options, in_order=True),
        role=cell.role,
        seed=cell.seed,
        samples=cell.protocol.samples,
        draws=cell.protocol.draws,
        epochs=getattr(cell.config, "epochs", None),
        checkpoint="" if cell.config.REFERENCE else cell.protocol.checkpoint,
        model_settings=as_json(cell.settings),
        dataset_digest=cell.dataset_digest,
        cell=cell.id,
        dtype=str(data.train.dtype).removeprefix("torch."),
        created=provenance.now(),
        **provenance.machine(device),
    )
