"""How does one cell become records? Fit, sample and score, each taken from the cache where nothing it depends on has changed."""

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
    """Run what is missing of a cell, as `run_cell` does, and store its rows; None if another process is at it and `wait` is False.

    A lock on the cell is held meanwhile: a second process that wants it finds the rows of the first. The system frees the lock of a process
    that died. `begin` is called once the lock is had.
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
    """Make the cell's visuals; a model that cannot be drawn is told of, and its rows are as good as without."""
    try:
        with (
            _ALONE,
            numerics(deterministic=cell.protocol.deterministic, precision=cell.protocol.precision),
            warnings_told(tell),
        ):
            make_visuals(cell, context.data, context.store, context.device)
    except NoRoom:
        raise
    except Exception as error:  # noqa: BLE001  # whatever a model raises here, its scores are stored
        tell(Notice(f"no pictures of it: {failure(error)}"))


def keep(outcome: Outcome, store: Store, tell: Tell = lambda news: None) -> None:
    """Store the rows of an outcome where they are not stored yet, and tell which values they supersede."""
    if set(outcome.records) - set(store.records()):
        gone = store.append(outcome.records)
        if gone:
            of = dict.fromkeys(f"{r.name}{'' if r.seed is None else f' seed {r.seed}'}" for r in gone)
            text = f"{len(gone)} rows that it outdates ({', '.join(of)}) are superseded, kept in {store.path.with_name('runs-superseded.csv')}"
            tell(Notice(text))


def cell_lock(cell: Cell, store: Store, *, wait: bool) -> FileLock:
    """Return the lock on a cell, to be entered; raises Timeout there if another process has it and `wait` is False."""
    path = store.artefact("locks", f"{cell.id}.lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(path, timeout=-1 if wait else 0)


@contextmanager
def warnings_told(tell: Tell) -> Iterator[None]:
    """Tell of warnings instead of printing them."""

    def show(message: Warning | str, *rest: Any, **named: Any) -> None:
        tell(Notice(" ".join(str(message).split())))

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield


def run_cell(
    cell: Cell, context: Context, *, tell: Tell = lambda news: None, writer: TensorBoardWriter | None = None
) -> Outcome:
    """Run what is missing of a cell and return its records, which are not stored yet.

    An exception of a model or metric becomes the status of a row; KeyboardInterrupt, SystemExit and NoRoom pass. One cell at a time
    runs in a process: torch's generators are the process's.
    """
    with (
        _ALONE,
        numerics(deterministic=cell.protocol.deterministic, precision=cell.protocol.precision),
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
    except Exception as error:  # noqa: BLE001  # whatever a model raises is a row's status, and the other cells go on
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
    """Return the outcome of a cell whose process is no more: what is missing has `status`; its rows are stored.

    None if another process has taken the cell up since.
    """
    try:
        with cell_lock(cell, context.store, wait=False):
            return abandoned(cell, context, status)
    except Timeout:
        return None


def abandoned(cell: Cell, context: Context, status: str) -> Outcome:
    """Return the outcome of a cell whose lock is held here and whose process is no more: what is missing has `status`; store its rows."""
    kept, blanks = split(cell, context)
    records = [
        r.sealed().settled(cell.vouched)
        for r in (*kept, *(replace(row, status=status) for row in blanks.values()))
    ]
    context.store.append(records)
    return Outcome(records, reused=False)


def too_slow(seconds: float) -> str:
    """Return the status of a cell that took longer than it may."""
    text = (
        f"the next run goes on from its last checkpoint, of which there is one every {CHECKPOINT_SECONDS:g} s"
    )
    return f"timeout: stopped after {seconds:g} s; {text}"


def keys_of(cell: Cell, metrics: Mapping[str, Metric]) -> list[str]:
    """Return the keys of a cell's scores under the code as this process sees it."""
    return [cell.score_key(name, metric) for name, metric in metrics.items()]


def check_code(cell: Cell, metrics: Mapping[str, Metric], keys: Sequence[str]) -> None:
    """Raise BenchError where this process has other code than the one in which the cell's scores have these `keys`."""
    if keys_of(cell, metrics) != keys:
        raise BenchError(
            "run: the code was changed while it ran; what is finished is kept, start the same command again"
        )


def split(cell: Cell, context: Context) -> tuple[list[Record], dict[str, Record]]:
    """Return the stored rows of a cell that nothing has outdated, and for each metric that is missing a row without a score."""
    metrics = context.metrics
    there = {} if context.rescore else reusable(context.store.records(), cell, metrics)
    # A row made under another name for the same settings, as when a default was changed, takes the name they have now.
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
    """Return, by metric, the stored rows of `cell` that nothing has outdated.

    Neither a failure nor a doubtful row is among them, nor the other rows of its metric.
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
    """Return a record of the cell with no score in it."""
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
