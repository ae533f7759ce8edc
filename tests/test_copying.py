import numpy as np
import pytest
import torch
from genmodel_bench.metrics.copying import (
    authenticity,
    c_t,
    mann_whitney,
    near_copies,
    nearer_train,
)
from genmodel_bench.metrics.distances import nearest
from genmodel_bench.metrics.nearness import nearest_others
from scipy.spatial.distance import cdist
from scipy.stats import betabinom, fisher_exact, kstest, mannwhitneyu

NAMES = ("nearer_train", "c_t", "authenticity", "near_copies")


def normal(n, d=3):
    return torch.randn(n, d, dtype=torch.float64)


def to_nearest(x, s):
    return tuple(torch.cdist(x, s, compute_mode="donot_use_mm_for_euclid_dist").min(1))


def to_others(x):
    apart = torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist")
    return apart.fill_diagonal_(torch.inf).min(1).values


def all_of(samples, train, held, near=0.05, permutations=39):
    """The four statistics of points; the cells of C_T are the quadrants."""
    ours, theirs = to_nearest(samples, train), to_nearest(held, train)
    cells = [(x[:, 0] > 0) + 2 * (x[:, 1] > 0) for x in (samples, held)]
    sizes = len(train), len(held)
    return {
        "nearer_train": nearer_train(ours, to_nearest(samples, held), *sizes, permutations),
        "c_t": c_t(ours[0], theirs[0], *cells),
        "authenticity": authenticity(ours, theirs, to_others(train)),
        "near_copies": near_copies(ours[0], theirs[0], near),
    }


@pytest.fixture(scope="module")
def splits():
    """The statistics of 200 splits of points that were all drawn alike."""
    torch.manual_seed(1)
    return [all_of(normal(150), normal(200), normal(150), near=0.3) for _ in range(200)]


def values(splits, name, field="value"):
    return np.array([getattr(split[name], field) for split in splits])


# Without copying


@pytest.mark.parametrize("name", NAMES)
def test_p_of_held_out_points_is_uniform_over_splits(name, splits):
    # a fixed seed; counts of 150 points have few values, which makes p a little too large
    assert kstest(values(splits, name, "p"), "uniform").pvalue > 0.01


@pytest.mark.parametrize("name", NAMES)
def test_value_of_held_out_points_is_its_floor_in_the_mean(name, splits):
    apart = values(splits, name) - values(splits, name, "floor")
    # the half in Z of C_T is 0.01 of a standard deviation at 40 points a cell
    assert abs(apart.mean()) < 4 * apart.std() / 200**0.5


@pytest.mark.parametrize("name", ["nearer_train", "c_t", "near_copies"])
def test_standard_error_is_the_spread_over_fresh_sets(name, splits):
    # 200 repeats give a standard deviation within 5 %, three of which are allowed
    claimed = np.sqrt((values(splits, name, "stderr") ** 2).mean())
    assert claimed / values(splits, name).std() == pytest.approx(1, abs=0.15)


def test_standard_error_of_authenticity_is_given_the_training_points(splits):
    # whose part is the same in the floor
    apart = values(splits, "authenticity") - values(splits, "authenticity", "floor")
    errors = [values(splits, "authenticity", field) for field in ("stderr", "floor_stderr")]
    assert np.sqrt((np.square(errors)).sum(0).mean()) / apart.std() == pytest.approx(1, abs=0.15)


# Copies


def test_copies_have_the_closed_forms_of_each():
    train, held = normal(1000), normal(1000)
    found = all_of(train[torch.randperm(1000)], train, held)
    assert found["nearer_train"].value == 1
    assert found["authenticity"].value == 0
    assert found["near_copies"].value == 1
    assert [found[name].p for name in NAMES] == pytest.approx([1 / 40, 0, 0, 0], abs=1e-20)


def test_c_t_of_copies_in_one_cell_is_minus_the_root_of_three_halves_n():
    n = 1000
    zeros, cell = torch.zeros(n), torch.zeros(n, dtype=torch.int64)
    z = c_t(zeros, torch.rand(n) + 0.1, cell, cell).value
    assert z == pytest.approx(-(n * n / 2 - 0.5) / (n * n * (2 * n + 1) / 12) ** 0.5, rel=1e-12)
    assert z == pytest.approx(-38.72, abs=0.01)  # the rounded value


@pytest.mark.slow
def test_five_per_cent_of_copies_are_found_among_10_000():
    found = []
    for seed in range(10):
        torch.manual_seed(seed)
        train, held, samples = (normal(10_000, 6).float() for _ in range(3))
        samples[:500] = train[:500]
        ours, theirs, cell = nearest(samples, train), nearest(held, train), samples[:, 0] > 0
        each = (
            nearer_train(ours, nearest(samples, held), 10_000, 10_000, 99),
            c_t(ours[0], theirs[0], cell.long(), (held[:, 0] > 0).long()),
            authenticity(ours, theirs, nearest_others(train)),
            near_copies(ours[0], theirs[0], 0.01),
        )
        found.append([statistic.p <= 0.05 for statistic in each])
    assert np.mean(found, 0).min() >= 0.8


# One by one


def test_nearer_train_is_how_often_the_ratio_is_below_one():
    samples, train, held = normal(300), normal(80), normal(80)
    found = all_of(samples, train, held)["nearer_train"]
    ratio = cdist(samples, train).min(1) / cdist(samples, held).min(1)
    assert found.value == pytest.approx((ratio < 1).mean(), rel=1e-12)  # float64


def test_ties_of_training_and_held_out_points_count_half():
    train = normal(40)
    found = all_of(train[:10], train, train)["nearer_train"]
    assert found.value == 0.5


