import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from genmodel_bench.metrics import Subject, discriminator
from genmodel_bench.metrics import classifier_two_sample_test as c2st
from genmodel_bench.metrics.c2st import C2ST, placements, scores
from genmodel_bench.metrics.discriminator import as_levels, places, told_apart
from scipy.stats import kstest, norm
from sklearn.metrics import roc_auc_score

JSD = {0.5: 0.0303113, 1: 0.1114215, 2: 0.3368308, 3: 0.5267773}
"""Of N(0, 1) and N(δ, 1), in nats, by δ; by quadrature, see the test below."""


def gaussians(n, shift, d=1):
    """Samples N(δe, 1) and real rows N(0, 1)."""
    x, y = torch.randn(2, n, d, dtype=torch.float64)
    x[:, 0] += shift
    return x, y


def test_divergences_are_those_of_quadrature():
    x = np.linspace(-12, 15, 200_001)
    for shift, expected in JSD.items():
        p, q = norm.pdf(x), norm.pdf(x, shift)
        m = (p + q) / 2
        terms = (p * np.log(p / m) + q * np.log(q / m)) / 2
        assert np.trapezoid(terms, x) == pytest.approx(expected, abs=1e-7)  # as many digits are given


@pytest.mark.parametrize("shift", JSD)
def test_the_best_discriminator_gives_the_divergence(shift):
    x, y = (points[:, 0] for points in gaussians(20_000, shift))
    found = scores(shift**2 / 2 - shift * x, shift**2 / 2 - shift * y)
    expected = {
        "jsd": JSD[shift],
        "criterion": -math.log(4) + 2 * JSD[shift],
        "accuracy": norm.cdf(shift / 2),
        "auc": norm.cdf(shift / 2**0.5),
    }
    for name, value in expected.items():
        assert found[name].value == pytest.approx(value, abs=4 * found[name].stderr)  # four standard errors
        assert 0 < found[name].stderr < 0.02


@pytest.mark.parametrize("shift", JSD)
def test_a_trained_discriminator_gives_no_more_and_little_less(shift):
    found = c2st(*gaussians(4000, shift, d=3))
    error = found["jsd"].stderr
    assert found["jsd"].value < JSD[shift] + 3 * error
    # logistic regression has the best form; 3,200 rows give its weights within some 0.05
    assert found["jsd"].value > JSD[shift] - 3 * error - 0.005


def test_sets_apart_have_log_two():
    found = c2st(*gaussians(400, 100))
    # D is no nearer to 0 and 1 than one in 80 validation images
    assert found["jsd"].value == pytest.approx(math.log(2) - math.log(1 + 1 / 80), abs=1e-3)
    assert (found["accuracy"].value, found["auc"].value) == (1, 1)
    assert found["p"].value < 1e-20


def test_p_is_uniform_for_two_sets_of_one_distribution():
    found = [c2st(*gaussians(200, 0.0, d=2), seed=seed)["p"].value for seed in range(200)]
    # p has steps of 0.04 to 0.08, since accuracy has steps of 1/400
    assert kstest(found, "uniform").pvalue > 1e-3


