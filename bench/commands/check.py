"""Are a baseline's likelihood scores still what they were? `bench check`.

Its cells are made again by today's code, or a user's new samples are scored, and each
line of the table gets a verdict (`report/verdicts.py`). No row is written: a baseline
that a check may overwrite is none.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from genmodel_bench.cells.cell import Cell
from genmodel_bench.cells.recorded import cell_today
from genmodel_bench.commands.display import heard
from genmodel_bench.commands.score import scored
from genmodel_bench.data.dataset import Dataset
from genmodel_bench.data.registry import load
from genmodel_bench.errors import BadOption, BenchError, DataMissing, UnknownName
from genmodel_bench.execution.context import Setup
from genmodel_bench.execution.executor import Executor
from genmodel_bench.execution.listener import Listener
from genmodel_bench.metrics import METRICS
from genmodel_bench.report.tables.published import HEADLINE, OWN_SCORES
from genmodel_bench.report.verdicts import (
    Finding,
    Verdict,
    compare,
    line_name,
    mean,
    other_inputs,
)
from genmodel_bench.storage.ingredients import Vouched, read_vouched
from genmodel_bench.storage.names import in_home, results_at
from genmodel_bench.storage.plain import as_json
from genmodel_bench.storage.provenance import resolve_device
from genmodel_bench.storage.reading import read_records
from genmodel_bench.storage.record import Record
from genmodel_bench.storage.store import Store, believed, sure

FAST_SECONDS = 60.0
"""Seconds of training up to which `--fast` repeats a line, with one seed."""
LIKELIHOODS = (HEADLINE, *OWN_SCORES)
"""The scores that are checked: (metric, its name)."""
SCORED = {HEADLINE[0]: METRICS[HEADLINE[0]]}
"""The metric of samples' likelihood, by name."""


def check(
    baseline: Path | str,
    *,
    fast: bool = False,
    retrain: bool = False,
    rows: Sequence[str] = (),
    jobs: int = 0,
    data: Path | str | None = None,
    device: str = "auto",
    results: Path | str | None = None,
    listener: Listener | None = None,
) -> list[Verdict]:
    """Make the likelihood scores of a baseline again, and return a verdict on each line.

    baseline: a folder with runs.csv; it is not changed.
    fast: repeat only the lines that train within a minute, with one seed of each.
    retrain: train everything again. By default trained models and samples under `results`
        that are up to date are scored again, and only the others are trained.
    rows: the lines to check, as the table names them; all if there are none.
    jobs: number of cells at once, each in a process of its own; 0 means one after another
        in this process. Each computes with as many threads as the baseline's had, if this
        machine has as many.
    listener: is notified of what is done; by default a display in IPython or a notebook.

    Raises:
        BenchError: the baseline, its data or the device is missing or cannot be used.
    """
    executor = Executor(jobs=jobs)
    executor.check(device=device, tensorboard=False)
    lines = chosen(read_lines(in_home(baseline) / "runs.csv"), [rows] if isinstance(rows, str) else rows)
    dataset = lines[0][0].dataset
    source = partial(load, dataset, root=data)
    results = results_at(results)
    vouched = read_vouched(results)
    verdicts: list[Verdict] = []
    todo: list[tuple[list[Record], list[Cell]]] = []
    with heard(listener) as listener:
        listener.doing(f"loading {dataset}")
        content = source()
        for records in lines:
            planned = cells_today(records, content.digest, vouched, fast=fast)
            if isinstance(planned, Verdict):
                verdicts.append(planned)
            else:
                todo.append((records, planned))
        cells = list(dict.fromkeys(cell for _, planned in todo for cell in planned))
        metrics = {name: METRICS[name] for name in dict.fromkeys(records[0].metric for records, _ in todo)}
        listener.planned(cells)
        with working_folder(results, scratch=retrain) as folder, as_many_threads(lines, jobs):
            setup = Setup(source, folder, device, metrics, rescore=True, stores=False)
            outcomes = likelihoods(cells, content, setup, executor, listener)
    judged = [
        compare(records, [outcomes[cell, records[0].metric] for cell in cells], vouched)
        for records, cells in todo
    ]
    return [*judged, *verdicts]


