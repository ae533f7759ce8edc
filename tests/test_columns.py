"""A metric says how its scores are shown, and tables, wherever printed, show it so."""

import ast
import csv
import importlib
import inspect
import io
import json
import re
import shutil
import string
import subprocess
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import ClassVar

import pytest
from flat import run
from genmodel_bench.cli.terminal import grid
from genmodel_bench.commands.report import declared_by
from genmodel_bench.commands.report import report as report_of_today
from genmodel_bench.metrics import METRICS, Result, Score
from genmodel_bench.metrics.column import Column, Curve, declared
from genmodel_bench.report.rebuild import Today, report, write_table
from genmodel_bench.report.tables.columns import KNOWN, columns_of
from genmodel_bench.report.tables.render import LATEX, escape_latex, to_csv, to_latex, to_markdown
from genmodel_bench.report.tables.table import table1
from genmodel_bench.storage.names import file_name
from genmodel_bench.storage.plain import as_json
from genmodel_bench.storage.record import Record
from genmodel_bench.storage.store import Store
from genmodel_bench.storage.syntax import walked
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console


@dataclass(frozen=True)
class Blur:
    """A metric from outside, with two columns in a table of its own."""

    min_samples: int = 1
    needs: tuple = ()
    columns: ClassVar = {
        "share": Column(
            "blurred %", "samples without an edge & with 50% fog", table="sharpness", decimals=2, factor=100
        ),
        "edges": Column("edges", "edges in a sample", table="sharpness", decimals=0),
    }

    def __call__(self, subject, reference):
        n = len(subject.samples)
        share = Score(0.12345, 0.01, "samples", n, "share", "lower")
        return Result({"share": share, "edges": replace(share, value=-3.0, better="neither", unit="edges")})


SHOWN = {("blur", name): asdict(column) for name, column in Blur.columns.items()}
SILENT = {quantity: {} for quantity in SHOWN}
UNSAID = {"blur": object()}
"""Today's code knows the metric, and it declares nothing."""


def rows(metric="blur", shown=SHOWN, *, model="vae", value=0.12345, seeds=(0,), **changes):
    """Records of the scores in `shown`, one for each seed, with these declarations."""
    better = {"share": "lower", "edges": "neither"}
    made = []
    for (of, name), column in shown.items():
        for seed in seeds:
            made.append(
                Record(
                    "mnist", model, seed=seed, metric=of if metric == "blur" else metric, quantity=name,
                    value=value if name != "edges" else -3.0, stderr=0.01, n=50, samples=100,
                    better=better.get(name, "higher"), column=as_json(column),
                    metric_settings='{"sigma": 0.2}',
                )
            )  # fmt: skip
    return [replace(r, **changes).sealed() for r in made]


def exact(table):
    return list(csv.DictReader(io.StringIO(to_csv(table))))


def shown_on(table, width=200):
    stream = io.StringIO()
    Console(file=stream, width=width).print(grid(table, width))
    return stream.getvalue()


def scores(columns):
    return [column.title for column in columns if column.is_score]


BRIGHT = """
    from genmodel_bench.metrics.column import Column

    columns = {"brightness": Column("light %", "mean pixel", "tone", factor=100)}
    offset: float"""
KNOWN_FROM = {
    "the records alone": (SHOWN, {}),
    "today's code alone": (SILENT, SHOWN),
    "both, of which today's counts": ({q: {"title": "old", "says": "old"} for q in SHOWN}, SHOWN),
}


