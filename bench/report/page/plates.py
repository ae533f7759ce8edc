"""How do figures stand in the page: in which section, how large, with which words?

What the captions of a section share is said once, above its figures. Each file is in the
page once: the PNG that is shown, and the PDF to be downloaded.
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from genmodel_bench.report.figures.figure import ONE_COLUMN, Figure, Section

SECTIONS: dict[Section, str] = {
    "summary": "The rows at a glance",
    "samples": "Samples",
    "walks": "Walks between draws",
    "arithmetic": "Arithmetic on codes",
    "curves": "Curves behind the scores",
    "learning": "Learning curves",
    "film": "The course of training",
    "studies": "Studies",
}
"""The sections of figures, in order, with their headings."""
ENLARGED = 1.8
"""How much larger than on paper a figure is shown, if its file gives its size.

Its font of 7 points then has the size of the text around it, and a figure for two columns
the width of the page.
"""


@dataclass(frozen=True)
class Image:
    """A PNG in base64, its width and height in CSS pixels, and its PDF in base64."""

    png: str
    width: int
    height: int
    pdf: str


@dataclass(frozen=True)
class Picture:
    """A figure in the page.

    caption: what its section does not say of all figures.
    file: the name of its PDF, without the suffix.
    image: as it is shown on narrow screens, and on broad ones where there is no `wide`.
    """

    id: str
    figure: Figure
    caption: str
    file: str
    image: Image
    wide: Image | None

    @property
    def broad(self) -> bool:
        """Return whether it would be unreadable when shrunk to a narrow screen."""
        return self.image.width > 1.5 * ONE_COLUMN * 96 * ENLARGED

    @property
    def across(self) -> bool:
        """Return whether it takes the whole width of the page."""
        return self.broad or self.wide is not None


@dataclass(frozen=True)
class Group:
    """Figures that are alike, with what is to be said of all of them."""

    says: str
    pictures: list[Picture]


@dataclass(frozen=True)
class Part:
    """The figures of one section: those of all rows, then those of single rows."""

    groups: list[Group]

    @property
    def pictures(self) -> list[Picture]:
        """Return all figures, in order."""
        return [picture for group in self.groups for picture in group.pictures]


def plates_of(figures: Sequence[Figure]) -> dict[Section, Part]:
    """Return the sections that have figures whose files exist, in order."""
    there = [figure for figure in figures if figure.path.exists()]
    wide = {f.path.with_name(f.path.name.replace("-wide.png", ".png")): f for f in there if f.wide}
    found: dict[Section, Part] = {}
    for section in SECTIONS:
        own = [figure for figure in there if figure.section == section and not figure.wide]
        kinds = [[f for f in own if f.key is None], [f for f in own if f.key is not None]]
        groups = [group_of(section, kind, i, wide) for i, kind in enumerate(kinds) if kind]
        if groups:
            found[section] = Part(groups)
    return found


def group_of(section: Section, figures: Sequence[Figure], i: int, wide: dict[Path, Figure]) -> Group:
    """Return figures as they are shown, with what their captions share said once.

    They stand in twos; the last of an odd number has the form for two columns, if there
    is one, for the place beside it is free.
    """
    said = [sentences(figure.caption) for figure in figures]
    shared = [s for s in said[0] if len(said) > 1 and all(s in other for other in said)]
    pictures = []
    for j, (figure, own) in enumerate(zip(figures, said, strict=True)):
        alone = j == len(figures) - 1 and len(figures) % 2
        other = wide.get(figure.path) if alone else None
        pictures.append(
            Picture(
                f"{section}-{i}-{j}",
                figure,
                " ".join(s for s in own if s not in shared),
                figure.path.stem,
                image_of(figure),
                image_of(other) if other else None,
            )
        )
    return Group(" ".join(shared), pictures)


def sentences(text: str) -> list[str]:
    """Return the sentences of a caption."""
    return re.split(r"(?<=[.!?]) (?=[A-Z])", text)


def image_of(figure: Figure) -> Image:
    """Return the files of a figure for the page."""
    from PIL import Image as Opened

    png, pdf = figure.path.read_bytes(), figure.path.with_suffix(".pdf")
    with Opened.open(io.BytesIO(png)) as image:
        scale = 96 / image.info["dpi"][0] * ENLARGED if image.info.get("dpi", (0,))[0] else 1.0
        width, height = (round(pixels * scale) for pixels in image.size)
    vector = base64.b64encode(pdf.read_bytes()).decode() if pdf.exists() else ""
    return Image(base64.b64encode(png).decode(), width, height, vector)
