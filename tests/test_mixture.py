"""The mixture against enumeration, its closed form with one component, and EM's law."""

import math

import pytest
import torch
from genmodel_bench.models.densities import mixture


def fitted(levels, components=3, n=60, **settings):
    """A mixture fitted to n images of 2×2 pixels, float64, and these."""
    config = mixture.Config(**{"components": components, "levels": levels, "rounds": 5} | settings)
    model = config.build((1, 2, 2)).double()
    x = (torch.rand(n, 1, 2, 2, dtype=torch.float64) ** 2 * (levels - 1)).round() / (levels - 1)
    model.initialise(x)
    return model, x


def every(levels, dtype=torch.float64):
    """All images of 2×2 pixels."""
    return torch.cartesian_prod(*[torch.linspace(0, 1, levels, dtype=dtype)] * 4).view(-1, 1, 2, 2)


@pytest.mark.parametrize("levels", [2, 3, 5])
def test_probabilities_of_all_images_sum_to_one(levels):
    model, _ = fitted(levels)
    assert float(model.log_prob(every(levels)).exp().sum()) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("levels", [2, 4])
def test_log_prob_is_the_plain_sum_over_components(levels):
    model, x = fitted(levels)
    expected = []
    for image in x.flatten(1):
        ps = []
        for k in range(3):
            theta = model.log_theta[k].exp()  # (levels, d)
            values = [float(theta[round(float(v) * (levels - 1)), i]) for i, v in enumerate(image)]
            ps.append(float(model.log_pi[k].exp()) * math.prod(values))
        expected.append(math.log(sum(ps)))
    torch.testing.assert_close(model.log_prob(x), torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize("levels", [2, 4])
def test_one_component_is_of_independent_pixels(levels):
    model, x = fitted(levels, components=1, rounds=1, smoothing=2.0)
    for level in range(levels):
        count = (x * (levels - 1)).round().eq(level).double().sum(0).flatten()
        share = (count + 1 / levels) / 61
        torch.testing.assert_close(model.log_theta[0, level].exp(), (count + 2 * share) / 62)


@pytest.mark.parametrize(("levels", "smoothing"), [(2, 1.0), (2, 1e-5), (5, 0.3)])
def test_em_never_lowers_its_objective(levels, smoothing):
    model, x = fitted(levels, components=8, rounds=0, smoothing=smoothing)
    found = []
    for _ in range(25):
        model.round(x)
        found.append((model.objective(x), float(model.log_prob(x).sum())))
    steps = torch.tensor(found, dtype=torch.float64).diff(dim=0)
    assert steps[:, 0].min() > -1e-9
    if smoothing == 1e-5:  # hardly a prior: the likelihood itself does not fall
        assert steps[:, 1].min() > -1e-3
    assert float(steps[0, 0]) > 1e-3


def test_parts_of_any_size_fit_and_score_the_same(monkeypatch):
    torch.manual_seed(1)
    model, x = fitted(3)
    whole = model.log_prob(x)
    monkeypatch.setattr(mixture, "CHUNK", 7 * 8)  # seven images
    torch.manual_seed(1)
    again, _ = fitted(3)
    torch.testing.assert_close(again.train().log_prob(x), whole)


@pytest.mark.parametrize("levels", [2, 3])
def test_samples_have_the_probabilities_of_the_model(levels):
    model, _ = fitted(levels)
    model.float()
    p = model.log_prob(every(levels, torch.float32)).exp()
    x = model.sample(20_000)
    code = (x.flatten(1) * (levels - 1)).round().long() @ levels ** torch.arange(3, -1, -1)
    shares = torch.bincount(code, minlength=len(p)) / 20_000
    error = (p * (1 - p) / 20_000).sqrt()
    # of 81 shares, of which rare ones are not normal, none beyond five errors
    assert ((shares - p).abs() < 5 * error + 1e-4).all()
    entropy = -float((p * p.log()).sum())
    log_p = model.log_prob(x)
    assert float(log_p.mean()) == pytest.approx(-entropy, abs=4 * float(log_p.std()) / math.sqrt(20_000))


def test_means_are_of_the_components():
    model, _ = fitted(3)
    means = mixture.Config(components=3, levels=3, output="means").build((1, 2, 2))
    means.load_state_dict(model.float().state_dict())
    grey = model.log_theta.exp()[:, 1] / 2 + model.log_theta.exp()[:, 2]
    found = means.sample(400).flatten(1)
    assert (torch.cdist(found, grey).min(1).values < 1e-6).all()
    torch.testing.assert_close(found.mean(0), model.log_pi.exp() @ grey, atol=0.08, rtol=0)


def test_wrong_settings_are_refused():
    with pytest.raises(ValueError, match="mixture: smoothing must be above 0, got 0"):
        mixture.Config(smoothing=0)
    with pytest.raises(ValueError, match="mixture: components must be at least 1, got 0"):
        mixture.Config(components=0)


def of_two(**settings):
    """A mixture of black and of white images, 9 to 1."""
    model = mixture.Config(components=2, levels=2, **settings).build((1, 2, 2))
    model.log_pi.copy_(torch.tensor([0.9, 0.1]).log())
    model.log_theta.copy_(torch.tensor([[1 - 1e-6, 1e-6], [1e-6, 1 - 1e-6]]).log()[:, :, None])
    return model


@pytest.mark.parametrize("output", ["draws", "means"])
def test_components_are_drawn_with_their_weights(output):
    white = of_two(output=output).sample(4000).mean()
    assert float(white) == pytest.approx(0.1, abs=5 * math.sqrt(0.09 / 4000))


def test_the_objective_is_the_likelihood_and_the_dirichlet_prior():
    model = of_two(smoothing=3.0)
    x = torch.rand(20, 1, 2, 2).round()
    model.start(x)
    prior = (model.shares * model.log_theta).sum() + model.log_pi.sum()
    expected = float(model.log_prob(x).double().sum()) + 3 * float(prior)
    assert model.objective(x) == pytest.approx(expected, rel=1e-6)


def test_components_start_at_random_images():
    model = mixture.Config(components=3, levels=2, rounds=0, smoothing=1e-3).build((1, 2, 2))
    x = torch.ones(300, 1, 2, 2)
    x[:3] = 0
    model.initialise(x)
    assert float(model.log_theta[:, 1].exp().amax()) > 0.9


def test_a_component_starts_as_one_image_smoothed():
    model = mixture.Config(components=2, levels=3, rounds=0, smoothing=2.0).build((1, 1, 3)).double()
    levels = torch.tensor([0, 1, 2])
    x = (levels / 2).double().view(1, 1, 1, 3).repeat(5, 1, 1, 1)
    model.initialise(x)
    image = torch.eye(3).double()  # level l of pixel i
    shares = (5 * image + 1 / 3) / 6
    torch.testing.assert_close(model.shares, shares)
    torch.testing.assert_close(model.log_theta.exp(), ((image + 2 * shares) / 3).expand(2, -1, -1))
