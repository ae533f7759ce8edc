"""Has a likelihood score changed by more than runs of one program differ?

A line of a baseline has a value x_i for each of its m training runs, its seeds; n of them
were made again and gave y_i. Both sides have the same test images and settings, or they
are "not comparable"; so the error over test images is in both, and cancels. What is left
is the spread of training runs. A run that is repeated with the same seed but with other
bits, as by another version of torch or another number of threads, lies as far from the
first one as another seed does (rbm on mnist: 174 and 144 nats for one seed, 147, 144 and
164 for three). The rules, in order:

1. A run that fails now has "regressed".
2. Each run has the value it had: "indistinguishable", whatever the spread.
3. Each run has the samples it had, bit by bit: then training is out of it, and a change
   beyond the rounding of the metric, 5e-3 nats, counts, even of a single run.
4. Else the spread has to be known. It is if there are two seeds on either side: s is the
   standard deviation around each side's own mean, with m + n − 2 degrees of freedom,
   pooled, for if nothing has changed, all are runs of one program. A change counts beyond

       max(5e-3, t(0.9975, m + n − 2) · s · √(1/k + 1/n)),

   Student's t-test. Like is compared with like: k = n runs of the same seeds, and further
   ones of the baseline tell of the spread alone. Where new runs have no counterpart, as a
   user's samples, all are compared, k = m. With m ≥ 2 and n = 1 this is the prediction
   interval for a new run.
5. With one run on each side nothing is known of the spread: a change within rounding is
   "indistinguishable", any other "cannot tell". The error over test images says nothing
   of it and stands for no spread.

Rule 4 raises a false alarm in at most 0.25 % of lines in each direction if values are
normally distributed, whatever the spread. How small a change would count is said for each
line; simulated rates are in `docs/ci.md`, held by `tests/test_check.py`. Rows of
different models are compared in `report/compare.py`, with the error over test images.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import Any, Literal

from genmodel_bench.report.tables.published import HEADLINE
from genmodel_bench.storage.ingredients import CODE, Vouched
from genmodel_bench.storage.plain import as_json
from genmodel_bench.storage.record import Record

ALPHA = 0.0025
"""The probability of a false alarm in each direction."""
ROUNDING = 5e-3
"""Nats by which float32 and another machine may change a score (`metrics/windows.py`)."""
SCORED_BY = ("samples", "valid_images", "folds", "sigma_grid")
"""The settings of a score that must be equal for two values to be comparable."""
EXIT_CODES = {"regressed": 3, "not comparable": 4, "cannot tell": 5}
"""The exit code of `bench check` for the worst finding, the worst first."""

Finding = Literal["improved", "regressed", "indistinguishable", "cannot tell", "not comparable", "skipped"]


@dataclass(frozen=True)
class Verdict:
    """What was found for one line of the table.

    before, now: the means over the runs that are compared, in nats.
    threshold: the change that would count, in nats; None where none is known.
    reason: why, in words.
    differences: what differs in how both sides were made, as (before, now) by name:
        versions, machine, code. It is beside the verdict and has no part in it.
    """

    line: str
    finding: Finding
    before: float | None = None
    now: float | None = None
    threshold: float | None = None
    reason: str = ""
    differences: Mapping[str, tuple[str, str]] = field(default_factory=dict)


NOTHING_VOUCHED = Vouched()


def compare(before: Sequence[Record], now: Sequence[Record], vouched: Vouched = NOTHING_VOUCHED) -> Verdict:
    """Return the verdict on one line of the table.

    before, now: the records of a likelihood on either side, one for each run.
    vouched: code that gives the bits of other code is not named as a difference.
    """
    again, better = {run_of(r) for r in now}, before[0].better
    shared = [r for r in before if run_of(r) in again]
    like = shared if len(shared) == len(now) else list(before)
    made = differences(like, now, vouched)

    def verdict(finding: Finding, reason: str, threshold: float | None = None) -> Verdict:
        return Verdict(line_name(before[0]), finding, mean(like), after, threshold, reason, made)

    failed = [r for r in now if r.value is None]
    after = None if failed else mean(now)
    others = other_conditions(before[0], now[0])
    if others:
        return verdict("not comparable", "; ".join(others))
    if failed:
        return verdict("regressed", failed[0].status)
    old = {run_of(r): r for r in shared}
    pairs = [(old[run_of(r)], r) for r in now] if like == shared else []
    if pairs and all(a.value == b.value for a, b in pairs):
        return verdict("indistinguishable", "identical seed by seed", 0.0)
    if pairs and all(drawn(a) and drawn(a) == drawn(b) for a, b in pairs):
        finding = judge(values(like), values(now), limit=ROUNDING, better=better)
        return verdict(finding, "the samples are the same, only their score can differ", ROUNDING)
    beside = [r for r in before if r not in like]
    limit = limit_of(values(like), values(now), beside=values(beside))
    seeds = f"{counted(len(before))} before, {len(now)} now"
    if limit is None:
        finding = judge(values(like), values(now), limit=ROUNDING, better=better)
        if finding != "indistinguishable":
            return verdict("cannot tell", f"{seeds}: the spread over training is unknown")
        return verdict(finding, f"{seeds}, equal within rounding", ROUNDING)
    return verdict(judge(values(like), values(now), limit=limit, better=better), seeds, limit)


def limit_of(before: Sequence[float], now: Sequence[float], *, beside: Sequence[float] = ()) -> float | None:
    """Return the change of the mean that would count, in nats; None if it is unknown.

    beside: values of further runs before, which tell of the spread alone.
    """
    sides = [[*before, *beside], list(now)]
    dof = sum(len(side) - 1 for side in sides)
    if not dof:
        return None
    squares = math.fsum((v - average(side)) ** 2 for side in sides for v in side)
    return max(ROUNDING, quantile(dof) * math.sqrt(squares / dof * (1 / len(before) + 1 / len(now))))


def judge(before: Sequence[float], now: Sequence[float], *, limit: float, better: str = "higher") -> Finding:
    """Return the finding on two sets of values, by the change that counts, in nats."""
    change = (average(now) - average(before)) * (-1 if better == "lower" else 1)
    return "indistinguishable" if abs(change) <= limit else "improved" if change > 0 else "regressed"


@cache
def quantile(dof: int) -> float:
    """Return the quantile of Student's t at 1 − ALPHA."""
    from scipy.special import stdtrit  # here: the command line's help would wait for it

    return float(stdtrit(dof, 1 - ALPHA))


