"""The bound against closed forms of probabilistic PCA, quadrature and plain formulas."""

import math
from types import SimpleNamespace

import pytest
import torch
from genmodel_bench.cells.protocol import Protocol
from genmodel_bench.commands.run import run
from genmodel_bench.data.dataset import assemble
from genmodel_bench.metrics import METRICS, Subject, bound
from genmodel_bench.metrics.bound import Bound, active_units, importance_bounds
from genmodel_bench.metrics.features import NotApplicable
from genmodel_bench.models.autoencoders import iwae
from torch.distributions import Bernoulli, MultivariateNormal, Normal


class LinearGaussian:
    """x = W z + sigma eps, whose posterior is known; q is it, or the prior."""

    def __init__(self, d=5, k=2, *, exact, sigma=0.7):
        self.W, self.sigma, self.exact = torch.randn(d, k, dtype=torch.float64), sigma, exact
        cov = self.W @ self.W.T + sigma**2 * torch.eye(d)
        self.evidence = MultivariateNormal(torch.zeros(d, dtype=torch.float64), cov)
        self.prior = MultivariateNormal(torch.zeros(k, dtype=torch.float64), torch.eye(k).double())

    def q(self, x):
        if not self.exact:
            return self.prior.expand((len(x),))
        A = torch.eye(self.W.shape[1]) + self.W.T @ self.W / self.sigma**2
        mean = torch.linalg.solve(A, self.W.T @ x.flatten(1).T / self.sigma**2).T
        return MultivariateNormal(mean, precision_matrix=A)

    def encode(self, x):
        q = self.q(x)
        return q.mean, q.variance.log()

    def log_weights(self, x, k):
        q = self.q(x)
        z = q.sample((k,))
        likelihood = Normal(z @ self.W.T, self.sigma).log_prob(x.flatten(1)).sum(2)
        return likelihood + self.prior.log_prob(z) - q.log_prob(z)


