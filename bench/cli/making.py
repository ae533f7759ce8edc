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
    Features,
    Figures,
    Like,
    Metrics,
    Models,
    Precision,
    ReplaceData,
    Results,
    Samples,
    Seeds,
    Several,
    Started,
    Taken,
    Where,
    expanded,
    protocol_of,
    seeds_in,
)
from genmodel_bench.errors import BadOption, BenchError, printable


def say_loading() -> None:
    """Say on a terminal that torch is being loaded, before it is: that takes seconds."""
    if sys.stderr.isatty():
        typer.echo("bench: loading torch …", err=True)


def run(
    models: Models = None,
    everything: Annotated[bool, typer.Option("--all", help="Run every registered model.")] = False,
    dataset: DatasetName = "digits",
    like: Like = "",
    seeds: Seeds = None,
    samples: Samples = USUAL.samples,
    draws: Draws = USUAL.draws,
    checkpoint: Checkpoint = Taken.last,
    options: Changes = None,
    metric: Metrics = None,
    features: Features = None,
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
    replace_data: ReplaceData = False,
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
    chosen = None if seeds is None else seeds_in(seeds)
    say_loading()
    from genmodel_bench.cli.terminal import display, print_preview
    from genmodel_bench.commands.preview import preview
    from genmodel_bench.commands.run import run as run_models
    from genmodel_bench.execution.executor import Executor
    from genmodel_bench.execution.pool import usual_jobs
    from genmodel_bench.storage.provenance import resolve_device
    from genmodel_bench.storage.record import FAILURES

    request: Any = {
        "dataset": dataset,
        "like": like,
        "seeds": chosen,
        "metrics": metric or (),
        "features": features or (),
        "options": options or (),
        "protocol": protocol_of(samples, draws, checkpoint, deterministic, precision),
        "data": data,
        "results": results,
    }
    if dry_run:
        print_preview(preview(models or None, **request))
        return
    jobs = jobs or (0 if executor is Where.ray else usual_jobs(resolve_device(device)))
    where = Executor(executor.value, jobs, timeout, address, cpus_per_cell, gpus_per_cell)
    with display(results) as listener:
        records = run_models(
            models or None,
            **request,
            device=device,
            executor=where,
            force=force,
            replace_data=replace_data,
            tensorboard=tensorboard,
            figures=figures,
            listener=listener,
        )
    if records["status"].str.startswith(FAILURES).any():
        raise typer.Exit(1)


def study(
    name: Annotated[str | None, typer.Argument(help="A study; none: list them.")] = None,
    dataset: Annotated[
        str | None,
        typer.Option("--dataset", help="Of `bench list datasets`, or your own (default: digits)."),
    ] = None,
    seeds: Annotated[
        str | None,
        typer.Option(
            "--seeds",
            metavar="N|SEED,SEED,…",
            help="Trainings of each value: N from seeds 0, 1, …, or these seeds (default: 3; of theory, 0,).",
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(help="Epochs of a training (default: the study's own number of mini-batches)."),
    ] = None,
    jobs: Annotated[int | None, typer.Option(help="Trainings at once, as with `bench run`.")] = None,
    data: Data = None,
    device: Device = "auto",
    results: Results = RESULTS,
) -> None:
    """Vary one setting, train, measure on the way, and draw what it changes.

    The rows are in DATASET/studies/NAME.csv of the results folder, the figures beside
    them. `bench study theory` compares training with the theory, on a known density. The
    exit code is 1 if a training failed.
    """
    if name == "theory":
        if (dataset, epochs, jobs) != (None, None, None):
            raise BadOption("study theory: it is one training on a density of its own; give --seeds alone")
        say_loading()
        from genmodel_bench.commands.theory import theory

        written = theory(seeds_in(seeds or "0,"), results=results)
        failed = False
    elif name is None:
        from genmodel_bench.cli.terminal import print_studies

        return print_studies()
    else:
        chosen = seeds_in(seeds or "3")
        say_loading()
        from genmodel_bench.cli.terminal import progress
        from genmodel_bench.commands.study import study as run_study
        from genmodel_bench.execution.pool import usual_jobs
        from genmodel_bench.storage.provenance import resolve_device

        with progress() as listener:
            written, rows = run_study(
                name,
                dataset=dataset or "digits",
                seeds=chosen,
                epochs=epochs,
                jobs=max(1, usual_jobs(resolve_device(device))) if jobs is None else jobs,
                data=data,
                results=results,
                device=device,
                listener=listener,
            )
        for row in (row for row in rows if row.failed):
            typer.echo(f"{row.setting} {row.at}, seed {row.seed}: {printable(row.status)}")
        failed = any(row.failed for row in rows)
    for figure in written:
        typer.echo(f"{figure.title}. {figure.caption}")
        for suffix in (".png", ".pdf"):
            typer.echo(figure.path.with_suffix(suffix))
    raise typer.Exit(1 if failed else 0)


def new(
    kind: Annotated[Started, typer.Argument(help="What to begin.")],
    name: Annotated[str, typer.Argument(help="Its module, as ae or mylab.ae.")],
) -> None:
    """Write a model or metric of your own that works as it stands, and its test."""
    from genmodel_bench.commands.new import OBJECTS
    from genmodel_bench.commands.new import new as begin

    source, test = begin(kind.value, name)
    option = "" if kind is Started.model else "vae --metric "
    for line in (f"wrote {source} and {test}; try them:", f"bench run {option}{name}:{OBJECTS[kind.value]}"):
        typer.echo(line)
    typer.echo(f"python -m pytest {test}")


def score(
    samples: Annotated[
        list[Path],
        typer.Argument(
            help="A .npy, .npz, .pt or .safetensors array, or a folder of images; one a training seed.",
            callback=expanded,
        ),
    ],
    dataset: Annotated[str, typer.Option("--dataset", help="The data set that the samples imitate.")],
    name: Annotated[str | None, typer.Option(help="Name of the row (default: the first file's).")] = None,
    several: Annotated[
        Several, typer.Option("--as", help="Several files are training seeds, or draws of one training.")
    ] = Several.seeds,
    labels: Annotated[
        list[Path] | None,
        typer.Option(
            help="The classes of class-conditional samples, n whole numbers; one for each file.",
            callback=expanded,
        ),
    ] = None,
    beside: Annotated[
        str | None,
        typer.Option(
            metavar="DATASET|none",
            help="Whose rows, as they come with the package, stand beside (default: the data set's own).",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
    device: Device = "auto",
    data: Data = None,
    results: Results = RESULTS,
    figures: Figures = True,
    replace: Annotated[
        bool, typer.Option("--replace", help="Supersede the row of other samples that has this name.")
    ] = False,
    replace_data: ReplaceData = False,
    metric: Metrics = None,
    features: Features = None,
) -> None:
    """Score your own samples and put them in the table.

    Several files are training seeds of one row, unless they are draws.

    The exit code is 1 if a metric fails; one that does not apply is no failure.
    """
    if not as_json:
        say_loading()
    from genmodel_bench.cli.terminal import print_scores, progress
    from genmodel_bench.commands.score import score as score_samples

    with nullcontext() if as_json else progress() as listener:
        found = score_samples(
            samples,
            dataset=dataset,
            name=name,
            as_draws=several is Several.draws,
            labels=labels or None,
            device=device,
            data=data,
            results=results,
            figures=figures,
            beside=beside,
            replace=replace,
            replace_data=replace_data,
            metrics=metric or (),
            features=features or (),
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
