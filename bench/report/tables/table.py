"""Which numbers are in the tables?

Rows are models, columns data sets; every rendering prints these numbers.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import pandas as pd
from genmodel_bench.report.compare import Standing, ranking, standing
from genmodel_bench.report.examples import Examples
from genmodel_bench.report.tables.columns import (
    DETECTABLE,
    SAMPLES,
    SIGMA,
    THEIR_ERROR,
    THEIRS,
    Column,
    Declared,
    Key,
    Z,
    columns_of,
    number,
)
from genmodel_bench.report.tables.ledger import cost, ledger, mean, sigma, total_error, values_of
from genmodel_bench.report.tables.likelihoods import side_by_side
from genmodel_bench.report.tables.notes import (
    STALE,
    above_real_data,
    left_out,
    network_of,
    other_networks,
    other_numbers,
    other_sample_sizes,
    shipped_with,
    with_seeds,
)
from genmodel_bench.report.tables.published import (
    CONTENT,
    COPIES,
    EMPTY,
    HEADLINE,
    PUBLISHED,
    REMARKS,
    UNCHANGED,
)
from genmodel_bench.storage.record import ROLES, Record

KEY = ["role", "model", "variant", "samples"]


@dataclass(frozen=True)
class Table:
    """Numbers by row (a `Key`) and (data set, title of a column); notes by row.

    columns: in order, those that no row of a data set has a number in as well.
    marks: (data set, title, row) of the rows that are not told apart from the best of a
        column.
    floors: by (data set, title), what unseen real images have in place of samples.
    shared: by (data set, title), what the scores of most rows share, as "N = 300, k = 5".
    agreement: how far Parzen and the models' own likelihoods rank alike, by data set.
    broken: by (data set, title), the promises that a score breaks in `bench audit`.
    """

    numbers: pd.DataFrame
    columns: tuple[Column, ...] = ()
    notes: dict[Key, list[str]] = field(default_factory=dict)
    marks: frozenset[tuple[str, str, Key]] = frozenset()
    floors: Mapping[tuple[str, str], float] = field(default_factory=dict)
    shared: Mapping[tuple[str, str], str] = field(default_factory=dict)
    agreement: Sequence[str] = ()
    broken: Mapping[tuple[str, str], str] = field(default_factory=dict)

    @property
    def datasets(self) -> list[str]:
        """Return the names of the data sets, in order."""
        return list(self.numbers.columns.unique(0))

    @property
    def remarks(self) -> list[str]:
        """Return what readers have to know of the data sets."""
        return [REMARKS[dataset] for dataset in self.datasets if dataset in REMARKS]

    @property
    def footnotes(self) -> list[str]:
        """Return every different note, in the order of the rows."""
        return list(dict.fromkeys(note for key in self.numbers.index for note in self.notes.get(key, [])))

    @property
    def keys(self) -> list[Key]:
        """Return the rows, in order."""
        return [(str(a), str(b), str(c), int(n)) for a, b, c, n in self.numbers.index]

    @property
    def views(self) -> list[str]:
        """Return the views that have a column with a number, in order."""
        return list(dict.fromkeys(column.view for column in self.filled))

    @cached_property
    def filled(self) -> list[Column]:
        """Return the columns in which any row has a number, in order."""
        held = self.numbers.notna().any()  # by (data set, title)
        some = {title for (_, title), any_number in held.items() if any_number}
        return [column for column in self.columns if column.title in some]

    @property
    def headline(self) -> Column | None:
        """Return the first of them of which one direction is better."""
        return next((column for column in self.filled if column.directed), None)


NOTHING_DECLARED: Declared = {}
NO_EXAMPLES: Mapping[str, Examples] = {}


def table1(
    records: Sequence[Record],
    *,
    beside: Sequence[str] = (),
    stale: Collection[tuple[str, str]] = (),
    declared: Declared = NOTHING_DECLARED,
    examples: Mapping[str, Examples] = NO_EXAMPLES,
) -> Table:
    """Return the table of all records: models, then users' samples, then reference rows.

    Each of these groups is sorted best first. A data set of `beside` without records
    becomes a column of published values, with a note that says why it is empty otherwise.
    `stale` lines, (data set, name) each, bear a note.

    declared: how today's metrics show their scores.
    examples: by data set, what each row gives to each test image.
    """
    columns = columns_of(records, declared)
    titles = [column.title for column in columns]
    groups: dict[tuple[str, Key], list[Record]] = {}
    for r in records:
        groups.setdefault((r.dataset, r.key), []).append(r)
    published_setting: dict[Key, bool] = {}
    cells: dict[tuple[str, Key], dict[str, object]] = {}
    notes: dict[Key, list[str]] = {}
    for (dataset, key), rows in groups.items():
        published_setting[key] = is_the_published_setting(key, json.loads(rows[0].options))
        cells[dataset, key], found = summarise(dataset, rows, columns, published=published_setting[key])
        notes.setdefault(key, []).extend(found)
        if (dataset, rows[0].name) in stale:
            notes[key].append(f"{dataset}: {STALE}")
    datasets = list(dict.fromkeys(dataset for dataset, _ in groups))
    keys = list(dict.fromkeys(key for _, key in cells))
    marks: set[tuple[str, str, Key]] = set()
    agreement: list[str] = []
    for dataset in datasets:
        own = {key: rows for (of, key), rows in groups.items() if of == dataset}
        beside_parzen, said = side_by_side(dataset, own)
        for key, likelihood in beside_parzen.items():
            cells[dataset, key] |= likelihood
        agreement += [said] * bool(said)
        for key, note in [*other_networks(own, dataset), *other_numbers(own, dataset)]:
            notes[key].append(note)
        for column in (c for c in columns if c.directed):
            best, seen = ranked(column, own, examples.get(dataset, Examples()))
            marks |= {(dataset, column.title, key) for key in best}
            for key in seen if column.of == HEADLINE else ():
                cells[dataset, key][DETECTABLE.title] = seen[key]
    for dataset in (name for name in beside if name not in datasets):
        datasets.append(dataset)
        for key in keys:
            published = PUBLISHED.get((key[1], dataset)) if published_setting[key] else None
            if published:
                cells[dataset, key] = {
                    THEIRS.title: published.value,
                    THEIR_ERROR.title: published.stderr,
                }
                notes[key].append(f"{dataset}: published values alone: {EMPTY[dataset]}")
                if published.about:
                    notes[key].append(f"{dataset}: {published.about}")
    numbers = pd.DataFrame(
        [[cells.get((d, key), {}).get(title) for d in datasets for title in titles] for key in keys],
        index=pd.MultiIndex.from_tuples(keys, names=KEY),
        columns=pd.MultiIndex.from_product([datasets, titles]),
        dtype=object,
    )
    headline = [c.title for c in columns if c.of == HEADLINE and c.is_score]
    for dataset, title in ((dataset, title) for dataset in datasets for title in headline):
        values = numbers[dataset, title]
        for key, note in [*above_real_data(values, dataset), *other_sample_sizes(values, dataset)]:
            notes[key].append(note)
    floors = {
        (dataset, column.title): value
        for dataset in datasets
        for column in columns
        if (value := floor_of(column, [r for r in records if r.dataset == dataset])) is not None
    }
    shared = {
        (dataset, column.title): text
        for dataset in datasets
        for column in columns
        if (text := shared_by(column, [r for r in records if r.dataset == dataset]))
    }
    return Table(in_order(numbers, columns), columns, notes, frozenset(marks), floors, shared, agreement)


def shared_by(column: Column, records: Sequence[Record]) -> str:
    """Return N and k of most scores of a column of a comparison, or nothing."""
    found = values_of([r for r in records if not r.doubt], *column.of) if column.floor and column.of else []
    settings = [json.loads(r.metric_settings) for r in found]
    said = [", ".join(f"{k} = {each[k]:,}" for k in ("N", "k") if k in each) for each in settings]
    return statistics.mode(said) if said else ""


def floor_of(column: Column, records: Sequence[Record]) -> float | None:
    """Return what unseen real images have in a column, at the N of most rows."""
    found = values_of([r for r in records if not r.doubt], *column.floor) if column.floor else []
    if not found:
        return None
    usual = statistics.mode(r.n for r in found)
    value = mean(r.stderr if column.error else r.value for r in found if r.n == usual)
    return None if value is None else value * column.factor


def ranked(
    column: Column, groups: Mapping[Key, Sequence[Record]], examples: Examples
) -> tuple[list[Key], dict[Key, float]]:
    """Return the models that share the best place of a column, and what was detectable.

    Only rows of one number of samples, of features of one network, and of likelihoods of
    one support and kind, compare: those of most rows do.
    """
    assert column.of is not None
    names = {str(i): key for i, key in enumerate(groups) if key[0] == "model"}
    standings = [
        found
        for name, key in names.items()
        if (found := standing_of(name, key, groups[key], column, examples)) is not None
    ]
    kinds = [(s.samples, network_of(groups[names[s.name]], column.of[0]), s.of) for s in standings]
    usual = statistics.mode(kinds) if kinds else None
    rows = [s for s, kind in zip(standings, kinds, strict=True) if kind == usual]
    result = ranking(rows, better=column.better)
    seen = {names[name]: value for name, value in result.detectable.items()}
    return [names[name] for name in sorted(result.best, key=int)], seen


def standing_of(
    name: str, key: Key, rows: Sequence[Record], column: Column, examples: Examples
) -> Standing | None:
    """Return what is known of a row's score, as its column prints it."""
    assert column.of is not None
    scored = values_of([r for r in rows if not r.doubt], *column.of)
    return standing(name, scored, examples.of(column.of, key), column.factor)


