"""What is a row of runs.csv, how is it written, and how is an edit of it noticed?"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cache
from typing import TYPE_CHECKING, Any

from genmodel_bench.storage.digest import content_digest
from genmodel_bench.storage.ingredients import Vouched, metric_recipe_of, recipe_of
from genmodel_bench.storage.once import written_once
from genmodel_bench.storage.plain import from_json

if TYPE_CHECKING:
    import pandas as pd


def aside(default: Any) -> Any:
    """Return a dataclass field that is not a column."""
    return field(default=default, metadata={"column": False}, compare=False)


@dataclass(frozen=True)
class Record:
    """One number with everything that is known about it.

    All fields but the last five are the columns of runs.csv, in this order.

    options: JSON of those that differ from the registered ones.
    role: "model", "reference" or "samples" (a user's own).
    value: None unless `status` is "ok" or a warning.
    status: "ok", "warning: why", "n/a: why", or a failure: "diverged: why",
        "failed: why", "oom: why" or "timeout: why".
    checkpoint: "best" or "last": the weights after `checkpoint_epoch` were sampled.
    valid_best, valid_last: what validation says of the best and of the last weights
        (`training/selection.py`).
    curves: how the value changes with the number of samples, and validation with σ and
        with the epochs.
    fit_seconds, sample_seconds, score_seconds: wall time.
    peak_memory_mib: on CUDA the peak of what training allocated, on a CPU the peak of the
        process that trained.
    weights: the digest of the weights that were sampled, or empty where unknown.
    trace: the digests of the weights after initialising, at each stage's end, after each
        kept epoch, and of each draw, in order; empty where unknown.
    column: how the score is shown, if its metric says: title, decimals, table, sentence.
    processor: the CPU, and which of its instructions torch uses.
    sources: JSON of the `module:Class` of a model and a metric from outside this project.
    version, versions: of this package, and of the packages that compute.
    ingredients: all that the value depends on, by part: "fit", "samples", "score".
    formerly: ingredients and keys from an older form of this file.
    score_key: names the arrays behind the value.
    seal: a digest of all other columns.

    The last five are not columns:

    recipe, metric_recipe: digests of the ingredients that all seeds share.
    doubt: why a stored row is not trusted, else "".
    shipped: whether the row came with this package (`storage/beside.py`).
    others: columns that a newer version wrote.
    """

    dataset: str
    model: str
    options: str = "{}"
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
    column: str = "{}"
    model_settings: str = "{}"
    sources: str = "{}"
    fit_seconds: float | None = None
    sample_seconds: float | None = None
    score_seconds: float | None = None
    parameters: int | None = None
    peak_memory_mib: float | None = None
    weights: str = ""
    trace: str = "[]"
    device: str = ""
    processor: str = ""
    dtype: str = ""
    threads: int = 0
    deterministic: bool = False
    python: str = ""
    version: str = ""
    versions: str = ""
    commit: str = ""
    created: str = ""
    dataset_digest: str = ""
    cell: str = ""
    ingredients: str = "{}"
    formerly: str = "{}"
    score_key: str = ""
    seal: str = ""
    recipe: str = aside("")
    metric_recipe: str = aside("")
    doubt: str = aside("")
    shipped: bool = aside(False)
    others: tuple[tuple[str, str], ...] = aside(())

    def sealed(self) -> Record:
        """Return this row with the digest of all its other columns in `seal`."""
        return replace(self, seal=seal_of(texts_of(self)))

    @property
    def intact(self) -> bool:
        """Return whether no column was changed since the row was sealed."""
        return self.seal == seal_of(texts_of(self))

    def settled(self, vouched: Vouched) -> Record:
        """Return this row with `recipe` and `metric_recipe` set.

        Code that was vouched for counts as the older one.
        """
        recipe, metric_recipe = (
            recipe_of(self.ingredients, vouched),
            metric_recipe_of(self.ingredients, vouched),
        )
        return replace(self, recipe=recipe, metric_recipe=metric_recipe)

    @property
    def variant(self) -> str:
        """Return the options that differ from the registered ones as a label."""
        return _label_of(self.options)

    @property
    def name(self) -> str:
        """Return the model's name with the options that differ."""
        return f"{self.model} ({self.variant})" if self.variant else self.model

    @property
    def key(self) -> tuple[str, str, str, int]:
        """Return the key of this row's row in a table, which has its role too."""
        return self.role, self.model, self.variant, self.samples

    @property
    def line(self) -> tuple[str, str, int]:
        """Return the key of this row's line in a table; its rows share one recipe."""
        return self.model, self.variant, self.samples

    @property
    def trained(self) -> bool:
        """Return whether its seed is of a training run; a user's only file has none."""
        return self.role != "samples" or self.seed is not None

    @property
    def ok(self) -> bool:
        """Return whether the row holds a value that may be used again."""
        return self.value is not None and self.status.startswith(("ok", "warning"))

    @property
    def failed(self) -> bool:
        """Return whether something went wrong: the next run tries again."""
        return self.status.startswith(FAILURES)


FAILURES = ("diverged", "failed", "oom", "timeout")
"""What can go wrong: a value is not finite, an exception, out of memory, too slow."""
FIELDS = [f for f in fields(Record) if f.metadata.get("column", True)]
COLUMNS = [f.name for f in FIELDS]
OURS = ("dataset", "model", "metric", "quantity", "value", "seal")
"""A file that has these columns is a runs.csv, of whatever version."""
ROLES = ("model", "samples", "reference")
"""What a row can be about, in the order of the tables."""
INTEGERS = ("seed", "n", "draws", "samples", "epochs", "checkpoint_epoch", "parameters", "threads")
MOST = 2**63
"""Whole numbers of a row are below it: tables hold them in 64 bits."""
TEXTS = tuple(f.name for f in FIELDS if f.type == "str")
OBJECTS = (
    "options",
    "metric_settings",
    "model_settings",
    "sources",
    "curves",
    "column",
    "ingredients",
    "formerly",
)
"""The columns that hold a JSON object."""
EMPTY = ("", "{}", "[]", "False")
"""Texts that say nothing, which a seal leaves out.

So a column that is added later with such a default breaks no seal.
"""
FORMULA = tuple("=+-@\t\r'")
"""First characters of a text that a spreadsheet would compute.

Such a text is written after an apostrophe, as is one that begins with an apostrophe, and
what follows a ';', at which a spreadsheet may part cells.
"""
COMPUTED, QUIET = re.compile(r"(^|;)(?=[=+\-@\t\r'])"), re.compile(r"(^|;)'(?=[=+\-@\t\r'])")
"""Where such a text begins, and where it begins behind its apostrophe."""


def label(options: Mapping[str, Any]) -> str:
    """Return changed options for people to read: 'epochs=3, hidden=(16,)'.

    Nothing parses it again.
    """
    return ", ".join(
        f"{name}={tuple(value) if isinstance(value, list) else value}" for name, value in options.items()
    )


@cache
def _label_of(options: str) -> str:
    return label(json.loads(options))


def texts_of(record: Record) -> dict[str, str]:
    """Return the columns of a row as text, in order, floats to the last bit."""
    values = {name: getattr(record, name) for name in COLUMNS}
    plain = {
        name: "" if v is None else repr(v) if isinstance(v, float) else str(v) for name, v in values.items()
    }
    # Unknown columns hold the text of the file, with its apostrophe before a formula.
    return plain | {name: meant(text) for name, text in record.others}


def seal_of(texts: Mapping[str, str]) -> str:
    """Return the digest of a row's columns, without `seal` and those that say nothing."""
    return content_digest(
        "row", {name: text for name, text in texts.items() if name != "seal" and text not in EMPTY}
    )


def frame(records: Iterable[Record]) -> pd.DataFrame:
    """Return the records as a table: their columns, `variant`, `recipe` and `doubt`.

    `variant` is the label of their options.
    """
    import pandas as pd  # here: the command line's help would wait for it

    rows = [{"variant": r.variant, **asdict(r)} for r in records]
    table = pd.DataFrame(rows, columns=[*COLUMNS, "variant", "recipe", "doubt"])
    return table.astype({name: "Int64" for name in INTEGERS})


def to_csv(records: Iterable[Record]) -> str:
    """Return the records as CSV.

    Floats are written to the last bit, texts so that no spreadsheet computes them, and
    what many rows say once (`storage/once.py`).
    """
    texts = (texts_of(r) | dict(r.others) for r in records)
    rows = written_once(
        {name: inert(text) if name in TEXTS else text for name, text in row.items()} for row in texts
    )
    columns = list(dict.fromkeys([*COLUMNS, *(name for row in rows for name in row)]))
    return "".join(map(as_line, [columns, *([row.get(name, "") for name in columns] for row in rows)]))


def as_line(texts: Iterable[str]) -> str:
    """Return texts as a line of CSV, of which every reader makes the same texts again."""
    buffer = io.StringIO()
    # The writer quotes a carriage return only where it ends its own lines with one.
    csv.writer(buffer, lineterminator="\r\n").writerow(texts)
    return f"{buffer.getvalue()[:-2]}\n"


def inert(text: str) -> str:
    """Return a text so that a spreadsheet shows it without computing it."""
    return COMPUTED.sub(r"\1'", text)


def meant(text: str) -> str:
    """Return the text that `inert` has made inert."""
    return QUIET.sub(r"\1", text) if "'" in text else text


def parsed(name: Any, text: str) -> Any:
    """Return a field's value from its text in the CSV. Raises ValueError."""
    if name in TEXTS:
        text = meant(text)
    if name == "role" and text not in ROLES:
        raise ValueError(f"role {text!r}")
    if name == "deterministic":
        if text not in ("True", "False"):
            raise ValueError(f"deterministic {text!r}")
        return text == "True"
    if name in OBJECTS or name == "trace":
        # A version that does not know a column yet writes nothing into it.
        text = text or ("[]" if name == "trace" else "{}")
        _check_json(name, text)
    if name in TEXTS:
        return text
    if name in ("samples", "draws") and not text:
        raise ValueError(f"no number of {name}")
    value = (int if name in INTEGERS else float)(text) if text else None
    bound = MOST if name in INTEGERS else math.inf
    if value is not None and not -bound < value < bound:  # nor NaN
        raise ValueError(f"{name} is {text[:60]}")
    return value


@cache
def _check_json(name: str, text: str) -> None:
    """Raise ValueError for a text that a JSON column cannot hold."""
    content = from_json(text)
    good = isinstance(content, list if name == "trace" else dict)
    if good and name == "ingredients":
        good = all(isinstance(part, dict) for part in content.values())
    if good and name == "trace":
        good = all(isinstance(entry, list) and len(entry) == 2 for entry in content)
    if not good:
        raise ValueError(f"{name} {text[:60]!r}")
    if name == "column" and content and not {"title", "says"} <= content.keys():
        raise ValueError(f"column without title and sentence, {text[:60]!r}")
    if name == "curves" and not all(map(_is_curve, content.values())):
        raise ValueError(f"curves that are not numbers by number, {text[:60]!r}")


def _is_curve(content: Any) -> bool:
    """Return whether a JSON value is a curve: finite numbers by number."""
    try:
        return all(math.isfinite(float(x)) and math.isfinite(y) for x, y in content.items())
    except (AttributeError, TypeError, ValueError, OverflowError):
        return False
