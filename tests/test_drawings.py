"""What the figures show: each curve is its numbers, each tile its image."""

import json
import warnings
from dataclasses import replace

import numpy as np
import pytest
from genmodel_bench.report.figures.charts import (
    against_samples,
    against_sigma,
    charts_of,
    distances,
    looks_of,
    validation,
)
from genmodel_bench.report.figures.figure import BLACK, BLUE, ONE_COLUMN, TWO_COLUMNS, paper
from genmodel_bench.report.figures.learning import boundaries, learning, panels_of
from genmodel_bench.report.figures.lines import Line, lines_of
from genmodel_bench.report.figures.mosaic import GAP, Tile, draw_tiles, pixels, sheet_of
from genmodel_bench.report.figures.pictures import arithmetic, film, samples, walks
from test_figures import CURVES, SHARES, rows_of, shown

WIDTHS = [ONE_COLUMN, TWO_COLUMNS]


def curves_in(canvas, panel=0):
    """The curves of a panel: {label: (x, y)}."""
    return {
        line.get_label().strip(): tuple(np.asarray(part).tolist() for part in line.get_data())
        for line in canvas.axes[panel].get_lines()
    }


def line_curves(name, metric="parzen"):
    lines = lines_of(
        [*rows_of("vae"), *rows_of("dbn", lift=1.0), *rows_of("data", role="reference", lift=2.0)]
    )
    return {line: line.curve(name, metric) for line in lines}


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(
    ("name", "draw"), [("sigma on validation", against_sigma), ("samples", against_samples)]
)
def test_curves_are_drawn_as_they_were_recorded(name, draw, width):
    drawn = curves_in(draw(line_curves(name), width).canvas)
    recorded = {float(x): y for x, y in CURVES[name].items()}
    for model, lift in (("vae", 0), ("dbn", 1), ("data", 2)):
        assert drawn[model] == (list(recorded), [y + lift for y in recorded.values()])


def test_validation_is_drawn_against_the_share_of_training():
    assert curves_in(validation(line_curves("validation by epoch"), ONE_COLUMN).canvas)["vae"] == (
        [0.5, 1.0],
        [0.0, 4.0],
    )


def test_distances_are_drawn_as_shares_below_each_of_them():
    lines = line_curves("distance of samples by share", "neighbours")
    first, *others = lines
    further = {key: 2 * value for key, value in SHARES.items()}
    text = json.dumps(
        {"distance of samples by share": SHARES, "distance of held-out images by share": further}
    )
    moved = replace(
        first,
        records=tuple(replace(r, curves=text) if r.metric == "neighbours" else r for r in first.records),
    )
    drawn = curves_in(
        distances({moved: lines[first], **{line: lines[line] for line in others}}, ONE_COLUMN).canvas
    )
    shares = [float(share) for share in SHARES]
    assert drawn[first.name] == (list(SHARES.values()), shares)
    assert drawn["held-out images"] == (list(further.values()), shares)


def test_learning_curves_are_what_was_logged():
    (line,) = lines_of(rows_of("gan-ns"))
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
    assert "seed" not in learning(lines_of(one)[0], history).caption
    caption = learning(lines_of([*one, *two])[0], history).caption
    assert "of seed 0" in caption
    assert "in the mean over 2 seeds" in caption
    without = [replace(r, curves="{}") for r in one]
    assert "On the right" not in learning(lines_of(without)[0], history).caption


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
def test_any_name_can_be_drawn(name, tmp_path):
    lines = lines_of([*rows_of(name, role="samples"), *rows_of("data", role="reference")])
    with paper():
        figures = list(charts_of(lines, tmp_path))
        canvas = against_sigma({line: line.curve("sigma on validation") for line in lines}, ONE_COLUMN).canvas
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


def test_charts_show_every_line_and_real_data_in_black(tmp_path):
    lines = lines_of(
        [*rows_of("vae"), *rows_of("dbn", lift=1.0), *rows_of("data", role="reference", lift=2.0)]
    )
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
