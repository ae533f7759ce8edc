"""How do results of several machines become one table? `bench merge`."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from genmodel_bench.commands.report import report
from genmodel_bench.errors import BenchError
from genmodel_bench.report.examples import take_examples
from genmodel_bench.report.tables.notes import left_out
from genmodel_bench.storage import sealed
from genmodel_bench.storage.atomic import write_atomically
from genmodel_bench.storage.ingredients import equivalences_as_text, equivalences_path, read_vouched
from genmodel_bench.storage.names import in_home, results_at
from genmodel_bench.storage.record import Record
from genmodel_bench.storage.store import Store, passed_over, stores_of, sure
from genmodel_bench.storage.waiting import held

Unit = tuple[str, str, str, int, int | None, str]
"""What one cell gives to one metric: role, line, seed, metric."""


@dataclass
class Merged:
    """What a merge did, in words.

    done: what was added, what was there already, and what stays behind.
    left_out: what contradicts other rows, or was edited; one line each.
    """

    done: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def merge(
    folders: Sequence[Path | str], *, results: Path | str | None = None, figures: bool = True
) -> Merged:
    """Add the rows of other results folders to those under `results`.

    Rows that were edited, and rows that contradict those there, are left out and told.
    Scores' arrays, visuals, test images and values by test image come along; trainings,
    samples and superseded rows stay where they are.

    Raises:
        BenchError: a folder holds no records, or records of another content of a data
            set. Nothing is written then.
        BadRecords: records are damaged.
    """
    results = results_at(results)
    pairs = [
        (other, Store(results, other.dataset))
        for folder in folders
        for other in sources(in_home(folder), results)
    ]
    digests: dict[str, tuple[str, Store]] = {}
    for store in [*{store.dataset: store for _, store in pairs}.values(), *(other for other, _ in pairs)]:
        check_content(store, digests)
    merged = Merged()
    for folder in dict.fromkeys(other.results for other, _ in pairs):
        take_equivalences(folder, results)
        merged.left_out += [
            f"{folder / name}: passed over: its runs.csv {why}" for name, why in passed_over(folder).items()
        ]
    for other, store in pairs:
        take(other, store, merged)
    merged.done.append("trainings, samples and superseded rows stay where they are: they make no table")
    report(results, figures=figures)
    return merged


def sources(folder: Path, results: Path) -> list[Store]:
    """Return the data sets that have records under a folder.

    Raises:
        BenchError: there are none, or the folder is the one that is merged into.
    """
    if folder.resolve() == results.resolve():
        raise BenchError(f"merge: {folder} is the folder that is merged into; name another with --results")
    stores = stores_of(folder)
    if not stores:
        raise BenchError(f"merge: no records under {folder}; expected a results folder, as of `bench run`")
    return stores


def check_content(store: Store, digests: dict[str, tuple[str, Store]]) -> None:
    """Check that records are of the content of the data set that the others are of.

    Raises:
        BenchError: they are not.
    """
    for r in sure(store.records()):
        digest, first = digests.setdefault(r.dataset, (r.dataset_digest, store))
        if digest != r.dataset_digest:
            raise BenchError(
                f"merge: {store.path} holds rows of content {r.dataset_digest} of {r.dataset}, {first.path} "
                f"of {digest}: they do not compare; merge them into different folders, with --results"
            )


def take_equivalences(folder: Path, results: Path) -> None:
    """Take over which code gives the bits of which; what is there counts first."""
    here, there = read_vouched(results).entries, read_vouched(folder).entries
    new = [entry for entry in there if entry not in here]
    if new:
        write_atomically(equivalences_path(results), equivalences_as_text([*here, *new]).encode())


def take(other: Store, store: Store, merged: Merged) -> None:
    """Add the rows of another store, and what is kept of them."""
    records = other.records()
    merged.left_out += [
        f"{other.path}: left out: {text}" for text in left_out([r for r in records if r.doubt])
    ]
    store.prepare()
    added: list[Record] = []
    same = 0

    def chosen(there: Sequence[Record]) -> list[Record]:
        """Return the rows that are new, given those there; the lock is held."""
        nonlocal same
        units, known = by_unit(sure(records)), by_unit(sure(there))
        for unit, rows in units.items():
            why = contradiction(rows, known.get(unit, []), sure(there))
            if why is None:
                same += len(rows)
            elif why:
                merged.left_out.append(f"{other.path}: left out: {named(rows)}: {why}")
            else:
                added.extend(rows)
        return added

    store.extend(chosen)
    files, broken = artefacts_of(added, other, store)
    merged.left_out += broken
    digest = next((r.dataset_digest for r in sure(records)), "")
    with held(store.results / "report.lock", "writes a report"):  # which writes that file too
        take_examples(other, store, digest)
    merged.done.append(
        f"{other.path}: {len(added)} records added to {store.path}, {same} were there already, "
        f"{files} artefacts came along"
    )


def by_unit(records: Sequence[Record]) -> dict[Unit, list[Record]]:
    """Return records by cell and metric, in order."""
    found: dict[Unit, list[Record]] = {}
    for r in records:
        found.setdefault((r.role, *r.line, r.seed, r.metric), []).append(r)
    return found


def contradiction(rows: Sequence[Record], known: Sequence[Record], there: Sequence[Record]) -> str | None:
    """Return why rows of one cell and metric cannot be added, "" if they can.

    None if there is nothing to add: they are there, or say that a metric failed.

    known: the rows of that cell and metric that are there.
    there: all rows that are there.
    """
    first = rows[0]
    if any(r.value is not None for r in known):
        if not any(r.value is not None for r in rows) or values_of(rows) == values_of(known):
            return None
        return f"{shown(rows)}, there stands {shown(known)}"
    if known and not any(r.value is not None for r in rows):
        return None
    if any(r.model == first.model and {r.role, first.role} > {"samples"} for r in there):
        return "one of samples and model is called so here, the other there; rename one"
    line = [r for r in there if (r.role, *r.line) == (first.role, *first.line)]
    if any(r.recipe != first.recipe for r in line):
        return "made by another recipe (settings, data or code) than the row of that name there"
    if any(r.metric == first.metric and r.metric_recipe != first.metric_recipe for r in line):
        return f"scored by another setting or code of {first.metric} than the row of that name there"
    return ""


def values_of(rows: Sequence[Record]) -> Mapping[str, tuple[float | None, float | None, str]]:
    """Return what rows of one cell and metric say, by score."""
    return {r.quantity: (r.value, r.stderr, r.weights) for r in rows}


def shown(rows: Sequence[Record]) -> str:
    """Return the headline score of rows in short."""
    r = rows[0]
    return r.status if r.value is None else f"{r.quantity} {r.value:.6g}"


def named(rows: Sequence[Record]) -> str:
    """Return which cell and metric rows are of."""
    r = rows[0]
    return f"{r.name}, N = {r.samples}{'' if r.seed is None else f', seed {r.seed}'}, {r.metric}"


def artefacts_of(added: Sequence[Record], other: Store, store: Store) -> tuple[int, list[str]]:
    """Copy what is kept of added rows; return how many files, and which are damaged."""
    keys = [("scores", r.score_key) for r in added if r.score_key]
    keys += [("visuals", r.cell) for r in added if r.cell]
    keys += [("images", r.dataset_digest) for r in added]
    copied, broken = 0, []
    for kind, key in dict.fromkeys(keys):
        source, target = (each.artefact(kind, f"{key}.safetensors") for each in (other, store))
        if target.exists() or not source.exists():
            continue
        try:
            sealed.load(source, key)
        except sealed.Broken as error:
            broken.append(f"left out: {error}")
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f"{target.name}.tmp")
        shutil.copyfile(source, partial)
        partial.replace(target)
        copied += 1
    return copied, broken
