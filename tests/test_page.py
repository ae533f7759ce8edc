"""The page as a file: its content, that names in it are text only, that nothing loads."""

import base64
import csv
import hashlib
import io
import json
import os
import re
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from genmodel_bench.cells.options import apply_options
from genmodel_bench.cells.protocol import NAMES, USUAL
from genmodel_bench.models import settings_for
from genmodel_bench.report.figures.figure import Figure, Section
from genmodel_bench.report.page.command import PROTOCOL, USUAL_SAMPLES, commands
from genmodel_bench.report.page.details import blocks, by_seed
from genmodel_bench.report.page.index import index
from genmodel_bench.report.page.page import GROUPS, SCRIPTS, STYLES, page
from genmodel_bench.report.page.plates import SECTIONS, plates_of, sentences
from genmodel_bench.report.tables.columns import view_title
from genmodel_bench.report.tables.render import columns_in, to_csv
from genmodel_bench.report.tables.table import table1
from genmodel_bench.storage.record import ROLES
from genmodel_bench.storage.store import Store
from pages import RECORDS, ROW, STRANGER, Reader, draw, keep, log_probs, made, tables

TESTS = Path(__file__).parent


@pytest.fixture(scope="module")
def html(tmp_path_factory):
    return made(tmp_path_factory.mktemp("page"))


@pytest.fixture(scope="module")
def read(html):
    return Reader(html)


def policy_of(read):
    (policy,) = [e["content"] for e in read.all("meta") if e.get("http-equiv") == "Content-Security-Policy"]
    return dict(rule.split(" ", 1) for rule in policy.split("; "))


def digest_of(text):
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def titles(read):
    return [e["data-title"] for e in read.all("th", scope="col")][1:]


def test_every_kind_of_row_and_every_section_has_a_heading():
    assert tuple(GROUPS) == ROLES
    assert tuple(SECTIONS) == get_args(Section)


def test_the_same_input_gives_the_same_bytes(tmp_path, html):
    assert made(tmp_path) == html


@pytest.mark.slow
def test_the_report_is_made_without_torch(tmp_path):
    Store(tmp_path, "mnist").append([r.sealed() for r in RECORDS])
    keep(tmp_path)
    code = (
        "import sys; from genmodel_bench.report.rebuild import report; report(sys.argv[1]); "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, cwd=TESTS.parent)
    text = (tmp_path / "mnist" / "report.html").read_text()
    assert 'id="comparison"' in text
    assert 'id="summary"' in text
    assert 'href="mnist/report.html"' in (tmp_path / "index.html").read_text()


def test_style_and_script_are_named_by_their_digests_and_nothing_else_is_allowed(read):
    rules = policy_of(read)
    (style,), (script,) = read.all("style"), [e for e in read.all("script") if "type" not in e]
    assert rules["style-src"] == digest_of(style["text"])
    assert rules["script-src"] == digest_of(script["text"])
    assert (rules["default-src"], rules["img-src"]) == ("'none'", "data:")
    assert not [e for e in read.elements if "style" in e or any(name.startswith("on") for name in e)]


def test_every_file_of_style_and_script_is_in_the_page(read):
    folder = TESTS.parent / "bench" / "report" / "page" / "templates"
    there = {path.name for path in folder.iterdir() if path.suffix in (".css", ".js")}
    assert there == {*STYLES, *SCRIPTS}
    whole = "".join(e["text"] for e in (*read.all("style"), *read.all("script")))
    assert all((folder / name).read_text() in whole for name in there)


def test_nothing_would_be_loaded_from_anywhere(read, html):
    for element in read.elements:
        for name in ("src", "href", "srcset", "action", "data", "poster"):
            assert element.get(name, "data:").startswith(("data:", "#")), element
    assert "@import" not in html
    assert not re.search(r"url\(", html)


def test_every_link_leads_to_an_element_and_every_id_is_there_once(read):
    ids = [e["id"] for e in read.elements if "id" in e]
    assert len(ids) == len(set(ids))
    for element in read.elements:
        targets = [
            element.get(name, "").removeprefix("#")
            for name in ("aria-controls", "aria-labelledby", "aria-describedby", "data-figure", "for")
        ]
        targets += [element["href"][1:]] if element.get("href", "").startswith("#") else []
        assert {target for target in targets if target} <= set(ids)


def test_a_strangers_name_is_text_wherever_it_stands(read, html):
    assert len(read.all("script")) == 3
    assert len([e for e in read.all("script") if e.get("type") == "application/json"]) == 2
    named = [e for e in read.all("bdi") if e["text"] == STRANGER]
    assert named
    assert [e for e in read.all("th", **{"data-value": STRANGER})]
    assert [e for e in read.all("img") if e["alt"] == STRANGER]
    assert STRANGER not in html
    (scores,) = read.all("script", id="scores")
    assert "<" not in scores["text"]
    assert STRANGER in [row["name"] for row in json.loads(scores["text"])["rows"]]


