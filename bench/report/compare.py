"""Are two rows of a table told apart, given all that is uncertain in their difference?

Both rows were scored on the same test images. With a_i and b_i what they give to image i
in the mean over seeds, s_a and s_b the standard deviations of the score over m and n
training seeds, the difference of the means has the variance

    v  =  sd(a_i − b_i)² / images  +  s_a² / m  +  s_b² / n.

The first part is of the test images, paired, so what they share cancels; where the values
by image are not at hand it is the sum of both squared standard errors, which is more.
The other parts are of training and of drawing samples. t = difference / √v is compared
with Student's distribution, whose degrees of freedom are those of Welch (1947) and
Satterthwaite (1946), v² / Σ v_k² / dof_k. Where a side has one seed its spread over
training is unknown, and nothing is concluded. Of several pairs the p values are corrected
by Holm's method (1979). Scores of different numbers of samples do not compare, nor do
likelihoods of different supports or kinds.

With three seeds and a spread over training far larger than that over images, some two of
six equal models are told apart in up to 9 % of tables, not in 5 %; with five seeds in 5 %
(`tests/test_differences.py`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any, Literal

import numpy as np
from genmodel_bench.storage.record import Record
from numpy.typing import NDArray

LEVEL = 0.05
"""A pair is told apart if its corrected p value is at most this."""
POWER = 0.8
"""How often a difference that counts as detectable would be found."""
FEWEST = 3
"""Rows with fewer training seeds bear no mark in a table."""

Verdict = Literal["higher", "lower", "not told apart", "unknown"]


@dataclass(frozen=True)
class Standing:
    """What is known of one score of one row.

    values: one for each training seed, in the unit of the score.
    stderr: its standard error over what it is measured on, the mean over seeds.
    n: how many examples, or folds, that error is over.
    examples: the score of each example, or fold, in the mean over seeds, if at hand.
    trained: whether seeds are training runs; a single file of a user's samples is none.
    samples: how many were scored together.
    of: of a likelihood, its support and kind, as "binary, ≤".
    """

    name: str
    values: tuple[float, ...]
    stderr: float
    n: int
    examples: NDArray[np.float64] | None = None
    trained: bool = True
    samples: int = 0
    of: str = ""

    @property
    def mean(self) -> float:
        """Return the mean over seeds."""
        return math.fsum(self.values) / len(self.values)

    @property
    def variance(self) -> float | None:
        """Return the variance of the mean that comes from training; None if unknown."""
        if len(self.values) < 2 or not self.trained:
            return None
        return float(np.var(self.values, ddof=1)) / len(self.values)


@dataclass(frozen=True)
class Difference:
    """How far row `a` is above row `b`, with what is uncertain in it.

    value: the mean of a minus that of b; the errors are standard errors of it.
    seeds: the error from training; None if it is unknown.
    low, high: the interval at 95 %; of the known errors alone where one is unknown.
    t, dof: the statistic and its degrees of freedom; p is two-sided, `corrected` by Holm
        if it is one of several pairs. p is None where nothing can be concluded.
    paired: whether test images are compared one by one.
    unlike: why their scores do not compare, "" if they do.
    better: the direction of the score.
    """

    a: str
    b: str
    value: float
    stderr: float
    examples: float
    seeds: float | None
    low: float
    high: float
    t: float
    dof: float
    p: float | None
    corrected: float | None
    paired: bool
    unlike: str = ""
    unit: str = ""
    better: str = ""

    @property
    def verdict(self) -> Verdict:
        """Return whether a is above or below b, or cannot be told apart from it."""
        if self.corrected is None:
            return "unknown"
        if self.corrected > LEVEL or self.value == 0:
            return "not told apart"
        return "higher" if self.value > 0 else "lower"

    @property
    def sentence(self) -> str:
        """Return the finding in words, without the names of the rows' order."""
        first, second = (self.a, self.b) if self.value >= 0 else (self.b, self.a)
        size = f"{abs(self.value):.4g} ± {self.stderr:.2g} {self.unit}".rstrip()
        low, high = sorted((abs_sign(self.value) * self.low, abs_sign(self.value) * self.high))
        interval = f"95 % interval {minus(low)} to {minus(high)}"
        if self.corrected is None:
            known = f"{first} is above {second} by {size} ({interval} of the known errors)"
            return f"{known}: {self.unlike or 'spread over training unknown'}, no verdict"
        test = (
            f"t = {abs(self.t):.2f} with {self.dof:.1f} degrees of freedom, p {probability(self.corrected)}"
        )
        if self.verdict == "not told apart":
            return (
                f"{self.a} and {self.b} are not told apart: {first} is above by {size} ({interval}; {test})"
            )
        good = {"higher": "better", "lower": "worse"}.get(self.better)
        said = f"above {second} by {size}, which is {good}" if good else f"above {second} by {size}"
        return f"{first} is {said} ({interval}; {test})"


def abs_sign(value: float) -> int:
    """Return the sign of a value, 1 for 0."""
    return -1 if value < 0 else 1


def minus(value: float) -> str:
    """Return a number of four digits with a true minus sign."""
    return f"{value:.4g}".replace("-", "−")


def probability(p: float) -> str:
    """Return a p value for people."""
    return "< 0.001" if p < 0.001 else f"= {p:.2g}"


