"""Has a ratio moved beyond its own spread since the stored runs?

`python -m benchmarks.gate NEW.json [--store]`. In logarithms, with `before` the median
over R stored runs, b the spread of a benchmark's ratio between runs and w the standard
error of its median over the rounds of one run, a change counts when

    |log now − log before|
        > max(log 1.05, 4.5 · √(b² · (1 + π/2R) + max(0, w_now² − 4 w_stored²))).

b contains the w of an ordinary run: only a run more than twice as noisy adds its own.
A few runs estimate b poorly: b² is the mean of the benchmark's own, with weight R − 1,
and of that over all benchmarks, with weight 16; both are robust estimates. Where no
benchmark has two stored runs, b is 2 %, combined with w; it is at least 0.8 %. With five
or more stored runs, a slowdown of 30 % is hardly ever missed (`tests/test_gate.py`).
Only runs on one kind of machine are compared: the same processor and threads, or GPU.

Exit code: 0 nothing is slower, 3 something is, 4 something stored could not be compared
or nothing could, 2 a file cannot be read. `--store` adds the run to the stored ones, of
which the last ten are kept. Where a ratio has moved, the new run replaces them: the new
speed becomes the one to compare with.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from typing import Any, Literal

from genmodel_bench.errors import BenchError
from genmodel_bench.storage.atomic import write_atomically

from benchmarks.kept import Measured, Run, read_json, read_run
from benchmarks.ratios import spread

STORED = Path(__file__).parent / "ratios.json"
LEAST, TIMES = 1.05, 4.5
"""The change that always passes, and the number of spreads that does.

With 4.5 spreads, one in a hundred runs of fifty benchmarks raises a false alarm.
"""
BLIND = 1.3
"""A benchmark with a higher limit than this is called noisy."""
KEPT = 10
"""The number of runs that are stored of a benchmark: the last ones."""
UNKNOWN, SMALLEST = 0.02, 0.008
"""The spread between runs that is assumed where it is unknown, and its lower bound."""
DISTURBED = 2.0
"""A run noisier than this many times the stored ones adds the excess to the limit."""
WEIGHT = 16
"""The number of runs that the spread over all benchmarks counts for."""

Finding = Literal["slower", "faster", "unchanged", "new", "missing", "not comparable"]
Stored = dict[str, dict[str, list[dict[str, Any]]]]
"""Kind of machine -> benchmark -> its runs, oldest first."""


@dataclass(frozen=True)
class Verdict:
    """The finding on one benchmark.

    Its ratio before and now, and the factor from which a change counts.
    """

    name: str
    finding: Finding
    before: float | None = None
    now: float | None = None
    limit: float | None = None
    reason: str = ""

    def __str__(self) -> str:
        """Return the printed line."""
        numbers = ""
        if self.before and self.now and self.limit:
            change = f"{self.now / self.before - 1:+.1%}"
            numbers = f"{self.before:9.4g} -> {self.now:9.4g}  {change:>8}, counts from {self.limit - 1:.1%}"
        return f"{self.finding:15} {self.name:62} {numbers}{self.reason}".rstrip()


def compare(stored: Mapping[str, Sequence[Mapping[str, Any]]], run: Run) -> list[Verdict]:
    """Return the verdicts on a run's benchmarks and on those stored for its machine."""
    usual = usual_spread(stored)
    verdicts = [
        judge(stored.get(name, ()), measured, usual, versions_of(run))
        for name, measured in run.benchmarks.items()
    ]
    if run.place.get("part"):
        return verdicts
    return verdicts + [
        Verdict(name, "missing", reason="stored, but not in this run")
        for name in stored
        if name not in run.benchmarks
    ]


def versions_of(run: Run) -> str:
    """Return a run's versions of Python and packages: a rival may get faster too."""
    return f"{run.place.get('python', '')} {run.place.get('versions', '')}".strip()


def judge(before: Sequence[Mapping[str, Any]], now: Measured, usual: float | None, versions: str) -> Verdict:
    """Return the verdict on one benchmark from its stored runs.

    `usual` is the spread between runs over all benchmarks.
    """
    if not before:
        return Verdict(now.name, "new", now=now.ratio, reason="nothing is stored of it")
    same = [r for r in before if r["what"] == now.what]
    if not same:
        return Verdict(
            now.name,
            "not comparable",
            now=now.ratio,
            reason=f"stored is another comparison: {before[-1]['what']}",
        )
    logs = [math.log(r["ratio"]) for r in same]
    ordinary = median(r["error"] for r in same)
    between = math.hypot(UNKNOWN, ordinary) if usual is None else pooled(spread(logs), len(same), usual)
    excess = math.sqrt(max(0.0, now.error**2 - (DISTURBED * ordinary) ** 2))
    limit = max(math.log(LEAST), TIMES * math.hypot(between * math.sqrt(1 + math.pi / 2 / len(same)), excess))
    change = math.log(now.ratio) - median(logs)
    finding: Finding = "unchanged" if abs(change) <= limit else "slower" if change > 0 else "faster"
    others = (
        ""
        if same[-1].get("versions", versions) == versions
        else "; stored with other versions of Python or packages"
    )
    return Verdict(now.name, finding, math.exp(median(logs)), now.ratio, math.exp(limit), others)


