import json
import re
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

from bench.report import figures_of as figures_in
from bench.report.charts import charts_of, looks_of
from bench.report.figure import BLACK, DPI, ONE_COLUMN, TWO_COLUMNS, Drawn, figure_at, file_name, paper, sweep, texts_of
from bench.report.learning import boundaries, panels_of
from bench.report.lines import Line, lines_of
from bench.report.mosaic import GAP, Tile, draw_tiles, pixels, sheet_of
from bench.report.pictures import samples
from bench.store import Record, Store

PARZEN = Record(
    "mnist", "vae", metric="parzen", quantity="log_likelihood", value=1.0, samples=10_000, cell="c0", weights="w0", seed=0,
    stderr=1.0, draw_sd=0.1, n=100, metric_settings=json.dumps({"sigma": 0.2}),
)  # fmt: skip
CURVES = {
    "sigma on validation": {"0.1": 1.0, "0.2": 5.0, "0.4": 2.0},
    "samples": {"1000": 3.0, "10000": 4.0},
    "validation by epoch": {"1": 0.0, "2": 4.0},
}
SHARES = {f"{k / 40:g}": 1 + k / 40 for k in range(41)}
DISTANCES = {"distance of samples by share": SHARES, "distance of held-out images by share": SHARES}


def rows_of(model, *, seed=0, role="model", lift=0.0, **changes):
    curves = {name: {key: value + lift for key, value in curve.items()} for name, curve in CURVES.items()}
    row = replace(PARZEN, model=model, role=role, seed=seed, cell=f"c-{model}-{seed}", curves=json.dumps(curves), **changes)
    near = replace(row, metric="neighbours", quantity="ratio", score_key=f"s-{model}-{seed}", curves=json.dumps(DISTANCES))
    return [row, near]


def shown(n=20, size=8):
    rng = np.random.default_rng(0)
    arrays = {name: rng.random((n, 1, size, size), dtype=np.float32) for name in ("shown_samples", "shown_neighbours")}
    arrays["shown_shifted_neighbours"] = arrays["shown_neighbours"].copy()
    return arrays | {"distance": np.ones(n, np.float32), "shown_shifted_distance": np.full(n, 0.5, np.float32)}


def album_at(cache, record, **about):
    images = {"film": np.zeros((2, 8, 1, 8, 8), np.float32), "walks": np.zeros((4, 10, 1, 8, 8), np.float32)}
    text = {"epochs": [1, 2], "prior": "uniform", "weights": record.weights, "kinds": [], **about}
    history = [{"stage": "adversarial", "epoch": e, "loss_d": 1.0, "loss_g": 2.0, "d_real": 0.6, "d_fake": 0.4} for e in (1, 2)]
    (cache / "albums").mkdir(parents=True, exist_ok=True)
    header = {"key": record.cell, "about": json.dumps({"history": history, **text})}
    save_file(images, cache / "albums" / f"{record.cell}.safetensors", header)


def scores_at(cache, record):
    (cache / "scores").mkdir(parents=True, exist_ok=True)
    save_file(shown(), cache / "scores" / f"{record.score_key}.safetensors", {"key": record.score_key})


@pytest.fixture
def results(tmp_path):
    """The records of a model and of real data, with album and arrays of the model's."""
    records = [*rows_of("gan-ns"), *rows_of("data", role="reference", lift=2.0)]
    Store(tmp_path, "mnist").append([r.sealed() for r in records])
    scores_at(tmp_path / ".cache", records[1])
    album_at(tmp_path / ".cache", records[0])
    return tmp_path


def figures_of(results):
    return figures_in(results / "mnist", Store(results, "mnist").records(), results / ".cache")


def names(figures):
    return {figure.path.stem for figure in figures}


CHARTS = {"against-sigma", "against-samples", "validation", "distances"}
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
            width = image.width / DPI
            assert image.info["dpi"] == pytest.approx((DPI, DPI), abs=0.1)
        # tiles keep their size where there are few of them
        assert width == pytest.approx(TWO_COLUMNS if figure.wide else ONE_COLUMN, abs=0.01) or figure.section in ("film", "learning")


def test_the_same_records_give_the_same_bytes_and_are_drawn_once(results):
    figures = figures_of(results)
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in (results / "mnist" / "figures").iterdir()}
    assert figures_of(results) == figures
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in before} == before
    for path in before:
        path.unlink()
    figures_of(results)
    assert {path: path.read_bytes() for path in before} == {path: content for path, (content, _) in before.items()}


