"""How are a cell's model and samples made, or found again where nothing they depend on has changed?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from torch import Tensor

from bench import harness, provenance, sealed
from bench.artefacts import (
    Fit,
    cached_samples,
    checks_of,
    epochs_of,
    forget_training,
    highest,
    keep_samples,
    sample_paths,
    selection_of,
    taken,
)
from bench.cell import Cell
from bench.checkpoint import load_snapshot
from bench.dataset import Dataset
from bench.samples import check_values
from bench.seeding import draw_seed, fit_seed, seed_everything
from bench.selection import Check, Checks
from bench.store import Store
from metrics.base import Subject
from models.base import Shape


@dataclass(frozen=True)
class Notice:
    """Something that a user should know and that stops nothing, as that a damaged checkpoint was set aside."""

    text: str


@dataclass(frozen=True)
class Waiting:
    """A cell waits for another one's training, which will be its own too; or does so no longer, once that is `over`."""

    over: bool


News = harness.Progress | harness.Epoch | Check | Notice | Waiting
Listener = Callable[[News], None]
Look = Callable[[Any, int], None]


def subject_of(
    cell: Cell,
    data: Dataset,
    store: Store,
    device: torch.device,
    tell: Listener,
    *,
    needs_model: bool,
    look: Look | None = None,
) -> tuple[Subject, Fit]:
    """Return the cell's draws of samples, from the cache where it holds them, and its model where it was made or is needed.

    `look` is shown the model, in training, after each epoch whose weights are kept.
    """
    checks = checks_of(cell, data, store)
    cached: list[tuple[Tensor, Fit] | None] = [None] * cell.draws
    if not needs_model and checks.complete:
        cached = [cached_samples(path) for path in sample_paths(cell, taken(cell, checks), store)]
    model, fit = None, next((found[1] for found in cached if found), None)
    if fit is None or None in cached:
        model, fit = fitted(cell, data, store, checks, device, tell, look)
        cached = [cached_samples(path) for path in sample_paths(cell, fit.checkpoint_epoch, store)]
    draws = []
    for k, path in enumerate(sample_paths(cell, fit.checkpoint_epoch, store)):
        tell(harness.Progress("sampling", k, cell.draws))
        found = cached[k]
        if found is None:
            seed_everything(draw_seed(cell.seed, cell.dataset, cell.family, k))
            found = drawn(cell, model, data.shape, fit, path, device)
        draws.append(found)
    first, *others = (samples.to(device) for samples, _ in draws)
    # The samples outlive the code that selected their checkpoint: what selection says of it is of today.
    return Subject(first, model, tuple(others)), replace(draws[0][1], **selection_of(cell, checks))


def drawn(cell: Cell, model: Any, shape: Shape, fit: Fit, path: Path, device: torch.device) -> tuple[Tensor, Fit]:
    """Return the cell's samples, drawn from `model` and kept at `path`, with `fit` and their cost. Raises ValueError for odd ones."""
    with provenance.Cost(device) as cost:
        samples = model.sample(cell.samples)
    fit = replace(fit, sample_seconds=cost.seconds)
    expected = (cell.samples, *shape)
    if tuple(samples.shape) != expected or samples.dtype != torch.float32:
        raise ValueError(f"sample: got {tuple(samples.shape)} {samples.dtype}, expected {expected} torch.float32")
    check_values(samples, "sample")
    samples = samples.cpu()
    keep_samples(path, samples, fit)
    return samples, fit


def fitted(
    cell: Cell, data: Dataset, store: Store, checks: Checks, device: torch.device, tell: Listener, look: Look | None = None
) -> tuple[Any, Fit]:
    """Return the trained model, with the weights of the cell's checkpoint, and what training took; an interrupted one goes on.

    Adds the checks that are missing to `checks`.
    """
    folder = store.artefact("fits", cell.fit_key)
    labels = data.labels["train"] if data.labels else None
    seed = fit_seed(cell.seed, cell.dataset, cell.family)
    trained = False

    def train() -> tuple[Any, harness.Log]:
        def snapshot(model: Any, epoch: int) -> None:
            tell(checks.make(model, epoch))
            if look:
                look(model, epoch)

        def watch(news: harness.Progress | harness.Epoch) -> None:
            nonlocal trained
            trained = True
            tell(news)

        return harness.fit(cell.config, data.train, labels, seed=seed, folder=folder, watch=watch, snapshot=snapshot)

    # Models of one family share a training: whoever comes second waits for the first and finds it done.
    with fit_lock(cell, store, tell), provenance.Cost(device) as cost:
        model, log = train()
        epochs = epochs_of(cell) if log.steps else []
        if epochs and log.history[-1]["epoch"] != epochs[-1]:
            raise ValueError(f"Config.epochs is {epochs[-1]}, but the last stage has {log.history[-1]['epoch']} epochs; expected the same")
        if any(load_snapshot(folder, epoch) is None for epoch in epochs):  # lost or damaged: only training brings them back
            forget_training(folder)
            model, log = train()
    model.eval()
    for epoch in (epoch for epoch in epochs if epoch not in checks.values):  # selected otherwise than when it was trained
        load_weights(model, folder, epoch)
        tell(checks.make(model, epoch))
    selection = selection_of(cell, checks)
    if selection["checkpoint_epoch"] is not None:
        load_weights(model, folder, selection["checkpoint_epoch"])
    return model, Fit(
        fit_seconds=log.seconds,
        sample_seconds=0.0,
        **selection,
        parameters=sum(p.numel() for p in model.parameters()),
        peak_memory_mib=highest(folder / "peak.json", cost.peak_mib if trained else None) if epochs else cost.peak_mib,
        weights=sealed.tensors_digest({name: tensor.cpu() for name, tensor in model.state_dict().items()}),
        **provenance.machine(device),
    )


@contextmanager
def fit_lock(cell: Cell, store: Store, tell: Listener = lambda news: None, *, wait: bool = True) -> Iterator[None]:
    """Hold the lock on a cell's training; raises Timeout if another process has it and `wait` is False."""
    lock = FileLock(store.artefact("fits", f"{cell.fit_key}.lock"))
    Path(lock.lock_file).parent.mkdir(parents=True, exist_ok=True)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if not wait:
            raise
        tell(Waiting(over=False))
        lock.acquire()
        tell(Waiting(over=True))
    try:
        yield
    finally:
        lock.release()


def load_weights(model: Any, folder: Path, epoch: int) -> None:
    """Give `model` the weights it had after `epoch`."""
    weights = load_snapshot(folder, epoch)
    assert weights is not None, "they were read when training was done"
    model.load_state_dict(weights)
