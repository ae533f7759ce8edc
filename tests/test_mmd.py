import doctest
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from genmodel_bench.metrics import Subject, permutations
from genmodel_bench.metrics import mmd as module
from genmodel_bench.metrics.features import NotApplicable
from genmodel_bench.metrics.mmd import Mmd
from genmodel_bench.metrics.permutations import (
    MULTIPLES,
    divided,
    kernel_test,
    kernels,
    median_distance,
    signs,
)
from scipy.stats import kstest


def normal(n, k, mean=0.0, sd=1.0):
    return torch.randn(n, k, dtype=torch.float64) * sd + mean


def slow_mmd2(kernel, x, y):
    """MMD² of the rows x and y of a matrix of kernels, by its definition."""
    xx = np.mean([kernel[i, j] for i in x for j in x if i != j])
    yy = np.mean([kernel[i, j] for i in y for j in y if i != j])
    return xx + yy - 2 * np.mean([kernel[i, j] for i in x for j in y])


def slow_kernel(a, b, h):
    square = float((a - b).square().sum())
    return np.mean([math.exp(-square / (2 * (multiple * h) ** 2)) for multiple in MULTIPLES])


def test_value_and_p_are_those_of_sums_over_all_pairs():
    x, y = normal(9, 3, 0.5), normal(7, 3)
    points = torch.cat([x, y])
    slow = np.array([[slow_kernel(a, b, 1.7) for b in points] for a in points])
    ways = signs(9, 7, 30, points)
    expected = [slow_mmd2(slow, *(np.flatnonzero(way == sign) for sign in (1, -1))) for way in ways.T]
    value, p = kernel_test(x, y, 1.7, permutations=30)
    assert value.value == pytest.approx(expected[0], rel=1e-10)  # float64
    np.testing.assert_allclose(divided(kernels(points, 1.7), ways), expected, rtol=0, atol=1e-12)
    assert p.value == np.mean(np.array(expected) >= expected[0])


def test_divisions_are_of_the_same_sizes_and_differ():
    ways = signs(9, 7, 200, torch.zeros(1))
    assert ways.shape == (16, 201)
    assert ways.sum(0).unique().tolist() == [2]
    assert ways[:, 0].tolist() == [1] * 9 + [-1] * 7
    assert len(ways.unique(dim=1).T) > 190  # of 11,440
    # each point is in the first set in 9/16 of the divisions: four standard errors
    np.testing.assert_allclose((ways > 0).double().mean(1), 9 / 16, atol=4 * 0.496 / 200**0.5)


@pytest.mark.parametrize(("mean", "sd"), [(0.3, 1.0), (0.0, 1.3)])
def test_gaussians_have_the_closed_form(mean, sd):
    n, k, h = 1000, 6, 2.5
    found, p = kernel_test(normal(n, k, mean, sd), normal(n, k), h)

    def expected(var, shift):
        forms = [
            (w / (w + var)) ** (k / 2) * math.exp(-k * shift**2 / (2 * (w + var)))
            for w in ((multiple * h) ** 2 for multiple in MULTIPLES)
        ]
        return sum(forms) / len(forms)

    closed = expected(2 * sd**2, 0) + expected(2, 0) - 2 * expected(sd**2 + 1, mean)
    assert found.value == pytest.approx(closed, abs=4 * found.stderr)
    assert found.stderr < 0.2 * closed
    assert p.value == 1 / 501


def test_p_is_uniform_where_both_sets_are_of_one_distribution():
    # skewed points of unequal sizes, so that no symmetry helps
    found = [kernel_test(normal(30, 4) ** 2, normal(25, 4) ** 2, 2.0, permutations=199) for _ in range(200)]
    p = np.array([each.value for _, each in found])
    # in steps of 1/200: the Kolmogorov–Smirnov distance is at most 1/200 larger
    assert kstest(p - 1 / 400, "uniform").pvalue > 0.01
    assert (p <= 0.05).mean() < 0.1
    values = torch.tensor([value.value for value, _ in found])
    assert abs(float(values.mean())) < 4 * float(values.std()) / 200**0.5


def test_float32_is_float64_within_its_rounding():
    x, y = normal(300, 50) + 100, normal(300, 50, 0, 1.05) + 100
    low, high = (kernel_test(*of, 10.0) for of in ((x.float(), y.float()), (x, y)))
    # kernels near 0.5 are wrong by 1e-6, means over 90,000 by less
    assert low[0].value == pytest.approx(high[0].value, abs=1e-7)
    assert low[1].value == pytest.approx(high[1].value, abs=0.01)


def test_bandwidth_is_the_median_distance_of_training_images_alone(few):
    x = few.train.flatten(1)
    distances = [float((a - b).norm()) for i, a in enumerate(x) for b in x[:i]]
    found = Mmd("pixels")(Subject(torch.rand(60, *few.shape)), few).scores["mmd2"].settings
    assert found["bandwidth"] == median_distance(x) == pytest.approx(np.median(distances), rel=1e-3)
    assert found["N"] == 40
    assert Mmd("pixels", bandwidth=2.0)(Subject(few.valid), few).scores["p"].settings["bandwidth"] == 2.0


def test_some_points_alone_are_used_from_all_over_each_draw(few, monkeypatch):
    monkeypatch.setattr(module, "POINTS", 30)
    ends = [torch.full((50, *few.shape), value) for value in (0.0, 1.0)]
    found = [
        Mmd("pixels")(Subject(torch.cat(each), None, [torch.cat(each)]), few).scores["mmd2"]
        for each in (ends, ends[::-1])
    ]
    assert [score.settings["N"] for score in found] == [30, 30]
    # 30 of 50 zeros and 50 ones: 15 ± 2.3 of each, so that the two orders are alike
    assert found[0].value == pytest.approx(found[1].value, abs=4 * found[0].stderr)


def test_training_images_that_are_all_one_have_no_bandwidth(few):
    one = replace(few, train=few.train[:1].expand(few.train.shape))
    with pytest.raises(NotApplicable, match="median distance between training images is 0"):
        Mmd("pixels")(Subject(few.valid), one)


def test_noise_is_told_from_digits_and_digits_are_not(few):
    scores = Mmd("pca")(Subject(torch.rand(40, *few.shape)), few).scores
    assert list(scores) == [
        f"{q}{of}" for q in ("mmd2", "p") for of in ("", "_gain", "_floor", "_gain_floor")
    ]
    assert scores["p"].value == 1 / 501
    assert (scores["p"].stderr_over, scores["p"].n) == ("permutations", 500)
    assert scores["mmd2"].value > 10 * scores["mmd2"].stderr
    assert scores["p_floor"].value > 0.01
    assert abs(scores["mmd2_floor"].value) < 4 * scores["mmd2_floor"].stderr


@pytest.mark.parametrize(
    ("h", "y", "text"),
    [
        (0.0, torch.zeros(5, 3), "got h = 0.0, expected a bandwidth above 0"),
        (1.0, torch.zeros(2, 3), "n, m ≥ 3"),
    ],
)
def test_what_cannot_be_tested_is_refused(h, y, text):
    with pytest.raises(ValueError, match=f"kernel_test: .*{text}"):
        kernel_test(torch.zeros(5, 3), y, h)


def test_the_example_in_the_help_is_true():
    found = doctest.testmod(permutations)
    assert found.attempted and not found.failed
