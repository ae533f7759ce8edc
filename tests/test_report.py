import csv
import io
import json
import math
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from genmodel_bench.cli.terminal import grid
from genmodel_bench.commands.report import declared_by, today
from genmodel_bench.report.rebuild import report, tabulated, write_table
from genmodel_bench.report.tables import published
from genmodel_bench.report.tables.published import CONTENT
from genmodel_bench.report.tables.render import (
    escape_latex,
    escape_markdown,
    letter,
    printed_views,
    to_csv,
    to_latex,
    to_markdown,
)
from genmodel_bench.report.tables.table import table1
from genmodel_bench.storage.plain import as_json
from genmodel_bench.storage.record import Record
from genmodel_bench.storage.store import Store
from rich.console import Console

ROOT = Path(__file__).parents[1]
DECLARED = {quantity: as_json(column) for quantity, column in declared_by().items()}
ROW = Record(
    "mnist", "gan-ns", metric="parzen", quantity="log_likelihood", unit="nats", better="higher",
    column=DECLARED["parzen", "log_likelihood"],
    n=10_000, samples=10_000, draws=5, draw_sd=0.3, epochs=100, checkpoint="last",
    checkpoint_epoch=90, valid_best=215.0, valid_last=214.0, fit_seconds=90.0,
    metric_settings=json.dumps({"sigma": 0.2154}),
)  # fmt: skip


def parzen(model, values, *, role="model", stderr=2.0, dataset="mnist", **changes):
    row = replace(
        ROW,
        dataset=dataset,
        dataset_digest=CONTENT.get(dataset, "d"),
        model=model,
        role=role,
        stderr=stderr,
        **changes,
    )
    return [replace(row, seed=seed, value=value).sealed() for seed, value in enumerate(values)]


RECORDS = [
    *parzen("dbn", [130.0]),
    *parzen("gan-ns", [220.0, 224.0, 228.0]),
    *parzen("data", [243.0], role="reference"),
    *parzen("kmeans", [330.0], role="reference"),
    *parzen("mean", [-59.0], role="reference"),
    *parzen("mine & <b>", [250.0], role="samples"),
    replace(ROW, model="vae", seed=0, status="failed: no | luck").sealed(),
]


def numbers(records=RECORDS):
    return table1(records).numbers["mnist"]


def markdown_blocks(text):
    """The tables of a Markdown text: for each its lines, as cells."""
    return [
        [[cell.strip() for cell in line.split("|")[1:-1]] for line in block.splitlines()]
        for block in text.split("\n\n")
        if block.startswith("|")
    ]


def title_of(heading):
    """A column's title, without the arrow that is printed after it."""
    return heading.removesuffix(" ↑").removesuffix(" ↓")


def minus(text):
    """A printed number as Python reads it."""
    return text.replace("−", "-")


def test_mean_spread_and_standard_error_over_seeds():
    row = numbers().loc[("model", "gan-ns", "", 10_000)]
    assert row["nats"] == 224
    assert (row["seed ±"], row["seeds"]) == (pytest.approx(4), 3)
    assert (row["test ±"], row["test n"]) == (2, 10_000)
    assert (row["draw ±"], row["draws"]) == (pytest.approx(math.sqrt((0.3**2 * 3) / 3)), 5)
    assert row["total ±"] == pytest.approx(math.sqrt(2**2 + 4**2 / 3))
    assert row["σ"] == pytest.approx(0.2154)
    assert row["minutes"] == 1.5


def test_the_devices_that_trained_a_row_are_named():
    gpus = ["NVIDIA A", "NVIDIA B"]
    rows = [replace(r, device=gpus[k % 2]) for k, r in enumerate(RECORDS)]
    named = table1(rows).numbers["mnist"]["device"].dropna()
    assert named[("model", "gan-ns", "", 10_000)] == "NVIDIA B, NVIDIA A"


def test_z_is_over_every_named_uncertainty():
    row = numbers().loc[("model", "gan-ns", "", 10_000)]
    assert (row["published"], row["published ±"]) == (225, 2)
    assert row["z"] == pytest.approx((224 - 225) / math.sqrt(4**2 / 3 + 2**2 + 2**2))


