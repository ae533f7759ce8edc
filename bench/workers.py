"""In which processes do cells run: one after another in this one, or side by side in several?"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import active_children, get_context
from pathlib import Path
from queue import Empty
from typing import Any

import torch

from bench.cell import Cell
from bench.data import load
from bench.dataset import Dataset
from bench.errors import BenchError
from bench.execute import News, Outcome, run_cell
from bench.provenance import resolve_device
from bench.selection import Check
from bench.store import Store
from bench.watch import Watch
from metrics.base import Metric


@dataclass(frozen=True)
class Place:
    """Where cells run and where they read and write: what a worker process needs besides its cell.

    With `rescore`, trained models and samples that are there are taken, and scores are made anew.
    """

    dataset: str
    data: Path | None
    results: Path
    device: str
    rescore: bool = False


def in_turn(
    cells: Sequence[Cell], data: Dataset, place: Place, metrics: Mapping[str, Metric], watch: Watch
) -> Iterator[tuple[Cell, Outcome]]:
    """Yield each cell with its outcome, run one after another in this process."""
    device = resolve_device(place.device)
    data, store = data.to(device), Store(place.results, place.dataset)
    for cell in cells:
        watch.started(cell)

        def tell(news: News, cell: Cell = cell) -> None:
            watch.news(cell, news)

        yield cell, run_cell(cell, data, store, metrics, device=device, rescore=place.rescore, tell=tell)


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
            cell, item = news.get_nowait()
        except Empty:
            return
        if item is None:
            watch.started(cell)
        else:
            watch.news(cell, item)


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

    def tell(news: News) -> None:
        nonlocal last
        if isinstance(news, Check) or time.monotonic() - last > 0.5:
            last = time.monotonic()
            _news.put((cell, news))

    _news.put((cell, None))
    return run_cell(cell, data, store, metrics, device=device, rescore=place.rescore, tell=tell)
