"""AIS of decoders against probabilistic PCA, x = W z + σ noise, whose p_σ is Gaussian."""

import itertools
import math
from types import SimpleNamespace

import pytest
import torch
from genmodel_bench.metrics import METRICS, Subject, ais_decoder
from genmodel_bench.metrics.ais_decoder import AISDecoder
from genmodel_bench.metrics.annealing import (
    Hamiltonian,
    forward,
    lower,
    pilot,
    reverse,
    schedule,
    sizes_at,
    upper,
)
from genmodel_bench.metrics.hmc import state_at
from genmodel_bench.metrics.smoothed import (
    Annealer,
    Chosen,
    check_latent,
    in_gaussian_space,
    log_constant,
    nearness,
)
from torch.distributions import MultivariateNormal

D, K, SIGMA = 5, 2, 0.3
W = torch.tensor([[0.9, 0.1], [-0.4, 0.8], [0.3, 0.5], [0.0, -0.7], [0.6, 0.2]], dtype=torch.float64)
X = torch.tensor([0.8, 0.3, 0.6, -0.9, 0.4], dtype=torch.float64)
LAST = SIGMA**-2


class Linear:
    """Probabilistic PCA as a model with a latent space."""

    prior = "gaussian"

    def latent(self, n):
        return torch.randn(n, K, dtype=torch.float64)

    def decode(self, z):
        return (z @ W.T).unflatten(1, (1, 1, D))


def exact(x, sigma):
    """log p_σ of x: (..., d)."""
    cov = W @ W.T + sigma**2 * torch.eye(D, dtype=torch.float64)
    return MultivariateNormal(torch.zeros(D, dtype=torch.float64), cov).log_prob(x)


LOG_Z = float(exact(X, SIGMA)) - log_constant(LAST, D)


def posterior(weight):
    """Mean and covariance of N(z; 0, I) exp(weight · ℓ(z)) for the image X."""
    cov = (torch.eye(K, dtype=torch.float64) + weight * W.T @ W).inverse()
    return weight * cov @ W.T @ X, cov


def mean_ell(weight):
    """E ℓ(z) under that."""
    m, cov = posterior(weight)
    return float(-0.5 * ((X - W @ m).square().sum() + (W @ cov @ W.T).trace()))


def ell(z):
    return -0.5 * (X - z @ W.T).square().sum(1)


def drawn(weight, n):
    m, cov = posterior(weight)
    return MultivariateNormal(m, cov).sample((n,))


def exactly(weights, n):
    """Transitions that draw from their target, independently of the state."""
    return lambda state, t: state_at(drawn(weights[t], n), ell)


def linear(T):
    return [LAST * t / T for t in range(T + 1)]


def error(log_w):
    """The standard error of log mean w, to first order."""
    w = (log_w - log_w.max()).exp()
    return float(w.std() / w.mean()) / len(w) ** 0.5


@pytest.mark.parametrize("weights", [linear(8), schedule(LAST, 8)], ids=["linear", "ours"])
def test_perfect_transitions_hit_the_left_and_the_right_riemann_sum(weights):
    n = 20_000
    steps = [b - a for a, b in itertools.pairwise(weights)]
    left = sum(step * mean_ell(w) for step, w in zip(steps, weights[:-1], strict=True))
    right = sum(step * mean_ell(w) for step, w in zip(steps, weights[1:], strict=True))
    torch.manual_seed(0)
    up = forward(state_at(drawn(0.0, n), ell), weights, exactly(weights, n))[-1]
    down = reverse(state_at(drawn(LAST, n), ell), weights, exactly(weights, n))
    for found, law in ((up, left), (down, right)):
        assert abs(float(found.mean()) - law) < 4 * float(found.std()) / n**0.5
    assert left < LOG_Z < right
    if weights == linear(8):
        assert right - left == pytest.approx(LAST * (mean_ell(LAST) - mean_ell(0.0)) / 8, rel=1e-12)


def finite_variance(weights):
    """Whether 1/w has a variance under perfect transitions.

    E 1/w² of one step is ∫ N(z; 0, I) exp((2 λ_(t−1) − λ_t) ℓ(z)) dz / Z(λ_t).
    """
    largest = float(torch.linalg.eigvalsh(W.T @ W).max())
    return all(1 + (2 * a - b) * largest > 0 for a, b in itertools.pairwise(weights))


