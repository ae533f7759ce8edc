"""Which orders of the audit's probes does each score give, and which does it invert?

The effect of a probe is how much worse than unseen real images a score says it is, in
standard errors:

    effect = ± (real − probe) / √(SE² of real + SE² of probe)

An order is held where the effect is at least 2, inverted at −2 or less, and silent in
between. Known orders: of quality, likelihood and features, that every probe but copies is
worse than real images; of memorisation, that copies are, and 5 % copies are.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from genmodel_bench.report.tables.columns import VIEWS, Column
from genmodel_bench.storage.audited import Audited, read_audit

SURE = 2.0
"""An order is told from chance where its effect is at least this many standard errors."""
MOST = 999.0
"""The largest effect that is told apart: of two scores without any error."""
REAL = "real"
PURPOSES = {
    "images that are blurred, noisy or shifted": ("blurred", "noisy", "shifted"),
    "classes that are missing": ("nine classes", "one class"),
    "prototypes in place of images": ("kmeans",),
    "copies of training images": ("copies",),
    "a few copies among new images": ("5% copies",),
}
"""What a reader wants to find, and the probes that have it."""
FEWEST = 300
"""A promise holds from so many samples on."""


@dataclass(frozen=True)
class Judged:
    """A score of the audit, and what it says of each probe.

    name: (metric, quantity); title: that of its column.
    effects: by size, then by probe, in standard errors; positive where the probe is worse
        than real images.
    seconds: of its metric on a probe, by size: the median over probes.
    promises: pairs (better, worse) of probes.
    broken: the promises that it breaks, as (better, worse, size).
    """

    name: tuple[str, str]
    title: str
    view: str
    effects: Mapping[int, Mapping[str, float]]
    seconds: Mapping[int, float]
    promises: Sequence[tuple[str, str]]
    broken: Sequence[tuple[str, str, int]]

    @property
    def known(self) -> tuple[str, ...]:
        """Return the probes that are known to be worse than real images."""
        if self.view == "memorisation":
            return ("copies", "5% copies")
        return ("kmeans", "blurred", "noisy", "shifted", "nine classes", "one class", "mean image")

    def found(self, size: int) -> dict[str, list[str]]:
        """Return which of the known orders are held, silent and inverted at a size."""
        found: dict[str, list[str]] = {"held": [], "silent": [], "inverted": []}
        for probe in self.known:
            if probe in self.effects[size]:
                effect = self.effects[size][probe]
                kind = "held" if effect >= SURE else "inverted" if effect <= -SURE else "silent"
                found[kind].append(probe)
        return found


def judged(rows: Sequence[Audited]) -> list[Judged]:
    """Return what the audit says of each score that has a column and a direction.

    They are in the order of the tables that show them.
    """
    by_score: dict[tuple[str, str], list[Audited]] = {}
    for r in rows:
        if r.status == "ok" and r.better in ("higher", "lower") and r.column != "{}":
            by_score.setdefault((r.metric, r.quantity), []).append(r)
    views = list(VIEWS)
    found = [judge(name, of) for name, of in by_score.items()]
    return sorted(found, key=lambda j: views.index(j.view) if j.view in views else len(views))


def judge(name: tuple[str, str], rows: Sequence[Audited]) -> Judged:
    """Return what the rows of one score say."""
    said = json.loads(rows[0].column)
    scores: dict[int, dict[str, Audited]] = {}
    for r in rows:
        scores.setdefault(r.size, {})[r.probe] = r
    scores = {size: found for size, found in sorted(scores.items()) if REAL in found}
    effects = {
        size: {probe: effect(found[REAL], r) for probe, r in found.items() if probe != REAL}
        for size, found in scores.items()
    }
    promises = tuple((str(better), str(worse)) for better, worse in said.get("promises", ()))
    broken = [
        (better, worse, size)
        for size, found in scores.items()
        for better, worse in promises
        if {better, worse} <= found.keys()
        and is_broken(effect(found[better], found[worse]), size, max(scores))
    ]
    seconds = {size: statistics.median(r.seconds for r in found.values()) for size, found in scores.items()}
    return Judged(name, said["title"], said.get("table", "quality"), effects, seconds, promises, broken)


def is_broken(found: float, size: int, largest: int) -> bool:
    """Return whether an effect is inverted, or silent at the largest size."""
    return size >= FEWEST and (found <= -SURE or (size == largest and found < SURE))


def effect(better: Audited, worse: Audited) -> float:
    """Return how much worse the second is than the first, in standard errors."""
    sign = 1 if better.better == "higher" else -1
    apart, error = sign * (better.value - worse.value), math.hypot(better.error, worse.error)
    if apart == 0:
        return 0.0
    return max(-MOST, min(MOST, apart / error)) if error else math.copysign(MOST, apart)


def broken_promises(folder: Path, columns: Sequence[Column]) -> dict[str, str]:
    """Return which promises columns of a data set break, by their titles."""
    found = {j.name: j for j in judged(read_audit(folder))}
    return {
        column.title: said(found[column.of])
        for column in columns
        if column.is_score and column.of in found and found[column.of].broken
    }


def said(of: Judged) -> str:
    """Return the promises that a score breaks: 'noisy not worse than real (N = 300)'."""
    return ", ".join(f"{worse} not worse than {better} (N = {size:,})" for better, worse, size in of.broken)


def best_for(of: Sequence[Judged], probes: Sequence[str]) -> list[tuple[Judged, float]]:
    """Return the scores that find all of `probes`, best first, with their least effect.

    The effect counts at the middle size, where it is not yet beyond all measure; a score
    that inverts any of them at any size does not count.
    """
    found = []
    for j in of:
        size = sorted(j.effects)[len(j.effects) // 2]
        least = min((j.effects[size].get(p, -MOST) for p in probes), default=-MOST)
        inverts = any(found.get(p, 0.0) <= -SURE for found in j.effects.values() for p in probes)
        if least >= SURE and not inverts:
            found.append((j, least))
    return sorted(found, key=lambda pair: (-pair[1], sum(pair[0].seconds.values())))
