"""What do the records of a row say together: mean, uncertainties, cost?"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterable, Sequence
from typing import Any

from genmodel_bench.report.tables.columns import (
    DEVICE,
    DRAW,
    DRAWS,
    EPOCH,
    EPOCHS,
    MEMORY,
    MINUTES,
    SEED,
    SEEDS,
    TEST,
    TEST_N,
    TOTAL,
    VALID_BEST,
    VALID_LAST,
)
from genmodel_bench.storage.record import Record


def cost(scored: Sequence[Record]) -> dict[str, object]:
    """Return how many seeds there are, whose weights were sampled, and what it took."""
    if not scored:
        return {}
    seconds = mean(r.fit_seconds for r in scored)
    return {
        SEEDS.title: len({r.seed for r in scored}) if scored[0].trained else None,
        EPOCHS.title: scored[0].epochs,
        EPOCH.title: span([r.checkpoint_epoch for r in scored if r.checkpoint_epoch is not None], 0),
        VALID_BEST.title: mean(r.valid_best for r in scored),
        VALID_LAST.title: mean(r.valid_last for r in scored),
        MINUTES.title: None if seconds is None else seconds / 60,
        MEMORY.title: mean(r.peak_memory_mib for r in scored),
        DEVICE.title: None if seconds is None else ", ".join(dict.fromkeys(r.device for r in scored)) or None,
    }


def values_of(rows: Iterable[Record], metric: str, quantity: str) -> list[Record]:
    """Return the rows of a quantity that have a value, one for each seed."""
    return [r for r in rows if (r.metric, r.quantity) == (metric, quantity) and r.value is not None]


def ledger(scored: Sequence[Record]) -> dict[str, object]:
    """Return the uncertainties of the mean over seeds, each with its n.

    `scored` are the headline rows of all seeds. The test images are the same for every
    seed: their error does not average out. The spread over seeds contains that over
    draws. With one seed the spread over seeds is unknown, and the total a lower bound.
    """
    return {
        TOTAL.title: total_error(scored),
        TEST.title: mean(r.stderr for r in scored),
        TEST_N.title: scored[0].n,
        DRAW.title: root_mean_square(r.draw_sd for r in scored),
        DRAWS.title: min(r.draws for r in scored),
        SEED.title: spread(scored),
    }


def total_error(rows: Sequence[Record]) -> float:
    """Return the standard error of the mean of one quantity's rows, one for each seed.

    With a single row it is a lower bound.
    """
    seeds = spread(rows)
    if seeds is not None:
        runs = seeds / math.sqrt(len(rows))
    else:
        runs = (root_mean_square(r.draw_sd for r in rows) or 0.0) / math.sqrt(rows[0].draws)
    return math.hypot(mean(r.stderr for r in rows) or 0.0, runs)


def mean(values: Iterable[float | None]) -> float | None:
    """Return the mean of the values that are not None, or None if there are none."""
    there = [value for value in values if value is not None]
    return math.fsum(there) / len(there) if there else None


def spread(rows: Sequence[Record]) -> float | None:
    """Return the standard deviation of values over seeds, or None of a single one.

    ddof is 1.
    """
    values = [r.value for r in rows if r.value is not None]
    return statistics.stdev(values) if len(values) > 1 else None


def root_mean_square(values: Iterable[float | None]) -> float | None:
    """Return the root of the mean square of the values that are not None, or None."""
    square = mean(None if value is None else value**2 for value in values)
    return None if square is None else math.sqrt(square)


def sigma(rows: Sequence[Record]) -> Any:
    """Return the bandwidth of the rows, σ, or its range where they have several.

    Seeds, draws and folds may choose differently.
    """
    settings = [json.loads(r.metric_settings) for r in rows]
    values = sorted({value for each in settings for value in each.get("sigmas", [each["sigma"]])})
    return span(values, 4)


def span(values: Sequence[float], decimals: int) -> Any:
    """Return the one value there is, or the range of several as text, or None."""
    if len(set(values)) < 2:
        return values[0] if values else None
    return f"{min(values):.{decimals}f} to {max(values):.{decimals}f}"
