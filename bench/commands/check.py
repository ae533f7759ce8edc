"""Has a likelihood number changed by more than its noise? `bench check` makes a baseline's cells again and compares the means over seeds.

The error over test images is common to both sides and cancels. What is left is the spread s over training runs, estimated from both
sides where either has two seeds or more. A change counts beyond the smaller of two limits, and never below the rounding of the metric:

    |mean now − mean before|  >  max(5e-3, min(t(0.9975, dof) · s · √(1/n_before + 1/n_now),  z(0.9975) · e))

The first is Student's t at 0.25 % in each direction. The second, with e the standard error of one value over test images and draws of
samples, stands in where s is unknown and where t, for want of seeds, would see nothing; where runs spread by more than about half of e,
it raises more false alarms than it should. What was made under another protocol, from other data or by other settings is not compared.
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

from genmodel_bench.cells.cell import Cell
from genmodel_bench.cells.recorded import cell_today
from genmodel_bench.data.registry import load
from genmodel_bench.errors import BenchError, DataMissing
from genmodel_bench.execution.context import Context
from genmodel_bench.execution.execute import run_cell
from genmodel_bench.execution.listener import Listener, Silent
from genmodel_bench.metrics import METRICS
from genmodel_bench.storage.ingredients import Vouched, read_vouched
from genmodel_bench.storage.names import default_results
from genmodel_bench.storage.provenance import resolve_device
from genmodel_bench.storage.reading import read_records
from genmodel_bench.storage.record import Record, as_json
from genmodel_bench.storage.store import Store, believed, sure

ALPHA = 0.0025
"""The probability of a false alarm in each direction."""
ROUNDING = 5e-3
"""Nats by which float32 and another machine may move a score (`metrics/windows.py`)."""
FAST_SECONDS = 60.0
"""`--fast` makes lines again whose training took no longer, one seed of each."""
SCORED_BY = ("samples", "valid_images", "folds", "sigma_grid")
"""What of a score's settings has to be equal for two values to compare."""

Finding = Literal["improved", "regressed", "indistinguishable", "not comparable", "skipped"]


@dataclass(frozen=True)
class Verdict:
    """What is found of one line of the table: means before and now in nats, the change that would count, and why, in words."""

    line: str
    finding: Finding
    before: float | None = None
    now: float | None = None
    threshold: float | None = None
    reason: str = ""


def compare(before: Sequence[Record], now: Sequence[Record]) -> Verdict:
    """Return the verdict on one line from its headline records, one for each seed, of both sides."""
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
    """Return the finding on the values of two sets of runs, and the change of their mean that counts.

    `single` is the standard error of one value over test images and draws.
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
    """Return the quantile of Student's t at 1 − ALPHA; of the normal distribution for infinitely many degrees of freedom."""
    from scipy.special import ndtri, stdtrit  # here: who only asks what is there would wait for it

    return float(ndtri(1 - ALPHA) if math.isinf(dof) else stdtrit(dof, 1 - ALPHA))


def other_conditions(before: Record, now: Record) -> list[str]:
    """Return in words what forbids to compare two records: data, settings of the model, protocol."""
    found = other_inputs(before, now.dataset_digest, json.loads(now.model_settings))
    return found if now.value is None else found + changes("protocol", protocol(before), protocol(now))


def other_inputs(before: Record, digest: str, settings: Mapping[str, Any]) -> list[str]:
    """Return in words what of the data or of the model's settings differs from a record's."""
    found = ["the content of the data set differs"] if before.dataset_digest != digest else []
    return found + changes("settings", json.loads(before.model_settings), settings)