@pytest.mark.parametrize("known", KNOWN_FROM)
def test_a_metric_from_outside_has_its_columns_everywhere(known, tmp_path):
    stored, declared = KNOWN_FROM[known]
    Store(tmp_path, "mnist").append(rows(shown=stored))
    written = {path.name: path for path in report(tmp_path, figures=False, today=Today(declared=declared))}
    (line,) = csv.DictReader(io.StringIO((tmp_path / "mnist" / "table1.csv").read_text()))
    assert float(line["mnist: blurred %"]) == pytest.approx(12.345, rel=1e-12)
    assert float(line["mnist: blurred % ±"]) == pytest.approx(1, rel=1e-12)
    assert float(line["mnist: edges"]) == -3
    markdown = (tmp_path / "mnist" / "table1.md").read_text()
    _, view = markdown.split("## Sharpness\n\n")
    heading, _, numbers, *_ = view.splitlines()
    assert [cell.strip() for cell in heading.split("|")[1:-1]] == [
        *("model", "blurred % ↓", "blurred % ±", "edges", "edges ±")
    ]
    # decimals and factor of the score are those of its error
    assert [cell.strip() for cell in numbers.split("|")[1:-1]] == ["vae", "12.35", "1.00", "−3", "0"]
    assert "blurred %: samples without an edge &#38; with 50% fog. edges: edges in a sample." in view
    assert "↓ lower is better" in view
    assert "↓" not in markdown.split("## Sharpness")[0]
    latex = written["sharpness.tex"].read_text()
    assert r"model & blurred \% $\downarrow$ & blurred \% $\pm$ & edges & edges $\pm$ \\" in latex
    assert r"vae & 12.35 & 1.00 & $-$3 & 0 \\" in latex
    assert r"blurred \%: samples without an edge \& with 50\% fog." in latex
    assert "blurred" not in written["table1.tex"].read_text()
    table = table1(Store(tmp_path, "mnist").records(), declared=declared)
    for part in ("blurred % ↓", "12.35", "edges", "−3"):
        assert part in shown_on(table)


def test_a_run_keeps_what_a_metric_says_of_its_columns_for_who_does_not_have_it(project, tmp_path):
    _, metric = project("measure", "    offset: float", BRIGHT)
    run(
        ["mean"], metrics={"outside": metric()}, samples=100, draws=1, seeds=1, results=tmp_path,
        device="cpu", figures=False,
    )  # fmt: skip
    (record,) = Store(tmp_path, "digits").records()
    said = asdict(Column("light %", "mean pixel", "tone", factor=100))
    assert json.loads(record.column) == json.loads(json.dumps(said))
    report_of_today(tmp_path, figures=False)  # which knows no metric of this name
    assert "| light % |" in re.sub(" +", " ", (tmp_path / "digits" / "table1.md").read_text())
    assert f"{100 * record.value:.3f}" in (tmp_path / "digits" / "tone.tex").read_text()


@pytest.mark.parametrize("declared", [{}, declared_by(UNSAID)])
def test_a_metric_that_declares_nothing_has_a_column_of_its_headline_under_its_name(declared):
    table = table1(rows(shown=SILENT), declared=declared)
    assert scores(table.columns) == ["blur"]
    (line,) = exact(table)
    assert float(line["mnist: blur"]) == 0.12345
    markdown = to_markdown(table)
    assert "## Sample quality" in markdown
    assert "blur ↓" in markdown
    assert "0.123" in markdown
    assert "blur: share of the metric blur." in markdown
    assert "0.123" in to_latex(table, "quality")


def test_of_a_metric_that_declares_some_scores_the_others_are_not_shown():
    some = {("blur", "share"): {}, ("blur", "edges"): SHOWN["blur", "edges"]}
    table = table1(rows(shown=some))
    assert scores(table.columns) == ["edges"]
    assert "blur" not in to_markdown(table)


def test_columns_come_in_the_order_of_metrics_and_views_in_that_of_their_first():
    declared = declared_by()
    found = [r for q, column in declared.items() for r in rows(q[0], {q: column})]
    for records in (found, found[::-1]):
        columns = columns_of(records, declared)
        assert [column.of for column in columns if column.is_score] == in_views(declared)
        # the error of each stands beside it; that of Table 1 has a column of its own
        errors = [column.of for column in columns if column.error]
        assert errors == [of for of in in_views(declared) if of != ("parzen", "log_likelihood")]
    other = rows("zeta", {("zeta", "x"): {"title": "z", "says": "z", "table": "own"}})
    table = table1([*other, *found], declared=declared)
    assert [column.of for column in table.columns if column.is_score] == [*in_views(declared), ("zeta", "x")]


