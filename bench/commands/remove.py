"""How is a row taken out of a table? `bench remove`."""

from __future__ import annotations

from pathlib import Path

from genmodel_bench.commands.report import report
from genmodel_bench.errors import BadOption, BenchError, UnknownName
from genmodel_bench.storage.names import results_at
from genmodel_bench.storage.record import Record
from genmodel_bench.storage.store import Store, stores_of


def remove(
    row: str,
    *,
    dataset: str | None = None,
    samples: int | None = None,
    results: Path | str | None = None,
    figures: bool = True,
) -> str:
    """Take a row out of a table, and rebuild tables and figures; say what was done.

    Its records with a value move to `runs-superseded.csv`, others are dropped; artefacts
    stay, so that a run of the same cells makes the row again at once.

    row: as the table names it: "mine", "gan-ns (epochs=200)".
    dataset: where several have such a row.
    samples: where several rows have the name, the number of samples of the one.

    Raises:
        UnknownName: there is no such row.
        BadOption: several rows are called so.
    """
    results = results_at(results)
    stores = stores_of(results) if dataset is None else [Store(results, dataset)]
    rows = {store.dataset: store.records() for store in stores}
    if not any(rows.values()):
        raise BenchError(f"remove: no records{of(dataset)} under {results}; name their folder with --results")
    found = {name: [r for r in records if r.name == row] for name, records in rows.items()}
    found = {name: records for name, records in found.items() if records}
    if not found:
        known = dict.fromkeys(r.name for records in rows.values() for r in records)
        raise UnknownName("row", row, known)
    if len(found) > 1:
        raise BadOption(f"remove: {row!r} is a row of {', '.join(found)}; name one of them with --dataset")
    ((name, records),) = found.items()
    keys = {r.key for r in records if samples is None or r.samples == samples}
    if len(keys) != 1:
        numbers = ", ".join(map(str, sorted({r.samples for r in records})))
        raise BadOption(
            f"remove: the rows called {row!r} have {numbers} samples, got "
            f"{'no number' if samples is None else samples}; name one of them with --samples"
        )
    store, (key,) = Store(results, name), keys
    gone = store.remove(lambda r: r.key == key)
    report(results, figures=figures)
    return said(row, gone, store)


def said(row: str, gone: list[Record], store: Store) -> str:
    """Return what became of the records of a row."""
    kept = sum(r.value is not None for r in gone)
    text = (
        f"{row}: {len(gone)} records of {store.dataset} taken out, {kept} of them moved to {store.superseded}"
    )
    return f"{text}; tables are rebuilt, and artefacts stay in {store.cache}"


def of(dataset: str | None) -> str:
    """Return which data set is meant, in words."""
    return "" if dataset is None else f" of {dataset!r}"