def changes(what: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Return in words the keys whose values differ, as one text or none."""
    changed = [
        f"{key} was {old.get(key)}, is {new.get(key)}"
        for key in sorted({*old, *new})
        if old.get(key) != new.get(key)
    ]
    return [f"{what}: {', '.join(changed)}"] if changed else []


def protocol(record: Record) -> dict[str, Any]:
    """Return what has to be equal of how a record was scored."""
    settings = json.loads(record.metric_settings)
    return {key: settings.get(key) for key in SCORED_BY} | {
        "draws": record.draws,
        "n": record.n,
        "unit": record.unit,
    }


def values(records: Sequence[Record]) -> list[float]:
    """Return the values of records that have one."""
    return [r.value for r in records if r.value is not None]


def mean(records: Sequence[Record]) -> float | None:
    """Return the mean of the records' values, None of none."""
    found = values(records)
    return math.fsum(found) / len(found) if found else None


def line_name(record: Record) -> str:
    """Return the name of a record's line in the table."""
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
    """Make the likelihood numbers of a baseline, a folder with runs.csv, again and return a verdict on each line.

    Trained models and samples under `results` that nothing has outdated are scored again; the others are trained, and with `retrain` all
    are. `fast` takes one seed of the lines that train within a minute. The baseline is not touched. Raises BenchError.
    """
    lines = read_lines(Path(baseline) / "runs.csv")
    where = resolve_device(device)
    dataset = lines[0][0].dataset
    content = load(dataset, root=data)
    verdicts: list[Verdict] = []
    todo: list[tuple[list[Record], list[Cell]]] = []
    results = Path(results or default_results())
    vouched = read_vouched(results)
    for records in lines:
        planned = cells_today(records, content.digest, vouched, fast=fast)
        if isinstance(planned, Verdict):
            verdicts.append(planned)
        else:
            todo.append((records, planned))
    listener = listener or Silent()
    parzen = {"parzen": METRICS["parzen"]}
    with working_folder(results, scratch=retrain) as folder:
        context = Context(content.to(where), Store(folder, dataset), parzen, where, rescore=True)
        context.store.prepare()
        outcomes = {}
        for cell in (cell for _, planned in todo for cell in planned):
            listener.started(cell)
            outcome = run_cell(cell, context, tell=partial(listener.news, cell))
            outcomes[cell] = outcome.records[0]  # the headline, or the failure
            listener.finished(cell, outcome)
    return [*(compare(records, [outcomes[cell] for cell in cells]) for records, cells in todo), *verdicts]


def read_lines(path: Path) -> list[list[Record]]:
    """Return the headline records of each line of a baseline, those with a value to be believed where there are any. Raises BenchError."""
    if not path.is_file():
        raise DataMissing(
            f"--baseline: {path} not found; expected a folder that `bench run` wrote, like results/mnist"
        )
    lines: dict[tuple[str, str, int], list[Record]] = {}
    records = read_records(path)
    for r in believed(records, records[0].dataset if records else "", read_vouched(path.parent.parent)):
        if r.metric == "parzen" and r.quantity in ("log_likelihood", ""):  # a failure has no quantity
            lines.setdefault(r.line, []).append(r)
    if not lines:
        raise BenchError(f"--baseline: {path} holds no likelihood numbers")
    return [[r for r in sure(records) if r.value is not None] or records for records in lines.values()]


def cells_today(
    records: Sequence[Record], digest: str, vouched: Vouched, *, fast: bool
) -> list[Cell] | Verdict:
    """Return the cells that make a line again from data of `digest`, or the verdict that it cannot or need not be made."""
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
    """Give the folder whose artefacts are used: `results`, or an empty one that is deleted afterwards."""
    if not scratch:
        yield results
        return
    with tempfile.TemporaryDirectory(prefix="bench-check-") as folder:
        yield Path(folder)


def exit_code(verdicts: Sequence[Verdict]) -> int:
    """Return 3 if a number regressed, else 4 if one, or all that there are, could not be compared, else 0."""
    findings = {v.finding for v in verdicts}
    if "regressed" in findings:
        return 3
    return 4 if "not comparable" in findings or findings <= {"skipped"} else 0


def as_plain(verdicts: Sequence[Verdict]) -> str:
    """Return the verdicts as JSON."""
    return as_json([asdict(v) for v in verdicts])