def in_views(declared):
    """The scores by their views, which come as they are first named, Table 1 first."""
    views = dict.fromkeys(["table1", *(column["table"] for column in declared.values())])
    return [q for view in views for q, column in declared.items() if column["table"] == view]


def test_columns_of_records_alone_come_as_the_records_name_them():
    both = {**{("a", name): {**said, "title": f"a {name}"} for (_, name), said in SHOWN.items()}}
    records = [*rows("a", both), *rows()]
    assert scores(columns_of(records, {})) == ["a share", "a edges", "blurred %", "edges"]
    assert scores(columns_of(records[::-1], {})) == ["edges", "blurred %", "a edges", "a share"]


titles = st.lists(
    st.sampled_from(["x", "x ±", "x best", "x (m0)", "x (m0 q0)", "seeds", "total ±", "model", "draw", "X"]),
    max_size=6,
)


@settings(deadline=None, derandomize=True, max_examples=25)
@given(titles, st.booleans())
def test_titles_that_collide_are_told_apart(given_titles, same_metric):
    shown = {
        (f"m{0 if same_metric else i}", f"q{i}"): {"title": title, "says": f"score {i}"}
        for i, title in enumerate(given_titles)
    }
    records = [r for i, (q, said) in enumerate(shown.items()) for r in rows(q[0], {q: said}, value=float(i))]
    table = table1(records)
    every = [column.title for column in table.columns]
    every += [f"{column.title} best" for column in table.columns]
    assert len(set(every)) == len(every)
    assert "model" not in every
    for column in (column for column in table.columns if column.is_score):
        (value,) = table.numbers["mnist", column.title]
        assert f"score {value:.0f}" == column.says
        assert column.title.startswith(shown[column.of]["title"])
    assert sum(column.is_score for column in table.columns) == len(given_titles)
    header = to_csv(table).splitlines()[0].split(",")
    assert len(set(header)) == len(header)


def test_a_title_that_is_taken_is_followed_by_the_name_of_its_metric():
    shown = {(metric, "q"): {"title": "distance", "says": metric} for metric in ("first", "second")}
    table = table1([r for q, said in shown.items() for r in rows(q[0], {q: said})])
    assert scores(table.columns) == ["distance", "distance (second)"]
    assert "distance (second) ±" in to_csv(table)


@pytest.mark.parametrize("words", ["words", "lines\n and\ttabs "])
def test_a_sentence_is_one_line(words):
    said = {("blur", "share"): {"title": f"a {words}", "says": f"it {words}", "table": "quality"}}
    table = table1(rows(shown=said))
    expected = " ".join(words.split())
    assert f"a {expected}: it {expected}." in to_markdown(table)
    assert scores(table.columns) == [f"a {expected}"]


def test_what_strangers_say_is_text_in_every_table():
    said = {"title": "<b>|$x$", "says": "<i>|_y_ \\input{z}", "table": "<u>|*v*"}
    table = table1(rows(shown={("blur", "share"): said}))
    markdown = to_markdown(table)
    assert not any(tag in markdown for tag in ("<b>", "<i>", "<u>"))
    assert r"## &#60;u&#62;&#124;\*v\*" in markdown
    assert escape_latex("<b>|$x$") in to_latex(table, "<u>|*v*")
    assert "\\input" not in to_latex(table, "<u>|*v*")
    assert "mnist: <b>|$x$" in exact(table)[0]


