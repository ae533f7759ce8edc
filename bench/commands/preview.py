"""Which cells would a run make, and what exists already? `bench run --dry-run`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from genmodel_bench.cells.catalogue import metrics_named
from genmodel_bench.cells.cell import Cell
from genmodel_bench.cells.featured import with_features
from genmodel_bench.cells.plan import plan
from genmodel_bench.cells.protocol import Protocol
from genmodel_bench.commands.run import check_no_samples
from genmodel_bench.data.registry import load
from genmodel_bench.execution.artefacts import sampled
from genmodel_bench.execution.reuse import reusable
from genmodel_bench.metrics import STANDARD, Metric
from genmodel_bench.models import Config
from genmodel_bench.storage.ingredients import read_vouched
from genmodel_bench.storage.store import Store


def preview(
    models: Sequence[str] | Mapping[str, Config] | None,
    *,
    dataset: str,
    like: str = "",
    seeds: int | Sequence[int] | None,
    options: Sequence[str],
    protocol: Protocol,
    data: Path | None,
    results: Path,
    metrics: Sequence[str] | Mapping[str, Metric] = STANDARD,
    features: Sequence[str] = (),
) -> Iterator[tuple[Cell, str]]:
    """Yield each cell of a run and its state, such as "finished" or "to be trained".

    Raises:
        BenchError: as `run` does, for names, options or data that do not exist.
    """
    metrics = with_features(metrics_named(metrics), features)
    content, vouched = load(dataset, root=data), read_vouched(results)
    store = Store(results, content.name)
    records = store.records()
    cells = plan(
        content,
        models,
        metrics,
        like=like,
        seeds=seeds,
        options=options,
        protocol=protocol,
        vouched=vouched,
    )
    check_no_samples(cells, records)
    for cell in cells:
        if len(reusable(records, cell, metrics)) == len(metrics):
            yield cell, "finished"
        elif sampled(cell, content, store):
            yield cell, "sampled, to be scored"
        elif store.artefact("fits", cell.fit_key).exists():
            yield cell, "partly trained"
        else:
            yield cell, "to be trained"
