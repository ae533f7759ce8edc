"""The charts of all rows: means over seeds, with the band that the seeds span."""

import json
from dataclasses import replace

import numpy as np
import pytest
from genmodel_bench.report.figures.charts import BAND, CHECKS, band, chart, plot, validation
from genmodel_bench.report.figures.figure import TWO_COLUMNS, paper
from genmodel_bench.report.figures.learning import AXES, NAMES, PANELS, learning
from genmodel_bench.report.figures.lines import lines_of, mean_of
from genmodel_bench.report.tables.table import table1
from matplotlib.figure import Figure
from test_report import ROW

BY_SEED = {0: {"1": 1.0, "10": 4.0}, 1: {"1": 3.0, "10": 5.0}, 2: {"1": 2.0, "10": 9.0}}
SAID = {"title": "T", "x": "N, samples", "y": "nats", "says": "Said."}


def line_of(seeds=(0, 1, 2), model="vae"):
    records = [
        replace(ROW, model=model, seed=s, value=1.0, curves=json.dumps({CHECKS: BY_SEED[s], "c": BY_SEED[s]}))
        for s in seeds
    ]
    (line,) = lines_of(records, table1(records).keys)
    return line


def spans(axes):
    """The points of the band, as a set."""
    (filled,) = axes.collections
    return {tuple(point) for path in filled.get_paths() for point in path.vertices}


@pytest.mark.parametrize("swapped", [False, True])
def test_the_band_reaches_from_the_lowest_seed_to_the_highest(swapped):
    line = line_of()
    axes = Figure().add_subplot()
    plot(axes, {line: line.curve_by_seed("c", ("parzen", "log_likelihood"))}, swapped=swapped)
    corners = {(1, 1), (1, 3), (10, 4), (10, 9)}  # setting, lowest or highest
    assert spans(axes) == {(y, x) if swapped else (x, y) for x, y in corners}
    x, y = axes.lines[0].get_data()
    settings, means = (y, x) if swapped else (x, y)
    np.testing.assert_allclose([settings, means], [[1, 10], [2, 6]])


def test_one_seed_has_no_band_and_the_caption_says_of_none():
    line = line_of(seeds=(1,))
    curve = line.curve_by_seed("c", ("parzen", "log_likelihood"))
    axes = Figure().add_subplot()
    plot(axes, {line: curve})
    assert not axes.collections
    assert (band({line: curve}), mean_of(curve)) == ("", {1: 3.0, 10: 5.0})
    assert band({line_of(): line_of().curve_by_seed(CHECKS)}) == BAND


def test_every_axis_of_a_chart_has_a_name_and_a_unit():
    line = line_of()
    curves = {line: line.curve_by_seed(CHECKS)}
    with paper():
        for found in (validation(curves, TWO_COLUMNS), chart(SAID, {}, "higher", curves, TWO_COLUMNS)):
            (axes,) = found.canvas.axes
            assert axes.get_xlabel() and "nats" in axes.get_ylabel()
            assert found.caption.count(BAND.strip()) == 1


def test_every_axis_of_learning_curves_has_a_name():
    logged = {name for panel in PANELS for name in panel} | set(NAMES) | {"loss", "mine"}
    history = [{"stage": "s", "epoch": e, **dict.fromkeys(sorted(logged), float(e))} for e in (1, 2)]
    with paper():
        found = learning(line_of(), history)
    for axes in found.canvas.axes:
        assert axes.get_xlabel() and axes.get_ylabel()
    assert "nats per image" in AXES.values()
    *_, checks = found.canvas.axes
    assert {y for _, y in spans(checks)} == {1, 3, 4, 9}
    assert "band" in found.caption