@pytest.mark.parametrize("view", ["sharpness", "../x", "/etc/x", "a b", "T.1"])
def test_the_file_of_a_view_is_deleted_when_no_score_names_it_and_a_strangers_stays(view, tmp_path):
    folder = tmp_path / "in" / "mnist"
    folder.mkdir(parents=True)
    strangers = {"mine.tex": r"\begin{tabular}{l}x\end{tabular}", "sharp.tex": "", "x.md": "# x"}
    for name, text in strangers.items():
        (folder / name).write_text(text)
    (folder / "latin.tex").write_bytes(b"\xff\xfe")
    named = {("blur", "share"): {**SHOWN["blur", "share"], "table": view}}
    before = {path.name for path in folder.iterdir()}
    written = write_table(folder, table1(rows(shown=named)))
    assert {path.parent for path in written} == {folder}
    own = folder / f"{file_name(view)}.tex"
    assert own in written
    assert {path.name for path in folder.iterdir()} == {*before, *(path.name for path in written)}
    write_table(folder, table1(rows()))
    assert own.exists() == (view == "sharpness")
    write_table(folder, table1(rows(shown=SILENT)))
    assert {path.name for path in folder.glob("*.tex")} == {
        *("mine.tex", "sharp.tex", "latin.tex", "table1.tex", "quality.tex")
    }
    assert all((folder / name).read_text() == text for name, text in strangers.items())


def test_what_does_not_apply_is_a_dash_without_a_note():
    unscored = {"value": None, "quantity": "", "column": "{}", "status": "n/a: needs Density"}
    lacking = replace(rows(model="gan-ns")[0], **unscored)
    failed = replace(rows(model="rbm")[0], value=None, status="failed: no luck")
    table = table1([*rows(), lacking.sealed(), failed.sealed()])
    assert table.footnotes == ["mnist: blur: failed: no luck (seed 0)"]
    by_model = {line["model"]: line for line in exact(table)}
    assert (by_model["gan-ns"]["mnist: blurred %"], by_model["gan-ns"]["notes"]) == ("", "")
    (line,) = [line for line in to_latex(table, "sharpness").splitlines() if line.startswith("gan-ns")]
    assert line == r"gan-ns & -- & -- & -- & -- \\"
    (line,) = [line for line in shown_on(table).splitlines() if line.split()[:1] == ["gan-ns"]]
    assert "–" in line


def test_doubtful_rows_declare_no_columns():
    edited = [replace(r, doubt="was edited since it was made") for r in rows()]
    assert scores(columns_of(edited, {})) == []
    other = {"column": '{"title": "other", "says": "x"}', "created": "9", "doubt": "edited"}
    newer = [replace(r, **other) for r in rows()]
    assert scores(columns_of([*rows(), *newer], {})) == ["blurred %", "edges"]


def test_an_arrow_stands_where_one_direction_is_better():
    said = {"title": "t", "says": "s"}
    arrows = {}
    for better in ("higher", "lower", "neither", ""):
        (column, error) = columns_of(rows(shown={("blur", "x"): said}, better=better), {})[2:4]
        arrows[better] = column.arrow
        assert error.arrow == ""
    assert arrows == {"higher": "↑", "lower": "↓", "neither": "", "": ""}
    assert not any(column.arrow for column in KNOWN)


def test_the_best_columns_of_a_csv_come_in_the_order_of_the_table():
    shown = {("blur", f"q{i}"): {"title": f"score {9 - i}", "says": "s"} for i in range(7)}
    records = [
        r for model in ("a", "b") for r in rows(shown=shown, model=model, value=len(model), seeds=(0, 1, 2))
    ]
    table = table1(records)
    header = to_csv(table).splitlines()[0].split(",")
    best = [name.removesuffix(" best") for name in header if name.endswith(" best") and "score" in name]
    assert best == [f"mnist: score {9 - i}" for i in range(7)]
    assert len(table.marks) == 14


