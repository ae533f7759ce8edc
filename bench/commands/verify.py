"""Are stored files, rows, tables and figures correct, and are cells reproducible?

`bench verify` checks, the cheapest first:

- the seal of every stored file;
- every row: whether it is trusted, whether rows are missing beside it, and whether it
  agrees with the weights, samples and scores stored under its keys;
- tables, figures and page: whether the records give the same now;
- some cells, chosen at random: they are trained, sampled and scored again from scratch.
"""

from __future__ import annotations

import math
import random
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from genmodel_bench.cells.catalogue import metric_of, sources_in
from genmodel_bench.cells.cell import Cell
from genmodel_bench.cells.recorded import same_cell
from genmodel_bench.commands.report import today
from genmodel_bench.data.dataset import Dataset
from genmodel_bench.data.registry import load
from genmodel_bench.errors import BenchError, DataMissing
from genmodel_bench.execution.context import Context
from genmodel_bench.execution.execute import run_cell
from genmodel_bench.execution.rows import measured
from genmodel_bench.execution.verify import artefacts, rows
from genmodel_bench.report.tables.published import HEADLINE
from genmodel_bench.report.verdicts import compare
from genmodel_bench.report.verify import printed
from genmodel_bench.storage.finding import Finding
from genmodel_bench.storage.ingredients import read_vouched
from genmodel_bench.storage.names import results_at
from genmodel_bench.storage.provenance import resolve_device
from genmodel_bench.storage.record import Record
from genmodel_bench.storage.store import Store, passed_over, read_results, sure

MACHINE = ("device", "processor", "python", "versions", "deterministic")
"""The columns that must be equal for a value to be equal to the last bit.

Not the number of threads, which is set to that of the row.
"""


def verify(
    results: Path | str,
    *,
    cells: int = 1,
    within: float = 600.0,
    seed: int | None = None,
    data: Path | str | None = None,
    device: str = "auto",
) -> Iterator[Finding]:
    """Yield the findings on a results folder, artefacts first, then rows, then cells.

    `cells` cells are made again. They are drawn at random, from those that today's code
    would make in the same way and whose training took at most `within` seconds.

    seed: of this random choice; None for a new one each time.

    Raises:
        DataMissing: there is nothing to verify.
        BenchError: the records are damaged, or there is no such device.
    """
    results = results_at(results)
    records = read_results(results)
    for folder, text in passed_over(results).items():
        yield Finding(folder, "columns" in text, f"passed over: its runs.csv {text}")
    cache = Store(results, "").cache
    if not records and not cache.is_dir():
        raise DataMissing(
            f"verify: no records and no artefacts under {results}; make some with `bench run --all`"
        )
    where = resolve_device(device)
    yield from artefacts(cache)
    vouched = read_vouched(results)
    cells_now = {r.cell: same_cell(r, vouched) for r in records}
    recipes = {key: (cell.id, cell.recipe) for key, cell in cells_now.items() if cell}
    current = {
        r.cell: cell for r in records if (cell := cells_now[r.cell]) and recipes[r.cell] == (r.cell, r.recipe)
    }
    yield from rows(results, [(r, current.get(r.cell)) for r in records])
    yield from missing_rows(records)
    yield from printed(results, today(results))
    stale = sorted({r.name for r in records if r.role != "samples" and r.cell not in current})
    if stale:
        yield Finding(
            "rows",
            True,
            f"weights not compared, for today's code and settings make other ones: {', '.join(stale)}",
        )
    seconds = {r.cell: r.fit_seconds or 0.0 for r in records if r.ok}
    within_reach = [cell for key, cell in current.items() if seconds.get(key, math.inf) <= within]
    if cells and not within_reach:
        yield Finding("cells", True, f"none made again: none of today's code was trained within {within:g} s")
    yield from drawn_again(
        random.Random(seed).sample(within_reach, len(within_reach)),
        records,
        cells,
        results=results,
        data=data,
        device=where,
    )