X = torch.randn(6, 1, 1, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("k", [1, 600])
def test_with_the_exact_posterior_the_bound_is_log_p(k):
    model = LinearGaussian(exact=True)
    found = importance_bounds(model, X, k)
    log_p = model.evidence.log_prob(X.flatten(1))
    torch.testing.assert_close(found["bound"], log_p)
    torch.testing.assert_close(found["elbo"], log_p)
    torch.testing.assert_close(found["ess"], torch.full((6,), float(k)).double())


def test_with_the_prior_as_q_the_elbo_is_its_closed_form_and_the_bound_near_log_p():
    model = LinearGaussian(exact=False)
    found = importance_bounds(model, X, 20_000)
    x, s2 = X.flatten(1), model.sigma**2
    elbo = -2.5 * math.log(2 * math.pi * s2) - (x.square().sum(1) + model.W.square().sum()) / (2 * s2)
    # log w is a quadratic form of z, of standard deviation below 20: 0.15 of 20,000 draws
    torch.testing.assert_close(found["elbo"], elbo, atol=0.6, rtol=0)
    log_p = model.evidence.log_prob(x)
    assert (found["elbo"] < log_p - 1).all()
    # relative error of a mean of weights of so many effective draws: four times of it
    assert ((found["bound"] - log_p).abs() < 4 / found["ess"].sqrt()).all()


@torch.no_grad()
def test_the_bound_of_bernoullis_equals_quadrature():
    model = iwae.Config(latent=1, hidden=(6,)).build((1, 2, 3)).double()
    for p in model.parameters():
        p.copy_(torch.randn_like(p))
    # a q(z|x) wider than the prior: the variance of the weights is finite
    model.encoder[-1].weight.mul_(0.2)
    model.encoder[-1].bias.fill_(0.7)
    x = torch.rand(8, 1, 2, 3).round().double()
    z = torch.linspace(-10, 10, 2001, dtype=torch.float64)
    joint = Bernoulli(logits=model.decoder(z[:, None])).log_prob(x.flatten(1)[:, None]).sum(2)
    log_p = (joint + Normal(0, 1).log_prob(z)).logsumexp(1) + math.log(20 / 2000)
    found = importance_bounds(model, x, 5000)
    assert ((found["bound"] - log_p).abs() < 4 / found["ess"].sqrt()).all()
    assert (found["elbo"] < found["bound"]).all()


def test_an_image_has_its_numbers_from_the_seed_and_those_before_it_alone():
    model = iwae.Config(latent=3, hidden=(6,)).build((1, 2, 3))
    x, asked = torch.rand(5, 1, 2, 3).round(), []
    spied = SimpleNamespace(log_weights=lambda x, k: asked.append((len(x), k)) or model.log_weights(x, k))
    torch.manual_seed(1)
    one = importance_bounds(spied, x[:2], 600)
    torch.manual_seed(1)
    more = importance_bounds(model, x, 600)
    assert torch.equal(one["bound"], more["bound"][:2])
    assert asked == [(1, 250), (1, 250), (1, 100)] * 2  # in bounded memory
    torch.manual_seed(1)
    w = torch.cat([model.log_weights(x[:1], part) for _, part in asked[:3]]).detach().double().exp()
    assert float(one["bound"][0]) == pytest.approx(float(w.mean().log()))
    assert float(one["ess"][0]) == pytest.approx(float(w.sum() ** 2 / w.square().sum()))


def test_units_whose_mean_does_not_vary_are_not_active():
    def encode(x):
        u = x.flatten(1)[:, :1]  # variance ¼
        return torch.cat([u, 0.21 * u, 0.19 * u, torch.ones_like(u)], 1), None  # ¼ · 0.2² = 0.01

    x = torch.tensor([0.0, 1.0]).repeat(400).view(800, 1, 1, 1)
    assert active_units(SimpleNamespace(encode=encode), x) == (2, 4)


def data(x):
    return assemble("some", x, None, [torch.arange(10), torch.arange(10, 15), torch.arange(15, len(x))])


def test_scores_say_what_they_bound_and_of_which_images():
    x = torch.rand(30, 1, 2, 3).round()
    model = iwae.Config(latent=3, hidden=(6,)).build((1, 2, 3))
    result = Bound(k=100, images=12)(Subject(x, model), data(x))
    assert list(result.scores) == ["bound", "bits", "elbo", "ess", "active"]
    score = result.scores["bound"]
    said = {"folds": 0, "support": "binary", "kind": "≤", "draws": 100, "images": 12}
    assert (score.settings, score.better, score.n) == (said, "lower", 12)
    assert score.value == pytest.approx(float(result.arrays["bound"].mean()))
    assert result.scores["bits"].value == pytest.approx(score.value / (6 * math.log(2)))
    assert score.value < result.scores["elbo"].value
    assert METRICS["bound"] == Bound(k=5000, images=None)
    assert bound.Bound().columns.keys() <= result.scores.keys()


def test_weights_of_another_shape_are_one_line():
    x = torch.rand(30, 1, 2, 3).round()
    model = iwae.Config(latent=3, hidden=(6,)).build((1, 2, 3))
    model.log_weights = lambda x, k: torch.zeros(k)
    with pytest.raises(ValueError, match=r"log_weights: got \(100,\) for 100 draws of 1 image, expected"):
        Bound(k=100)(Subject(x, model), data(x))


def test_a_row_is_read_back_as_it_was_written(tmp_path):
    asked = {
        "dataset": "digits-binary",
        "seeds": 1,
        "results": tmp_path,
        "figures": False,
        "metrics": ["bound"],
    }
    short = {"options": ["iwae.epochs=1"], "protocol": Protocol(samples=150, draws=1), "device": "cpu"}
    first, again = (run(["iwae"], **asked, **short) for _ in range(2))
    assert first["doubt"].eq("").all() and first.equals(again)  # no time is another: nothing was made again


def test_grey_images_have_none():
    x = torch.rand(30, 1, 2, 3)
    model = iwae.Config(latent=3, hidden=(6,)).build((1, 2, 3))
    with pytest.raises(NotApplicable, match="binary"):
        Bound()(Subject(x, model), data(x))
