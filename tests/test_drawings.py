"""What the figures show: each curve is its numbers, each tile its image."""

import json
import warnings
from dataclasses import replace

import numpy as np
import pytest
from genmodel_bench.commands.report import declared_by
from genmodel_bench.report.figures.charts import chart, charts_of, looks_of, validation
from genmodel_bench.report.figures.figure import BLACK, BLUE, ONE_COLUMN, TWO_COLUMNS, paper
from genmodel_bench.report.figures.learning import boundaries, learning, panels_of
from genmodel_bench.report.figures.lines import Line
from genmodel_bench.report.figures.mosaic import GAP, Tile, draw_tiles, pixels, sheet_of
from genmodel_bench.report.figures.pictures import arithmetic, film, samples, walks
from genmodel_bench.report.tables.columns import columns_of
from test_figures import CURVES, SCORE, SHARES, in_lines, rows_of, shown


@pytest.fixture
def coarse(monkeypatch):
    """Figures are drawn coarsely, which is faster."""
    monkeypatch.setattr("genmodel_bench.report.figures.figure.DPI", 30)


WIDTHS = [ONE_COLUMN, TWO_COLUMNS]
DISTANCES = ("neighbours", "ratio")
SAID = {
    name: said for quantity in (SCORE, DISTANCES) for name, said in declared_by()[quantity]["curves"].items()
}
"""How the charts are to be drawn, by the name of the curve."""
THREE = [*rows_of("vae"), *rows_of("dbn", lift=1.0), *rows_of("data", role="reference", lift=2.0)]


def curves_in(canvas, panel=0):
    """The curves of a panel: {label: (x, y)}."""
    return {
        line.get_label().strip(): tuple(np.asarray(part).tolist() for part in line.get_data())
        for line in canvas.axes[panel].get_lines()
    }


def line_curves(name, quantity=SCORE):
    return {line: line.curve_by_seed(name, quantity) for line in in_lines(THREE)}


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ["sigma on validation", "samples"])
def test_curves_are_drawn_as_they_were_recorded(name, width):
    canvas = chart(SAID[name], {}, "higher", line_curves(name), width).canvas
    drawn = curves_in(canvas)
    assert canvas.axes[0].get_xscale() == "log"
    assert (canvas.axes[0].get_xlabel(), canvas.axes[0].get_ylabel()) == (SAID[name]["x"], SAID[name]["y"])
    recorded = {float(x): y for x, y in CURVES[name].items()}
    for model, lift in (("vae", 0), ("dbn", 1), ("data", 2)):
        assert drawn[model] == (list(recorded), [y + lift for y in recorded.values()])


def bands_in(canvas):
    """The bands of a chart, as {(x, y)} of their corners."""
    return [
        {tuple(point) for path in band.get_paths() for point in path.vertices}
        for band in canvas.axes[0].collections
    ]


@pytest.mark.parametrize("swapped", [False, True])
def test_a_band_reaches_from_the_lowest_seed_to_the_highest(swapped):
    three = [r for seed, lift in enumerate((0.0, 3.0, 1.0)) for r in rows_of("vae", seed=seed, lift=lift)]
    (line,) = in_lines(three)
    curves = {line: line.curve_by_seed("samples", SCORE)}
    assert curves[line] == {1000: (3.0, 6.0, 4.0), 10000: (4.0, 7.0, 5.0)}
    drawn = chart({**SAID["samples"], "swapped": swapped}, {}, "higher", curves, ONE_COLUMN)
    (band,) = bands_in(drawn.canvas)
    corners = {(1000, 3), (1000, 6), (10000, 4), (10000, 7)}
    assert band == ({(y, x) for x, y in corners} if swapped else corners)
    means = ([1000, 10000], pytest.approx([13 / 3, 16 / 3]))
    assert curves_in(drawn.canvas)["vae"] == (means[::-1] if swapped else means)
    assert "bands reach from the lowest seed to the highest" in drawn.caption


def test_of_one_seed_there_is_no_band():
    drawn = chart(SAID["samples"], {}, "higher", line_curves("samples"), ONE_COLUMN)
    assert bands_in(drawn.canvas) == []
    assert "bands" not in drawn.caption


def test_validation_is_drawn_against_the_share_of_training():
    assert curves_in(validation(line_curves("validation by epoch", None), ONE_COLUMN).canvas)["vae"] == (
        [0.5, 1.0],
        [0.0, 4.0],
    )


