from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from genmodel_bench.data.dataset import Fold
from genmodel_bench.metrics import Subject
from genmodel_bench.metrics import mind as sliced
from genmodel_bench.metrics.mind import directions, mind, transport
from genmodel_bench.metrics.mind_pixels import MindPixels
from scipy.optimize import linear_sum_assignment


def normal(n, d, mean=0.0, sd=1.0):
    return torch.randn(n, d, dtype=torch.float64) * sd + mean


def value(x, y, u):
    return float(mind([x], [y], u)[0][0].by_test.mean())


def lines(slices, d):
    """Independent directions, as in the paper."""
    u = normal(slices, d)
    return u / u.norm(dim=1, keepdim=True)


def test_mind_is_the_least_cost_of_matching_projections_times_three_d():
    x, y, u = normal(12, 5), normal(12, 5, 0.5, 2), lines(7, 5)
    costs = []
    for direction in u:
        cost = ((x @ direction)[:, None] - (y @ direction)[None]).square().numpy()
        costs.append(cost[linear_sum_assignment(cost)].mean())
    # sums of a dozen float64 numbers
    assert value(x, y, u) == pytest.approx(15 * np.mean(costs), rel=1e-12)


def test_mind_of_points_scaled_and_moved_is_three_times_how_far_they_went():
    # Projections keep their order, so each point is matched with itself, and over a basis
    # the squared lengths of the projections of its way add up to the way's.
    x = normal(50, 6)
    y = 1.7 * x + normal(1, 6)
    u = directions(6, 6, x)
    assert value(x, y, u) == pytest.approx(3 * float((x - y).square().sum(1).mean()), rel=1e-12)  # float64


@pytest.mark.parametrize(("mean", "sd"), [(0.5, 1.0), (0.0, 1.5), (0.5, 0.6)])
def test_mind_of_two_gaussians_nears_the_closed_form(mean, sd):
    n, d = 4000, 16
    x, y = normal(n, d, mean, sd), normal(n, d)
    (pair,) = mind([x], [y], directions(d, 64, x))[0]
    error = (pair.variance + float(pair.by_test.var()) / n) ** 0.5
    expected = 3 * d * mean**2 + 3 * d * (sd - 1) ** 2
    # four standard errors, and the bias: two sets of one Gaussian have about 0.08
    assert float(pair.by_test.mean()) == pytest.approx(expected, abs=4 * error + 0.1)
    assert error < 0.05 * expected


def test_standard_error_of_a_shift_is_the_closed_form():
    # 3 |x̄ − ȳ|² of unit variance has the standard error 6 |δ| / √n from either set.
    n, d, shift = 2000, 4, 0.7
    x, y = normal(n, d, shift), normal(n, d)
    (pair,) = mind([x], [y], directions(d, 40, x))[0]
    expected = 6 * shift * d**0.5 / n**0.5
    # a standard deviation of 2,000 values is known within 1.6 %, x̄ − ȳ within 2.3 %
    assert float(pair.by_test.std()) / n**0.5 == pytest.approx(expected, rel=0.1)
    assert pair.variance**0.5 == pytest.approx(expected, rel=0.1)


def test_standard_error_is_the_spread_over_fresh_sets_and_no_less_of_equal_ones():
    u = directions(8, 16, normal(1, 8))
    for sd, highest in ((1.4, 1.3), (1.0, 2.0)):
        found = [mind([normal(200, 8, 0, sd)], [normal(200, 8)], u)[0][0] for _ in range(100)]
        spread = float(torch.stack([pair.by_test.mean() for pair in found]).std())
        claimed = np.mean([pair.variance + float(pair.by_test.var()) / 200 for pair in found]) ** 0.5
        # 100 repeats give a standard deviation within 7 %; three of these below
        assert 0.8 < claimed / spread < highest


def test_potentials_solve_the_dual_problem():
    x, y = normal(2, 9).sort().values, normal(2, 9, 0.3, 2).sort().values
    cost, of_y = transport(x, y)
    of_x = cost - of_y
    torch.testing.assert_close(cost, (x - y).square())
    slack = (x[:, :, None] - y[:, None]).square() - of_x[:, :, None] - of_y[:, None]
    assert float(slack.min()) > -1e-12  # float64
    torch.testing.assert_close(of_y.mean(1), cost.mean(1))
    assert {each.dtype for each in transport(x.float(), y.float())} == {torch.float64}


