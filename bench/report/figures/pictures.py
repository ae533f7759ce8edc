"""Which pictures are drawn of a model: samples, walks, arithmetic, the film of training?

Samples are shown beside training images; walks and arithmetic are in latent space.
Samples and walks are Figures 2 and 3 of Goodfellow et al. (2014). Nothing is chosen by
hand: they show the first draws that were stored, of the lowest seed. Images of two pixels
are drawn as points (`plane.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from genmodel_bench.report.examples import scores_of
from genmodel_bench.report.figures.figure import (
    BLUE,
    OF,
    ONE_COLUMN,
    TWO_COLUMNS,
    Drawn,
    Figure,
    Section,
    figure_at,
    texts_of,
)
from genmodel_bench.report.figures.lines import Line, visuals_of
from genmodel_bench.report.figures.mosaic import Tile, draw_tiles
from genmodel_bench.report.figures.plane import (
    UNKNOWN,
    Density,
    density_of,
    draw_points,
    draw_walks,
    is_plane,
)
from genmodel_bench.storage.arrays import Arrays, digest_of
from genmodel_bench.storage.digest import content_digest
from genmodel_bench.storage.record import Record

ROWS, COLUMNS = 4, 5
YELLOW = "#FFC800"
"""The frame of the nearest training image, as in the paper.