def test_distances_are_drawn_as_shares_below_each_of_them():
    lines = line_curves("distance of samples by share", DISTANCES)
    further = {float(share): 2 * distance for share, distance in SHARES.items()}
    said = SAID["distance of samples by share"]
    drawn = curves_in(chart(said, further, "neither", lines, ONE_COLUMN).canvas)
    shares = [float(share) for share in SHARES]
    for line in lines:
        assert drawn[line.name] == (list(SHARES.values()), shares)
    assert drawn["held-out images"] == (list(further.values()), shares)


def test_the_curve_beside_the_others_is_the_one_that_is_declared(tmp_path, coarse, monkeypatch):
    further = {share: 2 * distance for share, distance in SHARES.items()}
    curves = {"distance of samples by share": SHARES, "distance of held-out images by share": further}
    records = [replace(r, curves=json.dumps(curves)) if r.metric == "neighbours" else r for r in THREE]
    besides = []
    monkeypatch.setattr(
        "genmodel_bench.report.figures.charts.chart",
        lambda said, beside, *rest: besides.append(beside) or chart(said, beside, *rest),
    )
    columns = [column for column in columns_of(records, {}) if column.of == DISTANCES]
    assert len(list(charts_of(in_lines(records), columns, tmp_path))) == 4
    assert besides == [{float(share): distance for share, distance in further.items()}] * 2


@pytest.mark.parametrize("low", [-3.0, 0.0])
def test_nothing_is_cut_off_where_the_axes_are_swapped(low):
    lines = line_curves("distance of samples by share", DISTANCES)
    curve = {low: (-2.0,), 1.0: (4.0,), 5.0: (6.0,)}
    said = SAID["distance of samples by share"]
    (axes,) = chart(said, {}, "neither", dict.fromkeys(lines, curve), ONE_COLUMN).canvas.axes
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    assert left <= -2
    assert right >= 6
    assert (bottom, top) == (low, 5)


@pytest.mark.parametrize("least", [0.0, 1.0])
def test_a_setting_of_zero_is_shown_though_a_logarithmic_axis_has_no_place_for_it(least):
    lines = line_curves("samples")
    curve = {least: (1.0,), 10.0: (2.0,)}
    (axes,) = chart(SAID["samples"], {}, "higher", dict.fromkeys(lines, curve), ONE_COLUMN).canvas.axes
    assert axes.get_xscale() == ("log" if least else "linear")


def test_only_what_is_far_below_the_best_is_cut_off_and_the_caption_says_so():
    said = SAID["sigma on validation"]
    near, far = ({0.1: low, 0.2: 5.0, 0.4: 4.5} for low in (4.2, -9000.0))
    lines = list(line_curves("samples"))
    for curve, better, cut in ((near, "higher", False), (far, "higher", True), (far, "neither", False)):
        # two seeds, whose means count
        curves = {
            line: {x: (y - 9 * i, y + 11 * i) for x, y in curve.items()} for i, line in enumerate(lines)
        }
        drawn = chart(said, {}, better, curves, ONE_COLUMN)
        bottom, top = drawn.canvas.axes[0].get_ylim()
        assert (bottom > curve[0.1]) == cut
        assert ("Cut off below." in drawn.caption) == cut
        # the best of each row is shown in any case
        assert bottom < 5
        assert top > 7


def test_a_chart_is_drawn_anew_when_its_metric_says_something_else_of_it(tmp_path, coarse):
    name = "sigma on validation"
    records = [replace(r, curves=json.dumps({name: CURVES[name]})) for r in THREE]
    lines, column = in_lines(records), columns_of(records, {})[0]
    before = list(charts_of(lines, [column], tmp_path))
    written = {figure.path: figure.path.stat().st_mtime_ns for figure in before}
    assert list(charts_of(lines, [column], tmp_path)) == before
    assert {path: path.stat().st_mtime_ns for path in written} == written
    other = replace(column, curves={name: {**SAID[name], "says": "Other words."}})
    after = list(charts_of(lines, [other], tmp_path))
    assert {figure.path for figure in after} == written.keys()
    assert all(figure.caption.startswith("Other words.") for figure in after)


