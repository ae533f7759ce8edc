"""Which numbers are in Table 1?

Rows are models, columns data sets; every rendering prints these numbers.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
from genmodel_bench.report.tables.published import CONTENT, EMPTY, PUBLISHED, REMARKS
from genmodel_bench.storage.record import ROLES, Record

KEY = ["role", "model", "variant", "samples"]
COLUMNS = {
    "nats": 1, "total ±": 1, "test ±": 1, "test n": 0, "draw ±": 1, "draws": 0, "seed ±": 1, "seeds": 0,
    "N": 0, "σ": 4, "published": 1, "published ±": 1, "z": 1, "NN ratio": 3, "copies %": 1,
    "epoch": 0, "epochs": 0, "valid last": 1, "valid best": 1, "minutes": 2, "MiB": 0,
}  # fmt: skip
"""The columns of a data set with the decimals that are printed."""

STALE = "made by other code than today's; run it again"
"""The note of a line whose number today's code has not made."""

Key = tuple[str, str, str, int]
"""A row: (role, model, variant, number of samples).

Log-likelihoods from different numbers of samples are not comparable.
"""


@dataclass(frozen=True)
class Table:
    """Numbers by row (a `Key`) and (data set, column of `COLUMNS`); notes by row."""

    numbers: pd.DataFrame
    notes: dict[Key, list[str]] = field(default_factory=dict)

    @property
    def remarks(self) -> list[str]:
        """Return what readers have to know of the data sets."""
        return [REMARKS[dataset] for dataset in self.numbers.columns.unique(0) if dataset in REMARKS]

    @property
    def footnotes(self) -> list[str]:
        """Return every different note, in the order of the rows."""
        return list(dict.fromkeys(note for key in self.numbers.index for note in self.notes.get(key, [])))


def table1(
    records: Sequence[Record],
    *,
    beside: Sequence[str] = (),
    stale: Collection[tuple[str, str]] = (),
) -> Table:
    """Return the table of all records: models, then users' samples, then reference rows.

    Each of these groups is sorted best first. A data set of `beside` without records
    becomes a column of published values, with a note that says why it is empty otherwise.
    `stale` lines, (data set, name) each, bear a note.
    """
    if not records:
        return Table(
            pd.DataFrame(
                index=pd.MultiIndex.from_tuples([], names=KEY),
                columns=pd.MultiIndex.from_product([[], COLUMNS]),
            )
        )
    groups: dict[tuple[str, Key], list[Record]] = {}
    for r in records:
        groups.setdefault((r.dataset, (r.role, r.model, r.variant, r.samples)), []).append(r)
    published_setting: dict[Key, bool] = {}
    columns: dict[tuple[str, Key], dict[str, object]] = {}
    notes: dict[Key, list[str]] = {}
    for (dataset, key), rows in groups.items():
        published_setting[key] = is_the_published_setting(key, json.loads(rows[0].options))
        columns[dataset, key], found = summarise(dataset, rows, published=published_setting[key])
        notes.setdefault(key, []).extend(found)
        if (dataset, rows[0].name) in stale:
            notes[key].append(f"{dataset}: {STALE}")
    datasets = list(dict.fromkeys(dataset for dataset, _ in groups))
    keys = list(dict.fromkeys(key for _, key in columns))
    for dataset in (name for name in beside if name not in datasets):
        datasets.append(dataset)
        for key in keys:
            published = PUBLISHED.get((key[1], dataset)) if published_setting[key] else None
            if published:
                columns[dataset, key] = {"published": published.value, "published ±": published.stderr}
                notes[key].append(f"{dataset}: published values alone: {EMPTY[dataset]}")
    numbers = pd.DataFrame(
        [[columns.get((d, key), {}).get(c) for d in datasets for c in COLUMNS] for key in keys],
        index=pd.MultiIndex.from_tuples(keys, names=KEY),
        columns=pd.MultiIndex.from_product([datasets, COLUMNS]),
        dtype=object,
    )
    for dataset in datasets:
        for key, note in [
            *above_real_data(numbers[dataset], dataset),
            *other_sample_sizes(numbers[dataset], dataset),
        ]:
            notes[key].append(note)
    return Table(in_order(numbers), notes)


