"""Does today's code give the bits of the code that stored rows were made with? `bench vouch` replays trainings and says.

All of `digits` is replayed, and of each line of each other data set one training: the whole cell, with samples and scores, where that
takes no longer than asked, else its beginning, as far as it comes in that time. The digests of the weights after initialising, at each
stage's end and after each kept epoch, what validation images say of samples drawn there, the draws and the scores are compared bit for
bit with the rows. Only where everything that was replayed is equal, it is written to `results/equivalent.json` which code gives the bits
of which, by kind of model or metric and by data set, with the evidence; keys look through it.

What a replay cannot see: code that acts only later than the replay came, as a schedule that switches something on. Therefore a data set of
which only beginnings were replayed is vouched for where a training of the same kind was replayed to its end on another; a metric's code
where a whole cell of the data set was; the evidence says how far each came. A data set that was not replayed is not vouched for.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from genmodel_bench.cells.cell import Cell
from genmodel_bench.cells.recorded import same_cell
from genmodel_bench.data.dataset import Dataset
from genmodel_bench.data.registry import load
from genmodel_bench.errors import BenchError, DataMissing
from genmodel_bench.execution.context import Context
from genmodel_bench.execution.execute import run_cell
from genmodel_bench.execution.rows import measured
from genmodel_bench.metrics import METRICS
from genmodel_bench.models.base import Model
from genmodel_bench.storage import provenance
from genmodel_bench.storage.atomic import write_atomically
from genmodel_bench.storage.ingredients import (
    CODE,
    Equivalence,
    Vouched,
    code_digest,
    equivalences_as_text,
    equivalences_path,
    read_vouched,
)
from genmodel_bench.storage.record import Record, as_json
from genmodel_bench.storage.store import Store, read_results, sure
from genmodel_bench.training import loop
from genmodel_bench.training.checkpoint import weights_digest
from genmodel_bench.training.numerics import numerics
from genmodel_bench.training.seeding import fit_seed
from genmodel_bench.training.selection import checked

ALWAYS = "digits"
"""The data set of which every cell is replayed."""
MACHINE = {
    "device": "another device",
    "processor": "another processor",
    "versions": "other versions of packages",
    "dtype": "another number type",
}
"""The columns that have to be the same for bits to be, and what they are called."""

Change = tuple[str, str, str, str, str]
"""(kind of model or metric, data set, role of the code, digest before, digest now)."""


@dataclass(frozen=True)
class Said:
    """Something that was found: of what, whether it speaks for the code (None: neither for nor against), and in words."""

    what: str
    good: bool | None
    text: str


@dataclass
class Case:
    """A stored cell that other code has made than today's: its rows, its cell today, and what of the code has changed."""

    cell: Cell
    rows: list[Record]
    changes: set[Change]

    @property
    def name(self) -> str:
        """Return what the case is called."""
        return f"{self.cell.dataset} {self.rows[0].name} seed {self.cell.seed}"

    @property
    def seconds(self) -> float:
        """Return about how long it takes to make it again."""
        first = self.rows[0]
        scoring = {r.metric: r.score_seconds or 0.0 for r in self.rows}
        return (
            (first.fit_seconds or 0.0) + first.draws * (first.sample_seconds or 0.0) + sum(scoring.values())
        )

    @property
    def trace(self) -> dict[str, str]:
        """Return the digests of the weights by where they were taken, those of draws aside."""
        return {
            where: digest for where, digest in json.loads(self.rows[0].trace) if not where.startswith("draw ")
        }


@dataclass
class Evidence:
    """What the replays have shown so far."""

    whole: dict[Change, list[str]] = field(default_factory=dict)
    begun: dict[Change, list[str]] = field(default_factory=dict)
    parted: bool = False

    def add(self, case: Case, text: str, *, whole: bool) -> None:
        """Note that a replay of a case came out the same; of a beginning no metric was asked."""
        for change in case.changes:
            if whole or change[0] == case.cell.family:
                (self.whole if whole else self.begun).setdefault(change, []).append(text)

    def elsewhere(self, change: Change) -> list[str]:
        """Return what was replayed to its end of the same change on other data sets."""
        return [
            text
            for other, texts in self.whole.items()
            if (other[0], *other[2:]) == (change[0], *change[2:])
            for text in texts
        ]


