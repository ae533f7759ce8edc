"""How are the scores of an audit kept?

A row of `audit.csv` is a score of a metric on a probe at a size. Each is sealed: one that
was edited is left out, and scored again by the next audit.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from genmodel_bench.storage.atomic import write_atomically
from genmodel_bench.storage.digest import content_digest

FILE = "audit.csv"


@dataclass(frozen=True)
class Audited:
    """A score of a metric on a probe.

    size: how many samples, and test images, there are at most; n: how many of what the
        error is over.
    column: how the score is shown, as JSON; "{}" if it has no column.
    seconds: of the metric on all draws of the probe, all its scores together.
    status: "ok", or why there is no value.
    key: of all that the score depends on.
    """

    metric: str
    probe: str
    size: int
    draws: int
    key: str
    quantity: str = ""
    n: int = 0
    value: float = math.nan
    stderr: float = math.nan
    draw_sd: float = math.nan
    unit: str = ""
    better: str = ""
    column: str = "{}"
    seconds: float = 0.0
    status: str = "ok"

    @property
    def error(self) -> float:
        """Return the standard error, that of drawing included."""
        drawn = 0.0 if math.isnan(self.draw_sd) else self.draw_sd / math.sqrt(self.draws)
        return math.hypot(self.stderr, drawn)

    @property
    def seal(self) -> str:
        """Return the digest of the row."""
        return content_digest({name: str(value) for name, value in asdict(self).items()})


READ = {"int": int, "float": float, "str": str}
"""How a field of each type is read from its text."""


def read_audit(folder: Path) -> list[Audited]:
    """Return the rows of a data set's audit that are as they were written."""
    path = folder / FILE
    if not path.exists():
        return []
    found = []
    for line in csv.DictReader(io.StringIO(path.read_text(encoding="utf-8", errors="replace"))):
        try:
            row = Audited(**{f.name: READ[str(f.type)](line[f.name]) for f in fields(Audited)})
        except (KeyError, TypeError, ValueError):
            continue
        if row.seal == line.get("seal"):
            found.append(row)
    return found


def write_audit(folder: Path, rows: Iterable[Audited]) -> Path:
    """Write the rows of a data set's audit; return the file."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [*(f.name for f in fields(Audited)), "seal"], lineterminator="\n")
    writer.writeheader()
    writer.writerows({**asdict(row), "seal": row.seal} for row in rows)
    write_atomically(folder / FILE, text.getvalue().encode())
    return folder / FILE
