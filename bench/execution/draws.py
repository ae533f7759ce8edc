"""How are a cell's model and samples made, or found if nothing they depend on changed?"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch
from filelock import FileLock, Timeout
from genmodel_bench.cells.cell import Cell
from genmodel_bench.data.dataset import Dataset
from genmodel_bench.execution.artefacts import (
    Fit,
    cached_samples,
    highest,
    keep_samples,
    sample_paths,
    shared_by_fit,
)
from genmodel_bench.execution.checks import Checks, checks_of, epochs_of
from genmodel_bench.execution.messages import Notice, Tell, Waiting
from genmodel_bench.inputs.samples import check_values
from genmodel_bench.models.base import Model, Shape
from genmodel_bench.storage import provenance, sealed
from genmodel_bench.storage.atomic import remove
from genmodel_bench.storage.plain import as_json
from genmodel_bench.storage.store import Store
from genmodel_bench.storage.waiting import wait_for
from genmodel_bench.training import loop
from genmodel_bench.training.checkpoint import Checkpoints, load_snapshot
from genmodel_bench.training.drawing import draw, prepared
from genmodel_bench.training.seeding import fit_seed
from torch import Tensor

Look = Callable[[Model, int], None]


def draws_of(
    cell: Cell,
    data: Dataset,
    store: Store,
    device: torch.device,
    tell: Tell,
    *,
    needs_model: bool,
    look: Look | None = None,
) -> tuple[list[Tensor], Model | None, Fit]:
    """Return the cell's draws of samples, its model, and how they were made.

    Draws are read from the cache where they are stored. The model is None if all of them
    were stored and `needs_model` is False.

    look: called with the model, while it is trained, and the epoch after each epoch whose
        weights are stored.
    """
    checks = checks_of(cell, data, store)
    cached: list[tuple[Tensor, Fit] | None] = [None] * cell.protocol.draws
    if not needs_model and checks.complete:
        cached = [cached_samples(path) for path in sample_paths(cell, checks.taken, store)]
    model, fit = None, next((found[1] for found in cached if found), None)
    if fit is None or None in cached:
        model, fit = fitted(cell, data, store, checks, device, tell, look)
        cached = [cached_samples(path) for path in sample_paths(cell, fit.checkpoint_epoch, store)]
    draws = []
    for k, path in enumerate(sample_paths(cell, fit.checkpoint_epoch, store)):
        tell(loop.Progress("sampling", k, cell.protocol.draws))
        found = cached[k]
        if found is None:
            assert model is not None, "it was made for what is missing"
            found = drawn(cell, model, k, data.shape, fit, path, device)
        draws.append(found)
    samples = [found[0] for found in draws]
    trace = [
        *json.loads(draws[0][1].trace),
        *((f"draw {k}", sealed.tensors_digest({"": x})) for k, x in enumerate(samples)),
    ]
    # Stored samples remain valid when the code of the selection changes: the columns
    # about the selection come from today's checks, not from the file of samples.
    return samples, model, replace(draws[0][1], trace=as_json(trace), **checks.columns)


def drawn(
    cell: Cell, model: Model, k: int, shape: Shape, fit: Fit, path: Path, device: torch.device
) -> tuple[Tensor, Fit]:
    """Return draw `k` of the cell's samples from `model`, and `fit` with their cost.

    The samples are stored at `path`.

    Raises:
        ValueError: they have another shape or dtype than expected.
        BadSamples: a value is not finite or not in [0, 1].
    """
    with provenance.Cost(device) as cost:
        samples = draw(
            model, cell.protocol.samples, k, base_seed=cell.seed, dataset=cell.dataset, family=cell.family
        )
    fit = replace(fit, sample_seconds=cost.seconds)
    expected = (cell.protocol.samples, *shape)
    if tuple(samples.shape) != expected or samples.dtype != torch.float32:
        raise ValueError(
            f"sample: got {tuple(samples.shape)} {samples.dtype}, expected {expected} torch.float32"
        )
    check_values(samples, "sample")
    keep_samples(path, samples, fit)
    return samples, fit


def fitted(
    cell: Cell,
    data: Dataset,
    store: Store,
    checks: Checks,
    device: torch.device,
    tell: Tell,
    look: Look | None = None,
) -> tuple[Model, Fit]:
    """Return the trained model and how it was made; an interrupted training resumes.

    The model has the weights of the cell's checkpoint. Missing checks are added to
    `checks`.

    Raises:
        ValueError: the Config's `epochs` are not those of the last stage.
    """
    folder = store.artefact("fits", cell.fit_key)
    keeper = Checkpoints(folder)
    labels = data.labels["train"] if data.labels else None
    seed = fit_seed(cell.seed, cell.dataset, cell.family)
    trained = False

    def train() -> tuple[Model, loop.Log]:
        def snapshot(model: Model, epoch: int) -> None:
            tell(checks.make(model, epoch))
            if look:
                look(model, epoch)

        def watch(news: loop.Progress | loop.Epoch) -> None:
            nonlocal trained
            trained = True
            tell(news)

        return loop.fit(
            cell.config,
            data.train,
            labels,
            seed=seed,
            keeper=keeper,
            watch=watch,
            snapshot=snapshot,
            bf16=cell.protocol.precision == "bf16",
        )

    # Several cells may share a training: the second one waits for the first, and finds
    # the training done.
    with fit_lock(cell, store, tell), provenance.Cost(device) as cost:
        model, log = train()
        epochs = epochs_of(cell) if log.steps else []
        if epochs and log.history[-1]["epoch"] != epochs[-1]:
            raise ValueError(
                f"Config.epochs is {epochs[-1]}, but the last stage has {log.history[-1]['epoch']} epochs; "
                "expected the same"
            )
        # Weights that are lost or damaged can only be restored by training again.
        if any(load_snapshot(folder, epoch) is None for epoch in epochs):
            for old in shared_by_fit(cell, store):
                remove(old)
            model, log = train()
    # Checks are missing if the code of the selection has changed since the training.
    for epoch in (epoch for epoch in epochs if epoch not in checks.values):
        tell(checks.make(prepared(model, weights_after(folder, epoch)), epoch))
    model = prepared(model, None if checks.taken is None else weights_after(folder, checks.taken))
    return model, Fit(
        fit_seconds=log.seconds,
        sample_seconds=0.0,
        **checks.columns,
        parameters=sum(p.numel() for p in model.parameters()),
        peak_memory_mib=highest(folder / "peak.json", cost.peak_mib if trained else None)
        if epochs
        else cost.peak_mib,
        weights=keeper.digest(model),
        trace=as_json(log.trace),
        **provenance.machine(device),
    )


@contextmanager
def fit_lock(
    cell: Cell, store: Store, tell: Tell = lambda news: None, *, wait: bool = True
) -> Iterator[None]:
    """Hold the lock on a cell's training.

    tell: called with a Waiting when a wait for the lock begins and ends.

    Raises:
        Timeout: another process has the lock and `wait` is False.
    """
    lock = FileLock(store.artefact("fits", f"{cell.fit_key}.lock"))
    Path(lock.lock_file).parent.mkdir(parents=True, exist_ok=True)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if not wait:
            raise
        tell(Waiting(over=False))
        wait_for(lock, "trains the same weights", lambda text: tell(Notice(text)))
        tell(Waiting(over=True))
    try:
        yield
    finally:
        lock.release()


def weights_after(folder: Path, epoch: int) -> dict[str, Tensor]:
    """Return the stored weights and buffers after `epoch`, by name."""
    weights = load_snapshot(folder, epoch)
    assert weights is not None, "they were read when training was done"
    return weights
