"""What does the terminal show: progress, the table so far, scores, findings and lists?"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from genmodel_bench.cells.cell import Cell
from genmodel_bench.commands.check import Verdict
from genmodel_bench.commands.report import table_of
from genmodel_bench.commands.why import Part
from genmodel_bench.execution.listener import Silent
from genmodel_bench.execution.messages import News, Notice, Outcome, Waiting
from genmodel_bench.metrics import METRICS
from genmodel_bench.metrics.column import columns_of
from genmodel_bench.report.tables.columns import COST, TABLE1, TOTAL, UNCERTAINTY, Column
from genmodel_bench.report.tables.render import letter, printed
from genmodel_bench.report.tables.table import Table
from genmodel_bench.storage.finding import Finding
from genmodel_bench.storage.ingredients import CODE, code_digest
from genmodel_bench.storage.store import Store
from genmodel_bench.training.loop import Progress as Position
from genmodel_bench.training.selection import Check
from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.live import Live
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table as Grid
from rich.text import Text


class Display:
    """Shows a run: live on a terminal; elsewhere, as in a log, one line for each cell.

    The table comes at the end.
    """

    def __init__(self, results: Path) -> None:
        self.console = terminal()
        self.results = results
        self.store: Store | None = None
        columns = [
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        ]
        self.bars = Progress(*columns, console=self.console)
        self.tasks: dict[Cell, Any] = {}
        self.checks: dict[Cell, str] = {}
        self.live = Live(Group(self.bars), console=self.console, auto_refresh=True, refresh_per_second=4)
        self.last: dict[Cell, float] = {}
        self.last_check = time.monotonic()

    def __enter__(self) -> Display:
        if self.console.is_terminal:
            self.live.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if self.console.is_terminal:
            self.live.update(self.table() if kind is None else Group(self.bars), refresh=True)
            self.live.__exit__(None, None, None)
        elif kind is None:
            self.console.print(self.table())

    def started(self, cell: Cell) -> None:
        """Add a progress bar for a cell."""
        self.last[cell] = time.monotonic()
        self.tasks[cell] = self.bars.add_task(title(cell), total=None)

    def news(self, cell: Cell, news: News) -> None:
        """Show the progress of a cell's training or sampling, a check or a notice."""
        match news:
            case Notice(text):
                self.console.print(Text(f"{title(cell)}: {text}"), soft_wrap=True)
            case Waiting(over):
                self.progress(cell, Position("" if over else "waits for another cell's training", 0, 1))
            case Check(epoch, value):
                self.checks[cell] = f"epoch {epoch}: {value:.1f} nats on validation images"
                if not self.console.is_terminal and time.monotonic() - self.last_check > 10:
                    self.last_check = time.monotonic()
                    self.console.print(Text(f"{title(cell)} {self.checks[cell]}"), soft_wrap=True)
            case Position():
                self.progress(cell, news)

    def progress(self, cell: Cell, progress: Position) -> None:
        """Update a cell's bar, at most 5 times a second; or log a line a minute."""
        if (
            time.monotonic() - self.last[cell] < (0.2 if self.console.is_terminal else 60)
            and progress.done < progress.total
        ):
            return
        self.last[cell] = time.monotonic()
        name = f"{title(cell)} {progress.stage}"
        said = f"{name} ({self.checks[cell]})" if cell in self.checks else name
        self.bars.update(self.tasks[cell], description=said, completed=progress.done, total=progress.total)
        if not self.console.is_terminal and progress.done < progress.total:
            self.console.print(Text(f"{name}: step {progress.done} of {progress.total}"), soft_wrap=True)

    def finished(self, cell: Cell, outcome: Outcome) -> None:
        """Replace the bar of a cell with its line of results."""
        self.store = self.store or Store(self.results, cell.dataset)
        if cell in self.tasks:
            self.bars.remove_task(self.tasks.pop(cell))
        self.console.print(Text(line(cell, outcome)), soft_wrap=True)
        if self.console.is_terminal:
            self.live.update(Group(self.table(), self.bars))

    def ended(self, stale: Sequence[str]) -> None:
        """Name the lines of the table that are stale and should be run again."""
        if stale:
            text = (
                f"stale, made by other code or settings of a metric than today's: {', '.join(stale)}; "
                "`bench run` makes them anew"
            )
            self.console.print(Text(text), soft_wrap=True)

    def table(self) -> Group:
        """Return the table of the records so far, with its footnotes."""
        return grid(table_of(self.store), self.console.width) if self.store else Group()


class Lines(Silent):
    """Prints one line on stderr for each finished cell."""

    def finished(self, cell: Cell, outcome: Outcome) -> None:
        """Print the scores of a cell, or why it failed."""
        Console(stderr=True).print(Text(line(cell, outcome)), soft_wrap=True)


