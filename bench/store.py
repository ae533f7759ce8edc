"""Where do results live, and how is a row written so that none is lost, torn or stale?

`DIR/<dataset>/runs.csv` holds one row per number. It is rewritten whole, under a lock, by write-and-rename. Its rows are all of one
content of the data set, those of one line (model, variant, number of samples) are of one recipe, and those of one metric in a line are
of one setting and code of it: a new row removes those it outdates. Heavy artefacts lie beside it in `DIR/.cache`, which git ignores.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd
from filelock import FileLock

from bench.atomic import sweep, write_atomically
from bench.digest import content_digest
from bench.errors import BadRecords


@dataclass(frozen=True)
class Record:
    """One number with everything that is known about it; the fields are the columns of runs.csv, in this order.

    `status` is "ok", "warning: why", "n/a: why", or a failure, "diverged: why", "failed: why", "oom: why" or "timeout: why"; `value` is
    None in all but the first two. `role` is
    "model", "reference" or "samples" (a user's own). `checkpoint` is "best" or "last": the weights after `checkpoint_epoch` were
    sampled; `valid_best` and `valid_last` are what validation said of the best and of the last ones (`bench/selection.py`). `curves` holds
    how the value moves with the number of samples, and validation with σ and with the epochs. Seconds are wall time; memory is MiB, on CUDA
    the peak of what training allocated, on a CPU the peak of the process that trained. `weights` is the digest of the weights that were
    sampled, `ingredients` what the value depends on and no other column says: the digests of the code, the
    metric's own settings. `seal` is a digest of all the other columns: a row that was edited does not fit it, and is made anew.
    """

    dataset: str
    model: str
    variant: str = ""
    role: str = "model"
    seed: int | None = None
    metric: str = ""
    quantity: str = ""
    value: float | None = None
    stderr: float | None = None
    stderr_over: str = ""
    n: int | None = None
    draw_sd: float | None = None
    unit: str = ""
    better: str = ""
    status: str = "ok"
    samples: int = 0
    draws: int = 1
    epochs: int | None = None
    checkpoint: str = ""
    checkpoint_epoch: int | None = None
    valid_best: float | None = None
    valid_last: float | None = None
    metric_settings: str = "{}"
    curves: str = "{}"
    model_settings: str = "{}"
    fit_seconds: float | None = None
    sample_seconds: float | None = None
    score_seconds: float | None = None
    parameters: int | None = None
    peak_memory_mib: float | None = None
    weights: str = ""
    device: str = ""
    dtype: str = ""
    threads: int = 0
    deterministic: bool = False
    python: str = ""
    versions: str = ""
    commit: str = ""
    created: str = ""
    dataset_digest: str = ""
    cell: str = ""
    ingredients: str = "{}"
    recipe: str = ""
    metric_recipe: str = ""
    score_key: str = ""
    seal: str = ""

    def sealed(self) -> Record:
        """Return this row with the digest of all its other columns in `seal`."""
        return replace(self, seal=content_digest("row", asdict(replace(self, seal=""))))

    @property
    def intact(self) -> bool:
        """Return whether no column was changed since the row was sealed."""
        return self.seal == self.sealed().seal

    @property
    def name(self) -> str:
        """Return the model's name with the options that differ."""
        return f"{self.model} ({self.variant})" if self.variant else self.model

    @property
    def line(self) -> tuple[str, str, int]:
        """Return what names this row's line in a table: its rows share one recipe."""
        return self.model, self.variant, self.samples

    @property
    def ok(self) -> bool:
        """Return whether the row holds a value that may be used again."""
        return self.value is not None and self.status.startswith(("ok", "warning"))

    @property
    def failed(self) -> bool:
        """Return whether something went wrong: the next run tries again."""
        return self.status.startswith(FAILURES)


FAILURES = ("diverged", "failed", "oom", "timeout")
"""What goes wrong: a value that is not finite, an exception, no memory left, too slow."""
COLUMNS = [f.name for f in fields(Record)]
ROLES = ("model", "samples", "reference")
"""What a row is of, in the order of the tables."""
INTEGERS = ("seed", "n", "draws", "samples", "epochs", "checkpoint_epoch", "parameters", "threads")
TEXTS = tuple(f.name for f in fields(Record) if f.type == "str")
FORMULA = tuple("=+-@\t\r'")
"""How a text begins that a spreadsheet would compute; it is written after an apostrophe, as is one that begins with it."""


class Store:
    """The records and artefacts of one data set under a results folder."""

    def __init__(self, results: Path, dataset: str) -> None:
        self.folder = results / folder_name(dataset)
        self.path = self.folder / "runs.csv"
        self.cache = results / ".cache"

    def artefact(self, kind: str, key: str) -> Path:
        """Return the path of a heavy artefact, which need not exist."""
        return self.cache / kind / key

    def prepare(self) -> None:
        """Make the folders, hide the artefacts from git, and read the records once, so that trouble comes before the work.

        Raises BadRecords, and OSError where nothing can be written.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        write_atomically(self.cache / ".gitignore", b"*\n")
        for folder in (self.folder, self.cache):
            sweep(folder)
        read_results(self.folder.parent)

    def records(self) -> list[Record]:
        """Return every row. Raises BadRecords."""
        return read_records(self.path) if self.path.exists() else []

    def append(self, new: Sequence[Record]) -> None:
        """Add rows durably, in place of those of the same number and of those they outdate."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self.path.with_name("runs.csv.lock")):
            kept = [r for r in self.records() if not _outdated(r, new)]
            write_atomically(self.path, to_csv([*kept, *new]).encode())


def _outdated(old: Record, new: Iterable[Record]) -> bool:
    """Return whether a row of `new` is the same number as `old` measured again, or makes it stale."""
    for r in new:
        same_metric = old.metric == r.metric
        if old.dataset_digest != r.dataset_digest:
            return True
        if same_metric and (old.model, old.cell) == (r.model, r.cell):
            return True
        if old.line == r.line:
            if old.recipe != r.recipe:
                return True
            if same_metric and (old.metric_recipe != r.metric_recipe or old.seed == r.seed):
                return True
    return False


def folder_name(dataset: str) -> str:
    """Return a data set's name as one component of a path: 'folder:/a b' -> 'folder%3A%2Fa%20b', a long one cut and hashed."""
    name = quote(dataset, safe="").replace(".", "%2E")
    return name if len(name) <= 120 else f"{name[:100]}-{hashlib.sha256(dataset.encode()).hexdigest()[:16]}"


def frame(records: Iterable[Record]) -> pd.DataFrame:
    """Return the records as a table with one column for each field."""
    table = pd.DataFrame([asdict(r) for r in records], columns=COLUMNS)
    return table.astype({name: "Int64" for name in INTEGERS})


def to_csv(records: Iterable[Record]) -> str:
    """Return the records as CSV; floats are written so that they are read back to the last bit, texts so that nothing computes them."""
    table = frame(records)
    for name in TEXTS:
        table[name] = [inert(text) for text in table[name]]
    return str(table.to_csv(index=False, lineterminator="\n"))


def inert(text: str) -> str:
    """Return a text as a spreadsheet shows it without computing it."""
    return f"'{text}" if text.startswith(FORMULA) else text


def read_records(path: Path) -> list[Record]:
    """Return the rows of a runs.csv, floats to the last bit. Raises BadRecords for a file of another form."""
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (ValueError, UnicodeError) as error:
        raise BadRecords(f"{path}: cannot be read as records ({str(error).splitlines()[0]}); move it away") from error
    if list(table.columns) != COLUMNS:
        odd = sorted(set(table.columns) ^ set(COLUMNS))
        raise BadRecords(f"{path}: columns of another version ({', '.join(odd[:5]) or 'order'}); move it away")
    records = []
    for number, row in enumerate(table.to_dict("records"), start=1):
        try:
            records.append(Record(**{str(name): parsed(name, text) for name, text in row.items()}))
        except (ValueError, TypeError) as error:
            raise BadRecords(f"{path}: row {number} is damaged ({error}); repair it or move the file away") from error
    return records


def parsed(name: Any, text: str) -> Any:
    """Return a field's value from its text in the CSV. Raises ValueError."""
    if name in TEXTS:
        text = text.removeprefix("'")
    if name == "role" and text not in ROLES:
        raise ValueError(f"role {text!r}")
    if name == "deterministic":
        if text not in ("True", "False"):
            raise ValueError(f"deterministic {text!r}")
        return text == "True"
    if name in ("metric_settings", "model_settings", "curves", "ingredients"):
        content = json.loads(text)
        if not isinstance(content, dict) or (name == "ingredients" and not all(isinstance(part, dict) for part in content.values())):
            raise ValueError(f"{name} {text!r}")
        if name == "curves" and not all(map(is_curve, content.values())):
            raise ValueError(f"curves that are not numbers by number, {text[:60]!r}")
    if name in TEXTS:
        return text
    if name in ("samples", "draws") and not text:
        raise ValueError(f"no number of {name}")
    value = (int if name in INTEGERS else float)(text) if text else None
    if value is not None and not math.isfinite(value):
        raise ValueError(f"{name} is {text}")
    return value


def is_curve(content: Any) -> bool:
    """Return whether a value of JSON is a curve: finite numbers by number."""
    try:
        return all(math.isfinite(float(x)) and math.isfinite(y) for x, y in content.items())
    except (AttributeError, TypeError, ValueError):
        return False


def read_results(results: Path) -> list[Record]:
    """Return the rows of every data set under a results folder."""
    return [record for path in sorted(results.glob("*/runs.csv")) for record in read_records(path)]


def as_json(values: Any) -> str:
    """Return settings as compact JSON, keys in order."""
    return json.dumps(values, sort_keys=True, default=str, ensure_ascii=False)
