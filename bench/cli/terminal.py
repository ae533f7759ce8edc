"""What does the terminal show: tables, scores, verdicts, findings and lists?

Progress is shown by `commands/display.py`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from genmodel_bench.cells.cell import Cell
from genmodel_bench.commands.display import Display, title
from genmodel_bench.commands.report import table_of
from genmodel_bench.commands.why import Part
from genmodel_bench.inputs.objects import installed
from genmodel_bench.metrics import METRICS
from genmodel_bench.metrics.column import declared
from genmodel_bench.report.compare import Difference
from genmodel_bench.report.tables.columns import COST, TABLE1, TOTAL, UNCERTAINTY, Column
from genmodel_bench.report.tables.render import MARKED, lettered, printed
from genmodel_bench.report.tables.table import Table
from genmodel_bench.report.verdicts import Verdict, notes_on
from genmodel_bench.storage.finding import Finding
from genmodel_bench.storage.ingredients import code_digest, is_code
from genmodel_bench.storage.store import Store
from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.table import Table as Grid
from rich.text import Text


def display(results: Path) -> Display:
    """Return what shows `bench run` on stdout, with the table of its records."""

    def drawn(dataset: str, width: int) -> Group:
        return grid(table_of(Store(results, dataset)), width)

    return Display(terminal(), drawn)


def progress() -> Display:
    """Return what shows the cells and steps of another command, on stderr."""
    return Display(terminal(stderr=True))


def terminal(*, stderr: bool = False) -> Console:
    """Return the console; a log or pipe counts as one of 160 columns."""
    console = Lasting(stderr=stderr)
    return console if console.is_terminal else Lasting(stderr=stderr, width=160)


class Lasting(Console):
    """A console whose pipe may close, as with `head`: the computation continues."""

    def on_broken_pipe(self) -> None:
        """Stop printing, and send stdout, or stderr, to the null device."""
        self.quiet = True
        closed = sys.stderr if self.stderr else sys.stdout
        os.dup2(os.open(os.devnull, os.O_WRONLY), closed.fileno())


def grid(table: Table, width: int) -> Group:
    """Return a table and its footnotes for a terminal of `width` columns.

    Numbers are never cut; columns that do not fit are left out, the least important
    first.
    """
    if table.numbers.empty:
        return Group()
    columns = table.filled
    shown = printed(table, columns, lambda text: text, lambda marks: f" ({marks})")
    widths = {name: max(len(name), *(len(cell) for cell in shown[name])) for name in shown.columns}
    titles = dict(zip(shown.columns[1:], columns, strict=True))
    for name in reversed(sorted(titles, key=lambda name: importance(titles[name]))):
        if sum(widths.values()) + 2 * len(widths) > width:  # two spaces to each column
            widths.pop(name)
    drawn = Grid(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for name in widths:
        drawn.add_column(Text(name), justify="left" if name == "model" else "right", no_wrap=True)
    for _, row in shown.iterrows():
        drawn.add_row(*(Text(row[name]) for name in widths))
    marked = any(
        titles[name].title == title for name in widths if name in titles for _, title, _ in table.marks
    )
    return Group(drawn, *map(Text, [*([MARKED] if marked else []), *lettered(table)]))


def importance(column: Column) -> int:
    """Return the place of a column among those that a terminal shows: scores first."""
    if column.is_score:
        return 0 if column.view == TABLE1 else 2
    if column == TOTAL:
        return 1
    return {TABLE1: 3, UNCERTAINTY: 5, COST: 6}.get(column.view, 4)


def print_scores(found: dict[str, Any], results: Path) -> None:
    """Print the scores of a user's samples, then the table that they are in."""
    console = terminal()
    if found["reused"]:
        console.print(Text(f"{found['name']}: these very samples were scored before; nothing to do"))
    for name, metric in found["metrics"].items():
        console.print(Text(score_line(name, metric, found)))
    console.print(grid(table_of(Store(results, found["dataset"])), console.width))


