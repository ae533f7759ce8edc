"""Which commands can be typed? `bench --help` lists them.

torch is imported only inside the commands that compute, so that the others start fast.
"""

from __future__ import annotations

import os
import signal
import sys
import warnings
from contextlib import suppress
from typing import Annotated, Any, NoReturn

import typer
from genmodel_bench.cli.encoding import always_print
from genmodel_bench.cli.interrupt import NOTED, interrupt, say_interrupted
from genmodel_bench.cli.keeping import merge, remove
from genmodel_bench.cli.making import new, run, score, study
from genmodel_bench.cli.reading import cite, claims, compare, list_, report, table
from genmodel_bench.cli.trusting import audit, check, verify, vouch, why
from genmodel_bench.errors import BenchError, DataNotice, printable
from genmodel_bench.storage.system import check_system

app = typer.Typer(
    help="Compare generative models with numbers that can be published.",
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)
MAKING, READING = (run, score, study, new), (report, compare, claims, table, cite, list_)
for command in (*MAKING, *READING, audit, check, why, verify, vouch, remove, merge):
    app.command(name=command.__name__.rstrip("_"))(command)
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


def main() -> None:
    """Run the command line.

    A mistake, or a file that cannot be read or written, is one line on stderr and exit
    code 2. Ctrl-C is exit code 130.
    """
    always_print()
    signal.signal(signal.SIGINT, interrupt)
    with suppress(OSError):  # a folder that was deleted
        if os.getcwd() not in sys.path:  # for `mylab.ae:Config`; last, it hides no package
            sys.path.append(os.getcwd())
    warnings.formatwarning = one_line(warnings.formatwarning)
    try:
        check_system()
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


def one_line(usual: Any) -> Any:
    """Return how warnings are printed: those of files without a place in the code."""

    def shown(message: Any, category: Any, *place: Any, **more: Any) -> str:
        return f"bench: {message}\n" if category is DataNotice else usual(message, category, *place, **more)

    return shown


def said_of(error: Any) -> str:
    """Return what typer says of an option that it cannot read, as one line."""
    command = error.ctx.command_path.split()[1:] if error.ctx else []
    text = " ".join(error.format_message().rstrip(".").split())
    return f"{''.join(f'{name}: ' for name in command)}{text}; see `{' '.join(['bench', *command, '-h'])}`"


def say_mistake(text: str) -> NoReturn:
    """Print a mistake as one line on stderr, and end with exit code 2."""
    typer.echo(f"bench: {printable(text)}", err=True)
    sys.exit(2)