def test_a_narrow_terminal_shows_scores_before_what_is_known_of_every_row():
    table = table1(rows(seeds=(0, 1)))
    text = shown_on(table, 44)
    assert "blurred % ↓" in text
    assert "edges" in text
    assert "minutes" not in text
    assert all(len(line) <= 44 for line in text.splitlines())


CODE = """
from dataclasses import dataclass

from genmodel_bench.metrics.column import Column


class Table:
    columns = {"share": 1}

    def __call__(self):
        return self.columns


@dataclass(frozen=True)
class Blur:
    needs: tuple = ()
    columns = {"share": Column("blurred %", "samples without an edge", decimals=2, factor=100)}

    def __call__(self, subject, reference):
        return 0.5 * subject
"""
FOR_READERS = {
    "a sentence": ("samples without an edge", "samples that have no edge"),
    "a title": ("blurred %", "fog"),
    "decimals": ("decimals=2", "decimals=1"),
    "the factor of print": ("factor=100", "factor=1"),
    "a column more": ('{"share": Column', '{"other": Column("o", "p"), "share": Column'),
    "an annotation": ("columns = {\"share\": Column", "columns: ClassVar = {\"share\": Column"),
    "columns by a property": (
        'columns = {"share": Column("blurred %", "samples without an edge", decimals=2, factor=100)}',
        "@property\n    def columns(self):\n        return {}",
    ),
    "no columns": (
        'columns = {"share": Column("blurred %", "samples without an edge", decimals=2, factor=100)}',
        "",
    ),
}  # fmt: skip
FOR_NUMBERS = {
    "a number": ("0.5", "0.6"),
    "columns of what is no metric": ('{"share": 1}', '{"share": 2}'),
    "another attribute": ("needs: tuple = ()", "needs: tuple = (1,)"),
    "columns of what needs nothing": ("    needs: tuple = ()\n", ""),
}


@pytest.mark.parametrize("name", FOR_READERS)
def test_what_a_metric_says_for_readers_is_no_part_of_its_code(name):
    assert FOR_READERS[name][0] in CODE
    assert walked(CODE.replace(*FOR_READERS[name])).digest == walked(CODE).digest


@pytest.mark.parametrize("name", FOR_NUMBERS)
def test_what_computes_is_part_of_it(name):
    assert FOR_NUMBERS[name][0] in CODE
    assert walked(CODE.replace(*FOR_NUMBERS[name])).digest != walked(CODE).digest


def test_other_columns_of_what_is_no_metric_count_there_too():
    without = CODE.replace("    needs: tuple = ()\n", "")
    assert walked(without.replace("an edge", "edges")).digest != walked(without).digest


@pytest.mark.parametrize("name", METRICS)
def test_a_registered_metric_can_be_reworded_without_another_digest(name):
    source = Path(inspect.getfile(type(METRICS[name]))).read_text()
    tree = ast.parse(source)
    said = [
        node
        for node in ast.walk(tree)
        if (isinstance(node, ast.AnnAssign) and getattr(node.target, "id", "") == "columns")
        or (isinstance(node, ast.FunctionDef) and node.name == "columns")
    ]
    assert said
    for node in said:
        for text in ast.walk(node):
            if isinstance(text, ast.Constant) and isinstance(text.value, str):
                text.value += " in other words"
    reworded = ast.unparse(tree)
    assert "in other words" in reworded
    package = importlib.import_module(type(METRICS[name]).__module__).__package__
    assert walked(reworded, package).digest == walked(source, package).digest


def declared_everywhere():
    """(metric, score, column) of all that registered metrics declare."""
    return [(name, of, c) for name, metric in METRICS.items() for of, c in declared(metric).items()]


@pytest.mark.parametrize(("name", "of", "column"), declared_everywhere())
def test_what_is_declared_is_a_title_and_a_clause(name, of, column):
    assert column.title == " ".join(column.title.split())
    assert 0 < len(column.title) <= 20
    assert column.says == " ".join(column.says.split())
    assert not column.says.endswith(".")
    assert column.decimals >= 0
    assert column.factor > 0
    for curve in column.curves.values():
        assert isinstance(curve, Curve)
        assert all(getattr(curve, field) for field in ("title", "x", "y"))
        assert curve.says.endswith(".")
    assert {field.name for field in fields(Column)} >= json.loads(as_json(asdict(column))).keys()


