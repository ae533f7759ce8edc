"""What does each score make of images whose order is known, at a glance?

A row for each score, a column for each probe, and a panel for each size; the colour is
the effect in standard errors.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from genmodel_bench.report.audit import SURE, Judged
from genmodel_bench.report.figures.figure import TWO_COLUMNS, Drawn, Figure, figure_at
from genmodel_bench.report.tables.columns import view_title
from genmodel_bench.storage.code import code_digests
from genmodel_bench.storage.digest import content_digest

PER_ROW, BESIDE_ROWS = 0.14, 1.15
"""Inches of height: for each score, and for what stands above and below."""
PALEST, DEEPEST = 1.0, 100.0
"""Effects between these have colours in between, on a logarithmic scale."""


def audit_of(dataset: str, of: Sequence[Judged], folder: Path) -> Iterator[Figure]:
    """Yield the figure of a data set's audit, if there is one."""
    if of:
        what = [[j.name, j.title, j.view, j.effects, j.broken] for j in of]
        drawn = partial(draw, dataset, of)
        code = content_digest(code_digests(__name__))
        found = figure_at(folder / "audit.png", "curves", content_digest("audit", what), drawn, content=code)
        yield from [found] if found else []


def draw(dataset: str, of: Sequence[Judged]) -> Drawn:
    """Return the figure."""
    from matplotlib.figure import Figure as Canvas

    sizes = sorted({size for j in of for size in j.effects})
    probes = list(dict.fromkeys(p for j in of for found in j.effects.values() for p in found))
    canvas = Canvas(figsize=(TWO_COLUMNS, BESIDE_ROWS + PER_ROW * len(of)), layout="constrained")
    panels = canvas.subplots(1, len(sizes), sharey=True, squeeze=False)[0]
    for axes, size in zip(panels, sizes, strict=True):
        values = [[shade(j.effects.get(size, {}).get(p)) for p in probes] for j in of]
        image = axes.imshow(values, cmap="RdBu", vmin=-1, vmax=1, aspect="auto")
        axes.set_title(f"N = {size:,}")
        axes.set_xticks(range(len(probes)), probes, rotation=60, ha="right", rotation_mode="anchor")
        for i, j in enumerate(of):
            for k, probe in enumerate(probes):
                mark = marked(j, probe, size)
                if mark:
                    axes.text(k, i, mark, ha="center", va="center", fontsize=5)
        axes.tick_params(length=0)
        for spine in axes.spines.values():
            spine.set_visible(False)
        for i in (i for i in range(1, len(of)) if of[i].view != of[i - 1].view):
            axes.axhline(i - 0.5, color="black", linewidth=0.6)
    panels[0].set_yticks(range(len(of)), [j.title for j in of])
    for label in panels[0].get_yticklabels():
        label.set_parse_math(False)
    bar = canvas.colorbar(image, ax=list(panels), fraction=0.02, pad=0.01)
    ticks = (-DEEPEST, -10, -SURE, SURE, 10, DEEPEST)
    bar.set_ticks([shade(t) for t in ticks], labels=[f"{t:g}".replace("-", "−") for t in ticks])
    bar.set_label("effect, standard errors")
    views = list(dict.fromkeys(view_title(j.view) for j in of))
    return Drawn(
        canvas,
        f"The metrics, audited on {dataset}",
        "How much worse than unseen real images each score says a probe is, in standard errors of the "
        "difference: blue is worse, red is better than real. A cross marks a known order that is inverted, a "
        f"dot one that is not told apart ({SURE:g} standard errors); from top to bottom: {', '.join(views)}.",
        f"A grid of {len(of)} scores by {len(probes)} probes at {len(sizes)} sizes.",
    )


def shade(effect: float | None) -> float:
    """Return an effect as a colour from −1 to 1, on a symmetric logarithmic scale."""
    if effect is None:
        return math.nan
    size = min(max(abs(effect), PALEST), DEEPEST)
    return math.copysign(math.log(size / PALEST) / math.log(DEEPEST / PALEST), effect)


def marked(j: Judged, probe: str, size: int) -> str:
    """Return a cross for an inverted order, a dot for a silent one, else nothing."""
    if size not in j.effects:
        return ""
    found = j.found(size)
    return "×" if probe in found["inverted"] else "·" if probe in found["silent"] else ""
