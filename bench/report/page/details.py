"""What is known of a row of the table besides its numbers: settings, provenance, cost?"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from genmodel_bench.report.page.command import commands
from genmodel_bench.storage.record import Record

PROVENANCE = {
    "weights": "digest of the weights", "device": "device", "dtype": "number type", "threads": "threads",
    "deterministic": "deterministic", "python": "Python", "versions": "versions", "commit": "commit",
    "created": "created", "dataset_digest": "digest of the data",
}  # fmt: skip
"""Columns of runs.csv that say how a row was made, with their names in print."""


@dataclass(frozen=True)
class Block:
    """Terms and what they are, under a title."""

    title: str
    terms: list[tuple[str, str]]


def blocks(rows: Sequence[Record]) -> list[Block]:
    """Return what the records of one row of the table say, of all seeds and metrics.

    What none of them says is left out.
    """
    found = [
        Block("Settings", settings(rows, lambda r: r.model_settings)),
        Block("Scores", scores(rows)),
        *(
            Block(f"Settings of {name}", settings(group, lambda r: r.metric_settings))
            for name, group in by_metric(rows).items()
        ),
        Block("Provenance", provenance(rows)),
        Block("Cost", cost(rows)),
    ]
    return [block for block in found if block.terms]


def settings(rows: Iterable[Record], column: Callable[[Record], str]) -> list[tuple[str, str]]:
    """Return the settings in a JSON column, by name."""
    parsed = [(r, json.loads(column(r))) for r in rows]
    names = list(dict.fromkeys(name for _, content in parsed for name in content))
    return [
        (name, by_seed((r, plain(content[name])) for r, content in parsed if name in content))
        for name in names
    ]


def scores(rows: Iterable[Record]) -> list[tuple[str, str]]:
    """Return every score with its own error, or the reason why there is none."""
    found: dict[str, list[tuple[Record, str]]] = {}
    for r in rows:
        error = f" ± {r.stderr:.3g}" if r.stderr is not None else ""
        over = f" over {r.n:,} {r.stderr_over}" if r.stderr is not None and r.n is not None else ""
        text = r.status if r.value is None else f"{plain(r.value)}{error} {r.unit}".rstrip() + over
        found.setdefault(f"{r.metric}: {r.quantity}" if r.quantity else r.metric, []).append((r, text))
    return [(name, by_seed(values)) for name, values in found.items()]


def provenance(rows: Sequence[Record]) -> list[tuple[str, str]]:
    """Return which seeds, machine and code made the rows."""
    seeds = sorted({r.seed for r in rows if r.seed is not None})
    found = [("seeds", ", ".join(map(str, seeds)))]
    found += [
        (
            "checkpoint",
            by_seed(
                (r, f"{r.checkpoint}, epoch {r.checkpoint_epoch}")
                for r in rows
                if r.checkpoint_epoch is not None
            ),
        )
    ]
    found += [
        (term, by_seed((r, plain(getattr(r, column))) for r in rows)) for column, term in PROVENANCE.items()
    ]
    found.append(("command", "; ".join(commands(rows))))
    return [(term, text) for term, text in found if text]


def cost(rows: Sequence[Record]) -> list[tuple[str, str]]:
    """Return wall time by seed, memory and size."""
    found = [
        ("training", by_seed((r, seconds(r.fit_seconds)) for r in rows)),
        ("sampling", by_seed((r, seconds(r.sample_seconds)) for r in rows)),
    ]
    found += [
        (f"scoring, {name}", by_seed((r, seconds(r.score_seconds)) for r in group))
        for name, group in by_metric(rows).items()
    ]
    found += [
        (
            "peak memory",
            by_seed((r, f"{r.peak_memory_mib:,.0f} MiB") for r in rows if r.peak_memory_mib is not None),
        ),
        ("parameters", by_seed((r, f"{r.parameters:,}") for r in rows if r.parameters is not None)),
    ]
    return [(term, text) for term, text in found if text]


def by_metric(rows: Iterable[Record]) -> dict[str, list[Record]]:
    """Return the rows of each metric, in order."""
    found: dict[str, list[Record]] = {}
    for r in rows:
        if r.metric:
            found.setdefault(r.metric, []).append(r)
    return found


def by_seed(values: Iterable[tuple[Record, str]]) -> str:
    """Return what all rows say, or what each seed's say: '3 (seed 0); 4 (seed 1)'."""
    said: dict[str, list[str]] = {}
    for r, text in values:
        seeds = said.setdefault(text, []) if text else []
        seeds += [str(r.seed)] if r.seed is not None and str(r.seed) not in seeds else []
    if len(said) < 2:
        return next(iter(said), "")
    return "; ".join(
        f"{text} (seed{'s' if len(seeds) > 1 else ''} {', '.join(seeds)})" if seeds else text
        for text, seeds in said.items()
    )


def plain(value: object) -> str:
    """Return a JSON value for people: numbers to six digits, lists without quotes."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        return ", ".join(map(plain, value))
    if isinstance(value, dict):
        return "; ".join(f"{name}: {plain(each)}" for name, each in value.items())
    return "none" if value is None else str(value)


def seconds(value: float | None) -> str:
    """Return a duration, in minutes too where it is long."""
    if value is None:
        return ""
    return f"{value:.3g} s" if value < 100 else f"{value:,.0f} s ({value / 60:,.1f} min)"
