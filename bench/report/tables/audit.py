"""How is the audit of a data set printed?"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from genmodel_bench.report.audit import PURPOSES, SURE, Judged, best_for, said
from genmodel_bench.report.tables.columns import DASH, MINUS, view_title
from genmodel_bench.report.tables.render import escape_markdown


def audit_as_markdown(dataset: str, of: Sequence[Judged]) -> str:
    """Return the audit of a data set: purposes, effects, orders and costs."""
    sizes = sorted({size for j in of for size in j.effects})
    probes = list(dict.fromkeys(p for j in of for found in j.effects.values() for p in found))
    middle = sizes[len(sizes) // 2]
    purposes = [
        [f"{wanted} ({', '.join(looked)})", *best(of, looked)]
        for wanted, looked in PURPOSES.items()
        if set(looked) <= set(probes)
    ]
    parts = [
        f"# The metrics, audited on {escape_markdown(dataset)}",
        "Every metric scores images whose order is known (`bench audit`). Half of the training images are "
        "what it is told was trained on; the other half are unseen real images. The effect of a probe is how "
        "much worse than unseen real images a score says it is, in standard errors of the difference: an "
        f"order is held at {SURE:g} or more, inverted at {MINUS}{SURE:g} or less, and silent in between.",
        "## The metric of each purpose",
        "Scores that find every probe of a purpose and invert none at any N; first the one whose smallest "
        f"effect at N = {middle:,}, in brackets, is largest.",
        grid(["to find", "first", "second", "third"], purposes),
    ]
    for size in sizes:
        rows = [[*line(j, probes, size), f"{j.seconds[size]:.1f}"] for j in of if size in j.effects]
        parts += [f"## Effects at N = {size:,}", grid(["score", "table", *probes, "seconds"], rows)]
    counted = [f"held / silent / inverted, N = {size:,}" for size in sizes]
    parts += [
        "**Bold**: a known order that is inverted. ‡: it breaks a promise that the metric makes. Seconds: of "
        "all scores of the metric on a probe, the median over probes.",
        "## Orders",
        grid(
            ["score", *counted, "inverted at any N", "promises broken"],
            [[escape_markdown(j.title), *counts(j, sizes), inverted(j), said(j) or DASH] for j in of],
        ),
    ]
    return "\n\n".join(parts) + "\n"


def best(of: Sequence[Judged], probes: Sequence[str]) -> list[str]:
    """Return the three best scores for a purpose, with their smallest effects."""
    found = [f"{escape_markdown(j.title)} ({least:.0f})" for j, least in best_for(of, probes)[:3]]
    return [*found, *[DASH] * (3 - len(found))]


def line(j: Judged, probes: Sequence[str], size: int) -> list[str]:
    """Return a score's line at one size: its title, table, and effect of each probe."""
    mark = " ‡" if any(at == size for _, _, at in j.broken) else ""
    wrong = j.found(size)["inverted"]
    texts = []
    for probe in probes:
        effect = j.effects[size].get(probe)
        text = DASH if effect is None else f"{effect:.1f}".replace("-", MINUS)
        texts.append(f"**{text}**" if probe in wrong else text)
    return [escape_markdown(j.title) + mark, view_title(j.view), *texts]


def counts(j: Judged, sizes: Sequence[int]) -> list[str]:
    """Return how many known orders are held, silent and inverted at each size."""
    return [
        " / ".join(str(len(found)) for found in j.found(size).values()) if size in j.effects else DASH
        for size in sizes
    ]


def inverted(j: Judged) -> str:
    """Return the known orders that a score inverts at any size."""
    found = dict.fromkeys(probe for size in j.effects for probe in j.found(size)["inverted"])
    return ", ".join(found) or DASH


def grid(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a pipe table, its first column to the left."""
    aligned = ["left", *["right"] * (len(titles) - 1)]
    frame = pd.DataFrame(rows, columns=list(titles))
    return str(frame.to_markdown(index=False, colalign=aligned, disable_numparse=True))
