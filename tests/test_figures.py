import json
import math
import re
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest
from genmodel_bench.commands.report import declared_by
from genmodel_bench.errors import BadRecords
from genmodel_bench.report.figures.charts import charts_of
from genmodel_bench.report.figures.figure import (
    OF,
    ONE_COLUMN,
    TWO_COLUMNS,
    Drawn,
    figure_at,
    paper,
    sweep,
    texts_of,
)
from genmodel_bench.report.figures.lines import lines_of, visuals_of
from genmodel_bench.report.rebuild import figures_of as figures_in
from genmodel_bench.report.rebuild import report
from genmodel_bench.report.tables.columns import columns_of
from genmodel_bench.report.tables.table import table1
from genmodel_bench.storage.arrays import kept_arrays
from genmodel_bench.storage.ingredients import Equivalence, Vouched, code_digest
from genmodel_bench.storage.names import file_name
from genmodel_bench.storage.plain import as_json
from genmodel_bench.storage.record import Record, to_csv
from genmodel_bench.storage.store import Store
from pages import sealed_at
from PIL import Image

DECLARED = {quantity: as_json(column) for quantity, column in declared_by().items()}
PARZEN = Record(
    "mnist", "vae", metric="parzen", quantity="log_likelihood", value=1.0, samples=10_000,
    cell="c0", weights="w0", seed=0, stderr=1.0, draw_sd=0.1, n=100, better="higher",
    column=DECLARED["parzen", "log_likelihood"], metric_settings=json.dumps({"sigma": 0.2}),
)  # fmt: skip
CURVES = {
    "sigma on validation": {"0.1": 1.0, "0.2": 5.0, "0.4": 2.0},
    "samples": {"1000": 3.0, "10000": 4.0},
    "validation by epoch": {"1": 0.0, "2": 4.0},
}
SCORE = ("parzen", "log_likelihood")
SHARES = {f"{k / 40:g}": 1 + k / 40 for k in range(41)}
DISTANCES = {"distance of samples by share": SHARES, "distance of held-out images by share": SHARES}


def rows_of(model, *, seed=0, role="model", lift=0.0, **changes):
    curves = {name: {key: value + lift for key, value in curve.items()} for name, curve in CURVES.items()}
    row = replace(
        PARZEN,
        model=model,
        role=role,
        seed=seed,
        cell=f"c-{model}-{seed}",
        curves=json.dumps(curves),
        **changes,
    )
    near = replace(
        row,
        metric="neighbours",
        quantity="ratio",
        better="neither",
        column=DECLARED["neighbours", "ratio"],
        score_key=f"s-{model}-{seed}",
        curves=json.dumps(DISTANCES),
    )
    return [row, near]


def shown(n=20, size=8):
    rng = np.random.default_rng(0)
    arrays = {
        name: rng.random((n, 1, size, size), dtype=np.float32)
        for name in ("shown_samples", "shown_neighbours")
    }
    arrays["shown_shifted_neighbours"] = arrays["shown_neighbours"].copy()
    return arrays | {
        "distance": np.ones(n, np.float32),
        "shown_shifted_distance": np.full(n, 0.5, np.float32),
    }


def visuals_at(cache, record, film=None, **about):
    images = {
        "film": np.zeros((2, 8, 1, 8, 8), np.float32) if film is None else film,
        "walks": np.zeros((4, 10, 1, 8, 8), np.float32),
    }
    text = {
        "epochs": [1, 2],
        "prior": "uniform",
        "weights": record.weights,
        "recipe": record.settled(Vouched()).recipe,
        "kinds": [],
        **about,
    }
    history = [
        {"stage": "adversarial", "epoch": e, "loss_d": 1.0, "loss_g": 2.0, "d_real": 0.6, "d_fake": 0.4}
        for e in (1, 2)
    ]
    sealed_at(
        cache / "visuals" / f"{record.cell}.safetensors", images, json.dumps({"history": history, **text})
    )