@pytest.mark.parametrize("weights", [linear(64), schedule(LAST, 8)], ids=["linear", "ours"])
def test_both_estimates_of_perfect_transitions_are_within_four_of_their_errors(weights):
    n = 20_000
    torch.manual_seed(0)
    up = forward(state_at(drawn(0.0, n), ell), weights, exactly(weights, n))[-1]
    down = reverse(state_at(drawn(LAST, n), ell), weights, exactly(weights, n))
    # where the first step is so long that 1/w has no variance, the upper one misses
    assert finite_variance(weights) and not finite_variance(linear(8))
    assert abs(float(lower(up, n)) - LOG_Z) < 4 * error(up) < 0.15
    assert abs(float(upper(down, n)) - LOG_Z) < 4 * error(-down) < 0.15


def test_hmc_meets_the_exact_log_probability_from_both_sides():
    n, weights = 4_000, schedule(LAST, 40)
    torch.manual_seed(0)
    sizes = pilot(state_at(drawn(0.0, 200), ell), ell, weights, 5)
    move = Hamiltonian(ell, weights, sizes, 5)
    up = forward(state_at(drawn(0.0, n), ell), weights, move)[-1]
    down = reverse(state_at(drawn(LAST, n), ell), weights, move)
    assert abs(float(lower(up, n)) - LOG_Z) < 3 * error(up) < 0.1
    assert abs(float(upper(down, n)) - LOG_Z) < 3 * error(-down) < 0.2
    assert float(up.mean()) + 3 * float(up.std()) / n**0.5 < LOG_Z
    assert float(down.mean()) - 3 * float(down.std()) / n**0.5 > LOG_Z
    assert 0.6 < sum(move.acceptances) / len(move.acceptances) < 0.99


def test_every_temperature_of_a_run_estimates_its_own_log_z():
    weights, n = schedule(LAST, 30), 4_000
    torch.manual_seed(0)
    log_w = forward(state_at(drawn(0.0, n), ell), weights, exactly(weights, n))
    for t in (10, 20, 25, 30):
        found = float(lower(log_w[t - 1], n)) + log_constant(weights[t], D)
        assert abs(found - float(exact(X, weights[t] ** -0.5))) < 4 * error(log_w[t - 1])


def test_without_temperatures_in_between_it_is_importance_sampling_from_the_prior():
    z = drawn(0.0, 500)
    found = forward(state_at(z, ell), schedule(LAST, 1), lambda state, t: pytest.fail("moved"))
    torch.testing.assert_close(found, (LAST * ell(z))[None])


def annealer(**changes):
    settings = {"k": K, "chains": 20, "temperatures": 60, "leapfrogs": 5, **changes}
    return Annealer(in_gaussian_space(Linear()), **settings)


@pytest.fixture(scope="module")
def chosen():
    torch.manual_seed(3)
    x = exact_images(20)[0]
    return annealer().choose(x, 0.2)


def exact_images(n):
    """Images of the model itself, and their codes."""
    z = torch.randn(n, K, dtype=torch.float64)
    return z @ W.T + SIGMA * torch.randn(n, D, dtype=torch.float64), z


@pytest.mark.parametrize("chains", [1, 4])
def test_short_runs_leave_the_truth_between_the_bounds(chosen, chains):
    torch.manual_seed(0)
    x, z = exact_images(200)
    at = Chosen(SIGMA, {}, False, chosen.weights, chosen.sizes)
    short = annealer(chains=chains, temperatures=4, leapfrogs=2)
    for errors in (exact(x, SIGMA) - short.below(x, at)[0], short.above(x, z, at) - exact(x, SIGMA)):
        assert float(errors.mean()) > 3 * float(errors.std()) / 200**0.5


def test_sigma_is_that_of_the_highest_exact_log_probability(chosen):
    torch.manual_seed(3)
    x = exact_images(20)[0]
    truth = {sigma: float(exact(x, sigma).mean()) for sigma in chosen.log_probs}
    best = max(truth, key=truth.get)
    # neighbours on the path differ by 1.5/46 there: one of them is as good
    assert abs(math.log(chosen.sigma / best)) < 0.1
    assert not chosen.edge
    for sigma, value in chosen.log_probs.items():
        assert value == pytest.approx(truth[sigma], abs=0.15)  # 400 chains, 20 images


