from dataclasses import replace

import numpy as np
import pytest
import torch
from genmodel_bench.data.dataset import Fold
from genmodel_bench.metrics import Subject, histogram
from genmodel_bench.metrics.histogram import Histogram, weighed

BINS = Histogram().bins


def by_numpy(images, bins):
    """The share of pixels by channel and bin, (c, bins)."""
    by_channel = images.double().transpose(0, 1).flatten(1).numpy()
    return np.stack([np.histogram(x, bins, (0, 1))[0] / x.size for x in by_channel])


def tv(samples, test, bins=BINS):
    return np.abs(by_numpy(samples, bins) - by_numpy(test, bins)).sum(1).mean() / 2


def colour(n, power=1.0):
    """Images of three channels with different grey levels, where the data have one."""
    return torch.rand(n, 3, 4, 4) ** (power * torch.tensor([1.0, 2.0, 3.0])[:, None, None])


@pytest.fixture
def coloured(few):
    return replace(few, train=colour(60), test=colour(50))


@pytest.mark.parametrize("chunk", [1, 100, 2**20])
def test_histogram_is_that_of_numpy_whatever_the_chunks(digits, chunk, monkeypatch):
    monkeypatch.setattr(histogram, "CHUNK", chunk)
    # multiples of 1/16 lie on the edges of bins; both count them in the upper bin
    images = torch.cat([digits.test[:20], torch.rand(20, 1, 8, 8), torch.ones(1, 1, 8, 8)])
    np.testing.assert_array_equal(histogram.histogram(images, 64).numpy(), by_numpy(images, 64))


def test_weighed_histograms_are_those_of_single_images():
    images, weights = colour(7), torch.randn(3, 8, dtype=torch.float64)
    expected = [(torch.from_numpy(by_numpy(image[None], 8)) * weights).sum(1).mean() for image in images]
    # sums of 48 products of float64
    torch.testing.assert_close(weighed(images, weights), torch.stack(expected), rtol=0, atol=1e-14)


def test_black_and_white_are_one_apart_and_half_of_each_is_half_way(few):
    black, white = torch.zeros(10, 1, 8, 8), torch.ones(10, 1, 8, 8)
    reference = replace(few, test=white)
    for samples, expected in ((black, 1), (white, 0), (torch.cat([black, white]), 0.5)):
        assert Histogram()(Subject(samples), reference).scores["grey_tv"].value == expected


def test_score_is_the_total_variation_by_numpy_the_mean_over_channels(coloured):
    samples = colour(40, 1.3)
    result = Histogram()(Subject(samples), coloured)
    # sums of some differences of shares in float64
    assert result.scores["grey_tv"].value == pytest.approx(tv(samples, coloured.test), abs=1e-12)
    assert float(result.arrays["grey_tv"].mean()) == pytest.approx(tv(samples, coloured.test), abs=1e-12)
    assert len(result.arrays["grey_tv"]) == len(coloured.test)


def test_swapped_channels_are_seen_and_shuffled_pixels_are_not(coloured):
    swapped = coloured.test[:, [1, 2, 0]]
    assert Histogram()(Subject(swapped), coloured).scores["grey_tv"].value > 0.1
    shuffled = coloured.test.flatten(2)[:, :, torch.randperm(16)].view_as(coloured.test)
    assert Histogram()(Subject(shuffled), coloured).scores["grey_tv"].value == 0


def test_score_is_the_mean_over_draws_with_their_spread(few):
    draws = [torch.rand(40, *few.shape) ** power for power in (1, 2, 3)]
    values = [tv(draw, few.test) for draw in draws]
    score = Histogram()(Subject(draws[0], None, draws[1:]), few).scores["grey_tv"]
    # as above
    assert score.value == pytest.approx(np.mean(values), abs=1e-12)
    assert score.draw_sd == pytest.approx(np.std(values, ddof=1), abs=1e-12)


def test_folds_are_scored_one_by_one_and_averaged(few):
    samples = torch.rand(40, *few.shape) ** 3
    folds = tuple(Fold(few.valid, few.test[i : i + 10]) for i in (0, 10, 20))
    result = Histogram()(Subject(samples), replace(few, folds=folds))
    for name, images in (("grey_tv", samples), ("real_data", few.train)):
        values = [tv(images, fold.test) for fold in folds]
        score = result.scores[name]
        if name == "grey_tv":
            assert score.value == pytest.approx(np.mean(values), abs=1e-12)  # as above
            assert score.stderr == pytest.approx(np.std(values, ddof=1) / 3**0.5, abs=1e-12)
        assert (score.stderr_over, score.n) == ("folds", 3)
    assert len(result.arrays["grey_tv"]) == 30


def test_real_data_are_training_images_the_same_for_every_row(few):
    found = []
    for seed in range(2):
        torch.manual_seed(seed)
        found.append(Histogram()(Subject(torch.rand(50, *few.shape)), few).scores["real_data"])
    assert found[0] == found[1]
    assert found[0].settings["images"] == 50
    # with as many samples as training images it is of all of them
    whole = Histogram()(Subject(torch.rand(len(few.train), *few.shape)), few).scores["real_data"]
    assert whole.value == pytest.approx(tv(few.train, few.test), abs=1e-12)  # as above


def test_standard_error_is_that_of_a_bootstrap_over_images(digits):
    samples = (digits.train[:200] * 0.8 + 0.1).clamp(0, 1)
    score = Histogram()(Subject(samples), replace(digits, test=digits.test[:100])).scores["grey_tv"]
    p, q = (
        np.stack([by_numpy(image[None], BINS)[0] for image in images])
        for images in (samples, digits.test[:100])
    )
    random = np.random.default_rng(0)
    resampled = [
        np.abs(p[random.integers(200, size=200)].mean(0) - q[random.integers(100, size=100)].mean(0)).sum()
        / 2
        for _ in range(400)
    ]
    # 400 resamples give a standard deviation within 3.5 %; three of these
    assert score.stderr == pytest.approx(np.std(resampled), rel=0.11)


def test_standard_error_of_draws_counts_the_samples_of_all(few):
    # samples that vary, test images that do not: the error is of the samples alone
    reference = replace(few, test=torch.zeros_like(few.test))
    draws = [(torch.rand(50, 1, 1, 1) < 0.3).float().expand(50, *few.shape) for _ in range(4)]
    score = Histogram()(Subject(draws[0], None, draws[1:]), reference).scores["grey_tv"]
    shares = [float(draw.double().mean()) for draw in draws]
    # a share p of n white images has the variance p (1 − p) / n; exact but for rounding
    expected = sum(p * (1 - p) / 50 for p in shares) ** 0.5 / 4
    assert score.stderr == pytest.approx(expected, rel=1e-9)
