"""Who may import whom, read from the syntax trees.

The order of the packages is checked by import-linter (`tox -e lint`).
"""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = {package: sorted((ROOT / package).rglob("*.py")) for package in ("bench", "models", "metrics")}
TORCHLESS = [
    "",
    ".cli.main",
    ".cells.cell",
    ".storage.store",
    ".report.rebuild",
    ".errors",
    ".cells.options",
    ".storage.code",
]


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module


@pytest.mark.parametrize("package", ["models", "metrics"])
def test_models_and_metrics_import_nothing_of_the_project_but_themselves(package):
    for path in FILES[package]:
        ours = {name for name in imports(path) if name.startswith("genmodel_bench")}
        assert all(name.startswith(f"genmodel_bench.{package}") for name in ours), path


def test_nothing_is_imported_under_a_name_that_others_may_have():
    for path in (path for paths in FILES.values() for path in paths):
        assert not {"bench", "models", "metrics"} & {name.partition(".")[0] for name in imports(path)}, path


def test_the_report_and_what_it_reads_know_no_torch():
    reading = [
        *("atomic", "code", "digest", "ingredients", "legacy"),
        *("names", "packages", "record", "store", "syntax"),
    ]
    paths = [
        *(ROOT / "bench" / "report").rglob("*.py"),
        *(ROOT / "bench" / "storage" / f"{name}.py" for name in reading),
    ]
    for path in [*paths, ROOT / "bench" / "cells" / "cell.py", ROOT / "bench" / "cli" / "main.py"]:
        assert not {"torch", "torchvision"} & {name.partition(".")[0] for name in imports(path)}, path


def test_importing_the_front_does_not_import_torch():
    names = ", ".join(f"genmodel_bench{name}" for name in TORCHLESS)
    code = f"import sys, {names}; assert not {{'torch', 'scipy'}} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_a_worker_does_not_wait_for_the_report_and_the_command_line():
    code = (
        "import sys, genmodel_bench.execution.pool as p; "
        "names = [n for n in sys.modules if n.startswith('genmodel_bench')]; "
    )
    code += "assert not [n for n in names if n.split('.')[1:2] in (['report'], ['commands'], ['cli'])], names"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_nothing_prints_below_the_command_line():
    for package, paths in FILES.items():
        for path in paths:
            calls = [
                n.func.id
                for n in ast.walk(ast.parse(path.read_text()))
                if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)
            ]
            assert "print" not in calls, (package, path)


def test_every_file_says_which_question_it_answers():
    for path in (
        path for paths in FILES.values() for path in paths if path.name != "__init__.py" or path.read_text()
    ):
        doc = ast.get_docstring(ast.parse(path.read_text()))
        assert doc, path
        if path.parent.name == "templates":  # of a model or metric, which says what it is
            continue
        assert "?" in doc.splitlines()[0] + doc.splitlines()[min(1, len(doc.splitlines()) - 1)], path


def test_every_room_is_installed():
    packages = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    rooms = {path.parent for paths in FILES.values() for path in paths} | {
        ROOT / "bench" / "report" / "page" / "templates"
    }
    names = [".".join(room.relative_to(ROOT).parts) for room in rooms]
    assert {f"genmodel_bench.{name}".replace("genmodel_bench.bench", "genmodel_bench") for name in names} | {
        "genmodel_bench.shipped"
    } == packages  # `results/`: records alone, no module
