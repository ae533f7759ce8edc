"""What does a worker process do: run cells, report on them, and end with its parent?"""

from __future__ import annotations

import os
import threading
import time
import warnings
from collections.abc import Callable
from multiprocessing import connection, parent_process

import torch
from genmodel_bench.cells.cell import Cell, remember_code
from genmodel_bench.data.dataset import Dataset
from genmodel_bench.errors import BenchError, DataNotice
from genmodel_bench.execution.context import Setup
from genmodel_bench.execution.execute import check_code, complete
from genmodel_bench.execution.messages import Begun, Elsewhere, News, Order, Ready, Told, Trouble
from genmodel_bench.models import MODELS
from genmodel_bench.training.loop import Progress


def work(pipe: connection.Connection, setup: Setup, threads: int) -> None:
    """Run the cells that are received through `pipe`, until the parent process ends."""
    threading.Thread(target=end_with_parent, daemon=True).start()
    torch.set_num_threads(threads)
    try:
        remember_code(MODELS.values(), setup.metrics.values())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DataNotice)  # the process that started it has said it
            data = setup.source()
        context = setup.context(data)
        pipe.send(Ready())
        while True:
            order: Order = pipe.recv()
            check_data(order.cell, data)
            check_code(order.cell, setup.metrics, order.keys)
            outcome = complete(
                order.cell,
                context,
                wait=order.wait,
                begin=lambda: pipe.send(Begun()),
                tell=seldom(lambda news: pipe.send(Told((news,)))),
            )
            pipe.send(outcome or Elsewhere())
    except EOFError:
        return
    except (BenchError, OSError) as error:
        pipe.send(Trouble(str(error)))


def check_data(cell: Cell, data: Dataset) -> None:
    """Check that this process has loaded the data that the cell is of.

    Raises:
        BenchError: it has other data, as from a function that draws images.
    """
    if data.digest != cell.dataset_digest:
        raise BenchError(
            f"{data.name}: its content was another when it was loaded again; "
            "a function has to return the same images every time, and files must not change during a run"
        )


def end_with_parent() -> None:
    """Wait for the parent process to end, as when it is killed, and end this one.

    Without the parent, nobody would read the worker's messages.
    """
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def seldom(tell: Callable[[News], None]) -> Callable[[News], None]:
    """Return a `tell` that limits the rate of news.

    It passes on progress at most twice a second, all other news at once.
    """
    last = 0.0

    def told(news: News) -> None:
        nonlocal last
        if isinstance(news, Progress):
            if time.monotonic() - last <= 0.5:
                return
            last = time.monotonic()
        tell(news)

    return told
