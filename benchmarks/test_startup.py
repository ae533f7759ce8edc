"""How long does the command line take to start, next to Python and to importing torch?"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.conftest import Title

HOME = Path(__file__).parents[1]
FLOORS = {"`python -c pass`": "pass", "`python -c 'import torch'`": "import torch"}


def python(*arguments):
    return lambda: subprocess.run(
        [sys.executable, *arguments], check=True, capture_output=True, cwd=HOME, env=os.environ
    )


@pytest.fixture(scope="module")
def results(tmp_path_factory, place):
    """A copy of the committed results, of few in a quick run, and its report."""
    folder = tmp_path_factory.mktemp("report") / "results"
    some = "olivetti" if place.quick else "."
    shutil.copytree(HOME / "results" / some, folder / some, ignore=shutil.ignore_patterns(".cache"))
    python("-m", "bench", "report", "--results", str(folder))()
    return folder


@pytest.mark.parametrize("floor", FLOORS)
def test_help(compare, floor):
    title = Title("start-up", "`bench --help`", floor, "a process")
    compare(title, python("-m", "bench", "--help"), python("-c", FLOORS[floor]), budget=10)


@pytest.mark.parametrize("floor", FLOORS)
def test_report(compare, place, results, floor):
    if place.quick and "torch" in floor:
        pytest.skip("a quick run")
    title = Title("start-up", "`bench report`, figures up to date", floor, "a process")
    compare(
        title,
        python("-m", "bench", "report", "--results", str(results)),
        python("-c", FLOORS[floor]),
        budget=15,
    )
