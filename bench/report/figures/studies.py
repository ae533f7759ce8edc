"""Which figures do the studies of a data set have?

Each is drawn from the rows of `studies/NAME.csv` alone, which `bench study` writes; the
film also from what that keeps in `.cache/studies`.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from genmodel_bench.report.figures.curves import DRAWN
from genmodel_bench.report.figures.figure import TWO_COLUMNS, Drawn, Figure, figure_at
from genmodel_bench.report.figures.measured import Found
from genmodel_bench.report.figures.mosaic import Tile, draw_tiles
from genmodel_bench.storage.arrays import kept_arrays
from genmodel_bench.storage.code import code_digests
from genmodel_bench.storage.digest import content_digest
from genmodel_bench.storage.studied import REAL, code_of, path_of, read_studied

FILMS = ("helvetica",)
"""The studies that have a film."""


def draw_studies(folder: Path, cache: Path) -> list[Figure]:
    """Draw the figures of the studies of a data set under its `folder`; return them.

    cache: where the frames of films are kept.
    """
    figures: list[Figure] = []
    code = content_digest(code_digests(__name__))
    for name, draws in DRAWN.items():
        rows = read_studied(path_of(folder, name))
        rows = [r for r in rows if r.recipe == rows[-1].recipe]
        if not any(r.status == "ok" and r.setting != REAL for r in rows):
            continue
        found, place = Found(rows), folder / "studies"
        of = content_digest(
            [
                [r.key, r.setting, r.at, r.seed, r.step, r.quantity, r.value, r.status]
                for r in rows
                if r.quantity
            ]
        )
        drawn = [figure_at(place / f"{name}.png", "studies", of, partial(draws, found), content=code)]
        if name in FILMS:
            drawn.append(film_at(place / f"{name}-film.png", found, cache, code))
        stale = rows[0].code != code_of(name)
        text = f" Made by other code than today's; `bench study {name}` makes it anew." * stale
        figures += [replace(figure, caption=figure.caption + text) for figure in drawn if figure]
    return figures


def film_at(path: Path, found: Found, cache: Path, code: str) -> Figure | None:
    """Return the film of a study: samples of the lowest seed, a row for each value of j.

    Where no frames are kept, as in a clone, a film that is there stays.
    """
    keys = {r.at: r.key for r in found.rows if r.setting == "j" and r.seed == found.seeds[0] and not r.failed}
    kept = {at: kept_arrays(cache / "studies" / f"{key}.safetensors", key) for at, key in keys.items()}
    films = {at: (of[0]["film"], of[1]["steps"]) for at, of in kept.items() if of and "film" in of[0]}
    draw = partial(film, found, films) if len(films) == len(keys) else None
    return figure_at(path, "studies", content_digest("film", keys), draw, content=code)


def film(found: Found, films: dict[str, tuple[Any, list[int]]]) -> Drawn:
    """Return samples at three moments side by side, a row for each j."""
    steps = next(iter(films.values()))[1]
    chosen = sorted({steps[0], steps[len(steps) // 2], steps[-1]})
    rows, titles = [], list[str]()
    for frames, at in films.values():
        row: list[Tile] = []
        for step in chosen:
            row += [Tile()] * bool(row) + [Tile(image) for image in frames[at.index(step)]]
        rows.append(row)
    n = len(next(iter(films.values()))[0][0])
    for step in chosen:
        titles += [""] * bool(titles) + [f"{step:,} updates of D" if i == n // 2 else "" for i in range(n)]
    return Drawn(
        draw_tiles(rows, width=TWO_COLUMNS, titles=titles, left=[f"j = {at}" for at in films]),
        f"Helvetica: samples, on {found.dataset}",
        f"The first {n} draws, none chosen, of seed {found.seeds[0]}, after as many updates of D, on "
        "as many images; G has j times as many. The codes are the same in all rows and at all moments.",
        f"{len(films)} rows of samples, for j = {', '.join(films)}, at {len(chosen)} moments of training",
    )
