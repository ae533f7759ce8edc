import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from genmodel_bench.data.dataset import Fold
from genmodel_bench.metrics import Subject, balls, nearby
from genmodel_bench.metrics import precision_recall_density_coverage as prdc
from genmodel_bench.metrics.comparison import chosen
from genmodel_bench.metrics.nearby import k_nearest, pairs_within
from genmodel_bench.metrics.prdc import PRDC


def normal(n, d, mean=0.0, sd=1.0, dtype=torch.float64):
    return (torch.randn(n, d, dtype=torch.float64) * sd + mean).to(dtype)


def levels(n, d, m=3):
    """Points of a grid: they coincide, and are often equally far from each other."""
    return torch.randint(m, (n, d)).double() / 255


def apart(x, s):
    """All squared distances, one difference after the other."""
    return (x.double()[:, None] - s.double()[None]).square().sum(2)


def by_definition(samples, real, k):
    """Kynkäänniemi et al., eq. 1 and 2; Naeem et al., eq. 3 to 5; all pairs."""
    of = []
    for x in (samples, real):
        own = apart(x, x).fill_diagonal_(torch.inf)
        of.append([sorted(row)[k - 1] for row in own.tolist()])
    cross = apart(real, samples).tolist()
    m, n = len(samples), len(real)
    # On a grid equal distances differ by float64's rounding of their sums.
    held = [[cross[i][j] <= of[1][i] * (1 + 1e-12) for i in range(n)] for j in range(m)]
    back = [[cross[i][j] <= of[0][j] * (1 + 1e-12) for j in range(m)] for i in range(n)]
    return {
        "coverage": sum(any(held[j][i] for j in range(m)) for i in range(n)) / n,
        "precision": sum(map(any, held)) / m,
        "recall": sum(map(any, back)) / n,
        "density": sum(map(sum, held)) / (k * m),
    }


def values(found):
    return {name: estimate.value for name, estimate in found.items()}


