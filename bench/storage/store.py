"""Where do results live, and how is a row written so that none is lost, torn or stale?

`DIR/<dataset>/runs.csv` holds one row per number. It is rewritten whole, under a lock, by
write-and-rename. All its rows are of one content of the data set, those of one line
(model, options, number of samples) are of one recipe, and those of one metric in a line
are of one setting and code of it. A new row supersedes those it outdates, which move to
`runs-superseded.csv`. Heavy artefacts lie in `DIR/.cache`, which git ignores. A folder is
named after its data set: rows in any other folder, as in a copy, are skipped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

from genmodel_bench.errors import BenchError
from genmodel_bench.storage.atomic import sweep, write_atomically
from genmodel_bench.storage.ingredients import Vouched, read_vouched
from genmodel_bench.storage.names import folder_name
from genmodel_bench.storage.reading import read_records, read_rows
from genmodel_bench.storage.record import Record, meant, to_csv
from genmodel_bench.storage.system import check_system
from genmodel_bench.storage.waiting import Say, held, in_silence

ROWS = "runs.csv"
"""The name of the file of a data set's rows."""


class Store:
    """The records and artefacts of one data set under a results folder.

    file: the name of the file of its rows, another one where they are packed.
    """

    def __init__(self, results: Path, dataset: str, file: str = ROWS) -> None:
        self.results, self.dataset = results, dataset
        self.folder = results / folder_name(dataset)
        self.path = self.folder / file
        self.superseded = self.folder / "runs-superseded.csv"
        self.cache = results / ".cache"

    def artefact(self, kind: str, key: str) -> Path:
        """Return the path of a heavy artefact, which need not exist."""
        return self.cache / kind / key

    def prepare(self, content: str | None = None, *, replace: bool = False) -> None:
        """Make the folders and read the records, so that errors come before the work.

        The artefacts are hidden from git. `content` is the digest of the data set at
        hand: rows of another content are refused, or with `replace` superseded.

        Raises:
            BadRecords: the stored rows cannot be read.
            BenchError: they are of another content, or this is Windows.
            OSError: nothing can be written.
        """
        check_system()
        self.folder.mkdir(parents=True, exist_ok=True)
        write_atomically(self.cache / ".gitignore", b"*\n")
        for folder in (self.folder, self.cache):
            sweep(folder)
        if self.superseded.exists():
            read_records(self.superseded)
        others = {
            r.dataset_digest for r in self.records() if content is not None and r.dataset_digest != content
        }
        if others and not replace:
            text = (
                f"the data at hand (content {content}) are not those of the rows in {self.path} "
                f"({', '.join(sorted(others))})"
            )
            raise BenchError(
                f"{self.dataset}: {text}; supersede those with --replace-data, or keep both with another "
                "--results"
            )
        if others:
            with self.lock():
                self.rewrite(self.records(), [], lambda r: r.dataset_digest != content)

    def records(self) -> list[Record]:
        """Return every row; `doubt` is set in those that are not trusted.

        Raises:
            BadRecords: the file cannot be read as records.
        """
        return (
            believed(read_records(self.path), self.dataset, read_vouched(self.results))
            if self.path.exists()
            else []
        )

    def append(self, new: Sequence[Record], say: Say = in_silence) -> list[Record]:
        """Add rows durably; return the rows whose values they supersede.

        They replace rows of the same number and those that they outdate. `say` is told
        which process is waited for, if one is.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        new = [r.settled(read_vouched(self.results)) for r in new]
        with self.lock(say):
            return self.rewrite(self.records(), new, lambda r: _outdated(r, new))

    def extend(self, chosen: Callable[[Sequence[Record]], Sequence[Record]]) -> None:
        """Add rows durably that are chosen, under the lock, in view of those there."""
        with self.lock():
            there = self.records()
            new = [r.settled(read_vouched(self.results)) for r in chosen(there)]
            self.rewrite(there, new, lambda r: _outdated(r, new))

    def remove(self, chosen: Callable[[Record], bool]) -> list[Record]:
        """Take rows out durably, and return them; those with a value are superseded."""
        with self.lock():
            old = self.records()
            self.rewrite(old, [], chosen)
        return [r for r in old if chosen(r)]

    def lock(self, say: Say = in_silence) -> AbstractContextManager[None]:
        """Return the lock on the rows, for a `with` statement."""
        return held(self.path.with_name("runs.csv.lock"), "writes rows", say)

    def rewrite(
        self, old: Sequence[Record], new: Sequence[Record], outdated: Callable[[Record], bool]
    ) -> list[Record]:
        """Write the rows anew: those of `old` that are not outdated, then `new`.

        The caller holds the lock. An outdated row that says what a new one says is
        dropped; any other with a value is kept as superseded, and returned.
        """
        gone = [r for r in old if outdated(r)]
        said = {_number(r): (r.value, r.stderr, r.weights) for r in new}
        superseded = [
            r for r in gone if r.value is not None and said.get(_number(r)) != (r.value, r.stderr, r.weights)
        ]
        if superseded:
            before = read_records(self.superseded) if self.superseded.exists() else []
            write_atomically(self.superseded, to_csv([*before, *superseded]).encode())
        write_atomically(self.path, to_csv([*(r for r in old if not outdated(r)), *new]).encode())
        return superseded


Number = tuple[str, str, str, int, int | None, str, str]


def _number(r: Record) -> Number:
    """Return the key of a number, of which there is one row."""
    return r.role, *r.line, r.seed, r.metric, r.quantity


def _outdated(old: Record, new: Iterable[Record]) -> bool:
    """Return whether a row of `new` measures `old` again, or makes it stale."""
    for r in new:
        same_metric = old.metric == r.metric
        if old.dataset_digest != r.dataset_digest:
            return True
        if same_metric and old.cell == r.cell and (old.doubt or old.model == r.model):
            return True
        if old.line == r.line:
            if old.doubt or old.recipe != r.recipe:
                return True
            if same_metric and (old.metric_recipe != r.metric_recipe or old.seed == r.seed):
                return True
    return False


def believed(records: Sequence[Record], dataset: str, vouched: Vouched) -> list[Record]:
    """Return the rows of a data set, with `doubt` set in those that are not trusted.

    This is decided here for all readers. A row is doubted that was edited, is of another
    data set than its folder, is there twice, or was made of other data or by another
    recipe than the newest row beside it.
    """
    found = [
        r.settled(vouched) if r.intact else replace(r, doubt="was edited since it was made") for r in records
    ]
    found = [_doubted(r, r.dataset != dataset, f"is of the data set {r.dataset}") for r in found]
    newest = sorted(range(len(found)), key=lambda i: (found[i].created, -i))  # among equals the first
    rules: tuple[tuple[str, Callable[[Record], object], Callable[[Record], object]], ...] = (
        (
            "is of another content of the data set than the newest row",
            lambda r: (),
            lambda r: r.dataset_digest,
        ),
        (
            "was made by another recipe than the newest row of its line",
            lambda r: (r.role, *r.line),
            lambda r: r.recipe,
        ),
        (
            "was scored otherwise than the newest row of its line",
            lambda r: (r.role, *r.line, r.metric),
            lambda r: r.metric_recipe,
        ),
    )
    for doubt, group, same in rules:
        latest = {group(found[i]): same(found[i]) for i in newest if not found[i].doubt}
        found = [_doubted(r, latest.get(group(r)) != same(r), doubt) for r in found]
    chosen = {_number(found[i]): i for i in newest if not found[i].doubt}
    return [_doubted(r, chosen.get(_number(r)) != i, "stands there twice") for i, r in enumerate(found)]


def _doubted(r: Record, wrong: bool, doubt: str) -> Record:
    """Return a row with a doubt, if something is wrong and it has none yet."""
    return replace(r, doubt=doubt) if wrong and not r.doubt else r


def stores_of(results: Path, file: str = ROWS) -> list[Store]:
    """Return the data sets that have records under a results folder.

    file: the name of the files of their rows.

    Raises:
        BadRecords: a file is damaged.
    """
    found = [_store_at(path) for path in sorted(results.glob(f"*/{file}"))]
    return [store for store in found if store is not None]


def passed_over(results: Path) -> dict[str, str]:
    """Return the folders whose runs.csv is skipped, with the reason.

    It is of another form, cannot be read, or its rows belong elsewhere.
    """
    found = {}
    for path in (path for path in sorted(results.glob(f"*/{ROWS}")) if _store_at(path) is None):
        try:
            rows = read_rows(path)
        except OSError as error:
            found[path.parent.name] = f"cannot be read ({error.strerror})"
            continue
        of = ", ".join(dict.fromkeys(row["dataset"] for row in rows or []))
        if rows is None:
            found[path.parent.name] = "has not the columns of records"
        elif rows:
            found[path.parent.name] = f"holds rows of {of}, which belong into a folder of that name"
    return found


def _store_at(path: Path) -> Store | None:
    """Return the store of a runs.csv, None if it is not ours or in the wrong folder."""
    try:
        rows = read_rows(path)
    except OSError:
        return None
    names = [meant(row["dataset"]) for row in rows or []] or [unquote(path.parent.name)] * (rows == [])
    here = [name for name in names if name.isprintable() and folder_name(name) == path.parent.name]
    return Store(path.parent.parent, here[0], path.name) if here else None


def read_results(results: Path) -> list[Record]:
    """Return the rows of every data set under a results folder.

    `doubt` is set in those that are not trusted.

    Raises:
        BadRecords: a file is damaged.
    """
    return [record for store in stores_of(results) for record in store.records()]


def sure(records: Iterable[Record]) -> list[Record]:
    """Return the rows that are not doubted."""
    return [r for r in records if not r.doubt]