def test_without_artefacts_figures_stay_as_long_as_the_records_say_the_same(results):
    figures = figures_of(results)
    shutil.rmtree(results / ".cache")
    assert figures_of(results) == figures
    store = Store(results, "mnist")
    store.append([replace(r, weights="w1", score_key="s1", seal="").sealed() for r in store.records() if r.model == "gan-ns"])
    assert names(figures_of(results)) == CHARTS
    assert {path.stem for path in (results / "mnist" / "figures").iterdir()} == CHARTS


def test_an_album_of_other_weights_is_not_drawn(results):
    row = next(r for r in Store(results, "mnist").records() if r.model == "gan-ns")
    album_at(results / ".cache", row, weights="others")
    assert names(figures_of(results)) == CHARTS | {"samples-gan-ns"}


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


@pytest.mark.skipif(shutil.which("pdffonts") is None, reason="no poppler here")
def test_fonts_are_embedded_as_truetype(results):
    for figure in figures_of(results):
        fonts = subprocess.run(["pdffonts", figure.path.with_suffix(".pdf")], check=True, capture_output=True, text=True).stdout
        for line in fonts.splitlines()[2:]:
            assert re.search(r"TrueType +\S+ +yes", line)  # of that type, and embedded


def test_the_sheet_shows_the_images_in_their_places():
    images = np.linspace(0, 1, 6, dtype=np.float32)[:, None, None, None] * np.ones((1, 1, 24, 24), np.float32)
    sheet = sheet_of([[Tile(x) for x in images[:3]], [Tile(images[3]), Tile(text="+"), Tile(images[5])]])
    side = 24 * 2 + 2 * GAP
    assert sheet.shape == (2 * side, 3 * side, 3)
    centres = sheet[side // 2 :: side, side // 2 :: side, 0] / 255
    np.testing.assert_allclose(centres, [[0, 0.2, 0.4], [0.6, 1, 1]], atol=1 / 255)
    assert tuple(sheet[0, 0]) == (255, 255, 255)


def test_figure_2_has_four_rows_of_five_draws_and_the_neighbours_of_each_rows_last(monkeypatch):
    laid = []
    monkeypatch.setattr("bench.report.pictures.draw_tiles", lambda rows, **named: laid.extend(rows))
    arrays = shown(100)
    arrays["shown_shifted_neighbours"][:3] = 0
    drawn = samples("x", arrays)
    assert [len(row) for row in laid] == [7] * 4
    for i, row in enumerate(laid):
        assert all(np.array_equal(tile.image, arrays["shown_samples"][5 * i + j]) for j, tile in enumerate(row[:5]))
        assert np.array_equal(row[5].image, arrays["shown_neighbours"][5 * i + 4])
        assert np.array_equal(row[6].image, arrays["shown_shifted_neighbours"][5 * i + 4])
        assert [bool(tile.frame) for tile in row] == [False] * 5 + [True] * 2
    assert "nearest for 3 of 20 samples" in drawn.caption
    assert "falls by 50 %" in drawn.caption


def test_of_copies_no_distance_is_said_to_fall():
    arrays = shown()
    arrays["distance"][:] = arrays["shown_shifted_distance"][:] = 0
    assert "falls" not in samples("data", arrays).caption


def test_fewer_than_a_row_of_samples_are_shown_with_the_neighbours_of_the_last(monkeypatch):
    laid = []
    monkeypatch.setattr("bench.report.pictures.draw_tiles", lambda rows, **named: laid.extend(rows))
    arrays = shown(3)
    samples("x", arrays)
    assert [len(row) for row in laid] == [5]
    assert np.array_equal(laid[0][3].image, arrays["shown_neighbours"][2])


def test_colour_images_keep_their_colours():
    red = np.zeros((3, 8, 8), np.float32)
    red[0] = 1
    assert tuple(pixels(red)[3, 3]) == (255, 0, 0)


def test_tiles_are_square_pixels_in_the_drawing():
    canvas = draw_tiles([[Tile(np.zeros((1, 10, 20), np.float32))] * 4] * 3, width=3.0, titles=["a"] * 4, left=["b"] * 3)
    width, height = canvas.get_size_inches()
    box = canvas.axes[0].get_position()
    sheet = canvas.axes[0].images[0].get_array().shape
    assert box.width * width / sheet[1] == pytest.approx(box.height * height / sheet[0])


def test_curves_are_means_over_seeds_of_what_all_seeds_have():
    records = [*rows_of("vae"), *rows_of("vae", seed=1, lift=1.0)]
    (line,) = lines_of(records)
    assert line.curve("samples") == {1000: 3.5, 10000: 4.5}
    short = json.loads(records[2].curves)
    del short["samples"]["10000"]
    (line,) = lines_of([*records[:2], replace(records[2], curves=json.dumps(short)), records[3]])
    assert line.curve("samples") == {1000: 3.5}
    assert line.curve("none of it") == {}


def test_charts_show_every_line_and_real_data_in_black(tmp_path):
    lines = lines_of([*rows_of("vae"), *rows_of("dbn", lift=1.0), *rows_of("data", role="reference", lift=2.0)])
    looks = looks_of(lines)
    assert looks[next(line for line in lines if line.key[1] == "data")]["color"] == BLACK
    assert len({(look["color"], look["linestyle"]) for look in looks.values()}) == 3
    figures = {figure.path.stem: figure for figure in charts_of(lines, tmp_path)}
    assert figures["against-sigma"].alt.count("σ = 0.2") == 3
    for figure in figures.values():
        assert all(name in figure.alt for name in ("vae", "dbn", "data"))


def test_many_lines_look_different():
    lines = [Line(("model", f"m{i}", "", 10_000), tuple(rows_of(f"m{i}"))) for i in range(24)]
    assert len({(look["color"], look["linestyle"]) for look in looks_of(lines).values()}) == 24


def test_no_records_no_charts(tmp_path):
    assert list(charts_of([], tmp_path)) == []
    assert list(charts_of(lines_of([replace(PARZEN, value=None, status="failed: no luck")]), tmp_path)) == []


def test_learning_is_grouped_by_unit_and_parted_by_stage():
    gan = [{"stage": "a", "epoch": 1, "loss_d": 1, "d_real": 0.5, "d_fake": 0.5, "loss_g": 1}]
    assert panels_of(gan) == [["loss_d", "loss_g"], ["d_real", "d_fake"]]
    two = [{"stage": "one", "epoch": 1, "error": 1}, {"stage": "one", "epoch": 2, "error": 1}, {"stage": "two", "epoch": 1, "kl": 1}]
    assert panels_of(two) == [["error"], ["kl"]]
    assert boundaries(two) == [2.5]


def test_a_figure_says_of_itself_what_it_is_of(tmp_path):
    from matplotlib.figure import Figure as Canvas

    drawn = Drawn(Canvas(figsize=(1, 1)), "Title σ", "Caption – ±", "Alt")
    path = tmp_path / "x.png"
    made = figure_at(path, "curves", "k1", lambda: drawn)
    assert texts_of(path)["Source"] == "k1"
    assert figure_at(path, "curves", "k1", None) == made
    assert figure_at(path, "curves", "k2", None) is None
    assert not path.exists()
    assert not path.with_suffix(".pdf").exists()


def test_a_damaged_figure_is_drawn_anew(tmp_path):
    from matplotlib.figure import Figure as Canvas

    path = tmp_path / "x.png"
    path.write_bytes(b"\x89PNG nonsense")
    sweep(tmp_path, [])
    assert figure_at(path, "curves", "k1", lambda: Drawn(Canvas(figsize=(1, 1)), "t", "c", "a"))
    assert texts_of(path)["Source"] == "k1"


def test_drawing_for_print_leaves_matplotlib_as_it_was():
    import matplotlib

    before = dict(matplotlib.rcParams)
    with paper():
        assert matplotlib.rcParams["pdf.fonttype"] == 42
    assert dict(matplotlib.rcParams) == before


def test_file_names_are_harmless():
    strange = ("../../x", "/etc/passwd", "a b (c=1)", "<script>", "", "my model", "my_model", "модель", "模型", "gan-ns")
    for name in strange:
        assert re.fullmatch(r"[A-Za-z0-9_-]+", file_name(name))
    assert len({file_name(name) for name in strange}) == len(strange)
    assert file_name("gan-ns epochs=100") == "gan-ns_epochs_100"
