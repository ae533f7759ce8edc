"""What surrounds a run changes nothing of it.

That is the home folder, the encoding of the terminal, and settings of matplotlib.
"""

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
from genmodel_bench import BenchError, compare, table
from genmodel_bench.cli.encoding import ALIKE, always_print
from genmodel_bench.cli.main import app
from genmodel_bench.commands.cite import cite
from genmodel_bench.commands.claims import claims
from genmodel_bench.commands.report import report
from genmodel_bench.report.figures.figure import RC, paper
from genmodel_bench.storage.names import in_home, results_at
from genmodel_bench.storage.store import Store
from test_report import parzen
from typer.testing import CliRunner


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home folder with two rows in its folder `r`."""
    monkeypatch.setenv("HOME", str(tmp_path))
    Store(tmp_path / "r", "mnist").append([*parzen("gan-ns", [220.0]), *parzen("vae", [250.0])])
    return tmp_path


def test_a_tilde_is_the_home_folder_for_every_function(home):
    (home / "c.toml").write_text('claims = ["gan-ns < vae on parzen, mnist"]')
    assert list(table("~/r")["row"]) == ["vae", "gan-ns"]
    assert len(compare("gan-ns", "vae", dataset="mnist", results="~/r")) == 1
    assert "parzen" in cite(results="~/r").bibtex
    assert len(claims("~/c.toml", "~/r")) == 1
    assert {home / "r"} <= {path.parents[1] for path in report("~/r", figures=False)}
    assert not Path("~").exists()


def test_every_path_that_can_be_typed_knows_the_tilde(home):
    expanded = set()
    for command in app.registered_commands:
        for name, kind in get_type_hints(command.callback, include_extras=True).items():
            if Path in (kinds := {kind.__origin__, *get_args(kind.__origin__)} if get_args(kind) else ()):
                (info,) = kind.__metadata__
                assert info.callback(Path("~/x")) == home / "x", (command.name, name)
                assert type(None) not in kinds or name == "results" or info.callback(None) is None
                expanded.add((command.name, name))
    assert {("run", "results"), ("run", "data"), ("check", "baseline"), ("vouch", "evidence")} <= expanded
    done = CliRunner().invoke(app, ["table", "--results=~/r"])
    assert "gan-ns" in done.output, done.output


def test_a_results_folder_that_is_not_utf_8_is_one_line(tmp_path):
    name = os.fsdecode(os.fsencode(tmp_path) + b"/\xff")
    with pytest.raises(BenchError, match=r"--results: got .*udcff.*, which is not UTF-8") as error:
        table(name)
    assert str(error.value).isprintable()
    done = CliRunner().invoke(app, ["table", "--results", name])
    assert isinstance(done.exception, BenchError)


def test_an_unknown_home_is_one_line(monkeypatch):
    with pytest.raises(BenchError, match=r"~nobody-at-all/x: the home folder is not known here"):
        in_home("~nobody-at-all/x")
    assert results_at("a") == Path("a")


@pytest.fixture
def terminal(monkeypatch):
    """A function that makes stdout one of an encoding, and returns its bytes."""

    def of(encoding):
        stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
        monkeypatch.setattr(sys, "stdout", stream)
        always_print()
        return stream

    return of


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_any_text_is_printed_in_any_encoding(terminal, encoding):
    stream = terminal(encoding)
    stream.write("−1.5 ± 2 λ 猫 🎲 \udcff")
    stream.flush()
    shown = stream.buffer.getvalue().decode(encoding)
    assert shown.startswith(("-1.5 +- 2", "-1.5 ± 2", "−1.5 ± 2"))  # no number loses its sign
    assert shown.endswith(" \\udcff")


def test_json_stays_json_in_ascii(terminal):
    content = {"λ": "猫 🎲 ħ"}
    stream = terminal("ascii")
    stream.write(json.dumps(content, ensure_ascii=False))
    stream.flush()
    assert json.loads(stream.buffer.getvalue()) == content


def test_the_signs_that_stand_in_are_ascii():
    assert all(text.isascii() for text in ALIKE.values())


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_the_command_line_prints_where_the_terminal_is_not_utf_8(encoding, tmp_path):
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    command = [sys.executable, "-m", "genmodel_bench", "run", "-h"]
    done = subprocess.run(command, env=environment, capture_output=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert b"--seeds" in done.stdout


def test_figures_are_drawn_with_matplotlibs_own_settings():
    import matplotlib

    theirs = {"text.usetex": True, "axes.facecolor": "black", "savefig.bbox": "tight", "lines.marker": "x"}
    with matplotlib.rc_context(theirs):
        with paper():
            for name in theirs:
                assert matplotlib.rcParams[name] == matplotlib.rcParamsDefault[name]
            assert matplotlib.rcParams["font.size"] == RC["font.size"]
        assert {name: matplotlib.rcParams[name] for name in theirs} == theirs


@pytest.mark.parametrize("backend", ["nonsense", "module://nosuch.backend", "agg"])
def test_figures_are_drawn_whatever_backend_is_named(backend, tmp_path):
    code = """
import os
from pathlib import Path
from genmodel_bench.report.figures.figure import Drawn, figure_at
def draw():
    from matplotlib.figure import Figure
    return Drawn(Figure(), "", "", "")
assert figure_at(Path("a.png"), "summary", "of", draw)
import matplotlib
print(os.environ["MPLBACKEND"], matplotlib.rcParams._get_backend_or_none())
"""
    environment = {**os.environ, "MPLBACKEND": backend}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    named, kept = done.stdout.split()
    assert named == backend
    assert kept in (backend, "None")  # what the user chose is there afterwards


def test_a_matplotlibrc_that_is_no_text_is_one_line(tmp_path):
    (tmp_path / "matplotlibrc").write_bytes(b"\xff\xfe\x00")
    code = "from genmodel_bench.report.figures.figure import paper\nwith paper(): pass"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert "BenchError: report: matplotlib cannot be imported" in done.stderr.splitlines()[-1]


def test_in_a_folder_that_was_deleted_the_command_line_starts(tmp_path):
    script = (
        "import os, sys; os.mkdir('gone'); os.chdir('gone'); os.rmdir('../gone'); "
        "from genmodel_bench.cli.main import main; sys.argv = ['bench', '--version']; main()"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
