"""Which numbers stand in Table 1? Rows are models, columns data sets; every rendering prints these."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from bench.record import ROLES, Record, frame
from bench.report.published import CONTENT, EMPTY, PUBLISHED, REMARKS

KEY = ["role", "model", "variant", "samples"]
COLUMNS = {
    "nats": 1, "total ±": 1, "test ±": 1, "test n": 0, "draw ±": 1, "draws": 0, "seed ±": 1, "seeds": 0, "N": 0, "σ": 4,
    "published": 1, "published ±": 1, "z": 1, "NN ratio": 3, "copies %": 1,
    "epoch": 0, "epochs": 0, "valid last": 1, "valid best": 1, "minutes": 2, "MiB": 0,
}  # fmt: skip
"""The columns of a data set with the decimals that are printed."""

Key = tuple[str, str, str, int]
"""A row: (role, model, variant, number of samples): log-likelihoods from different numbers of samples do not mix."""


@dataclass(frozen=True)
class Table:
    """Numbers by row (a `Key`) and column (data set, column of `COLUMNS`), and each row's notes."""

    numbers: pd.DataFrame
    notes: dict[Key, list[str]] = field(default_factory=dict)

    @property
    def remarks(self) -> list[str]:
        """Return what has to be said of the data sets."""
        return [REMARKS[dataset] for dataset in self.numbers.columns.unique(0) if dataset in REMARKS]

    @property
    def footnotes(self) -> list[str]:
        """Return every different note, in the order of the rows."""
        return list(dict.fromkeys(note for key in self.numbers.index for note in self.notes.get(key, [])))


def table1(records: Sequence[Record], *, beside: Sequence[str] = ()) -> Table:
    """Return the table of all records, best first within models, users' samples and reference rows.

    A data set of `beside` that has no records becomes a column of published values, with a note that says why it is empty.
    """
    if not records:
        return Table(pd.DataFrame(index=pd.MultiIndex.from_tuples([], names=KEY), columns=pd.MultiIndex.from_product([[], COLUMNS])))
    data = frame(records)
    published_setting: dict[Key, bool] = {}
    columns: dict[tuple[str, Key], dict[str, object]] = {}
    notes: dict[Key, list[str]] = {}
    for (dataset, *key_parts), rows in data.groupby(["dataset", *KEY], sort=False):
        role, model, variant, n = key_parts
        key = (role, model, variant, int(n))
        published_setting[key] = is_the_published_setting(key, json.loads(rows["options"].iloc[0]))
        columns[dataset, key], found = summarise(dataset, model, rows, published=published_setting[key])
        notes.setdefault(key, []).extend(found)
    datasets = list(dict.fromkeys(data["dataset"]))
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
        for key, note in [*above_real_data(numbers[dataset], dataset), *other_sample_sizes(numbers[dataset], dataset)]:
            notes[key].append(note)
    return Table(in_order(numbers), notes)


def summarise(dataset: str, model: str, rows: pd.DataFrame, *, published: bool) -> tuple[dict[str, object], list[str]]:
    """Return one model's numbers on one data set, from its records of all seeds, and its notes; doubtful records count for nothing.

    `published` says whether a published value may stand beside.
    """
    numbers: dict[str, object] = {"N": int(rows["samples"].iloc[0])}
    doubts = [f"{dataset}: left out: {text}" for text in left_out(rows[rows["doubt"] != ""])]
    rows = rows[rows["doubt"] == ""]
    parzen = rows[rows["metric"] == "parzen"]
    scored = parzen[parzen["value"].notna() & (parzen["quantity"] == "log_likelihood")]
    notes = doubts + [f"{dataset}: {status}" for status in dict.fromkeys(with_seeds(rows[rows["status"] != "ok"]))]
    if scored.empty:
        return numbers, notes
    numbers |= {"nats": scored["value"].mean(), "σ": sigma(scored), **ledger(scored)}
    numbers |= {
        "epochs": plain(rows["epochs"].iloc[0]),
        "epoch": span(scored["checkpoint_epoch"].dropna().astype(int).tolist(), 0),
        "valid best": plain(scored["valid_best"].mean()),
        "valid last": plain(scored["valid_last"].mean()),
        "minutes": plain(scored["fit_seconds"].mean() / 60),
        "MiB": plain(scored["peak_memory_mib"].mean()),
    }
    content = rows["dataset_digest"].iloc[0]
    if published and content == CONTENT.get(dataset, content):
        found, note = comparison(dataset, model, parzen, scored)
        numbers |= found
        notes += note
    elif published:
        notes.append(f"{dataset}: published values do not stand beside: its content, {content}, is not that of the published files")
    for column, quantity, factor in (("NN ratio", "ratio", 1), ("copies %", "exact_copies", 100)):
        values = rows[(rows["metric"] == "neighbours") & (rows["quantity"] == quantity)]["value"]
        numbers[column] = plain(values.mean() * factor)
    return numbers, notes


def ledger(scored: pd.DataFrame) -> dict[str, object]:
    """Return the uncertainties of the mean over seeds, each with its n, from the headline rows of all seeds.

    The test images are the same for every seed: their error does not average out. The spread over seeds contains that over draws.
    With one seed the spread over seeds is unknown, and the total a lower bound.
    """
    seeds, draws = len(scored), int(scored["draws"].min())
    test, draw = scored["stderr"].mean(), root_mean_square(scored["draw_sd"])
    seed = scored["value"].std(ddof=1) if seeds > 1 else None
    return {
        "total ±": total_error(scored),
        "test ±": test,
        "test n": int(scored["n"].iloc[0]),
        "draw ±": draw,
        "draws": draws,
        "seed ±": seed,
        "seeds": seeds if scored["role"].iloc[0] != "samples" else None,
    }