def missing_rows(records: Sequence[Record]) -> Iterator[Finding]:
    """Yield a finding for each value that is missing beside those that exist.

    A score of a metric is wrong to be missing. A seed below others, or a metric of this
    project that other lines of the data set have, may not have been asked for.
    """
    found: dict[tuple[str, ...], set[str]] = {}
    recipes: dict[tuple[str, ...], str] = {}
    for r in records:
        group: tuple[str, ...] = (r.dataset, r.name, str(r.samples), str(r.seed), r.metric)
        found.setdefault(group, set()).add(r.quantity)
        recipes[group] = r.metric_recipe or recipes.get(group, "")
    usual: dict[tuple[str, str, str], set[str]] = {}
    for group, quantities in found.items():
        usual.setdefault((group[0], group[4], recipes[group]), set()).update(quantities - {""})
    for group, quantities in found.items():
        dataset, name, _, seed, metric = group
        lost = usual[dataset, metric, recipes[group]] - quantities
        if lost and quantities != {""}:
            yield Finding(
                f"{dataset} {name} seed {seed} {metric}",
                False,
                f"rows are missing: {', '.join(sorted(lost))}",
            )
    for (dataset, name), seeds in seeds_of(records).items():
        # n seeds are expected to be 0, …, n − 1.
        gaps = [seed for seed in range(len(seeds)) if seed not in seeds]
        if gaps:
            yield Finding(
                f"{dataset} {name}",
                None,  # they may have been left out: --seeds 3,7,11
                f"no rows of seed {', '.join(map(str, gaps))}, below others that are there",
            )
    metrics = {
        dataset: {
            r.metric
            for r in records
            if r.dataset == dataset and r.role != "samples" and "metric" not in sources_in(r)
        }
        for dataset in {r.dataset for r in records}
    }
    for (dataset, name), seeds in seeds_of(records).items():
        for metric in sorted(metrics[dataset]):
            there = {r.seed for r in records if (r.dataset, r.name, r.metric) == (dataset, name, metric)}
            if seeds - there:
                yield Finding(
                    f"{dataset} {name}",
                    None,  # as by --metric
                    f"no rows of {metric} for seed {', '.join(map(str, sorted(seeds - there)))}",
                )


def seeds_of(records: Sequence[Record]) -> dict[tuple[str, str], set[int]]:
    """Return the seeds in the trusted rows of each line, by (data set, name).

    Users' samples have none.
    """
    found: dict[tuple[str, str], set[int]] = {}
    for r in records:
        if r.seed is not None and not r.doubt:
            found.setdefault((r.dataset, r.name), set()).add(r.seed)
    return found


def drawn_again(
    cells: Sequence[Cell],
    records: Sequence[Record],
    count: int,
    *,
    results: Path,
    data: Path | str | None,
    device: torch.device,
) -> Iterator[Finding]:
    """Make `count` cells again, the first whose data sets are available; yield findings.

    A data set that is not available is a finding too.
    """
    absent: set[str] = set()
    for cell in cells:
        if count == 0:
            return
        if cell.dataset in absent:
            continue
        try:
            content = load(cell.dataset, root=data)
        except BenchError as error:
            absent.add(cell.dataset)
            yield Finding(cell.dataset, True, f"no cell made again: {error}")
            continue
        count -= 1
        made = [r for r in sure(records) if r.cell == cell.id and r.value is not None]
        features = Store(results, cell.dataset)
        yield made_again(cell, made, content, features, device=device)


def made_again(
    cell: Cell, records: Sequence[Record], content: Dataset, features: Store, *, device: torch.device
) -> Finding:
    """Train, sample and score a cell again; return whether its stored rows are the same.

    It is made in a folder that is deleted afterwards.

    features: where those of the real images are kept.
    """
    name = " ".join(f"{cell.dataset} {cell.model} {cell.variant} seed {cell.seed}".split())
    if content.digest != cell.dataset_digest:
        return Finding(name, True, "not made again: the content of the data set differs")
    metrics = {r.metric: metric for r in records if (metric := metric_of(r))}
    before = torch.get_num_threads()
    with tempfile.TemporaryDirectory(prefix="bench-verify-") as folder:
        torch.set_num_threads(records[0].threads or before)
        try:
            store = Store(Path(folder), cell.dataset)
            outcome = run_cell(cell, Context(content.to(device), store, metrics, device, features=features))
        finally:
            torch.set_num_threads(before)
    now = {(r.metric, r.quantity): r for r in outcome.records}
    for r in records:
        new = now.pop((r.metric, r.quantity), None)
        if new is None or (measured(new), new.weights) != (measured(r), r.weights):
            if any(getattr(r, field) != getattr(outcome.records[0], field) for field in MACHINE):
                return within_noise(name, records, outcome.records)
            there = "not there" if new is None else f"{measured(new)[:4]} of weights {new.weights}"
            return Finding(
                name,
                False,
                f"made again, {r.quantity} is {there}, the row says {measured(r)[:4]} of {r.weights}",
            )
    return Finding(name, True, f"made again: {len(records)} values equal to the last bit")


def within_noise(name: str, before: Sequence[Record], now: Sequence[Record]) -> Finding:
    """Return the finding on a cell that was made again where bits may differ.

    Only its likelihood is compared; it may not be lower by more than its noise,
    if that is known.
    """
    other = [field for field in MACHINE if getattr(before[0], field) != getattr(now[0], field)]
    where = f"made again where bits may differ ({', '.join(other)})"
    headlines = [next((r for r in records if r.metric == HEADLINE[0]), None) for records in (before, now)]
    if headlines[0] is None or headlines[1] is None:
        return Finding(name, True, f"{where}: no likelihood to compare")
    verdict = compare([headlines[0]], [headlines[1]])
    told = verdict.finding in ("indistinguishable", "improved")
    return Finding(
        name,
        None if verdict.finding == "cannot tell" else told,
        f"{where}: {verdict.finding}, {verdict.reason}",
    )
