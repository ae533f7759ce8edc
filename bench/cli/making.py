"""What is typed to make rows: models run, samples scored?"""

from __future__ import annotations

import json
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer
from genmodel_bench.cells.protocol import USUAL
from genmodel_bench.cli.options import (
    RESULTS,
    Changes,
    Checkpoint,
    Data,
    DatasetName,
    Deterministic,
    Device,
    Draws,
    Exactness,
    Figures,
    Metrics,
    Models,
    Precision,
    Replace,
    Results,
    Samples,
    Seeds,
    Taken,
    Where,
    expanded,
    protocol_of,
    seeds_in,
)
from genmodel_bench.errors import BenchError


def say_loading() -> None:
    """Say on a terminal that torch is being loaded, before it is: that takes seconds."""
    if sys.stderr.isatty():
        typer.echo("bench: loading torch …", err=True)


def run(
    models: Models = None,
    everything: Annotated[bool, typer.Option("--all", help="Run every registered model.")] = False,
    dataset: DatasetName = "digits",
    seeds: Seeds = "3",
    samples: Samples = USUAL.samples,
    draws: Draws = USUAL.draws,
    checkpoint: Checkpoint = Taken.last,
    options: Changes = None,
    metric: Metrics = None,
    device: Device = "auto",
    deterministic: Deterministic = False,
    precision: Precision = Exactness.float32,
    jobs: Annotated[
        int | None,
        typer.Option(
            help="Cells run at once, in processes that share the device; usually 1 on CUDA, up to 4 on a CPU."
        ),
    ] = None,
    timeout: Annotated[float | None, typer.Option(help="Seconds that a cell may take at a time.")] = None,
    data: Data = None,
    results: Results = RESULTS,
    force: Annotated[
        bool, typer.Option("--force", help="Train and score again what is there already.")
    ] = False,
    replace: Replace = False,
    figures: Figures = True,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write training to RESULTS/.cache/tensorboard.")
    ] = False,
    executor: Annotated[
        Where, typer.Option(help="local: this machine; ray: the machines of a Ray cluster.")
    ] = Where.local,
    address: Annotated[
        str | None,
        typer.Option(
            help="The cluster: auto, HOST:PORT or ray://HOST:PORT (default: Ray on this machine alone)."
        ),
    ] = None,
    cpus_per_cell: Annotated[
        int | None, typer.Option(help="Threads of each cell on a cluster, 1 unless given.")
    ] = None,
    gpus_per_cell: Annotated[
        float | None, typer.Option(help="GPUs of each cell on a cluster, as 0.25; none unless given.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the cells and whether they are there; run none.")
    ] = False,
) -> None:
    """Train, sample and score models, and write their rows and tables.

    The exit code is 1 if a row failed.
    """
    if jobs is not None and jobs < 1:
        raise BenchError(f"--jobs: got {jobs}, expected at least 1")
    if bool(models) == everything:
        raise BenchError("run: expected names of models or --all, one of them; see `bench list models`")
    chosen = seeds_in(seeds)
    say_loading()
    from genmodel_bench.cells.plan import metrics_named
    from genmodel_bench.cli.terminal import display, print_preview
    from genmodel_bench.commands.preview import preview
    from genmodel_bench.commands.run import run as run_models
    from genmodel_bench.execution.executor import Executor
    from genmodel_bench.execution.pool import usual_jobs
    from genmodel_bench.storage.provenance import resolve_device
    from genmodel_bench.storage.record import FAILURES

    request: Any = {
        "dataset": dataset,
        "seeds": chosen,
        "metrics": metrics_named(metric or ()),
        "options": options or (),
        "protocol": protocol_of(samples, draws, checkpoint, deterministic, precision),
        "data": data,
        "results": results,
    }
    if dry_run:
        print_preview(preview(models, **request))
        return
    jobs = jobs or (0 if executor is Where.ray else usual_jobs(resolve_device(device)))
    where = Executor(executor.value, jobs, timeout, address, cpus_per_cell, gpus_per_cell)
    with display(results) as listener:
        records = run_models(
            models,
            **request,
            device=device,
            executor=where,
            force=force,
            replace=replace,
            tensorboard=tensorboard,
            figures=figures,
            listener=listener,
        )
    if records["status"].str.startswith(FAILURES).any():
        raise typer.Exit(1)


def score(
    samples: Annotated[
        Path,
        typer.Argument(
            help="A .npy, .npz, .pt or .safetensors array, or a folder of images.", callback=expanded
        ),
    ],
    dataset: Annotated[str, typer.Option("--dataset", help="The data set that the samples imitate.")],
    name: Annotated[str | None, typer.Option(help="Name of the row (default: the file's).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
    device: Device = "auto",
    data: Data = None,
    results: Results = RESULTS,
    figures: Figures = True,
    replace: Replace = False,
    metric: Metrics = None,
) -> None:
    """Score your own samples and put them in the table.

    The exit code is 1 if a metric fails; one that does not apply is no failure.
    """
    if not as_json:
        say_loading()
    from genmodel_bench.cells.plan import metrics_named
    from genmodel_bench.cli.terminal import print_scores, progress
    from genmodel_bench.commands.score import score as score_samples

    with nullcontext() if as_json else progress() as listener:
        found = score_samples(
            samples,
            dataset=dataset,
            name=name,
            device=device,
            data=data,
            results=results,
            figures=figures,
            replace_data=replace,
            metrics=metrics_named(metric or ()),
            listener=listener,
        )
    failed = any(
        metric["value"] is None and not metric["status"].startswith("n/a")
        for metric in found["metrics"].values()
    )
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False))
    else:
        print_scores(found, results)
    if failed:
        raise typer.Exit(1)
