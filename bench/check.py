"""Has a likelihood number changed by more than its noise? `bench check` makes a baseline's cells again and compares seed by seed.

The error over test images is common to both sides and cancels. What is left is the spread over training runs. With two or more seeds on
either side it is estimated from both, and a change counts beyond the quantile of Student's t at 0.25 % in each direction:

    |mean now − mean before|  >  t(0.9975, dof) · s · √(1/n_before + 1/n_now)

With one seed on both sides it is unknown, and the standard error over test images and draws of samples stands for it. What was made under
another protocol, from other data or by other settings is not compared.
"""

from __future__ import annotations

import json
import math
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

from scipy.stats import t

from bench.cell import Cell
from bench.data import load
from bench.errors import BenchError, DataMissing
from bench.provenance import resolve_device
from bench.store import Record, Store, as_json, read_records
from bench.watch import Silent, Watch
from bench.workers import Place, in_turn
from metrics import METRICS
from models import settings_for

ALPHA = 0.0025
"""The probability of a false alarm in each direction."""
FAST_SECONDS = 60.0
"""`--fast` makes lines again whose training took no longer, one seed of each."""
PROTOCOL = ("samples", "valid_images", "folds", "sigma_grid")
"""What of a score's settings has to be equal for two values to compare."""

Finding = Literal["improved", "regressed", "indistinguishable", "not comparable", "skipped"]
EXIT_CODES: dict[Finding, int] = {"regressed": 3, "not comparable": 4}


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
    name = line_name(before[0])
    failed = [r for r in now if r.value is None]
    if failed:
        return Verdict(name, "regressed", mean(before), None, None, failed[0].status)
    differences = other_conditions(before[0], now[0])
    if differences:
        return Verdict(name, "not comparable", mean(before), mean(now), None, "; ".join(differences))
    seeds = {r.seed: r.value for r in now}
    if all(seeds.get(r.seed) == r.value for r in before if r.seed in seeds):
        return Verdict(name, "indistinguishable", mean(before), mean(now), 0.0, "identical seed by seed")
    single = max(math.hypot(r.stderr or 0.0, r.draw_sd or 0.0) for r in (*before, *now))
    finding, limit = judge([r.value for r in before if r.value is not None], [r.value for r in now if r.value is not None], single=single)
    dof = len(before) + len(now) - 2
    alone = "one seed: the error over test images and draws stands for the spread over runs"
    return Verdict(name, finding, mean(before), mean(now), limit, f"spread over runs, {dof} degrees of freedom" if dof else alone)


def judge(before: Sequence[float], now: Sequence[float], *, single: float) -> tuple[Finding, float]:
    """Return the finding on the values of two sets of runs, and the change of their mean that counts.

    `single` is the error of one value that stands for the spread over runs where neither side has two.
    """
    m, n = len(before), len(now)
    mean_before, mean_now = math.fsum(before) / m, math.fsum(now) / n
    dof = m + n - 2
    if dof:
        squares = math.fsum((v - mean_before) ** 2 for v in before) + math.fsum((v - mean_now) ** 2 for v in now)
        limit = quantile(dof) * math.sqrt(squares / dof * (1 / m + 1 / n))
    else:
        limit = quantile(math.inf) * single
    change = mean_now - mean_before
    return ("indistinguishable" if abs(change) <= limit else "improved" if change > 0 else "regressed"), limit


@cache
def quantile(dof: float) -> float:
    """Return the quantile of Student's t at 1 − ALPHA; of the normal distribution for infinitely many degrees of freedom."""
    return float(t.ppf(1 - ALPHA, dof))


def other_conditions(before: Record, now: Record) -> list[str]:
    """Return in words what forbids to compare two records: data, settings of the model, protocol."""
    found = []
    if before.dataset_digest != now.dataset_digest:
        found.append("the content of the data set differs")
    for what, old, new in (
        ("settings", json.loads(before.model_settings), json.loads(now.model_settings)),
        ("protocol", protocol(before), protocol(now)),
    ):
        changed = [f"{key} was {old.get(key)}, is {new.get(key)}" for key in sorted({*old, *new}) if old.get(key) != new.get(key)]
        if changed:
            found.append(f"{what}: {', '.join(changed)}")
    return found


def protocol(record: Record) -> dict[str, Any]:
    """Return what has to be equal of how a record was scored."""
    settings = json.loads(record.metric_settings)
    return {key: settings.get(key) for key in PROTOCOL} | {"draws": record.draws, "n": record.n, "unit": record.unit}


def mean(records: Sequence[Record]) -> float:
    """Return the mean of the records' values."""
    return math.fsum(r.value for r in records if r.value is not None) / len(records)


