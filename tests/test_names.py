"""Names that users give stay inside the results folder.

No table computes, renders or runs them.
"""

import csv
import io
import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from genmodel_bench.commands.naming import checked_name
from genmodel_bench.errors import BadOption, BenchError, printable
from genmodel_bench.report.tables.render import (
    LETTERS,
    escape_latex,
    escape_markdown,
    to_csv,
    to_latex,
    to_markdown,
)
from genmodel_bench.report.tables.table import table1
from genmodel_bench.storage.names import file_name, folder_name
from genmodel_bench.storage.record import Record, as_line, inert, meant
from genmodel_bench.storage.store import Store
from hypothesis import example, given, settings
from hypothesis import strategies as st
from test_report import parzen

HOSTILE = [
    "=1+1", "+1", "-1", "@SUM(A1)", "'quoted", "\"=1", "=cmd|' /C calc'!A0",
    "<script>alert(1)</script>", "| a | b |", "$x^2$ ~~a~~", "\\input{/etc/passwd}", "%",
    "../../x", "/etc/passwd", "a\\b", "a,b;c", "NA", "nan", "None", "", "0012", "1e5",
    "é\u202eгз", "🎲",
]  # fmt: skip
quick = settings(deadline=None, derandomize=True, max_examples=60)
names = st.one_of(st.sampled_from(HOSTILE), st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
printables = names.filter(lambda text: text.strip() and text.isprintable())


@quick
@given(model=names, status=names, variant=names)
def test_a_records_texts_are_read_back_as_they_were(tmp_path_factory, model, status, variant):
    # stored texts are printable: `checked_name` refuses other names, `one_line` escapes
    # other reasons
    texts = {key: printable(text) for key, text in {"model": model, "status": status}.items()}
    row = replace(
        Record("mnist", "x", value=-1.5, samples=3), **texts, options=json.dumps({variant: variant})
    ).sealed()
    store = Store(tmp_path_factory.mktemp("names"), "mnist")
    store.append([row])
    assert store.records() == [row]
    assert store.records()[0].doubt == ""
    (line,) = list(csv.DictReader(io.StringIO(store.path.read_text())))
    assert not any(line[key].startswith(tuple("=+-@\t\r")) for key in line if key != "value")


@quick
@given(printables)
@example("=HYPERLINK(1)")
def test_no_cell_of_a_table_is_a_formula(name):
    table = table1(parzen(name, [250.0], role="samples", status="warning: =1+1"))
    (line,) = list(csv.DictReader(io.StringIO(to_csv(table))))
    assert line["model"] == inert(name)
    assert not any(
        str(text).startswith(tuple("=+@\t\r")) or re.match(r"-[^\d]", str(text)) for text in line.values()
    )


def cells(line):
    return re.split(r"(?<!\\)\|", line)


@quick
@given(printables)
def test_a_name_is_one_cell_of_a_markdown_table_and_text_there(name):
    rows = [*parzen("gan-ns", [220.0]), *parzen(name, [250.0], role="samples")]
    lines = [line for line in to_markdown(table1(rows)).split("\n\n")[0].splitlines() if line.startswith("|")]
    assert len(lines) == 4
    assert len({len(cells(line)) for line in lines}) == 1
    shown = escape_markdown(name)
    assert not re.search(r"[<>|]|(?<!\\)[`*_\[\]~$]|&(?!#\d+;)", re.sub(r"\\\\", "", shown))


@quick
@given(printables)
def test_a_name_runs_no_command_of_latex(name):
    shown = escape_latex(name)
    known = (
        r"\\(textbackslash\{\}|textasciitilde\{\}|textasciicircum\{\}|[&%$#_{}])"
        r"|\\texttt\{U\+[0-9A-F]+\}"
        r"|\$\\(pm|sigma|to|geq|times|uparrow|downarrow)\$|\$-\$|\$\^(2|\\dagger)\$|\$\\frac\{1\}\{2\}\$"
    )
    assert not re.search(r"[\\&%$#_{}~^]", re.sub(known, "", shown))
    assert escape_latex(name) in to_latex(table1(parzen(name, [250.0], role="samples")))


def test_the_heading_of_a_data_set_is_escaped():
    rows = [*parzen("gan-ns", [220.0]), *parzen("gan-ns", [1.0], dataset="folder:a|b_c")]
    assert "folder:a&#124;b\\_c: nats" in to_markdown(table1(rows))
    assert r"\multicolumn{5}{c}{folder:a|b\_c} \\" in to_latex(table1(rows))


@quick
@given(names)
def test_files_named_after_users_names_stay_where_they_belong(name):
    for made in (folder_name(printable(name) or "x"), f"samples-{file_name(name)}.png"):
        path = Path("/results") / made
        assert path.parent == Path("/results")
        assert path.name not in ("", ".", "..")
        assert len(made.encode()) < 256
        assert re.fullmatch(r"[\x21-\x7e]+", made)


@quick
@given(names)
def test_names_that_differ_have_files_that_differ(name):
    assert file_name(name) != file_name(name + "!")
    assert folder_name(printable(name) or "x") != folder_name((printable(name) or "x") + "!")


@pytest.mark.parametrize("name", ["folder:/a\rb", "folder:/a\nb", "folder:/\udcff", "folder:\x00"])
def test_a_data_set_whose_name_does_not_print_is_refused_in_one_line(name, tmp_path):
    with pytest.raises(BenchError) as error:
        Store(tmp_path, name)
    assert "rename the folder" in str(error.value)
    assert str(error.value).isprintable()


@quick
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), min_size=2))
@example(["a\rb", "c\r", "d\r\ne"])
def test_any_texts_are_read_back_from_a_line_of_csv(texts):
    assert list(csv.reader(io.StringIO(as_line(texts), newline=""), strict=True)) == [texts]