def summarise(
    dataset: str, rows: Sequence[Record], columns: Sequence[Column], *, published: bool
) -> tuple[dict[str, object], list[str]]:
    """Return one model's numbers on one data set, from all seeds, and its notes.

    Doubtful records do not count. `published` says whether a published value may be
    printed beside ours.
    """
    numbers: dict[str, object] = {SAMPLES.title: rows[0].samples}
    notes = [f"{dataset}: left out: {text}" for text in left_out([r for r in rows if r.doubt])]
    rows = [r for r in rows if not r.doubt]
    contents = dict.fromkeys(r.dataset_digest for r in rows)
    notes += [f"{dataset}: {COPIES[content]}" for content in contents if content in COPIES]
    notes += [f"{dataset}: {text}" for text in shipped_with(rows)]
    notes += [f"{dataset}: {status}" for status in with_seeds([r for r in rows if r.status != "ok"])]
    for column in columns:
        of = values_of(rows, *column.of) if column.of else []
        if of:
            value = total_error(of) if column.error else mean(r.value for r in of)
            numbers[column.title] = None if value is None else value * column.factor
    scored = values_of(rows, *HEADLINE)
    numbers |= cost(scored or [r for r in rows if r.value is not None])
    if not scored:
        return numbers, notes
    numbers |= {SIGMA.title: sigma(scored), **ledger(scored)}
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
    return numbers, notes


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
    ours, notes = scored, [f"{dataset}: {published.about}"] if published.about else []
    if published.sigma is not None:
        ours = values_of(rows, *published.quantity)
        average = mean(r.value for r in ours) or 0.0
        notes = [
            f"{dataset}: z is of the score at σ = {published.sigma:g}, fixed as in the published number: "
            f"{number(average, 1)} nats"
        ]
    z = ((mean(r.value for r in ours) or 0.0) - published.value) / math.hypot(
        total_error(ours), published.stderr
    )
    return {THEIRS.title: published.value, THEIR_ERROR.title: published.stderr, Z.title: z}, notes


def in_order(numbers: pd.DataFrame, columns: Sequence[Column]) -> pd.DataFrame:
    """Return the rows sorted by role, and within a role best first.

    The best has the lowest rank in the first column of which one direction is better, in
    the mean over data sets.
    """
    first = next((c for c in columns if c.directed), None)
    if first is None:
        rank = pd.Series(math.inf, index=numbers.index)
    else:
        values = numbers.xs(first.title, axis=1, level=1).astype(float)
        rank = values.rank(ascending=first.better == "lower", pct=True).mean(axis=1).fillna(math.inf)
    order = sorted(range(len(numbers)), key=lambda i: (ROLES.index(numbers.index[i][0]), rank.iloc[i]))
    return numbers.iloc[order]


def is_the_published_setting(key: Key, options: Iterable[str]) -> bool:
    """Return whether a published value may be printed in a row.

    It has to be a model with 10,000 samples and nothing changed but epochs, draws and
    determinism.
    """
    role, _, _, samples = key
    return role == "model" and samples == 10_000 and set(options) <= UNCHANGED