def test_the_data_sets_name_is_text(tmp_path):
    name = f"folder:{STRANGER}"
    records = [replace(r, dataset=name) for r in RECORDS]
    text = page(name, tables(tmp_path, records, name)[0], records, [], None)
    assert STRANGER not in text
    assert Reader(text).all("title")[0]["text"].startswith(name)


def test_numbers_are_those_of_the_csv_with_all_their_digits(read, tmp_path):
    keep(tmp_path)
    lines = list(csv.DictReader(io.StringIO(to_csv(tables(tmp_path)[0]))))
    cells = [e for e in read.all("td") if "data-value" in e]
    assert len(cells) == len(titles(read)) * len(lines)
    for i, line in enumerate(lines):
        for title, cell in zip(titles(read), cells[i * len(titles(read)) :], strict=False):
            expected, found = line[f"mnist: {title}"], cell["data-value"]
            assert found == expected or float(found) == float(expected)


def test_cells_are_printed_as_in_table_1(read):
    cells = [e for e in read.all("td") if "data-value" in e]
    first = dict(zip(titles(read), [e["text"] for e in cells], strict=False))
    # The best of two rows with three seeds, and told apart from the other.
    assert first["nats"] == f"{np.mean([log_probs(4 + seed).mean() for seed in range(3)]):.1f}†"
    assert first["seeds"] == "3"
    assert "published" not in first  # the content is not that of the published files


def test_rows_stand_in_groups_in_the_order_of_the_table(read):
    names = [e["data-value"] for e in read.all("th", scope="row")]
    assert names == [key[1] for key in table1(RECORDS).keys]
    assert [e["text"] for e in read.all("th", scope="rowgroup")] == list(GROUPS.values())


def test_every_heading_is_a_button_that_says_what_it_means_and_one_column_is_sorted_by(read):
    headings = [e for e in read.all("button") if "data-column" in e]
    assert len(headings) == len(read.all("th", scope="col"))
    means = {e["id"]: e["text"] for e in read.all("dd") if "id" in e}
    columns = {column.title: column for column in table1(RECORDS).columns}
    for title, button in zip(titles(read), headings[1:], strict=True):
        if columns[title].error:
            assert "standard error" in means[button["aria-describedby"]]
        else:
            assert means[button["aria-describedby"]] == f"{columns[title].says}."
    assert [e["data-title"] for e in read.all("th", scope="col") if e.get("aria-sort")] == ["nats"]


def test_there_is_a_tab_for_each_view_and_one_for_all(read):
    table = table1(RECORDS)
    tabs = read.all("button", role="tab")
    assert [tab["data-view"] for tab in tabs] == [*table.views, ""]
    for view in table.views:
        columns = [c.title for c in columns_in(table, view)]
        assert [e["data-title"] for e in read.all("th", **{"data-view": view})] == columns
        assert view_title(view)
    assert {tab["aria-controls"] for tab in tabs} == {"panel"}


def test_every_column_can_be_chosen(read):
    boxes = [e for e in read.all("input", type="checkbox")]
    assert sorted(int(e["data-column"]) for e in boxes) == list(range(1, len(titles(read)) + 1))


def test_without_the_script_details_and_all_columns_are_shown(read):
    assert all("hidden" not in e for tag in ("tr", "tbody", "th", "td") for e in read.all(tag))
    assert {e["aria-expanded"] for e in read.all("button") if "aria-expanded" in e} == {"true"}
    assert "tabpanel" not in [e.get("role") for e in read.elements]


def test_details_name_settings_seeds_costs_and_caveats(read):
    details = {e["id"]: e["text"] for e in read.all("tr", **{"class": "details"})}
    vae, failed = details["row-0-details"], next(text for text in details.values() if "no luck" in text)
    for said in (
        "hidden",
        "16, 12",
        "0, 1, 2",
        "abc",
        "1 s (seed 0); 2 s (seed 1); 3 s (seed 2)",
        "sigma",
        "0.2154",
        "bench run vae --dataset mnist --seeds 3",
    ):
        assert said in vae
    assert "failed: no luck (seed 0)" in failed


