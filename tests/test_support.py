import numpy as np
import pytest
import torch
from genmodel_bench.metrics import distances
from genmodel_bench.metrics.support import near_duplicates, support
from scipy.spatial.distance import cdist


def degrees(items):
    """How many others are the same, of numbers (n,)."""
    return torch.bincount(items)[items] - 1


def drawn(size, n):
    """The degrees of n images that are drawn from `size`, all as probable."""
    return degrees(torch.randint(size, (n,)))


@pytest.mark.parametrize(("size", "n"), [(1000, 300), (1000, 3000), (10**5, 2000)])
def test_estimate_of_equally_probable_images_is_their_number(size, n):
    found = [support(drawn(size, n)) for _ in range(200)]
    pairs = n * (n - 1) / 2 / np.array([10**each.estimate for each in found])
    # four standard errors of the mean over 200; the median of a Poisson number is within
    # 1/50 of its mean less a third, which the estimate adds twice
    expected = n * (n - 1) / 2 / size
    assert pairs.mean() == pytest.approx(expected + 2 / 3, abs=4 * expected**0.5 / 200**0.5 + 0.05)


@pytest.mark.parametrize(("size", "n"), [(1000, 300), (3000, 3000), (10**6, 1000)])
def test_lower_bound_holds_in_95_per_cent(size, n):
    holds = [10 ** support(drawn(size, n)).low <= size for _ in range(500)]
    # four standard errors of a share of 500
    error = 4 * (0.05 * 0.95 / 500) ** 0.5
    assert np.mean(holds) >= 0.95 - error
    # bounds of a count hold more often where counts are few: here 0 or 1
    assert np.mean(holds) <= 0.95 + error or size == 10**6


@pytest.mark.parametrize("skew", [0.0, 1.5])
def test_standard_error_is_the_spread_over_fresh_sets(skew):
    p = (torch.arange(1, 501).double() ** -skew) / (torch.arange(1, 501).double() ** -skew).sum()
    found = [support(degrees(p.multinomial(400, replacement=True))) for _ in range(300)]
    claimed = np.mean([each.stderr for each in found])
    # 300 repeats give a standard deviation within 4 %, three of which are allowed
    assert claimed / np.std([each.estimate for each in found]) == pytest.approx(1, abs=0.13)


def test_frequent_images_count_more_as_the_inverse_of_the_sum_of_squares():
    p = torch.arange(1, 101).double() ** -1.0
    p /= p.sum()
    found = [support(degrees(p.multinomial(1000, replacement=True))) for _ in range(50)]
    # four standard errors over 50 sets, each of 3 %
    assert np.mean([each.estimate for each in found]) == pytest.approx(
        float(-p.square().sum().log10()), abs=4 * found[0].stderr / 50**0.5
    )


def test_without_a_pair_the_bound_is_the_poisson_one_and_finite():
    found = support(torch.zeros(1000, dtype=torch.int64))
    assert 10**found.low == pytest.approx(1000 * 999 / 2 / -np.log(0.05), rel=1e-9)
    assert 10**found.estimate == pytest.approx(1000 * 999 / 2 / np.log(2), rel=1e-9)


def test_copies_of_one_image_have_a_support_of_one():
    found = support(torch.full((500,), 499))
    assert found.low == 0
    assert found.estimate == pytest.approx(0, abs=1e-4)  # 1/2K, of the median


def test_a_set_of_the_birthday_size_has_a_duplicate_half_the_time():
    size = 1000
    found = [support(drawn(size, 5000)).birthday for _ in range(20)]
    assert np.mean(found) == pytest.approx(37.7, abs=0.2)  # √(2 S ln 2) + 1/2
    different = np.cumprod(1 - np.arange(38) / size)  # of sets of 1, 2, … 38
    assert different[36] > 0.5 > different[37]


@pytest.mark.parametrize("block", [(4, 3), (64, 64)])
def test_near_duplicates_are_those_of_a_loop(block, monkeypatch):
    monkeypatch.setattr(distances, "block_shape", lambda device: block)
    x, s = torch.rand(23, 4, dtype=torch.float64), torch.rand(31, 4, dtype=torch.float64)
    within = cdist(x, s) <= 0.4
    of_x, of_s = near_duplicates(x, s, 0.4)
    assert of_x.tolist() == within.sum(1).tolist()
    assert of_s.tolist() == within.sum(0).tolist()


def test_equal_images_are_near_duplicates_at_any_threshold():
    x = torch.rand(300, 784)
    x[100:110] = x[:1]
    of_x, _ = near_duplicates(x, x, 0.0)
    assert of_x[1:100].tolist() == [1] * 99
    assert of_x[100:110].tolist() == [11] * 10
