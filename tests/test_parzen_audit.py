import math
from dataclasses import replace

import pytest
import torch
from genmodel_bench.data.dataset import Fold
from genmodel_bench.metrics import Subject
from genmodel_bench.metrics.bandwidth import Choice, chosen, peak
from genmodel_bench.metrics.parzen import Parzen
from genmodel_bench.metrics.parzen_audit import ParzenAudit, audited, effective_neighbours, median_of
from genmodel_bench.metrics.windows import PAPER_SIGMAS, parzen_log_prob


def normal(n, d, sd=1.0):
    return torch.randn(n, d, dtype=torch.float64) * sd


def softmax_of(x, centres, sigma):
    """The shares w of centres in p(x), by explicit float64 differences: (n, N)."""
    squares = (x.double()[:, None] - centres.double()[None]).square().sum(2)
    return (-squares / (2 * sigma**2)).softmax(1)


@pytest.mark.parametrize("sigma", [0.1, 0.5, 3.0])
def test_neighbours_are_those_of_an_explicit_softmax(sigma):
    x, centres = normal(20, 4), normal(50, 4)
    w = softmax_of(x, centres, sigma)
    count, largest = effective_neighbours(x, centres, sigma)
    torch.testing.assert_close(count, 1 / w.square().sum(1), rtol=1e-9, atol=0)  # float64
    # ties apart, the window at σ / 1000 is the nearest centre's but for log N / 1e6
    torch.testing.assert_close(largest, w.amax(1), rtol=1e-5, atol=0)


def test_neighbours_of_float32_images_are_those_of_float64():
    x, centres = torch.rand(30, 784), torch.rand(200, 784)
    w = softmax_of(x, centres, 1.0)
    count, largest = effective_neighbours(x, centres, 1.0)
    # float32 distances make exponents wrong by 2e-3, and so each of two sums of them
    torch.testing.assert_close(count, 1 / w.square().sum(1), rtol=0.02, atol=0)
    torch.testing.assert_close(largest, w.amax(1), rtol=0.02, atol=0)


def test_one_sample_is_one_neighbour_and_equally_near_ones_are_all():
    x = normal(5, 3)
    count, largest = effective_neighbours(x, normal(1, 3), 0.3)
    assert count.tolist() == largest.tolist() == [1.0] * 5
    count, largest = effective_neighbours(torch.zeros(1, 40), torch.eye(40), 0.3)
    # float32: 40 equal terms
    assert count.item() == pytest.approx(40, rel=1e-5)
    assert largest.item() == pytest.approx(1 / 40, rel=1e-4)


def test_two_far_groups_count_the_near_one_alone():
    centres = torch.cat([torch.zeros(7, 5), torch.full((9, 5), 50.0)]).double()
    count, _ = effective_neighbours(torch.zeros(1, 5).double(), centres, 1.0)
    assert count.item() == pytest.approx(7, rel=1e-12)  # float64


def test_best_sigma_of_one_sample_is_the_root_mean_square_distance_by_dimension():
    x, centre = normal(200, 9, 0.3), torch.zeros(1, 9, dtype=torch.float64)
    expected = math.sqrt(float(x.square().sum(1).mean()) / 9)
    found = chosen(x, centre, PAPER_SIGMAS, 300)
    # a parabola in log σ over steps of 3 %: its vertex is off by a third of their square
    assert found.best == pytest.approx(expected, rel=1e-3)
    # by resampling: the mean of ‖x‖², and half its relative error
    error = expected * float(x.square().sum(1).std() / x.square().sum(1).mean()) / 200**0.5 / 2
    # a standard deviation of 300 resamples is known within 4 %
    assert float(found.resampled.std()) == pytest.approx(error, rel=0.15)
    nearest = min(PAPER_SIGMAS, key=lambda sigma: abs(math.log(sigma / expected)))
    assert found.sigma == nearest
    assert 0 <= found.same <= 1 and not found.edge


@pytest.mark.parametrize("sd", [0.004, 30.0])
def test_grid_is_widened_on_either_side_until_it_holds_the_maximum(sd):
    x, centre = normal(200, 9, sd), torch.zeros(1, 9, dtype=torch.float64)
    found = chosen(x, centre, PAPER_SIGMAS, 20)
    assert found.sigma in (PAPER_SIGMAS[0], PAPER_SIGMAS[-1])
    assert found.best == pytest.approx(math.sqrt(float(x.square().mean())), rel=1e-3)  # as above
    assert not found.edge


def test_grid_is_not_widened_for_ever_where_samples_are_the_validation_images():
    x = normal(30, 4)
    assert chosen(x, x, PAPER_SIGMAS, 20).edge


def test_peak_of_a_parabola_is_its_vertex():
    u = torch.linspace(0, 1, 11, dtype=torch.float64)
    vertices = torch.tensor([0.23, 0.5, 0.99])
    found = peak(u, -(u - vertices[:, None].double()).square())
    torch.testing.assert_close(found, vertices.double(), rtol=1e-9, atol=0)  # float64
    assert peak(u, torch.stack([u.square(), -u.sqrt()])).tolist() == [1, 0]


def test_error_of_a_median_is_its_spread():
    values = torch.rand(2000, 400, dtype=torch.float64)
    spread = float(values.median(1).values.std())
    # 2,000 medians: within 2 %; one interval's width varies by 25 %
    claimed = [median_of(row).stderr for row in values[:200]]
    assert sum(claimed) / 200 == pytest.approx(spread, rel=0.15)


