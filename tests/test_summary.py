"""The figure of the headline score: which numbers it shows, of whatever score."""

import json
import math
from dataclasses import replace

import pytest
from genmodel_bench.commands.report import declared_by
from genmodel_bench.report.figures.figure import ONE_COLUMN, TWO_COLUMNS, Drawn, paper
from genmodel_bench.report.figures.summary import (
    Bar,
    axis_label,
    bars_of,
    heights,
    limits,
    shortened,
    summary,
    summary_of,
)
from genmodel_bench.report.tables.columns import TOTAL, Column
from genmodel_bench.report.tables.table import table1
from genmodel_bench.storage.plain import as_json
from PIL import Image
from test_report import RECORDS, ROW, parzen

RATIO = replace(
    ROW, metric="neighbours", quantity="near_copies", unit="share", better="lower", draw_sd=None,
    column=as_json(declared_by()["neighbours", "near_copies"]),
)  # fmt: skip


def drawn(records=RECORDS, width=TWO_COLUMNS):
    table = table1(records)
    column = next(c for c in table.columns if c.directed)
    bars = bars_of(table, column)
    with paper():
        return bars, column, summary(column, bars, width)


def texts(found: Drawn):
    left, right = found.canvas.axes
    return [label.get_text() for label in left.get_yticklabels()], left.get_xlabel(), right.get_xlabel()


def test_rows_stand_in_the_order_of_the_table_with_its_numbers():
    table = table1(RECORDS)
    bars, column, _ = drawn()
    scored = table.numbers["mnist"].dropna(subset=[column.title])
    assert [bar.key for bar in bars] == list(scored.index)
    assert [bar.value for bar in bars] == [pytest.approx(v) for v in scored[column.title]]
    # the last bar is the whole error, as the table prints it
    assert [bar.errors[-1] for bar in bars] == [pytest.approx(v) for v in scored[TOTAL.title]]


def test_errors_are_of_the_test_images_then_with_drawing_then_with_training():
    bars, _, _ = drawn()
    (gan,), (dbn,) = ([bar for bar in bars if bar.name == name] for name in ("gan-ns", "dbn"))
    # test ± 2; draw ± 0.3 over 5 draws of each of 3 seeds, of one; seed ± 4 over 3 seeds
    assert gan.errors == pytest.approx(
        (2, math.hypot(2, 0.3 / math.sqrt(15)), math.hypot(2, 4 / math.sqrt(3)))
    )
    assert dbn.errors == pytest.approx((2, math.hypot(2, 0.3 / math.sqrt(5))))
    assert (gan.certain, dbn.certain) == (True, False)


def test_bars_are_drawn_inside_one_another_and_as_long_as_the_errors():
    bars, _, found = drawn()
    _, right = found.canvas.axes
    for bar, y in zip(bars, heights(bars), strict=True):
        own = [p for p in right.patches if p.get_y() + p.get_height() / 2 == pytest.approx(y)]
        assert [p.get_width() for p in own] == [pytest.approx(e) for e in bar.errors[::-1]]
        assert [p.get_height() for p in own] == sorted((p.get_height() for p in own), reverse=True)


def test_published_values_are_diamonds_and_reference_rows_grey():
    bars, _, found = drawn()
    left, right = found.canvas.axes
    diamonds = {line.get_xdata()[0] for line in left.lines if line.get_marker() == "D"}
    assert diamonds == {bar.published[0] for bar in bars if bar.published} == {225, 138}
    for bar, y in zip(bars, heights(bars), strict=True):
        for patch in right.patches:
            if patch.get_y() + patch.get_height() / 2 == pytest.approx(y):
                r, g, b, _ = patch.get_facecolor()
                assert (r == g == b) == (bar.key[0] == "reference")


def test_rows_of_one_training_run_and_of_users_are_hollow():
    bars, _, found = drawn()
    left, _ = found.canvas.axes
    faces = {
        line.get_ydata()[0]: line.get_markerfacecolor() for line in left.lines if line.get_marker() == "o"
    }
    for bar, y in zip(bars, heights(bars), strict=True):
        assert (faces[y] == "white") == (not bar.certain)
    assert [bar.name for bar in bars if bar.certain] == ["gan-ns"]
    assert "one training run" in found.caption


