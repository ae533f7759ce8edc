"""Does each metric put images whose order is known into this order?

Every metric scores every probe of `execution/probes.py` at several sizes. What was scored
by today's code on the same data is read, not scored again.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import torch
from genmodel_bench.cells.catalogue import metrics_named
from genmodel_bench.cells.cell import metric_ingredients
from genmodel_bench.commands.report import report
from genmodel_bench.data.registry import load
from genmodel_bench.errors import BadOption
from genmodel_bench.execution.evidence import Evidence
from genmodel_bench.execution.listener import Listener, Silent
from genmodel_bench.execution.measure import measured, missing
from genmodel_bench.execution.probes import PROBES, Halves, halves, probe, sized
from genmodel_bench.execution.rows import failure
from genmodel_bench.metrics import METRICS, Metric, Subject
from genmodel_bench.metrics.column import declared
from genmodel_bench.metrics.features import NotApplicable
from genmodel_bench.report.audit import judged
from genmodel_bench.report.figures.audit import audit_of
from genmodel_bench.report.rebuild import write_audit_table
from genmodel_bench.storage.audited import Audited, read_audit, write_audit
from genmodel_bench.storage.code import code_digests
from genmodel_bench.storage.digest import content_digest
from genmodel_bench.storage.plain import as_json
from genmodel_bench.storage.provenance import resolve_device
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
    score_all(of, metrics, sorted(set(sizes)) or sizes_of(of), content.digest, store, listener)
    listener.doing("writing tables, figures and the page" if figures else "writing tables")
    if not store.path.exists():  # a report is of rows, of which there may be none yet
        write_audit_table(store)
        if figures:
            list(audit_of(store.dataset, judged(read_audit(store.folder)), store.folder / "figures"))
    report(results, figures=figures, metrics={**METRICS, **metrics}, say=listener.notice)
    return store.folder


def score_all(
    of: Halves,
    metrics: Mapping[str, Metric],
    sizes: Sequence[int],
    content: str,
    store: Store,
    listener: Listener,
) -> None:
    """Score every probe with every metric at every size, and store the rows of each.

    content: the digest of the data set.
    """
    known: dict[tuple[str, str, int], list[Audited]] = {}
    for r in read_audit(store.folder):
        known.setdefault((r.metric, r.probe, r.size), []).append(r)
    work = [(n, name) for n in sizes for name in PROBES]
    evidence = None
    for i, (n, name) in enumerate(work):
        draws = max(1, min(DRAWS, len(of.unseen) // n, ENOUGH // n))
        blanks = {
            key: Audited(key, name, n, draws, key_of(content, key, metric, name, n, draws))
            for key, metric in metrics.items()
        }
        due = [key for key in metrics if all(r.key != blanks[key].key for r in known.get((key, name, n), []))]
        if not due:
            continue
        subject = subject_of(name, of, n, draws)
        if evidence is None or len(evidence.test) != n:
            evidence = Evidence(sized(of.data, n), store, listener.notice)
        for key in due:
            listener.step(f"{key} on {n:,} images of the probe {name}", i, len(work))
            known[key, name, n] = scored(blanks[key], metrics[key], subject, evidence)
            write_audit(store.folder, [r for rows in known.values() for r in rows])


def key_of(content: str, key: str, metric: Metric, name: str, n: int, draws: int) -> str:
    """Return the digest of all that the scores of a probe depend on."""
    made = code_digests(probe.__module__)
    return content_digest(content, metric_ingredients(key, metric, dataset="", draws=draws), made, name, n)


def subject_of(name: str, of: Halves, n: int, draws: int) -> Subject | None:
    """Return a probe's images as what is scored; None where the data have no labels."""
    torch.manual_seed(0)
    sets = probe(name, of, n, draws)
    return None if sets is None else Subject(sets[0], None, tuple(sets[1:]))


def scored(blank: Audited, metric: Metric, subject: Subject | None, evidence: Evidence) -> list[Audited]:
    """Return the scores of a metric on a probe that tables show, and the headline.

    blank: a row without a score.
    """
    if blank.size < metric.min_samples:
        return [replace(blank, status=f"n/a: needs {metric.min_samples} samples")]
    if subject is None:
        return [replace(blank, status="n/a: the data have no labels")]
    start = time.perf_counter()
    try:
        with numerics(deterministic=False, precision="highest"):
            of = f"audit {blank.probe} {blank.size}"
            result = measured(
                blank.metric, metric, subject, evidence, base_seed=0, dataset=evidence.name, of=of
            )
    except NotApplicable as error:
        return [replace(blank, status=f"n/a: {error}")]
    except Exception as error:  # noqa: BLE001  # any error of a metric becomes a row's status
        return [replace(blank, status=failure(error))]
    seconds, shown = time.perf_counter() - start, declared(metric)
    return [
        replace(
            blank,
            quantity=quantity,
            n=score.n,
            value=score.value,
            stderr=score.stderr,
            draw_sd=math.nan if score.draw_sd is None else score.draw_sd,
            unit=score.unit,
            better=score.better,
            column=as_json(asdict(shown[quantity])) if quantity in shown else "{}",
            seconds=seconds,
            status="ok",
        )
        for quantity, score in result.scores.items()
        if quantity in shown or quantity == next(iter(result.scores))
    ]
