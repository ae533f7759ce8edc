"""How is a run shown while it goes on: on a terminal, in a notebook, in a log?"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from genmodel_bench.cells.cell import Cell
from genmodel_bench.commands.bars import Bar, drawn
from genmodel_bench.commands.remaining import Estimate, in_words
from genmodel_bench.execution.listener import Listener, Silent
from genmodel_bench.execution.messages import News, Notice, Outcome, Waiting
from genmodel_bench.training.loop import Epoch
from genmodel_bench.training.loop import Progress as Position
from genmodel_bench.training.selection import Check
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.live import Live
from rich.segment import Segment
from rich.text import Text

KEPT = 40
"""Lines of finished cells and notices that a notebook shows."""

Draw = Callable[[str, int], RenderableType]
"""Draws the table of a data set for a width in columns."""


class Display(Silent):
    """Shows a run: live on a terminal or in a notebook, as lines in a log.

    It is entered with `with`. A terminal shows the table so far, a line about the whole
    run, and for each cell that runs a bar, a counter and an estimate. A log has one line
    for each finished cell and now and then one for a cell that runs.

    table: draws the table, which comes at the end too; None for none.
    """

    def __init__(self, console: Console, table: Draw | None = None) -> None:
        self.console, self.draw = console, table
        self.estimate = Estimate()
        self.bars: dict[Cell, Bar] = {}
        self.steps: Bar | None = None
        self.said: dict[Cell, float] = {}
        self.began = self.last_check = time.monotonic()
        self.what, self.total, self.dataset = "", 0, ""
        self.table: RenderableType | None = None
        # Under the lock a line is printed, or what stands below it changes: rich's own
        # refreshing, in a thread of its own, wipes out such a line now and then.
        self.live = Live(self, console=console, auto_refresh=False)
        self.lock, self.over = threading.RLock(), threading.Event()
        self.clock = threading.Thread(target=self.tick, daemon=True)
        self.page = Page() if console.is_jupyter else None

    def __enter__(self) -> Display:
        if self.console.is_terminal:
            self.live.__enter__()
            self.clock.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if self.console.is_terminal:
            self.over.set()
            self.clock.join()
            self.live.update(self.whole() if kind is None else Group(), refresh=True)
            self.live.__exit__(None, None, None)
        elif self.page:
            self.page.show([self.overall()], at_once=True)
        elif kind is None:
            self.console.print(self.whole())

    def tick(self) -> None:
        """Bring a terminal up to date four times a second."""
        while not self.over.wait(0.25):
            with self.lock:
                self.live.refresh()

    def doing(self, what: str) -> None:
        """Show what the command does, on a terminal or in a notebook."""
        with self.lock:
            self.what, self.steps = what, None
            self.refresh()

    def step(self, what: str, done: int, total: int) -> None:
        """Show what the command does, and a bar of the steps that are done."""
        with self.lock:
            self.what, self.steps = what, Bar("steps", done=done, total=total)
            self.refresh()

    def planned(self, cells: Sequence[Cell]) -> None:
        """Show how many cells there are."""
        with self.lock:
            self.total = len(cells)
            self.estimate.planned(cells)
            self.refresh()

    def started(self, cell: Cell) -> None:
        """Add a bar for a cell."""
        with self.lock:
            self.what = ""
            self.said[cell] = time.monotonic()
            self.estimate.started(cell)
            self.bars[cell] = Bar(short_title(cell))
            self.refresh()

    def news(self, cell: Cell, news: News) -> None:
        """Show the progress of a cell's training or sampling, a check or a notice."""
        with self.lock:
            if isinstance(news, Notice):
                self.say(f"{title(cell)}: {news.text}")
            else:
                self.take(cell, self.bars.setdefault(cell, Bar(short_title(cell))), news)
            self.refresh()

    def notice(self, text: str) -> None:
        """Print a notice that is of no single cell."""
        with self.lock:
            self.say(text)
            self.refresh()

    def take(self, cell: Cell, bar: Bar, news: News) -> None:
        """Note news of a cell in its bar; a log has some of them as lines."""
        match news:
            case Waiting(over):
                bar.stage, bar.total = "" if over else "waits for another cell's training", 0
            case Check(epoch, value):
                bar.check = f"{value:.1f} nats on validation images after epoch {epoch}"
                if self.is_log and time.monotonic() - self.last_check > 10:
                    self.last_check = time.monotonic()
                    self.say(f"{title(cell)} {bar.check}")
            case Epoch(stage, epoch, _):
                bar.epoch = f"epoch {epoch} of {stage} done"
            case Position(stage, done, total):
                bar.stage, bar.done, bar.total = stage, done, total
                self.estimate.progress(cell, done, total)
                if self.is_log and time.monotonic() - self.said.get(cell, 0.0) > 60:
                    self.said[cell] = time.monotonic()
                    self.say(f"{title(cell)} {stage}: step {done} of {total}")

    def finished(self, cell: Cell, outcome: Outcome) -> None:
        """Replace the bar of a cell with its line of results."""
        with self.lock:
            self.bars.pop(cell, None)
            self.dataset = cell.dataset
            self.estimate.ended(cell, reused=outcome.reused, stored=cost(outcome))
            if self.is_log:
                self.say(f"{line(cell, outcome)}{f' ({self.overall_text()})' if self.total else ''}")
            else:
                self.say(line(cell, outcome, brief=True))
            if self.console.is_terminal:
                self.table = self.whole()
            self.refresh()

    def ended(self, stale: Sequence[str]) -> None:
        """Name the lines of the table that are stale and should be run again."""
        with self.lock:
            self.what = ""
            if stale:
                self.say(
                    f"stale, made by other code or settings of a metric than today's: {', '.join(stale)}; "
                    "`bench run` makes them anew"
                )

    @property
    def is_log(self) -> bool:
        """Return whether what is shown cannot be changed afterwards."""
        return not self.console.is_terminal and self.page is None

    def say(self, text: str) -> None:
        """Print a line that stays."""
        if self.page:
            self.page.said.append(text)
        else:
            self.console.print(Text(text), soft_wrap=self.is_log)

    def refresh(self) -> None:
        """Bring a notebook up to date; a terminal is by its own clock."""
        if self.page:
            self.page.show(self.status(100))

    def whole(self) -> RenderableType:
        """Return the table of the records so far, with its footnotes."""
        return self.draw(self.dataset, self.console.width) if self.draw and self.dataset else Group()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield what a terminal shows: as much of the table as fits, and the status."""
        below = self.status(options.max_width, console.height // 2)
        if self.table is not None:
            lines = console.render_lines(self.table, options.update(height=None), pad=False)
            room = console.height - len(below) - 2
            hidden = len(lines) - room
            for segments in lines if hidden <= 0 else lines[: max(0, room - 1)]:
                yield from segments
                yield Segment.line()
            if hidden > 0:
                yield Text(f"… {hidden + 1} more lines of the table come at the end", style="dim")
        yield from below

    def status(self, width: int, height: int = 1000) -> list[Text]:
        """Return the lines about the whole run and about the cells that run."""
        bars = list(self.bars.items())
        for cell, bar in bars:
            bar.left = self.estimate.left_of(cell) if cell in self.estimate.running else None
        rows = drawn([*(bar for _, bar in bars), *([self.steps] if self.steps else [])], width)
        found = [self.overall(), *rows[: max(2, height - 1)]]
        for text in found:
            text.truncate(width, overflow="ellipsis")
        return found

    def overall(self) -> Text:
        """Return the line about the whole run."""
        return Text(f"{self.overall_text()}, {in_words(time.monotonic() - self.began)} so far")

    def overall_text(self) -> str:
        """Return how many cells are done, what is left, and what else is being done."""
        if not self.total:
            return self.what or "starting"
        done, left = self.estimate.finished, self.estimate.remaining()
        parts = [f"{done} of {self.total} cells done"]
        if left is not None:
            parts.append(f"{'perhaps' if left.guessed else 'about'} {in_words(left.seconds)} left")
        return ", ".join([*parts, self.what] if self.what else parts)


class Page:
    """The output of a notebook's cell, whose text changes while the run goes on.

    said: the lines that stay.
    """

    def __init__(self) -> None:
        self.said: list[str] = []
        self.handle: Any = None
        self.last = 0.0

    def show(self, status: Sequence[Text], *, at_once: bool = False) -> None:
        """Show the lines that stay and the status, at most twice a second."""
        if not at_once and self.handle and time.monotonic() - self.last < 0.5:
            return
        self.last = time.monotonic()
        content = {"text/plain": "\n".join([*self.said[-KEPT:], *(text.plain for text in status)])}
        if self.handle:
            self.handle.update(content, raw=True)
        else:
            show = import_module("IPython.display").display
            self.handle = show(content, raw=True, display_id=True)


@contextmanager
def heard(listener: Listener | None) -> Iterator[Listener]:
    """Yield the listener.

    Where it is None, that is a display in IPython or a notebook, else silence.
    """
    ipython = sys.modules.get("IPython")
    if listener is not None:
        yield listener
    elif ipython is not None and ipython.get_ipython() is not None:
        with Display(Console()) as display:
            yield display
    else:
        yield Silent()


def title(cell: Cell) -> str:
    """Return how a cell is named to the user: data set, model, options and seed."""
    return f"{cell.dataset} {short_title(cell)}"


def short_title(cell: Cell) -> str:
    """Return how a cell is named among those of one data set."""
    return f"{cell.model}{f' ({cell.variant})' if cell.variant else ''} seed {cell.seed}"


def cost(outcome: Outcome) -> float | None:
    """Return the seconds that rows say their cell took to train and score, if they do."""
    scored = {r.metric: r.score_seconds or 0.0 for r in outcome.records}
    fit = fit_seconds(outcome)
    return None if fit is None else fit + sum(scored.values())


def fit_seconds(outcome: Outcome) -> float | None:
    """Return the seconds of training; rows of metrics that do not apply say none."""
    return next((r.fit_seconds for r in outcome.records if r.fit_seconds is not None), None)


def line(cell: Cell, outcome: Outcome, *, brief: bool = False) -> str:
    """Return the line of a finished cell: each metric's headline score, or its status.

    Metrics that do not apply come last. brief: of those after the first only the ones
    that say more than a score.
    """
    parts: list[str] = []
    first = {r.metric: r for r in reversed(outcome.records)}
    metrics = dict.fromkeys(r.metric for r in outcome.records)
    for metric in sorted(metrics, key=lambda metric: first[metric].status.startswith("n/a")):
        r = first[metric]
        if brief and parts and (r.status == "ok" or r.status.startswith("n/a")):
            continue
        value = "" if r.value is None else f"{r.value:.4g} {r.unit}, ± {r.stderr:.2g} over {r.stderr_over}"
        chosen = json.loads(r.metric_settings)
        settings = f"(N = {r.samples}, σ = {chosen['sigma']:.4g})" if "sigma" in chosen else ""
        parts.append(
            " ".join(part for part in (metric, value, settings, "" if r.status == "ok" else r.status) if part)
        )
    seconds = fit_seconds(outcome)
    cost = (
        "reused"
        if outcome.reused
        else f"trained in {seconds:.1f} s"
        if seconds is not None
        else "not trained"
    )
    return f"{title(cell)}: {'; '.join(parts)} [{cost}]"
