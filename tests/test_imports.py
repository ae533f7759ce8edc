"""Who may import whom, read from the syntax trees."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = {package: sorted((ROOT / package).rglob("*.py")) for package in ("bench", "models", "metrics")}
TORCHLESS = ["bench", "bench.cli", "bench.cell", "bench.store", "bench.report", "bench.errors", "bench.options", "bench.digest"]


def imports(path, *, top_level=False):
    tree = ast.parse(path.read_text())
    nodes = tree.body if top_level else ast.walk(tree)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module.split(".")[0]


@pytest.mark.parametrize(("package", "forbidden"), [("models", {"bench", "metrics"}), ("metrics", {"bench", "models"})])
def test_models_and_metrics_import_neither_each_other_nor_bench(package, forbidden):
    assert FILES[package]
    for path in FILES[package]:
        assert not forbidden & set(imports(path)), path


def test_the_report_and_what_it_reads_know_no_torch():
    for path in [
        *(ROOT / "bench" / "report").glob("*.py"),
        ROOT / "bench" / "store.py",
        ROOT / "bench" / "cell.py",
        ROOT / "bench" / "cli.py",
    ]:
        assert not {"torch", "torchvision"} & set(imports(path)), path


def test_importing_the_front_does_not_import_torch():
    code = f"import sys, {', '.join(TORCHLESS)}; assert 'torch' not in sys.modules; assert 'scipy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_nothing_prints_below_the_command_line():
    for package, paths in FILES.items():
        for path in paths:
            calls = [n.func.id for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)]
            assert "print" not in calls, (package, path)


def test_every_file_says_which_question_it_answers():
    for paths in FILES.values():
        for path in paths:
            doc = ast.get_docstring(ast.parse(path.read_text()))
            assert doc, path
            assert "?" in doc.splitlines()[0] + doc.splitlines()[min(1, len(doc.splitlines()) - 1)], path
