"""What can be typed? `bench run`, `score`, `report`, `check` and `list`; torch is imported only by the commands that compute."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from bench.errors import BenchError

app = typer.Typer(
    help="Compare generative models with numbers that can be published.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Results = Annotated[Path, typer.Option("--results", help="Folder of records, tables and artefacts.")]
Data = Annotated[Path | None, typer.Option("--data", help="Root of the data sets' files, in torchvision's layout.", envvar="BENCH_DATA")]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or cuda:N.")]
DatasetName = Annotated[str, typer.Option("--dataset", help="One of `bench list datasets`, or folder:PATH.")]


class Kind(StrEnum):
    """What can be listed."""

    models = "models"
    metrics = "metrics"
    datasets = "datasets"


class Taken(StrEnum):
    """Which weights are sampled."""

    best = "best"
    last = "last"


@app.command()
def run(
    models: Annotated[list[str] | None, typer.Argument(help="Models to run, see `bench list models`.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Run every registered model.")] = False,
    dataset: DatasetName = "digits",
    seeds: Annotated[int, typer.Option(help="Training runs of each model, from seeds 0, 1, ….")] = 3,
    samples: Annotated[int, typer.Option(help="Samples drawn from each and scored.")] = 10_000,
    draws: Annotated[int, typer.Option(help="Sample sets drawn from each: their spread is the error that comes from drawing.")] = 5,
    checkpoint: Annotated[Taken, typer.Option(help="The weights that are sampled: last, or best on validation images.")] = Taken.last,
    options: Annotated[list[str] | None, typer.Option("--set", metavar="MODEL.KEY=VALUE", help="Change a hyper-parameter.")] = None,
    device: Device = "auto",
    jobs: Annotated[int, typer.Option(help="Cells run at once, in processes that share the device.")] = 1,
    data: Data = None,
    results: Results = Path("results"),
    force: Annotated[bool, typer.Option("--force", help="Train and score again what is there already.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the cells and whether they are there; run none.")] = False,
) -> None:
    """Train, sample and score models; write their rows and tables. Exit code 1 if a row failed."""
    if bool(models) == everything:
        raise BenchError("run: expected names of models or --all, one of them; see `bench list models`")
    from bench.pipeline import run as run_models
    from bench.screen import Screen, print_plan

    chosen = None if everything else models
    if dry_run:
        print_plan(
            chosen,
            dataset=dataset,
            seeds=seeds,
            samples=samples,
            draws=draws,
            checkpoint=checkpoint.value,
            options=options or (),
            data=data,
            results=results,
        )
        return
    try:
        with Screen(results, dataset) as screen:
            records = run_models(
                chosen,
                dataset=dataset,
                seeds=seeds,
                samples=samples,
                draws=draws,
                checkpoint=checkpoint.value,
                options=options or (),
                device=device,
                jobs=jobs,
                data=data,
                results=results,
                force=force,
                watch=screen,
            )
    except KeyboardInterrupt:
        typer.echo("bench: interrupted; what is finished is kept, and the same command goes on from here", err=True)
        raise typer.Exit(130) from None
    if records["status"].str.startswith(("failed", "diverged")).any():
        raise typer.Exit(1)


@app.command()
def score(
    samples: Annotated[Path, typer.Argument(help="A .npy, .npz, .pt or .safetensors array, or a folder of images.")],
    dataset: Annotated[str, typer.Option("--dataset", help="The data set that the samples imitate.")],
    name: Annotated[str | None, typer.Option(help="Name of the row (default: the file's).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
    device: Device = "auto",
    data: Data = None,
    results: Results = Path("results"),
) -> None:
    """Score your own samples and put them in the table."""
    from bench.scoring import score as score_samples

    found = score_samples(samples, dataset=dataset, name=name, device=device, data=data, results=results)
    failed = any(metric["value"] is None for metric in found["metrics"].values())
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False))
    else:
        from bench.screen import print_scores

        print_scores(found, results)
    if failed:
        raise typer.Exit(1)


@app.command()
def report(results: Results = Path("results")) -> None:
    """Rebuild every table and figure from the records alone."""
    from bench.report import report as rebuild

    written = rebuild(results)
    if not written:
        raise BenchError(f"report: no records under {results}; make some with `bench run --all`")
    for path in written:
        typer.echo(path)


@app.command()
def check(
    baseline: Annotated[Path, typer.Option("--baseline", help="Folder with the runs.csv to compare with, like results/mnist.")],
    fast: Annotated[bool, typer.Option("--fast", help="One seed of the lines that train within a minute.")] = False,
    retrain: Annotated[bool, typer.Option("--retrain", help="Train everything again, whatever the results folder holds.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON list and nothing else.")] = False,
    device: Device = "auto",
    data: Data = None,
    results: Results = Path("results"),
) -> None:
    """Make a baseline's likelihood numbers again. Exit code 3 if one regressed beyond its noise, 4 if one cannot be compared."""
    from bench.check import as_plain, exit_code
    from bench.check import check as check_numbers
    from bench.screen import Lines, print_verdicts

    watch = None if as_json else Lines()
    verdicts = check_numbers(baseline, fast=fast, retrain=retrain, data=data, device=device, results=results, watch=watch)
    if as_json:
        typer.echo(as_plain(verdicts))
    else:
        print_verdicts(verdicts)
    raise typer.Exit(exit_code(verdicts))


@app.command(name="list")
def list_(kind: Annotated[Kind, typer.Argument(help="What to list.")]) -> None:
    """List the registered models, metrics or data sets."""
    from bench.screen import print_registry

    print_registry(kind.value)


def main() -> None:
    """Run the command line; a mistake, or a file that cannot be read or written, is one line on stderr and exit code 2."""
    try:
        app()
    except (BenchError, OSError) as error:
        typer.echo(f"bench: {error}", err=True)
        sys.exit(2)
