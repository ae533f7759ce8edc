"""What is typed to read rows: tables, comparisons, claims, citations, lists?"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from genmodel_bench.cli.options import (
    RESULTS,
    DatasetName,
    Form,
    Kind,
    Results,
    expanded,
    split,
)
from genmodel_bench.errors import BenchError, printable


def report(results: Results = RESULTS) -> None:
    """Rebuild every table and figure from the stored records alone."""
    from genmodel_bench.commands.report import report as rebuild
    from genmodel_bench.storage.store import passed_over

    written = rebuild(results, say=lambda text: typer.echo(f"bench: {text}", err=True))
    for folder, why_not in passed_over(results).items():
        typer.echo(f"bench: {results / folder}: passed over: its runs.csv {why_not}", err=True)
    if not written:
        raise BenchError(f"report: no records under {results}; make some with `bench run --all`")
    for path in written:
        typer.echo(path)


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


def claims(
    file: Annotated[
        Path,
        typer.Argument(help='TOML: claims = ["gan-ns > dbn on parzen, mnist", …].', callback=expanded),
    ],
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


def table(
    datasets: Annotated[
        list[str] | None, typer.Option("--dataset", help="A data set, in order (default: all).")
    ] = None,
    rows: Annotated[str, typer.Option(help="Rows in order, separated by ';' (default: all).")] = "",
    columns: Annotated[
        str, typer.Option(help="Columns or views in order, separated by ';' (default: Table 1).")
    ] = "",
    sort: Annotated[str, typer.Option(help="A column, best first; -COLUMN the other way round.")] = "",
    digits: Annotated[
        int | None, typer.Option(help="Decimals of all numbers that have any.", min=0, max=30)
    ] = None,
    caption: Annotated[str, typer.Option(help="The caption.")] = "",
    label: Annotated[str, typer.Option(help="The LaTeX label, as tab:results.")] = "",
    form: Annotated[Form, typer.Option("--format", help="How it is written.")] = Form.md,
    results: Results = RESULTS,
) -> None:
    """Print a table for a paper: chosen rows and columns, or a macro for each number."""
    from genmodel_bench.commands.table import printed_table

    text = printed_table(
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
