"""How does one cell become records? Fit, sample and score, each taken from the cache where nothing it depends on has changed."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from bench import harness, provenance
from bench.atomic import write_atomically
from bench.cell import Cell, metric_recipe
from bench.data import Dataset
from bench.samples import check_values
from bench.seeding import derive_seed, seed_everything
from bench.store import Record, Store, as_json
from metrics.base import Metric, Result, Subject


@dataclass(frozen=True)
class Fit:
    """What the records tell of how, where and by which code a cell's samples were made; it is kept with them."""

    fit_seconds: float
    sample_seconds: float
    parameters: int
    peak_memory_mib: float | None
    device: str
    threads: int
    python: str
    versions: str
    commit: str


@dataclass
class Outcome:
    """The records of a cell, and whether all of them were there already."""

    records: list[Record]
    reused: bool


def run_cell(
    cell: Cell,
    data: Dataset,
    store: Store,
    metrics: Mapping[str, Metric],
    *,
    device: torch.device,
    force: bool = False,
    watch: harness.Watcher = lambda progress: None,
) -> Outcome:
    """Run what is missing of a cell and return its records; the caller stores them. `data` lies on `device`.

    An exception of a model or metric becomes the status of a row; only KeyboardInterrupt and SystemExit pass.
    """
    keys = {name: cell.score_key(name, metric) for name, metric in metrics.items()}
    there = {} if force else reusable(store.records(), cell, keys)
    todo = {name: metric for name, metric in metrics.items() if name not in there}
    # A row made under another name for the same settings, as when a default was changed, takes the name they have now.
    kept = [replace(r, variant=cell.variant) for name in metrics for r in there.get(name, ())]
    if not todo:
        return Outcome(kept, reused=True)

    blank = blank_record(cell, device)
    needs_model = any(metric.needs for metric in todo.values())
    try:
        subject, fit = subject_of(cell, data, store, device, watch, force=force, needs_model=needs_model)
        blank = replace(blank, **asdict(fit))
        failure = ""
    except harness.Diverged as error:
        subject, failure = None, f"diverged: {one_line(error)}"
    except Exception as error:  # noqa: BLE001  # whatever a model raises is a row's status, and the other cells go on
        subject, failure = None, f"failed: {one_line(error)}"
    records = list(kept)
    for name, metric in todo.items():
        row = replace(blank, metric_recipe=metric_recipe(name, metric), score_key=keys[name])
        if subject is None:
            records.append(replace(row, metric=name, quantity="", status=failure))
        else:
            seed = derive_seed(cell.seed, cell.dataset, cell.model, name)
            records += score_records(row, name, metric, subject, data, seed=seed, store=store)
    return Outcome(records, reused=False)


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
    watch: harness.Watcher,
    *,
    force: bool,
    needs_model: bool,
) -> tuple[Subject, Fit]:
    """Return the cell's samples, from the cache if it holds them, and its model where it was made or is needed."""
    path = store.artefact("samples", cell.sample_key + ".safetensors")
    folder = store.artefact("fits", cell.fit_key)
    if force:
        path.unlink(missing_ok=True)
        for old in folder.glob("*.pt"):
            old.unlink()
    cached = cached_samples(path)
    if cached is not None:
        samples, fit = cached
        model = fitted(cell, data, folder, device, watch)[0].eval() if needs_model else None
        return Subject(samples.to(device), model), fit

    model, fit = fitted(cell, data, folder, device, watch)
    seed_everything(derive_seed(cell.seed, cell.dataset, cell.model, "sample"))
    with provenance.Cost(device) as cost:
        model.eval()
        samples = model.sample(cell.samples)
    fit = replace(fit, sample_seconds=cost.seconds)
    expected = (cell.samples, *data.shape)
    if tuple(samples.shape) != expected or samples.dtype != torch.float32:
        raise ValueError(f"sample: got {tuple(samples.shape)} {samples.dtype}, expected {expected} torch.float32")
    check_values(samples, "sample")
    write_atomically(path, save({"samples": samples.cpu().contiguous()}, {"fit": json.dumps(asdict(fit))}))
    return Subject(samples, model), fit


def cached_samples(path: Path) -> tuple[Tensor, Fit] | None:
    """Return stored samples and how they were made; None where there are none that can be read."""
    try:
        with safe_open(path, framework="pt") as file:
            return file.get_tensor("samples"), Fit(**json.loads(file.metadata()["fit"]))
    except (OSError, SafetensorError, KeyError, TypeError, ValueError):
        return None


def fitted(cell: Cell, data: Dataset, folder: Path, device: torch.device, watch: harness.Watcher) -> tuple[Any, Fit]:
    """Return the trained model and what training took; an interrupted one goes on."""
    seed_everything(derive_seed(cell.seed, cell.dataset, cell.model, "fit"))
    with provenance.Cost(device) as cost:
        model = cell.config.build(data.shape).to(device)
        labels = data.labels["train"] if data.labels else None
        log = harness.train(model, data.train, labels, folder=folder, watch=watch)
    parameters = sum(p.numel() for p in model.parameters())
    # A resumed run's log counts the seconds before the interruption too.
    seconds = max(cost.seconds, log.seconds)
    return model, Fit(seconds, 0.0, parameters, cost.peak_mib, **provenance.machine(device))


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
        return [replace(row, status=f"failed: {one_line(error)}")]
    row = replace(row, score_seconds=time.perf_counter() - start)
    if result.arrays:
        arrays = {key: array.cpu().contiguous() for key, array in result.arrays.items()}
        write_atomically(store.artefact("scores", row.score_key + ".safetensors"), save(arrays))
    return [
        replace(
            row,
            quantity=quantity,
            value=score.value,
            stderr=score.stderr,
            stderr_over=score.stderr_over,
            n=score.n,
            unit=score.unit,
            better=score.better,
            status=f"warning: {score.warning}" if score.warning else "ok",
            metric_settings=as_json(score.settings),
        )
        for quantity, score in result.scores.items()
    ]


def check_finite(result: Result) -> None:
    """Raise ValueError if a score is NaN or infinite: it is never written."""
    for quantity, score in result.scores.items():
        if not torch.tensor([score.value, score.stderr]).isfinite().all():
            raise ValueError(f"{quantity}: value {score.value}, standard error {score.stderr} are not finite")


def blank_record(cell: Cell, device: torch.device) -> Record:
    """Return a record of the cell with no score in it."""
    return Record(
        dataset=cell.dataset,
        model=cell.model,
        variant=cell.variant,
        role=cell.role,
        seed=cell.seed,
        samples=cell.samples,
        epochs=getattr(cell.config, "epochs", None),
        model_settings=as_json(cell.settings),
        dataset_digest=cell.dataset_digest,
        cell=cell.id,
        recipe=cell.recipe,
        created=provenance.now(),
        **provenance.machine(device),
    )


def one_line(error: BaseException) -> str:
    """Return an error's text and notes as one line."""
    text = " ".join([str(error) or type(error).__name__, *getattr(error, "__notes__", ())])
    return " ".join(text.split())
