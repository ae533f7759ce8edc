"""What does each row give to each test image, and how is that kept beside the records?

Two rows are compared test image by test image (`report/compare.py`). The values lie with
the artefacts of each score; so that a clone without artefacts can compare too, those of
the lines of a table are kept beside its `runs.csv`, as float32 and in the mean over
seeds, while they stay small.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from genmodel_bench.report.tables.columns import Column, Key, Quantity, by_row
from genmodel_bench.storage.arrays import Arrays, digest_of, kept_arrays
from genmodel_bench.storage.atomic import remove, write_atomically
from genmodel_bench.storage.digest import content_digest
from genmodel_bench.storage.record import Record
from genmodel_bench.storage.store import Store, sure
from numpy.typing import NDArray

BUDGET = 4_000_000
"""Bytes, at most, of the file beside `runs.csv`; lines beyond it are left out."""
FOLD = "fold"


@dataclass(frozen=True)
class Examples:
    """The values of scores by test image, for the rows of one data set.

    by_image: for each score and row, (n,) float32, the mean over seeds.
    folds: the fold of each test image, (n,) from 0, where there are folds.
    names: under which name the array of a score and row is kept.
    missing: the rows that have the score, but not its values by image.
    """

    by_image: Mapping[tuple[Quantity, Key], NDArray[np.float32]] = field(default_factory=dict)
    folds: NDArray[np.int64] | None = None
    names: Mapping[tuple[Quantity, Key], str] = field(default_factory=dict)
    missing: frozenset[Key] = frozenset()

    def of(self, quantity: Quantity, key: Key) -> NDArray[np.float64] | None:
        """Return the values that an error is over: of images, or the means of folds."""
        by_image = self.by_image.get((quantity, key))
        if by_image is None:
            return None
        values: NDArray[np.float64] = by_image.astype(np.float64)
        if self.folds is None:
            return values
        if len(self.folds) != len(values):
            return None
        means: NDArray[np.float64] = np.bincount(self.folds, weights=values) / np.bincount(self.folds)
        return means


def examples_of(store: Store, records: Sequence[Record], columns: Iterable[Column]) -> Examples:
    """Return the values by test image of a data set's records, from what is at hand."""
    records = sure(records)
    digests = {r.dataset_digest for r in records}
    if len(digests) != 1:
        return Examples()
    digest = digests.pop()
    kept, _ = kept_arrays(path_of(store), digest) or ({}, {})
    images, _ = kept_arrays(store.cache / "images" / f"{digest}.safetensors", digest) or ({}, {})
    folds = images.get(FOLD, kept.get(FOLD))
    found: dict[tuple[Quantity, Key], NDArray[np.float32]] = {}
    names, missing = {}, set()
    for column in (c for c in columns if c.is_score and c.examples):
        assert column.of is not None
        scored = [r for r in records if (r.metric, r.quantity) == column.of and r.ok]
        for key, rows in by_row(scored).items():
            rows = sorted(rows, key=lambda r: r.seed or 0)
            place = column.of, key
            names[place] = content_digest("examples", column.of, [r.score_key for r in rows])
            values = over_seeds(rows, column.examples, store.cache)
            values = kept.get(names[place]) if values is None else values
            if values is None:
                missing.add(key)
            else:
                found[place] = values
    numbered = None if folds is None else np.unique(folds, return_inverse=True)[1].astype(np.int64)
    return Examples(found, numbered, names, frozenset(missing))


def over_seeds(rows: Sequence[Record], name: str, cache: Path) -> NDArray[np.float32] | None:
    """Return an array of the scores of all seeds, (n,), their mean; None if one lacks."""
    arrays = [scores_of(r, cache).get(name) for r in rows]
    good = [x for x in arrays if x is not None and x.ndim == 1 and np.isfinite(x).all()]
    if len(good) < len(arrays) or len({len(x) for x in good}) != 1:
        return None
    means: NDArray[np.float32] = np.stack(good).mean(0, dtype=np.float64).astype(np.float32)
    return means


def scores_of(record: Record, cache: Path) -> Arrays:
    """Return the arrays behind the scores of a record's metric, none if not at hand."""
    found = kept_arrays(cache / "scores" / f"{record.score_key}.safetensors", record.score_key)
    return found[0] if found else {}


def path_of(store: Store) -> Path:
    """Return the path of the values kept beside a data set's records."""
    return store.folder / "examples.safetensors"


def keep_examples(store: Store, digest: str, examples: Examples, order: Sequence[Key]) -> list[Path]:
    """Keep values by test image beside the records; return the file, if there is one.

    The rows come in the `order` of the table, as many as the budget holds.

    digest: of the data set's content.
    """
    from safetensors.numpy import save

    arrays: dict[str, Any] = {}
    if examples.folds is not None:
        arrays[FOLD] = examples.folds
    left, about = BUDGET, {}
    for place in sorted(examples.by_image, key=lambda p: order.index(p[1]) if p[1] in order else len(order)):
        values = examples.by_image[place]
        left -= values.nbytes
        if left < 0:
            break
        arrays[examples.names[place]] = values
        about[examples.names[place]] = [*place[0], *place[1]]
    path = path_of(store)
    if not about:
        remove(path)
        return []
    header = {"key": digest, "digest": digest_of(arrays), "about": json.dumps(about, sort_keys=True)}
    content = with_sorted_header(save(dict(sorted(arrays.items())), header))
    if not path.is_file() or path.read_bytes() != content:
        write_atomically(path, content)
    return [path]


def take_examples(other: Store, store: Store, digest: str) -> None:
    """Add the values by test image that are kept beside the records of another store.

    The next report leaves out those that are of no row.

    digest: of the data set's content, which is the same.
    """
    from safetensors.numpy import save

    theirs = kept_arrays(path_of(other), digest)
    if theirs is None:
        return
    arrays, about = kept_arrays(path_of(store), digest) or ({}, {})
    arrays, about = theirs[0] | arrays, theirs[1] | about
    header = {"key": digest, "digest": digest_of(arrays), "about": json.dumps(about, sort_keys=True)}
    write_atomically(path_of(store), with_sorted_header(save(dict(sorted(arrays.items())), header)))


def with_sorted_header(content: bytes) -> bytes:
    """Return a .safetensors file with its header sorted, so that equal files are equal.

    The library writes the metadata in another order each time. The header is JSON behind
    its length, and spaces fill it up to a multiple of eight bytes.
    """
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.dumps(json.loads(content[8:end]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + content[end:]