def test_latex_has_every_sign_of_what_is_declared():
    known = {*string.printable, *LATEX, *"äöüé"}
    for name, of, column in declared_everywhere():
        assert not {*column.title, *column.says} - known, f"{name} {of}: add the sign to LATEX"


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no TeX here")
def test_the_latex_of_every_view_of_registered_metrics_compiles(tmp_path):
    declared = declared_by()
    models = ("gan-ns", "vae", "rbm")
    found = [
        r
        for k, model in enumerate(models)
        for q, column in declared.items()
        for r in rows(q[0], {q: column}, model=model, value=-1.0 * k, seeds=(0, 1, 2))
    ]
    table = table1(found, declared=declared)
    assert table.marks
    bodies = [to_latex(table, view) for view in table.views]
    text = [
        r"\documentclass{article}\usepackage[utf8]{inputenc}\usepackage{booktabs,graphicx}",
        r"\begin{document}",
        "\n\\clearpage\n".join(bodies),
        r"\end{document}",
    ]
    (tmp_path / "t.tex").write_text("\n".join(text))
    done = subprocess.run(["pdflatex", "-halt-on-error", "t.tex"], cwd=tmp_path, capture_output=True)
    assert done.returncode == 0, done.stdout[-2000:]
    assert b"Overfull" not in done.stdout


def test_a_terminal_says_what_a_mark_means_where_it_shows_one():
    alike = [r for model in ("a", "b") for r in rows(model=model, value=0.5, seeds=(0, 1, 2))]
    table = table1(alike)
    assert table.marks
    assert "† best of its column, or not told apart from it" in " ".join(shown_on(table, 300).split())
    assert "†" not in shown_on(table1(rows(seeds=(0, 1, 2))), 300)


class Lit:
    """A metric that says what real images have in place of the samples."""

    min_samples, needs = 1, ()
    columns: ClassVar = {"light": Column("light", "mean pixel", "tone", floor="light_floor")}


@pytest.mark.parametrize("with_reference", [False, True])
def test_what_unseen_real_images_have_is_a_line_of_its_own_and_in_the_legend(with_reference):
    def lit(model, quantity, value, **more):
        usual = {"metric": "lit", "stderr": 0.25, "unit": "grey", "better": "lower", "n": 50, "samples": 100}
        return Record("digits", model, seed=0, quantity=quantity, value=value, **{**usual, **more})

    records = [lit("vae", "light", 0.7), lit("vae", "light_floor", 0.5), lit("dbn", "light", 0.6)]
    records += [lit("dbn", "light_floor", 0.9, n=20)]  # of another N than most
    records += [lit("data", "light", 0.5, role="reference")] * with_reference
    records += [lit("data", "light_floor", 0.5, role="reference")] * with_reference
    table = table1(records, declared=declared_by({"lit": Lit()}))
    assert table.floors == {("digits", "light"): 0.5, ("digits", "light ±"): 0.25}
    text = re.sub(" +", " ", to_markdown(table))
    assert "| unseen real images | 0.500 | 0.250 |" in text
    assert text.count("*reference rows*") == (2 if with_reference else 1)  # Table 1 has no floor
    assert "light: mean pixel. unseen real images: in place of samples as many" in text
    assert r"\midrule" in to_latex(table, "tone").split("unseen real images")[0].split("dbn")[1]
    assert r"unseen real images & 0.500 & 0.250 \\" in to_latex(table, "tone")
    last = list(csv.DictReader(io.StringIO(to_csv(table))))[-1]
    assert (last["role"], last["model"], last["digits: light"]) == ("floor", "unseen real images", "0.5")
