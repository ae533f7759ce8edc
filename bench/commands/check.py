"""Has a likelihood score changed by more than its noise?

`bench check` makes the cells of a baseline again and compares the means over seeds. The
error over test images is common to both sides and cancels. What remains is the standard
deviation s over training runs, pooled over both sides; it is known if either has two
seeds or more. A change counts if it exceeds

    |mean now − mean before|  >  max(5e-3, min(a, b)),
    a = t(0.9975, dof) · s · √(1/n_before + 1/n_now),   dof = n_before + n_now − 2,
    b = z(0.9975) · e.

5e-3 is the rounding of the metric. a is the limit of Student's t-test, with a false-alarm
probability of 0.25 % in each direction. In b, e is the standard error of one value over
test images and draws of samples. b replaces a where s is unknown, and where with few
seeds a is so large that no change would be detected. If the runs spread by more than
about half of e, b raises more false alarms than that. Values are not compared if they
were made under another protocol, from other data or with other settings.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal

import torch
from genmodel_bench.cells.cell import Cell
from genmodel_bench.cells.recorded import cell_today
from genmodel_bench.commands.display import heard
from genmodel_bench.data.dataset import Dataset
from genmodel_bench.data.registry import load
from genmodel_bench.errors import BenchError, DataMissing
from genmodel_bench.execution.context import Context
from genmodel_bench.execution.execute import run_cell
from genmodel_bench.execution.listener import Listener
from genmodel_bench.metrics import METRICS
from genmodel_bench.report.tables.published import HEADLINE
from genmodel_bench.storage.ingredients import Vouched, read_vouched
from genmodel_bench.storage.names import in_home, results_at
from genmodel_bench.storage.provenance import resolve_device
from genmodel_bench.storage.reading import read_records
from genmodel_bench.storage.record import Record, as_json
from genmodel_bench.storage.store import Store, believed, sure

ALPHA = 0.0025
"""The probability of a false alarm in each direction."""
ROUNDING = 5e-3
"""Nats by which float32 and another machine may change a score (`metrics/windows.py`)."""
FAST_SECONDS = 60.0
"""Seconds of training up to which `--fast` repeats a line, with one seed."""
SCORED_BY = ("samples", "valid_images", "folds", "sigma_grid")
"""The settings of a score that must be equal for two values to be comparable."""

Finding = Literal["improved", "regressed", "indistinguishable", "not comparable", "skipped"]


@dataclass(frozen=True)
class Verdict:
    """What was found for one line of the table.

    before, now: the means over seeds, in nats.
    threshold: the change that would count, in nats.
    reason: why, in words.
    """

    line: str
    finding: Finding
    before: float | None = None
    now: float | None = None
    threshold: float | None = None
    reason: str = ""


def compare(before: Sequence[Record], now: Sequence[Record]) -> Verdict:
    """Return the verdict on one line of the table.

    before, now: its headline records on either side, one for each seed.
    """
    name, failed = line_name(before[0]), [r for r in now if r.value is None]
    differences = other_conditions(before[0], now[0])
    if differences:
        return Verdict(
            name, "not comparable", mean(before), None if failed else mean(now), reason="; ".join(differences)
        )
    if failed:
        return Verdict(name, "regressed", mean(before), reason=failed[0].status)
    seeds = {r.seed: r.value for r in now}
    same = [r for r in before if r.seed in seeds]
    if same and all(seeds[r.seed] == r.value for r in same):
        return Verdict(name, "indistinguishable", mean(before), mean(now), 0.0, "identical seed by seed")
    single = max(math.hypot(r.stderr or 0.0, r.draw_sd or 0.0) for r in (*before, *now))
    finding, limit = judge(values(before), values(now), single=single)
    return Verdict(
        name, finding, mean(before), mean(now), limit, f"{len(before)} seeds before, {len(now)} now"
    )


def judge(before: Sequence[float], now: Sequence[float], *, single: float) -> tuple[Finding, float]:
    """Return the finding on the values of two sets of runs, and the limit, in nats.

    A change of the mean counts if it exceeds the limit. `single` is the standard error of
    one value over test images and draws.
    """
    m, n = len(before), len(now)
    mean_before, mean_now = math.fsum(before) / m, math.fsum(now) / n
    dof = m + n - 2
    limit = quantile(math.inf) * single
    if dof:
        squares = math.fsum((v - mean_before) ** 2 for v in before) + math.fsum(
            (v - mean_now) ** 2 for v in now
        )
        limit = min(limit, quantile(dof) * math.sqrt(squares / dof * (1 / m + 1 / n)))
    limit = max(limit, ROUNDING)
    change = mean_now - mean_before
    return ("indistinguishable" if abs(change) <= limit else "improved" if change > 0 else "regressed"), limit


@cache
def quantile(dof: float) -> float:
    """Return the quantile of Student's t at 1 − ALPHA.

    For infinitely many degrees of freedom it is that of the normal distribution.
    """
    # Imported here: it is slow, and most commands that load this module do not need it.
    from scipy.special import ndtri, stdtrit

    return float(ndtri(1 - ALPHA) if math.isinf(dof) else stdtrit(dof, 1 - ALPHA))


def other_conditions(before: Record, now: Record) -> list[str]:
    """Return in words why two records cannot be compared; empty if they can.

    The reasons are other data, other settings of the model, or another protocol.
    """
    found = other_inputs(before, now.dataset_digest, json.loads(now.model_settings))
    return found if now.value is None else found + changes("protocol", protocol(before), protocol(now))


def other_inputs(before: Record, digest: str, settings: Mapping[str, Any]) -> list[str]:
    """Return in words how data and model settings differ from those of a record."""
    found = ["the content of the data set differs"] if before.dataset_digest != digest else []
    return found + changes("settings", json.loads(before.model_settings), settings)


def changes(what: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Return one text that names the keys whose values differ; empty if none do."""
    changed = [
        f"{key} was {old.get(key)}, is {new.get(key)}"
        for key in sorted({*old, *new})
        if old.get(key) != new.get(key)
    ]
    return [f"{what}: {', '.join(changed)}"] if changed else []