def scores_at(cache, record):
    sealed_at(cache / "scores" / f"{record.score_key}.safetensors", shown())


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """The records of a model and of real data, with the model's visuals and arrays.

    All of it is printed; figures are drawn coarsely, which is faster.
    """
    folder = tmp_path_factory.mktemp("drawn")
    records = [*rows_of("gan-ns"), *rows_of("data", role="reference", lift=2.0)]
    Store(folder, "mnist").append([r.sealed() for r in records])
    scores_at(folder / ".cache", records[1])
    visuals_at(folder / ".cache", records[0])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("genmodel_bench.report.figures.figure.DPI", 50)
        report(folder)
    return folder


@pytest.fixture
def results(drawn, tmp_path, monkeypatch):
    """A copy of them, which a test may change."""
    monkeypatch.setattr("genmodel_bench.report.figures.figure.DPI", 50)
    shutil.copytree(drawn, tmp_path, dirs_exist_ok=True)
    return tmp_path


@pytest.fixture
def charts_alone(results):
    """A copy without the figures of the model, which stay where nothing else is known."""
    for path in (results / "mnist" / "figures").glob("*-gan-ns.*"):
        path.unlink()
    return results


def figures_of(results):
    records = Store(results, "mnist").records()
    return figures_in(results / "mnist", records, table1(records), results / ".cache")


def in_lines(records):
    """The lines of records, in the order of their table."""
    return lines_of(records, table1(records).keys)


def names(figures):
    return {figure.path.stem for figure in figures}


CHARTS = {
    "curve-parzen-sigma-on-validation",
    "curve-parzen-samples",
    "validation",
    "summary",
    "curve-neighbours-distance-of-samples-by-share",
}
CHARTS |= {f"{name}-wide" for name in CHARTS}
OF_GAN = {f"{section}-gan-ns" for section in ("samples", "walks", "film", "learning")}


def test_every_figure_is_drawn_as_png_and_pdf_with_words_for_who_cannot_see_it(results):
    figures = figures_of(results)
    assert names(figures) == CHARTS | OF_GAN
    for figure in figures:
        assert figure.path.with_suffix(".pdf").read_bytes().startswith(b"%PDF")
        assert figure.title
        assert len(figure.caption) > 40
        assert len(figure.alt) > 40
        with Image.open(figure.path) as image:
            width = image.width / image.info["dpi"][0]
        # tiles keep their size where there are few of them
        assert width == pytest.approx(
            TWO_COLUMNS if figure.wide else ONE_COLUMN, abs=0.03
        ) or figure.section in ("film", "learning")


def test_the_same_records_give_the_same_bytes_and_are_drawn_once(results):
    figures = figures_of(results)  # they are there
    before = {
        path: (path.read_bytes(), path.stat().st_mtime_ns)
        for path in (results / "mnist" / "figures").iterdir()
    }
    assert figures_of(results) == figures
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in before} == before
    for path in before:
        path.unlink()
    figures_of(results)
    assert {path: path.read_bytes() for path in before} == {
        path: content for path, (content, _) in before.items()
    }


def test_without_artefacts_figures_stay_as_long_as_the_records_say_the_same(results):
    figures = figures_of(results)
    shutil.rmtree(results / ".cache")
    assert figures_of(results) == figures
    store = Store(results, "mnist")
    store.append(
        [
            replace(r, weights="w1", score_key="s1", seal="").sealed()
            for r in store.records()
            if r.model == "gan-ns"
        ]
    )
    assert names(figures_of(results)) == CHARTS
    assert {path.stem for path in (results / "mnist" / "figures").iterdir()} == CHARTS


def test_visuals_of_other_weights_are_not_drawn(charts_alone):
    row = next(r for r in Store(charts_alone, "mnist").records() if r.model == "gan-ns")
    visuals_at(charts_alone / ".cache", row, weights="others")
    assert names(figures_of(charts_alone)) == CHARTS | {"samples-gan-ns"}


