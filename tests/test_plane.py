"""Images of two pixels: the points and circles of a figure are those of the data."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from genmodel_bench.data.dataset import dataset_of_parts
from genmodel_bench.data.registry import load
from genmodel_bench.execution.artefacts import keep_test_images
from genmodel_bench.report.figures.pictures import film, samples, walks
from genmodel_bench.report.figures.plane import UNKNOWN, density_of, draw_points, is_plane
from genmodel_bench.storage.record import Record
from genmodel_bench.storage.store import Store
from test_visuals import completed, visuals


@pytest.fixture(scope="module")
def ring():
    """The first 300 training points of the ring, and 50 of the others."""
    data = load("ring")
    parts = [data.train[:300], data.valid[:50], data.test[:50]]
    labels = [data.labels["train"][:300], data.labels["valid"][:50], data.labels["test"][:50]]
    return dataset_of_parts("ring", parts, labels, density=data.density)


def drawn_in(ax):
    """The points of a panel's lines, (n, 2) each."""
    return [np.stack(line.get_data(), 1) for line in ax.get_lines()]


def test_the_known_density_is_kept_for_the_report(ring, tmp_path):
    store = Store(tmp_path, "ring")
    record = Record("ring", "vae", dataset_digest=ring.digest)
    assert density_of(record, store.cache) is UNKNOWN
    keep_test_images(ring, store)
    found = density_of(record, store.cache)
    np.testing.assert_allclose(found.centres, ring.density.centres, rtol=1e-6)
    assert found.sd == pytest.approx(ring.density.sd)
    plain = replace(ring, density=None, digest="plain")
    keep_test_images(plain, store)
    assert density_of(replace(record, dataset_digest="plain"), store.cache) is UNKNOWN


def test_points_are_drawn_where_they_are_on_circles_of_3_sd(ring, tmp_path):
    store = Store(tmp_path, "ring")
    keep_test_images(ring, store)
    density = density_of(Record("ring", "vae", dataset_digest=ring.digest), store.cache)
    points = [ring.train[:100].numpy(), ring.test.numpy()]
    canvas = draw_points(points, density, titles=["1", "2"])
    assert [ax.get_title() for ax in canvas.axes] == ["1", "2"]
    for ax, given in zip(canvas.axes, points, strict=True):
        assert np.array_equal(drawn_in(ax)[0], given.reshape(-1, 2))
        (circles,) = ax.collections
        np.testing.assert_allclose(circles.get_offsets(), ring.density.centres, rtol=1e-6)
        np.testing.assert_allclose(circles.get_widths(), 6 * ring.density.sd, rtol=1e-6)
        assert (*ax.get_xlim(), *ax.get_ylim()) == (0, 1, 0, 1)


def test_images_of_two_pixels_alone_are_points(ring):
    assert is_plane(ring.train.numpy())
    assert not is_plane(np.zeros((5, 1, 2, 1)))
    assert not is_plane(np.zeros((5, 3, 1, 2)))


def test_a_film_of_points_has_many_and_no_arithmetic_is_made(ring, tmp_path):
    cell, context = completed(ring, tmp_path)
    images, about = visuals(cell, context.store)
    assert images["film"].shape == (len(about["epochs"]), 1000, 1, 1, 2)
    assert images.keys() == {"film", "walks"}


def test_each_picture_of_points_shows_them():
    x = torch.rand(4, 10, 1, 1, 2).numpy()
    panels = film("vae", {"film": x}, {"epochs": [1, 2, 5, 7]}).canvas.axes
    assert [ax.get_title() for ax in panels] == ["1", "2", "5", "7"]
    for ax, frame in zip(panels, x, strict=True):
        assert np.array_equal(drawn_in(ax)[0], frame.reshape(-1, 2))
    (ax,) = walks("vae", {"walks": x}, {"prior": "uniform"}).canvas.axes
    assert np.array_equal(drawn_in(ax)[0], x[0].reshape(-1, 2))
    few, many = x[0], x.reshape(-1, 2)
    for arrays, shown in (({"shown_samples": few}, few), ({"points": many, "shown_samples": few}, many)):
        (found,) = drawn_in(samples("vae", arrays).canvas.axes[0])
        assert np.array_equal(found, shown.reshape(-1, 2))