def test_nats_are_those_of_parzen_and_at_the_best_sigma_of_its_function(few):
    samples = torch.rand(150, *few.shape) ** 2
    result = ParzenAudit()(Subject(samples), few)
    scores = {name: score.value for name, score in result.scores.items()}
    theirs = Parzen()(Subject(samples), few).scores["log_likelihood"]
    # float32 distances: 5e-3 nats
    assert scores["best_sigma"] - scores["moved"] == pytest.approx(theirs.value, abs=0.01)
    assert result.scores["best_sigma"].settings["sigma"] == theirs.settings["sigma"]
    x, centres = few.test.flatten(1), samples.flatten(1)
    at_best = parzen_log_prob(x, centres, scores["sigma"])
    torch.testing.assert_close(result.arrays["best_log_prob"], at_best, rtol=0, atol=0.01)
    halves = [parzen_log_prob(x, centres[i::2], theirs.settings["sigma"]).mean() for i in (0, 1)]
    assert scores["per_doubling"] == pytest.approx(theirs.value - float(sum(halves)) / 2, abs=0.01)
    valid = few.valid.flatten(1)
    fine = [float(parzen_log_prob(valid, centres, scores["sigma"] * by).mean()) for by in (0.98, 1, 1.02)]
    assert fine[1] > max(fine[0], fine[2])


def test_twice_the_same_samples_add_nothing(few):
    samples = torch.rand(100, *few.shape).repeat_interleave(2, 0)
    scores = ParzenAudit()(Subject(samples), few).scores
    assert scores["per_doubling"].value == pytest.approx(0, abs=0.01)  # float32, as above


def test_one_image_alone_has_all_samples_as_neighbours(few):
    image = few.train.mean(0, keepdim=True)
    scores = ParzenAudit()(Subject(image.expand(150, *few.shape)), few).scores
    assert scores["neighbours"].value == pytest.approx(150, rel=1e-3)  # float32 exponents
    assert (scores["single"].value, scores["single"].stderr) == (0, 0)
    squares = (few.valid - image).double().flatten(1).square().sum(1)
    assert scores["sigma"].value == pytest.approx(math.sqrt(float(squares.mean()) / 64), rel=1e-3)  # as above


def test_sigmas_nats_are_the_spread_of_the_score_over_resampled_validation_images(few):
    samples = torch.rand(150, *few.shape) ** 2
    claimed = ParzenAudit(resamples=1000)(Subject(samples), few).scores["sigma_nats"].value
    x, centres, values = few.test.flatten(1), samples.flatten(1), []
    for _ in range(100):
        valid = few.valid[torch.randint(40, (40,))].flatten(1)
        values.append(float(parzen_log_prob(x, centres, chosen(valid, centres, PAPER_SIGMAS, 1).best).mean()))
    # 100 values give a standard deviation within 7 %
    assert claimed == pytest.approx(float(torch.tensor(values).std()), rel=0.25)


def test_samples_that_are_the_validation_images_have_a_warning(few):
    samples = few.valid.repeat(3, 1, 1, 1)
    assert "edge" in ParzenAudit()(Subject(samples), few).scores["best_sigma"].warning


def test_only_the_first_draw_is_used(few):
    draws = [torch.rand(150, *few.shape) ** power for power in (1, 2)]
    found = []
    for more in ([], draws[1:]):
        torch.manual_seed(1)
        found.append(ParzenAudit()(Subject(draws[0], None, more), few).scores)
    assert found[0] == found[1]
    assert found[0]["best_sigma"].settings["draws"] == 1


def test_folds_are_audited_one_by_one_and_averaged(few):
    samples = torch.rand(150, *few.shape) ** 2
    folds = tuple(Fold(few.valid[i : i + 20], few.test[i : i + 20]) for i in (0, 20))
    result = ParzenAudit()(Subject(samples), replace(few, folds=folds))
    alone = [
        ParzenAudit()(Subject(samples), replace(few, valid=fold.valid, test=fold.test)) for fold in folds
    ]
    for name in ("best_sigma", "moved", "sigma", "neighbours", "single", "per_doubling"):
        values = [each.scores[name].value for each in alone]
        score = result.scores[name]
        assert score.value == pytest.approx(sum(values) / 2, rel=1e-9, abs=1e-12)  # the same numbers
        assert score.stderr == pytest.approx(abs(values[0] - values[1]) / 2, rel=1e-6, abs=1e-9)
        assert (score.stderr_over, score.n) == ("folds", 2)
    assert len(result.arrays["best_log_prob"]) == 40


def test_one_sample_of_three_as_near_ones_does_not_carry_an_estimate_alone():
    centres, sigma = torch.eye(3, dtype=torch.float64), torch.full((5,), 0.2, dtype=torch.float64)
    test = torch.cat([torch.zeros(1, 3), torch.eye(3)[:1]]).double()  # between all three; on one
    found, _ = audited(test, centres, Choice(0.2, 1.0, 0.2, sigma, False))
    assert found["single"].value == 0.5


def test_the_best_score_s_error_has_that_of_sigma_in_it():
    sigma = torch.tensor([0.15, 0.2, 0.3], dtype=torch.float64)
    found, best = audited(
        torch.rand(20, 3).double(), torch.rand(30, 3).double(), Choice(0.2, 1.0, 0.2, sigma, False)
    )
    of_images = float(best.std(correction=0)) / 20**0.5
    assert found["sigma_nats"].value > 0.1 * of_images
    assert found["best_sigma"].stderr == pytest.approx(math.hypot(of_images, found["sigma_nats"].value))
