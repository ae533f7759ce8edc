"""What a paper takes from the results: tables, comparisons, claims."""

import json
import re
import shutil
import subprocess
from dataclasses import replace

import pytest
from genmodel_bench import BadOption, BenchError, DataMissing, UnknownName, compare
from genmodel_bench.commands.claims import claims, exit_code
from genmodel_bench.commands.table import command, printed_table
from genmodel_bench.storage.record import Record
from genmodel_bench.storage.store import Store

ROW = Record(
    "digits", "vae", metric="parzen", quantity="log_likelihood", unit="nats", better="higher", n=10_000,
    samples=10_000, draws=5, draw_sd=0.3, epochs=30, checkpoint="last", checkpoint_epoch=30,
    metric_settings=json.dumps({"sigma": 0.2}), dataset_digest="d", stderr=1.0,
)  # fmt: skip
COPIES = {
    "metric": "neighbours",
    "quantity": "exact_copies",
    "unit": "share",
    "better": "lower",
    "stderr": 0.01,
}


def seeds(model, values, **changes):
    row = replace(ROW, model=model, **changes)
    return [
        replace(row, seed=seed, value=value, cell=f"{model} {seed}").sealed()
        for seed, value in enumerate(values)
    ]


@pytest.fixture
def results(tmp_path):
    records = [
        *seeds("vae", [-20.0, -20.5, -19.5]),
        *seeds("gan-ns", [-60.0, -61.0, -59.0]),
        *seeds("dbn", [-60.4, -59.5, -60.6]),
        *seeds("rbm", [-40.0]),
        *seeds("vae", [0.01, 0.02, 0.01], **COPIES),
        *seeds("gan-ns", [0.51, 0.52, 0.5], **COPIES),
    ]
    Store(tmp_path, "digits").append(records)
    return tmp_path


def test_rows_far_apart_are_told_apart_and_rows_close_by_are_not(results):
    found = compare("vae", "gan-ns", "dbn", dataset="digits", results=results).set_index(["a", "b"])
    assert found["verdict"].to_dict() == {
        ("vae", "gan-ns"): "higher",
        ("vae", "dbn"): "higher",
        ("gan-ns", "dbn"): "not told apart",
    }
    assert found.loc[("vae", "gan-ns"), "value"] == 40.0
    assert (found["corrected"] >= found["p"]).all()


def test_one_seed_is_never_a_verdict(results):
    [row] = compare("vae", "rbm", dataset="digits", results=results).to_dict("records")
    assert (row["verdict"], row["value"]) == ("unknown", 20.0)
    assert "spread over training unknown" in row["sentence"]


def test_a_score_is_named_by_its_metric(results):
    [row] = compare(
        "gan-ns", "vae", dataset="digits", metric="neighbours.exact_copies", results=results
    ).to_dict("records")
    assert row["verdict"] == "higher"
    assert row["value"] == pytest.approx(100 * (0.51 - 0.04 / 3))  # as the column prints it, in per cent
    assert "worse" in row["sentence"] or "which is" in row["sentence"]


@pytest.mark.parametrize(
    "names, metric, error, text",
    [
        (["vae"], None, BadOption, "got 1 row"),
        (["vae", "gan-nn"], None, UnknownName, "did you mean 'gan-ns'"),
        (["vae", "dbn"], "parzn", UnknownName, "did you mean 'parzen'"),
        (["vae", "dbn"], "neighbours.exact_copies", BadOption, "'dbn' has no copies %"),
    ],
)
def test_what_cannot_be_compared_is_one_line(results, names, metric, error, text):
    with pytest.raises(error, match=re.escape(text)):
        compare(*names, dataset="digits", metric=metric, results=results)


def test_no_records_to_compare_is_one_line(tmp_path):
    with pytest.raises(BenchError, match="no records of 'mnist'"):
        compare("vae", "dbn", dataset="mnist", results=tmp_path)


CLAIMS = """
claims = [
    "vae > gan-ns on parzen, digits",
    "gan-ns > vae on parzen, digits",
    "gan-ns > dbn on parzen, digits",
    "vae > rbm on parzen, digits",
    "vae < gan-ns on neighbours.exact_copies, digits",
    "vae > nobody on parzen, digits",
]
"""


def test_claims_are_supported_contradicted_or_undetermined(results, tmp_path):
    path = tmp_path / "claims.toml"
    path.write_text(CLAIMS)
    judged = claims(path, results)
    assert [each.finding for each in judged] == [
        "supported", "contradicted", "undetermined", "undetermined", "supported", "undetermined",
    ]  # fmt: skip
    assert "not told apart" in judged[2].reason
    assert "spread over training unknown" in judged[3].reason
    assert "unknown row 'nobody'" in judged[5].reason
    assert exit_code(judged) == 3
    assert exit_code(judged[2:]) == 4
    assert exit_code(judged[:1]) == 0