That of the nearest under shifts is blue.
"""
FILM_POINTS = 6
SHOWN = {
    *("shown_samples", "shown_neighbours", "shown_shifted_neighbours"),
    *("shown_shifted_distance", "distance"),
}
"""The arrays of a score from which samples are shown."""
POINTS = "points"
"""The array of a score that holds more samples, where these are points of the plane."""

About = Mapping[str, Any]


def pictures_of(line: Line, folder: Path, cache: Path) -> Iterator[Figure]:
    """Yield the pictures of a line, drawn now or found on disk."""

    def at(
        section: Section, of: str, draw: Callable[[], Drawn] | None, content: str = ""
    ) -> Iterator[Figure]:
        found = figure_at(
            folder / f"{section}-{line.file_name}.png", section, of, draw, line.key, content=content
        )
        yield from [found] if found else []

    for scored, arrays in shown_of(line, cache, folder / f"samples-{line.file_name}.png"):
        shown = partial(samples, line.name, arrays, density_of(scored, cache)) if arrays else None
        yield from at("samples", scored.score_key, shown)
    for sampled in (r for r in line.sampled[:1] if r.role == "model"):
        visuals, about = visuals_of(sampled, cache) or ({}, {})
        where = density_of(sampled, cache)
        of = content_digest(sampled.cell, sampled.weights, sampled.recipe)
        content = digest_of(visuals) if visuals else ""
        drawings: tuple[tuple[Section, str, Callable[[], Drawn]], ...] = (
            ("walks", "walks", partial(walks, line.name, visuals, about, where)),
            ("arithmetic", "sums", partial(arithmetic, line.name, visuals, about)),
            ("film", "film", partial(film, line.name, visuals, about, where)),
        )
        for section, array, draw in drawings:
            yield from at(section, of, draw if array in visuals else None, content)


def shown_of(line: Line, cache: Path, path: Path) -> Iterator[tuple[Record, Arrays]]:
    """Yield the row, of the lowest seed, whose metric keeps samples to show; its arrays.

    Where none is at hand, the row from which the picture at `path` was drawn, if it is
    there, without arrays.
    """
    ok = [r for r in line.records if r.ok]
    rows = {r.score_key: r for r in reversed(ok) if r.seed == ok[0].seed}
    for r in sorted(rows.values(), key=lambda r: r.metric != "known-density"):
        arrays = scores_of(r, cache)
        if POINTS in arrays or arrays.keys() >= SHOWN:
            yield r, arrays
            return
    drawn_of = texts_of(path).get(OF, "")
    if drawn_of in rows:
        yield rows[drawn_of], {}


def samples(name: str, arrays: Arrays, density: Density = UNKNOWN) -> Drawn:
    """Return Figure 2: rows of draws, and beside each row two training images.

    The draws are the first that were stored. The training images are the one nearest to
    the last draw of the row, and the one nearest if the draw may be shifted by a pixel.
    """
    if POINTS in arrays or is_plane(arrays["shown_samples"]):
        points = arrays[POINTS if POINTS in arrays else "shown_samples"]
        return Drawn(
            draw_points([points], density),
            f"Samples of {name}",
            f"{density.said}Points: the first {len(points):,} draws, none chosen.",
            f"{len(points):,} points drawn from {name}",
        )
    drawn, near, shifted = (
        arrays["shown_samples"],
        arrays["shown_neighbours"],
        arrays["shown_shifted_neighbours"],
    )
    across = min(COLUMNS, len(drawn))
    lasts = [(i + 1) * across - 1 for i in range(min(ROWS, len(drawn) // across))]
    rows = [
        [
            *(Tile(x) for x in drawn[last + 1 - across : last + 1]),
            Tile(near[last], YELLOW),
            Tile(shifted[last], BLUE),
        ]
        for last in lasts
    ]
    shown = len(lasts) * across
    moved = np.any(near[:shown] != shifted[:shown], axis=(1, 2, 3)).sum()
    pixel, best = arrays["distance"][:shown], arrays["shown_shifted_distance"][:shown]
    closer = f"Moved, another image is nearest for {moved} of {shown} samples"
    apart = pixel > 0  # a copy is at distance 0 already
    nearer = (
        f", and the distance falls by {100 * (1 - np.median(best[apart] / pixel[apart])):.0f} % in the median"
        if apart.any()
        else ""
    )
    return Drawn(
        draw_tiles(rows, width=ONE_COLUMN),
        f"Samples of {name}",
        f"The first {shown} draws, {across} in a row, none chosen. Framed in yellow: the training image "
        "nearest in squared distance of pixels to the draw on its left. Framed in blue: the nearest if the "
        f"draw may be moved by up to one pixel each way. {closer}{nearer}.",
        f"{shown} images drawn from {name}; beside the last of each row the training image nearest to it, "
        "then the nearest when the draw may be moved by one pixel",
    )


def walks(name: str, visuals: Arrays, about: About, density: Density = UNKNOWN) -> Drawn:
    """Return Figure 3: in each row, images on the way between two draws of the prior."""
    straight = about.get("prior") == "uniform"
    way = "straight lines, as in the paper" if straight else "great circles, for the prior is Gaussian"
    if is_plane(visuals["walks"]):
        return Drawn(
            draw_walks(visuals["walks"], density),
            f"Walks through the latent space of {name}",
            f"{density.said}The ends of each line are two draws of the prior, the first that came, and the "
            f"points between them are evenly spaced there. They lie on {way}.",
            f"{len(visuals['walks'])} lines of {visuals['walks'].shape[1]} points by {name}",
        )
    return Drawn(
        draw_tiles([[Tile(x) for x in row] for row in visuals["walks"]], width=ONE_COLUMN),
        f"Walks through the latent space of {name}",
        "In each row the ends are two draws of the prior, the first that came, and the images between them "
        f"are evenly spaced. They lie on {way}.",
        f"{len(visuals['walks'])} rows of {visuals['walks'].shape[1]} images by {name}, the first of a row "
        "changing into the last step by step",
    )


def arithmetic(name: str, visuals: Arrays, about: About) -> Drawn:
    """Return rows of a − b + c = result.

    Each term is the mean of three codes, whose images are shown beside it.
    """
    rows, left = [], []
    for i, (*kinds, result) in enumerate(about["kinds"]):
        row: list[Tile] = []
        for sign, members, mean in zip(
            ("", "−", "+"), visuals["members"][i], visuals["means"][i], strict=True
        ):
            row += [Tile(text=sign)] * bool(sign) + [*(Tile(x) for x in members), Tile(mean, BLUE)]
        rows.append([*row, Tile(text="="), Tile(visuals["sums"][i], YELLOW)])
        left.append(f"{kinds[0]} − {kinds[1]} + {kinds[2]}\n= {result}")
    return Drawn(
        draw_tiles(rows, width=TWO_COLUMNS, left=left),
        f"Arithmetic in the latent space of {name}",
        "Three codes of one label and the image of their mean (blue), minus a second mean, plus a third; "
        "yellow: the image of the result. Codes are the first draws of each label, labels those of the "
        "nearest training image; the label after = is the result's.",
        f"{len(rows)} sums of codes of {name}: " + "; ".join(text.replace("\n", " ") for text in left),
    )


def film(name: str, visuals: Arrays, about: About, density: Density = UNKNOWN) -> Drawn:
    """Return the film of training.

    It has a column for each epoch whose weights were kept, and a row for each latent
    point or chain.
    """
    frames, epochs = visuals["film"], about["epochs"]
    fixed = "the same latent point" if "walks" in visuals else "the same random numbers"
    if is_plane(frames):
        return Drawn(
            draw_points(list(frames), density, titles=[str(e) for e in epochs]),
            f"Training of {name}",
            f"Over each panel the number of epochs (of the last stage) after which it was drawn. "
            f"{density.said}Points: {frames.shape[1]:,} draws, from the same random numbers in each panel.",
            f"Points by {name} after {', '.join(map(str, epochs))} epochs, {frames.shape[1]:,} of each",
        )
    frames = frames[:, :FILM_POINTS]
    return Drawn(
        draw_tiles(
            [[Tile(x) for x in frames[:, i]] for i in range(frames.shape[1])],
            width=TWO_COLUMNS,
            titles=[str(e) for e in epochs],
        ),
        f"Training of {name}",
        "Over each column the number of epochs (of the last stage) after which it was drawn. Along a row: "
        f"{fixed}.",
        f"Images by {name} after {', '.join(map(str, epochs))} epochs, {frames.shape[1]} of each",
    )