def difference(a: Standing, b: Standing, *, unit: str = "", better: str = "") -> Difference:
    """Return how far `a` is above `b`, as one pair alone."""
    from scipy.special import stdtr, stdtrit  # here: the command line's help would wait for it

    paired = a.examples is not None and b.examples is not None and len(a.examples) == len(b.examples)
    if paired:
        assert a.examples is not None and b.examples is not None
        n = len(a.examples)
        on_examples = float(np.var(a.examples - b.examples, ddof=1)) / n if n > 1 else 0.0
    else:
        n = min(a.n, b.n)
        on_examples = a.stderr**2 + b.stderr**2
    runs = [(s.variance, len(s.values) - 1) for s in (a, b)]
    known = None not in (v for v, _ in runs)
    parts = [(on_examples, n - 1), *((v, dof) for v, dof in runs if v is not None)]
    total = math.fsum(v for v, _ in parts)
    dof = total**2 / math.fsum(v**2 / max(k, 1) for v, k in parts) if total else math.inf
    value, stderr = a.mean - b.mean, math.sqrt(total)
    t = value / stderr if stderr else math.copysign(math.inf, value) if value else 0.0
    unlike = unlikeness(a, b)
    p = 2 * float(tail(-abs(t), dof, stdtr)) if known and not unlike else None
    reach = quantile(0.975, dof, stdtrit) * stderr
    return Difference(
        a.name,
        b.name,
        value,
        stderr,
        math.sqrt(on_examples),
        math.sqrt(math.fsum(v for v, _ in runs if v is not None)) if known else None,
        value - reach,
        value + reach,
        t,
        dof,
        p,
        p,
        paired,
        unlike,
        unit,
        better,
    )


def unlikeness(a: Standing, b: Standing) -> str:
    """Return why two scores do not compare, "" if they do."""
    if a.samples != b.samples:
        return "their numbers of samples differ"
    return "" if a.of == b.of else f"one is a likelihood of {a.of}, the other of {b.of}"


def tail(t: float, dof: float, stdtr: Any) -> float:
    """Return the probability that Student's t is below `t`; dof may be infinite."""
    from scipy.special import ndtr

    return float(ndtr(t) if math.isinf(dof) else stdtr(dof, t))


def quantile(share: float, dof: float, stdtrit: Any) -> float:
    """Return the quantile of Student's t; dof may be infinite."""
    from scipy.special import ndtri

    return float(ndtri(share) if math.isinf(dof) else stdtrit(dof, share))


def differences(rows: Sequence[Standing], *, unit: str = "", better: str = "") -> list[Difference]:
    """Return the differences of all pairs of rows, their p values corrected by Holm."""
    return corrected([difference(a, b, unit=unit, better=better) for a, b in combinations(rows, 2)])


def corrected(pairs: Sequence[Difference]) -> list[Difference]:
    """Return pairs with p values corrected by Holm; those without a p value stay so."""
    tested = sorted((d.p, i) for i, d in enumerate(pairs) if d.p is not None)
    found, highest = list(pairs), 0.0
    for k, (p, i) in enumerate(tested):
        highest = max(highest, min(1.0, (len(tested) - k) * p))
        found[i] = replace(pairs[i], corrected=highest)
    return found


def detectable(pair: Difference, pairs: int) -> float | None:
    """Return the difference that one of so many pairs would show in 80 % of all cases.

    It is (t(1 − α/2) + t(0.8)) · standard error, with α = 5 % / pairs. None where the
    spread over training is unknown.
    """
    from scipy.special import stdtrit

    if pair.p is None:
        return None
    alpha = LEVEL / max(pairs, 1)
    reach = quantile(1 - alpha / 2, pair.dof, stdtrit) + quantile(POWER, pair.dof, stdtrit)
    return reach * pair.stderr


@dataclass(frozen=True)
class Ranking:
    """Which rows share the best place, and how small a difference each could have shown.

    best: the rows that are not told apart from the best one, itself included; empty where
        fewer than two rows have seeds enough.
    detectable: by row, the least difference to the best one, or of the best one to the
        second, that would have been found.
    """

    best: frozenset[str] = frozenset()
    detectable: Mapping[str, float] = field(default_factory=dict)


def ranking(rows: Sequence[Standing], *, better: str) -> Ranking:
    """Return the ranking of rows by one score, of those with `FEWEST` seeds or more."""
    ranked = [row for row in rows if row.trained and len(row.values) >= FEWEST]
    if len(ranked) < 2:
        return Ranking()
    ranked.sort(key=lambda row: row.mean, reverse=better == "higher")
    best, pairs = ranked[0], differences(ranked, better=better)
    against = {d.b: d for d in pairs if d.a == best.name}
    found = {name: detectable(d, len(pairs)) for name, d in against.items()}
    found[best.name] = found[ranked[1].name]
    same = {name for name, d in against.items() if d.verdict == "not told apart"}
    return Ranking(frozenset({best.name, *same}), {k: v for k, v in found.items() if v is not None})


def standing(
    name: str, rows: Sequence[Record], examples: NDArray[np.float64] | None = None, factor: float = 1.0
) -> Standing | None:
    """Return what is known of a score from its records, one for each seed; None of none.

    examples: of the mean over these seeds. `factor` is what values are multiplied by.
    """
    scored = [r for r in rows if r.value is not None]
    if not scored:
        return None
    errors = [r.stderr or 0.0 for r in scored]
    return Standing(
        name,
        tuple(factor * r.value for r in scored if r.value is not None),
        factor * math.fsum(errors) / len(errors),
        min(r.n or 1 for r in scored),
        None if examples is None else factor * examples,
        trained=scored[0].trained,
        samples=scored[0].samples,
        of=likelihood_of(scored[0]),
    )


def likelihood_of(row: Record) -> str:
    """Return support and kind of a likelihood, as "binary, ≤"; "" of other scores."""
    settings = json.loads(row.metric_settings)
    return ", ".join(text for name in ("support", "kind") if (text := settings.get(name)))