def test_published_values_stand_beside_comparable_rows_alone():
    rows = [
        *parzen("gan-ns", [160.0], options='{"epochs": 100}'),
        *parzen("gan-ns", [161.0], options='{"epochs": 100, "draws": 2, "deterministic": true}'),
        *parzen("gan-ns", [130.0], options='{"loss": "minimax"}'),
        *parzen("gan-ns", [120.0], samples=1000),
        *parzen("deep-gsn", [200.0], role="samples"),
    ]
    shown = numbers(rows)["published"].dropna()
    assert {key[2] for key in shown.index} == {"epochs=100", "epochs=100, draws=2, deterministic=True"}


def test_a_number_published_at_a_fixed_sigma_is_compared_at_it():
    rows = parzen("deep-gsn-chain", [150.0])
    fixed = {"quantity": "at_sigma_0.2", "column": "{}", "metric_settings": "{}"}
    rows.append(replace(rows[0], value=204.0, stderr=1.0, **fixed))
    row = numbers(rows).loc[("model", "deep-gsn-chain", "", 10_000)]
    assert row["nats"] == 150
    assert row["z"] == pytest.approx((204 - 214) / math.sqrt(1 + 0.3**2 / 5 + 1.1**2))
    notes = table1(rows).notes["model", "deep-gsn-chain", "", 10_000]
    assert notes == ["mnist: z is of the score at σ = 0.2, fixed as in the published number: 204.0 nats"]


def test_the_checkpoint_that_was_taken_and_both_validation_numbers_are_shown():
    row = numbers().loc[("model", "gan-ns", "", 10_000)]
    assert (row["epoch"], row["epochs"], row["valid best"], row["valid last"]) == (90, 100, 215, 214)
    rows = parzen("gan-ns", [220.0, 221.0])
    rows[0] = replace(rows[0], checkpoint_epoch=80)
    assert numbers(rows).loc[("model", "gan-ns", "", 10_000)]["epoch"] == "80 to 90"


def test_bandwidths_that_differ_between_draws_are_a_range():
    rows = parzen(
        "gan-ns", [160.0], metric_settings=json.dumps({"sigma": 0.2154, "sigmas": [0.1668, 0.2154]})
    )
    assert numbers(rows).loc[("model", "gan-ns", "", 10_000)]["σ"] == "0.1668 to 0.2154"


def test_bandwidths_that_differ_between_seeds_are_a_range():
    rows = parzen("gan-ns", [160.0, 161.0])
    rows[1] = replace(rows[1], metric_settings=json.dumps({"sigma": 0.1668}))
    assert numbers(rows).loc[("model", "gan-ns", "", 10_000)]["σ"] == "0.1668 to 0.2154"


def test_a_table_of_no_records_is_empty():
    assert table1([]).numbers.empty


def test_one_seed_has_no_spread_and_never_a_zero():
    row = numbers().loc[("model", "dbn", "", 10_000)]
    assert row["seed ±"] is None
    # what is known without the spread over seeds: the test images and the five draws
    assert row["total ±"] == pytest.approx(math.sqrt(2**2 + 0.3**2 / 5))
    cells = {}
    for header, *lines in markdown_blocks(to_markdown(table1(RECORDS))):
        for line in (line for line in lines if line[0] == "dbn"):
            cells |= dict(zip(header, line, strict=True))
    assert (cells["seed ±"], cells["seeds"], cells["total ±"]) == ("–", "1", "≥ 2.0")


def test_rows_are_best_first_within_models_samples_and_references():
    assert [key[1] for key in numbers().index] == [
        "gan-ns",
        "dbn",
        "vae",
        "mine & <b>",
        "kmeans",
        "data",
        "mean",
    ]


def test_what_beats_real_data_says_so():
    notes = table1(RECORDS).notes
    above = {
        key[1]
        for key, texts in notes.items()
        if any("above real training images (243.0 nats)" in t for t in texts)
    }
    assert above == {"kmeans", "mine & <b>"}


def test_doubtful_rows_count_for_nothing_and_are_marked():
    rows = parzen("gan-ns", [220.0, 224.0, 999.0])
    rows[2] = replace(rows[2], doubt="was edited since it was made")
    alone = [replace(r, doubt="stands there twice") for r in parzen("vae", [300.0])]
    table = table1([*rows, *alone])
    row = table.numbers["mnist"].loc[("model", "gan-ns", "", 10_000)]
    assert (row["nats"], row["seeds"]) == (222, 2)
    assert table.notes["model", "gan-ns", "", 10_000] == [
        "mnist: left out: 1 row (seed 2): was edited since it was made"
    ]
    assert table.numbers["mnist"].loc[("model", "vae", "", 10_000)]["nats"] is None
    assert table.notes["model", "vae", "", 10_000] == ["mnist: left out: 1 row (seed 0): stands there twice"]
    assert all("left out: 1 row" in render(table) for render in (to_csv, to_markdown, to_latex))