def test_another_first_score_is_drawn_with_the_one_error_that_is_known_of_it():
    records = [
        replace(RATIO, model=m, seed=0, value=v, stderr=0.002) for m, v in (("vae", 0.02), ("dbn", 0.01))
    ]
    bars, _, found = drawn(records)
    assert [(bar.name, bar.value, bar.errors) for bar in bars] == [
        ("dbn", pytest.approx(1.0), (pytest.approx(0.2),)),  # lower is better; in per cent
        ("vae", pytest.approx(2.0), (pytest.approx(0.2),)),
    ]
    names, x, error = texts(found)
    assert names == ["dbn", "vae"]
    assert x.endswith("←")
    assert error.startswith("standard error")
    assert "lower is better" in found.caption
    assert not [line for line in found.canvas.axes[0].lines if line.get_marker() == "D"]


def test_without_a_score_that_has_a_direction_there_is_no_figure(tmp_path):
    neither = replace(RATIO, better="neither", value=1.0, seed=0)
    for records in ([], [neither], RECORDS[-1:]):
        assert list(summary_of(table1(records), tmp_path)) == []
    assert not list(tmp_path.iterdir())


def test_it_is_drawn_for_one_column_and_for_two(tmp_path, monkeypatch):
    monkeypatch.setattr("genmodel_bench.report.figures.figure.DPI", 50)
    figures = list(summary_of(table1(RECORDS), tmp_path))
    assert [(figure.path.name, figure.wide) for figure in figures] == [
        ("summary.png", False),
        ("summary-wide.png", True),
    ]
    for figure, width in zip(figures, (ONE_COLUMN, TWO_COLUMNS), strict=True):
        with Image.open(figure.path) as image:
            assert image.width == pytest.approx(50 * width, abs=1)
        for row in ("gan-ns 224.0 ± 3.1", "dbn 130.0 ± 2.0", "mean −59.0 ± 2.0"):
            assert row in figure.alt


def bar(value, role="model", error=1.0, published=None):
    return Bar((role, str(value), "", 10_000), str(value), value, (error,), 3, published, False)


def test_a_row_far_off_does_not_push_the_others_together():
    near = [bar(v) for v in (200.0, 210.0, 220.0, 230.0, 240.0)]
    assert limits(near) == pytest.approx((200 - 1 - 0.06 * 42, 240 + 1 + 0.06 * 42))
    assert limits([*near, bar(-1e6)]) == limits(near)
    low, high = limits([*near, bar(150.0, published=(300.0, 2.0))])
    assert low < 150 and high > 302
    assert limits([bar(5.0, error=0.0)]) == (4.5, 5.5)


def test_a_row_outside_is_told_at_the_edge():
    records = [*RECORDS, *parzen("rbm", [-1e6])]
    _, _, found = drawn(records)
    left, _ = found.canvas.axes
    assert [text.get_text() for text in left.texts] == ["◂ −1000000.0"]
    assert left.get_xlim()[0] > -1000


@pytest.mark.parametrize("width", [ONE_COLUMN, TWO_COLUMNS])
def test_names_of_strangers_are_drawn_as_they_are(width):
    odd = "$\\frac{$_^" + "x" * 60
    _, _, found = drawn([*RECORDS, *parzen(odd, [200.0], role="samples")], width)
    names, _, _ = texts(found)
    assert [name for name in names if name.startswith("$\\fr")]
    with paper():
        found.canvas.draw_without_rendering()
    for label in found.canvas.axes[0].get_yticklabels():
        assert not label.get_parse_math()


def test_long_names_are_cut_in_the_middle_and_the_best_is_marked():
    long = replace(bar(1.0), name="deep-gsn-chain (epochs=40)")
    assert shortened(long, 20) == "deep-gsn-ch…ochs=40)"
    assert len(shortened(long, 20)) == 20
    assert shortened(replace(long, best=True), 40) == "deep-gsn-chain (epochs=40) †"


def test_the_axis_names_score_unit_and_direction():
    column = Column(
        "nats", "log-likelihood; of images", "table1", unit="nats", better="higher", of=("m", "q")
    )
    assert axis_label(column, TWO_COLUMNS) == "log-likelihood, nats →"
    assert axis_label(replace(column, better="lower", unit=""), TWO_COLUMNS) == "log-likelihood ←"
    assert axis_label(replace(column, says="word " * 20), TWO_COLUMNS) == "nats →"


def test_the_settings_of_a_row_are_in_its_name():
    records = [
        *parzen("vae", [1.0], options=json.dumps({"epochs": 3})),
        *parzen("vae", [2.0]),
        *parzen("vae", [3.0], samples=500),
    ]
    bars, _, _ = drawn(records)
    assert {bar.name for bar in bars} == {"vae (epochs=3)", "vae, N = 10,000", "vae, N = 500"}
