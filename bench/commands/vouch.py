"""Does today's code give the same bits as the code that made the stored rows?

`bench vouch` replays trainings to find out: every cell of `digits`, and one of each line
of the other data sets. A cell is replayed whole, with samples and scores, if it is of
`digits` or takes no longer than `within`; else its beginning, as far as it comes in that
time. Compared with the rows, bit for bit, are the digests of the weights after
initialising, at the end of each stage and after each kept epoch, the validation scores of
samples drawn there, the draws, and the scores. Only if all that was replayed is equal,
`results/equivalent.json` records which code gives the bits of which, by kind of model or
metric and by data set, with the evidence. Keys are then computed as if the code had not
changed.

A replay misses code that acts only later than the replay came, such as a schedule that
starts late. Therefore a data set of which only beginnings were replayed is vouched for
only if a training of the same kind was replayed to its end on another one; a metric's
code, only if a whole cell of the data set was. The evidence says how far each replay
came. A data set that was not replayed is not vouched for.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch
from genmodel_bench.cells.catalogue import metric_of
from genmodel_bench.cells.cell import Cell
from genmodel_bench.cells.recorded import same_cell
from genmodel_bench.data.registry import load
from genmodel_bench.errors import BenchError, DataMissing
from genmodel_bench.execution.replay import Case, Change, Parted, replay_beginning, replay_whole
from genmodel_bench.storage import provenance
from genmodel_bench.storage.atomic import write_atomically
from genmodel_bench.storage.finding import Finding
from genmodel_bench.storage.ingredients import (
    CODE,
    Equivalence,
    Vouched,
    code_digest,
    equivalences_as_text,
    equivalences_path,
    read_vouched,
)
from genmodel_bench.storage.names import in_home, results_at
from genmodel_bench.storage.plain import as_json
from genmodel_bench.storage.record import Record
from genmodel_bench.storage.store import read_results, sure

ALWAYS = "digits"
"""The data set of which every cell is replayed."""
MACHINE = {
    "device": "another device",
    "processor": "another processor",
    "versions": "other versions of packages",
    "dtype": "another number type",
}
"""The columns that must be equal for bits to be equal, and the text if one is not."""


@dataclass
class Evidence:
    """What the replays have shown so far.

    whole, begun: by change, the replays that were equal, of a whole cell or a beginning.
    parted: whether any replay differed.
    """

    whole: dict[Change, list[str]] = field(default_factory=dict)
    begun: dict[Change, list[str]] = field(default_factory=dict)
    parted: bool = False

    def add(self, case: Case, text: str, *, whole: bool) -> None:
        """Add a replay of a case that was equal.

        A beginning is no evidence for the code of a metric, as no metric was computed.
        """
        for change in case.changes:
            if whole or change[0] == case.cell.family:
                (self.whole if whole else self.begun).setdefault(change, []).append(text)

    def elsewhere(self, change: Change) -> list[str]:
        """Return the whole replays of the same change, on any data set."""
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
) -> Iterator[Finding]:
    """Yield the findings of the replays, and write to `results` what can be vouched for.

    Nothing is written if any bit differs. The rows under `results` are replayed, and
    those under `evidence` if it is given.

    within: seconds for each replay of a data set other than `digits`; but the first kept
        epoch is always reached.

    Raises:
        DataMissing: no rows were made by other code than today's.
        BenchError: the records are damaged, or there is no such device.
    """
    results, where = results_at(results), provenance.resolve_device(device)
    vouched = read_vouched(results)
    stored = cases(read_results(results), vouched)
    others = cases(read_results(in_home(evidence)), vouched) if evidence else []
    if not stored and not others:
        raise DataMissing(
            f"vouch: no rows under {results} that other code has made; there is nothing to vouch for"
        )
    wanted = set().union(*(case.changes for case in stored or others))
    found = Evidence()
    for case in chosen([*stored, *others], where):
        yield from replayed(case, found, within=within, data=data, device=where)
    if found.parted:
        yield Finding("vouch", False, "other bits: nothing is vouched for")
        return
    entries = []
    for change in sorted(wanted):
        text, lines = refusal(change, found)
        if text:
            yield Finding(f"{change[0]} on {change[1]}, {change[2]}", False, text)
        else:
            entries.append(entry(change, lines, where))
    if entries:
        path = equivalences_path(results)
        write_atomically(path, equivalences_as_text([*vouched.entries, *entries]).encode())
        yield Finding(
            "vouch",
            True,
            f"{len(entries)} pieces of code give the bits of those before them: written to {path}",
        )


def cases(records: Sequence[Record], vouched: Vouched) -> list[Case]:
    """Return the stored cells that differ from today's only in code."""
    by_cell: dict[tuple[str, str], list[Record]] = {}
    for r in sure(records):
        if r.ok and r.role != "samples" and metric_of(r):
            by_cell.setdefault((r.dataset, r.cell), []).append(r)
    found = []
    for rows in by_cell.values():
        cell = same_cell(rows[0], vouched)
        changes = None if cell is None or cell.id != rows[0].cell else changes_of(cell, rows, vouched)
        if cell and changes:
            found.append(Case(cell, rows, changes))
    return found