def test_published_values_stand_beside_the_published_files_alone():
    (key,) = table1(parzen("dbn", [130.0])).numbers.index
    for content, shown in ((CONTENT["mnist"], 138), ("other", None)):
        table = table1([replace(r, dataset_digest=content) for r in parzen("dbn", [130.0])])
        assert table.numbers["mnist"].loc[key]["published"] == shown
    assert "its content, other, is not that of the published files" in table.notes[key][0]


@pytest.mark.parametrize("role", ["model", "samples", "reference"])
def test_images_of_a_lossy_copy_are_told_of_beside_their_numbers(role):
    ((content, text),) = published.COPIES.items()
    for digest, notes in ((content, [f"npz:cifar10.npz: {text}"]), ("d", [])):
        rows = parzen("gan-conv", [100.0], dataset="npz:cifar10.npz", role=role)
        table = table1([replace(r, dataset_digest=digest).sealed() for r in rows])
        assert [*table.notes.values()] == [notes]
        assert all(("189" in render(table)) == bool(notes) for render in (to_csv, to_markdown, to_latex))


def test_a_failed_row_has_its_reason_and_no_number():
    table = table1(RECORDS)
    assert table.numbers["mnist"].loc[("model", "vae", "", 10_000)]["nats"] is None
    assert table.notes["model", "vae", "", 10_000] == ["mnist: parzen: failed: no | luck (seed 0)"]


def test_variants_are_rows_of_their_own():
    rows = numbers([*RECORDS, *parzen("gan-ns", [100.0], options='{"epochs": 10}')])
    assert rows.loc[("model", "gan-ns", "epochs=10", 10_000)]["nats"] == 100
    assert rows.loc[("model", "gan-ns", "", 10_000)]["nats"] == 224


def test_different_numbers_of_samples_do_not_mix():
    table = table1(
        [
            *RECORDS,
            *parzen("gan-ns", [150.0], samples=1000),
            *parzen("data", [120.0], role="reference", samples=1000),
        ]
    )
    rows = table.numbers["mnist"]
    assert rows.loc[("model", "gan-ns", "", 1000)]["nats"] == 150
    assert rows.loc[("model", "gan-ns", "", 10_000)]["nats"] == 224
    notes = table.notes["model", "gan-ns", "", 1000]
    assert any("above real training images (120.0 nats)" in note for note in notes)
    assert any("not comparable with rows of another N" in note for note in notes)
    assert not table.notes["model", "gan-ns", "", 10_000]


def as_in_latex(cell):
    """A cell of Markdown as LaTeX has it."""
    signs = {"–": "--", "≥": r"$\geq$", "−": "$-$", "†": r"\rlap{$^\dagger$}"}
    return "".join(signs.get(char, char) for char in cell)


RIVAL = [*parzen("deep-gsn", [223.0, 225.0, 227.0]), *parzen("rbm", [-70.0, -71.0, -72.0])]
"""Two more models of three seeds: one as good as the best, and one that is not."""
COPY = replace(
    ROW, dataset_digest=CONTENT["mnist"], seed=0, metric="neighbours", quantity="exact_copies",
    unit="share", better="lower", value=0.125, stderr=0.01,
    column=DECLARED["neighbours", "exact_copies"],
)  # fmt: skip
COPIES = [replace(COPY, model=model).sealed() for model in ("gan-ns", "dbn")]