def total_error(rows: pd.DataFrame) -> float:
    """Return the standard error of the mean of one quantity's rows, one for each seed; of a single one a lower bound."""
    seeds = len(rows)
    if seeds > 1:
        runs = rows["value"].std(ddof=1) / math.sqrt(seeds)
    else:
        runs = (root_mean_square(rows["draw_sd"]) or 0.0) / math.sqrt(rows["draws"].iloc[0])
    return math.hypot(rows["stderr"].mean(), runs)


def comparison(dataset: str, model: str, parzen: pd.DataFrame, scored: pd.DataFrame) -> tuple[dict[str, object], list[str]]:
    """Return the published value beside ours and z, our mean minus it over the root of the summed squares of both errors, and notes."""
    published = PUBLISHED.get((model, dataset))
    if not published:
        return {}, []
    ours, notes = scored, [f"{dataset}: {published.note}"] if published.note else []
    if published.sigma is not None:
        ours = parzen[parzen["value"].notna() & (parzen["quantity"] == f"at_sigma_{published.sigma:g}")]
        notes = [
            f"{dataset}: z is of the score at σ = {published.sigma:g}, fixed as in the published number: {ours['value'].mean():.1f} nats"
        ]
    z = (ours["value"].mean() - published.value) / math.hypot(total_error(ours), published.stderr)
    return {"published": published.value, "published ±": published.stderr, "z": z}, notes


def root_mean_square(values: pd.Series) -> float | None:
    """Return the root of the mean square of the values that are there, or None."""
    there = values.dropna().astype(float)
    return math.sqrt((there**2).mean()) if len(there) else None


def with_seeds(rows: pd.DataFrame) -> list[str]:
    """Return the statuses of rows, each with the seeds it befell: 'parzen: warning: … (seeds 0, 1)'."""
    found = []
    for (metric, status), group in rows.groupby(["metric", "status"], sort=False):
        seeds = ", ".join(str(s) for s in sorted(group["seed"].dropna().unique()))
        found.append(f"{metric}: {status}" + (f" (seed {seeds})" if seeds else ""))
    return found


def left_out(rows: pd.DataFrame) -> list[str]:
    """Return in words which rows are not to be believed, and why: '2 rows (seed 1): was edited since it was made'."""
    found = []
    for doubt, group in rows.groupby("doubt", sort=False):
        seeds = ", ".join(str(s) for s in sorted(group["seed"].dropna().unique()))
        found.append(f"{len(group)} row{'s' if len(group) > 1 else ''}{f' (seed {seeds})' if seeds else ''}: {doubt}")
    return found


def above_real_data(numbers: pd.DataFrame, dataset: str) -> list[tuple[Key, str]]:
    """Return a note for each row whose log-likelihood exceeds that of real training images."""
    found = []
    for key, value in numbers["nats"].dropna().items():
        data = ("reference", "data", "", key[3])  # of as many samples
        real = numbers["nats"].get(data)
        if real is not None and value > real:
            found.append((key, f"{dataset}: above real training images ({real:.1f} nats): the metric, not the model, is at its end here"))
    return found


def other_sample_sizes(numbers: pd.DataFrame, dataset: str) -> list[tuple[Key, str]]:
    """Return a note for each row that was scored with another number of samples than most."""
    scored = numbers["nats"].dropna().index
    sizes = pd.Series([key[3] for key in scored], index=[key[0] == "samples" for key in scored], dtype=int)
    if sizes.nunique() < 2:
        return []
    ours = sizes[~sizes.index.to_numpy(dtype=bool)]  # what most of the models have, where there are models
    usual = int((sizes if ours.empty else ours).mode().max())
    note = f"{dataset}: not comparable with rows of another N: the log-likelihood grows with the number of samples"
    return [(key, note) for key in scored if key[3] != usual]


def in_order(numbers: pd.DataFrame) -> pd.DataFrame:
    """Return the rows by role, and within it best first: by the mean over data sets of the rank of their log-likelihood there."""
    values = numbers.xs("nats", axis=1, level=1).astype(float)
    rank = values.rank(ascending=False, pct=True).mean(axis=1).fillna(math.inf)
    order = sorted(range(len(numbers)), key=lambda i: (ROLES.index(numbers.index[i][0]), rank.iloc[i]))
    return numbers.iloc[order]


def in_order_of(records: Sequence[Record]) -> list[Key]:
    """Return the keys of the table's rows, in its order."""
    return [(str(role), str(model), str(variant), int(n)) for role, model, variant, n in table1(records).numbers.index]


def is_the_published_setting(key: Key, options: Iterable[str]) -> bool:
    """Return whether a published value may stand in a row: of a model, 10,000 samples, nothing changed but epochs, draws, determinism."""
    role, _, _, samples = key
    return role == "model" and samples == 10_000 and set(options) <= {"epochs", "draws", "deterministic"}


def sigma(rows: pd.DataFrame) -> Any:
    """Return the bandwidth of the rows, or its range where seeds, draws or folds chose differently."""
    settings = [json.loads(text) for text in rows["metric_settings"]]
    values = sorted({value for each in settings for value in each.get("sigmas", [each["sigma"]])})
    return span(values, 4)


def span(values: Sequence[float], decimals: int) -> Any:
    """Return the one value there is, or the range of several as text, or None."""
    if len(set(values)) < 2:
        return values[0] if values else None
    return f"{min(values):.{decimals}f} to {max(values):.{decimals}f}"


def plain(value: object) -> object:
    """Return a missing value of pandas as None."""
    return None if pd.isna(value) else value
