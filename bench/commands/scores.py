"""What do the records of one row of samples say, as plain values?"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from genmodel_bench.report.tables.ledger import mean, spread, total_error
from genmodel_bench.storage.record import Record


def summary(records: Sequence[Record]) -> dict[str, Any]:
    """Return what records of one row say: copies, classes, and the scores by metric.

    Of several seeds, "metrics" holds means, and "by_seed" the scores of each seed.
    """
    seeds = list(dict.fromkeys(r.seed for r in records))
    settings = [json.loads(next(r for r in records if r.seed == seed).model_settings) for seed in seeds]
    copies = [each.get("copies", {}) for each in settings]
    found: dict[str, Any] = {"copies": copies[0] if len(copies) == 1 else copies}
    classes = [each["classes"] for each in settings if "classes" in each]
    if classes:
        found["classes"] = classes[0] if len(classes) == 1 else classes
    by_seed = [scores_of([r for r in records if r.seed == seed]) for seed in seeds]
    if len(by_seed) == 1:
        return {**found, "metrics": by_seed[0]}
    return {**found, "metrics": means_of(records, by_seed), "by_seed": by_seed}


def scores_of(records: Sequence[Record]) -> dict[str, Any]:
    """Return the scores of one subject, by metric.

    The fields of the headline score come first, then the other scores by name.
    """
    found: dict[str, Any] = {}
    for r in records:
        if r.metric not in found:
            found[r.metric] = {
                "quantity": r.quantity,
                "value": r.value,
                "stderr": r.stderr,
                "stderr_over": r.stderr_over,
                "n": r.n,
                **({} if r.draw_sd is None else {"draw_sd": r.draw_sd}),
                "unit": r.unit,
                "status": r.status,
                **json.loads(r.metric_settings),
            }
        else:
            found[r.metric][r.quantity] = r.value
    return found


def means_of(records: Sequence[Record], by_seed: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the scores of several seeds in the mean, by metric.

    A metric that failed for a seed has no mean; its statuses are all there.
    """
    found: dict[str, Any] = {}
    for key in by_seed[0]:
        entries = [scores[key] for scores in by_seed]
        statuses = list(dict.fromkeys(entry["status"] for entry in entries if entry["status"] != "ok"))
        first = entries[0]
        rows = [r for r in records if (r.metric, r.quantity) == (key, first["quantity"])]
        whole = all(entry["value"] is not None for entry in entries)
        own = {name: [entry.get(name) for entry in entries] for name in first}
        found[key] = {
            name: mean(values)
            if name in {r.quantity for r in records if r.metric == key}
            else values[0]
            if all(v == values[0] for v in values)
            else values
            for name, values in own.items()
        } | {
            "value": mean(r.value for r in rows) if whole else None,
            "stderr": mean(r.stderr for r in rows) if whole else None,
            "status": "; ".join(statuses) or "ok",
        }
        if whole:
            found[key] |= {"seed_sd": spread(rows), "total": total_error(rows)}
    return found