def test_every_image_has_its_text_and_stands_in_the_page_once(read, html):
    images = read.all("img")
    assert all("alt" in e and e["src"].startswith("data:image/png;base64,") for e in images)
    files = [e["src"] for e in images] + [e["srcset"] for e in read.all("source")]
    assert len(files) == 6  # four figures, one of them in two forms, and the sprite
    assert all(html.count(content.split(",")[1]) == 1 for content in files)
    assert "gone" not in [e["text"] for e in read.all("strong")]
    figures = [e["id"] for e in read.all("figure") if e.get("id", "").startswith("samples")]
    assert sorted(e["data-figure"] for e in read.all("a") if "data-figure" in e) == sorted(figures)


def test_each_figure_is_downloaded_as_its_pdf(read):
    links = {
        e["download"]: e["href"].removeprefix("data:application/pdf;base64,")
        for e in read.all("a")
        if "download" in e
    }
    assert {name: base64.b64decode(pdf).decode() for name, pdf in links.items()} == {
        f"{name}.pdf": f"%PDF of {name}" for name in ("s", "s-wide", "a", "d", "b")
    }


def test_the_table_leads_then_the_summary_the_comparison_and_the_figures(read):
    ids = [e["id"] for e in read.all("section") if "id" in e]
    assert ids == ["table", "summary", "comparison", "samples", "curves", "legend", "commands"]
    links = [e["href"] for e in read.all("a") if e["href"][1:] in ids and "id" not in e]
    assert links == [f"#{i}" for i in ids]


def test_what_captions_of_a_section_share_is_said_once_above_its_figures(read):
    captions = [e["text"] for e in read.all("figcaption")]
    assert not [text for text in captions if "None chosen." in text or "Framed: the nearest." in text]
    assert [e["text"] for e in read.all("p") if "None chosen." in e["text"]] == [
        "None chosen. Framed: the nearest."
    ]
    assert [text for text in captions if "Sharp." in text]
    assert [text for text in captions if STRANGER in text]


def test_sentences_end_before_a_capital():
    assert sentences("Goodfellow et al. (2014) at 5 % of N. Is it? Yes: e.g. 3.5 nats.") == [
        "Goodfellow et al. (2014) at 5 % of N.",
        "Is it?",
        "Yes: e.g. 3.5 nats.",
    ]


def test_a_figure_is_shown_as_large_as_its_resolution_says(read):
    sizes = {e["alt"]: (int(e["width"]), int(e["height"])) for e in read.all("img") if e["alt"]}
    assert sizes["Digits of vae."] == (60, 40)
    # 1.8 times as large as on paper, a pixel of CSS being 1/96 inch
    assert sizes["A line."] == pytest.approx((2000 / 300 * 96 * 1.8, 300 / 300 * 96 * 1.8), abs=1)


def test_a_figure_alone_in_its_row_has_the_form_for_two_columns(tmp_path):
    draw(tmp_path)
    names = [("a", False), ("a-wide", True), ("d", False), ("d-wide", True), ("s", False), ("s-wide", True)]
    for name in ("a", "d"):
        (tmp_path / f"{name}-wide.png").write_bytes((tmp_path / f"{name}.png").read_bytes())
    figures = [Figure(tmp_path / f"{name}.png", "curves", name, "", "", wide=wide) for name, wide in names]
    for n, alone in ((2, ["a"]), (4, []), (6, ["s"])):
        pictures = plates_of(figures[:n])["curves"].pictures
        assert [p.file for p in pictures if p.wide] == alone
        assert len(pictures) == n // 2


def test_a_page_of_few_records_needs_neither_figures_nor_a_comparison(tmp_path):
    text = page("mnist", table1(RECORDS[-1:]), RECORDS[-1:], [], None)
    assert not Reader(text).all("section", id="comparison")


def test_seeds_are_named_where_they_differ():
    one, two = replace(ROW, seed=0), replace(ROW, seed=1)
    assert by_seed([(one, "a"), (two, "a")]) == "a"
    assert by_seed([(one, "a"), (two, "b")]) == "a (seed 0); b (seed 1)"
    assert by_seed([]) == ""


def test_blocks_of_a_failed_row_say_why():
    (scores,) = [block for block in blocks(RECORDS[-1:]) if block.title == "Scores"]
    assert scores.terms == [("parzen: log_likelihood", "failed: no luck")]


def test_the_options_of_a_run_are_those_of_its_protocol():
    assert {*PROTOCOL, "samples"} == set(NAMES)
    assert USUAL_SAMPLES == USUAL.samples


def of(model, seed=0, samples=10_000, **options):
    return replace(ROW, model=model, seed=seed, samples=samples, options=json.dumps(options))


def test_a_command_names_models_seeds_and_what_was_changed():
    records = [*(of("vae", seed) for seed in range(3)), *(of("gan-ns", seed, epochs=2) for seed in range(3))]
    assert commands(records) == ["bench run vae gan-ns --dataset mnist --seeds 3 --set gan-ns.epochs=2"]


