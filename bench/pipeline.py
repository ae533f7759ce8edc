"""How do names on the command line become rows in the table? `run` for registered models, `score` for anybody's samples."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from functools import lru_cache
from multiprocessing import active_children, get_context
from pathlib import Path
from queue import Empty
from typing import Any, Protocol

import pandas as pd
import torch

from bench import harness
from bench.cell import Cell, metric_recipe, score_key, variant_of
from bench.data import Dataset, load
from bench.digest import content_digest
from bench.errors import BadOption, BadSamples, BenchError, UnknownName
from bench.execute import Outcome, run_cell, score_records
from bench.options import apply_options
from bench.provenance import machine, now, resolve_device
from bench.report import report
from bench.samples import as_samples, read_samples
from bench.seeding import derive_seed
from bench.store import Record, Store, frame
from metrics import METRICS, Metric, Subject
from models import MODELS, settings_for


class Watch(Protocol):
    """What is told of cells while they run; the command line shows it."""

    def started(self, cell: Cell) -> None:
        """Hear that a cell begins."""
        return None

    def progress(self, cell: Cell, progress: harness.Progress) -> None:
        """Hear where its training stands."""
        return None

    def finished(self, cell: Cell, outcome: Outcome) -> None:
        """Hear what came of it; its rows are stored already."""
        return None

    def ended(self, stale: Sequence[str]) -> None:
        """Hear that all is done, and which lines of the table other code or data made than there are now."""
        return None


class Silent(Watch):
    """Listens to nothing."""


@dataclass(frozen=True)
class Place:
    """Where cells run and where they read and write: what a worker process needs besides its cell."""

    dataset: str
    data: Path | None
    results: Path
    device: str
    force: bool


def run(
    models: Sequence[str] | None = None,
    *,
    dataset: str = "digits",
    seeds: int = 3,
    samples: int = 10_000,
    options: Sequence[str] = (),
    device: str = "auto",
    jobs: int = 1,
    data: Path | str | None = None,
    results: Path | str = "results",
    force: bool = False,
    metrics: Mapping[str, Metric] = METRICS,
    watch: Watch | None = None,
) -> pd.DataFrame:
    """Train, sample and score models (None: all of `MODELS`) on a data set, and write its table; return the records of the cells.

    `seeds` runs of each, with base seeds 0, 1, …; `samples` draws each; `options` like "gan-ns.epochs=100". Finished cells under
    `results` are reused, interrupted ones go on; `force` does them anew. Scores are in the units of their metric, see `metrics`.
    Raises BenchError for names, options or data that are not there. A model that fails is a row with its status.
    """
    watch = watch or Silent()
    place = Place(dataset, Path(data) if data else None, Path(results), device, force)
    if jobs < 1:
        raise BadOption(f"--jobs: got {jobs}, expected at least 1")
    checked_device(device)
    content = load(dataset, root=data)
    cells = plan(content, models, seeds=seeds, samples=samples, options=options, metrics=metrics)
    store = Store(place.results, dataset)
    store.prepare()
    records: list[Record] = []
    outcomes = in_turn(cells, content, place, metrics, watch) if jobs == 1 else side_by_side(cells, place, metrics, watch, jobs)
    for cell, outcome in outcomes:
        if set(outcome.records) - set(store.records()):
            store.append(outcome.records)
        records += outcome.records
        watch.finished(cell, outcome)
    report(place.results)
    watch.ended(stale_lines(store.records(), metrics))
    return frame(records)


def plan(
    data: Dataset,
    models: Sequence[str] | None = None,
    *,
    seeds: int = 3,
    samples: int = 10_000,
    options: Sequence[str] = (),
    metrics: Mapping[str, Metric] = METRICS,
) -> list[Cell]:
    """Return the cells of a run, models in the order given, seeds innermost. Raises UnknownName and BadOption."""
    names = list(dict.fromkeys(models)) if models else list(MODELS)
    for name in names:
        if name not in MODELS:
            raise UnknownName("model", name, MODELS)
    fewest = max(metric.min_samples for metric in metrics.values())
    if samples < fewest:
        raise BadOption(f"--samples: got {samples}, expected at least {fewest}: a bandwidth cannot be chosen from fewer")
    if seeds < 1:
        raise BadOption(f"--seeds: got {seeds}, expected at least 1")
    usual = {name: settings_for(name, data.name) for name in names}
    configs = apply_options(usual, options)
    return [
        Cell(data.name, data.digest, name, configs[name], seed, samples, variant_of(configs[name], usual[name]))
        for name in names
        for seed in range(seeds)
    ]


def in_turn(
    cells: Sequence[Cell], data: Dataset, place: Place, metrics: Mapping[str, Metric], watch: Watch
) -> Iterator[tuple[Cell, Outcome]]:
    """Yield each cell with its outcome, run one after another in this process."""
    device = resolve_device(place.device)
    data, store = data.to(device), Store(place.results, place.dataset)
    for cell in cells:
        watch.started(cell)

        def tell(progress: harness.Progress, cell: Cell = cell) -> None:
            watch.progress(cell, progress)

        yield cell, run_cell(cell, data, store, metrics, device=device, force=place.force, watch=tell)


def side_by_side(
    cells: Sequence[Cell], place: Place, metrics: Mapping[str, Metric], watch: Watch, jobs: int
) -> Iterator[tuple[Cell, Outcome]]:
    """Yield each cell with its outcome as it comes, run in `jobs` processes that share the threads."""
    threads = max(1, (os.cpu_count() or 1) // jobs)
    context = get_context("spawn")
    news = context.Queue()
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=start_worker, initargs=(threads, news)) as pool:
        futures = {pool.submit(run_in_worker, cell, place, dict(metrics)): cell for cell in cells}
        waiting = set(futures)
        try:
            while waiting:
                done, waiting = wait(waiting, timeout=0.2, return_when=FIRST_COMPLETED)
                pass_on(news, watch)
                for future in done:
                    yield futures[future], future.result()
        except BaseException as error:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in active_children():
                process.terminate()
            if isinstance(error, BrokenProcessPool):
                text = "run: a worker process was killed; what is finished is kept, the same command goes on from here"
                raise BenchError(text) from error
            raise


def pass_on(news: Any, watch: Watch) -> None:
    """Tell `watch` what the workers have put into the queue."""
    while True:
        try:
            cell, progress = news.get_nowait()
        except Empty:
            return
        if progress is None:
            watch.started(cell)
        else:
            watch.progress(cell, progress)


_news: Any = None
"""A worker's end of the queue: a queue can be handed to a process only when it starts."""