def test_curves_of_one_name_have_a_file_each(tmp_path, coarse):
    curves = json.dumps({"samples": CURVES["samples"]})
    parzen = [replace(r, curves=curves) for r in rows_of("vae") if r.metric == "parzen"]
    records = [*parzen, *(replace(r, quantity="other") for r in parzen)]
    figures = list(charts_of(in_lines(records), columns_of(records, {}), tmp_path))
    assert len({figure.path for figure in figures}) == len(figures) == 2 * 2


def test_learning_curves_are_what_was_logged():
    (line,) = in_lines(rows_of("gan-ns"))
    history = [{"stage": "a", "epoch": 1, "loss_d": 0.7, "d_real": 0.6, "d_fake": 0.3, "loss_g": 1.0}]
    history += [{"stage": "a", "epoch": 2, "loss_d": 0.6, "d_real": 0.7, "d_fake": 0.2, "loss_g": 2.0}]
    canvas = learning(line, history).canvas
    data = [
        [tuple(map(tuple, x.get_data())) for x in axes.get_lines() if len(x.get_data()[0])]
        for axes in canvas.axes
    ]
    assert data[0] == [((1, 2), (0.7, 0.6)), ((1, 2), (1.0, 2.0))]
    assert data[1][:2] == [((1, 2), (0.6, 0.7)), ((1, 2), (0.3, 0.2))]
    assert data[2] == [((1, 2), (0, 4))]


def test_the_caption_of_learning_says_of_which_seeds_it_is():
    history = [{"stage": "a", "epoch": 1, "loss": 0.7}]
    one, two = rows_of("vae"), rows_of("vae", seed=1)
    assert "seed" not in learning(in_lines(one)[0], history).caption
    caption = learning(in_lines([*one, *two])[0], history).caption
    assert "of seed 0" in caption
    assert "the mean over seeds and a band from the lowest to the highest" in caption
    without = [replace(r, curves="{}") for r in one]
    assert "On the right" not in learning(in_lines(without)[0], history).caption


@pytest.fixture
def laid(monkeypatch):
    """The rows of tiles that the next picture is made of."""
    rows = []
    monkeypatch.setattr(
        "genmodel_bench.report.figures.pictures.draw_tiles", lambda tiles, **named: rows.extend(tiles)
    )
    return rows


def numbered(*shape):
    """Images (…, 1, 2, 2) that are all different."""
    return np.arange(np.prod(shape) * 4, dtype=np.float32).reshape(*shape, 1, 2, 2)


def test_the_yellow_frame_is_around_the_nearest_and_the_blue_around_the_nearest_under_shifts(laid):
    arrays = shown()
    arrays["shown_shifted_neighbours"] = 1 - arrays["shown_neighbours"]
    samples("x", arrays)
    for i, row in enumerate(laid):
        assert np.array_equal(row[5].image, arrays["shown_neighbours"][5 * i + 4])
        assert row[6].frame == BLUE
        assert np.array_equal(row[6].image, arrays["shown_shifted_neighbours"][5 * i + 4])


def test_sums_stand_behind_their_terms(laid):
    visuals = {"members": numbered(2, 3, 3), "means": numbered(2, 3) + 1000, "sums": numbered(2) + 2000}
    drawn = arithmetic("x", visuals, {"kinds": [[0, 1, 2, 7], [3, 4, 5, 8]]})
    for i, row in enumerate(laid):
        texts = [tile.text for tile in row if tile.image is None]
        assert texts == ["−", "+", "="]
        images = [tile.image for tile in row if tile.image is not None]
        expected = [image for k in range(3) for image in (*visuals["members"][i, k], visuals["means"][i, k])]
        assert all(np.array_equal(a, b) for a, b in zip(images, [*expected, visuals["sums"][i]], strict=True))
    assert "0 − 1 + 2 = 7" in drawn.alt


def test_a_row_of_the_film_is_one_point_and_a_column_one_epoch(laid):
    frames = numbered(4, 8)
    film("x", {"film": frames}, {"epochs": [1, 2, 5, 10]})
    assert len(laid) == 6
    for i, row in enumerate(laid):
        assert all(np.array_equal(tile.image, frames[j, i]) for j, tile in enumerate(row))


def test_walks_are_drawn_row_by_row(laid):
    visuals = {"walks": numbered(4, 10)}
    straight, around = (walks("x", visuals, {"prior": prior}).caption for prior in ("uniform", "gaussian"))
    assert "straight lines, as in the paper" in straight
    assert "great circles" in around
    assert all(
        np.array_equal(tile.image, visuals["walks"][i, j])
        for i, row in enumerate(laid[:4])
        for j, tile in enumerate(row)
    )


