"""How is a study run: trainings in this process or several, rows, figures?

A training whose rows are there under today's key is not made again: a run that was killed
goes on where it was. Rows of another content of the data, of other code or of another
budget are superseded by the first new training.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, replace
from functools import cache
from multiprocessing import active_children, get_context
from pathlib import Path
from typing import Any

import torch
from genmodel_bench.cells.plan import seeds_of
from genmodel_bench.commands.report import report
from genmodel_bench.data.registry import load
from genmodel_bench.errors import BadOption, BenchError, UnknownName
from genmodel_bench.execution.evidence import Evidence
from genmodel_bench.execution.listener import Listener, Silent
from genmodel_bench.execution.rows import failure
from genmodel_bench.execution.worker import end_with_parent
from genmodel_bench.report.figures.figure import Figure
from genmodel_bench.report.figures.studies import draw_studies
from genmodel_bench.storage import sealed
from genmodel_bench.storage.atomic import NoRoom
from genmodel_bench.storage.digest import content_digest
from genmodel_bench.storage.names import results_at
from genmodel_bench.storage.plain import as_json
from genmodel_bench.storage.provenance import git_commit, package_versions, resolve_device
from genmodel_bench.storage.store import Store
from genmodel_bench.storage.studied import (
    REAL,
    Studied,
    code_of,
    path_of,
    read_studied,
    superseded_of,
    write_studied,
)
from genmodel_bench.storage.waiting import held
from genmodel_bench.studies import STUDIES
from genmodel_bench.studies.study import Arm, Moment, Study, measured, usual

SILENT = Silent()


@dataclass(frozen=True)
class Training:
    """One training of a study, or its look at real images where `arm` is None.

    blank: its row, without what is measured.
    """

    blank: Studied
    arm: Arm | None

    @property
    def name(self) -> str:
        """Return what is trained, for people."""
        b = self.blank
        return b.setting if self.arm is None else f"{b.setting} {b.at}, seed {b.seed}"


@dataclass(frozen=True)
class Source:
    """Where a process finds the data, and keeps what is made of them."""

    dataset: str
    root: Path | None
    results: Path
    device: str


def study(
    name: str,
    *,
    dataset: str = "digits",
    seeds: int | Sequence[int] = 3,
    epochs: int | None = None,
    jobs: int = 1,
    data: Path | str | None = None,
    results: Path | str | None = None,
    device: str = "auto",
    listener: Listener = SILENT,
) -> tuple[list[Figure], list[Studied]]:
    """Run what is missing of a study; return its figures and all of its rows.

    seeds: how many, from 0 on, or these.
    epochs: of the trainings with one update of D per mini-batch; None for the study's own
        number of mini-batches.
    jobs: trainings at once; 1 runs them in this process.

    Raises:
        BenchError: a name, an option or the data do not exist or fit.
    """
    if name not in STUDIES:
        raise UnknownName("study", name, [*STUDIES, "theory"])
    for option, number in (("--epochs", epochs), ("--jobs", jobs)):
        if number is not None and number < 1:
            raise BadOption(f"{option}: got {number}, expected at least 1")
    chosen, results = seeds_of(seeds), results_at(results)
    content = load(dataset, root=data)
    store = Store(results, content.name)
    source = Source(dataset, None if data is None else Path(data), results, str(resolve_device(device)))
    of = STUDIES[name]
    budget = of.steps if epochs is None else epochs * per_epoch(of, content.name, len(content.train))
    trainings = planned(name, of, content.name, content.digest, chosen, budget)
    store.prepare()
    path = path_of(store.folder, name)
    with held(
        store.artefact("locks", f"study-{name}-{store.folder.name}.lock"),
        "runs the same study",
        listener.notice,
    ):
        rows = run_missing(trainings, path, source, jobs, listener)
    listener.doing("drawing figures")
    figures = [f for f in draw_studies(store.folder, store.cache) if f.path.stem.startswith(name)]
    if (store.folder / "report.html").exists():  # a page that is there is brought up to date
        listener.doing("writing the page")
        report(results, say=listener.notice)
    return figures, rows


def per_epoch(of: Study, dataset: str, n: int) -> int:
    """Return the mini-batches of an epoch of n images.

    Raises:
        BadOption: there are none.
    """
    size: int = of.arms(dataset)[0].config.batch_size
    if n < size:
        raise BadOption(f"study: {dataset} has {n} training images, expected at least {size}, a mini-batch")
    return n // size


def planned(
    name: str, of: Study, dataset: str, content: str, seeds: Sequence[int], budget: int
) -> list[Training]:
    """Return the trainings of a study, seeds innermost, and its look at real images."""
    about = Studied(
        name,
        dataset,
        REAL,
        "",
        None,
        budget,
        content=content,
        code=code_of(name),
        versions=package_versions(),
        commit=git_commit(),
    )
    found = [Training(replace(about, key=content_digest("study", name, dataset, about.recipe)), None)]
    for arm in of.arms(dataset):
        base = asdict(usual(type(arm.config)(), dataset))
        settings = {k: v for k, v in asdict(arm.config).items() if v != base[k]}
        for seed in seeds:
            row = replace(about, setting=arm.setting, at=arm.value, seed=seed, settings=as_json(settings))
            of_all = (name, dataset, about.recipe, arm.setting, arm.value, asdict(arm.config), seed)
            found.append(Training(replace(row, key=content_digest("study", *of_all)), arm))
    return found


def run_missing(
    trainings: Sequence[Training], path: Path, source: Source, jobs: int, listener: Listener
) -> list[Studied]:
    """Run the trainings whose rows are not there, and store the rows of each.

    Return all rows of the study.
    """
    there, recipe = read_studied(path), trainings[0].blank.recipe
    kept = [r for r in there if r.recipe == recipe and not r.failed]
    others = len({r.key for r in there if r.recipe != recipe})
    done = {r.key for r in kept}
    due = [t for t in trainings if t.blank.key not in done]
    if due and others:
        older = read_studied(superseded_of(path))
        known = {r.key for r in older}
        new = [r for r in there if r.recipe != recipe and r.key not in known]
        write_studied(superseded_of(path), [*older, *new])
        listener.notice(
            f"{others} trainings of {path}, of other data, code or number of mini-batches, are superseded"
        )
    place = {t.blank.key: i for i, t in enumerate(trainings)}
    listener.step("training", 0, len(due))
    for i, (training, rows) in enumerate(results_of(due, source, jobs)):
        kept = [*kept, *rows]
        kept.sort(key=lambda r: place.get(r.key, len(place)))
        write_studied(path, kept)
        listener.step(f"trained {training.name}", i + 1, len(due))
    return kept


def results_of(
    trainings: Sequence[Training], source: Source, jobs: int
) -> Iterator[tuple[Training, list[Studied]]]:
    """Yield trainings with their rows, as they come.

    Raises:
        BenchError: a worker process was killed.
    """
    if jobs == 1 or len(trainings) < 2:
        yield from ((training, rows_of(training, source)) for training in trainings)
        return
    before, threads = set(active_children()), max(1, torch.get_num_threads() // jobs)
    with ProcessPoolExecutor(
        min(jobs, len(trainings)), get_context("spawn"), initializer=begin, initargs=(threads,)
    ) as pool:
        try:
            futures = {pool.submit(rows_of, training, source): training for training in trainings}
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BaseException as error:
            for child in set(active_children()) - before:  # they would finish what they are at
                child.kill()
            if isinstance(error, BrokenProcessPool):
                raise BenchError(
                    "study: a worker process was killed; what is finished is kept, start it again, "
                    "with fewer --jobs"
                ) from error
            raise


def begin(threads: int) -> None:
    """Prepare a worker process: Ctrl-C is its parent's, and it ends with that."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=end_with_parent, daemon=True).start()
    torch.set_num_threads(threads)