def vouch(
    results: Path | str,
    *,
    evidence: Path | str | None = None,
    within: float = 60.0,
    data: Path | str | None = None,
    device: str = "auto",
) -> Iterator[Said]:
    """Yield what replaying says, and write to `results` what can be vouched for: nothing, if any bit differs.

    Rows are replayed that lie under `results`, and under `evidence` where that is given. `within`: seconds for each replay of what is not
    `digits`; the first kept epoch is reached whatever it takes. Raises BenchError where there is nothing to do.
    """
    results, where = Path(results), provenance.resolve_device(device)
    vouched = read_vouched(results)
    stored = cases(read_results(results), vouched)
    others = cases(read_results(Path(evidence)), vouched) if evidence else []
    if not stored and not others:
        raise DataMissing(
            f"vouch: no rows under {results} that other code has made; there is nothing to vouch for"
        )
    wanted = set().union(*(case.changes for case in stored or others))
    found = Evidence()
    for case in chosen([*stored, *others], within):
        yield from replayed(case, found, within=within, data=data, device=where)
    if found.parted:
        yield Said("vouch", False, "other bits: nothing is vouched for")
        return
    entries = []
    for change in sorted(wanted):
        text, lines = refusal(change, found)
        if text:
            yield Said(f"{change[0]} on {change[1]}, {change[2]}", False, text)
        else:
            entries.append(entry(change, lines, where))
    if entries:
        path = equivalences_path(results)
        write_atomically(path, equivalences_as_text([*vouched.entries, *entries]).encode())
        yield Said(
            "vouch",
            True,
            f"{len(entries)} pieces of code give the bits of those before them: written to {path}",
        )


def cases(records: Sequence[Record], vouched: Vouched) -> list[Case]:
    """Return the stored cells that differ from today's in nothing but code."""
    by_cell: dict[tuple[str, str], list[Record]] = {}
    for r in sure(records):
        if r.ok and r.role != "samples" and r.metric in METRICS:
            by_cell.setdefault((r.dataset, r.cell), []).append(r)
    found = []
    for rows in by_cell.values():
        cell = same_cell(rows[0], vouched)
        changes = None if cell is None or cell.id != rows[0].cell else changes_of(cell, rows, vouched)
        if cell and changes:
            found.append(Case(cell, rows, changes))
    return found


def changes_of(cell: Cell, rows: Sequence[Record], vouched: Vouched) -> set[Change] | None:
    """Return what of the code has changed since a cell's rows were made; None where anything else has."""
    found: set[Change] = set()
    for r in {r.metric: r for r in rows}.values():
        before = json.loads(r.ingredients)
        now = json.loads(as_json(cell.ingredients(r.metric, METRICS[r.metric])))
        for part, ingredients in now.items():
            of = r.metric if part == "score" else cell.family
            for name in vouched.changed(before.get(part, {}), ingredients):
                old, new = before.get(part, {}).get(name), ingredients.get(name)
                if not (name.startswith(CODE) and isinstance(old, dict) and isinstance(new, dict)):
                    return None
                found.add((of, cell.dataset, name, code_digest(old), code_digest(new)))
    return found


def chosen(every: Sequence[Case], within: float) -> list[Case]:
    """Return the cases to be replayed, cheapest first: all of digits, else one of each line and data set, with a trace if there is one."""
    picked: dict[tuple[str, ...], Case] = {}
    for case in sorted(every, key=lambda case: (not case.trace, case.seconds)):
        key = (case.cell.dataset, case.cell.id if case.cell.dataset == ALWAYS else case.rows[0].name)
        picked.setdefault((*key, *sorted(map(str, case.changes))), case)
    return sorted(picked.values(), key=lambda case: case.seconds)


def replayed(
    case: Case, found: Evidence, *, within: float, data: Path | str | None, device: torch.device
) -> Iterator[Said]:
    """Replay a case, whole or its beginning; yield what comes of it, and note it among the evidence."""
    first = case.rows[0]
    here = provenance.machine(device) | {"dtype": "float32"}
    differs = [name for column, name in MACHINE.items() if getattr(first, column) not in ("", here[column])]
    if differs:
        yield Said(
            case.name, None, f"not replayed: it was made with {' and '.join(differs)}, where bits may differ"
        )
        return
    whole = case.cell.dataset == ALWAYS or case.seconds <= within
    if not whole and not case.trace:
        yield Said(
            case.name, None, f"not replayed: it has no trace, and takes more than {within:g} s to its end"
        )
        return
    try:
        content = load(case.cell.dataset, root=data)
    except BenchError as error:
        yield Said(case.name, None, f"not replayed: {error}")
        return
    if content.digest != case.cell.dataset_digest:
        yield Said(case.name, None, "not replayed: the content of the data set differs")
        return
    start = time.monotonic()
    with threads(first.threads):
        try:
            text = (replay_whole if whole else replay_beginning)(
                case, content.to(device), device, start + within
            )
        except Parted as parted:
            if first.processor:
                found.parted = True
                yield Said(case.name, False, f"the bits part {parted}")
            else:
                yield Said(
                    case.name,
                    None,
                    f"the bits part {parted}; it may have been made on another processor: its row names none",
                )
            return
    text = f"{text}, equal to the last bit, in {time.monotonic() - start:.0f} s"
    found.add(case, f"{case.name}: {text}", whole=whole)
    yield Said(case.name, True, text)


class Parted(Exception):
    """Where the bits of a replay are others than those of the row, in words."""


class Enough(Exception):
    """The beginning that was asked for has been replayed."""