@pytest.mark.parametrize("name", [r"$\frac{$", "_hidden", "x" * 200, "模型 😀", "a & <b>", "%s {0}"])
def test_any_name_can_be_drawn(name, tmp_path, coarse):
    records = [*rows_of(name, role="samples"), *rows_of("data", role="reference")]
    lines = in_lines(records)
    with paper():
        figures = list(charts_of(lines, columns_of(records, {}), tmp_path))
        curves = {line: line.curve_by_seed("sigma on validation", SCORE) for line in lines}
        canvas = chart(SAID["sigma on validation"], {}, "higher", curves, ONE_COLUMN).canvas
    assert len(figures) == 8
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")
        canvas.draw_without_rendering()
    (legend,) = canvas.legends
    assert len(legend.get_texts()) == 2
    # the axes keep most of the figure, whatever the legend says
    assert canvas.axes[0].get_position().height > 0.3


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
    monkeypatch.setattr(
        "genmodel_bench.report.figures.pictures.draw_tiles", lambda rows, **named: laid.extend(rows)
    )
    arrays = shown(100)
    arrays["shown_shifted_neighbours"][:3] = 0
    drawn = samples("x", arrays)
    assert [len(row) for row in laid] == [7] * 4
    for i, row in enumerate(laid):
        assert all(
            np.array_equal(tile.image, arrays["shown_samples"][5 * i + j]) for j, tile in enumerate(row[:5])
        )
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
    monkeypatch.setattr(
        "genmodel_bench.report.figures.pictures.draw_tiles", lambda rows, **named: laid.extend(rows)
    )
    arrays = shown(3)
    samples("x", arrays)
    assert [len(row) for row in laid] == [5]
    assert np.array_equal(laid[0][3].image, arrays["shown_neighbours"][2])


def test_colour_images_keep_their_colours():
    red = np.zeros((3, 8, 8), np.float32)
    red[0] = 1
    assert tuple(pixels(red)[3, 3]) == (255, 0, 0)


def test_tiles_are_square_pixels_in_the_drawing():
    canvas = draw_tiles(
        [[Tile(np.zeros((1, 10, 20), np.float32))] * 4] * 3, width=3.0, titles=["a"] * 4, left=["b"] * 3
    )
    width, height = canvas.get_size_inches()
    box = canvas.axes[0].get_position()
    sheet = canvas.axes[0].images[0].get_array().shape
    assert box.width * width / sheet[1] == pytest.approx(box.height * height / sheet[0])


def test_charts_show_every_line_and_real_data_in_black(tmp_path, coarse):
    lines = in_lines(THREE)
    looks = looks_of(lines)
    assert looks[next(line for line in lines if line.key[1] == "data")]["color"] == BLACK
    assert len({(look["color"], look["linestyle"]) for look in looks.values()}) == 3
    figures = {figure.path.stem: figure for figure in charts_of(lines, columns_of(THREE, {}), tmp_path)}
    sigma = figures["curve-parzen-sigma-on-validation"]
    for name, ends in {"vae": "1 to 2", "dbn": "2 to 3", "data": "3 to 4"}.items():
        assert f"{name} from {ends}, highest at 0.2" in sigma.alt
    assert "held-out images from 1 to 2" in figures["curve-neighbours-distance-of-samples-by-share"].alt
    for figure in figures.values():
        assert all(name in figure.alt for name in ("vae", "dbn", "data"))


def test_many_lines_look_different():
    lines = [Line(("model", f"m{i}", "", 10_000), tuple(rows_of(f"m{i}"))) for i in range(24)]
    assert len({(look["color"], look["linestyle"]) for look in looks_of(lines).values()}) == 24


def test_learning_is_grouped_by_unit_and_parted_by_stage():
    gan = [{"stage": "a", "epoch": 1, "loss_d": 1, "d_real": 0.5, "d_fake": 0.5, "loss_g": 1}]
    assert panels_of(gan) == [["loss_d", "loss_g"], ["d_real", "d_fake"]]
    two = [
        {"stage": "one", "epoch": 1, "error": 1},
        {"stage": "one", "epoch": 2, "error": 1},
        {"stage": "two", "epoch": 1, "kl": 1},
    ]
    assert panels_of(two) == [["error"], ["kl"]]
    assert boundaries(two) == [2.5]