def likelihoods(
    cells: Sequence[Cell], content: Dataset, setup: Setup, executor: Executor, listener: Listener
) -> dict[tuple[Cell, str], Record]:
    """Return each cell's likelihood, or its failure, by each metric, as made today."""
    Store(setup.results, content.name).prepare()
    found: dict[tuple[Cell, str], Record] = {}
    with closing(executor.outcomes(cells, content, setup, listener)) as outcomes:
        for cell, outcome in outcomes:
            for metric in setup.metrics:
                rows = [r for r in outcome.records if r.metric in (metric, "")]
                found[cell, metric] = next((r for r in rows if is_likelihood(r)), rows[0])
            listener.finished(cell, outcome)
    return found


def is_likelihood(record: Record) -> bool:
    """Return whether a record is of a score that is checked."""
    return (record.metric, record.quantity) in LIKELIHOODS


def check_samples(
    baseline: Path | str,
    samples: Sequence[Path | str],
    *,
    name: str,
    dataset: str | None = None,
    data: Path | str | None = None,
    device: str = "auto",
    listener: Listener | None = None,
) -> list[Verdict]:
    """Score a user's new samples, and return the verdict on his row of a baseline.

    baseline: a folder with runs.csv that has a row of samples, of `bench score`.
    samples: one file or folder of images for each training run.
    name: of the row.
    dataset: that of the baseline, which is checked.

    Raises:
        BadSamples: samples cannot be read, or are there twice.
        BenchError: the baseline has no such row, is of another data set, or its data or
            the device is missing.
    """
    lines = read_lines(Path(baseline) / "runs.csv")
    own = [records for records in lines if records[0].role == "samples"]
    named = [records for records in own if name in (records[0].name, records[0].model)]
    of = lines[0][0].dataset
    if dataset not in (None, of):
        raise BadOption(f"--dataset: got {dataset!r}, but the baseline {baseline} is of {of!r}")
    if not named:
        there = ", ".join(records[0].model for records in own) or "none"
        text = f"the baseline {baseline} has no row of samples called {name!r}, of those it has {there}"
        raise BenchError(f"--name: {text}; `bench score` makes one")
    where = resolve_device(device)
    with heard(listener) as listener, tempfile.TemporaryDirectory(prefix="bench-check-") as folder:
        listener.doing(f"loading {of}")
        content = load(of, root=data)
        now = made_of(samples, name, content, where, Store(Path(folder), of), listener)
    before = next((records for records in named if records[0].samples == now[0].samples), named[0])
    return [unusable(before) or compare(before, now, read_vouched(Path(baseline).parent))]


def made_of(
    samples: Sequence[Path | str],
    name: str,
    content: Dataset,
    where: torch.device,
    store: Store,
    listener: Listener,
) -> list[Record]:
    """Return the headline record of each file of samples; seeds are their places.

    Raises:
        BadSamples: samples cannot be read, are too few or there twice.
    """
    store.prepare()
    made = scored([Path(path) for path in samples], name, content, where, store, SCORED, listener)
    first = {r.seed: r for r in reversed(made)}  # the headline score of each
    return [replace(r, seed=seed or 0) for seed, r in reversed(first.items())]


