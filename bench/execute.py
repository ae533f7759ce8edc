"""How does one cell become records? Fit, sample and score, each taken from the cache where nothing it depends on has changed."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
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
from bench.atomic import NoRoom
from bench.cell import Cell, metric_recipe, unnamed
from bench.checkpoint import load_snapshot
from bench.dataset import Dataset
from bench.determinism import determinism
from bench.errors import printable
from bench.samples import check_values
from bench.seeding import derive_seed, seed_everything
from bench.selection import Check
from bench.store import Record, Store, as_json
from metrics.base import Metric, Result, Subject
from models.base import Shape


@dataclass(frozen=True)
class Notice:
    """Something that a user should know and that stops nothing, as that a damaged checkpoint was set aside."""

    text: str


News = harness.Progress | Check | Notice
Listener = Callable[[News], None]


@dataclass
class Outcome:
    """The records of a cell, and whether all of them were there already."""

    records: list[Record]
    reused: bool


def complete(
    cell: Cell,
    data: Dataset,
    store: Store,
    metrics: Mapping[str, Metric],
    *,
    device: torch.device,
    rescore: bool = False,
    wait: bool = True,
    begin: Callable[[], None] = lambda: None,
    tell: Listener = lambda news: None,
) -> Outcome | None:
    """Run what is missing of a cell, as `run_cell` does, and store its rows; None if another process is at it and `wait` is False.

    A lock on the cell is held meanwhile: a second process that wants it finds the rows of the first. The system frees the lock of a process
    that died. `begin` is called once the lock is had.
    """
    path = store.artefact("locks", f"{cell.id}.lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(path, timeout=-1 if wait else 0), determinism(cell.deterministic), warnings_told(tell):
            begin()
            outcome = run_cell(cell, data, store, metrics, device=device, rescore=rescore, tell=tell)
            if set(outcome.records) - set(store.records()):
                store.append(outcome.records)
            return outcome
    except Timeout:
        return None


@contextmanager
def warnings_told(tell: Listener) -> Iterator[None]:
    """Tell of warnings instead of printing them."""

    def show(message: Warning | str, *rest: Any, **named: Any) -> None:
        tell(Notice(" ".join(str(message).split())))

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield


def run_cell(
    cell: Cell,
    data: Dataset,
    store: Store,
    metrics: Mapping[str, Metric],
    *,
    device: torch.device,
    rescore: bool = False,
    tell: Listener = lambda news: None,
) -> Outcome:
    """Run what is missing of a cell and return its records, which are not stored yet. `data` lies on `device`.

    With `rescore`, scores that are stored are made anew, from the model and samples that are there.
    An exception of a model or metric becomes the status of a row; KeyboardInterrupt, SystemExit and NoRoom pass.
    """
    kept, blanks = split(cell, store, metrics, data, device, rescore=rescore)
    if not blanks:
        return Outcome(kept, reused=True)
    needs_model = any(metrics[name].needs for name in blanks)
    try:
        subject, fit = subject_of(cell, data, store, device, tell, needs_model=needs_model)
    except NoRoom:
        raise
    except Exception as error:  # noqa: BLE001  # whatever a model raises is a row's status, and the other cells go on
        status = failure(error)
        return Outcome([*kept, *(replace(row, status=status) for row in blanks.values())], reused=False)
    by_epoch = {str(epoch): value for epoch, value in sorted(checks_of(cell, data, store).values.items())}
    curves = as_json({"validation by epoch": by_epoch} if by_epoch else {})
    records = list(kept)
    for name, row in blanks.items():
        seed = derive_seed(cell.seed, cell.dataset, cell.family, name)
        row = replace(row, **asdict(fit), curves=curves)
        records += score_records(row, name, metrics[name], subject, data, seed=seed, store=store)
    return Outcome(records, reused=False)


def stored(
    cell: Cell, data: Dataset, store: Store, metrics: Mapping[str, Metric], *, device: torch.device, rescore: bool
) -> Outcome | None:
    """Return the outcome of a cell of which nothing is missing, else None."""
    kept, blanks = split(cell, store, metrics, data, device, rescore=rescore)
    if blanks:
        return None
    if set(kept) - set(store.records()):
        store.append(kept)
    return Outcome(kept, reused=True)


def given_up(
    cell: Cell, data: Dataset, store: Store, metrics: Mapping[str, Metric], *, device: torch.device, rescore: bool, status: str
) -> Outcome:
    """Return the outcome of a cell whose process is no more: what is missing has `status`; its rows are stored."""
    kept, blanks = split(cell, store, metrics, data, device, rescore=rescore)
    records = [*kept, *(replace(row, status=status) for row in blanks.values())]
    store.append(records)
    return Outcome(records, reused=False)


def split(
    cell: Cell, store: Store, metrics: Mapping[str, Metric], data: Dataset, device: torch.device, *, rescore: bool
) -> tuple[list[Record], dict[str, Record]]:
    """Return the stored rows of a cell that nothing has outdated, and for each metric that is missing a row without a score."""
    keys = {name: cell.score_key(name, metric) for name, metric in metrics.items()}
    there = {} if rescore else reusable(store.records(), cell, keys)
    # A row made under another name for the same settings, as when a default was changed, takes the name they have now.
    kept = [replace(r, variant=cell.variant) for name in metrics for r in there.get(name, ())]
    blank = blank_record(cell, data, device)
    blanks = {
        name: replace(
            blank,
            metric=name,
            metric_recipe=metric_recipe(name, metric),
            score_key=keys[name],
            ingredients=as_json(
                {
                    "fit": unnamed(cell.fit_ingredients),
                    "samples": unnamed(cell.sample_ingredients),
                    "score": unnamed(cell.score_ingredients(name, metric)),
                }
            ),
        )
        for name, metric in metrics.items()
        if name not in there
    }
    return kept, blanks


def failure(error: Exception) -> str:
    """Return an exception as the status of a row."""
    if isinstance(error, harness.Diverged):
        kind = "diverged"
    elif isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "can't allocate memory" in str(error):
        kind = "oom"
    else:
        kind = "failed"
    return f"{kind}: {one_line(error)}"


def reusable(records: Sequence[Record], cell: Cell, keys: Mapping[str, str]) -> dict[str, list[Record]]:
    """Return, by metric, the stored rows of `cell` that nothing has outdated; a failure is never among them."""
    found: dict[str, list[Record]] = {}
    for r in records:
        if r.cell == cell.id and keys.get(r.metric) == r.score_key:
            found.setdefault(r.metric, []).append(r)
    return {name: rows for name, rows in found.items() if all(r.ok or r.status.startswith("n/a") for r in rows)}


def subject_of(
    cell: Cell,
    data: Dataset,
    store: Store,
    device: torch.device,
    tell: Listener,
    *,
    needs_model: bool,
) -> tuple[Subject, Fit]:
    """Return the cell's draws of samples, from the cache where it holds them, and its model where it was made or is needed."""
    checks = checks_of(cell, data, store)
    cached: list[tuple[Tensor, Fit] | None] = [None] * cell.draws
    if not needs_model and checks.complete(epochs_of(cell)):
        cached = [cached_samples(path) for path in sample_paths(cell, taken(cell, checks), store)]
    model, fit = None, next((found[1] for found in cached if found), None)
    if fit is None or None in cached:
        model, fit = fitted(cell, data, store, device, tell)
        cached = [cached_samples(path) for path in sample_paths(cell, taken(cell, checks_of(cell, data, store)), store)]
    draws = []
    for k, path in enumerate(sample_paths(cell, fit.checkpoint_epoch, store)):
        tell(harness.Progress("sampling", k, cell.draws))
        found = cached[k]
        if found is None:
            seed_everything(derive_seed(cell.seed, cell.dataset, cell.family, "sample", str(k)))
            found = drawn(cell, model, data.shape, fit, path, device)
        draws.append(found)
    first, *others = (samples.to(device) for samples, _ in draws)
    # The samples outlive the code that selected their checkpoint: what selection says of it is of today.
    return Subject(first, model, tuple(others)), replace(draws[0][1], **selection_of(cell, checks_of(cell, data, store)))


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