@pytest.mark.parametrize("more", [[], RIVAL, COPIES, [*RIVAL, *COPIES]])
def test_csv_markdown_and_latex_print_the_same_numbers(more):
    table = table1([*RECORDS, *more])
    exact = list(csv.DictReader(io.StringIO(to_csv(table))))
    blocks = markdown_blocks(to_markdown(table))
    tabulars = [to_latex(table, view).split(r"\bottomrule")[0] for view in printed_views(table)]
    assert len(blocks) == len(tabulars) == len(table.views) >= 3
    shown, marked = set(), set()
    for (header, _, *body), tabular in zip(blocks, tabulars, strict=True):
        body = [line for line in body if "reference rows" not in line[0]]
        heading, *latex = [
            line.rstrip(" \\").split(" & ")
            for line in tabular.split(r"\toprule")[1].splitlines()
            if " & " in line
        ]
        assert [escape_latex(title) for title in header[1:]] == heading[1:]
        assert len(exact) == len(body) == len(latex)
        for row, md, tex in zip(exact, body, latex, strict=True):
            for title, cell, tex_cell in zip(map(title_of, header[1:]), md[1:], tex[1:], strict=True):
                assert as_in_latex(cell) == tex_cell
                shown.add(title)
                value = row[f"mnist: {title}"]
                assert (cell == "–") == (value == "")
                if cell.startswith("≥ "):
                    assert title == "total ±"
                    assert row["mnist: seed ±"] == ""
                    cell = cell.removeprefix("≥ ")
                if cell.endswith("†"):
                    marked.add(title)
                    assert row[f"mnist: {title} best"] == "True"
                    cell = cell.removesuffix("†")
                else:
                    assert not row.get(f"mnist: {title} best")
                if value:
                    decimals = len(cell.partition(".")[2])
                    assert f"{float(value):.{decimals}f}" == minus(cell)
    filled = {
        key.removeprefix("mnist: ")
        for row in exact
        for key, value in row.items()
        if value and key.startswith("mnist: ")
    }
    assert shown | {f"{title} best" for title in marked} == filled
    assert marked == ({"nats"} if RIVAL[0] in more else set())


def test_marks_are_of_models_of_the_usual_number_of_samples_alone():
    models = {"gan-ns": 220.0, "dbn": 130.0, "rbm": 90.0}
    rows = [r for model, value in models.items() for r in parzen(model, [value, value + 1, value + 2])]
    rows += parzen("vae", [300.0, 301.0, 302.0], samples=1000)  # comparable with none of them
    rows += parzen("data", [400.0, 401.0, 402.0], role="reference")
    rows += parzen("mine", [500.0, 501.0, 502.0], role="samples")
    table = table1(rows)
    assert table.marks == {("mnist", "nats", ("model", "gan-ns", "", 10_000))}
    seen = table.numbers["mnist"]["detectable"].dropna()
    assert {key[1] for key in seen.index} == set(models)
    # of one of three pairs, with errors √(2² + 2²) over images and √(2/3) over seeds;
    # with many degrees of freedom 2.39 + 0.84 of them, with these some more
    assert all(3.23 * math.sqrt(8 + 2 / 3) < value < 3.4 * math.sqrt(8 + 2 / 3) for value in seen)
    assert table1([replace(r, stderr=60.0) for r in rows]).marks != table.marks


def test_no_number_in_print_has_a_hyphen_for_a_minus_sign():
    low = [*parzen("data", [-243.5], role="reference"), *parzen("gan-ns", [-240.0]), *parzen("dbn", [-9.0])]
    low += [replace(r, quantity="at_sigma_0.2", column="{}") for r in parzen("deep-gsn-chain", [-20.5])]
    low += parzen("deep-gsn-chain", [-21.5])
    table = table1(low)
    assert any("−243.5 nats" in note for note in table.footnotes)
    assert any("−20.5 nats" in note for note in table.footnotes)
    for text in (to_markdown(table), *(to_latex(table, view) for view in table.views)):
        assert not re.search(r"(?<![\w-])-\d", re.sub(r"\\cmidrule.*", "", text))


def test_reference_rows_stand_under_a_rule():
    table = table1(RECORDS)
    blocks = markdown_blocks(to_markdown(table))
    for _, _, *lines in blocks:
        names = [line[0].split()[0] for line in lines]
        assert names[names.index("*reference") + 1 :] == ["kmeans", "data", "mean"]
    assert len(blocks) == len(table.views)
    for view in table.views:
        latex = to_latex(table, view)
        assert all(part in latex for part in (r"\toprule", r"\bottomrule", r"\begin{tabular}{l"))
        # under the header, and above the reference rows
        assert latex.count(r"\midrule") == 2
        assert latex.index("mine") < latex.rindex(r"\midrule") < latex.index("kmeans")