def test_a_uniform_prior_is_reached_from_a_gaussian_one():
    model = SimpleNamespace(prior="uniform", decode=lambda z: z)
    torch.manual_seed(0)
    z = in_gaussian_space(model)(torch.randn(100_000, 1, dtype=torch.float64))[:, 0]
    assert float(z.abs().max()) <= math.sqrt(3)
    # mean 0, variance 1, fourth moment 9/5: five standard errors
    for power, law, var in ((1, 0, 1), (2, 1, 0.8), (4, 1.8, 9 - 1.8**2)):
        assert abs(float(z.pow(power).mean()) - law) < 5 * (var / 100_000) ** 0.5


def test_log_probability_under_a_uniform_prior_is_that_of_quadrature():
    def curve(z):
        return torch.cat([z.sin(), 0.3 * z.square()], 1)

    model, sigma = SimpleNamespace(prior="uniform", decode=curve), 0.2
    x = torch.tensor([[0.5, 0.2], [-0.9, 0.6], [0.9, 1.1]], dtype=torch.float64)
    grid = (torch.arange(20_000, dtype=torch.float64) + 0.5) / 20_000 * 2 * math.sqrt(3) - math.sqrt(3)
    square = (x[:, None] - curve(grid[:, None])[None]).square().sum(2)
    truth = (-square / (2 * sigma**2)).exp().mean(1).log() - math.log(2 * math.pi * sigma**2)
    torch.manual_seed(0)
    run = Annealer(in_gaussian_space(model), 1, 1500, 100, 5)
    found, _ = run.below(x, Chosen(sigma, {}, False, [0.0, 1e3], [0.15, 0.15]))
    # 1,500 chains with sd(w) / mean(w) near 1: three errors of three images
    torch.testing.assert_close(found, truth, atol=0.08, rtol=0)


@pytest.mark.parametrize(
    ("prior", "latent", "decode", "message"),
    [
        ("gaussian", lambda n: 0.2 * torch.randn(n, 3), None, "latent: draws have mean .* deviation 0.20"),
        ("uniform", lambda n: torch.rand(n, 3), None, "latent: draws have mean 0.50"),
        ("uniform", lambda n: torch.randn(n, 3), None, "prior is 'uniform'; expected"),
        ("uniform-01", lambda n: torch.randn(n, 3), None, "prior is 'uniform-01'; expected"),
        ("gaussian", lambda n: torch.randn(n, 3), lambda z: z.detach(), "decode: autograd cannot follow it"),
    ],
)
def test_a_prior_or_decoder_that_cannot_be_annealed_is_one_line(prior, latent, decode, message):
    torch.manual_seed(0)
    with pytest.raises(ValueError, match=message):
        check_latent(SimpleNamespace(prior=prior, latent=latent, decode=decode or (lambda z: z)))


def test_chains_of_an_image_stay_together():
    x = torch.tensor([[0.0], [1.0]])
    values = nearness(lambda eps: eps, x, 3)(torch.zeros(6, 1))
    assert values.tolist() == [0, 0, 0, -0.5, -0.5, -0.5]
    log_w = torch.tensor([0.0, 0.0, math.log(4), 1.0, 1.0, 1.0])
    torch.testing.assert_close(lower(log_w, 3), torch.tensor([math.log(2), 1.0]))
    torch.testing.assert_close(upper(log_w, 3), torch.tensor([-math.log(2.25 / 3), 1.0]))


def images(n=12):
    torch.manual_seed(2)
    x = exact_images(2 * n)[0].view(2, n, 1, 1, D)
    return SimpleNamespace(train=x[0], valid=x[0], test=x[1], folds=(), levels=0)


SMALL = AISDecoder(images=200, valid_images=30, simulated=200, chains=2, temperatures=12, leapfrogs=3)