def start_worker(threads: int, news: Any) -> None:
    """Prepare a worker process: its share of the threads, and an end at once on Ctrl-C, which the parent hears too."""
    global _news
    _news = news
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    torch.set_num_threads(threads)


@lru_cache(maxsize=1)
def worker_data(dataset: str, root: Path | None, device: torch.device) -> Dataset:
    """Return the data set on the device, read once by a process that runs many cells."""
    return load(dataset, root=root).to(device)


def run_in_worker(cell: Cell, place: Place, metrics: Mapping[str, Metric]) -> Outcome:
    """Run one cell in a process of its own."""
    device = resolve_device(place.device)
    data = worker_data(place.dataset, place.data, device)
    store = Store(place.results, place.dataset)
    last = 0.0

    def tell(progress: harness.Progress) -> None:
        nonlocal last
        if time.monotonic() - last > 0.5:
            last = time.monotonic()
            _news.put((cell, progress))

    _news.put((cell, None))
    return run_cell(cell, data, store, metrics, device=device, force=place.force, watch=tell)


def score(
    samples: Any,
    *,
    dataset: str,
    name: str | None = None,
    device: str = "auto",
    data: Path | str | None = None,
    results: Path | str = "results",
    metrics: Mapping[str, Metric] = METRICS,
) -> dict[str, Any]:
    """Score anybody's samples of a data set and put them in its table as the row `name`; return the scores as plain values.

    samples: a path (.npy, .npz, .pt, .safetensors, a folder of images) or an array (n, d), (n, h, w) or (n, c, h, w), float in
    [0, 1] or uint8. Returns {"name", "dataset", "n", "metrics": {metric: {"value", "stderr", "unit", "status", …}}}, the headline
    score of a metric at its top, its settings and other scores beside it. Raises BenchError.
    """
    where = checked_device(device)
    content = load(dataset, root=data)
    path = Path(samples) if isinstance(samples, (str, Path)) else None
    name = checked_name(name or (path.resolve().stem if path else "samples"))
    x = as_samples(samples, content.shape) if path is None else read_samples(path, content.shape)
    for key, metric in metrics.items():
        if len(x) < metric.min_samples:
            raise BadSamples(f"{path or 'samples'}: {len(x)} samples are too few for {key}, which needs at least {metric.min_samples}")
    content, store = content.to(where), Store(Path(results), dataset)
    store.prepare()
    digest = content_digest("given", hashlib.sha256(x.numpy().tobytes()).hexdigest())
    made = {"created": now(), **machine(where)}
    row = Record(dataset, name, role="samples", samples=len(x), dataset_digest=content.digest, cell=digest, recipe=digest, **made)
    records: list[Record] = []
    for key, metric in metrics.items():
        seeded = derive_seed(0, dataset, name, key)
        this = replace(row, metric_recipe=metric_recipe(key, metric), score_key=score_key(digest, content.digest, key, metric))
        records += score_records(this, key, metric, Subject(x.to(where)), content, seed=seeded, store=store)
    store.append(records)
    report(Path(results))
    return {"name": name, "dataset": dataset, "n": len(x), "metrics": summary(records)}