def test_visuals_from_where_nobody_vouched_are_those_of_the_row(tmp_path):
    parts = {"fit": {"kind of model": "GAN", "data set": "mnist", "code of the model": {"gan": "new"}}}
    same = Equivalence("GAN", "mnist", "code of the model", code_digest({"gan": "old"}), "", (), *[""] * 4)
    here = Vouched((replace(same, new=code_digest({"gan": "new"})),))
    row = replace(PARZEN, ingredients=json.dumps(parts)).settled(here)
    there = row.settled(Vouched())
    assert row.recipe != there.recipe
    for kept, found in ((row.recipe, True), (there.recipe, True), ("another", False)):
        visuals_at(tmp_path, row, recipe=kept)
        assert (visuals_of(row, tmp_path) is not None) == found


def test_the_lowest_seed_that_was_scored_is_shown(results):
    store = Store(results, "mnist")
    first = next(r for r in store.records() if r.model == "gan-ns")
    failed = replace(first, value=None, status="failed: no luck", seal="")
    others = rows_of("gan-ns", seed=1)
    rows = [r for r in store.records() if r.model == "data"]
    store.path.write_text(to_csv([r.sealed() for r in (failed, *others, *rows)]))
    scores_at(results / ".cache", others[1])
    visuals_at(results / ".cache", others[0])
    assert names(figures_of(results)) == CHARTS | OF_GAN


@pytest.mark.parametrize("name", ["distance", "shown_samples", "shown_shifted_neighbours"])
def test_where_an_array_lacks_no_samples_are_shown(charts_alone, name):
    row = next(r for r in Store(charts_alone, "mnist").records() if r.score_key == "s-gan-ns-0")
    arrays = shown()
    del arrays[name]
    sealed_at(charts_alone / ".cache" / "scores" / f"{row.score_key}.safetensors", arrays)
    assert names(figures_of(charts_alone)) == CHARTS | OF_GAN - {"samples-gan-ns"}


def test_figures_of_rows_that_are_no_more_are_deleted_and_a_strangers_stay(results):
    figures_of(results)
    folder = results / "mnist" / "figures"
    Image.new("L", (4, 4)).save(folder / "mine.png")
    path = results / "mnist" / "runs.csv"
    kept = [r for r in Store(results, "mnist").records() if r.model == "data"]
    path.unlink()
    Store(results, "mnist").append(kept)
    assert names(figures_of(results)) == CHARTS
    assert (folder / "mine.png").exists()
    assert not list(folder.glob("*gan-ns*"))


def test_a_users_copies_of_figures_under_other_names_stay(results):
    figures_of(results)
    folder = results / "mnist" / "figures"
    for suffix in (".png", ".pdf"):
        for name in ("figure-3", "samples-gan-ns-for-the-paper"):
            shutil.copy(folder / f"samples-gan-ns{suffix}", folder / f"{name}{suffix}")
    copies = {path: path.read_bytes() for path in folder.glob("*-3.*")} | {
        path: path.read_bytes() for path in folder.glob("*paper*")
    }
    assert len(copies) == 4
    store = Store(results, "mnist")
    kept = [r for r in store.records() if r.model == "data"]
    store.path.unlink()
    store.append(kept)
    figures_of(results)
    assert not (folder / "samples-gan-ns.png").exists()
    assert {path: path.read_bytes() for path in copies} == copies


def test_folders_in_the_place_of_what_is_printed_are_no_error_and_not_lost(results):
    written = [path for path in report(results) if path.parent == results / "mnist"]
    others = [
        results / "mnist" / "old.tex",
        *(results / "mnist" / "figures" / f"old{x}" for x in (".png", ".pdf")),
    ]
    for path in (*written, *others):
        path.unlink(missing_ok=True)
        path.mkdir()
        (path / "theirs").write_text("x")
    assert set(written) <= set(report(results))
    assert all(path.is_file() for path in written)
    assert len(list((results / "mnist").rglob("theirs"))) == len(written) + len(others)


def test_tables_and_figures_are_written_where_the_theory_is_damaged(results):
    path = results / "theory" / "figure1.json"
    path.parent.mkdir()
    for text in ("{", "[" * 100_000, "x"):
        path.write_text(text)
        for old in [*(results / "mnist").glob("table1.*"), *(results / "mnist").glob("report.html")]:
            old.unlink()
        with pytest.raises(BadRecords, match="tables and other figures are written"):
            report(results)
        assert {"table1.csv", "table1.md", "table1.tex", "report.html"} <= {
            p.name for p in (results / "mnist").iterdir()
        }