def test_scores_say_kind_and_sigma_and_the_gap_covers_the_error():
    data = images(200)
    torch.manual_seed(0)
    result = SMALL(Subject(torch.empty(0), Linear()), data)
    value, gap = result.scores["log_likelihood"], result.scores["gap"]
    assert (value.better, value.n, value.unit, value.settings["kind"]) == ("higher", 200, "nats", "≤")
    assert value.settings["sigma"] == result.scores["sigma"].value
    errors = exact(data.test.flatten(1), value.settings["sigma"]) - result.arrays["log_likelihood"]
    # test images are the model's own, as those of the gap: three standard errors each
    below = 3 * float(errors.std()) / 200**0.5
    assert below < float(errors.mean()) < gap.value + below + 3 * gap.stderr
    assert gap.value < 4 * float(errors.mean()) and gap.n == 200


def test_annealing_that_is_too_short_is_warned_of():
    short = AISDecoder(images=10, valid_images=8, simulated=12, chains=1, temperatures=2, leapfrogs=1)
    torch.manual_seed(0)
    value = short(Subject(torch.empty(0), Linear()), images()).scores["log_likelihood"]
    assert "the annealing is too short" in value.warning


def test_settings_that_cannot_be_are_refused():
    for changes in ({"images": 0}, {"temperatures": 0}, {"smallest_sigma": 0.0}):
        with pytest.raises(ValueError, match="ais-decoder: expected counts"):
            AISDecoder(**changes)
    assert METRICS["ais-decoder"].needs[0].__name__ == "Latent"


def test_a_step_size_is_that_of_the_next_higher_weight_that_was_tuned():
    assert sizes_at([0.0, 0.5, 1.0, 1.5, 7.0, 99.0], [0.1, 0.2, 0.3], [0.0, 1.0, 7.0]) == [
        0.1,
        0.2,
        0.2,
        0.3,
        0.3,
        0.3,
    ]


def test_sigma_is_chosen_by_validation_images_alone():
    model = Linear()

    def images(noise):
        torch.manual_seed(1)
        return model.decode(model.latent(20)) + noise * torch.randn(20, 1, 1, D, dtype=torch.float64)

    def sigma(valid, test):
        metric = AISDecoder(20, 20, simulated=20, chains=2, temperatures=12, leapfrogs=3, smallest_sigma=0.1)
        data = SimpleNamespace(train=images(0.3), valid=images(valid), test=images(test), folds=(), levels=0)
        torch.manual_seed(0)
        return metric(Subject(torch.empty(0), model), data).scores["sigma"].value

    assert sigma(0.1, 0.6) == sigma(0.1, 0.1) < sigma(0.6, 0.6) == sigma(0.6, 0.1)


def test_images_of_the_model_s_own_have_noise_of_the_chosen_sigma(monkeypatch):
    model, seen, above = Linear(), [], ais_decoder.Annealer.above

    def recorded(self, x, eps, chosen):
        seen.append((float((x - self.decoder(eps)).std()), chosen.sigma))
        return above(self, x, eps, chosen)

    monkeypatch.setattr(ais_decoder.Annealer, "above", recorded)
    x = model.decode(model.latent(20)) + 0.3 * torch.randn(20, 1, 1, D, dtype=torch.float64)
    metric = ais_decoder.AISDecoder(
        images=20, valid_images=20, simulated=200, chains=2, temperatures=12, leapfrogs=3
    )
    metric(Subject(torch.empty(0), model), SimpleNamespace(train=x, valid=x, test=x, folds=(), levels=0))
    ((sd, sigma),) = seen
    assert sigma < 0.8 and sd == pytest.approx(sigma, rel=5 / (2 * 1000) ** 0.5)


def test_no_wider_gaussian_than_1_is_tried():
    annealer = Annealer(lambda eps: eps, 2, chains=2, temperatures=20, leapfrogs=2)
    assert max(annealer.choose(torch.randn(3, 2), 0.2).log_probs) <= 1


def test_the_smallest_sigma_is_the_edge():
    annealer = Annealer(lambda eps: 0 * eps, 2, chains=2, temperatures=20, leapfrogs=2)
    x = 0.5 * torch.randn(200, 2)
    inside, at_edge = annealer.choose(x, 0.1), annealer.choose(x, 0.8)
    assert (inside.edge, at_edge.edge, at_edge.sigma) == (False, True, pytest.approx(0.8))
    assert annealer.choose(4 * x, 0.1).edge is False  # the widest
