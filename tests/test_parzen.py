import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from genmodel_bench.data.dataset import Fold
from genmodel_bench.metrics import Subject, distances
from genmodel_bench.metrics.parzen import PAPER_SIGMAS, Parzen, parzen_log_prob, parzen_log_probs
from genmodel_bench.metrics.windows import pooled
from scipy.special import logsumexp


def oracle(x, centres, sigma):
    """The definition, in float64 and by explicit differences."""
    x, centres = np.asarray(x, np.float64), np.asarray(centres, np.float64)
    exponents = -((x[:, None, :] - centres[None]) ** 2).sum(-1) / (2 * sigma**2)
    return (
        logsumexp(exponents, axis=1)
        - math.log(len(centres))
        - x.shape[1] * math.log(sigma * math.sqrt(2 * math.pi))
    )


@pytest.mark.parametrize(("n", "m", "d"), [(1, 1, 1), (7, 3, 2), (5, 200, 784), (50, 20, 64)])
@pytest.mark.parametrize("sigma", [0.1, 0.2154, 1.0])
def test_float64_equals_the_oracle(n, m, d, sigma):
    x, s = torch.rand(n, d, dtype=torch.float64), torch.rand(m, d, dtype=torch.float64)
    # 1e-9: sums of d ≤ 784 terms of order 1, scaled by 1/2σ² ≤ 50, at 2e-16 each
    np.testing.assert_allclose(
        parzen_log_prob(x, s, sigma).numpy(), oracle(x, s, sigma), atol=1e-9, rtol=1e-12
    )


@pytest.mark.parametrize("d", [64, 784, 1024, 2304])
def test_float32_is_within_five_thousandths_of_a_nat(d):
    x, s = torch.rand(40, d), torch.rand(500, d)
    s[:20] = x[:20]  # copies: where the difference of large terms is worst
    for sigma in (0.1, 0.1668):
        # ‖x‖² ~ d/12 after centring, relative rounding ~1e-7·√d, times 1/2σ² ≤ 50
        np.testing.assert_allclose(parzen_log_prob(x, s, sigma).numpy(), oracle(x, s, sigma), atol=5e-3)


def test_float32_points_of_many_dimensions_are_computed_in_float64():
    x, s = torch.rand(10, 2304), torch.rand(20, 2304)
    # 1e-9 of exponents of order 10,000; in float32 the error is above 1e-4
    np.testing.assert_allclose(parzen_log_prob(x, s, 0.1).numpy(), oracle(x, s, 0.1), rtol=1e-12, atol=1e-9)


def test_float32_is_within_five_thousandths_of_a_nat_on_digits(digits):
    x, s = digits.test.flatten(1), digits.train.flatten(1)
    np.testing.assert_allclose(parzen_log_prob(x, s, 0.13).numpy(), oracle(x, s, 0.13), atol=5e-3)


def test_one_sample_is_a_gaussian():
    x, s, sigma = torch.rand(9, 5, dtype=torch.float64), torch.rand(1, 5, dtype=torch.float64), 0.3
    expected = torch.distributions.Normal(s[0], sigma).log_prob(x).sum(1)
    torch.testing.assert_close(parzen_log_prob(x, s, sigma), expected, atol=1e-10, rtol=0)


def test_many_gaussian_samples_approach_the_convolved_gaussian():
    # N → ∞ samples of N(0, 1) under a window of width σ: the density of N(0, 1 + σ²).
    # With N = 200,000 and σ = 0.5 the relative error of the kernel's mean at |x| ≤ 1 is
    # under 4/√N · (spread/mean ≈ 1) ≈ 0.009.
    s, sigma = torch.randn(200_000, 1, dtype=torch.float64), 0.5
    x = torch.linspace(-1, 1, 11, dtype=torch.float64)[:, None]
    expected = torch.distributions.Normal(0, math.sqrt(1 + sigma**2)).log_prob(x[:, 0])
    expected = expected.double()
    torch.testing.assert_close(parzen_log_prob(x, s, sigma), expected, atol=0.01, rtol=0)


