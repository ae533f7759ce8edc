import doctest
from dataclasses import replace

import numpy as np
import pytest
import torch
from genmodel_bench.data.dataset import Fold
from genmodel_bench.metrics import Subject, frechet
from genmodel_bench.metrics.comparison import chosen
from genmodel_bench.metrics.frechet import Frechet, frechet_distance, intercept
from genmodel_bench.metrics.gaussian import Gaussian, between
from scipy.linalg import sqrtm


def normal(n, k, mean=0.0, sd=1.0):
    return torch.randn(n, k, dtype=torch.float64) * sd + mean


def with_moments(n, mean, covariance):
    """Points that have exactly this mean and covariance."""
    x = normal(n, len(mean))
    x = x - x.mean(0)
    white = x @ torch.linalg.inv(torch.linalg.cholesky(x.T @ x / (n - 1))).T
    return white @ torch.linalg.cholesky(covariance).T + mean


def covariance(k):
    a = normal(k, 2 * k)
    return a @ a.T / k


def test_commuting_covariances_have_the_closed_form():
    axes = torch.linalg.qr(normal(6, 6)).Q
    s, t, mean = torch.rand(6).double() + 0.1, torch.rand(6).double() + 0.1, normal(1, 6)[0]
    x = with_moments(50, mean, axes * s @ axes.T)
    y = with_moments(40, torch.zeros(6).double(), axes * t @ axes.T)
    expected = mean.square().sum() + (s.sqrt() - t.sqrt()).square().sum()
    assert frechet_distance(x, y) == pytest.approx(float(expected), rel=1e-10)  # float64


def test_covariances_that_do_not_commute_agree_with_the_matrix_square_root():
    s, t, mean = covariance(7), covariance(7), normal(1, 7)[0]
    x, y = with_moments(50, mean, s), with_moments(40, torch.zeros(7).double(), t)
    root = torch.from_numpy(sqrtm((s @ t).numpy()).real)
    expected = mean.square().sum() + (s + t - 2 * root).trace()
    assert frechet_distance(x, y) == pytest.approx(float(expected), rel=1e-9)  # scipy's root: 1e-12


def test_a_linear_map_that_is_an_optimal_transport_costs_its_squared_distance():
    # A symmetric positive map carries a Gaussian the shortest way.
    x, a = normal(60, 5), covariance(5)
    y = x @ a + 2
    moved = (x - x.mean(0)) @ a - (x - x.mean(0))
    expected = moved.square().sum() / 59 + (y.mean(0) - x.mean(0)).square().sum()
    assert frechet_distance(x, y) == pytest.approx(float(expected), rel=1e-10)  # float64


@pytest.mark.parametrize("n", [2, 10, 30])
def test_fewer_points_than_features_cost_no_digits(n):
    x = normal(n, 30)
    spread = float((x - x.mean(0)).square().sum()) / (n - 1)
    assert frechet_distance(x, x) < 1e-12 * spread
    # 2x: each standard deviation doubles
    expected = spread + float(x.mean(0).square().sum())
    assert frechet_distance(x, 2 * x) == pytest.approx(expected, rel=1e-12)
    point = torch.zeros(n, 30, dtype=torch.float64)
    assert frechet_distance(point, x) == pytest.approx(expected, rel=1e-12)
    assert frechet_distance(point, point + 1) == 30


def test_sets_of_different_few_points_agree_with_the_singular_values_of_their_products():
    # tr (S½ T S½)½ is the sum of the singular values of X Yᵀ, without any covariance
    x, y = normal(10, 40), normal(12, 40, 0.3, 2)
    a, b = (x - x.mean(0)) / 9**0.5, (y - y.mean(0)) / 11**0.5
    spread = a.square().sum() + b.square().sum()
    shift = (x.mean(0) - y.mean(0)).square().sum()
    expected = shift + spread - 2 * torch.linalg.svdvals(a @ b.T).sum()
    assert frechet_distance(x, y) == pytest.approx(float(expected), rel=1e-12)  # float64
    _, of_x, of_y = between(Gaussian(x), Gaussian(y))
    assert max(float(of_x.abs().max()), float(of_y.abs().max())) < 10 * float(spread)