@pytest.mark.skipif(shutil.which("pdffonts") is None, reason="no poppler here")
def test_fonts_are_embedded_as_truetype(results):
    for figure in figures_of(results):
        fonts = subprocess.run(
            ["pdffonts", figure.path.with_suffix(".pdf")], check=True, capture_output=True, text=True
        ).stdout
        for line in fonts.splitlines()[2:]:
            assert re.search(r"TrueType +\S+ +yes", line)  # of that type, and embedded


def test_curves_are_means_over_seeds_of_what_all_seeds_have():
    records = [*rows_of("vae"), *rows_of("vae", seed=1, lift=1.0)]
    (line,) = in_lines(records)
    assert line.curve("samples", SCORE) == {1000: 3.5, 10000: 4.5}
    short = json.loads(records[2].curves)
    del short["samples"]["10000"]
    (line,) = in_lines([*records[:2], replace(records[2], curves=json.dumps(short)), records[3]])
    assert line.curve("samples", SCORE) == {1000: 3.5}
    assert line.curve("none of it", SCORE) == line.curve("none of it") == {}
    # validation is not a curve of one score: every score of the row has it
    assert line.curve("validation by epoch") == {1: 0.5, 2: 4.5}


def test_no_records_no_charts(tmp_path):
    columns = columns_of([PARZEN], {})
    assert columns[0].curves
    assert list(charts_of([], columns, tmp_path)) == []
    failed = in_lines([replace(PARZEN, value=None, status="failed: no luck")])
    assert len(failed) == 1
    assert list(charts_of(failed, columns, tmp_path)) == []


def test_a_figure_says_of_itself_what_it_is_of(tmp_path):
    from matplotlib.figure import Figure as Canvas

    drawn = Drawn(Canvas(figsize=(1, 1)), "Title σ", "Caption – ±", "Alt")
    path = tmp_path / "x.png"
    made = figure_at(path, "curves", "k1", lambda: drawn)
    assert texts_of(path)[OF] == "k1"
    with Image.open(path) as image:
        assert image.size == (300, 300)  # one inch, at 300 dpi
        assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)
    assert figure_at(path, "curves", "k1", None) == made
    assert figure_at(path, "curves", "k2", None) is None
    sweep(tmp_path, [made])
    assert path.exists()
    sweep(tmp_path, [])
    assert not list(tmp_path.iterdir())


def test_an_artefacts_digest_is_the_one_it_was_sealed_under(tmp_path):
    arrays = shown() | {
        "index": np.arange(5),
        "wide": np.zeros((2, 0), np.float64),
        "bytes": np.ones((3, 2), np.uint8),
    }
    sealed_at(tmp_path / "k.safetensors", arrays, '{"a": 1}')
    found, about = kept_arrays(tmp_path / "k.safetensors", "k")
    assert about == {"a": 1}
    assert all(np.array_equal(found[name], array) for name, array in arrays.items())
    (tmp_path / "k.safetensors").rename(tmp_path / "l.safetensors")
    assert kept_arrays(tmp_path / "l.safetensors", "l") is None
    content = bytearray((tmp_path / "l.safetensors").read_bytes())
    content[-1] ^= 1
    (tmp_path / "l.safetensors").write_bytes(content)
    assert kept_arrays(tmp_path / "l.safetensors", "k") is None


def test_other_visuals_of_the_same_weights_are_drawn(results):
    figures_of(results)
    row = next(r for r in Store(results, "mnist").records() if r.model == "gan-ns")
    before = (results / "mnist" / "figures" / "film-gan-ns.png").read_bytes()
    visuals_at(results / ".cache", row, film=np.ones((2, 8, 1, 8, 8), np.float32))
    figures_of(results)
    assert (results / "mnist" / "figures" / "film-gan-ns.png").read_bytes() != before


