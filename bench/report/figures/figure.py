"""What is a figure of a report, how large is it, and how does a file say what it shows?

Figures are drawn for print: as wide as one or two columns, with embedded fonts, in
colours that the colour-blind tell apart, as a vector PDF beside a PNG of 300 dpi. Each
file names the data that it was drawn from. One that shows something else than the records
say is deleted; one whose source is not at hand, as in a clone without artefacts, stays as
long as the records still agree with it.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from genmodel_bench.errors import BenchError
from genmodel_bench.report.tables.columns import Key
from genmodel_bench.storage.atomic import write_atomically
from genmodel_bench.storage.code import source_of
from genmodel_bench.storage.digest import content_digest

ONE_COLUMN, TWO_COLUMNS = 3.25, 6.75
"""Widths in inches: of a column of a two-column page, and of both with the gap."""
DPI = 300
DRAWING = tuple(
    f"genmodel_bench.report.figures.{name}"
    for name in ("charts", "figure", "learning", "lines", "mosaic", "pictures", "plane", "summary", "theory")
)
"""The modules of the report whose code a figure depends on."""
OF, BY, HOLDS, CREATOR = "genmodel-bench of", "genmodel-bench by", "genmodel-bench holds", "genmodel-bench"
"""Text fields of a PNG: its source, the code that drew it, its digest; a PDF's creator.

The digest is of the pixels, the PDF and the texts. The creator marks a PDF as ours.
"""
FILE = "genmodel-bench file"
"""Text field of a PNG: its name without suffix; in a PDF it is the subject."""
OURS = re.compile(
    r"(summary|validation|curve|samples|walks|arithmetic|film|learning)(-.+)?|figure1|value|gradients"
)
"""Names of figures that were drawn before they held their names."""
BLACK, ORANGE, SKY, GREEN, YELLOW, BLUE, RED, PURPLE = (
    "#000000", "#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7",
)  # fmt: skip
"""Okabe and Ito (2008), Color Universal Design."""
COLOURS = (BLUE, RED, GREEN, ORANGE, PURPLE, SKY)
"""Colours of lines, in order; with more lines than colours the dashes change.

Yellow is too pale for a line.
"""
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
}

Section = Literal["summary", "samples", "walks", "arithmetic", "curves", "learning", "film", "studies"]


@dataclass(frozen=True)
class Figure:
    """A figure at `path` (.png, with a .pdf beside it).

    key: the row of the table that it shows, or None for all of them.
    caption: how to read it.
    alt: a description for readers who cannot see it.
    wide: it is for two columns of a page, and shows the same as one that is not.
    """

    path: Path
    section: Section
    title: str
    caption: str
    alt: str
    key: Key | None = None
    wide: bool = False


def name_curves(legend: Any) -> None:
    """Show the names in a matplotlib Legend as they are: a $ in one starts no formula."""
    for text in legend.get_texts():
        text.set_parse_math(False)


@contextmanager
def paper() -> Iterator[None]:
    """Draw with matplotlib's own defaults and `RC`, whatever a user's matplotlibrc says.

    Figures are drawn by Agg, so the backend does not matter. One that matplotlib does not
    know, as MPLBACKEND may name, would keep it from being imported.

    Raises:
        BenchError: matplotlib cannot be imported.
    """
    backend = None if "matplotlib" in sys.modules else os.environ.pop("MPLBACKEND", None)
    try:
        import matplotlib

        if backend:
            with suppress(ValueError):
                matplotlib.rcParams["backend"] = backend
    except Exception as error:  # as for a matplotlibrc that is not text
        raise BenchError(
            f"report: matplotlib cannot be imported ({error}); repair that, then draw by `bench report`"
        ) from error
    finally:
        if backend is not None:
            os.environ["MPLBACKEND"] = backend
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(RC)
        yield


@dataclass(frozen=True)
class Drawn:
    """A matplotlib Figure and the texts of a `Figure`."""

    canvas: Any
    title: str
    caption: str
    alt: str


def figure_at(
    path: Path,
    section: Section,
    of: str,
    draw: Callable[[], Drawn] | None,
    key: Key | None = None,
    *,
    content: str = "",
) -> Figure | None:
    """Draw a figure to `path`, unless it is there already and up to date; return it.

    It is up to date if it was drawn `of` the same, by the same code and from the same
    `content`. `of` is what the records say of its source, `content` what the source
    holds. Where there is nothing to draw it from (`draw` is None), `of` alone decides.

    None where there is no figure, or it shows something else, or its file was edited:
    `sweep` then deletes it.
    """
    texts, by = texts_of(path), f"{drawn_by()} {content}".strip()
    as_drawn = texts.get(OF) == of and is_as_drawn(path, texts)
    if as_drawn and (draw is None or texts.get(BY) == by):
        return Figure(path, section, texts["Title"], texts["Description"], texts["Comment"], key)
    if draw is None:
        return None  # the file shows something else: `sweep` deletes it
    with paper():
        drawn = draw()
        texts = {"Title": drawn.title, "Description": drawn.caption, "Comment": drawn.alt}
        keep(drawn.canvas, path, {OF: of, BY: by, **texts})
    return Figure(path, section, drawn.title, drawn.caption, drawn.alt, key)


def keep(canvas: Any, path: Path, texts: Mapping[str, str]) -> None:
    """Write a matplotlib Figure to `path` (.png), and beside it as .pdf.

    The PDF is written first: where the PNG is whole, both are.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    pdf, png = io.BytesIO(), io.BytesIO()
    with warnings.catch_warnings():
        # A user's name may have characters that the font lacks; the page has it as text.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        # A legend may have more rows than there is room for.
        warnings.filterwarnings("ignore", "constrained_layout not applied")
        canvas.savefig(
            pdf,
            format="pdf",
            metadata={
                "CreationDate": None,
                "Keywords": texts[OF],
                "Title": texts["Title"],
                "Subject": path.stem,
                "Creator": CREATOR,
            },
        )
        canvas.dpi = DPI
        agg = FigureCanvasAgg(canvas)
        agg.draw()  # type: ignore[no-untyped-call]  # matplotlib leaves it without types
    drawn = np.asarray(agg.buffer_rgba())  # type: ignore[no-untyped-call]  # as above
    image, named = Image.fromarray(drawn).convert("RGB"), PngInfo()
    for name, text in texts.items():
        named.add_itxt(name, text)
    named.add_itxt(FILE, path.stem)
    named.add_itxt(HOLDS, holds(image, pdf.getvalue(), texts))
    if image.getcolors(256):  # exact with a palette, and a third of the size
        image = image.quantize(256, dither=Image.Dither.NONE)
    image.save(png, "PNG", dpi=(DPI, DPI), pnginfo=named)
    write_atomically(path.with_suffix(".pdf"), pdf.getvalue())
    write_atomically(path, png.getvalue())


