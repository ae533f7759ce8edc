from itertools import combinations

import numpy as np
import pytest
import torch
from genmodel_bench.metrics.comparison import Quantity
from genmodel_bench.metrics.nulls import Statistic, exchanged, of_all, scores_of


def test_null_of_a_sum_is_that_over_all_sets_of_as_many():
    weights = torch.tensor([3.0, 0.5, 2, 0, 0, 1, 1, 4], dtype=torch.float64)
    sums = np.array([sum(weights[list(chosen)]) for chosen in combinations(range(8), 3)])
    found = exchanged(weights, 3, 4_000)
    assert found.total == 5.5
    assert found.stderr == pytest.approx(sums.std(), rel=1e-12)  # float64
    # four standard errors of a share of 4,000
    assert found.p == pytest.approx((sums >= 5.5).mean(), abs=4 * 0.5 / 4_000**0.5)


def test_the_least_p_of_permutations_counts_the_given_order():
    weights = torch.cat([torch.ones(30), torch.zeros(30)]).double()
    assert exchanged(weights, 30, 99).p == 0.01
    assert exchanged(weights.flip(0), 30, 99).p == 1


def test_one_p_of_several_is_twice_their_median():
    assert of_all([0.03]) == 0.03
    assert of_all([0.5, 0.01, 0.02]) == 0.04
    assert of_all([0.01, 0.9]) == 0.02
    assert of_all([0.6, 0.7, 0.8]) == 1


@pytest.mark.parametrize("shared", [0.0, 0.6, 1.0])
def test_one_p_of_several_is_small_no_more_often_than_it_says(shared):
    normal = torch.distributions.Normal(0, 1)
    common, own = torch.randn(4000, 1), torch.randn(4000, 5)
    ps = normal.cdf(shared**0.5 * common + (1 - shared) ** 0.5 * own).tolist()
    # four standard errors of a share of 4,000
    assert np.mean([of_all(each) <= 0.05 for each in ps]) <= 0.05 + 4 * (0.05 * 0.95 / 4000) ** 0.5


def test_scores_of_a_statistic_are_its_value_its_p_and_its_floor():
    found = [
        [Statistic(1.0, 0.1, 0.2, 0.5, 0.05), Statistic(2.0, 0.3, 0.4, 0.5, 0.05)],
        [Statistic(3.0, 0.1, 0.6, 0.7, 0.05), Statistic(4.0, 0.3, 0.8, 0.7, 0.05)],
    ]
    scores = scores_of("c", found, Quantity("share", "lower"), {"N": 10, "folds": 2})
    assert list(scores) == ["c", "c_p", "c_floor"]
    assert scores["c"].value == 2.5
    assert scores["c"].draw_sd == pytest.approx(0.5**0.5)  # of 2 and 3
    assert scores["c"].stderr == pytest.approx(1.0)  # of folds with 1.5 and 3.5
    assert (scores["c_p"].value, scores["c_p"].stderr) == (0.8, 0)
    assert scores["c_floor"].value == pytest.approx(0.6)
    assert [scores[name].better for name in scores] == ["lower", "neither", "neither"]
