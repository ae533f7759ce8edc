"""Does training a stored cell again, in full or in part, give the same bits?"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from genmodel_bench.cells.catalogue import metric_of
from genmodel_bench.cells.cell import Cell
from genmodel_bench.data.dataset import Dataset
from genmodel_bench.execution.context import Context, numerics_of
from genmodel_bench.execution.execute import run_cell
from genmodel_bench.execution.rows import measured
from genmodel_bench.models.base import Model
from genmodel_bench.storage.record import Record
from genmodel_bench.storage.store import Store
from genmodel_bench.training import loop
from genmodel_bench.training.checkpoint import weights_digest
from genmodel_bench.training.seeding import fit_seed
from genmodel_bench.training.selection import checked

Change = tuple[str, str, str, str, str]
"""(kind of model or metric, data set, role of the code, digest before, digest now)."""


@dataclass
class Case:
    """A stored cell that was made by other code than today's.

    cell: the cell as today's code makes it.
    rows: its stored rows.
    changes: what has changed in the code since.
    """

    cell: Cell
    rows: list[Record]
    changes: set[Change]

    @property
    def name(self) -> str:
        """Return the data set, line and seed of the case, for messages."""
        return f"{self.cell.dataset} {self.rows[0].name} seed {self.cell.seed}"

    @property
    def seconds(self) -> float:
        """Return about how many seconds it takes to make the cell again."""
        first = self.rows[0]
        scoring = {r.metric: r.score_seconds or 0.0 for r in self.rows}
        return (
            (first.fit_seconds or 0.0) + first.draws * (first.sample_seconds or 0.0) + sum(scoring.values())
        )

    @property
    def trace(self) -> dict[str, str]:
        """Return the digests of the weights, by where they were taken.

        Those of draws are left out.
        """
        return {
            where: digest for where, digest in json.loads(self.rows[0].trace) if not where.startswith("draw ")
        }


class Parted(Exception):
    """The bits of a replay differ from those of the row; the text says where."""


class Enough(Exception):
    """The part of the training that was asked for has been replayed."""


def replay_whole(case: Case, data: Dataset, device: torch.device) -> str:
    """Make a cell again from nothing, in a temporary folder; return what was equal.

    Raises:
        Parted: something differs.
    """
    metrics = {r.metric: metric for r in case.rows if (metric := metric_of(r))}
    with tempfile.TemporaryDirectory(prefix="bench-vouch-") as folder:
        outcome = run_cell(case.cell, Context(data, Store(Path(folder), data.name), metrics, device))
    now = {(r.metric, r.quantity): r for r in outcome.records}
    trace = dict(json.loads(outcome.records[0].trace))
    before = dict(json.loads(case.rows[0].trace))
    for where, digest in before.items():
        if trace.get(where) != digest:
            raise Parted(f"at {where}: {digest} in the row, {trace.get(where, 'nothing')} now")
    for r in case.rows:
        new = now.get((r.metric, r.quantity))
        if new is None or new.weights != r.weights:
            raise Parted(
                f"in the weights: {r.weights} in the row, "
                f"{new.weights if new else outcome.records[0].status} now"
            )
        if measured(new) != measured(r) or new.curves != r.curves:
            raise Parted(f"in {r.metric}, {r.quantity}: {r.value} in the row, {new.value} now")
    draws = sum(where.startswith("draw ") for where in before)
    return f"whole: {len(before) - draws or 1} digests of weights, {draws} of draws, {len(case.rows)} values"


def replay_beginning(case: Case, data: Dataset, until: float) -> str:
    """Train a cell for a limited time; return what was equal.

    until: the time (of time.monotonic) at which to stop, but not before weights of the
        first stored epoch or the first stage's end were compared.

    Raises:
        Parted: something differs.
    """
    cell, tracer = case.cell, Tracer(case, data, until)
    labels = data.labels["train"] if data.labels else None
    seed = fit_seed(cell.seed, cell.dataset, cell.family)
    try:
        with numerics_of(cell):
            loop.fit(
                cell.config,
                data.train,
                labels,
                seed=seed,
                keeper=tracer,
                watch=tracer.watch,
                snapshot=tracer.check,
                bf16=cell.protocol.precision == "bf16",
            )
    except Enough:
        pass
    return (
        f"the beginning: {', '.join(tracer.seen)} of {list(case.trace)[-1]}, "
        f"and {tracer.checks} checks of samples"
    )


class Tracer:
    """Compares the weights with a trace while a model is trained, and stores nothing.

    This is the `Keeper` that the loop is given (`genmodel_bench.training.loop.Keeper`).
    """

    def __init__(self, case: Case, data: Dataset, until: float) -> None:
        self.cell, self.data, self.until = case.cell, data, until
        self.trace = case.trace
        self.by_epoch: dict[str, float] = json.loads(case.rows[0].curves).get("validation by epoch", {})
        self.seen: list[str] = []
        self.checks = 0

    def load(self, device: torch.device) -> None:
        """Return no state: the training starts from the beginning."""
        return None

    def save(self, position: int, state: Mapping[str, Any]) -> None:
        """Store nothing."""

    def keep(self, model: Model, epoch: int) -> None:
        """Store nothing."""

    def digest(self, model: Model, where: str) -> str:
        """Return the digest of the weights, after comparing it with the trace.

        Raises:
            Parted: the trace has another one at `where`.
        """
        digest = weights_digest(model)
        if where in self.trace:
            if digest != self.trace[where]:
                raise Parted(f"at {where}: {self.trace[where]} in the row, {digest} now")
            self.seen.append(where)
        return digest

    def check(self, model: Model, epoch: int) -> None:
        """Repeat the check after an epoch; compare its value in nats with the row's.

        Raises:
            Parted: the values differ.
        """
        before = self.by_epoch.get(str(epoch))
        if before is not None:
            cell = self.cell
            now = checked(
                model, epoch, self.data.valid, base_seed=cell.seed, dataset=cell.dataset, family=cell.family
            ).value
            if now != before:
                raise Parted(f"in the samples after epoch {epoch}: {before} nats in the row, {now} now")
            self.checks += 1

    def watch(self, news: loop.Progress | loop.Epoch) -> None:
        """Stop when the time is up, but not before trained weights were compared.

        Raises:
            Enough: it is time to stop.
        """
        if time.monotonic() > self.until and any(where != "initialise" for where in self.seen):
            raise Enough
