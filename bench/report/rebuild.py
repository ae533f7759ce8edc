"""How do records become everything that is printed?

A pure function of the results folder: nothing is trained or scored.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from genmodel_bench.errors import BadRecords
from genmodel_bench.report.audit import broken_promises, judged
from genmodel_bench.report.examples import Examples, examples_of, keep_examples
from genmodel_bench.report.figures.audit import audit_of
from genmodel_bench.report.figures.charts import charts_of
from genmodel_bench.report.figures.figure import Figure, sweep
from genmodel_bench.report.figures.learning import learning_of
from genmodel_bench.report.figures.lines import lines_of
from genmodel_bench.report.figures.pictures import pictures_of
from genmodel_bench.report.figures.studies import draw_studies
from genmodel_bench.report.figures.summary import summary_of
from genmodel_bench.report.figures.theory import draw as draw_theory
from genmodel_bench.report.page.compare import comparison
from genmodel_bench.report.page.index import index
from genmodel_bench.report.page.page import page
from genmodel_bench.report.tables.audit import audit_as_markdown
from genmodel_bench.report.tables.columns import Declared, columns_of
from genmodel_bench.report.tables.render import LATEX_BEGINS, printed_views, to_csv, to_latex, to_markdown
from genmodel_bench.report.tables.table import Table, table1
from genmodel_bench.storage.atomic import remove, write_atomically
from genmodel_bench.storage.audited import read_audit
from genmodel_bench.storage.beside import with_beside
from genmodel_bench.storage.names import file_name, results_at
from genmodel_bench.storage.record import Record
from genmodel_bench.storage.store import Store, stores_of, sure
from genmodel_bench.storage.waiting import Say, held, in_silence

ALONE = "digits"
"""The data set for trying things out; it is in no table beside others.

So a first run in a clone changes no committed table.
"""

Stale = Callable[[Sequence[Record]], Sequence[str]]
"""Names those lines of a data set's records that today's code would not make."""


def none_stale(records: Sequence[Record]) -> Sequence[str]:
    """Return no name, where nobody knows today's code."""
    return ()


@dataclass(frozen=True)
class Today:
    """What today's code says of records.

    stale: which lines it would not make as they are.
    declared: how its metrics show their scores.
    """

    stale: Stale = none_stale
    declared: Declared = field(default_factory=dict)


NOTHING_KNOWN = Today()


def report(
    results: Path | str | None = None,
    *,
    figures: bool = True,
    today: Today = NOTHING_KNOWN,
    say: Say = in_silence,
) -> list[Path]:
    """Rebuild every table and figure under `results`; return the files written.

    Without `figures`, only the tables. For each data set the files are
    `results/<dataset>/table1.{csv,md,tex}`, the views of the table as `VIEW.tex`,
    `examples.safetensors`, `figures/` and `report.html`, a page with all of it; to these
    pages leads `results/index.html`.
    `results/table1.*` is over all data sets but digits, if there are several or the
    paper's MNIST; beside MNIST stands the paper's other data set, TFD. Stale lines bear a
    note. `say` is told which process is waited for, if one is.

    Raises:
        BadRecords: stored records are damaged; or those of the theory, and all that does
            not show these was made.
    """
    results = results_at(results)
    if not stores_of(results):
        return []
    with held(
        results / "report.lock", "writes tables and figures", say
    ):  # the next report waits, then reads the records
        return rebuild(results, figures=figures, today=today)