def terminal() -> Console:
    """Return the console; a log or pipe counts as one of 160 columns."""
    console = Lasting()
    return console if console.is_terminal else Lasting(width=160)


class Lasting(Console):
    """A console whose pipe may close, as with `head`: the computation continues."""

    def on_broken_pipe(self) -> None:
        """Stop printing, and send stdout to the null device."""
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def title(cell: Cell) -> str:
    """Return how a cell is named to the user: data set, model, options and seed."""
    return f"{cell.dataset} {cell.model}{f' ({cell.variant})' if cell.variant else ''} seed {cell.seed}"


def line(cell: Cell, outcome: Outcome) -> str:
    """Return the line of a finished cell: each metric's headline score, or its status."""
    parts = []
    for metric in dict.fromkeys(r.metric for r in outcome.records):
        r = next(r for r in outcome.records if r.metric == metric)
        value = "" if r.value is None else f"{r.value:.4g} {r.unit}, ± {r.stderr:.2g} over {r.stderr_over}"
        chosen = json.loads(r.metric_settings)
        settings = f"(N = {r.samples}, σ = {chosen['sigma']:.4g})" if "sigma" in chosen else ""
        parts.append(
            " ".join(part for part in (metric, value, settings, "" if r.status == "ok" else r.status) if part)
        )
    seconds = outcome.records[0].fit_seconds
    cost = (
        "reused"
        if outcome.reused
        else f"trained in {seconds:.1f} s"
        if seconds is not None
        else "not trained"
    )
    return f"{title(cell)}: {'; '.join(parts)} [{cost}]"


def grid(table: Table, width: int) -> Group:
    """Return a table and its footnotes for a terminal of `width` columns.

    Numbers are never cut; columns that do not fit are left out, the least important
    first.
    """
    if table.numbers.empty:
        return Group()
    columns = [column for column in table.columns if table.has(column)]
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
    return Group(drawn, *(Text(f"({letter(i)}) {note}") for i, note in enumerate(table.footnotes)))


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
    for name, metric in found["metrics"].items():
        if metric["value"] is None:
            console.print(Text(f"{name}: {metric['status']}"))
            continue
        shown = {k: c.title for k, c in columns_of(METRICS[name]).items()} if name in METRICS else {}
        notes = [f"N = {found['n']}"]
        notes += [f"{shown.get(k, k)} {metric[k]:.4g}" for k in ("sigma", *shown) if k in metric]
        console.print(
            Text(
                f"{name}: {metric['value']:.2f} ± {metric['stderr']:.2g} {metric['unit']} "
                f"over {metric['stderr_over']}, {', '.join(notes)}; {metric['status']}"
            )
        )
    console.print(grid(table_of(Store(results, found["dataset"])), console.width))


def print_preview(cells: Iterable[tuple[Cell, str]]) -> None:
    """Print the cells of a run, and what exists of each."""
    for cell, state in cells:
        Console().print(Text(f"{cell.id} {title(cell)}: {state}"), soft_wrap=True)


def print_verdicts(verdicts: Sequence[Verdict]) -> None:
    """Print the verdicts of `bench check`, one row for each line of the table."""
    console = terminal()
    drawn = Grid(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for name in ("line", "before", "now", "change", "would count", "finding", "why"):
        drawn.add_column(
            name,
            justify="right" if name in ("before", "now", "change", "would count") else "left",
            overflow="fold",
        )
    for v in verdicts:
        change = None if v.now is None or v.before is None else v.now - v.before
        numbers = [
            "–" if x is None else f"{x:.{digits}f}"
            for x, digits in ((v.before, 2), (v.now, 2), (change, 3), (v.threshold, 3))
        ]
        drawn.add_row(*(Text(cell) for cell in (v.line, *numbers, v.finding, v.reason)))
    console.print(drawn)


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
            values = [
                code_digest(value) if name.startswith(CODE) and isinstance(value, dict) else value
                for value in both
            ]
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


def print_registry(kind: str) -> None:
    """Print each name of a registry, what it is, and its settings if it has some."""
    from genmodel_bench.data.registry import DATASETS
    from genmodel_bench.models import MODELS

    console = Console()
    if kind == "datasets":
        for name, function in [*DATASETS.items(), ("folder:PATH", None)]:
            doc = (
                getattr(function, "func", function).__doc__
                if function
                else "Any folder of images of one size."
            )
            console.print(Text(f"{name:15} {doc.splitlines()[0] if doc else ''}"), soft_wrap=True)
        return
    registry: dict[str, Any] = dict(MODELS) if kind == "models" else dict(METRICS)
    for name, entry in registry.items():
        console.print(Text(f"{name:12} {(type(entry).__doc__ or '').splitlines()[0]}"), soft_wrap=True)
        for field in fields(entry):
            if field.name != "needs":
                console.print(Text(f"{'':14} {field.name} = {getattr(entry, field.name)}"), soft_wrap=True)
