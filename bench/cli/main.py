"""Which commands can be typed? `bench --help` lists them.

torch is imported only inside the commands that compute, so that the others start fast.
"""

from __future__ import annotations

import json
import signal
import sys
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from genmodel_bench.cells.protocol import USUAL
from genmodel_bench.cli.interrupt import NOTED, interrupt, say_interrupted
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
    Form,
    Kind,
    Metrics,
    Models,
    Precision,
    Replace,
    Results,
    Samples,
    Seeds,
    Taken,
    Where,
    protocol_of,
    seeds_in,
    split,
)
from genmodel_bench.errors import BenchError, printable

app = typer.Typer(
    help="Compare generative models with numbers that can be published.",
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)
UsageError = typer.BadParameter.__bases__[0]
"""What typer raises of an option that it cannot read; it has no public name there."""


def say_version(asked: bool) -> None:
    """Print the version and end the command, if it was asked for."""
    if asked:
        from importlib.metadata import version

        typer.echo(f"genmodel-bench {version('genmodel-bench')}")
        raise typer.Exit


@app.callback()
def bench(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", callback=say_version, is_eager=True),
    ] = False,
) -> None:
    """Compare generative models with numbers that can be published."""


def say_loading() -> None:
    """Say on a terminal that torch is being loaded, before it is: that takes seconds."""
    if sys.stderr.isatty():
        typer.echo("bench: loading torch …", err=True)


@app.command()
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


