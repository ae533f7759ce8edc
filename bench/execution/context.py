"""With what do cells run: which data, store, metrics and device?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from genmodel_bench.cells.cell import Cell
from genmodel_bench.data.dataset import Dataset
from genmodel_bench.execution.evidence import Evidence
from genmodel_bench.metrics.base import Metric
from genmodel_bench.storage.provenance import resolve_device
from genmodel_bench.storage.store import Store
from genmodel_bench.training.numerics import numerics


@dataclass(frozen=True)
class Context:
    """What cells of one data set run with; `data` is on `device`.

    rescore: compute stored scores again, from stored models and samples.
    run: the mark of a run that trains and samples again too. What bears the mark was made
        by this run, and is reused. Empty if there is no such run.
    tensorboard: write training for TensorBoard while it runs.
    stores: store rows and make visuals. Without, there are only outcomes, and the models
        and samples that they are made of.
    features: where what is made of the real images is kept, if not in `store`.
    """

    data: Dataset
    store: Store
    metrics: Mapping[str, Metric]
    device: torch.device
    rescore: bool = False
    run: str = ""
    tensorboard: bool = False
    stores: bool = True
    features: Store | None = None

    @cached_property
    def evidence(self) -> Evidence:
        """Return the data as metrics are given them: with a memory."""
        return Evidence(self.data, self.features or self.store)


@dataclass(frozen=True)
class Setup:
    """What any process needs to make its Context.

    source: loads the data set.
    device: its name; 'auto' is CUDA where there is one.
    """

    source: Callable[[], Dataset]
    results: Path
    device: str
    metrics: Mapping[str, Metric]
    rescore: bool = False
    run: str = ""
    tensorboard: bool = False
    stores: bool = True

    def context(self, data: Dataset) -> Context:
        """Return what cells run with in this process; `data` is moved to the device."""
        device = resolve_device(self.device)
        store = Store(self.results, data.name)
        return Context(
            data.to(device),
            store,
            self.metrics,
            device,
            self.rescore,
            self.run,
            self.tensorboard,
            self.stores,
        )


def numerics_of(cell: Cell) -> AbstractContextManager[None]:
    """Return the context in which a cell is trained, sampled and scored."""
    return numerics(deterministic=cell.protocol.deterministic, precision=cell.protocol.matmul)