def score_line(name: str, metric: dict[str, Any], found: dict[str, Any]) -> str:
    """Return the line of one metric's scores of a user's samples."""
    if metric["value"] is None:
        return f"{name}: {metric['status']}"
    columns = declared(METRICS[name]) if name in METRICS else {}
    values = {c.title: metric[k] * c.factor for k, c in columns.items() if metric.get(k) is not None}
    values = {"sigma": metric.get("sigma"), **values}
    notes = [f"{k} = {metric[k]}" for k in ("N", "k") if k in metric] or [f"N = {found['n']}"]
    notes += [f"{found[what]} {what}" for what in ("seeds", "draws") if found[what] > 1]
    notes += [f"{title} {number}" for title, value in values.items() if (number := in_short(value))]
    error = metric.get("total", metric["stderr"])
    over = f"{metric['stderr_over']}{' and seeds' if 'total' in metric else ''}"
    value = metric["value"]
    shown_value = f"{value:.2f}" if abs(value) >= 1 else f"{value:.3g}"
    return (
        f"{name}: {shown_value} ± {error:.2g} {metric['unit']} over {over}, "
        f"{', '.join(notes)}; {metric['status']}"
    )


def in_short(value: Any) -> str:
    """Return a number, or the range of several, with four significant digits."""
    values = [v for v in (value if isinstance(value, list) else [value]) if v is not None]
    texts = list(dict.fromkeys(f"{v:.4g}" for v in sorted(values)))
    return texts[0] if len(texts) == 1 else f"{texts[0]} to {texts[-1]}" if texts else ""


def print_preview(cells: Iterable[tuple[Cell, str]]) -> None:
    """Print the cells of a run, and what exists of each."""
    for cell, state in cells:
        Console().print(Text(f"{cell.id} {title(cell)}: {state}"), soft_wrap=True)


def print_pairs(dataset: str, column: Column, pairs: Sequence[Difference]) -> None:
    """Print how far rows differ in a score, and what follows for each pair."""
    console = terminal()
    console.print(Text(f"{column.title} {column.arrow} on {dataset}: {column.says}"), soft_wrap=True)
    for pair in pairs:
        console.print(Text(f"- {pair.sentence}"), soft_wrap=True)


def print_verdicts(verdicts: Sequence[Verdict]) -> None:
    """Print the verdicts of `bench check`: a row for each line of the table, then why."""
    console = terminal()
    console.print(verdict_grid(verdicts))
    for text in notes_on(verdicts):
        console.print(Text(text), soft_wrap=not console.is_terminal)