def read_lines(path: Path) -> list[list[Record]]:
    """Return the records of each likelihood of each line of a baseline.

    Of a line that has trusted records with a value, only these are returned. A likelihood
    of their own that models do not have is no line.

    Raises:
        DataMissing: there is no such file.
        BadRecords: it is damaged.
        BenchError: it holds no likelihood scores.
    """
    if not path.is_file():
        raise DataMissing(
            f"--baseline: {path} not found; expected a folder that `bench run` wrote, like results/mnist"
        )
    lines: dict[object, list[Record]] = {}
    records = read_records(path)
    for r in believed(records, records[0].dataset if records else "", read_vouched(path.parent.parent)):
        failed = not r.quantity and (r.metric == HEADLINE[0] or not r.status.startswith("n/a"))
        if is_likelihood(r) or (failed and r.metric in dict(LIKELIHOODS)):
            lines.setdefault((r.key, r.metric), []).append(r)
    if not lines:
        raise BenchError(f"--baseline: {path} holds no likelihood numbers")
    return [[r for r in sure(records) if r.value is not None] or records for records in lines.values()]


def chosen(lines: list[list[Record]], rows: Sequence[str]) -> list[list[Record]]:
    """Return the lines with these names, or of models with these names; else all.

    Raises:
        UnknownName: the baseline has no such line.
    """
    names = [{line_name(records[0]), records[0].name, records[0].model} for records in lines]
    for row in rows:
        if not any(row in known for known in names):
            raise UnknownName("row", row, [line_name(records[0]) for records in lines])
    return [records for records, known in zip(lines, names, strict=True) if not rows or known & set(rows)]


def cells_today(
    records: Sequence[Record], digest: str, vouched: Vouched, *, fast: bool
) -> list[Cell] | Verdict:
    """Return the cells that make a line again, or its verdict if none are to be made.

    digest: of the content of today's data set.
    """
    first = min(records, key=lambda r: r.seed or 0)
    refused = unusable(records)
    if refused:
        return refused
    if first.role == "samples":
        return without_run(
            records, "skipped", f"a user's samples: check new ones with --samples FILES --name {first.model}"
        )
    if fast and (first.fit_seconds or 0.0) > FAST_SECONDS:
        return without_run(records, "skipped", f"--fast: training took {first.fit_seconds:.0f} s")
    try:
        cells = [cell_today(r, digest, vouched) for r in ([first] if fast else records)]
    except (BenchError, KeyError, TypeError, ValueError) as error:
        text = f"cannot be made by today's code: {' '.join(str(error).split())}"
        return without_run(records, "not comparable", text)
    differences = other_inputs(first, digest, json.loads(as_json(cells[0].settings)))
    return without_run(records, "not comparable", "; ".join(differences)) if differences else cells


def unusable(records: Sequence[Record]) -> Verdict | None:
    """Return the verdict on a line that nothing can be compared with, else None."""
    first = records[0]
    if first.doubt:
        return without_run(records, "not comparable", f"the baseline's row {first.doubt}")
    if first.value is None:
        return without_run(records, "skipped", f"the baseline has no number: {first.status}")
    return None


def without_run(records: Sequence[Record], finding: Finding, reason: str) -> Verdict:
    """Return the verdict on a line that is not made again."""
    return Verdict(line_name(records[0]), finding, mean(records), reason=reason)


@contextmanager
def working_folder(results: Path, *, scratch: bool) -> Iterator[Path]:
    """Yield `results`, or if `scratch` an empty folder that is deleted afterwards."""
    if not scratch:
        yield results
        return
    with tempfile.TemporaryDirectory(prefix="bench-check-") as folder:
        yield Path(folder)


@contextmanager
def as_many_threads(lines: Sequence[Sequence[Record]], jobs: int) -> Iterator[None]:
    """Give each cell the number of threads that most of the baseline's had.

    Bits depend on it. More threads than the machine has are not taken.
    """
    ((usual, _),) = Counter(r.threads for records in lines for r in records).most_common(1)
    before = torch.get_num_threads()
    threads = min(usual, os.cpu_count() or 1) or max(1, before // max(1, jobs))
    torch.set_num_threads(threads * max(1, jobs))  # which the processes share
    try:
        yield
    finally:
        torch.set_num_threads(before)