def test_directions_are_whole_bases_about_as_many_as_asked():
    for d, slices, expected in ((64, 1000, 1024), (784, 1000, 784), (5, 1, 5)):
        u = directions(d, slices, torch.zeros(1))
        assert u.shape == (expected, d)
        basis = u[-d:]
        torch.testing.assert_close(basis @ basis.T, torch.eye(d), atol=1e-5, rtol=0)  # float32
    assert not torch.allclose(directions(5, 10, u)[:5], directions(5, 10, u)[5:])


def test_where_points_are_wide_bases_are_cut_and_there_are_more_of_them(monkeypatch):
    monkeypatch.setattr(sliced, "BASIS", 50)
    u = directions(20, 8, torch.zeros(1))
    assert u.shape == (8, 20)
    torch.testing.assert_close(u.norm(dim=1), torch.ones(8))


@pytest.mark.parametrize("chunk", [1, 90, 10**6])
def test_many_sets_against_many_at_once_are_as_one_by_one(chunk, monkeypatch):
    sets, tests, u = [normal(65, 3), normal(40, 3, 1)], [normal(20, 3), normal(30, 3, 2)], lines(10, 3)
    alone = [[mind([x], [y], u)[0][0] for x in sets] for y in tests]
    assert [len(pair.by_test) for of in alone for pair in of] == [20, 20, 30, 30]
    monkeypatch.setattr(sliced, "CHUNK", chunk)
    for of, expected in zip(mind(sets, tests, u), alone, strict=True):
        for pair, one in zip(of, expected, strict=True):
            torch.testing.assert_close(pair.by_test, one.by_test)
            assert pair.variance == pytest.approx(one.variance, rel=1e-9)  # float64


def test_a_larger_set_is_the_mean_over_its_blocks():
    x, y, u = normal(65, 4), normal(20, 4, 1), lines(10, 4)
    blocks = sliced.blocks(torch.arange(65)[None], 20)[0]
    assert blocks.shape == (3, 20)
    assert len(blocks.unique()) == 60
    pair = mind([x], [y], u)[0][0]
    expected = [value(x[block], y, u) for block in blocks]
    assert float(pair.by_test.mean()) == pytest.approx(np.mean(expected), rel=1e-12)  # float64


def test_a_block_of_a_sorted_set_has_its_share_of_each_end():
    assert sliced.blocks(torch.arange(1000.0)[None], 100)[0].mean(1).tolist() == pytest.approx(
        [500] * 10,
        abs=4 * 29,  # the mean of 100 numbers, of standard deviation 289
    )


def test_mind_is_symmetric_and_nothing_for_a_set_in_another_order():
    x, y, u = normal(30, 4), normal(30, 4, 1), lines(10, 4)
    assert value(x, y, u) == pytest.approx(value(y, x, u), rel=1e-12)  # float64
    assert value(x, x[torch.randperm(30)], u) < 1e-28  # squares of float64's rounding


def test_float32_is_float64_within_its_rounding():
    x, y = torch.rand(300, 100), torch.rand(300, 100) ** 1.1
    u = directions(100, 100, x)
    # projections of float32 are wrong by 1e-7 of their size, near 5; W₂ is about 0.05
    assert value(x, y, u) == pytest.approx(value(x.double(), y.double(), u.double()), rel=1e-5)


def test_copies_of_one_image_have_three_times_its_squared_distance_to_test_images(few):
    image = few.train.mean(0, keepdim=True)
    samples = image.expand(few.test.shape)
    result = MindPixels()(Subject(samples), few)
    score = result.scores["mind"]
    by_image = 3 * (few.test - image).double().flatten(1).square().sum(1)
    # float32 projections, as above
    assert score.value == pytest.approx(float(by_image.mean()), rel=1e-5)
    torch.testing.assert_close(result.arrays["mind"], by_image, rtol=1e-4, atol=0)
    assert score.stderr == pytest.approx(float(by_image.std(correction=0)) / len(few.test) ** 0.5, rel=1e-4)
    assert score.settings == {"slices": 1024, "samples": 40, "N": 40, "folds": 0}


