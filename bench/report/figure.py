"""What is a figure of a report, how large is it in a paper, and how is it known on disk what it shows?

Figures are drawn for print: the widths of one and of two columns, fonts embedded, colours that the colour-blind tell apart, PDF as vectors
beside a PNG of 300 dpi. Each file names what it was drawn of: one that shows something else than the records say is deleted, and one whose
source is not at hand, as in a clone without artefacts, stays as long as the records still say so.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bench.atomic import write_atomically
from bench.report.table import Key

ONE_COLUMN, TWO_COLUMNS = 3.25, 6.75
"""Widths in inches: of a column of a two-column page, and of both with the gap."""
DPI = 300
BLACK, ORANGE, SKY, GREEN, YELLOW, BLUE, RED, PURPLE = (
    "#000000", "#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7",
)  # fmt: skip
"""Okabe and Ito (2008), Color Universal Design."""
COLOURS = (BLUE, RED, GREEN, ORANGE, PURPLE, SKY)
"""Of lines, in order; with more lines than colours the dashes change. Yellow is too pale for a line."""
RC: Any = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: figures look the same everywhere
    "font.size": 7,
    "axes.titlesize": 7,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 1.0,
    "lines.markersize": 2.5,
    "legend.frameon": False,
    "legend.fontsize": 6,
    "pdf.fonttype": 42,  # TrueType: embedded, and accepted by publishers
    "savefig.dpi": DPI,
}

Section = Literal["samples", "walks", "arithmetic", "film", "learning", "curves", "distances", "theory"]


@dataclass(frozen=True)
class Figure:
    """A figure that lies at `path` (.png, a .pdf beside it), of a row of the table (`key`) or of all (None).

    `alt` says what is to be seen to who cannot see it; `caption` how to read it.
    """

    path: Path
    section: Section
    title: str
    caption: str
    alt: str
    key: Key | None = None


@contextmanager
def paper() -> Iterator[None]:
    """Let matplotlib draw for print."""
    import matplotlib

    with matplotlib.rc_context(RC):
        yield


def keep(drawn: Any, path: Path, of: str) -> list[Path]:
    """Write a matplotlib Figure to `path` (.png) and beside it as .pdf, both naming what they are `of`; return the files."""
    written = []
    for suffix, metadata in ((".png", {"Software": None, "Source": of}), (".pdf", {"CreationDate": None, "Keywords": of})):
        buffer = io.BytesIO()
        drawn.savefig(buffer, format=suffix[1:], metadata=metadata)
        written.append(path.with_suffix(suffix))
        write_atomically(written[-1], buffer.getvalue())
    return written


def is_of(path: Path, of: str) -> bool:
    """Return whether the figure at `path` (.png) is there and was drawn of this."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            return bool(image.info.get("Source") == of)
    except (OSError, SyntaxError):
        return False


def file_name(name: str) -> str:
    """Return a name as part of a file's: ASCII letters, digits and '-' are kept, the rest becomes '_' and a hash tells such names apart.

    A name with its options, as in 'gan-ns epochs=100', is spelt so often that it goes without the hash: 'gan-ns_epochs_100'.
    """
    import hashlib

    plain = re.sub(r"[^A-Za-z0-9-]+", "_", name).strip("_")[:100]
    if re.fullmatch(r"[A-Za-z0-9-]+( [A-Za-z0-9_]+=[A-Za-z0-9]+)*", name):
        return plain
    return f"{plain or 'unnamed'}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