def test_several_data_sets_stand_side_by_side():
    table = table1([*RECORDS, *parzen("gan-ns", [20.0], dataset="digits")])
    assert list(table.numbers.columns.unique(0)) == ["mnist", "digits"]
    assert table.numbers["digits"].loc[("model", "gan-ns", "", 10_000)]["nats"] == 20
    ((header, *_),) = markdown_blocks(to_markdown(table))
    own = ["total ±", "seeds", "N", "σ"]
    published = ["published", "published ±", "z"]
    assert header[1:] == [
        *(f"mnist: {title}" for title in ("nats ↑", *own, *published)),
        *(f"digits: {title}" for title in ("nats ↑", *own)),
    ]


def test_in_latex_data_sets_side_by_side_are_one_tabular_with_a_heading_for_each():
    table = table1([*RECORDS, *COPIES, *parzen("gan-ns", [20.0], dataset="folder:a: b_c")])
    for view, (first, second) in {"table1": (8, 5), "memorisation": (2, 0)}.items():
        latex = to_latex(table, view)
        (tabular,) = re.findall(r"\\begin{tabular}{(l.*?)}\n(.*?)\\end{tabular}", latex, re.DOTALL)
        above, rules, heading, *rows = [
            line for line in tabular[1].splitlines() if " & " in line or "cmidrule" in line
        ]
        groups = [rf"\multicolumn{{{first}}}{{c}}{{mnist}}"]
        groups += [rf"\multicolumn{{{second}}}{{c}}{{folder:a: b\_c}}"] * bool(second)
        assert above == " & ".join(["", *groups]) + r" \\"
        expected = rf"\cmidrule(lr){{2-{first + 1}}}"
        assert rules == expected + rf"\cmidrule(lr){{{first + 2}-{first + second + 1}}}" * bool(second)
        cells = heading.removesuffix(r" \\").split(" & ")
        assert len(cells) == 1 + first + second == len(tabular[0])
        assert cells[1 : 1 + second] == cells[1 + first :]  # the same titles, without the data set
        assert all(len(row.split(" & ")) == len(cells) for row in rows)


def test_what_is_of_one_data_set_alone_is_not_printed_for_several():
    one, two = table1(RECORDS), table1([*RECORDS, *parzen("gan-ns", [20.0], dataset="digits")])
    assert printed_views(one) == ["table1", "uncertainty", "cost"]
    assert printed_views(two) == ["table1"]
    assert "mnist: seed ±" in to_csv(two)


def test_names_of_strangers_are_escaped():
    assert escape_markdown("a|b*<script>") == r"a&#124;b\*&#60;script&#62;"
    assert escape_latex("50% & _x_ σ ± \\") == r"50\% \& \_x\_ $\sigma$ $\pm$ \textbackslash{}"
    text = to_markdown(table1(RECORDS))
    assert "<b>" not in text
    for block in text.split("\n\n"):
        assert len({line.count("|") for line in block.splitlines() if line.startswith("|")}) <= 1


def test_letters_go_on_after_z():
    assert [letter(i) for i in (0, 25, 26, 51, 52)] == ["a", "z", "aa", "az", "ba"]


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no TeX here")
def test_the_latex_compiles(tmp_path):
    alone = table1([*RECORDS, *RIVAL, *COPIES])
    beside = table1([*RECORDS, *RIVAL, *COPIES, *parzen("gan-ns", [-20.0], dataset="digits")])
    bodies = [to_latex(table, view) for table in (alone, beside) for view in printed_views(table)]
    text = [
        r"\documentclass{article}\usepackage[utf8]{inputenc}\usepackage{booktabs,graphicx}",
        r"\begin{document}",
        "\n\\clearpage\n".join(bodies),
        r"\end{document}",
    ]
    (tmp_path / "t.tex").write_text("\n".join(text))
    done = subprocess.run(
        ["pdflatex", "-halt-on-error", "t.tex"], cwd=tmp_path, check=True, capture_output=True
    )
    assert b"Overfull" not in done.stdout