def test_real_data_are_the_training_images_in_place_of_samples(few):
    image = few.train[:1]
    reference = replace(few, train=image.expand(few.train.shape))
    found = MindPixels()(Subject(torch.rand(100, *few.shape)), reference).scores["real_data"]
    expected = 3 * (few.test - image).double().flatten(1).square().sum(1)
    assert found.value == pytest.approx(float(expected.mean()), rel=1e-5)  # as above
    assert found.draw_sd is None


def test_standard_error_of_draws_counts_the_samples_of_all(few):
    # test images that are all the same: the error is of the samples alone
    image = few.train[:1]
    draws = [torch.rand(40, *few.shape) ** power for power in (1, 2, 3)]
    reference = replace(few, test=image.expand(few.test.shape))
    score = MindPixels()(Subject(draws[0], None, draws[1:]), reference).scores["mind"]
    added = [3 * (draw - image).double().flatten(1).square().sum(1) for draw in draws]
    expected = sum(float(each.var(correction=0)) / 40 for each in added) ** 0.5 / 3
    assert score.stderr == pytest.approx(expected, rel=1e-4)  # as above


def test_real_images_are_near_and_mean_images_far(digits):
    resampled = digits.train[torch.randint(len(digits.train), (1500,))]
    scores = MindPixels(slices=64)(Subject(resampled), digits).scores
    ours, floor = scores["mind"], scores["real_data"]
    assert abs(ours.value - floor.value) < 3 * (ours.stderr**2 + floor.stderr**2) ** 0.5
    mean = digits.train.mean(0).expand(300, *digits.shape)
    assert MindPixels(slices=64)(Subject(mean), digits).scores["mind"].value > 20 * floor.value


def test_score_is_the_mean_over_draws_with_their_spread(few):
    draws = [torch.rand(40, *few.shape) ** power for power in (1, 2, 3)]
    torch.manual_seed(1)
    result = MindPixels()(Subject(draws[0], None, draws[1:]), few)
    torch.manual_seed(1)
    u = directions(64, 1000, few.train)
    values = [value(draw.flatten(1), few.test.flatten(1), u) for draw in draws]
    score = result.scores["mind"]
    assert score.value == pytest.approx(np.mean(values), rel=1e-6)  # the same float32 numbers
    assert score.draw_sd == pytest.approx(np.std(values, ddof=1), rel=1e-6)
    assert float(result.arrays["mind"].mean()) == pytest.approx(score.value, rel=1e-9)
    assert result.scores["real_data"].draw_sd is None


def test_folds_are_scored_one_by_one_and_averaged(few):
    samples = torch.rand(40, *few.shape) ** 3
    folds = tuple(Fold(few.valid, few.test[i : i + 10]) for i in (0, 10, 20))
    torch.manual_seed(1)
    result = MindPixels()(Subject(samples), replace(few, folds=folds))
    torch.manual_seed(1)
    u = directions(64, 1000, few.train)
    values = [value(samples.flatten(1), fold.test.flatten(1), u) for fold in folds]
    score = result.scores["mind"]
    assert score.value == pytest.approx(np.mean(values), rel=1e-6)  # the same float32 numbers
    assert score.stderr == pytest.approx(np.std(values, ddof=1) / 3**0.5, rel=1e-6)
    assert (score.stderr_over, score.n, score.settings["N"]) == ("folds", 3, 10)
    assert len(result.arrays["mind"]) == 30


def test_real_data_are_training_images_at_the_same_n(few):
    scores = MindPixels()(Subject(torch.rand(100, *few.shape)), few).scores
    assert [scores[name].settings["N"] for name in ("mind", "real_data")] == [40, 40]
    assert scores["real_data"].settings["samples"] == 100
    assert scores["real_data"].better == "neither"
    few_real = replace(few, train=few.train[:30])
    assert MindPixels()(Subject(torch.rand(100, *few.shape)), few_real).scores["mind"].settings["N"] == 30


def test_real_data_are_training_images_of_all_places():
    train = torch.cat([torch.zeros(50, 1, 2, 2), torch.ones(50, 1, 2, 2)])
    data = SimpleNamespace(train=train, valid=train[:0], test=train[::2], folds=())
    scores = MindPixels(slices=8)(Subject(train[:50], None), data).scores  # black images
    assert scores["real_data"].value < scores["mind"].value / 4
