import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from metrics import Subject
from metrics.distances import nearest, squared_distance_blocks
from metrics.neighbours import Neighbours


def test_distances_equal_explicit_differences():
    x, s = torch.rand(33, 20, dtype=torch.float64), torch.rand(41, 20, dtype=torch.float64)
    whole = torch.empty(33, 41, dtype=torch.float64)
    for rows, columns, d2 in squared_distance_blocks(x, s, block=50):
        assert d2.numel() <= 50
        whole[rows, columns] = d2
    np.testing.assert_allclose(whole.numpy(), cdist(x, s, "sqeuclidean"), atol=1e-12)


def test_inputs_are_not_modified():
    x, s = torch.rand(10, 4), torch.rand(12, 4)
    x0, s0 = x.clone(), s.clone()
    nearest(x, s)
    assert torch.equal(x, x0)
    assert torch.equal(s, s0)


def test_nearest_is_the_nearest_by_scipy(digits):
    x, s = digits.test.flatten(1), digits.train.flatten(1)
    distance, index = nearest(x, s)
    full = cdist(x.numpy().astype(np.float64), s.numpy().astype(np.float64))
    np.testing.assert_allclose(distance.numpy(), full.min(1), rtol=1e-5)
    np.testing.assert_allclose(full[np.arange(len(x)), index.numpy()], full.min(1), rtol=1e-5)


@pytest.mark.parametrize("block", [1, 7, 100])
def test_nearest_over_many_blocks_is_the_nearest(block, monkeypatch):
    monkeypatch.setattr(squared_distance_blocks, "__kwdefaults__", {"block": block})
    x, s = torch.rand(13, 5, dtype=torch.float64), torch.rand(29, 5, dtype=torch.float64)
    distance, index = nearest(x, s)
    full = cdist(x, s)
    np.testing.assert_allclose(distance.numpy(), full.min(1), rtol=1e-12)
    assert index.tolist() == full.argmin(1).tolist()


def test_a_copy_has_distance_exactly_zero():
    s = torch.rand(500, 784)
    index = torch.randperm(500)[:50]
    distance, found = nearest(s[index], s)
    assert torch.equal(distance, torch.zeros(50))
    assert torch.equal(found, index)


def test_training_images_are_flagged_as_copies(few):
    scores = Neighbours()(Subject(few.train), few).scores
    assert scores["exact_copies"].value == 1
    assert scores["near_copies"].value == 1
    assert scores["ratio"].value == 0
    assert "exact copies" in scores["ratio"].warning


def test_held_out_images_are_no_copies_and_have_ratio_one(digits):
    scores = Neighbours()(Subject(digits.test), digits).scores
    assert scores["exact_copies"].value == 0
    assert scores["near_copies"].value <= 0.01
    assert scores["ratio"].value == 1
    assert scores["ratio"].warning == ""


def test_near_copies_are_flagged(digits):
    moved = (digits.train + 0.01).clamp(0, 1)
    scores = Neighbours()(Subject(moved), digits).scores
    assert scores["exact_copies"].value == 0
    assert scores["near_copies"].value > 0.9
    assert "nearer" in scores["ratio"].warning


def test_the_ratios_error_is_the_spread_over_fresh_draws(digits):
    # The bootstrap's standard error against the spread of the median over 200 independent halves of known normal data, in one
    # dimension: median of n normals has standard error 1.2533/√n.
    metric = Neighbours(resamples=400)
    values = torch.randn(2000)
    assert float(metric.bootstrap(values).std()) == pytest.approx(1.2533 / 2000**0.5, rel=0.3)


def test_arrays_name_the_training_image(few):
    result = Neighbours()(Subject(few.test), few)
    shown = result.arrays["shown_neighbours"]
    assert torch.equal(shown, few.train[result.arrays["index"][: len(shown)]])
    distance = (few.test[: len(shown)] - shown).flatten(1).norm(dim=1)
    torch.testing.assert_close(distance, result.arrays["distance"][: len(shown)])