def fitted(cell: Cell, data: Dataset, store: Store, device: torch.device, tell: Listener) -> tuple[Any, Fit]:
    """Return the trained model, with the weights of the cell's checkpoint, and what training took; an interrupted one goes on."""
    folder, checks = store.artefact("fits", cell.fit_key), checks_of(cell, data, store)
    labels = data.labels["train"] if data.labels else None
    seed = derive_seed(cell.seed, cell.dataset, cell.family, "fit")
    trained = False

    def train() -> tuple[Any, harness.Log]:
        def snapshot(model: Any, epoch: int) -> None:
            tell(checks.make(model, epoch))

        def watch(progress: harness.Progress) -> None:
            nonlocal trained
            trained = True
            tell(progress)

        return harness.fit(cell.config, data.train, labels, seed=seed, folder=folder, watch=watch, snapshot=snapshot)

    folder.parent.mkdir(parents=True, exist_ok=True)
    # Models of one family share a training: whoever comes second waits for the first and finds it done.
    with FileLock(store.artefact("fits", f"{cell.fit_key}.lock")), provenance.Cost(device) as cost:
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


def load_weights(model: Any, folder: Path, epoch: int) -> None:
    """Give `model` the weights it had after `epoch`."""
    weights = load_snapshot(folder, epoch)
    assert weights is not None, "they were read when training was done"
    model.load_state_dict(weights)