def test_p_is_that_of_accuracy_around_a_half():
    n = 1000
    logits = torch.ones(n, dtype=torch.float64)
    logits[: n * 45 // 100] = -1  # 55 % of real images are told right, and of samples
    found = scores(-logits, logits)
    assert found["accuracy"].value == pytest.approx(0.55)
    expected = norm.sf(0.05 / (1 / (4 * 2 * n)) ** 0.5)
    assert found["p"].value == pytest.approx(expected, rel=1e-9)  # float64
    assert scores(logits * 0 - 1, logits * 0 - 1)["p"].value == 0.5  # nothing is called real


def test_auc_is_that_of_scikit_learn_with_ties():
    x, y = torch.randint(6, (300,)).double(), torch.randint(1, 8, (200,)).double()
    expected = roc_auc_score([0] * 300 + [1] * 200, torch.cat([x, y]))
    assert scores(x, y)["auc"].value == pytest.approx(expected, abs=1e-12)  # float64
    assert placements(y, x).shape == (200,)


def test_standard_errors_are_the_spread_over_fresh_held_out_images():
    found = [scores(*(0.5 - x[:, 0] for x in gaussians(200, 1.0))) for _ in range(300)]
    for name in ("jsd", "criterion", "accuracy", "auc"):
        spread = np.std([one[name].value for one in found])
        claimed = np.mean([one[name].stderr ** 2 for one in found]) ** 0.5
        assert claimed == pytest.approx(spread, rel=0.15)  # 300 repeats: within 4 %


def test_the_held_out_half_decides_nothing():
    x, y = gaussians(100, 1.0, d=2)
    images = [each.float().view(100, 1, 1, 2).repeat(1, 1, 4, 2) for each in (x, y)]
    for sets in ((x, y), images):
        place = places(torch.cat(list(sets)), torch.Generator().manual_seed(0))[:100]
        held_out = torch.where(place >= 0.5)[0]
        before = told_apart(*sets)
        changed = sets[0].clone()
        changed[held_out[0]] = 7.0
        after = told_apart(changed, sets[1])
        assert torch.equal(before.real, after.real)
        assert (before.samples != after.samples).tolist() == [True] + [False] * (len(held_out) - 1)


def test_equal_images_are_on_one_side_unless_they_are_many():
    x = torch.rand(1000, 3)
    x[500:900] = x[100:500]
    x[900:] = 0.0
    x[900:950, 0] = -0.0
    place = places(x, torch.Generator().manual_seed(0))
    assert torch.equal(place[500:900], place[100:500])
    assert len(place[:500].unique()) == 500
    assert 20 < int((place[900:] < 0.5).sum()) < 80
    assert 0 <= place.min() and place.max() < 1
    assert float((place < 0.5).double().mean()) == pytest.approx(0.5, abs=0.01)


def test_samples_are_rounded_to_the_levels_of_the_data(few):
    noise = (torch.rand(few.train.shape) - 0.5) / 17  # digits have 17 levels, 1/16 apart
    assert torch.equal(as_levels((few.train + noise).clamp(0, 1), few.train), few.train)
    real = torch.rand(300, 10)
    assert as_levels(few.train, real) is few.train  # no levels
    assert set(as_levels(torch.rand(9, 9), torch.eye(3)).unique().tolist()) == {0, 1}


def test_noise_below_a_grey_level_tells_no_sample(digits):
    order = torch.randperm(len(digits.train))
    x, y = digits.train[order[:400]], digits.train[order[400:800]]
    noisy = (x + (torch.rand(x.shape) - 0.5) / 17).clamp(0, 1)
    assert c2st(noisy, y) == c2st(x, y)


def test_real_halves_are_not_told_apart_and_blurred_ones_are(digits):
    order = torch.randperm(len(digits.train))
    x, y = digits.train[order[:500]], digits.train[order[500:1000]]
    found = c2st(x, y, nets=2)
    assert found["jsd"].value < 3 * found["jsd"].stderr
    assert found["p"].value > 1e-3
    blurred = c2st(torch.nn.functional.avg_pool2d(x, 3, 1, 1), y)
    assert blurred["jsd"].value > 0.5
    assert blurred["accuracy"].value > 0.95


def test_generators_stay_as_they_are_and_a_seed_gives_its_scores(few):
    before = torch.get_rng_state()
    x, y = few.train[:100], few.train[100:]
    assert c2st(x, y) == c2st(x, y) != c2st(x, y, seed=1)
    assert torch.equal(torch.get_rng_state(), before)


def test_arrays_give_the_numbers_of_tensors_and_few_rows_are_refused():
    x, y = gaussians(50, 1.0)
    assert c2st(x.numpy(), y.numpy()) == c2st(x, y)
    with pytest.raises(ValueError, match="got 19 rows, expected at least 20"):
        c2st(x[:19], y)


def test_scores_follow_the_protocol_with_the_first_draw_alone(few):
    subject = Subject(torch.rand(60, *few.shape), None, [torch.rand(60, *few.shape)])
    found = C2ST()(subject, few).scores
    expected = {"jsd", "criterion", "accuracy", "auc", "p"}
    ends = ("", "_gain", "_floor", "_gain_floor")
    assert found.keys() == {name + end for name in expected for end in ends} - {"p_gain", "p_gain_floor"}
    assert found["jsd"].draw_sd is None
    assert found["jsd"].settings == {"N": 40, "folds": 0, "features": "pixels", "nets": 1}
    by_rows = C2ST("pca")(subject, few).scores
    assert by_rows["jsd"].settings["features"] == "pca"


def test_copies_of_training_images_gain(digits):
    order = torch.randperm(len(digits.train))[:297]
    reference = replace(digits, train=digits.train[order])
    other = replace(digits, test=1 - digits.test)
    found = C2ST()(Subject(reference.train), replace(other, train=reference.train)).scores
    assert found["jsd_gain"].value > 0.5
    assert found["jsd_floor"].value > 0.5


def test_the_state_of_the_least_validation_loss_is_kept(monkeypatch):
    losses, seen = [5.0, 3.0, 1.0, 2.0, 4.0, 1.5, 2.5, 3.5], []

    def best_scale(logits, y):
        seen.append(logits)
        return 1.0, losses[len(seen) - 1]

    monkeypatch.setattr(discriminator, "best_scale", best_scale)
    x, y = torch.rand(20, 1, 8, 8), (torch.arange(20) % 2).float()
    found = discriminator.by_net(x, (x, y), (x, y), torch.Generator().manual_seed(0))
    assert len(seen) == 8
    torch.testing.assert_close(found.double(), seen[2])
