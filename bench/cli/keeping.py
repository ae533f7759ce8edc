"""What is typed to keep rows: to take some out, to unite several folders of them?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from genmodel_bench.cli.options import RESULTS, Figures, Results, expanded
from genmodel_bench.errors import printable


def remove(
    row: Annotated[str, typer.Argument(help="The row, as the table names it.")],
    dataset: Annotated[
        str | None, typer.Option("--dataset", help="Of which data set, where several have such a row.")
    ] = None,
    samples: Annotated[
        int | None, typer.Option("--samples", help="Of how many samples, where several rows are named so.")
    ] = None,
    figures: Figures = True,
    results: Results = RESULTS,
) -> None:
    """Take a row out of the table; its records go to runs-superseded.csv."""
    from genmodel_bench.commands.remove import remove as take_out

    typer.echo(printable(take_out(row, dataset=dataset, samples=samples, results=results, figures=figures)))


def merge(
    folders: Annotated[
        list[Path], typer.Argument(help="Results folders, as of other machines.", callback=expanded)
    ],
    figures: Figures = True,
    results: Results = RESULTS,
) -> None:
    """Add the rows of other results folders to this one; every seal is checked.

    The exit code is 1 if rows were left out: edited ones, and contradictions.
    """
    from genmodel_bench.commands.merge import merge as unite

    merged = unite(folders, results=results, figures=figures)
    for text in merged.left_out:
        typer.echo(f"bench: {printable(text)}", err=True)
    for text in merged.done:
        typer.echo(printable(text))
    if merged.left_out:
        raise typer.Exit(1)
