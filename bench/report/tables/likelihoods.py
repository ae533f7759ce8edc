"""How do Parzen windows and the models' own likelihoods rank the same rows?

The paper's metric is an estimate that the samples alone give; some models say themselves
how probable an image is: exactly, by a bound, or by annealed importance sampling. Both
stand side by side here, and Kendall's τ says how far they agree on the order. Rows are
ranked within one support and number of samples alone: binary images, 17 grey levels,
pixels with noise.

Its interval is that of Fieller, Hartley and Pearson (1957), Tests for rank correlation
coefficients: atanh τ is about normal, with the variance 0.437 / (n − 4) for n rows.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from genmodel_bench.report.tables.columns import (
    BITS,
    KIND,
    OWN_LOG_P,
    OWN_PUBLISHED,
    OWN_RANK,
    PARZEN,
    PARZEN_RANK,
    SUPPORT,
    Key,
    number,
)
from genmodel_bench.report.tables.ledger import mean, values_of
from genmodel_bench.report.tables.published import HEADLINE, OWN, OWN_SCORES, UNCHANGED
from genmodel_bench.storage.record import Record


@dataclass(frozen=True)
class Own:
    """A row's own log-likelihood, nats per image, and what it is of."""

    log_p: float
    kind: str
    support: str
    bits: float | None


def side_by_side(
    dataset: str, groups: Mapping[Key, Sequence[Record]]
) -> tuple[dict[Key, dict[str, object]], str]:
    """Return the columns of each row that has a likelihood of its own, and τ in words.

    groups: the records of a data set, by row.
    """
    rows = {key: [r for r in records if not r.doubt] for key, records in groups.items()}
    own = {key: found for key, records in rows.items() if (found := own_of(records))}
    parzen = {key: mean(r.value for r in values_of(rows[key], *HEADLINE)) for key in own}
    cells: dict[Key, dict[str, object]] = {}
    said = []
    for key, each in own.items():
        cells[key] = {
            PARZEN.title: parzen[key],
            OWN_LOG_P.title: each.log_p,
            KIND.title: each.kind,
            SUPPORT.title: each.support,
            BITS.title: each.bits,
            OWN_PUBLISHED.title: OWN.get((key[1], dataset)) if as_published(groups[key]) else None,
        }
    for support, samples in dict.fromkeys((each.support, key[3]) for key, each in own.items()):
        both = {
            key: (value, each.log_p)
            for key, each in own.items()
            if (each.support, key[3]) == (support, samples) and (value := parzen[key]) is not None
        }
        for key in both:
            above = [sum(other[i] > both[key][i] for other in both.values()) for i in (0, 1)]
            cells[key] |= {PARZEN_RANK.title: above[0] + 1, OWN_RANK.title: above[1] + 1}
        if len(both) > 2:
            mixed = len({own[key].kind for key in both}) > 1
            among = ", exact ones and bounds alike" if mixed else ""
            said.append(f"on {dataset}, {support}, N = {samples}{among}: {in_words(list(both.values()))}")
    return cells, "; ".join(said)


def as_published(records: Sequence[Record]) -> bool:
    """Return whether a published likelihood may be printed in a row.

    The checkpoint may be the best one too, as published: samples play no part.
    """
    return set(json.loads(records[0].options)) <= {*UNCHANGED, "checkpoint"}


def own_of(records: Sequence[Record]) -> Own | None:
    """Return the log-likelihood that a row has of its own, means over seeds.

    That under Gaussian pixels stands in where there is no other.
    """
    for metric, quantity in OWN_SCORES:
        of = values_of(records, metric, quantity)
        value = mean(r.value for r in of)
        if value is not None:
            settings = json.loads(of[0].metric_settings)
            sign = -1 if of[0].better == "lower" else 1
            bits = mean(r.value for r in values_of(records, metric, "bits"))
            return Own(sign * value, settings.get("kind", ""), settings.get("support", ""), bits)
    return None


def in_words(pairs: Sequence[tuple[float, float]]) -> str:
    """Return Kendall's τ of some pairs of numbers, with its interval, in words."""
    tau = kendall(pairs)
    low, high = interval(tau, len(pairs))
    about = "no interval" if math.isnan(low) else f"95 % interval {number(low, 2)} to {number(high, 2)}"
    return f"Kendall's τ of both over {len(pairs)} rows is {number(tau, 2)} ({about})"


def kendall(pairs: Sequence[tuple[float, float]]) -> float:
    """Return Kendall's τ-b of some pairs of numbers; NaN where one side is constant."""
    from scipy.stats import kendalltau

    return float(kendalltau([a for a, _ in pairs], [b for _, b in pairs]).statistic)


def interval(tau: float, n: int) -> tuple[float, float]:
    """Return the 95 % interval of τ over n rows; NaN where n is below 5 or |τ| is 1."""
    if n < 5 or math.isnan(tau) or abs(tau) > 1 - 1e-9:
        return math.nan, math.nan
    width = 1.959964 * math.sqrt(0.437 / (n - 4))
    return math.tanh(math.atanh(tau) - width), math.tanh(math.atanh(tau) + width)