def test_rows_that_no_command_makes_together_have_commands_of_their_own():
    records = [
        of("vae"),
        of("vae", epochs=2),
        of("dbn", draws=2, checkpoint="best", deterministic=True, lr=1),
        of("rbm", samples=500),
        of("gan-ns", 1),
        replace(ROW, model=STRANGER, role="samples", seed=None, draws=1),
        *(replace(ROW, model="three", role="samples", seed=k, draws=1) for k in range(3)),
        replace(ROW, model="two", role="samples", seed=None, draws=2),
    ]
    assert commands(records) == [
        "bench run vae --dataset mnist --seeds 1",
        "bench run vae --dataset mnist --seeds 1 --set vae.epochs=2",
        "bench run dbn --dataset mnist --seeds 1 --draws 2 --checkpoint best --deterministic --set dbn.lr=1",
        "bench run rbm --dataset mnist --seeds 1 --samples 500",
        "bench run gan-ns --dataset mnist --seeds 2",
        f"bench score FILE --dataset mnist {shlex.quote('--name=' + STRANGER)}",
        "bench score FILE1 FILE2 FILE3 --dataset mnist --name=three",
        "bench score FILE1 FILE2 --as draws --dataset mnist --name=two",
    ]


def test_options_typed_again_are_the_same():
    options = {"hidden": [16, 12], "lr": 1e-05, "epochs": 3}
    (command,) = commands([of("vae", **options)])
    words = shlex.split(command)
    changes = [words[i + 1] for i, word in enumerate(words) if word == "--set"]
    (config,) = apply_options({"vae": settings_for("vae", "mnist")}, changes)["vae"]
    assert {name: getattr(config, name) for name in options} == {**options, "hidden": (16, 12)}


def test_a_long_command_is_broken_where_a_shell_allows_it():
    records = [of("vae", epochs=k, lr=0.1, hidden=[k] * 30) for k in (2, 3)]
    for long, broken in zip(commands(records), commands(records, width=60), strict=True):
        *lines, _ = broken.splitlines()
        assert lines
        assert all(line.endswith(" \\") for line in lines)
        assert shlex.split(broken.replace("\\\n", "")) == shlex.split(long)


@pytest.fixture(scope="module")
def list_of_sets(tmp_path_factory):
    folder = tmp_path_factory.mktemp("index")
    name = f"folder:{STRANGER}"
    others = [replace(r, dataset=name) for r in RECORDS[:4]]
    return Reader(index({"mnist": tables(folder)[0], "folder%3A%3Cx%3E": tables(folder, others, name)[0]}))


def test_the_index_leads_to_each_report_and_shows_its_first_table(list_of_sets):
    links = [e["href"] for e in list_of_sets.all("a") if e["href"].endswith(".html")]
    assert links == ["mnist/report.html", "folder%253A%253Cx%253E/report.html"]  # % of a folder's name is %25
    table = table1(RECORDS)
    shown = [e["text"] for e in list_of_sets.all("th", scope="col")]
    columns = [f"{c.title} {c.arrow}".strip() for c in columns_in(table, table.views[0])]
    assert shown[: 1 + len(columns)] == ["model", *columns]
    assert len(list_of_sets.all("th", scope="row")) == len(table.keys) + 2


def test_the_index_runs_and_loads_nothing(list_of_sets):
    rules = policy_of(list_of_sets)
    assert rules["default-src"] == "'none'"
    assert "script-src" not in rules
    assert rules["style-src"] == digest_of(list_of_sets.all("style")[0]["text"])
    assert not list_of_sets.all("script")
    assert not [e for e in list_of_sets.elements if "src" in e or "style" in e]
    assert [e for e in list_of_sets.all("bdi") if e["text"] == f"folder:{STRANGER}"]
    ids = [e["id"] for e in list_of_sets.elements if "id" in e]
    assert len(ids) == len(set(ids))
    assert {e["href"][1:] for e in list_of_sets.all("a") if e["href"].startswith("#")} <= set(ids)


@pytest.mark.slow
def test_without_chromium_the_tests_that_need_it_end_with_one_line():
    command = [sys.executable, "-m", "pytest", "-m", "browser", str(TESTS / "browser")]
    run = subprocess.run(
        command, capture_output=True, text=True, env=os.environ | {"CHROMIUM": "/nowhere"}, cwd=TESTS.parent
    )
    assert run.returncode == pytest.ExitCode.USAGE_ERROR
    assert [line for line in run.stderr.splitlines() if line.strip()] == [
        line for line in run.stderr.splitlines() if "install" in line
    ]
    assert "Traceback" not in run.stdout + run.stderr