def test_it_is_symmetric_and_float32_points_are_summed_in_float64():
    x, y = (normal(500, 8) + 100).float(), (normal(400, 8, 0.2, 1.5) + 100).float()
    assert frechet_distance(x, y) == pytest.approx(frechet_distance(y, x), rel=1e-10)  # float64
    assert frechet_distance(x, y) == frechet_distance(x.double(), y.double())


@pytest.mark.parametrize(
    ("x", "y", "text"),
    [
        (torch.zeros(5, 3), torch.zeros(5, 4), r"got \(5, 3\) and \(5, 4\)"),
        (torch.zeros(1, 3), torch.zeros(5, 3), "n, m ≥ 2"),
        (torch.zeros(5, 1, 3), torch.zeros(5, 1, 3), "flatten images to rows"),
        (torch.zeros(5, 3), torch.tensor([[1.0] * 3, [torch.nan] * 3]), "row 1 of the second set"),
    ],
)
def test_sets_of_another_form_are_refused(x, y, text):
    with pytest.raises(ValueError, match=f"frechet_distance: .*{text}"):
        frechet_distance(x, y)


def estimates(n, k, change, repeats):
    """Values and claimed errors of a changed N(0, 1) against N(0, 1), by score."""
    metric = Frechet("pixels")
    found = [
        metric.estimate(metric.prepare(change(normal(n, k))), metric.prepare(normal(n, k)))
        for _ in range(repeats)
    ]
    return {
        name: torch.tensor([[e[name].value, e[name].stderr] for e in found], dtype=torch.float64).T
        for name in ("fd", "fd_infinity")
    }


def test_two_sets_of_one_gaussian_have_the_known_bias_and_none_extrapolated():
    n, k = 500, 8
    found = estimates(n, k, lambda x: x, 40)
    expected = (k + k * (k + 1) / 4) * 2 / n  # 0.104, to order 1/N
    # the standard deviation of a value is 0.022, of the mean of 40 0.0035: four of these
    assert float(found["fd"][0].mean()) == pytest.approx(expected, abs=0.014)
    assert float(found["fd_infinity"][0].mean()) == pytest.approx(0, abs=0.015)


def test_extrapolation_finds_the_distance_of_the_distributions_with_few_more_points_than_features():
    k = 32
    found = estimates(200, k, lambda x: 1.3 * x, 25)
    expected = k * 0.3**2
    # a value's standard deviation is 0.44: four of the mean's, and 0.1 of order 1/N²
    assert float(found["fd_infinity"][0].mean()) == pytest.approx(expected, abs=0.45)
    assert float(found["fd"][0].mean()) > expected + 2


@pytest.mark.parametrize(
    ("change", "highest"), [(lambda x: 1.3 * x, 1.4), (lambda x: x + 0.3 * x**3, 1.4), (lambda x: x, 2.2)]
)
def test_standard_error_is_the_spread_over_fresh_sets_and_no_less_of_equal_ones(change, highest):
    found = estimates(300, 6, change, 50)
    for values, claimed in found.values():
        ratio = float(claimed.square().mean().sqrt() / values.std())
        assert 0.7 < ratio < highest  # 50 repeats give a standard deviation within 10 %: three of these


def test_influence_is_the_change_when_a_point_counts_more():
    x, y = normal(40, 4, 0.5), normal(30, 4, 0, 2)
    _, of_x, of_y = between(Gaussian(x), Gaussian(y))
    # A point twice in a set has a weight of 2/(n + 1): up by 1/n, to first order in 1/n.
    many = x.repeat(100, 1)
    base = frechet_distance(many, y)
    for i in (0, 7):
        changed = frechet_distance(torch.cat([many, x[i : i + 1]]), y)
        # (n − 1) for n in the covariance of 40 points is 2 % of it; so is the curvature
        assert (changed - base) * 4000 == pytest.approx(float(of_x[i]), rel=0.05, abs=0.3)
    assert abs(float(of_x.mean())) < 1e-12 and abs(float(of_y.mean())) < 1e-12