@cache
def evidence_of(source: Source) -> Evidence:
    """Return the data on their device, with a memory; loaded once in a process."""
    content = load(source.dataset, root=source.root).to(resolve_device(source.device))
    return Evidence(content, Store(source.results, content.name))


def rows_of(training: Training, source: Source) -> list[Studied]:
    """Return the rows of a training, and store its film where it has one.

    Raises:
        BenchError: the data, or the code, are no longer those of the plan.
    """
    blank, data, of = training.blank, evidence_of(source), STUDIES[training.blank.study]
    if (data.digest, code_of(blank.study)) != (blank.content, blank.code):
        raise BenchError(
            "study: the data or the code were changed while it ran; start the same command again"
        )
    try:
        if training.arm is None:
            return [replace(blank, quantity=name, value=v) for name, v in of.real(data).items()]
        assert blank.seed is not None
        found = measured(of, training.arm.config, blank.dataset, data, seed=blank.seed, steps=blank.budget)
    except NoRoom:
        raise
    except Exception as error:  # noqa: BLE001  # any error of a training becomes a row's status
        return [replace(blank, status=failure(error))]
    keep_film(found, blank.key, Store(source.results, blank.dataset))
    config: Any = training.arm.config
    return [
        replace(
            blank,
            step=moment.step,
            updates_g=moment.step * getattr(config, "j", 1),
            updates_d=moment.step * config.k,
            quantity=quantity,
            value=value,
        )
        for moment in found
        for quantity, value in moment.values.items()
    ]


def keep_film(moments: Sequence[Moment], key: str, store: Store) -> None:
    """Store the frames of a training, if it has any."""
    frames = [moment.frame for moment in moments if moment.frame is not None]
    if frames:
        about = as_json({"steps": [moment.step for moment in moments]})
        path = store.artefact("studies", f"{key}.safetensors")
        sealed.save(path, key, {"film": torch.stack(frames)}, about)  # (moments, frames, c, h, w)
