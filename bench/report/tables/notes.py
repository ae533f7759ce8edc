"""What has a reader to know of a row besides its numbers?"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pandas as pd
from genmodel_bench.report.tables.columns import Key, number
from genmodel_bench.storage.record import Record

STALE = "made by other code than today's; run it again"
"""The note of a line whose number today's code has not made."""


def with_seeds(rows: Iterable[Record]) -> list[str]:
    """Return the statuses of rows with their seeds: 'parzen: warning: … (seed 0, 1)'.

    That a metric does not apply is no status to tell of: its column has a dash.
    """
    rows = [r for r in rows if not r.status.startswith("n/a")]
    found = grouped(rows, lambda r: f"{r.metric}: {r.status}")
    return [text + (f" (seed {seeds_of(group)})" if seeds_of(group) else "") for text, group in found.items()]


def left_out(rows: Iterable[Record]) -> list[str]:
    """Return which rows are doubted, and why: '2 rows (seed 1): was edited since …'."""
    found = []
    for doubt, group in grouped(rows, lambda r: r.doubt).items():
        seeds = f" (seed {seeds_of(group)})" if seeds_of(group) else ""
        found.append(f"{len(group)} row{'s' if len(group) > 1 else ''}{seeds}: {doubt}")
    return found


def shipped_with(rows: Iterable[Record]) -> list[str]:
    """Return by what the rows that came with the package were made, if they did."""
    there = [r for r in rows if r.shipped]
    if not there:
        return []
    made = ", ".join(dict.fromkeys(f"version {r.version or 'unknown'}" for r in there))
    named = [r.processor if r.processor and r.device.startswith("cpu") else r.device for r in there]
    on = ", ".join(dict.fromkeys(named))
    return [f"shipped, not made here: it came with the package, made by {made} on {on}"]


def grouped(rows: Iterable[Record], key: Callable[[Record], str]) -> dict[str, list[Record]]:
    """Return rows by a text that they share, in the order of first appearance."""
    found: dict[str, list[Record]] = {}
    for r in rows:
        found.setdefault(key(r), []).append(r)
    return found


def seeds_of(rows: Iterable[Record]) -> str:
    """Return the seeds of rows: '0, 2'."""
    return ", ".join(map(str, sorted({r.seed for r in rows if r.seed is not None})))


def above_real_data(values: pd.Series[Any], dataset: str) -> list[tuple[Key, str]]:
    """Return a note for each row with a higher score than real training images.

    The score is the Parzen log-likelihood in nats.
    """
    found = []
    for key, value in values.dropna().items():
        data = ("reference", "data", "", key[3])  # with as many samples
        real = values.get(data)
        if real is not None and value > real:
            found.append(
                (
                    key,
                    f"{dataset}: above real training images ({number(real, 1)} nats): the metric, not the "
                    "model, is at its end here",
                )
            )
    return found


def other_sample_sizes(values: pd.Series[Any], dataset: str) -> list[tuple[Key, str]]:
    """Return a note for each row scored with another number of samples than most."""
    scored = values.dropna().index
    sizes = pd.Series([key[3] for key in scored], index=[key[0] == "samples" for key in scored], dtype=int)
    if sizes.nunique() < 2:
        return []
    ours = sizes[~sizes.index.to_numpy(dtype=bool)]  # of models, where there are any
    usual = int((sizes if ours.empty else ours).mode().max())
    note = (
        f"{dataset}: not comparable with rows of another N: "
        "the log-likelihood grows with the number of samples"
    )
    return [(key, note) for key in scored if key[3] != usual]


def network_of(rows: Iterable[Record], metric: str) -> str:
    """Return the digest of the network whose features a metric's scores are of, or "".

    Of several networks, the digests of all.
    """
    texts = {r.metric_settings for r in rows if r.metric == metric and not r.doubt}
    settings = [json.loads(text) for text in texts if '"weights"' in text]
    return ", ".join(sorted({str(each.get("weights", "")) for each in settings if "features" in each}))


def other_networks(groups: Mapping[Key, Sequence[Record]], dataset: str) -> list[tuple[Key, str]]:
    """Return a note for each row that has features of another network than most.

    Two machines do not train a classifier to the same bits, and distances in the features
    of two classifiers do not compare.

    groups: the rows of one data set.
    """
    metrics = dict.fromkeys(r.metric for rows in groups.values() for r in rows)
    found = []
    for metric in metrics:
        networks = {key: network for key, rows in groups.items() if (network := network_of(rows, metric))}
        if len(set(networks.values())) > 1:
            usual = statistics.mode(networks.values())
            note = f"{dataset}: {metric}: not comparable with rows of features {usual}, for it is in those of"
            found += [(key, f"{note} {network}") for key, network in networks.items() if network != usual]
    return found


def other_numbers(groups: Mapping[Key, Sequence[Record]], dataset: str) -> list[tuple[Key, str]]:
    """Return a note for each row that has another N in a metric's scores than most.

    N is that of the comparison, as of `metrics/comparison.py`, not of the samples drawn.

    groups: the rows of one data set.
    """
    found = []
    for metric in dict.fromkeys(r.metric for rows in groups.values() for r in rows):
        numbers = {key: n for key, rows in groups.items() if (n := number_in(rows, metric))}
        if len(set(numbers.values())) > 1:
            usual = statistics.mode(numbers.values())
            text = f"{dataset}: {metric}: not comparable with rows of N = {usual:,}, for its N is"
            found += [(key, f"{text} {n:,}") for key, n in numbers.items() if n != usual]
    return found


def number_in(rows: Iterable[Record], metric: str) -> int:
    """Return the N of a metric's headline score of a row, 0 if it says none."""
    settings = next((r.metric_settings for r in rows if r.metric == metric and not r.doubt), "{}")
    found = json.loads(settings).get("N", 0)
    return found if isinstance(found, int) else 0