def test_nearer_train_is_one_half_whatever_the_sizes_of_the_sets():
    found = [all_of(normal(800), normal(500), normal(100))["nearer_train"] for _ in range(20)]
    mean, stderr = (np.mean([getattr(each, field) for each in found]) for field in ("value", "stderr"))
    assert mean == pytest.approx(0.5, abs=4 * stderr / 20**0.5)
    # 5 training points to 1 held-out one: the odds of 5:1 are even
    assert stderr == pytest.approx(np.std([each.value for each in found]), rel=0.5)  # of 20: 16 %


def test_samples_that_share_a_nearest_point_are_one_piece_of_evidence():
    train, held = normal(100), normal(100)
    samples = train[:1] + 1e-6 * normal(500)
    found = all_of(samples, train, held, permutations=199)["nearer_train"]
    assert found.value == 1
    assert 0.4 < found.p < 0.65  # 1/2, by 199 permutations
    assert found.stderr == pytest.approx(0.5, abs=0.01)


def test_z_of_mann_whitney_is_that_of_scipy():
    x, y = torch.randint(0, 30, (70,)).double(), torch.randint(0, 30, (45,)).double()
    u = mannwhitneyu(x, y).statistic
    assert mann_whitney(x, y) == pytest.approx(
        (u - (70 * 45 / 2 - 0.5)) / (70 * 45 * 116 / 12) ** 0.5, rel=1e-12
    )


def test_c_t_is_the_mean_over_cells_weighted_by_held_out_points():
    ours, held = torch.rand(100), torch.rand(90)
    our_cells = torch.arange(100) // 40  # 40, 40, 20
    held_cells = torch.tensor([0] * 30 + [1] * 19 + [2] * 41)  # too few in the second
    first = mann_whitney(ours[:40], held[:30])
    third = mann_whitney(ours[80:], held[49:])
    found = c_t(ours, held, our_cells, held_cells)
    assert found.value == pytest.approx((30 * first + 41 * third) / 71, rel=1e-12)
    assert found.stderr == pytest.approx((30**2 + 41**2) ** 0.5 / 71, rel=1e-12)


def test_c_t_without_a_cell_of_enough_points_is_of_all_in_one():
    ours, held = torch.rand(60), torch.rand(60)
    cells = torch.arange(60) // 10
    assert c_t(ours, held, cells, cells).value == mann_whitney(ours, held)


def torus(n, d):
    """Points of the d-torus, as d circles: near one another distances are those on it."""
    angles = 2 * torch.pi * torch.rand(n, d, dtype=torch.float64)
    return torch.stack([angles.cos(), angles.sin()], 2).flatten(1)


@pytest.mark.parametrize(("d", "expected"), [(1, 1 / 3), (2, 1 - 6 * np.pi / (8 * np.pi + 3 * 3**0.5))])
def test_authenticity_of_unseen_points_is_the_closed_form(d, expected):
    train = torus(2000, d)
    found = all_of(torus(2000, d), train, torus(2000, d))["authenticity"]
    # both shares have the error of 2,000 points, and about as much of the training points
    assert found.value == pytest.approx(expected, abs=4 * 2**0.5 * found.stderr)
    assert found.floor == pytest.approx(expected, abs=4 * 2**0.5 * found.stderr)


def test_authenticity_asks_the_nearest_training_point_by_a_loop():
    samples, train, held = normal(50), normal(60), normal(70)
    found = all_of(samples, train, held)["authenticity"]
    own = cdist(train, train)
    np.fill_diagonal(own, np.inf)
    counts = []
    for points in (samples, held):
        apart = cdist(points, train)
        counts.append(sum(row.min() > own[row.argmin()].min() for row in apart))
    assert found.value == pytest.approx(counts[0] / 50, rel=1e-12)
    assert found.floor == pytest.approx(counts[1] / 70, rel=1e-12)
    table = [[counts[0], 50 - counts[0]], [counts[1], 70 - counts[1]]]
    assert found.p == pytest.approx(fisher_exact(table, "less").pvalue, rel=1e-9)  # of lgamma


def test_near_copies_lie_below_the_order_statistic_of_held_out_distances():
    ours, held = torch.rand(200) * 0.8, torch.rand(300)
    found = near_copies(ours, held, 0.1)
    threshold = np.sort(held.numpy())[29]
    below = (ours.numpy() < threshold).sum()
    assert found.value == pytest.approx(below / 200, rel=1e-12)
    assert found.floor == pytest.approx(30 / 301, rel=1e-12)
    assert found.p == pytest.approx(betabinom.sf(below - 1, 200, 30, 271), rel=1e-9)


def test_p_of_near_copies_is_how_often_as_many_of_one_order_lie_below():
    # 5 samples and 4 held-out images in random order: samples before the first of these
    orders = torch.rand(20_000, 9).argsort(1) < 5  # True: a sample is at this place
    before = orders.long().cumprod(1).sum(1)
    ours, held = torch.tensor([0.1, 0.2, 0.6, 0.7, 0.8]), torch.tensor([0.5, 0.55, 0.75, 0.9])
    found = near_copies(ours, held, 0.1)
    # four standard errors of a share of 20,000
    assert found.p == pytest.approx(float((before >= 2).double().mean()), abs=4 * 0.5 / 20_000**0.5)


def test_distances_that_equal_the_threshold_are_no_near_copies():
    same = torch.full((50,), 0.3)
    found = near_copies(same, same, 0.1)
    assert found.value == 0
    assert found.p == pytest.approx(1, abs=1e-12)