def replay_whole(case: Case, data: Dataset, device: torch.device, until: float) -> str:
    """Make a cell again from nothing, in a folder that is deleted afterwards; return what was equal. Raises Parted."""
    metrics = {r.metric: METRICS[r.metric] for r in case.rows}
    with tempfile.TemporaryDirectory(prefix="bench-vouch-") as folder:
        outcome = run_cell(case.cell, Context(data, Store(Path(folder), data.name), metrics, device))
    now = {(r.metric, r.quantity): r for r in outcome.records}
    trace = dict(json.loads(outcome.records[0].trace))
    before = dict(json.loads(case.rows[0].trace))
    for where, digest in before.items():
        if trace.get(where) != digest:
            raise Parted(f"at {where}: {digest} in the row, {trace.get(where, 'nothing')} now")
    for r in case.rows:
        new = now.get((r.metric, r.quantity))
        if new is None or new.weights != r.weights:
            raise Parted(
                f"in the weights: {r.weights} in the row, {new.weights if new else outcome.records[0].status} now"
            )
        if measured(new) != measured(r) or new.curves != r.curves:
            raise Parted(f"in {r.metric}, {r.quantity}: {r.value} in the row, {new.value} now")
    draws = sum(where.startswith("draw ") for where in before)
    return f"whole: {len(before) - draws or 1} digests of weights, {draws} of draws, {len(case.rows)} values"


def replay_beginning(case: Case, data: Dataset, device: torch.device, until: float) -> str:
    """Train a cell until the time is up, at least to the first kept epoch; return what was equal. Raises Parted."""
    cell, tracer = case.cell, Tracer(case, data, until)
    labels = data.labels["train"] if data.labels else None
    seed = fit_seed(cell.seed, cell.dataset, cell.family)
    try:
        with numerics(deterministic=cell.protocol.deterministic, precision=cell.protocol.precision):
            loop.fit(
                cell.config,
                data.train,
                labels,
                seed=seed,
                keeper=tracer,
                watch=tracer.watch,
                snapshot=tracer.check,
            )
    except Enough:
        pass
    return f"the beginning: {', '.join(tracer.seen)} of {list(case.trace)[-1]}, and {tracer.checks} checks of samples"


class Tracer:
    """Compares the weights of a training with a trace as it goes on, and keeps nothing (`genmodel_bench.training.loop.Keeper`)."""

    def __init__(self, case: Case, data: Dataset, until: float) -> None:
        self.cell, self.data, self.until = case.cell, data, until
        self.trace = case.trace
        self.by_epoch: dict[str, float] = json.loads(case.rows[0].curves).get("validation by epoch", {})
        self.seen: list[str] = []
        self.checks = 0

    def load(self, device: torch.device) -> None:
        """Return no state: training begins."""
        return None

    def save(self, position: int, state: Mapping[str, Any]) -> None:
        """Keep nothing."""

    def keep(self, model: Model, epoch: int) -> None:
        """Keep nothing."""

    def digest(self, model: Model, where: str) -> str:
        """Return the digest of the weights. Raises Parted where the trace has another one, Enough when the time is up."""
        digest = weights_digest(model)
        if where in self.trace:
            if digest != self.trace[where]:
                raise Parted(f"at {where}: {self.trace[where]} in the row, {digest} now")
            self.seen.append(where)
        return digest

    def check(self, model: Model, epoch: int) -> None:
        """Draw samples from the weights after an epoch and compare what validation images say of them. Raises Parted."""
        before = self.by_epoch.get(str(epoch))
        if before is not None:
            cell = self.cell
            now = checked(
                model, epoch, self.data.valid, base_seed=cell.seed, dataset=cell.dataset, family=cell.family
            ).value
            if now != before:
                raise Parted(f"in the samples after epoch {epoch}: {before} nats in the row, {now} now")
            self.checks += 1

    def watch(self, news: loop.Progress | loop.Epoch) -> None:
        """Stop when the time is up and an epoch or a stage was compared."""
        if time.monotonic() > self.until and any(where != "initialise" for where in self.seen):
            raise Enough


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Let torch compute with as many threads as a row was made with."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def refusal(change: Change, found: Evidence) -> tuple[str, list[str]]:
    """Return why a change is not vouched for, or '' and the evidence for it."""
    whole, begun, elsewhere = (
        found.whole.get(change, []),
        found.begun.get(change, []),
        found.elsewhere(change),
    )
    if whole or (begun and elsewhere):
        return "", list(dict.fromkeys([*whole, *begun, *elsewhere]))
    if begun and change[2] == CODE + "training loop":
        return "", begun
    if begun:
        return (
            "not vouched for: only the beginning of trainings was replayed, and what its code does later was not seen",
            [],
        )
    return "not vouched for: no row that the code before has made was replayed", []


def entry(change: Change, lines: Sequence[str], device: torch.device) -> Equivalence:
    """Return what is written of a change that is vouched for."""
    of, dataset, what, old, new = change
    here = provenance.machine(device)
    made = {
        "processor": here["processor"],
        "versions": here["versions"],
        "commit": here["commit"],
        "created": provenance.now(),
    }
    return Equivalence(of, dataset, what, old, new, tuple(lines), **made).sealed()