@quick
@given(st.text(alphabet="=+-@'\t\r;,\"ax1", max_size=12))
@example("x;=1+1")
@example("'")
def test_no_part_of_a_text_between_semicolons_is_a_formula(text):
    assert meant(inert(text)) == text
    assert not any(part.startswith(tuple("=+-@\t\r")) for part in inert(text).split(";"))


@quick
@given(printables)
@example("[a] 猫 é e\u0301 🎲 ħ")
def test_latex_is_given_no_sign_that_it_does_not_know(name):
    known = "±σ→–≥²−↑↓†’½×" + LETTERS
    shown = escape_latex(name)
    assert all(c.isascii() or c in known or (c < "\u0180" and c.isalpha()) for c in shown)
    assert "ħ" not in shown


@pytest.mark.parametrize("name", ["[a]", "*"])
def test_a_row_is_no_argument_of_the_line_above(name):
    rows = [*parzen("gan-ns", [220.0]), *parzen(name, [250.0], role="samples")]
    assert "\n{}" + name in to_latex(table1(rows))


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs LaTeX")
@pytest.mark.slow
def test_pdflatex_prints_every_sign(tmp_path):
    signs = [
        chr(c) for c in [*range(0x21, 0x7F), *range(0xA1, 0x180), *range(0x2010, 0x2200), 0x732B, 0x1F3B2]
    ]
    text = "\n\n".join(map(escape_latex, signs))
    (tmp_path / "a.tex").write_text(rf"\documentclass{{article}}\begin{{document}}{text}\end{{document}}")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "a.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True)
    assert done.returncode == 0, done.stdout[-500:]


@pytest.mark.parametrize("name", ["a\nb", "\x1b[2J", "\udcff", " ", "\t", "vae", "\u2028"])
def test_names_that_would_not_print_on_one_line_are_refused(name):
    with pytest.raises(BadOption) as error:
        checked_name(name)
    assert str(error.value).isprintable()


@quick
@given(st.text(st.characters(), max_size=40))
def test_printable_is_one_line_that_can_be_encoded(text):
    assert printable(text).isprintable()
    printable(text).encode()
    if text.isprintable():
        assert printable(text) == text
