"""How are the measurements of a study kept?

`studies/NAME.csv` under a data set's folder has a row for each number. The rows of one
training bear its key, the digest of all that it depends on, and a seal of all of them: a
training of which a row was edited, lost or added is left out, and made anew by the next
run.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from genmodel_bench.storage.atomic import write_atomically
from genmodel_bench.storage.code import code_digests
from genmodel_bench.storage.digest import content_digest
from genmodel_bench.storage.ingredients import code_digest
from genmodel_bench.storage.record import FAILURES, inert, meant

REAL = "real images"
"""The setting of rows that are of unseen real images, and of no training."""


@dataclass(frozen=True)
class Studied:
    """A number that was measured in a training, or of real images.

    setting, at: which setting is varied, and its value in this training.
    seed: None for real images.
    budget: mini-batches after which a training of the study ends.
    step, updates_g, updates_d: mini-batches, and updates of G and of D, before the
        measurement.
    value: NaN where `status` is no "ok": a training that failed is one row.
    settings: JSON of the model's hyper-parameters that differ from the registered ones.
    content, code: digests of the data set, and of the code that trains and measures.
    key: of all that the training and its measurements depend on.
    """

    study: str
    dataset: str
    setting: str
    at: str
    seed: int | None
    budget: int
    step: int = 0
    updates_g: int = 0
    updates_d: int = 0
    quantity: str = ""
    value: float = math.nan
    status: str = "ok"
    settings: str = "{}"
    content: str = ""
    code: str = ""
    versions: str = ""
    commit: str = ""
    key: str = ""

    @property
    def failed(self) -> bool:
        """Return whether the training failed."""
        return self.status.startswith(FAILURES)

    @property
    def recipe(self) -> tuple[str, str, int]:
        """Return what trainings have in common that are shown beside each other."""
        return self.content, self.code, self.budget


TEXTS = tuple(f.name for f in fields(Studied) if f.type == "str")


def path_of(folder: Path, study: str) -> Path:
    """Return the file of a study in the folder of a data set."""
    return folder / "studies" / f"{study}.csv"


def superseded_of(path: Path) -> Path:
    """Return where the rows of a study go that other data, code or budget replaces."""
    return path.with_name(f"{path.stem}-superseded.csv")


def code_of(study: str) -> str:
    """Return the digest of the code of a study: what trains, and what measures."""
    return code_digest(code_digests(f"genmodel_bench.studies.{study.replace('-', '_')}"))


def read_studied(path: Path) -> list[Studied]:
    """Return the rows of all trainings that are as they were written."""
    if not path.exists():
        return []
    found: dict[str, list[Studied]] = {}
    broken = set()
    for line in csv.DictReader(io.StringIO(path.read_text(encoding="utf-8", errors="replace"))):
        key, seal = line.get("key") or "", line.get("seal") or ""
        try:
            found.setdefault(key + seal, []).append(parsed(line))
        except (KeyError, TypeError, ValueError, AttributeError):
            broken.add(key + seal)
    whole = [
        rows for name, rows in found.items() if name not in broken and rows[0].key + seal_of(rows) == name
    ]
    return [row for rows in whole for row in rows]


def write_studied(path: Path, rows: Iterable[Studied]) -> None:
    """Write all rows of a study, trainings in the order of their first rows."""
    trainings: dict[str, list[Studied]] = {}
    for row in rows:
        trainings.setdefault(row.key, []).append(row)
    text = io.StringIO()
    writer = csv.DictWriter(text, [*(f.name for f in fields(Studied)), "seal"], lineterminator="\n")
    writer.writeheader()
    for of in trainings.values():
        seal = seal_of(of)
        writer.writerows(
            {name: inert(t) if name in TEXTS else t for name, t in texts_of(row).items()} | {"seal": seal}
            for row in of
        )
    write_atomically(path, text.getvalue().encode())


def parsed(line: dict[str, str]) -> Studied:
    """Return a row from its texts. Raises KeyError, ValueError."""
    values: dict[str, object] = {}
    for f in fields(Studied):
        text = line[f.name]
        if f.name in TEXTS:
            values[f.name] = meant(text)
        elif f.name == "value":
            values[f.name] = float(text) if text else math.nan
        else:
            values[f.name] = int(text) if text or f.name != "seed" else None
    row = Studied(**values)  # type: ignore[arg-type]  # each by the type of its field, above
    if row.status == "ok" and not math.isfinite(row.value):
        raise ValueError(f"value is {row.value}")
    return row


def texts_of(row: Studied) -> dict[str, str]:
    """Return the fields of a row as text, floats to the last bit."""
    return {
        name: ""
        if value is None or value != value
        else repr(value)
        if isinstance(value, float)
        else str(value)
        for name, value in asdict(row).items()
    }


def seal_of(rows: Sequence[Studied]) -> str:
    """Return the digest of all rows of a training, in order."""
    return content_digest("study", [texts_of(row) for row in rows])
