"""How do a run's numbers become the tables of docs/performance.md?

`python -m benchmarks.page NEW.json [--dry-run]`. A table stands between
`<!-- table: NAME -->` and `<!-- end -->`; the text around it is written by hand. The run
is kept beside the page, as docs/performance.json. The tables of a quick run, of a run of
some benchmarks only, and of `--dry-run` are printed instead.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

from genmodel_bench.errors import BenchError
from genmodel_bench.storage.atomic import write_atomically

from benchmarks.kept import Measured, Run, read_json, read_run
from benchmarks.ratios import exponent

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
UPPER = {"N": 4, "n": 3, "d": 4}
"""An exponent is fitted to this many of the largest sizes: below, fixed costs count."""
ERROR_TARGET = 5e-3
"""The largest error that float32 may cause, in nats."""
MEMORY_TARGET = 512
"""The most memory above the inputs, in MiB, at any N."""


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table, its first column aligned left and the others right."""
    lines = [header, [":--", *["--:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def time_of(seconds: float) -> str:
    """Return seconds with three digits, in a unit that fits."""
    for factor, unit in ((1, "s"), (1e3, "ms"), (1e6, "µs")):
        if seconds * factor >= 1 or unit == "µs":
            return f"{number(seconds * factor)} {unit}"
    raise AssertionError("the last unit takes all")


def number(value: float) -> str:
    """Return a number with three digits, or its thousands separated."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def ratio_of(m: Measured) -> str:
    """Return the median ratio with the quartiles over the rounds."""
    ordered = sorted(m.ratios)
    low, high = ordered[len(ordered) // 4], ordered[-1 - len(ordered) // 4]
    return f"{number(m.ratio)} ({number(low)}…{number(high)})"


def in_section(run: Run, section: str) -> list[Measured]:
    """Return the benchmarks of one section, in the order they ran."""
    return [m for m in run.benchmarks.values() if m.info["section"] == section]


def named(m: Measured) -> str:
    """Return the label of a row, with its note."""
    return f"{m.info['ours']} ({m.info['note']})" if m.info["note"] else str(m.info["ours"])


def ours(m: Measured) -> str:
    """Return our side's median time."""
    return time_of(median(m.info["our_seconds"]))


def theirs(m: Measured) -> str:
    """Return the other side's median time."""
    return time_of(median(m.info["other_seconds"]))


def machine_table(run: Run) -> str:
    """Return one line that names the machine."""
    p = run.place
    where = f"{p['kind']} (processor {p['cpu']}, {p['system']})"
    return f"Measured on {where} at {p['date']}, commit {p['commit']}, Python {p['python']}, {p['versions']}."


def parzen_table(run: Run) -> str:
    """Compare Parzen and nearest neighbours with their floor."""
    rows = []
    for m in in_section(run, "parzen"):
        target = m.info["target"]
        mark = f"{target} {'✓' if m.ratio <= target else '✗'}" if target else ""
        rows.append([named(m), m.info["size"], ours(m), theirs(m), ratio_of(m), mark])
    return markdown(["", "size", "time", "one `torch.mm` of 10,000 × 10,000 × 784", "ratio", "at most"], rows)


def error_table(run: Run) -> str:
    """Show the errors of float32, and its time over that of float64."""
    rows = []
    for m in in_section(run, "error"):
        error = m.info["facts"]["error_nats"]
        rows.append(
            [
                m.info["ours"],
                m.info["size"],
                f"{error:.1e} {'✓' if error <= ERROR_TARGET else '✗'}",
                ratio_of(m),
            ]
        )
    return markdown(
        ["", "size", f"largest error, nats (at most {ERROR_TARGET})", "time / time in float64"], rows
    )


def rivals_table(run: Run) -> str:
    """Compare Parzen with other implementations, the slowest first."""
    found = sorted(in_section(run, "rivals"), key=lambda m: m.ratio)
    header = ["rival", "threads", "its time", "ours", "times faster", "largest difference, nats", "note"]
    rows = []
    for m in found:
        difference = f"{m.info['facts']['difference']:.1e}"
        rows.append(
            [
                m.info["other"],
                str(m.info["threads"]),
                theirs(m),
                ours(m),
                number(1 / m.ratio),
                difference,
                m.info["note"],
            ]
        )
    return markdown(header, rows)


def floor_table(run: Run, section: str) -> str:
    """Compare steps or draws with their matrix products."""
    rows = []
    for m in in_section(run, section):
        work = m.info["facts"].get("work")
        extra = [] if section == "sampling" else [f"{work:.2f}"]
        rows.append(
            [
                named(m),
                m.info["size"],
                f"{m.info['facts']['flops'] / 1e9:.2f}",
                *extra,
                ours(m),
                theirs(m),
                ratio_of(m),
            ]
        )
    made = [] if section == "sampling" else ["made / needed"]
    return markdown(["", "size", "GFLOP needed", *made, "time", "matrix products", "ratio"], rows)


def loops_table(run: Run) -> str:
    """Compare the harness with loops written by hand, in steps per second."""
    rows = []
    for m in in_section(run, "loops"):
        steps = m.info["facts"]["steps"]
        per_second = [number(steps / median(m.info[side])) for side in ("our_seconds", "other_seconds")]
        rows.append([m.info["ours"], m.info["other"], *per_second, number(1 / m.ratio)])
    return markdown(["", "against", "steps per second", "by hand", "times faster"], rows)


def shares_table(run: Run) -> str:
    """Show the share of a step's time that each kind of operator takes."""
    found = in_section(run, "steps")
    kinds = list(found[0].info["facts"]["shares"]) if found else []
    rows = [[named(m), *(f"{m.info['facts']['shares'][kind]:.0%}" for kind in kinds)] for m in found]
    return markdown(["", *kinds], rows)


def seeds_table(run: Run) -> str:
    """Compare ways of training several seeds, in seconds per cell of all its epochs."""
    rows = []
    for m in in_section(run, "seeds"):
        facts = m.info["facts"]
        cells = [
            median(m.info[side]) * facts["scale"] / facts["cells"]
            for side in ("our_seconds", "other_seconds")
        ]
        differences = [f"{facts[name]:.0e}" if facts[name] else "0" for name in ("after_one", "after_all")]
        rows.append(
            [
                named(m),
                m.info["size"],
                *(number(s) for s in cells),
                number(3600 / cells[0]),
                number(1 / m.ratio),
                *differences,
            ]
        )
    header = [
        "",
        "",
        "seconds per cell",
        "one after another",
        "cells per hour",
        "times faster",
        "Δ weight, 1 epoch",
        "all epochs",
    ]
    return markdown(header, rows)


def pixels_table(run: Run) -> str:
    """Compare samplers that keep what they computed with naive ones."""
    found = in_section(run, "pixels")
    rows = [[named(m), m.info["size"], ours(m), theirs(m), number(1 / m.ratio)] for m in found]
    return markdown(["", "size", "time", "the whole net for each pixel", "times faster"], rows)


def startup_table(run: Run) -> str:
    """Compare the command line's start with Python's."""
    rows = [[named(m), m.info["other"], ours(m), theirs(m), ratio_of(m)] for m in in_section(run, "start-up")]
    return markdown(["", "against", "time", "its time", "ratio"], rows)


def growth_table(run: Run) -> str:
    """Show how time and memory grow, with a second table of fitted exponents."""
    found = in_section(run, "growth")
    rows = []
    for m in found:
        peak = m.info["facts"]["peak_mib"]
        memory = "" if peak is None else f"{number(peak)} {'✓' if peak <= MEMORY_TARGET else '✗'}"
        rows.append([m.info["facts"]["axis"], m.info["size"], ours(m), theirs(m), ratio_of(m), memory])
    header = [
        "axis",
        "n × N × d",
        "time",
        "one `torch.mm` of the size",
        "ratio",
        f"MiB above the inputs (at most {MEMORY_TARGET})",
    ]
    fitted = [row for axis, upper in UPPER.items() if (row := exponents(found, axis, upper))]
    if not fitted:
        return markdown(header, rows)
    return (
        markdown(header, rows)
        + "\n\n"
        + markdown(["axis", "fitted over", "time", "the product's time", "memory"], fitted)
    )


def exponents(found: Sequence[Measured], axis: str, upper: int) -> list[str]:
    """Return one axis's row of fitted exponents, empty where there are too few sizes."""
    along = [m for m in found if m.info["facts"]["axis"] == axis]
    if len(along) < 2:
        return []
    sizes = sorted(m.info["facts"]["value"] for m in along)
    columns = [[median(m.info[side]) for m in along] for side in ("our_seconds", "other_seconds")]
    peaks = [m.info["facts"]["peak_mib"] for m in along]
    columns += [peaks] if all(peak and peak > 0 for peak in peaks) else []
    values = [m.info["facts"]["value"] for m in along]
    fits = [f"{axis}^{exponent(values, column, upper=upper):.2f}" for column in columns]
    return [axis, f"{sizes[-upper:][0]:,} … {sizes[-1]:,}", *fits, *[""] * (3 - len(fits))]


TABLES: dict[str, Callable[[Run], str]] = {
    "machine": machine_table,
    "parzen": parzen_table,
    "error": error_table,
    "rivals": rivals_table,
    "steps": lambda run: floor_table(run, "steps"),
    "shares": shares_table,
    "loops": loops_table,
    "sampling": lambda run: floor_table(run, "sampling"),
    "pixels": pixels_table,
    "start-up": startup_table,
    "growth": growth_table,
    "seeds": seeds_table,
}


def of_run(run: Run) -> set[str]:
    """Return the names of the tables that a run has numbers for; the steps have two."""
    sections = {m.info["section"] for m in run.benchmarks.values()}
    return {"machine", *sections, *(["shares"] if "steps" in sections else [])}


def filled(page: str, run: Run) -> str:
    """Return the page with its tables filled from a run.

    Raises BenchError unless the page marks each table once.
    """
    marks = re.findall(r"<!-- table: (.*?) -->", page)
    if sorted(marks) != sorted(TABLES) or page.count("<!-- end -->") != len(marks):
        found, expected = ", ".join(marks), ", ".join(TABLES)
        raise BenchError(
            f"performance.md: the marked tables are {found}; expected {expected}, each with its <!-- end -->"
        )

    def table(match: re.Match[str]) -> str:
        return f"<!-- table: {match[1]} -->\n\n{TABLES[match[1]](run)}\n\n<!-- end -->"

    return re.sub(r"<!-- table: (.*?) -->.*?<!-- end -->", table, page, flags=re.DOTALL)


def write(new: Path, page: Path) -> None:
    """Fill the tables of `page` from the run at `new`, and keep the run beside it.

    Raises BenchError where a table has no numbers, or a file cannot be read.
    """
    run = read_run(new)
    empty = TABLES.keys() - of_run(run)
    if empty:
        raise BenchError(
            f"{new}: nothing for the tables of {', '.join(sorted(empty))}; "
            "the page is left as it was; run all the benchmarks"
        )
    text = filled(page.read_text(), run)
    # pytest-benchmark's facts about the repository and its own statistics are left out
    content = read_json(new)
    benchmarks = [{key: b[key] for key in ("name", "fullname", "extra_info")} for b in content["benchmarks"]]
    kept = json.dumps(
        {"machine_info": content["machine_info"], "benchmarks": benchmarks},
        ensure_ascii=False,
        separators=(",", ":"),
    )
    write_atomically(page.with_suffix(".json"), (kept + "\n").encode())
    write_atomically(page, text.encode())


def main(argv: list[str] | None = None) -> int:
    """Write, or print, the tables on the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.page", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("new", type=Path, help="the JSON of a run: pytest's --benchmark-json")
    parser.add_argument("--dry-run", action="store_true", help="print the tables")
    a = parser.parse_args(argv)
    try:
        run = read_run(a.new)
        if a.dry_run or run.place["quick"] or run.place["part"]:
            print("\n\n".join(TABLES[name](run) for name in TABLES if name in of_run(run)))
        else:
            write(a.new, PAGE)
    except BenchError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