def run_of(record: Record) -> object:
    """Return what tells the runs of a line apart: the seed, or the content of samples."""
    return record.cell if record.role == "samples" else record.seed


def drawn(record: Record) -> tuple[str, ...]:
    """Return the digests of a record's samples, one for each draw; empty if unknown."""
    if record.role == "samples":
        return (record.cell,)
    return tuple(digest for where, digest in json.loads(record.trace) if where.startswith("draw "))


def differences(
    before: Sequence[Record], now: Sequence[Record], vouched: Vouched = NOTHING_VOUCHED
) -> dict[str, tuple[str, str]]:
    """Return what differs in how the records of two sides were made.

    It is (before, now) by name. What is not recorded on a side is left out.
    """
    old, new = ([made_by(r, vouched) for r in records] for records in (before, now))
    found = {}
    for name in dict.fromkeys(name for made in (*old, *new) for name in made):
        texts = tuple(
            " or ".join(sorted({made[name] for made in side if made.get(name)})) for side in (old, new)
        )
        if all(texts) and texts[0] != texts[1]:
            found[name] = (texts[0], texts[1])
    return found


def made_by(record: Record, vouched: Vouched) -> dict[str, str]:
    """Return with what a record was made, by name; empty texts where it does not say."""
    parts = json.loads(record.ingredients)
    code = {name: value for part in parts.values() for name, value in vouched.settled(part).items()}
    return {
        **dict(pair.split("=", 1) for pair in record.versions.split() if "=" in pair),
        "python": record.python,
        "genmodel-bench": record.version,
        "commit": record.commit,
        "device": record.device,
        "processor": record.processor,
        "threads": str(record.threads or ""),
        "dtype": record.dtype,
        "deterministic": str(record.deterministic),
        **{name: str(value) for name, value in code.items() if name.startswith(CODE)},
    }


def said_of(made: Mapping[str, tuple[str, str]]) -> str:
    """Return differences in words; of code only that it differs."""
    return ", ".join(
        name if name.startswith(CODE) else f"{name} {old} → {new}" for name, (old, new) in made.items()
    )


def other_conditions(before: Record, now: Record) -> list[str]:
    """Return in words why two records cannot be compared; empty if they can.

    The reasons are other data, other settings of the model, or another protocol. What is
    known of a user's samples instead of settings, as their classes, may differ.
    """
    settings = before.model_settings if before.role == "samples" else now.model_settings
    found = other_inputs(before, now.dataset_digest, json.loads(settings))
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


def average(numbers: Sequence[float]) -> float:
    """Return the mean of at least one number."""
    return math.fsum(numbers) / len(numbers)


def mean(records: Sequence[Record]) -> float | None:
    """Return the mean of the records' values, in nats; None if none has a value."""
    found = values(records)
    return average(found) if found else None


def counted(seeds: int) -> str:
    """Return a number of seeds in words."""
    return "1 seed" if seeds == 1 else f"{seeds} seeds"


def line_name(record: Record) -> str:
    """Return the name of a record's line in the table.

    With N if that is not 10,000, and with the metric if it is not that of Table 1.
    """
    number = [f"N = {record.samples}"] * (record.samples != 10_000)
    metric = [record.metric] * (record.metric != HEADLINE[0])
    return ", ".join([record.name, *number, *metric])


def exit_code(verdicts: Sequence[Verdict]) -> int:
    """Return the exit code of `bench check`, that of the worst finding.

    3 if a score regressed, else 4 if one cannot be compared or nothing was, else 5 if of
    one nothing can be told, else 0.
    """
    findings = {v.finding for v in verdicts}
    if findings <= {"skipped"}:
        return EXIT_CODES["not comparable"]
    return next((code for finding, code in EXIT_CODES.items() if finding in findings), 0)


def notes_on(verdicts: Sequence[Verdict]) -> list[str]:
    """Return what stands below the table of verdicts.

    That is the reasons, what differs between both sides, and the outcome.
    """
    reasons: dict[str, list[str]] = {}
    others: dict[str, list[str]] = {}
    for v in verdicts:
        reasons.setdefault(f"{v.finding}, {v.reason}", []).append(v.line)
        if v.differences and v.threshold != 0:  # it made none where the values are the same
            others.setdefault(said_of(v.differences), []).append(v.line)

    def of(lines: Sequence[str]) -> str:
        return "all lines" if len(lines) == len(verdicts) else ", ".join(lines)

    found = [f"- {of(lines)}: {text}" for text, lines in reasons.items()]
    found += [f"- {of(lines)}: differs between both sides: {text}" for text, lines in others.items()]
    code = exit_code(verdicts)
    count = Counter(v.finding for v in verdicts)
    return [*found, f"{', '.join(f'{n} {finding}' for finding, n in count.items())}: exit code {code}"]


def as_plain(verdicts: Sequence[Verdict]) -> str:
    """Return the verdicts as a JSON list, for `bench check --json`."""
    return as_json([asdict(v) for v in verdicts])