def protocol(record: Record) -> dict[str, Any]:
    """Return what must be equal in how two records were scored, for a comparison."""
    settings = json.loads(record.metric_settings)
    return {key: settings.get(key) for key in SCORED_BY} | {
        "draws": record.draws,
        "n": record.n,
        "unit": record.unit,
    }


def values(records: Sequence[Record]) -> list[float]:
    """Return the values of the records, without failures, which have none."""
    return [r.value for r in records if r.value is not None]


def mean(records: Sequence[Record]) -> float | None:
    """Return the mean of the records' values, in nats; None if none has a value."""
    found = values(records)
    return math.fsum(found) / len(found) if found else None


def line_name(record: Record) -> str:
    """Return the name of a record's line in the table, with N if that is not 10,000."""
    return record.name if record.samples == 10_000 else f"{record.name}, N = {record.samples}"


def check(
    baseline: Path | str,
    *,
    fast: bool = False,
    retrain: bool = False,
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
    listener: is notified of what is done; by default a display in IPython or a notebook.

    Raises:
        BenchError: the baseline, its data or the device is missing or cannot be used.
    """
    lines = read_lines(in_home(baseline) / "runs.csv")
    where = resolve_device(device)
    dataset = lines[0][0].dataset
    verdicts: list[Verdict] = []
    todo: list[tuple[list[Record], list[Cell]]] = []
    results = results_at(results)
    vouched = read_vouched(results)
    with heard(listener) as listener:
        listener.doing(f"loading {dataset}")
        content = load(dataset, root=data)
        for records in lines:
            planned = cells_today(records, content.digest, vouched, fast=fast)
            if isinstance(planned, Verdict):
                verdicts.append(planned)
            else:
                todo.append((records, planned))
        cells = [cell for _, planned in todo for cell in planned]
        listener.planned(cells)
        with working_folder(results, scratch=retrain) as folder:
            outcomes = headlines(cells, content.to(where), Store(folder, dataset), where, listener)
    return [*(compare(records, [outcomes[cell] for cell in cells]) for records, cells in todo), *verdicts]


def headlines(
    cells: Sequence[Cell], content: Dataset, store: Store, where: torch.device, listener: Listener
) -> dict[Cell, Record]:
    """Return the headline record of each cell, or its failure, made by today's code.

    content: the data set, on the device `where`.
    """
    scored = {HEADLINE[0]: METRICS[HEADLINE[0]]}
    context = Context(content, store, scored, where, rescore=True)
    store.prepare()
    found = {}
    for cell in cells:
        listener.started(cell)
        outcome = run_cell(cell, context, tell=partial(listener.news, cell))
        found[cell] = outcome.records[0]
        listener.finished(cell, outcome)
    return found


def read_lines(path: Path) -> list[list[Record]]:
    """Return the headline records of each line of a baseline.

    Of a line that has trusted records with a value, only these are returned.

    Raises:
        DataMissing: there is no such file.
        BadRecords: it is damaged.
        BenchError: it holds no likelihood scores.
    """
    if not path.is_file():
        raise DataMissing(
            f"--baseline: {path} not found; expected a folder that `bench run` wrote, like results/mnist"
        )
    lines: dict[tuple[str, str, int], list[Record]] = {}
    records = read_records(path)
    for r in believed(records, records[0].dataset if records else "", read_vouched(path.parent.parent)):
        if r.metric == HEADLINE[0] and r.quantity in (HEADLINE[1], ""):  # a failure has no quantity
            lines.setdefault(r.line, []).append(r)
    if not lines:
        raise BenchError(f"--baseline: {path} holds no likelihood numbers")
    return [[r for r in sure(records) if r.value is not None] or records for records in lines.values()]


def cells_today(
    records: Sequence[Record], digest: str, vouched: Vouched, *, fast: bool
) -> list[Cell] | Verdict:
    """Return the cells that make a line again, or its verdict if none are to be made.

    digest: of the content of today's data set.
    """
    first = records[0]

    def verdict(finding: Finding, reason: str) -> Verdict:
        return Verdict(line_name(first), finding, mean(records), reason=reason)

    if first.doubt:
        return verdict("not comparable", f"the baseline's row {first.doubt}")
    if first.value is None:
        return verdict("skipped", f"the baseline has no number: {first.status}")
    if first.role == "samples":
        return verdict("skipped", "samples of a user cannot be made again")
    if fast and (first.fit_seconds or 0.0) > FAST_SECONDS:
        return verdict("skipped", f"--fast: training took {first.fit_seconds:.0f} s")
    try:
        cells = [cell_today(r, digest, vouched) for r in (records[:1] if fast else records)]
    except (KeyError, TypeError, ValueError) as error:
        return verdict("not comparable", f"cannot be made by today's code: {' '.join(str(error).split())}")
    differences = other_inputs(first, digest, json.loads(as_json(cells[0].settings)))
    return verdict("not comparable", "; ".join(differences)) if differences else cells


@contextmanager
def working_folder(results: Path, *, scratch: bool) -> Iterator[Path]:
    """Yield `results`, or if `scratch` an empty folder that is deleted afterwards."""
    if not scratch:
        yield results
        return
    with tempfile.TemporaryDirectory(prefix="bench-check-") as folder:
        yield Path(folder)


def exit_code(verdicts: Sequence[Verdict]) -> int:
    """Return the exit code of `bench check`.

    3 if a score regressed, else 4 if one cannot be compared or all were skipped, else 0.
    """
    findings = {v.finding for v in verdicts}
    if "regressed" in findings:
        return 3
    return 4 if "not comparable" in findings or findings <= {"skipped"} else 0


def as_plain(verdicts: Sequence[Verdict]) -> str:
    """Return the verdicts as a JSON list, for `bench check --json`."""
    return as_json([asdict(v) for v in verdicts])