def stale_lines(records: Sequence[Record], metrics: Mapping[str, Metric] = METRICS) -> list[str]:
    """Return the names of the lines that today's code would not make as they are stored: to be run again."""
    found = {}
    for r in records:
        name = f"{r.model} ({r.variant})" if r.variant else r.model
        if r.role != "samples" and name not in found and _recipe_today(r) != r.recipe:
            found[name] = True
        elif r.metric not in metrics or metric_recipe(r.metric, metrics[r.metric]) != r.metric_recipe:
            found[name] = True
    return list(found)


def _recipe_today(record: Record) -> str:
    """Return the recipe of a record's cell under the code and registry as they are, or '' if it cannot be made any more."""
    settings = {key: tuple(v) if isinstance(v, list) else v for key, v in json.loads(record.model_settings).items()}
    try:
        config = replace(MODELS[record.model], **settings)
    except (KeyError, TypeError, ValueError):
        return ""
    return Cell(record.dataset, record.dataset_digest, record.model, config, 0, record.samples).recipe


def checked_device(name: str) -> torch.device:
    """Return the device of that name. Raises BadOption."""
    try:
        return resolve_device(name)
    except ValueError as error:
        raise BadOption(str(error)) from error


def checked_name(name: str) -> str:
    """Return a name for a user's row that no registered model has and that prints on one line. Raises BadOption."""
    if name in MODELS:
        raise BadOption(f"--name: {name!r} is a registered model; choose another name for your samples")
    if not name.strip() or not name.isprintable():
        raise BadOption(f"--name: got {name!r}, expected printable text")
    return name


def summary(records: Sequence[Record]) -> dict[str, Any]:
    """Return the records of one subject by metric: the headline score's fields, then the other scores by name."""
    found: dict[str, Any] = {}
    for r in records:
        if r.metric not in found:
            found[r.metric] = {
                "quantity": r.quantity,
                "value": r.value,
                "stderr": r.stderr,
                "stderr_over": r.stderr_over,
                "n": r.n,
                "unit": r.unit,
                "status": r.status,
                **json.loads(r.metric_settings),
            }
        else:
            found[r.metric][r.quantity] = r.value
    return found