def pooled(own: float, runs: int, usual: float) -> float:
    """Return a benchmark's spread between runs: its own, pooled with the usual one."""
    return max(SMALLEST, math.sqrt(((runs - 1) * own**2 + WEIGHT * usual**2) / (runs - 1 + WEIGHT)))


def usual_spread(stored: Mapping[str, Sequence[Mapping[str, Any]]]) -> float | None:
    """Return a robust spread between runs, over all benchmarks with two runs or more.

    None where there is no such benchmark.
    """
    several = [[math.log(r["ratio"]) for r in runs] for runs in stored.values() if len(runs) > 1]
    # deviations from the mean of R values are too small by √((R − 1)/R)
    off = [abs(v - mean(logs)) * math.sqrt(len(logs) / (len(logs) - 1)) for logs in several for v in logs]
    return 1.4826 * median(off) if off else None


def exit_code(verdicts: Sequence[Verdict]) -> int:
    """Return 3 if something is slower, else 4 or 0.

    4: something stored could not be compared, or nothing could.
    """
    findings = {v.finding for v in verdicts}
    if "slower" in findings:
        return 3
    return 4 if findings & {"missing", "not comparable"} or not findings & {"faster", "unchanged"} else 0


def store(stored: Stored, run: Run, verdicts: Sequence[Verdict]) -> Stored:
    """Return the stored runs with a new one added.

    A benchmark that moved, or became another comparison, starts anew.
    """
    kind = run.place["kind"]
    anew = {v.name for v in verdicts if v.finding in ("slower", "faster", "not comparable")}
    runs = {name: list(entries) for name, entries in stored.get(kind, {}).items()}
    for name, m in run.benchmarks.items():
        entry = {"ratio": float(f"{m.ratio:.5g}"), "error": float(f"{m.error:.3g}"), "what": m.what}
        entry |= {key: run.place.get(key, "") for key in ("commit", "date")} | {"versions": versions_of(run)}
        runs[name] = [*([] if name in anew else runs.get(name, [])), entry][-KEPT:]
    return {**stored, kind: runs}


def read_stored(path: Path) -> Stored:
    """Return the stored runs, none where there is no file.

    Raises BenchError where the file does not hold stored ratios.
    """
    if not path.exists():
        return {}
    stored = read_json(path)
    try:
        for runs in stored.values():
            for entries in runs.values():
                if not entries or not all(
                    r["ratio"] > 0 and r["error"] >= 0 and isinstance(r["what"], str) for r in entries
                ):
                    raise ValueError("a ratio that is none")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BenchError(
            f"{path}: not stored ratios; take it from the repository again, or delete it to begin anew"
        ) from error
    return stored  # type: ignore[no-any-return]  # checked above


def gate(new: Path, stored_at: Path, *, keep: bool) -> int:
    """Print the verdicts on the run at `new` and return the exit code.

    `keep` stores the run. Raises BenchError.
    """
    run, stored = read_run(new), read_stored(stored_at)
    kind = run.place["kind"]
    if run.place["quick"]:
        print("a quick run has other sizes: nothing is compared or stored")
        return 0
    if kind not in stored:
        known = "; ".join(stored) or "nothing"
        print(
            f"not comparable: no run is stored for {kind}, only for {known}"
            + ("" if keep else "; store this one with --store")
        )
    verdicts = compare(stored.get(kind, {}), run)
    order = ("slower", "faster", "not comparable", "missing", "new", "unchanged")
    for verdict in sorted(verdicts, key=lambda v: order.index(v.finding)):
        print(verdict)
    if keep:
        text = json.dumps(store(stored, run, verdicts), indent=1, ensure_ascii=False, sort_keys=True)
        write_atomically(stored_at, (text + "\n").encode())
    counts = [f"{n} {finding}" for finding in order if (n := sum(v.finding == finding for v in verdicts))]
    print(f"{', '.join(counts)} on {kind}" + (f"; stored in {stored_at}" if keep else ""))
    blind = sum((v.limit or 0) > BLIND for v in verdicts)
    if blind:
        print(
            f"{blind} of them were so noisy that {BLIND - 1:.0%} would not have shown: "
            "run again with nothing beside it"
        )
    return exit_code(verdicts)


def main(argv: list[str] | None = None) -> int:
    """Run the gate on the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gate", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("new", type=Path, help="the JSON of a run: pytest's --benchmark-json")
    parser.add_argument("--store", action="store_true", help="add the run to the stored ones")
    parser.add_argument("--stored", type=Path, default=STORED, help="the stored ratios")
    a = parser.parse_args(argv)
    try:
        return gate(a.new, a.stored, keep=a.store)
    except BenchError as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