@pytest.mark.parametrize("block", [(1, 1), (3, 7), (20, 50)])
@pytest.mark.parametrize("resident", [1, 8 * 16 * 20])
def test_chunk_size_moves_nothing_beyond_rounding(block, resident, monkeypatch):
    x, s = torch.rand(30, 16, dtype=torch.float64), torch.rand(50, 16, dtype=torch.float64)
    whole = parzen_log_probs(x, s, [0.1, 0.5])
    monkeypatch.setattr(distances, "block_shape", lambda device: block)
    monkeypatch.setattr(distances, "RESIDENT", resident)
    torch.testing.assert_close(parzen_log_probs(x, s, [0.1, 0.5]), whole, atol=1e-10, rtol=0)


def test_far_points_do_not_underflow():
    x, s = torch.zeros(1, 784), torch.ones(10, 784)
    expected = -784 / (2 * 0.01**2) - 784 * math.log(0.01 * math.sqrt(2 * math.pi))
    assert float(parzen_log_prob(x, s, 0.01)) == pytest.approx(expected, rel=1e-6)


def test_order_of_samples_and_of_points_does_not_matter():
    x, s = torch.rand(20, 8, dtype=torch.float64), torch.rand(30, 8, dtype=torch.float64)
    turned = parzen_log_prob(x.flip(0), s[torch.randperm(30)], 0.2).flip(0)
    torch.testing.assert_close(turned, parzen_log_prob(x, s, 0.2), atol=1e-10, rtol=0)


@pytest.mark.parametrize(
    ("x", "s", "sigma"),
    [
        ((0, 3), (2, 3), 0.1),
        ((2, 3), (0, 3), 0.1),
        ((2, 3), (2, 4), 0.1),
        ((2, 3), (2, 3), 0.0),
        ((2, 3), (2, 3), -1.0),
    ],
)
def test_what_makes_no_sense_raises(x, s, sigma):
    with pytest.raises(ValueError, match=r"^parzen: "):
        parzen_log_prob(torch.rand(x), torch.rand(s), sigma)


@pytest.mark.parametrize("sigmas", [[], [0.1, 0.0], [-1.0, 0.1]])
def test_every_sigma_must_be_positive_and_there_must_be_one(sigmas):
    with pytest.raises(ValueError, match=r"^parzen: sigma must be positive"):
        parzen_log_probs(torch.rand(2, 3), torch.rand(2, 3), sigmas)


def test_no_gradient_is_taken():
    x, s = torch.rand(3, 2, requires_grad=True), torch.rand(4, 2, requires_grad=True)
    assert not parzen_log_prob(x, s, 0.2).requires_grad


def test_sigma_comes_from_validation_alone(few):
    from dataclasses import replace

    first = Parzen()(Subject(few.train), few).scores["log_likelihood"]
    other_test = replace(few, test=torch.rand_like(few.test))
    second = Parzen()(Subject(few.train), other_test).scores["log_likelihood"]
    assert first.settings["sigma"] == second.settings["sigma"]
    assert first.value != second.value
    curve = [oracle(few.valid.flatten(1), few.train.flatten(1), s).mean() for s in PAPER_SIGMAS]
    assert first.settings["sigma"] == PAPER_SIGMAS[int(np.argmax(curve))]


def test_score_and_error_are_the_definition(few):
    score = Parzen()(Subject(few.train), few).scores["log_likelihood"]
    expected = oracle(few.test.flatten(1), few.train.flatten(1), score.settings["sigma"])
    assert score.value == pytest.approx(expected.mean(), abs=5e-3)
    assert score.stderr == pytest.approx(expected.std() / math.sqrt(len(expected)), abs=5e-3)
    assert score.n == 40
    assert score.settings["samples"] == 200


def test_sigma_on_the_edge_of_the_grid_is_a_warning(few):
    inside = Parzen()(Subject(few.train), few).scores["log_likelihood"]
    assert inside.warning == ""
    for sigmas, edge in (((0.01, 0.015, 0.02), 0.02), ((1.0, 2.0, 3.0), 1.0)):
        score = Parzen(sigmas=sigmas)(Subject(few.train), few).scores["log_likelihood"]
        assert score.warning == f"σ = {edge:g} lies on the edge of its grid"