@pytest.mark.parametrize("make", [normal, levels], ids=["without ties", "with ties and copies"])
@pytest.mark.parametrize(("m", "n", "d", "k"), [(60, 45, 2, 3), (30, 80, 4, 5), (12, 12, 3, 1), (7, 6, 2, 5)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_all_four_are_those_of_the_definition(make, m, n, d, k, dtype):
    # what is rounded to float32 is so for both sides; shares are of whole numbers
    x, y = make(m, d).to(dtype), make(n, d).to(dtype)
    assert values(prdc(x, y, k)) == pytest.approx(by_definition(x, y, k), abs=1e-12)


def test_blocks_and_strips_change_nothing(monkeypatch):
    x, y = levels(70, 4), levels(90, 4)
    expected = prdc(x, y, 4)
    for module in (nearby, nearby.squared_distance_blocks.__globals__):
        patched = module if isinstance(module, dict) else vars(module)
        monkeypatch.setitem(patched, "block_shape", lambda device: (8, 12))
    monkeypatch.setattr(nearby, "AT_ONCE", 20)
    monkeypatch.setattr(balls, "PAIRS", 7)
    assert values(prdc(x, y, 4)) == values(expected)
    for resident in (5, 30):
        monkeypatch.setitem(nearby.squared_distance_blocks.__globals__, "RESIDENT", resident * 4 * 8)
        found = prdc(x, y, 4)
        # of equally near neighbours others are kept, and others are left out with a tenth
        assert values(found) == values(expected)


@pytest.mark.parametrize("n", [150, 640, 1500])  # of grouped and of whole columns, one and two strips
def test_nearest_are_those_of_all_distances(n):
    x = normal(n, 6, dtype=torch.float32)
    all_of_them = apart(x, x).fill_diagonal_(torch.inf).sort(1)
    distances, index = k_nearest(x, 9)
    # differences of float32, 6e-8 each of its size
    torch.testing.assert_close(distances, all_of_them.values[:, :9], rtol=1e-6, atol=0)
    assert (index == all_of_them.indices[:, :9]).double().mean() > 0.999  # those nearly equally far apart


def test_copies_are_at_distance_zero_and_no_row_is_its_own_neighbour():
    x = torch.rand(50, 30).repeat(3, 1) + 10  # far from 0: products lose digits
    distances, index = k_nearest(x, 3)
    assert (distances[:, :2] == 0).all()
    assert (distances[:, 2] > 0).all()
    assert (index != torch.arange(150)[:, None]).all()


def test_pairs_within_are_all_there_are_and_open_rows_alone_count_for_the_second_radius():
    x, s = normal(40, 3), normal(50, 3)
    of_x, of_s, open_x = torch.rand(40), torch.rand(50), torch.arange(40) < 20
    found = torch.zeros(40, 50, dtype=torch.bool)
    for i, j, squared, error in pairs_within(x, s, of_x, of_s, open_x=open_x):
        assert float((squared - apart(x, s)[i, j]).abs().max()) < error < 1e-12
        found[i, j] = True
    expected = (apart(x, s) <= of_x[:, None]) | ((apart(x, s) <= of_s) & open_x[:, None])
    assert torch.equal(found, expected)


def test_rounding_bounds_the_error_of_products():
    x, s = torch.rand(60, 784), torch.rand(50, 784)
    ((rows, columns, a, b),) = nearby.squared_distance_blocks(x, s)
    wrong = float((a + b - apart(x, s)[rows, columns]).abs().max())
    assert 0 < wrong < nearby.rounding(x, s) < 100 * wrong


@pytest.mark.parametrize("make", [normal, levels], ids=["once each", "with copies"])
def test_a_set_against_itself_has_one(make):
    x = make(300, 3).float()
    found = values(prdc(x, x[torch.randperm(300)], 5))
    assert {found[name] for name in ("coverage", "precision", "recall")} == {1.0}
    # each ball holds its centre and its five neighbours, and more where they are copies
    assert found["density"] == pytest.approx(1.2) if make is normal else found["density"] > 1.2


def test_images_with_k_copies_have_balls_of_radius_zero_which_hold_them():
    real = torch.eye(8).repeat(4, 1)  # each 4 times: the third neighbour is a copy
    assert values(prdc(real[:24], real, 3)) == {"coverage": 1, "precision": 1, "recall": 1, "density": 4 / 3}
    other = values(prdc(real + 1e-3, real, 3))
    assert other == {"coverage": 0, "precision": 0, "recall": 0, "density": 0}


def test_far_apart_sets_have_nothing():
    assert set(values(prdc(normal(50, 4), normal(50, 4) + 100, 5)).values()) == {0.0}


@pytest.mark.parametrize(("m", "n", "k"), [(150, 100, 5), (60, 60, 3)])
def test_coverage_and_density_of_unseen_real_images_have_their_expectations(m, n, k):
    # whatever the distribution: 1 − Π (n − i)/(m + n − i) and 1
    found = [values(prdc(normal(m, 2), normal(n, 2), k)) for _ in range(100)]
    expected = {"coverage": 1 - math.prod((n - i) / (m + n - i) for i in range(1, k + 1)), "density": 1.0}
    for name, value in expected.items():
        each = [one[name] for one in found]
        assert np.mean(each) == pytest.approx(value, abs=4 * np.std(each) / 10)  # four standard errors


def test_uniform_numbers_that_overlap_by_a_part_have_that_part():
    # U[0, 1] against U[a, 1 + a]: all four near 1 − a; coverage times 1 − 2⁻ᵏ
    a, n, k = 0.4, 4000, 5
    found = prdc(torch.rand(n, 1, dtype=torch.float64) + a, torch.rand(n, 1, dtype=torch.float64), k)
    for name, expected in (
        ("precision", 0.6),
        ("recall", 0.6),
        ("density", 0.6),
        ("coverage", 0.6 * 31 / 32),
    ):
        # a share has √(p(1 − p)/n) = 0.008, more where images share balls; four of these
        assert found[name].value == pytest.approx(expected, abs=0.035)


def test_standard_error_is_at_least_the_spread_over_fresh_sets():
    found = [prdc(normal(200, 4, 0.3), normal(200, 4), 5) for _ in range(40)]
    for name in found[0]:
        spread = np.std([one[name].value for one in found], ddof=1)
        claimed = np.mean([one[name].stderr ** 2 for one in found]) ** 0.5
        # 40 repeats give a standard deviation within 11 %: three of these below
        assert 0.65 < claimed / spread < 2.3


def test_sets_without_enough_neighbours_are_refused():
    with pytest.raises(ValueError, match="got 5 rows and k = 5, expected more rows than k"):
        prdc(normal(5, 2), normal(20, 2), 5)
    with pytest.raises(ValueError, match="k ≥ 1"):
        prdc(normal(5, 2), normal(20, 2), 0)


def test_arrays_give_the_numbers_of_tensors():
    x, y = normal(50, 3), normal(60, 3)
    assert prdc(x.numpy(), y.numpy(), k=3) == prdc(x, y, 3)
    with pytest.raises(ValueError, match="got float32 and float64, expected"):
        prdc(x.float(), y.numpy())


def test_scores_follow_the_protocol(few):
    metric = PRDC("pixels", k=3)
    subject = Subject(torch.rand(60, *few.shape), None, [torch.rand(60, *few.shape)])
    scores = metric(subject, few).scores
    x = [chosen(draw, 40).flatten(1) for draw in (subject.samples, *subject.redraws)]
    expected = [values(prdc(each, few.test.flatten(1), 3)) for each in x]
    for name in ("coverage", "precision", "recall", "density"):
        # the same test images in another order
        assert scores[name].value == pytest.approx(np.mean([one[name] for one in expected]), abs=1e-12)
        assert {f"{name}_gain", f"{name}_floor"} <= scores.keys()
    known = {"N": 40, "folds": 0, "features": "pixels", "dimensions": 64, "k": 3}
    assert scores["coverage"].settings == known
    assert next(iter(scores)) == next(iter(metric.columns)) == "coverage"
    folds = tuple(Fold(few.valid, few.test[i : i + 20]) for i in (0, 20))
    assert metric(subject, replace(few, folds=folds)).scores["coverage"].settings["N"] == 20


def test_copies_of_training_images_gain_and_real_images_do_not(digits):
    metric, n = PRDC("pca"), 300
    order = torch.randperm(len(digits.train))
    seen, half = digits.train[order[:n]], replace(digits, train=digits.train[order[n:]])
    copies = metric(Subject(seen), replace(digits, train=seen)).scores
    unseen = metric(Subject(seen), half).scores
    assert copies["coverage_gain"].value > 0.01
    for name in ("coverage", "density"):
        gain, floor = unseen[f"{name}_gain"], unseen[f"{name}_floor"]
        assert abs(gain.value) < 3 * gain.stderr
        assert abs(floor.value - unseen[name].value) < 3 * math.hypot(floor.stderr, unseen[name].stderr)


def test_only_the_classifiers_features_have_all_columns():
    assert {column.table for column in PRDC().columns.values()} == {"quality"}
    ((name, column),) = PRDC("pca").columns.items()
    assert (name, column.title, column.table) == ("coverage", "coverage pca", "features")


def test_balls_reach_to_the_fifth_neighbour_by_default():
    assert PRDC().k == 5