def line_name(record: Record) -> str:
    """Return the name of a record's line in the table."""
    name = f"{record.model} ({record.variant})" if record.variant else record.model
    return name if record.samples == 10_000 else f"{name}, N = {record.samples}"


def check(
    baseline: Path | str,
    *,
    fast: bool = False,
    retrain: bool = False,
    data: Path | str | None = None,
    device: str = "auto",
    results: Path | str = "results",
    watch: Watch | None = None,
) -> list[Verdict]:
    """Make the likelihood numbers of a baseline, a folder with runs.csv, again and return a verdict on each line.

    Trained models and samples under `results` that nothing has outdated are scored again; the others are trained, and with `retrain` all
    are. `fast` takes one seed of the lines that train within a minute. The baseline is not touched. Raises BenchError.
    """
    path = Path(baseline) / "runs.csv"
    if not path.is_file():
        raise DataMissing(f"--baseline: {path} not found; expected a folder that `bench run` wrote, like results/mnist")
    lines: dict[tuple[str, str, int], list[Record]] = {}
    for r in read_records(path):
        if r.metric == "parzen" and r.quantity == "log_likelihood" and r.value is not None:
            lines.setdefault(r.line, []).append(r)
    if not lines:
        raise BenchError(f"--baseline: {path} holds no likelihood numbers")
    resolve_device(device)
    dataset = next(iter(lines.values()))[0].dataset
    content = load(dataset, root=data)
    verdicts: list[Verdict] = []
    todo: list[tuple[list[Record], list[Cell]]] = []
    for records in lines.values():
        reason = why_not(records[0], fast=fast)
        if reason:
            verdicts.append(Verdict(line_name(records[0]), "skipped", mean(records), reason=reason))
            continue
        try:
            cells = [cell_today(r, content.digest) for r in (records[:1] if fast else records)]
        except (KeyError, TypeError, ValueError) as error:
            reason = f"cannot be made by today's code: {' '.join(str(error).split())}"
            verdicts.append(Verdict(line_name(records[0]), "not comparable", mean(records), reason=reason))
            continue
        todo.append((records, cells))
    with working_folder(Path(results), scratch=retrain) as folder:
        place = Place(dataset, Path(data) if data else None, folder, device, force=False, rescore=True)
        Store(folder, dataset).prepare()
        cells = [cell for _, cells in todo for cell in cells]
        outcomes = {}
        for cell, outcome in in_turn(cells, content, place, {"parzen": METRICS["parzen"]}, watch or Silent()):
            outcomes[cell] = outcome.records[0]  # the headline, or the failure
            if watch:
                watch.finished(cell, outcome)
    return [*(compare(records, [outcomes[cell] for cell in cells]) for records, cells in todo), *verdicts]


@contextmanager
def working_folder(results: Path, *, scratch: bool) -> Iterator[Path]:
    """Give the folder whose artefacts are used: `results`, or an empty one that is deleted afterwards."""
    if not scratch:
        yield results
        return
    with tempfile.TemporaryDirectory(prefix="bench-check-") as folder:
        yield Path(folder)


def why_not(record: Record, *, fast: bool) -> str:
    """Return why a line is not made again, or nothing."""
    if record.role == "samples":
        return "samples of a user cannot be made again"
    if fast and (record.fit_seconds or 0.0) > FAST_SECONDS:
        return f"--fast: training took {record.fit_seconds:.0f} s"
    return ""


def cell_today(record: Record, digest: str) -> Cell:
    """Return the cell that stands in a record's line today: the registered settings with the variant's options.

    Raises KeyError, TypeError or ValueError for a model or option that is no more.
    """
    settings = json.loads(record.model_settings)
    names = [name for name in re.findall(r"(?:^|, )(\w+)=", record.variant) if name != "checkpoint"]
    options = {name: tuple(v) if isinstance(v := settings[name], list) else v for name in names}
    config = replace(settings_for(record.model, record.dataset), **options)
    checkpoint: Any = record.checkpoint or "best"
    return Cell(record.dataset, digest, record.model, config, record.seed or 0, record.samples, record.draws, checkpoint, record.variant)


def exit_code(verdicts: Sequence[Verdict]) -> int:
    """Return 3 if a number regressed, else 4 if one could not be compared, else 0."""
    codes = {EXIT_CODES.get(v.finding, 0) for v in verdicts}
    return next((code for code in EXIT_CODES.values() if code in codes), 0)


def as_plain(verdicts: Sequence[Verdict]) -> str:
    """Return the verdicts as JSON."""
    return as_json([asdict(v) for v in verdicts])