def test_a_score_says_what_it_is_and_what_was_chosen(few):
    metric = Parzen(sigmas=(0.05, 0.1, 0.2, 0.5), valid_images=30)
    one = metric(Subject(few.train), few).scores["log_likelihood"]
    assert (one.unit, one.better, one.stderr_over, one.n) == ("nats", "higher", "test examples", 40)
    assert one.settings.pop("valid_value") == max(one.curves["sigma on validation"].values())
    assert one.settings == {
        "sigma": one.settings["sigma"],
        "samples": 200,
        "valid_images": 30,
        "folds": 0,
        "sigma_grid": [0.05, 0.5, 4],
    }
    # a second draw, of noise, needs a wider window
    two = metric(Subject(few.train, redraws=[torch.rand_like(few.train)]), few).scores["log_likelihood"]
    assert two.settings["sigma"] == one.settings["sigma"]
    assert two.settings["sigmas"] == [one.settings["sigma"], 0.5]


def test_the_grid_is_the_papers():
    np.testing.assert_allclose(PAPER_SIGMAS, np.logspace(-1, 0, 10))


@pytest.mark.slow
def test_memory_is_bounded_at_any_number_of_samples():
    # In a process of its own: the peak memory of this one is that of other tests.
    code = """
import resource, torch
from genmodel_bench.metrics.parzen import parzen_log_prob
parzen_log_prob(torch.rand(100, 16), torch.rand(100, 16), 0.2)
x, s = torch.rand(1000, 16), torch.rand(1_000_000, 16)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
parzen_log_prob(x, s, 0.2)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 512, "MiB more than before; all distances at once would be 3,800"


def test_draws_are_averaged_and_their_spread_is_told(few):
    draws = [few.train[i::3] for i in range(3)]  # 66 or 67 images each: cut to one size
    first, *others = (draw[:66] for draw in draws)
    one_by_one = [Parzen()(Subject(draw), few).scores["log_likelihood"].value for draw in (first, *others)]
    score = Parzen()(Subject(first, redraws=others), few).scores["log_likelihood"]
    # float32: beside other σ, exponents are scaled differently before they are rounded
    assert score.value == pytest.approx(np.mean(one_by_one), abs=1e-4)
    assert score.draw_sd == pytest.approx(np.std(one_by_one, ddof=1), abs=1e-4)
    assert Parzen()(Subject(first), few).scores["log_likelihood"].draw_sd is None


def test_the_curve_against_n_is_of_the_first_samples_of_all_draws(few):
    first, second = few.train[:80], few.train[80:160]
    score = Parzen(sizes=(20, 80, 100, 160, 500))(Subject(first, redraws=[second]), few).scores[
        "log_likelihood"
    ]
    assert list(score.curves["samples"]) == ["20", "80", "100", "160"]
    for size, value in score.curves["samples"].items():
        alone = Parzen()(Subject(few.train[: int(size)]), few).scores["log_likelihood"]
        assert value == pytest.approx(alone.value, abs=1e-5), size


def test_the_curve_against_sigma_is_of_validation_images(few):
    score = Parzen()(Subject(few.train), few).scores["log_likelihood"]
    expected = [oracle(few.valid.flatten(1), few.train.flatten(1), s).mean() for s in PAPER_SIGMAS]
    assert list(score.curves["sigma on validation"].values()) == pytest.approx(expected, abs=5e-3)
    assert [float(s) for s in score.curves["sigma on validation"]] == pytest.approx(PAPER_SIGMAS, rel=1e-5)
    assert score.settings["valid_value"] == pytest.approx(max(expected), abs=5e-3)


def test_the_score_at_the_fixed_sigma_stands_beside_the_headline(few):
    scores = Parzen()(Subject(few.train), few).scores
    expected = oracle(few.test.flatten(1), few.train.flatten(1), 0.2)
    assert scores["at_sigma_0.2"].value == pytest.approx(expected.mean(), abs=5e-3)
    halves = Parzen()(Subject(few.train[:100], redraws=[few.train[100:]]), few).scores["at_sigma_0.2"].value
    expected_halves = [
        oracle(few.test.flatten(1), part.flatten(1), 0.2).mean()
        for part in (few.train[:100], few.train[100:])
    ]
    assert halves == pytest.approx(np.mean(expected_halves), abs=5e-3)
    assert scores["at_sigma_0.2"].stderr == pytest.approx(expected.std() / math.sqrt(len(expected)), abs=5e-3)


def test_each_fold_has_its_own_sigma_and_the_error_is_over_folds(few):
    from dataclasses import replace

    # Noisy images need a wider window: the folds must choose differently.
    noisy = (few.valid + 0.5 * torch.rand_like(few.valid)).clamp(0, 1)
    folds = (
        Fold(few.valid[:20], few.test[:20]),
        Fold(few.valid[20:], few.test[20:30]),
        Fold(noisy, few.test[30:]),
    )
    score = Parzen()(Subject(few.train), replace(few, folds=folds)).scores["log_likelihood"]
    means, sigmas = [], []
    for fold in folds:
        alone = Parzen()(Subject(few.train), replace(few, valid=fold.valid, test=fold.test)).scores[
            "log_likelihood"
        ]
        means.append(alone.value)
        sigmas.append(alone.settings["sigma"])
    assert len(set(sigmas)) > 1
    assert score.settings["sigmas"] == sorted(set(sigmas))
    assert score.value == pytest.approx(np.mean(means), abs=1e-5)
    assert score.stderr == pytest.approx(np.std(means, ddof=1) / math.sqrt(3), abs=1e-5)
    assert (score.stderr_over, score.n) == ("folds", 3)


def test_draws_and_curves_of_folds_are_means_over_the_folds(few):
    from dataclasses import replace

    folds = (Fold(few.valid[:20], few.test[:25]), Fold(few.valid[20:], few.test[25:]))
    subject = Subject(few.train[:80], redraws=[few.train[80:160]])
    alone = [
        Parzen(sizes=(100,))(subject, replace(few, valid=fold.valid, test=fold.test)).scores for fold in folds
    ]
    both = Parzen(sizes=(100,))(subject, replace(few, folds=folds)).scores
    for name in ("log_likelihood", "at_sigma_0.2"):
        values = [scores[name].value for scores in alone]
        assert both[name].value == pytest.approx(np.mean(values), abs=1e-4)
        assert both[name].stderr == pytest.approx(np.std(values, ddof=1) / math.sqrt(2), abs=1e-4)
        assert (both[name].stderr_over, both[name].n) == ("folds", 2)
    for curve in ("samples", "sigma on validation"):
        expected = np.mean([[*s["log_likelihood"].curves[curve].values()] for s in alone], axis=0)
        assert list(both["log_likelihood"].curves[curve].values()) == pytest.approx(expected, abs=1e-4)
    by_draw = [
        np.mean(
            [
                Parzen()(Subject(draw), replace(few, valid=f.valid, test=f.test))
                .scores["log_likelihood"]
                .value
                for f in folds
            ]
        )
        for draw in (subject.samples, *subject.redraws)
    ]
    assert both["log_likelihood"].draw_sd == pytest.approx(np.std(by_draw, ddof=1), abs=1e-4)


def test_a_folds_whole_validation_set_chooses_sigma(few):
    from dataclasses import replace

    folded = replace(few, folds=(Fold(few.valid, few.test), Fold(few.valid, few.test)))
    assert (
        Parzen(valid_images=5)(Subject(few.train), folded).scores["log_likelihood"].settings["valid_images"]
        == 80
    )
    assert (
        Parzen(valid_images=5)(Subject(few.train), few).scores["log_likelihood"].settings["valid_images"] == 5
    )


def test_a_mixture_is_pooled_from_its_pieces():
    x, s = torch.rand(9, 4, dtype=torch.float64), torch.rand(30, 4, dtype=torch.float64)
    pieces = [(0, 5), (5, 12), (12, 30)]
    parts = torch.stack([parzen_log_probs(x, s[lo:hi], [0.1, 0.3]) for lo, hi in pieces])
    for lo, hi in [(0, 30), (0, 12), (5, 30), (12, 30)]:
        torch.testing.assert_close(
            pooled(parts, pieces, (lo, hi)), parzen_log_probs(x, s[lo:hi], [0.1, 0.3]), atol=1e-10, rtol=0
        )