@pytest.mark.parametrize(
    "content, text",
    [
        ("claims = [", "is no TOML"),
        ("claims = []", "has no list of claims"),
        ("other = 1", "has no list of claims"),
        ('claims = ["vae beats gan"]', "got 'vae beats gan', expected 'A > B on METRIC, DATASET'"),
        ("claims = [3]", "got 3, expected"),
    ],
)
def test_a_file_that_is_no_list_of_claims_is_one_line(tmp_path, content, text):
    path = tmp_path / "claims.toml"
    path.write_text(content)
    with pytest.raises(BenchError, match=re.escape(text)):
        claims(path, tmp_path)
    with pytest.raises(DataMissing, match="not found"):
        claims(tmp_path / "none.toml", tmp_path)


@pytest.mark.parametrize("text", ["claims = " + "[" * 5000 + "]" * 5000, f"claims = [1{'0' * 5000}]", "\x00"])
def test_odd_toml_is_one_line(text, tmp_path):
    path = tmp_path / "claims.toml"
    path.write_text(text)
    with pytest.raises(BenchError, match=r"claims: .* is no TOML: ") as error:
        claims(path, tmp_path)
    assert len(str(error.value)) < 600


def test_the_command_line_says_it_by_exit_code_and_json(results, tmp_path, here):
    path = tmp_path / "claims.toml"
    path.write_text('claims = ["gan-ns > vae on parzen, digits"]')
    done = here("claims", path, "--results", results, "--json", code=3)
    assert json.loads(done.stdout)[0]["finding"] == "contradicted"


def cells_of(text):
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if ":--" not in line]


def test_rows_and_columns_stand_in_the_order_in_which_they_are_named(results):
    text = printed_table(
        results, datasets=["digits"], rows=["dbn", "vae"], columns=["seeds", "nats", "copies %"], digits=2
    )
    assert cells_of(text) == [
        ["model", "seeds", "nats ↑", "copies % ↓"],
        ["dbn <sup>a</sup>", "3", "−60.17", "–"],
        ["vae <sup>a</sup>", "3", "−20.00†", "1.33†"],  # the marks are those of the whole table
    ]
    assert "- (a) " in text and "†: " not in text and "† best of its column" in text


def test_a_table_is_sorted_best_first_or_backwards(results):
    names = [row[0] for row in cells_of(printed_table(results, sort="nats"))][1:]
    assert [name.split()[0] for name in names] == ["vae", "rbm", "gan-ns", "dbn"]
    assert [row[0].split()[0] for row in cells_of(printed_table(results, sort="-nats"))][1:] == [
        "dbn",
        "gan-ns",
        "rbm",
        "vae",
    ]
    copies = [row[0] for row in cells_of(printed_table(results, sort="copies %"))][1:]
    assert [name.split()[0] for name in copies[:2]] == ["vae", "gan-ns"]


def test_every_number_has_a_macro_of_letters_alone(results):
    text = printed_table(results, columns=["nats", "copies %"], format="macros")
    found = dict(re.findall(r"\\newcommand\{\\([A-Za-z]+)\}\{\\ensuremath\{(.*)\}\}", text))
    assert len(found) == len(text.splitlines())
    assert found["digitsVaeNats"] == "-20.0"
    assert found["digitsVaeCopiesPercent"] == "1.3"
    assert command("cifar10", "gan-ns (epochs=3)", "total ±") == "cifarOneZeroGanNsEpochsThreeTotalError"


@pytest.mark.parametrize(
    "choice, text",
    [
        ({"rows": ["va"]}, "unknown row 'va'; did you mean 'vae'"),
        ({"columns": ["natz"]}, "unknown column 'natz'; did you mean 'nats'"),
        ({"sort": "natz"}, "unknown column 'natz'"),
        ({"datasets": ["mnist"]}, "unknown data set with records 'mnist'"),
        ({"format": "tex", "label": "a{b"}, "--label: got 'a{b'"),
    ],
)
def test_what_is_not_there_is_one_line(results, choice, text):
    with pytest.raises(BenchError, match=re.escape(text)):
        printed_table(results, **choice)


def test_latex_is_one_float_with_one_tabular_and_true_minus_signs(results):
    text = printed_table(results, format="tex", caption="50 % of it_all", label="tab:all")
    assert text.count(r"\begin{tabular}") == text.count(r"\begin{table}") == 1
    assert r"\caption{50 \% of it\_all}" in text and r"\label{tab:all}" in text
    assert "$-$20.0" in text and not re.search(r"& -\d", text)


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="pdflatex is not installed")
def test_latex_and_macros_compile(results, tmp_path):
    (tmp_path / "macros.tex").write_text(printed_table(results, columns=["nats", "total ±"], format="macros"))
    body = printed_table(results, format="tex", caption="All", label="tab:all")
    (tmp_path / "paper.tex").write_text(
        "\\documentclass{article}\\usepackage{booktabs,graphicx}\\input{macros}\\begin{document}"
        f"{body} \\digitsVaeNats{{}} \\end{{document}}"
    )
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "paper.tex"], cwd=tmp_path, capture_output=True
    )
    assert done.returncode == 0, done.stdout.decode()[-2000:]
