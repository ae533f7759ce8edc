"""Which rows that come with the package stand beside a user's own?

The package carries the records of the data sets on which it was run, in a clone as
`results/`, installed as `shipped/`, packed (`setup.py`). They are copied to `beside.csv`
in the folder of a data set, from where tables read them: no command adds a row to it,
checks it or counts it as a baseline. Rows of a user's own with the same name stand in
their place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from genmodel_bench.errors import BadOption, UnknownName
from genmodel_bench.storage.atomic import write_atomically
from genmodel_bench.storage.reading import read_records
from genmodel_bench.storage.record import Record, to_csv
from genmodel_bench.storage.store import ROWS, Store, stores_of, sure

NONE = "none"
"""What is typed where no rows are to stand beside."""
PACKED = f"{ROWS}.xz"
"""The name of a file of rows in an installed package."""


def shipped_stores() -> dict[str, Store]:
    """Return the data sets whose records come with this package."""
    package = Path(__file__).resolve().parents[1]
    # In any other place, a folder `results` beside the package is somebody else's.
    cloned = package.name == "bench"
    found = stores_of(package.parent / "results") if cloned else stores_of(package / "shipped", PACKED)
    return {store.dataset: store for store in found}


def path_of(store: Store) -> Path:
    """Return the path of the rows that stand beside those of a data set."""
    return store.folder / "beside.csv"


def standing_beside(store: Store, content: str, of: str | None) -> list[Record] | None:
    """Return the rows that are to stand beside those of a data set; None: as it is.

    content: the digest of the data set's content.
    of: the data set whose rows they are, or "none"; None for the usual ones, the data
        set's own, unless it was decided before.

    Raises:
        UnknownName: no rows of such a data set come with the package.
        BadOption: they are of other content.
    """
    if of is None and path_of(store).exists():
        return None
    known = shipped_stores()
    if of is not None and of not in (NONE, *known):
        raise UnknownName("data set with rows that come with the package", of, [*known, NONE])
    there = known.get(store.dataset if of is None else of)
    if there is None or there.folder.resolve() == store.folder.resolve():
        return [] if of is not None else None
    rows = [r for r in sure(there.records()) if r.role != "samples"]
    same = [r for r in rows if r.dataset_digest == content]
    if of is not None and not same:
        digest = ", ".join(dict.fromkeys(r.dataset_digest for r in rows))
        raise BadOption(
            f"--beside: the rows of {of} that come with the package are of content {digest}, the data at "
            f"hand are {content}: they do not compare; leave it out"
        )
    return same


def stand_beside(store: Store, rows: Sequence[Record] | None) -> None:
    """Let rows stand beside those of a data set; None leaves it as it is."""
    if rows is not None:
        write_atomically(path_of(store), to_csv(rows).encode())


def with_beside(store: Store, own: Sequence[Record]) -> list[Record]:
    """Return the records of a data set, and those that stand beside.

    Rows that were edited, are of other content, or are there as rows of the user's own
    are left out.

    Raises:
        BadRecords: `beside.csv` is damaged.
    """
    if not path_of(store).exists():
        return list(own)
    contents, keys = {r.dataset_digest for r in sure(own)}, {r.key for r in own}
    rows = [r for r in read_records(path_of(store)) if r.intact and r.dataset_digest in contents]
    return [*own, *(replace(r, dataset=store.dataset, shipped=True) for r in rows if r.key not in keys)]
