"""What is typed to trust rows: is a number as it was, why is it made, by which code?"""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer
from genmodel_bench.cells.protocol import USUAL
from genmodel_bench.cli.making import say_loading
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
    Like,
    Metrics,
    Precision,
    Results,
    Samples,
    Taken,
    expanded,
    protocol_of,
    split,
)
from genmodel_bench.errors import BadOption, BenchError, printable


def check(
    baseline: Annotated[
        Path,
        typer.Option(
            "--baseline",
            help="Folder with the runs.csv to compare with, like results/mnist.",
            callback=expanded,
        ),
    ],
    fast: Annotated[
        bool, typer.Option("--fast", help="One seed of the lines that train within a minute.")
    ] = False,
    retrain: Annotated[
        bool, typer.Option("--retrain", help="Train everything again, whatever the results folder holds.")
    ] = False,
    rows: Annotated[str, typer.Option(help="Rows to check, separated by ';' (default: all).")] = "",
    samples: Annotated[
        list[Path] | None,
        typer.Option(
            "--samples",
            metavar="FILE…",
            help="New samples of your own instead, a file for each training.",
            callback=expanded,
        ),
    ] = None,
    more: Annotated[list[Path] | None, typer.Argument(hidden=True, metavar="FILE", callback=expanded)] = None,
    name: Annotated[str | None, typer.Option(help="With --samples: their row in the baseline.")] = None,
    dataset: Annotated[
        str | None, typer.Option("--dataset", help="With --samples: the data set (default: the baseline's).")
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(help="Cells made at once, as with `bench run`; usually 1 on CUDA, up to 4 on a CPU."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON list and nothing else.")] = False,
    device: Device = "auto",
    data: Data = None,
    results: Results = RESULTS,
) -> None:
    """Make a baseline's likelihood scores again, or score new samples, and compare them.

    The exit code is 3 if a score regressed by more than its noise, else 4 if one cannot
    be compared or all were skipped, else 5 if of one nothing can be told.
    """
    if jobs is not None and jobs < 1:
        raise BenchError(f"--jobs: got {jobs}, expected at least 1")
    files = [*(samples or ()), *(more or ())]  # a shell makes several arguments of new*.npy
    if files and not samples:
        raise BadOption(f"check: got {files[0]} without an option; put --samples before your files")
    if samples and (name is None or fast or retrain or rows):
        raise BadOption("--samples: expected --name NAME beside it, and neither --fast, --retrain nor --rows")
    if not samples and (name or dataset):
        raise BadOption("--name, --dataset: are of new samples; add --samples FILE…")
    if not as_json:
        say_loading()
    from genmodel_bench.cli.terminal import print_verdicts, progress
    from genmodel_bench.commands.check import check as check_numbers
    from genmodel_bench.commands.check import check_samples
    from genmodel_bench.execution.pool import usual_jobs
    from genmodel_bench.report.verdicts import as_plain, exit_code
    from genmodel_bench.storage.provenance import resolve_device

    at_once = jobs or usual_jobs(resolve_device(device))
    with nullcontext() if as_json else progress() as listener:
        if samples:
            verdicts = check_samples(
                baseline, files, name=name or "", dataset=dataset, data=data, device=device, listener=listener
            )
        else:
            verdicts = check_numbers(
                baseline,
                fast=fast,
                retrain=retrain,
                rows=split(rows),
                jobs=0 if at_once == 1 else at_once,  # one needs no process of its own
                data=data,
                device=device,
                results=results,
                listener=listener,
            )
    if as_json:
        typer.echo(as_plain(verdicts))
    else:
        print_verdicts(verdicts)
    raise typer.Exit(exit_code(verdicts))


def why(
    cell: Annotated[
        str, typer.Argument(help="A model, or the id of a stored cell, as in the column 'cell' of runs.csv.")
    ],
    dataset: DatasetName = "digits",
    like: Like = "",
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
    from genmodel_bench.cells.catalogue import metrics_in
    from genmodel_bench.cli.terminal import print_parts
    from genmodel_bench.commands.why import cell_named
    from genmodel_bench.commands.why import why as parts_of
    from genmodel_bench.data.registry import load
    from genmodel_bench.storage.store import Store

    content = load(dataset, root=data)
    store = Store(results, content.name)
    protocol = protocol_of(samples, draws, checkpoint, deterministic, precision)
    chosen = cell_named(cell, content, store, seed=seed, options=options or (), protocol=protocol, like=like)
    print_parts(chosen, parts_of(chosen, store, metrics_in(store.records())))


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


def vouch(
    evidence: Annotated[
        Path | None,
        typer.Option("--from", help="Another results folder whose rows are replayed too.", callback=expanded),
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


def audit(
    dataset: DatasetName = "digits",
    metric: Metrics = None,
    sizes: Annotated[
        str,
        typer.Option(
            metavar="N,N,…", help="Numbers of samples (default: three, up to the number of test images)."
        ),
    ] = "",
    data: Data = None,
    device: Device = "auto",
    figures: Figures = True,
    results: Results = RESULTS,
) -> None:
    """Audit the metrics: do they put images whose order is known into this order?

    Real images, copies, prototypes, blurred, noisy and shifted images, missing classes.
    The answer is in audit.csv, audit.md and a figure of the results folder. The exit code
    is 1 if a metric fails.
    """
    say_loading()
    from genmodel_bench.cli.terminal import progress
    from genmodel_bench.commands.audit import audit as scored
    from genmodel_bench.storage.audited import read_audit

    with progress() as listener:
        folder = scored(
            dataset,
            metrics=metric or ["all"],
            sizes=sizes_in(sizes),
            data=data,
            results=results,
            device=device,
            figures=figures,
            listener=listener,
        )
    failed = [r for r in read_audit(folder) if r.status != "ok" and not r.status.startswith("n/a")]
    for r in failed:
        typer.echo(f"{r.metric} on {r.probe}, N = {r.size:,}: {printable(r.status)}")
    typer.echo(str(folder / "audit.md"))
    raise typer.Exit(1 if failed else 0)


def sizes_in(text: str) -> list[int]:
    """Return the numbers in a list separated by commas. Raises BadOption."""
    try:
        return [int(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise BadOption(f"--sizes: got {text!r}, expected numbers like 500,2000") from None
