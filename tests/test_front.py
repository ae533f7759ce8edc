"""What is at the front of the package: names, their help, the examples in it."""

import doctest
import inspect
import subprocess
import sys
import tempfile

import genmodel_bench
import pytest
from genmodel_bench import BenchError
from genmodel_bench.cli import main
from genmodel_bench.storage.store import Store

FUNCTIONS = ["check", "compare", "load", "run", "score", "table"]


def test_the_front_offers_what_it_says():
    assert [n for n in genmodel_bench.__all__ if inspect.isfunction(getattr(genmodel_bench, n))] == FUNCTIONS
    assert set(genmodel_bench.__all__) <= set(dir(genmodel_bench))
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        getattr(genmodel_bench, "nothing")  # noqa: B009  # as an import does


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_help_of_a_function_names_all_that_it_takes(name):
    function = getattr(genmodel_bench, name)
    text, taken = inspect.getdoc(function), inspect.signature(function).parameters
    assert "Raises:" in text
    plain = ("dataset", "data", "device", "figures", "name", "results")  # these say it themselves
    assert [p for p in taken if p not in plain and p not in text] == []


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_examples_in_the_help_are_true(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    function = getattr(genmodel_bench, name)
    found = doctest.DocTestFinder().find(function, name, globs={})
    results = [doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test) for test in found]
    assert not any(result.failed for result in results)
    if name in ("compare", "run", "table"):
        assert sum(result.attempted for result in results) >= 4


def test_the_front_waits_for_nothing():
    code = (
        "import sys, genmodel_bench; dir(genmodel_bench); assert not {'torch', 'pandas'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_windows_is_refused_in_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(BenchError, match="bench does not run on Windows itself; run it under WSL"):
        Store(tmp_path / "r", "digits").prepare()
    assert not (tmp_path / "r").exists()
    with pytest.raises(SystemExit) as ended:
        main.main()
    assert ended.value.code == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
