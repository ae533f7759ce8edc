"""Does each metric put images whose order is known into this order?

Every metric scores every probe of `execution/probes.py` at several sizes. What was scored
by today's code on the same data is read, not scored again.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from genmodel_bench.cells.catalogue import metrics_named
from genmodel_bench.cells.cell import metric_ingredients
from genmodel_bench.commands.report import report
from genmodel_bench.data.registry import load
from genmodel_bench.errors import BadOption
from genmodel_bench.execution.listener import Listener, Silent
from genmodel_bench.execution.measure import measured, missing
from genmodel_bench.execution.probes import PROBES, Halves, halves, probe, sized
from genmodel_bench.execution.rows import failure
from genmodel_bench.metrics import METRICS, Metric, Subject
from genmodel_bench.metrics.column import declared
from genmodel_bench.report.audit import judged
from genmodel_bench.report.figures.audit import audit_of
from genmodel_bench.report.rebuild import write_audit_table
from genmodel_bench.storage.audited import Audited, read_audit, write_audit
from genmodel_bench.storage.code import code_digests
from genmodel_bench.storage.digest import content_digest
from genmodel_bench.storage.provenance import resolve_device
from genmodel_bench.storage.record import as_json
from genmodel_bench.storage.store import Store
from genmodel_bench.training.numerics import numerics

SILENT = Silent()
DRAWS = 3
"""How many sets of a probe are scored, where the unseen images are enough for them."""
ENOUGH = 5000
"""Where a set has more images than this, one set is scored."""
SMALLEST, FURTHEST = 100, 20
"""The smallest size of an audit is FURTHEST times less than the largest, or SMALLEST."""


def sizes_of(of: Halves) -> list[int]:
    """Return the numbers of samples at which metrics are audited: three, ascending.

    The largest is that of the test images, or of the unseen images where these are fewer;
    each is as many times the one before.
    """
    most = min(len(of.data.test), len(of.unseen))
    least = min(most, max(SMALLEST, most // FURTHEST))
    return sorted({least, round(math.sqrt(least * most)), most})


def audit(
    dataset: str = "digits",
    *,
    metrics: Sequence[str] | Mapping[str, Metric] = METRICS,
    sizes: Sequence[int] = (),
    data: Path | str | None = None,
    results: Path,
    device: str = "auto",
    figures: bool = True,
    listener: Listener = SILENT,
) -> Path:
    """Score every probe with every metric at every size, and write what it says.

    Return the folder: `audit.csv` has the scores, `audit.md` the orders.

    metrics: as `run` takes them; those that need more of a model than samples are left
        out.
    sizes: numbers of samples; by default three, up to the number of test images.

    Raises:
        BenchError: a name or the data do not exist, or a size is too large.
    """
    metrics = {name: m for name, m in metrics_named(metrics).items() if not missing(m, None)}
    content = load(dataset, root=data).to(resolve_device(device))
    store = Store(results, content.name)
    store.prepare()
    of = halves(content)
    most = sizes_of(of)[-1]
    if wrong := [n for n in sizes if not 1 < n <= most]:
        raise BadOption(f"--sizes: got {wrong[0]}, expected 2 to {most:,} for {content.name}")
    chosen = sorted(set(sizes)) or sizes_of(of)
    known: dict[tuple[str, str, int], list[Audited]] = {}
    for r in read_audit(store.folder):
        known.setdefault((r.metric, r.probe, r.size), []).append(r)
    work = [(n, name, key) for n in chosen for name in PROBES for key in metrics]
    for done, (n, name, key) in enumerate(work):
        listener.step(f"{key} on {n:,} images of the probe {name}", done, len(work))
        draws = max(1, min(DRAWS, len(of.unseen) // n, ENOUGH // n))
        digest = key_of(content.digest, key, metrics[key], name, n, draws)
        if all(r.key != digest for r in known.get((key, name, n), [])):
            known[key, name, n] = scored(of, key, metrics[key], name, n, draws, digest)
            write_audit(store.folder, [r for rows in known.values() for r in rows])
    listener.doing("writing tables, figures and the page" if figures else "writing tables")
    if not store.path.exists():  # a report is of rows, of which there may be none yet
        write_audit_table(store)
        if figures:
            list(audit_of(store.dataset, judged(read_audit(store.folder)), store.folder / "figures"))
    report(results, figures=figures, metrics={**METRICS, **metrics}, say=listener.notice)
    return store.folder


def key_of(content: str, key: str, metric: Metric, name: str, n: int, draws: int) -> str:
    """Return the digest of all that the scores of a probe depend on."""
    made = code_digests(probe.__module__)
    return content_digest(content, metric_ingredients(key, metric, dataset="", draws=draws), made, name, n)


def scored(of: Halves, key: str, metric: Metric, name: str, n: int, draws: int, digest: str) -> list[Audited]:
    """Return the scores of a metric on draws of a probe, n images each."""
    blank = Audited(key, "", name, n, draws, 0, math.nan, math.nan, math.nan, "", "", "{}", 0.0, "", digest)
    if n < metric.min_samples:
        return [Audited(**{**asdict(blank), "status": f"n/a: needs {metric.min_samples} samples"})]
    torch.manual_seed(0)
    sets = probe(name, of, n, draws)
    if sets is None:
        return [Audited(**{**asdict(blank), "status": "n/a: the data have no labels"})]
    subject, reference = Subject(sets[0], None, tuple(sets[1:])), sized(of.data, n)
    start = time.perf_counter()
    try:
        with numerics(deterministic=False, precision="highest"):
            result = measured(
                key, metric, subject, reference, base_seed=0, dataset=of.data.name, of=f"audit {name} {n}"
            )
    except Exception as error:  # noqa: BLE001  # any error of a metric becomes a row's status
        return [Audited(**{**asdict(blank), "status": failure(error)})]
    seconds = time.perf_counter() - start
    shown = declared(metric)
    return [
        Audited(
            key,
            quantity,
            name,
            n,
            draws,
            score.n,
            score.value,
            score.stderr,
            math.nan if score.draw_sd is None else score.draw_sd,
            score.unit,
            score.better,
            as_json(asdict(shown[quantity])) if quantity in shown else "{}",
            seconds,
            "ok",
            digest,
        )
        for quantity, score in result.scores.items()
    ]
