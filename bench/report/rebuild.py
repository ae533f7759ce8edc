"""How do records become everything that is printed?

A pure function of the results folder: nothing is trained or scored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from filelock import FileLock
from genmodel_bench.report.figures.charts import charts_of
from genmodel_bench.report.figures.figure import Figure, sweep
from genmodel_bench.report.figures.learning import learning_of
from genmodel_bench.report.figures.lines import lines_of
from genmodel_bench.report.figures.pictures import pictures_of
from genmodel_bench.report.figures.theory import draw as draw_theory
from genmodel_bench.report.page.compare import comparison
from genmodel_bench.report.page.page import page
from genmodel_bench.report.tables.render import to_csv, to_latex, to_markdown
from genmodel_bench.report.tables.table import Table, table1
from genmodel_bench.storage.atomic import write_atomically
from genmodel_bench.storage.names import default_results
from genmodel_bench.storage.record import Record
from genmodel_bench.storage.store import Store, stores_of

ALONE = "digits"
"""The data set for trying things out; it is in no table beside others.

So a first run in a clone changes no committed table.
"""

Stale = Callable[[Sequence[Record]], Sequence[str]]
"""Names those lines of a data set's records that today's code would not make."""


def none_stale(records: Sequence[Record]) -> Sequence[str]:
    """Return no name, where nobody knows today's code."""
    return ()


def report(
    results: Path | str | None = None, *, figures: bool = True, stale: Stale = none_stale
) -> list[Path]:
    """Rebuild every table and figure under `results`; return the files written.

    Without `figures`, only the tables. For each data set the files are
    `results/<dataset>/table1.{csv,md,tex}`, `results/<dataset>/figures/` and
    `results/<dataset>/report.html`, a page with all of it. `results/table1.*` is over all
    data sets but digits, if there are several or the paper's MNIST; beside MNIST stands
    the paper's other data set, TFD. Lines that are `stale` bear a note.

    Raises:
        BadRecords: stored records, or those of the theory, are damaged.
    """
    results = Path(results or default_results())
    if not stores_of(results):
        return []
    with FileLock(results / "report.lock"):  # the next report waits, then reads the records
        return rebuild(results, figures=figures, stale=stale)


def rebuild(results: Path, *, figures: bool, stale: Stale = none_stale) -> list[Path]:
    """Rebuild every table, and every figure if asked; the caller holds the lock."""
    theory = draw_theory(results) if figures else []
    if figures:
        sweep(results / "theory", theory)
    written = files_of(theory)
    everything: list[Record] = []
    outdated: set[tuple[str, str]] = set()
    for store in stores_of(results):
        records = store.records()
        everything += records
        outdated |= {(store.dataset, name) for name in stale(records)}
        table = table1(records, stale=outdated)
        written += write_table(store.folder, table)
        if figures and records:
            written += illustrate(store, records, table, theory)
        else:  # an existing page shows other rows
            (store.folder / "report.html").unlink(missing_ok=True)
    together = [r for r in everything if r.dataset != ALONE]
    paper = any(r.dataset == "mnist" for r in together)
    if paper or len({r.dataset for r in together}) > 1:
        written += write_table(results, table1(together, beside=["tfd"] if paper else [], stale=outdated))
    return written


def illustrate(store: Store, records: Sequence[Record], table: Table, theory: Sequence[Figure]) -> list[Path]:
    """Draw the figures of a data set's records and write its page; return the files."""
    figures = figures_of(store.folder, records, store.cache)
    shown = [figure for figure in [*figures, *theory] if not figure.wide]
    path = store.folder / "report.html"
    write_atomically(
        path, page(store.dataset, table, records, shown, comparison(records, store.cache)).encode()
    )
    return [*files_of(figures), path]


def figures_of(folder: Path, records: Sequence[Record], cache: Path) -> list[Figure]:
    """Draw the figures of a data set's records; return those that there are.

    Figures of rows that no longer exist are deleted.
    """
    lines = lines_of(records)
    place = folder / "figures"
    figures = [*charts_of(lines, place)]
    for line in lines:
        figures += [*pictures_of(line, place, cache), *learning_of(line, place, cache)]
    sweep(place, figures)
    return figures


def files_of(figures: Iterable[Figure]) -> list[Path]:
    """Return the files of figures, two for each: PNG and PDF."""
    return [figure.path.with_suffix(suffix) for figure in figures for suffix in (".png", ".pdf")]


def write_table(folder: Path, table: Table) -> list[Path]:
    """Write a table as CSV, Markdown and LaTeX; return the files."""
    written = []
    for suffix, render in (("csv", to_csv), ("md", to_markdown), ("tex", to_latex)):
        written.append(folder / f"table1.{suffix}")
        write_atomically(written[-1], render(table).encode())
    return written
