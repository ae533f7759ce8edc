"""The page as a file: its content, that names in it are text only, that nothing loads."""

import base64
import csv
import hashlib
import io
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from genmodel_bench.report.figures.figure import Section
from genmodel_bench.report.page.compare import comparison
from genmodel_bench.report.page.details import blocks, by_seed
from genmodel_bench.report.page.page import GROUPS, SECTIONS, page
from genmodel_bench.report.tables.render import to_csv
from genmodel_bench.report.tables.table import COLUMNS, table1
from genmodel_bench.storage.record import ROLES
from genmodel_bench.storage.store import Store
from pages import RECORDS, ROW, STRANGER, Reader, draw, keep, log_probs, made

TESTS = Path(__file__).parent


@pytest.fixture(scope="module")
def html(tmp_path_factory):
    return made(tmp_path_factory.mktemp("page"))


@pytest.fixture(scope="module")
def read(html):
    return Reader(html)


@pytest.fixture
def cache(tmp_path):
    keep(tmp_path)
    return tmp_path


def test_every_kind_of_row_and_every_section_has_a_heading():
    assert tuple(GROUPS) == ROLES
    assert tuple(SECTIONS) == get_args(Section)


def test_the_same_input_gives_the_same_bytes(tmp_path, html):
    assert made(tmp_path) == html


def test_the_report_is_made_without_torch(tmp_path):
    Store(tmp_path, "mnist").append([r.sealed() for r in RECORDS])
    keep(tmp_path / ".cache")
    code = (
        "import sys; from genmodel_bench.report.rebuild import report; report(sys.argv[1]); "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, cwd=TESTS.parent)
    assert 'id="comparison"' in (tmp_path / "mnist" / "report.html").read_text()


def test_style_and_script_are_named_by_their_digests_and_nothing_else_is_allowed(read):
    (policy,) = [e["content"] for e in read.all("meta") if e.get("http-equiv") == "Content-Security-Policy"]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    (style,), (script,) = read.all("style"), [e for e in read.all("script") if "type" not in e]
    for element, rule in ((style, "style-src"), (script, "script-src")):
        assert (
            rules[rule]
            == f"'sha256-{base64.b64encode(hashlib.sha256(element['text'].encode()).digest()).decode()}'"
        )
    assert (rules["default-src"], rules["img-src"]) == ("'none'", "data:")
    assert not [e for e in read.elements if "style" in e or any(name.startswith("on") for name in e)]


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
            for name in ("aria-controls", "aria-labelledby", "data-figure")
        ]
        targets += [element["href"][1:]] if element.get("href", "").startswith("#") else []
        assert {target for target in targets if target} <= set(ids)


def test_a_strangers_name_is_text_wherever_it_stands(read, html):
    assert len(read.all("script")) == 2
    named = [e for e in read.all("bdi") if e["text"] == STRANGER]
    assert named
    assert [e for e in read.all("th", **{"data-value": STRANGER})]
    assert [e for e in read.all("img") if e["alt"] == STRANGER]
    assert STRANGER not in html
    (scores,) = read.all("script", type="application/json")
    assert "<" not in scores["text"]
    assert STRANGER in [row["name"] for row in json.loads(scores["text"])["rows"]]


def test_the_data_sets_name_is_text(tmp_path):
    name = f"folder:{STRANGER}"
    records = [replace(r, dataset=name) for r in RECORDS]
    keep(tmp_path)
    text = page(name, table1(records), records, [], comparison(records, tmp_path))
    assert STRANGER not in text
    assert Reader(text).all("title")[0]["text"].startswith(name)


def test_numbers_are_those_of_the_csv_with_all_their_digits(read):
    lines = list(csv.DictReader(io.StringIO(to_csv(table1(RECORDS)))))
    titles = [e["text"] for e in read.all("th", scope="col")][1:]
    assert set(titles) <= set(COLUMNS)
    cells = [e for e in read.all("td") if "data-value" in e]
    assert len(cells) == len(titles) * len(lines)
    for i, line in enumerate(lines):
        for title, cell in zip(titles, cells[i * len(titles) :], strict=False):
            expected = line[f"mnist: {title}"]
            assert (float(cell["data-value"]) if cell["data-value"] else None) == (
                float(expected) if expected else None
            )


def test_cells_are_printed_as_in_table_1(read):
    cells = [e for e in read.all("td") if "data-value" in e]
    titles = [e["text"] for e in read.all("th", scope="col")][1:]
    first = dict(zip(titles, [e["text"] for e in cells], strict=False))
    assert first["nats"] == f"{np.mean([log_probs(4 + seed).mean() for seed in range(3)]):.1f}"
    assert first["seeds"] == "3"
    assert "published" not in first  # the content is not that of the published files


def test_rows_stand_in_groups_in_the_order_of_the_table(read):
    names = [e["data-value"] for e in read.all("th", scope="row")]
    assert names == [key[1] for key in table1(RECORDS).numbers.index]
    assert [e["text"] for e in read.all("th", scope="rowgroup")] == list(GROUPS.values())


def test_every_heading_is_a_button_and_one_column_is_sorted_by(read):
    headings = read.all("th", scope="col")
    assert len([e for e in read.all("button") if "data-column" in e]) == len(headings)
    assert [e["text"] for e in headings if e.get("aria-sort")] == ["nats"]


def test_without_the_script_details_are_shown(read):
    assert all("hidden" not in e for e in read.all("tr"))
    assert {e["aria-expanded"] for e in read.all("button") if "aria-expanded" in e} == {"true"}


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
    ):
        assert said in vae
    assert "failed: no luck (seed 0)" in failed


def test_every_image_has_its_text_and_stands_in_the_page_once(read):
    images = read.all("img")
    assert all("alt" in e and e["src"].startswith("data:image/png;base64,") for e in images)
    assert len(images) == 4  # three figures and the sprite
    assert "gone" not in [e["text"] for e in read.all("strong")]
    figures = [e["id"] for e in read.all("figure") if e.get("id")]
    assert sorted(e["data-figure"] for e in read.all("a") if "data-figure" in e) == sorted(figures[:2])


def test_sections_without_figures_are_left_out_and_the_others_in_order(read):
    ids = [e["id"] for e in read.all("section") if "id" in e]
    assert ids == ["table", "samples", "curves", "comparison", "legend"]


def test_a_figure_is_shown_as_large_as_its_resolution_says(read):
    small, wide = read.all("img")[:2]
    assert (small["width"], small["height"]) == ("60", "40")
    wide = next(e for e in read.all("img") if e["alt"] == "A line.")
    assert int(wide["width"]) == pytest.approx(2000 / 300 * 96 * 1.4, rel=1e-3)


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


def test_a_figure_stands_in_the_page_once(tmp_path):
    figures = draw(tmp_path)
    text = page("mnist", table1(RECORDS), RECORDS, figures, None)
    content = base64.b64encode((tmp_path / "b.png").read_bytes()).decode()
    assert text.count(content) == 1


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