def changes_of(cell: Cell, rows: Sequence[Record], vouched: Vouched) -> set[Change] | None:
    """Return the changes of the code since a cell's rows were made.

    None if anything else has changed.
    """
    found: set[Change] = set()
    for r in {r.metric: r for r in rows}.values():
        before = json.loads(r.ingredients)
        metric = metric_of(r)
        if metric is None:
            return None
        now = json.loads(as_json(cell.ingredients(r.metric, metric)))
        for part, ingredients in now.items():
            of, made = r.metric if part == "score" else cell.family, before.get(part, {})
            # Rows made by any code with the same bits are evidence for one another.
            first = vouched.settled(made)
            for name in vouched.changed(made, ingredients):
                old, new = made.get(name), ingredients.get(name)
                if not (name.startswith(CODE) and isinstance(old, dict) and isinstance(new, dict)):
                    return None
                found.add((of, cell.dataset, name, first[name], code_digest(new)))
    return found


def chosen(every: Sequence[Case], device: torch.device) -> list[Case]:
    """Return the cases to replay, cheapest first.

    All of `digits`; else one for each data set, line and set of changes: made on a
    machine like this one and with a trace, if there is one.
    """
    picked: dict[tuple[str, ...], Case] = {}
    for case in sorted(every, key=lambda case: (unlike(case, device), not case.trace, case.seconds)):
        key = (case.cell.dataset, case.cell.id if case.cell.dataset == ALWAYS else case.rows[0].name)
        picked.setdefault((*key, *sorted(map(str, case.changes))), case)
    return sorted(picked.values(), key=lambda case: case.seconds)


def unlike(case: Case, device: torch.device) -> list[str]:
    """Return in words what differs between this machine and the one that made a case."""
    first, here = case.rows[0], provenance.machine(device) | {"dtype": "float32"}
    return [name for column, name in MACHINE.items() if getattr(first, column) not in ("", here[column])]


def replayed(
    case: Case, found: Evidence, *, within: float, data: Path | str | None, device: torch.device
) -> Iterator[Finding]:
    """Replay a case, whole or its beginning; yield the finding.

    An equal replay is added to `found`, and a difference is noted there.
    """
    first = case.rows[0]
    differs = unlike(case, device)
    if differs:
        yield Finding(
            case.name, None, f"not replayed: it was made with {' and '.join(differs)}, where bits may differ"
        )
        return
    whole = case.cell.dataset == ALWAYS or case.seconds <= within
    if not whole and not case.trace:
        yield Finding(
            case.name, None, f"not replayed: it has no trace, and takes more than {within:g} s to its end"
        )
        return
    try:
        content = load(case.cell.dataset, root=data)
    except BenchError as error:
        yield Finding(case.name, None, f"not replayed: {error}")
        return
    if content.digest != case.cell.dataset_digest:
        yield Finding(case.name, None, "not replayed: the content of the data set differs")
        return
    start = time.monotonic()
    with threads(first.threads):
        try:
            here = content.to(device)
            text = replay_whole(case, here, device) if whole else replay_beginning(case, here, start + within)
        except Parted as parted:
            if first.processor:
                found.parted = True
                yield Finding(case.name, False, f"the bits part {parted}")
            else:
                yield Finding(
                    case.name,
                    None,
                    f"the bits part {parted}; it may have been made on another processor: its row names none",
                )
            return
    text = f"{text}, equal to the last bit, in {time.monotonic() - start:.0f} s"
    found.add(case, f"{case.name}: {text}", whole=whole)
    yield Finding(case.name, True, text)


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Set torch's number of threads to that of a row; 0 leaves it unchanged."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def refusal(change: Change, found: Evidence) -> tuple[str, list[str]]:
    """Return why a change is not vouched for, or '' and the evidence for it.

    For the code of the training loop, beginnings are enough.
    """
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
            "not vouched for: only the beginning of trainings was replayed, "
            "and what its code does later was not seen",
            [],
        )
    return "not vouched for: no row that the code before has made was replayed", []


def entry(change: Change, lines: Sequence[str], device: torch.device) -> Equivalence:
    """Return the entry to be stored for a change that is vouched for."""
    of, dataset, what, old, new = change
    here = provenance.machine(device)
    made = {
        "processor": here["processor"],
        "versions": here["versions"],
        "commit": here["commit"],
        "created": provenance.now(),
    }
    return Equivalence(of, dataset, what, old, new, tuple(lines), **made).sealed()