def score_records(row: Record, name: str, metric: Metric, subject: Subject, data: Dataset, *, seed: int, store: Store) -> list[Record]:
    """Return the rows of one metric, made from `row`, which holds all but the scores; keep its arrays in `store`."""
    missing = [need.__name__ for need in metric.needs if not isinstance(subject.model, need)]
    row = replace(row, metric=name)
    if missing:
        return [replace(row, status=f"n/a: needs {', '.join(missing)}")]
    seed_everything(seed)
    start = time.perf_counter()
    try:
        result = metric(subject, data)
        check_finite(result)
    except Exception as error:  # noqa: BLE001  # whatever a metric raises is a row's status
        return [replace(row, status=failure(error))]
    row = replace(row, score_seconds=time.perf_counter() - start)
    if result.arrays:
        sealed.save(store.artefact("scores", f"{row.score_key}.safetensors"), row.score_key, result.arrays)
    return [
        replace(
            row,
            quantity=quantity,
            value=score.value,
            stderr=score.stderr,
            stderr_over=score.stderr_over,
            n=score.n,
            draw_sd=score.draw_sd,
            unit=score.unit,
            better=score.better,
            status=f"warning: {score.warning}" if score.warning else "ok",
            metric_settings=as_json(score.settings),
            curves=as_json(json.loads(row.curves) | score.curves) if score.curves else "{}",
        )
        for quantity, score in result.scores.items()
    ]


def check_finite(result: Result) -> None:
    """Raise ValueError if a score is NaN or infinite: it is never written."""
    for quantity, score in result.scores.items():
        if not torch.tensor([score.value, score.stderr]).isfinite().all():
            raise ValueError(f"{quantity}: value {score.value}, standard error {score.stderr} are not finite")


def blank_record(cell: Cell, data: Dataset, device: torch.device) -> Record:
    """Return a record of the cell with no score in it."""
    return Record(
        dataset=cell.dataset,
        model=cell.model,
        variant=cell.variant,
        role=cell.role,
        seed=cell.seed,
        samples=cell.samples,
        draws=cell.draws,
        epochs=getattr(cell.config, "epochs", None),
        checkpoint="" if cell.config.REFERENCE else cell.checkpoint,
        model_settings=as_json(cell.settings),
        dataset_digest=cell.dataset_digest,
        cell=cell.id,
        recipe=cell.recipe,
        dtype=str(data.train.dtype).removeprefix("torch."),
        created=provenance.now(),
        **provenance.machine(device),
    )


def one_line(error: BaseException) -> str:
    """Return an error's text and notes as one line."""
    text = " ".join([str(error) or type(error).__name__, *getattr(error, "__notes__", ())])
    return printable(" ".join(text.split()))
