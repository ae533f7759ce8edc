"""How is everything that is printed made again from the records? `bench report`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from genmodel_bench.cells.recorded import stale_lines
from genmodel_bench.metrics import METRICS, Metric
from genmodel_bench.report.rebuild import Stale
from genmodel_bench.report.rebuild import report as rebuild
from genmodel_bench.storage.ingredients import read_vouched
from genmodel_bench.storage.names import default_results
from genmodel_bench.storage.record import Record


def report(
    results: Path | str | None = None,
    *,
    figures: bool = True,
    metrics: Mapping[str, Metric] = METRICS,
) -> list[Path]:
    """Rebuild every table and figure under `results`; return the files written.

    Rows that today's code would not make as they are bear a note. Raises BadRecords.
    """
    results = Path(results or default_results())
    return rebuild(results, figures=figures, stale=stale_under(results, metrics))


def stale_under(results: Path, metrics: Mapping[str, Metric] = METRICS) -> Stale:
    """Return what names the stale lines among records of a results folder."""
    vouched = read_vouched(results)

    def stale(records: Sequence[Record]) -> list[str]:
        return stale_lines(records, metrics, vouched)

    return stale