def summarise(
    dataset: str, rows: Sequence[Record], *, published: bool
) -> tuple[dict[str, object], list[str]]:
    """Return one model's numbers on one data set, from all seeds, and its notes.

    Doubtful records do not count. `published` says whether a published value may be
    printed beside ours.
    """
    numbers: dict[str, object] = {"N": rows[0].samples}
    notes = [f"{dataset}: left out: {text}" for text in left_out([r for r in rows if r.doubt])]
    rows = [r for r in rows if not r.doubt]
    scored = values_of(rows, "parzen", "log_likelihood")
    notes += [f"{dataset}: {status}" for status in with_seeds([r for r in rows if r.status != "ok"])]
    if not scored:
        return numbers, notes
    seconds = mean(r.fit_seconds for r in scored)
    numbers |= {"nats": mean(r.value for r in scored), "σ": sigma(scored), **ledger(scored)}
    numbers |= {
        "epochs": rows[0].epochs,
        "epoch": span([r.checkpoint_epoch for r in scored if r.checkpoint_epoch is not None], 0),
        "valid best": mean(r.valid_best for r in scored),
        "valid last": mean(r.valid_last for r in scored),
        "minutes": None if seconds is None else seconds / 60,
        "MiB": mean(r.peak_memory_mib for r in scored),
    }
    content = rows[0].dataset_digest
    if published and content == CONTENT.get(dataset, content):
        found, note = comparison(dataset, rows, scored)
        numbers |= found
        notes += note
    elif published:
        notes.append(
            f"{dataset}: published values do not stand beside: its content, {content}, is not that of the "
            "published files"
        )
    for column, quantity, factor in (("NN ratio", "ratio", 1), ("copies %", "exact_copies", 100)):
        average = mean(r.value for r in values_of(rows, "neighbours", quantity))
        numbers[column] = None if average is None else average * factor
    return numbers, notes


def values_of(rows: Iterable[Record], metric: str, quantity: str) -> list[Record]:
    """Return the rows of a quantity that have a value, one for each seed."""
    return [r for r in rows if (r.metric, r.quantity) == (metric, quantity) and r.value is not None]


def ledger(scored: Sequence[Record]) -> dict[str, object]:
    """Return the uncertainties of the mean over seeds, each with its n.

    `scored` are the headline rows of all seeds. The test images are the same for every
    seed: their error does not average out. The spread over seeds contains that over
    draws. With one seed the spread over seeds is unknown, and the total a lower bound.
    """
    return {
        "total ±": total_error(scored),
        "test ±": mean(r.stderr for r in scored),
        "test n": scored[0].n,
        "draw ±": root_mean_square(r.draw_sd for r in scored),
        "draws": min(r.draws for r in scored),
        "seed ±": spread(scored),
        "seeds": len(scored) if scored[0].role != "samples" else None,
    }


def total_error(rows: Sequence[Record]) -> float:
    """Return the standard error of the mean of one quantity's rows, one for each seed.

    With a single row it is a lower bound.
    """
    seeds = spread(rows)
    if seeds is not None:
        runs = seeds / math.sqrt(len(rows))
    else:
        runs = (root_mean_square(r.draw_sd for r in rows) or 0.0) / math.sqrt(rows[0].draws)
    return math.hypot(mean(r.stderr for r in rows) or 0.0, runs)


def comparison(
    dataset: str, rows: Sequence[Record], scored: Sequence[Record]
) -> tuple[dict[str, object], list[str]]:
    """Return the published value, its error and z as columns, and notes.

    z is our mean minus the published one, over the root of the sum of both squared
    errors.
    """
    published = PUBLISHED.get((rows[0].model, dataset))
    if not published:
        return {}, []
    ours, notes = scored, [f"{dataset}: {published.note}"] if published.note else []
    if published.sigma is not None:
        ours = values_of(rows, "parzen", f"at_sigma_{published.sigma:g}")
        average = mean(r.value for r in ours) or 0.0
        notes = [
            f"{dataset}: z is of the score at σ = {published.sigma:g}, fixed as in the published number: "
            f"{average:.1f} nats"
        ]
    z = ((mean(r.value for r in ours) or 0.0) - published.value) / math.hypot(
        total_error(ours), published.stderr
    )
    return {"published": published.value, "published ±": published.stderr, "z": z}, notes


def mean(values: Iterable[float | None]) -> float | None:
    """Return the mean of the values that are not None, or None if there are none."""
    there = [value for value in values if value is not None]
    return math.fsum(there) / len(there) if there else None


def spread(rows: Sequence[Record]) -> float | None:
    """Return the standard deviation of values over seeds, or None of a single one.

    ddof is 1.
    """
    values = [r.value for r in rows if r.value is not None]
    return statistics.stdev(values) if len(values) > 1 else None