def verdict_grid(verdicts: Sequence[Verdict]) -> Grid:
    """Return the table of verdicts, in which only names of lines are folded."""
    drawn = Grid(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    drawn.add_column("line", overflow="fold")
    for name in ("before", "now", "change", "would count"):
        drawn.add_column(name, justify="right", no_wrap=True)
    drawn.add_column("finding", no_wrap=True)
    for v in verdicts:
        change = None if v.now is None or v.before is None else v.now - v.before
        shown = ((v.before, 2), (v.now, 2), (change, 3), (v.threshold, 3))
        numbers = ["–" if x is None else f"{x:.{digits}f}" for x, digits in shown]
        if v.finding == "cannot tell":
            numbers[-1] = "?"
        drawn.add_row(*(Text(cell) for cell in (v.line, *numbers, v.finding)))
    return drawn


def print_parts(cell: Cell, parts: Sequence[Part]) -> None:
    """Print what a cell depends on, part by part, and what has changed since."""
    console = terminal()
    console.print(Text(f"{title(cell)}: cell {cell.id}"), soft_wrap=True)
    for part in parts:
        console.print(Text(f"\n{part.name}: {part.verdict}"), soft_wrap=True)
        drawn = Grid(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
        for name in ("ingredient", *(("when made",) if part.before else ()), "now", ""):
            drawn.add_column(name, overflow="fold")
        for name in dict.fromkeys([*part.now, *part.before]):
            both = [part.before.get(name, "–"), part.now.get(name, "–")] if part.before else [part.now[name]]
            values = [code_digest(value) if is_code(name, value) else value for value in both]
            mark = "changed" if name in part.changed else ""
            drawn.add_row(*(Text(str(text)) for text in (name, *values, mark)))
        console.print(drawn)


def print_findings(findings: Iterable[Finding]) -> bool:
    """Print what `verify` or `vouch` finds; return whether nothing is wrong."""
    console, good = terminal(), True
    for finding in findings:
        mark = {True: "good", False: "BAD", None: "-"}[finding.good]
        console.print(Text(f"{mark}: {finding.what}: {finding.text}"), soft_wrap=True)
        good = good and finding.good is not False
    return good


def print_models(dataset: str) -> None:
    """Print what `run --all` would run on a data set, and each model's settings there.

    Settings that differ from the usual ones are followed by these.

    Raises:
        UnknownName: there is no such data set.
    """
    from genmodel_bench.cells.plan import meant_for
    from genmodel_bench.data.registry import check_known
    from genmodel_bench.models import MODELS, settings_for

    check_known(dataset)
    console = Console()
    for name, usual in MODELS.items():
        left_out = "" if meant_for(name, dataset) else restriction(usual)
        console.print(Text(f"{name:12} {said_of(usual)}{left_out}"), soft_wrap=True)
        config = settings_for(name, dataset)
        for field in fields(config):
            value, elsewhere = getattr(config, field.name), getattr(usual, field.name)
            instead = f" (usually {elsewhere})" if value != elsewhere else ""
            console.print(Text(f"{'':14} {field.name} = {value}{instead}"), soft_wrap=True)


def said_of(entry: object) -> str:
    """Return the first line of what an entry of a registry says of itself."""
    return (type(entry).__doc__ or "").partition("\n")[0]


def restriction(entry: object) -> str:
    """Return on which data sets alone `run --all` runs a model; nothing if on all."""
    only = getattr(entry, "ONLY", ())
    return f" [with --all on {', '.join(only)} alone]" if only else ""


def print_registry(kind: str) -> None:
    """Print each name of a registry, what it is, and its settings if it has some."""
    from genmodel_bench.data.registry import DATASETS, FORMS
    from genmodel_bench.models import MODELS

    console = Console()
    if kind == "datasets":
        said = {name: getattr(load, "func", load).__doc__ or "" for name, load in DATASETS.items()}
        said |= {form.written: form.says for form in FORMS.values()}
        said["module:function"] = "What a function of yours returns, as mylab.data:load."
        for name, doc in said.items():
            sentence = doc.partition("\n")[0]
            console.print(Text(f"{name:18} {sentence}"), soft_wrap=True)
        print_installed(console, installed("datasets"), DATASETS)
        return
    registry: dict[str, Any] = dict(MODELS) if kind == "models" else dict(METRICS)
    theirs = installed("models" if kind == "models" else "metrics")
    for name, entry in registry.items():
        console.print(Text(f"{name:12} {said_of(entry)}{restriction(entry)}"), soft_wrap=True)
        for field in fields(entry):
            if field.name != "needs":
                console.print(Text(f"{'':14} {field.name} = {getattr(entry, field.name)}"), soft_wrap=True)
    print_installed(console, theirs, registry)


def print_studies() -> None:
    """Print each study with its question."""
    from genmodel_bench.studies import STUDIES

    said = {name: study.question for name, study in STUDIES.items()}
    said["theory"] = "does training end where the theory says, in one dimension? (the paper's Figure 1)"
    for name, question in said.items():
        Console().print(Text(f"{name:18} {question}"), soft_wrap=True)


def print_installed(console: Console, theirs: Mapping[str, str], ours: Container[str]) -> None:
    """Print what installed packages offer by entry points, which is not imported."""
    for name, spec in theirs.items():
        hidden = ", hidden: the name is one of this project's" if name in ours else ""
        console.print(Text(f"{name:12} {spec} of an installed package{hidden}"), soft_wrap=True)