def test_report_is_a_function_of_the_records_alone(tmp_path):
    Store(tmp_path, "mnist").append(RECORDS)
    first = {path: path.read_bytes() for path in report(tmp_path)}
    views = {f"{view}.tex" for view in printed_views(table1(RECORDS))}
    pages = {"report.html", "index.html"}
    figures = {f"summary{width}.{form}" for width in ("", "-wide") for form in ("png", "pdf")}
    assert {path.name for path in first} == {"table1.csv", "table1.md", *views, *pages, *figures}
    assert {path: path.read_bytes() for path in report(tmp_path)} == first


def test_the_readmes_table_is_of_the_committed_one():
    """Whole rows, among them those with a published number and the reference rows."""
    committed = (ROOT / "results" / "mnist" / "table1.md").read_text().split("\n\n")[0].splitlines()
    shown = [line for line in (ROOT / "README.md").read_text().splitlines() if line in committed]
    bounds = committed[2:].index(next(line for line in committed if "*reference rows*" in line)) + 2
    published = [line for line in committed[2:bounds] if not line.endswith("– |")]
    assert shown == [line for line in committed if line in shown]  # whole lines, in their order
    assert {*committed[:2], *published, *committed[bounds:]} <= {*shown}
    rows = (ROOT / "README.md").read_text().split(committed[0])[1].split("\n\n")[0].splitlines()[1:]
    assert rows == shown[1:]


@pytest.mark.parametrize("dataset", ["mnist", "olivetti"])
def test_committed_tables_are_what_their_records_give(dataset, tmp_path):
    store = Store(ROOT / "results", dataset)
    records, known = store.records(), today(store.results)
    stale = {(dataset, name) for name in known.stale(records)}
    table, _ = tabulated(store, records, known, stale=stale)
    for path in write_table(tmp_path, table):
        assert path.read_text() == (store.folder / path.name).read_text()
    assert {path.name for path in store.folder.glob("*.tex")} == {
        path.name for path in tmp_path.glob("*.tex")
    }


def test_a_number_of_another_paper_stands_beside_with_its_source_and_grid():
    table, key = table1(parzen("gmmn-ae", [280.0]), beside=["tfd"]), ("model", "gmmn-ae", "", 10_000)
    assert [table.numbers[d].loc[key]["published"] for d in ("mnist", "tfd")] == [282, 2204]
    for dataset, sigmas in (("mnist", "0.10 to 0.29"), ("tfd", "0.05 to 0.24")):
        (note,) = (n for n in table.notes[key] if n.startswith(f"{dataset}: published by Li et al. (2015)"))
        assert sigmas in note


def test_the_papers_other_column_shows_what_was_published_and_why_there_is_no_more():
    table = table1(RECORDS, beside=["tfd"])
    column = table.numbers["tfd"]
    assert column["published"].dropna().to_dict() == {
        ("model", "dbn", "", 10_000): 1909,
        ("model", "gan-ns", "", 10_000): 2057,
    }
    assert column["nats"].isna().all()
    assert any("tfd: published values alone: the Toronto Face Database" in note for note in table.footnotes)
    assert "tfd: published" in to_markdown(table)
    assert "tfd: nats" not in to_markdown(table)
    measured = table1([*RECORDS, *parzen("dbn", [1800.0], dataset="tfd")], beside=["tfd"])
    assert measured.numbers["tfd"].loc[("model", "dbn", "", 10_000)]["nats"] == 1800
    assert not any("published values alone" in note for note in measured.footnotes)


def test_the_stand_in_for_tfd_is_labelled_as_such():
    table = table1(parzen("dbn", [1500.0], dataset="olivetti"))
    for text in (to_markdown(table), to_latex(table)):
        assert "olivetti stands in for TFD" in text
    assert "stands in" not in to_markdown(table1(RECORDS))


def test_report_of_nothing_writes_nothing(tmp_path):
    assert report(tmp_path) == []


@pytest.mark.parametrize("width", [40, 60, 80, 100, 200])
def test_a_narrow_terminal_shows_whole_names_and_numbers(width):
    stream = io.StringIO()
    Console(file=stream, width=width).print(grid(table1(RECORDS), width))
    text = stream.getvalue()
    for part in ("gan-ns", "kmeans", "mine & <b>", "224.0", "330.0", "−59.0"):
        assert part in text
    assert "above real training images" in " ".join(text.split())
    assert "…" not in text
    assert all(len(line) <= width for line in text.splitlines())
    # the score and its error come before the bandwidth, that before what training took
    assert ("0.2154" in text, "minutes" in text) == (width >= 60, width >= 200)