def rebuild(results: Path, *, figures: bool, today: Today = NOTHING_KNOWN) -> list[Path]:
    """Rebuild every table, and every figure if asked; the caller holds the lock."""
    theory: list[Figure] = []
    damaged: BadRecords | None = None
    if figures:
        try:
            theory = draw_theory(results)
            sweep(results / "theory", theory)
        except BadRecords as error:  # it is told at the end: no table depends on the theory
            damaged = error
    written = files_of(theory)
    everything: list[Record] = []
    outdated: set[tuple[str, str]] = set()
    examples: dict[str, Examples] = {}
    pages: dict[str, Table] = {}
    broken: dict[tuple[str, str], str] = {}
    for store in stores_of(results):
        own = store.records()
        records = with_beside(store, own)
        everything += records
        outdated |= {(store.dataset, name) for name in today.stale(own)}
        table, examples[store.dataset] = tabulated(store, records, today, stale=outdated)
        broken |= {} if store.dataset == ALONE else table.broken
        written += [*write_table(store.folder, table), *write_audit_table(store)]
        digest = next((r.dataset_digest for r in sure(own)), "")  # rows of another are doubted
        written += keep_examples(store, digest, examples[store.dataset], table.keys)
        if figures and records:
            written += illustrate(store, records, table, theory, examples[store.dataset])
            pages[store.folder.name] = table
        else:  # an existing page shows other rows
            remove(store.folder / "report.html")
    written += write_index(results, pages)
    together = [r for r in everything if r.dataset != ALONE]
    paper = any(r.dataset == "mnist" for r in together)
    if paper or len({r.dataset for r in together}) > 1:
        beside = ["tfd"] if paper else []
        table = table1(together, beside=beside, stale=outdated, declared=today.declared, examples=examples)
        table = replace(table, broken=broken)
        written += write_table(results, table)
    if damaged:
        raise damaged
    return written


def tabulated(
    store: Store, records: Sequence[Record], today: Today, stale: Collection[tuple[str, str]] = ()
) -> tuple[Table, Examples]:
    """Return the table of a data set's records, and the values by image behind it."""
    examples = examples_of(store, records, columns_of(records, today.declared))
    known = {store.dataset: examples}
    table = table1(records, stale=stale, declared=today.declared, examples=known)
    broken = broken_promises(store.folder, table.columns)
    return replace(table, broken={(store.dataset, title): text for title, text in broken.items()}), examples


def illustrate(
    store: Store, records: Sequence[Record], table: Table, theory: Sequence[Figure], examples: Examples
) -> list[Path]:
    """Draw the figures of a data set's records and write its page; return the files.

    theory: the figures that are of no data set, which are on every page.
    """
    figures = figures_of(store.folder, records, table, store.cache)
    studies = draw_studies(store.folder, store.cache)
    sweep(store.folder / "studies", studies)
    compared = comparison(table, records, examples, store.cache)
    path = store.folder / "report.html"
    write_atomically(
        path, page(store.dataset, table, records, [*figures, *studies, *theory], compared).encode()
    )
    return [*files_of(figures), *files_of(studies), path]


def figures_of(folder: Path, records: Sequence[Record], table: Table, cache: Path) -> list[Figure]:
    """Draw the figures of a data set's records; return those that there are.

    Figures of rows that no longer exist are deleted.
    """
    lines = lines_of(records, table.keys)
    place = folder / "figures"
    figures = [*summary_of(table, place), *charts_of(lines, table.columns, place)]
    figures += audit_of(" and ".join(table.datasets), judged(read_audit(folder)), place)
    for line in (line for line in lines if not line.records[0].shipped):
        figures += [*pictures_of(line, place, cache), *learning_of(line, place, cache)]
    sweep(place, figures)
    return figures


def write_index(results: Path, pages: Mapping[str, Table]) -> list[Path]:
    """Write the page that leads to all data sets' pages; delete it if there are none."""
    path = results / "index.html"
    if not pages:
        remove(path)
        return []
    write_atomically(path, index(pages).encode())
    return [path]


def files_of(figures: Iterable[Figure]) -> list[Path]:
    """Return the files of figures, two for each: PNG and PDF."""
    return [figure.path.with_suffix(suffix) for figure in figures for suffix in (".png", ".pdf")]


def write_audit_table(store: Store) -> list[Path]:
    """Write what an audit of a data set found, if there was one; return the file."""
    path, found = store.folder / "audit.md", judged(read_audit(store.folder))
    if not found:
        remove(path)
        return []
    write_atomically(path, audit_as_markdown(store.dataset, found).encode())
    return [path]


def write_table(folder: Path, table: Table) -> list[Path]:
    """Write a table as CSV and Markdown, each view of it as LaTeX; return the files."""
    texts = {"table1.csv": to_csv(table), "table1.md": to_markdown(table)}
    texts |= {f"{file_name(view)}.tex": to_latex(table, view) for view in printed_views(table)}
    for old in folder.glob("*.tex"):  # a view that no score names any more
        if (
            old.is_file()
            and old.name not in texts
            and LATEX_BEGINS in old.read_text(encoding="utf-8", errors="replace")
        ):
            old.unlink()
    for name, text in texts.items():
        write_atomically(folder / name, text.encode())
    return [folder / name for name in texts]