def root_mean_square(values: Iterable[float | None]) -> float | None:
    """Return the root of the mean square of the values that are not None, or None."""
    square = mean(None if value is None else value**2 for value in values)
    return None if square is None else math.sqrt(square)


def with_seeds(rows: Iterable[Record]) -> list[str]:
    """Return the statuses of rows with their seeds: 'parzen: warning: … (seed 0, 1)'."""
    found = grouped(rows, lambda r: f"{r.metric}: {r.status}")
    return [text + (f" (seed {seeds_of(group)})" if seeds_of(group) else "") for text, group in found.items()]


def left_out(rows: Iterable[Record]) -> list[str]:
    """Return which rows are doubted, and why: '2 rows (seed 1): was edited since …'."""
    found = []
    for doubt, group in grouped(rows, lambda r: r.doubt).items():
        seeds = f" (seed {seeds_of(group)})" if seeds_of(group) else ""
        found.append(f"{len(group)} row{'s' if len(group) > 1 else ''}{seeds}: {doubt}")
    return found


def grouped(rows: Iterable[Record], key: Callable[[Record], str]) -> dict[str, list[Record]]:
    """Return rows by a text that they share, in the order of first appearance."""
    found: dict[str, list[Record]] = {}
    for r in rows:
        found.setdefault(key(r), []).append(r)
    return found


def seeds_of(rows: Iterable[Record]) -> str:
    """Return the seeds of rows: '0, 2'."""
    return ", ".join(map(str, sorted({r.seed for r in rows if r.seed is not None})))


def above_real_data(numbers: pd.DataFrame, dataset: str) -> list[tuple[Key, str]]:
    """Return a note for each row with a higher score than real training images.

    The score is the Parzen log-likelihood in nats.
    """
    found = []
    for key, value in numbers["nats"].dropna().items():
        data = ("reference", "data", "", key[3])  # with as many samples
        real = numbers["nats"].get(data)
        if real is not None and value > real:
            found.append(
                (
                    key,
                    f"{dataset}: above real training images ({real:.1f} nats): the metric, not the model, is "
                    "at its end here",
                )
            )
    return found


def other_sample_sizes(numbers: pd.DataFrame, dataset: str) -> list[tuple[Key, str]]:
    """Return a note for each row scored with another number of samples than most."""
    scored = numbers["nats"].dropna().index
    sizes = pd.Series([key[3] for key in scored], index=[key[0] == "samples" for key in scored], dtype=int)
    if sizes.nunique() < 2:
        return []
    ours = sizes[~sizes.index.to_numpy(dtype=bool)]  # of models, where there are any
    usual = int((sizes if ours.empty else ours).mode().max())
    note = (
        f"{dataset}: not comparable with rows of another N: "
        "the log-likelihood grows with the number of samples"
    )
    return [(key, note) for key in scored if key[3] != usual]


def in_order(numbers: pd.DataFrame) -> pd.DataFrame:
    """Return the rows sorted by role, and within a role best first.

    The best has the lowest rank of its log-likelihood, in the mean over data sets.
    """
    values = numbers.xs("nats", axis=1, level=1).astype(float)
    rank = values.rank(ascending=False, pct=True).mean(axis=1).fillna(math.inf)
    order = sorted(range(len(numbers)), key=lambda i: (ROLES.index(numbers.index[i][0]), rank.iloc[i]))
    return numbers.iloc[order]


def in_order_of(records: Sequence[Record]) -> list[Key]:
    """Return the keys of the table's rows, in its order."""
    return [
        (str(role), str(model), str(variant), int(n))
        for role, model, variant, n in table1(records).numbers.index
    ]


def is_the_published_setting(key: Key, options: Iterable[str]) -> bool:
    """Return whether a published value may be printed in a row.

    It has to be a model with 10,000 samples and nothing changed but epochs, draws and
    determinism.
    """
    role, _, _, samples = key
    return role == "model" and samples == 10_000 and set(options) <= {"epochs", "draws", "deterministic"}


def sigma(rows: Sequence[Record]) -> Any:
    """Return the bandwidth of the rows, σ, or its range where they have several.

    Seeds, draws and folds may choose differently.
    """
    settings = [json.loads(r.metric_settings) for r in rows]
    values = sorted({value for each in settings for value in each.get("sigmas", [each["sigma"]])})
    return span(values, 4)


def span(values: Sequence[float], decimals: int) -> Any:
    """Return the one value there is, or the range of several as text, or None."""
    if len(set(values)) < 2:
        return values[0] if values else None
    return f"{min(values):.{decimals}f} to {max(values):.{decimals}f}"
