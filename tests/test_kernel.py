import doctest

import numpy as np
import pytest
import torch
from genmodel_bench.metrics import Subject, kernel
from genmodel_bench.metrics.comparison import chosen
from genmodel_bench.metrics.kernel import Kernel, across, kernel_distance, mmd, within
from sklearn.metrics.pairwise import polynomial_kernel


def normal(n, k, mean=0.0, sd=1.0):
    return torch.randn(n, k, dtype=torch.float64) * sd + mean


def by_scikit_learn(x, y):
    """The mean over all pairs of different points, from whole matrices."""

    def mean(a, b):
        found = polynomial_kernel(a, b, degree=3, gamma=1 / a.shape[1], coef0=1)
        if a is b:
            np.fill_diagonal(found, 0)
        return found.sum() / (len(a) * (len(b) - (a is b)))

    x, y = x.double().numpy(), y.double().numpy()
    return mean(x, x) + mean(y, y) - 2 * mean(x, y)


@pytest.mark.parametrize("block", [(4096, 4096), (7, 5), (1, 1)])
def test_it_is_the_mean_over_pairs_of_scikit_learns_kernel(block, monkeypatch):
    monkeypatch.setattr(kernel, "block_shape", lambda device: block)
    x, y = normal(20, 6, 0.5), normal(15, 6, 0, 1.5)
    # float64, of sums of kernels near 10
    assert kernel_distance(x, y) == pytest.approx(by_scikit_learn(x, y), abs=1e-12)


def test_float32_points_are_summed_in_float64():
    x, y = normal(300, 30, 3).float(), normal(300, 30, 3).float()
    # kernels of 1,000: float32 would be wrong by 1e-4
    assert kernel_distance(x, y) == pytest.approx(by_scikit_learn(x, y), abs=1e-10)


def test_mean_kernels_of_gaussians_are_the_closed_form():
    n, k, mean = 3000, 5, 0.3
    x, y = normal(n, k), normal(n, k, mean)
    shift = k * mean**2
    forms = [
        (within(x), 1 + 3 / k),
        (across(x, y)[0], 1 + 3 * (k + shift) / k**2),
        (
            within(y),
            1
            + 3 * shift / k
            + 3 * (shift**2 + 2 * shift + k) / k**2
            + (shift**3 + 3 * shift * (2 * shift + k) + 6 * shift) / k**3,
        ),
    ]
    assert [round(form, 6) for _, form in forms] == [1.6, 1.654, 2.088349]
    for values, form in forms:
        # the error of a mean over pairs is twice that of a mean of their values
        assert float(values.mean()) == pytest.approx(form, abs=4 * 2 * float(values.std()) / n**0.5)


@pytest.mark.parametrize("sd", [1.5, 0.5])
def test_distance_of_two_scales_is_the_closed_form(sd):
    k = 4
    expected = 3 / k * (1 - sd**2) ** 2
    x, y = normal(3000, k, 0, sd), normal(3000, k)
    found = mmd(within(x), within(y), *across(x, y))
    assert found.value == pytest.approx(expected, abs=4 * found.stderr)
    assert found.stderr < 0.2 * expected


def test_two_sets_of_one_distribution_have_a_mean_of_zero_and_their_error():
    for sd, lowest, highest in ((1.3, 0.7, 1.3), (1.0, 1.0, 1.9)):
        found = []
        for _ in range(200):
            x, y = normal(100, 5, 0, sd), normal(100, 5)
            found.append(mmd(within(x), within(y), *across(x, y)))
        values = torch.tensor([each.value for each in found])
        if sd == 1:
            # 200 values: four standard errors
            assert abs(float(values.mean())) < 4 * float(values.std()) / 200**0.5
        claimed = np.mean([each.stderr**2 for each in found]) ** 0.5
        # a standard deviation of 200 is known within 5 to 10 %; √2 for equal ones
        assert lowest < claimed / float(values.std()) < highest


def test_far_sets_are_far_and_copies_below_zero():
    x = normal(50, 5)
    assert kernel_distance(x, x) < 0  # the copies' own kernels are only between the sets
    assert kernel_distance(x, x + 5) > 1000


def test_sets_of_another_form_are_refused():
    with pytest.raises(ValueError, match=r"kernel_distance: got \(5, 3\) and \(5, 4\), expected"):
        kernel_distance(torch.zeros(5, 3), torch.zeros(5, 4))


def test_score_is_of_features_beside_floor_and_gain(few):
    samples = torch.rand(100, *few.shape)
    scores = Kernel("pixels")(Subject(samples), few).scores
    assert list(scores) == ["kd", "kd_gain", "kd_floor", "kd_gain_floor"]
    expected = by_scikit_learn(chosen(samples, 40).flatten(1), few.test.flatten(1))
    assert scores["kd"].value == pytest.approx(expected, rel=1e-9)  # float64
    assert scores["kd"].settings == {"N": 40, "folds": 0, "features": "pixels", "dimensions": 64}
    assert abs(scores["kd_floor"].value) < 4 * scores["kd_floor"].stderr < scores["kd"].value


def test_the_example_in_the_help_is_true():
    found = doctest.testmod(kernel)
    assert found.attempted and not found.failed