def test_an_old_pdf_beside_a_new_png_is_drawn_anew(results):
    figures_of(results)
    path = results / "mnist" / "figures" / "film-gan-ns.pdf"
    whole = path.read_bytes()
    for content in (whole.replace(b"/Keywords (", b"/Keywords (x"), whole[:-100], b""):
        path.write_bytes(content)
        figures_of(results)
        assert path.read_bytes() == whole


def test_rows_do_not_share_a_file():
    given = [
        *rows_of("gan-ns epochs=5", role="samples"),
        *rows_of("x" * 111 + "a", role="samples"),
        *rows_of("x" * 111 + "b", role="samples"),
    ]
    lines = in_lines([*rows_of("gan-ns", options='{"epochs": 5}'), *given])
    assert len({line.file_name for line in lines}) == 4


def test_figures_can_be_left_for_later(results):
    report(results)
    written = report(results, figures=False)
    views = {f"{view}.tex" for view in table1(Store(results, "mnist").records()).views}
    assert {path.name for path in written} == {"table1.csv", "table1.md", *views}
    assert views >= {"table1.tex", "memorisation.tex"}
    # the page showed the records as they were before
    assert not (results / "mnist" / "report.html").exists()
    assert len(list((results / "mnist" / "figures").iterdir())) == 2 * len(CHARTS | OF_GAN)


def test_the_page_of_no_rows_is_deleted(results):
    report(results)
    path = results / "mnist" / "runs.csv"
    assert (results / "mnist" / "report.html").exists()
    path.write_text(path.read_text().splitlines()[0] + "\n")
    report(results)
    assert not (results / "mnist" / "report.html").exists()


@pytest.mark.parametrize(
    "curves",
    [
        {"samples": []},
        {"samples": {"1000": "x"}},
        {"samples": {"many": 1}},
        {"samples": {"1000": None}},
        {"samples": {"1": math.nan}},
        {"samples": 1},
    ],
)
def test_odd_curves_are_refused_in_one_line(curves, results):
    store = Store(results, "mnist")
    rows = [replace(r, curves=json.dumps(curves), seal="") for r in store.records()]
    store.path.write_text(to_csv(rows))
    with pytest.raises(BadRecords, match="row 1 is damaged"):
        report(results)


@pytest.mark.parametrize(
    "curves",
    [
        {},
        {"samples": {}},
        {"validation by epoch": {"0": 1.0}},
        {"samples": {"0": 1.0, "10": 2.0}},  # no place on a logarithmic axis
        {"distance of samples by share": {"0": 1.0, "1": 2.0}},
    ],
)
def test_curves_of_few_points_are_drawn(curves, results):
    store = Store(results, "mnist")
    store.path.write_text(to_csv([replace(r, curves=json.dumps(curves), seal="") for r in store.records()]))
    report(results)


def test_a_damaged_figure_is_drawn_anew(tmp_path):
    from matplotlib.figure import Figure as Canvas

    path = tmp_path / "summary.png"
    path.write_bytes(b"\x89PNG nonsense")
    sweep(tmp_path, [])
    assert figure_at(path, "curves", "k1", lambda: Drawn(Canvas(figsize=(1, 1)), "t", "c", "a"))
    assert texts_of(path)[OF] == "k1"


def test_drawing_for_print_leaves_matplotlib_as_it_was():
    import matplotlib

    before = dict(matplotlib.rcParams)
    with paper():
        assert matplotlib.rcParams["pdf.fonttype"] == 42
    assert dict(matplotlib.rcParams) == before


def test_file_names_are_harmless():
    strange = (
        "../../x",
        "/etc/passwd",
        "a b (c=1)",
        "<script>",
        "",
        "my model",
        "my_model",
        "модель",
        "模型",
        "gan-ns",
    )
    for name in strange:
        assert re.fullmatch(r"[A-Za-z0-9_-]+", file_name(name))
    assert len({file_name(name) for name in strange}) == len(strange)
    assert file_name("gan-ns epochs=100") == "gan-ns_epochs_100"
