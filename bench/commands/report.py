"""How is everything that is printed made again from the records? `bench report`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from genmodel_bench.cells.recorded import stale_lines
from genmodel_bench.metrics import METRICS, Metric
from genmodel_bench.metrics.column import declared
from genmodel_bench.report.rebuild import Stale, Today, tabulated, write_table
from genmodel_bench.report.rebuild import report as rebuild
from genmodel_bench.report.tables.columns import Declared
from genmodel_bench.report.tables.table import Table
from genmodel_bench.storage.beside import with_beside
from genmodel_bench.storage.ingredients import read_vouched
from genmodel_bench.storage.names import results_at
from genmodel_bench.storage.record import Record
from genmodel_bench.storage.store import Store
from genmodel_bench.storage.waiting import Say, in_silence


def report(
    results: Path | str | None = None,
    *,
    figures: bool = True,
    metrics: Mapping[str, Metric] = METRICS,
    say: Say = in_silence,
) -> list[Path]:
    """Rebuild every table and figure under `results`; return the files written.

    Rows that today's code would not make as they are bear a note. `say` is told which
    process is waited for, if one is. Raises BadRecords.
    """
    results = results_at(results)
    return rebuild(results, figures=figures, today=today(results, metrics), say=say)


def tables_so_far(store: Store, metrics: Mapping[str, Metric] = METRICS) -> None:
    """Write the tables of one data set while cells still run; figures and pages stay."""
    records, known = store.records(), today(store.folder.parent, metrics)
    stale = {(store.dataset, name) for name in known.stale(records)}
    write_table(store.folder, tabulated(store, with_beside(store, records), known, stale=stale)[0])


def today(results: Path, metrics: Mapping[str, Metric] = METRICS) -> Today:
    """Return what today's code says of the records of a results folder."""
    return Today(stale_under(results, metrics), declared_by(metrics))


def table_of(store: Store, metrics: Mapping[str, Metric] = METRICS) -> Table:
    """Return the table of a data set's records as they are now."""
    return tabulated(store, with_beside(store, store.records()), Today(declared=declared_by(metrics)))[0]


def declared_by(metrics: Mapping[str, Metric] = METRICS) -> Declared:
    """Return how metrics show their scores, in the order of tables."""
    return {
        (name, quantity): asdict(column)
        for name, metric in metrics.items()
        for quantity, column in declared(metric).items()
    }


def stale_under(results: Path, metrics: Mapping[str, Metric] = METRICS) -> Stale:
    """Return what names the stale lines among records of a results folder."""
    vouched = read_vouched(results)

    def stale(records: Sequence[Record]) -> list[str]:
        return stale_lines(records, metrics, vouched)

    return stale