@app.command()
def score(
    samples: Annotated[
        Path, typer.Argument(help="A .npy, .npz, .pt or .safetensors array, or a folder of images.")
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


@app.command()
def report(results: Results = RESULTS) -> None:
    """Rebuild every table and figure from the stored records alone."""
    from genmodel_bench.commands.report import report as rebuild
    from genmodel_bench.storage.store import passed_over

    written = rebuild(results)
    for folder, why_not in passed_over(results).items():
        typer.echo(f"bench: {results / folder}: passed over: its runs.csv {why_not}", err=True)
    if not written:
        raise BenchError(f"report: no records under {results}; make some with `bench run --all`")
    for path in written:
        typer.echo(path)


@app.command()
def compare(
    rows: Annotated[list[str], typer.Argument(help="Two or more rows, as the table names them.")],
    dataset: DatasetName = "digits",
    metric: Annotated[
        str | None, typer.Option(help="METRIC or METRIC.SCORE (default: the score of Table 1).")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON list and nothing else.")] = False,
    results: Results = RESULTS,
) -> None:
    """Say which rows are told apart, with all that is uncertain in their differences."""
    from genmodel_bench.commands.compare import compared

    column, pairs = compared(rows, dataset=dataset, metric=metric, results=results)
    if as_json:
        found = [asdict(pair) | {"verdict": pair.verdict, "sentence": pair.sentence} for pair in pairs]
        typer.echo(json.dumps(found, ensure_ascii=False))
        return
    from genmodel_bench.cli.terminal import print_pairs

    print_pairs(dataset, column, pairs)


@app.command()
def claims(
    file: Annotated[Path, typer.Argument(help='TOML: claims = ["gan-ns > dbn on parzen, mnist", …].')],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON list and nothing else.")] = False,
    results: Results = RESULTS,
) -> None:
    """Say which claims of a file the results support.

    The exit code is 3 if one is contradicted, else 4 if one is undetermined.
    """
    from genmodel_bench.commands.claims import claims as judged_claims
    from genmodel_bench.commands.claims import exit_code

    judged = judged_claims(file, results)
    if as_json:
        typer.echo(json.dumps([asdict(each) for each in judged], ensure_ascii=False))
    else:
        for each in judged:
            typer.echo(f"{each.finding}: {each.claim}\n    {printable(each.reason)}")
    raise typer.Exit(exit_code(judged))


@app.command()
def table(
    datasets: Annotated[
        list[str] | None, typer.Option("--dataset", help="A data set, in order (default: all).")
    ] = None,
    rows: Annotated[str, typer.Option(help="Rows in order, separated by ';' (default: all).")] = "",
    columns: Annotated[
        str, typer.Option(help="Columns or views in order, separated by ';' (default: Table 1).")
    ] = "",
    sort: Annotated[str, typer.Option(help="A column, best first; -COLUMN the other way round.")] = "",
    digits: Annotated[int | None, typer.Option(help="Decimals of all numbers that have any.", min=0)] = None,
    caption: Annotated[str, typer.Option(help="The caption.")] = "",
    label: Annotated[str, typer.Option(help="The LaTeX label, as tab:results.")] = "",
    form: Annotated[Form, typer.Option("--format", help="How it is written.")] = Form.md,
    results: Results = RESULTS,
) -> None:
    """Print a table for a paper: chosen rows and columns, or a macro for each number."""
    from genmodel_bench.commands.table import table as chosen_table

    text = chosen_table(
        results,
        datasets=datasets or (),
        rows=split(rows),
        columns=split(columns),
        sort=sort,
        digits=digits,
        caption=caption,
        label=label,
        format=form.value,
    )
    typer.echo(text, nl=False)


@app.command()
def theory(
    seed: Annotated[int, typer.Option(help="The seed of the training.", min=0)] = 0,
    results: Results = RESULTS,
) -> None:
    """Measure and draw the paper's Figure 1, on a known density.

    It compares training with the theory, and takes half a minute.
    """
    from genmodel_bench.commands.theory import measure
    from genmodel_bench.report.figures.theory import draw, store

    measured = measure(seed)
    last = measured.moments[-1]
    stored = store(measured, results)
    typer.echo(
        f"after {last.step:,} updates of G: V = {last.value:.5f} ≤ {last.optimum:.5f} "
        "= −log 4 + 2 · JSD; −log 4 = −1.38629"
    )
    distances = f"JSD {last.jsd:.5f} nats, total variation {last.total_variation:.4f}"
    typer.echo(f"{distances}, max |D − ½| {last.furthest:.4f} where p_data has mass")
    for path in [
        stored,
        *(figure.path.with_suffix(suffix) for figure in draw(results) for suffix in (".png", ".pdf")),
    ]:
        typer.echo(path)


@app.command()
def check(
    baseline: Annotated[
        Path, typer.Option("--baseline", help="Folder with the runs.csv to compare with, like results/mnist.")
    ],
    fast: Annotated[
        bool, typer.Option("--fast", help="One seed of the lines that train within a minute.")
    ] = False,
    retrain: Annotated[
        bool, typer.Option("--retrain", help="Train everything again, whatever the results folder holds.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON list and nothing else.")] = False,
    device: Device = "auto",
    data: Data = None,
    results: Results = RESULTS,
) -> None:
    """Make a baseline's likelihood scores again, and compare them.

    The exit code is 3 if one regressed by more than its noise, else 4 if one cannot be
    compared or all were skipped.
    """
    if not as_json:
        say_loading()
    from genmodel_bench.cli.terminal import print_verdicts, progress
    from genmodel_bench.commands.check import as_plain, exit_code
    from genmodel_bench.commands.check import check as check_numbers

    with nullcontext() if as_json else progress() as listener:
        verdicts = check_numbers(
            baseline, fast=fast, retrain=retrain, data=data, device=device, results=results, listener=listener
        )
    if as_json:
        typer.echo(as_plain(verdicts))
    else:
        print_verdicts(verdicts)
    raise typer.Exit(exit_code(verdicts))


@app.command()
def why(
    cell: Annotated[
        str, typer.Argument(help="A model, or the id of a stored cell, as in the column 'cell' of runs.csv.")
    ],
    dataset: DatasetName = "digits",
    seed: Annotated[int, typer.Option(help="The seed of the cell.", min=0)] = 0,
    samples: Samples = USUAL.samples,
    draws: Draws = USUAL.draws,
    checkpoint: Checkpoint = Taken.last,
    options: Changes = None,
    deterministic: Deterministic = False,
    precision: Precision = Exactness.float32,
    data: Data = None,
    results: Results = RESULTS,
) -> None:
    """Print what a cell depends on, and why its parts are reused or made again."""
    from genmodel_bench.cli.terminal import print_parts
    from genmodel_bench.commands.why import cell_named
    from genmodel_bench.commands.why import why as parts_of
    from genmodel_bench.data.registry import load
    from genmodel_bench.metrics import METRICS
    from genmodel_bench.storage.store import Store

    content = load(dataset, root=data)
    store = Store(results, content.name)
    protocol = protocol_of(samples, draws, checkpoint, deterministic, precision)
    chosen = cell_named(cell, content, store, seed=seed, options=options or (), protocol=protocol)
    print_parts(chosen, parts_of(chosen, store, METRICS))


@app.command()
def verify(
    cells: Annotated[
        int, typer.Option(help="Cells, drawn at random, that are made again from nothing.", min=0)
    ] = 1,
    within: Annotated[
        float, typer.Option(help="Draw them from those that trained in as many seconds.")
    ] = 600.0,
    seed: Annotated[
        int | None, typer.Option(help="What the draw of the cells depends on (default: the moment).")
    ] = None,
    device: Device = "auto",
    data: Data = None,
    results: Results = RESULTS,
) -> None:
    """Check stored files, rows, tables and figures, and make some cells again.

    Files are hashed again, and rows are compared with them. The exit code is 1 if
    anything is wrong.
    """
    from genmodel_bench.cli.terminal import print_findings
    from genmodel_bench.commands.verify import verify as findings_of

    found = findings_of(results, cells=cells, within=within, seed=seed, data=data, device=device)
    if not print_findings(found):
        raise typer.Exit(1)


@app.command()
def vouch(
    evidence: Annotated[
        Path | None, typer.Option("--from", help="Another results folder whose rows are replayed too.")
    ] = None,
    within: Annotated[float, typer.Option(help="Seconds for each replay of what is not digits.")] = 60.0,
    device: Device = "auto",
    data: Data = None,
    results: Results = RESULTS,
) -> None:
    """Replay stored trainings with today's code; if all bits are equal, rows stay valid.

    The exit code is 1 if a bit differs or a change of the code is not vouched for.
    """
    from genmodel_bench.cli.terminal import print_findings
    from genmodel_bench.commands.vouch import vouch as findings_of

    if not print_findings(findings_of(results, evidence=evidence, within=within, data=data, device=device)):
        raise typer.Exit(1)


@app.command()
def cite(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Models, metrics and data sets; none: all that the records use."),
    ] = None,
    dataset: Annotated[
        str | None, typer.Option("--dataset", help="Of all records, those of this data set.")
    ] = None,
    results: Results = RESULTS,
) -> None:
    """Print BibTeX of this tool and of the models, metrics and data sets used."""
    if names and dataset is not None:
        raise BenchError("cite: got names and --dataset, expected one of them")
    from genmodel_bench.commands.cite import cite as citations_of

    found = citations_of(names or (), dataset=dataset, results=results)
    typer.echo(found.bibtex, nl=False)
    if found.left_out:
        typer.echo(f"bench: left out, no source is known: {printable(', '.join(found.left_out))}", err=True)


@app.command(name="list")
def list_(
    kind: Annotated[Kind, typer.Argument(help="What to list.")],
    dataset: Annotated[
        str | None,
        typer.Option("--dataset", help="Of models: what `run --all` would run there, with which settings."),
    ] = None,
) -> None:
    """List the registered models, metrics or data sets."""
    if dataset is not None and kind is not Kind.models:
        raise BenchError(f"list: --dataset: got {kind.value}, expected models; leave --dataset out")
    from genmodel_bench.cli.terminal import print_models, print_registry

    if dataset is None:
        print_registry(kind.value)
    else:
        print_models(dataset)


def main() -> None:
    """Run the command line.

    A mistake, or a file that cannot be read or written, is one line on stderr and exit
    code 2. Ctrl-C is exit code 130.
    """
    signal.signal(signal.SIGINT, interrupt)
    try:
        sys.exit(app(sys.argv[1:] or ["--help"], prog_name="bench", standalone_mode=False))
    except BaseException as error:
        if NOTED:
            say_interrupted()
            sys.exit(130)
        if isinstance(error, UsageError):
            say_mistake(said_of(error))
        if not isinstance(error, (BenchError, OSError)):
            raise
        say_mistake(str(error))


def said_of(error: Any) -> str:
    """Return what typer says of an option that it cannot read, as one line."""
    command = error.ctx.command_path.split()[1:] if error.ctx else []
    text = " ".join(error.format_message().rstrip(".").split())
    return f"{''.join(f'{name}: ' for name in command)}{text}; see `{' '.join(['bench', *command, '-h'])}`"


def say_mistake(text: str) -> NoReturn:
    """Print a mistake as one line on stderr, and end with exit code 2."""
    typer.echo(f"bench: {printable(text)}", err=True)
    sys.exit(2)
