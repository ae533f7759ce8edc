from dataclasses import replace

import numpy as np
import pytest
import torch
from genmodel_bench.metrics import Subject, distances
from genmodel_bench.metrics.distances import nearest, squared_distance_blocks
from genmodel_bench.metrics.neighbours import Neighbours, by_share, nearest_shifted
from scipy.spatial.distance import cdist


def test_distances_equal_explicit_differences(monkeypatch):
    x, s = torch.rand(33, 20, dtype=torch.float64), torch.rand(41, 20, dtype=torch.float64)
    whole = torch.empty(33, 41, dtype=torch.float64)
    monkeypatch.setattr(distances, "block_shape", lambda device: (10, 5))
    for rows, columns, a, b in squared_distance_blocks(x, s):
        assert b.numel() <= 50
        whole[rows, columns] = a + b
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


@pytest.mark.parametrize("block", [(1, 1), (3, 7), (20, 5)])
@pytest.mark.parametrize("resident", [1, 8 * 5 * 10, 10**6])
def test_nearest_over_many_blocks_is_the_nearest(block, resident, monkeypatch):
    monkeypatch.setattr(distances, "block_shape", lambda device: block)
    monkeypatch.setattr(distances, "RESIDENT", resident)
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
    # The bootstrap's standard error against the closed form: the median of n normal
    # numbers has a standard error of 1.2533/√n.
    metric = Neighbours(resamples=400)
    values = torch.randn(2000)
    assert float(metric.bootstrap(values).std()) == pytest.approx(1.2533 / 2000**0.5, rel=0.3)


def test_scores_are_the_medians_their_ratio_and_the_shares_of_copies(few):
    # 41 samples, of which 10 are copies, and 39 test images: odd numbers have one median
    samples = torch.cat([few.train[:10], torch.rand(31, *few.shape)])
    reference = replace(few, test=few.test[:39])
    torch.manual_seed(6)
    result = Neighbours(resamples=30)(Subject(samples), reference)
    ours = cdist(samples.flatten(1), few.train.flatten(1)).min(1)
    held_out = cdist(reference.test.flatten(1), few.train.flatten(1)).min(1)
    torch.manual_seed(6)
    metric = Neighbours(resamples=30)
    resampled = metric.bootstrap(torch.tensor(ours)), metric.bootstrap(torch.tensor(held_out))
    near = (ours < np.quantile(held_out, 0.01)).mean()
    both = "samples and test examples"
    expected = {
        "ratio": (
            np.median(ours) / np.median(held_out),
            (resampled[0] / resampled[1]).std(),
            both,
            41,
            "ratio",
            "neither",
        ),
        "exact_copies": (10 / 41, (10 / 41 * 31 / 41 / 41) ** 0.5, "samples", 41, "share", "lower"),
        "near_copies": (near, (near * (1 - near) / 41) ** 0.5, "samples", 41, "share", "lower"),
        "generated_median": (
            np.median(ours),
            resampled[0].std(),
            "samples",
            41,
            "pixel distance",
            "neither",
        ),
        "held_out_median": (
            np.median(held_out),
            resampled[1].std(),
            "test examples",
            39,
            "pixel distance",
            "neither",
        ),
    }
    assert list(result.scores) == list(expected)
    for name, (value, stderr, *rest) in expected.items():
        score = result.scores[name]
        # float32: 1e-5 of a distance, as agreed with scipy
        assert (score.value, score.stderr) == pytest.approx((value, float(stderr)), rel=1e-5), name
        assert [score.stderr_over, score.n, score.unit, score.better] == rest
    np.testing.assert_allclose(result.arrays["held_out_distance"].numpy(), held_out, rtol=1e-5)
    curves = result.scores["ratio"].curves
    assert curves == {
        "distance of samples by share": by_share(result.arrays["distance"]),
        "distance of held-out images by share": by_share(result.arrays["held_out_distance"]),
    }


def test_distances_by_share_are_quantiles_in_steps_of_a_fortieth():
    distances = torch.rand(57)
    found = by_share(distances)
    shares = [k / 40 for k in range(41)]
    assert [float(share) for share in found] == shares
    expected = np.quantile(distances.double().numpy(), shares)
    assert list(found.values()) == pytest.approx(expected, rel=1e-12)


def test_a_sample_as_far_as_the_held_out_images_is_no_near_copy(few):
    train = torch.zeros(3, 1, 2, 2)
    far = train + 0.5
    reference = replace(few, train=train, test=far)
    assert Neighbours()(Subject(far), reference).scores["near_copies"].value == 0


@pytest.mark.parametrize(
    ("exact", "near", "words"),
    [(0.05, 0.05, ""), (0.051, 0.06, "exact copies"), (0.05, 0.06, "nearer to training images than 99%")],
)
def test_a_larger_share_of_copies_than_is_tolerated_is_a_warning(exact, near, words):
    warning = Neighbours(tolerated=0.05).warning(exact, near)
    assert words in warning
    assert bool(warning) == bool(words)


def test_no_ratio_is_defined_where_half_of_the_test_images_are_copies(few):
    copies = replace(few, test=few.train[:40])
    with pytest.raises(ValueError, match="half of the test images are copies"):
        Neighbours()(Subject(few.valid), copies)


def test_the_first_samples_are_shown(few):
    arrays = Neighbours()(Subject(few.train), few).arrays
    assert torch.equal(arrays["shown_samples"], few.train[:100])
    for name in ("shown_neighbours", "shown_shifted_neighbours", "shown_shifted_distance"):
        assert len(arrays[name]) == 100


def test_arrays_name_the_training_image(few):
    result = Neighbours()(Subject(few.test), few)
    shown = result.arrays["shown_neighbours"]
    assert torch.equal(shown, few.train[result.arrays["index"][: len(shown)]])
    distance = (few.test[: len(shown)] - shown).flatten(1).norm(dim=1)
    torch.testing.assert_close(distance, result.arrays["distance"][: len(shown)])


def test_a_copy_moved_by_one_pixel_is_found_under_shifts_alone():
    train = torch.rand(200, 1, 28, 28)
    # down and to the left
    x = torch.nn.functional.pad(train[:8], (0, 1, 1, 0), mode="replicate")[:, :, :28, 1:]
    plain, _ = nearest(x.flatten(1), train.flatten(1))
    distance, index = nearest_shifted(x, train.flatten(1))
    # moved back, a row and a column are lost: 7 % of the pixels, √0.07 = 0.26 of the
    # distance between unrelated images
    assert index.tolist() == list(range(8))
    assert bool((distance < 0.35 * plain).all())


def test_shifts_give_the_smallest_of_nine_distances(few):
    x, train = few.test[:5], few.train.flatten(1)
    padded = np.pad(x.numpy(), ((0, 0), (0, 0), (1, 1), (1, 1)), mode="edge")
    every = np.stack(
        [
            cdist(padded[:, 0, i : i + 8, j : j + 8].reshape(5, -1), train.numpy())
            for i in range(3)
            for j in range(3)
        ]
    )
    distance, index = nearest_shifted(x, train)
    np.testing.assert_allclose(distance.numpy(), every.min((0, 2)), rtol=1e-5)
    np.testing.assert_allclose(every.min(0)[np.arange(5), index.numpy()], every.min((0, 2)), rtol=1e-5)
    shown = Neighbours()(Subject(few.test), few).arrays
    assert torch.equal(shown["shown_shifted_neighbours"][:5], few.train[index])
    assert bool(
        (
            shown["shown_shifted_distance"]
            <= (few.test - shown["shown_neighbours"]).flatten(1).norm(dim=1) + 1e-5
        ).all()
    )