def test_weights_of_the_intercept_are_those_of_a_fitted_line():
    inverse = torch.tensor([1 / 300, 1 / 150, 1 / 75], dtype=torch.float64)
    values = normal(1, 3)[0]
    fitted = np.polyfit(inverse.numpy(), values.numpy(), 1)[1]
    assert float(intercept(inverse) @ values) == pytest.approx(fitted, rel=1e-9)  # float64
    torch.testing.assert_close(intercept(inverse), torch.tensor([1, 0.5, -0.5], dtype=torch.float64))


def test_samples_that_come_sorted_are_extrapolated_as_shuffled_ones():
    centres = torch.tensor([-9.0, -3.0, 3.0, 9.0]).repeat_interleave(100)[:, None]
    x, y = normal(400, 3) + centres, normal(400, 3) + centres
    metric = Frechet("pixels")
    found = metric.estimate(metric.prepare(x), metric.prepare(y))["fd_infinity"]
    assert abs(found.value) < 4 * found.stderr
    halves = [[Gaussian(part) for part in x.tensor_split(p)] for p in (1, 2, 4)]
    assert metric.estimate(halves, metric.prepare(y))["fd_infinity"].value < -10 * found.stderr


def test_scores_are_of_features_at_the_least_n_beside_floor_and_gain(few):
    samples = torch.rand(100, *few.shape)
    metric = Frechet("pixels")
    scores = metric(Subject(samples, None, [samples**2]), few).scores
    assert list(scores) == [
        f"{name}{of}" for name in ("fd", "fd_infinity") for of in ("", "_gain", "_floor", "_gain_floor")
    ]
    values = [
        frechet_distance(chosen(draw, 40).flatten(1), few.test.flatten(1)) for draw in (samples, samples**2)
    ]
    assert scores["fd"].value == pytest.approx(np.mean(values), rel=1e-6)  # float32 features
    assert scores["fd"].draw_sd == pytest.approx(np.std(values, ddof=1), rel=1e-6)
    assert (scores["fd"].better, scores["fd_gain"].better) == ("lower", "neither")
    assert scores["fd"].settings == {"N": 40, "folds": 0, "features": "pixels", "dimensions": 64}


def test_copies_gain_and_too_few_images_are_said(few):
    scores = Frechet("pca")(Subject(few.train[:100]), replace(few, test=few.train[:100])).scores
    assert scores["fd"].value < 0.3 * scores["fd_floor"].value
    assert scores["fd"].warning == ""
    assert (
        scores["fd_infinity"].warning == "fd_infinity: got 25 images a part, expected more than 64 features"
    )
    folds = tuple(Fold(few.valid, few.test[i : i + 10]) for i in (0, 10, 20))
    of_folds = Frechet("pca")(Subject(few.train), replace(few, folds=folds)).scores["fd"]
    assert (of_folds.stderr_over, of_folds.n, of_folds.settings["N"]) == ("folds", 3, 10)


def test_the_example_in_the_help_is_true():
    found = doctest.testmod(frechet)
    assert found.attempted and not found.failed


def test_the_influence_of_a_set_is_the_same_on_either_side():
    x, y = torch.randn(30, 3).double(), 1 + torch.randn(40, 3).double() @ torch.randn(3, 3).double()
    value, of_x, of_y = between(Gaussian(x), Gaussian(y))
    other, of_y_first, of_x_second = between(Gaussian(y), Gaussian(x))
    assert value == pytest.approx(other)
    torch.testing.assert_close(of_x, of_x_second)
    torch.testing.assert_close(of_y, of_y_first)


@pytest.mark.parametrize(("k", "warned"), [(4, False), (5, True)])
def test_parts_of_no_more_images_than_features_are_warned_of(k, warned):
    metric = Frechet()
    x, y = (metric.prepare(torch.randn(20, k)) for _ in range(2))  # parts of 5
    assert bool(metric.estimate(x, y)["fd_infinity"].warning) == warned