def drawn_by() -> str:
    """Return the digest of the code that draws.

    matplotlib's version is not in it: a new one draws what is missing, not what is there.
    """
    return content_digest([source_of(name).digest for name in DRAWING])


def texts_of(path: Path) -> dict[str, str]:
    """Return the text fields of a PNG, none where the file is missing or damaged.

    Such a figure is drawn anew.
    """
    from PIL import Image

    try:
        with Image.open(path) as image:
            texts = {str(name): text for name, text in image.info.items() if isinstance(text, str)}
            image.verify()
            return texts
    except Exception:  # noqa: BLE001  # Pillow raises many kinds of error for damaged files
        return {}


def is_as_drawn(path: Path, texts: Mapping[str, str]) -> bool:
    """Return whether a figure's pixels, its PDF and its texts are still as written."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            return texts.get(HOLDS) == holds(
                image.convert("RGB"), path.with_suffix(".pdf").read_bytes(), texts
            )
    except Exception:  # noqa: BLE001  # as above
        return False


def holds(image: Any, pdf: bytes, texts: Mapping[str, str]) -> str:
    """Return the digest of a figure: of its RGB pixels, its PDF and its texts."""
    said = {name: texts[name] for name in (OF, BY, "Title", "Description", "Comment")}
    return content_digest(bytes_digest(repr(image.size).encode() + image.tobytes()), bytes_digest(pdf), said)


def bytes_digest(content: bytes) -> str:
    """Return 16 hex digits of the SHA-256 of bytes."""
    return hashlib.sha256(content).hexdigest()[:16]


def sweep(folder: Path, figures: Iterable[Figure]) -> None:
    """Delete the figures in a folder that are not among `figures`.

    Files that no report has drawn stay, and so do a user's copies under other names.
    """
    kept = {figure.path for figure in figures}
    for path in folder.glob("*.png"):
        if path not in kept and is_ours(path):
            path.unlink()
    for path in folder.glob("*.pdf"):
        if path.with_suffix(".png") not in kept and is_ours(path):
            path.unlink()


def is_ours(path: Path) -> bool:
    """Return whether a PNG or PDF is a figure under the name by which it was drawn."""
    if not path.is_file():
        return False
    if path.suffix == ".png":
        texts = texts_of(path)
        drawn, name = OF in texts, texts.get(FILE)
    else:
        content = path.read_bytes()
        found = re.search(rb"/Subject \(([^()]*)\)", content)
        drawn, name = f"/Creator ({CREATOR})".encode() in content, found and found[1].decode("latin-1")
    return drawn and (OURS.fullmatch(path.stem) is not None if name is None else name == path.stem)
