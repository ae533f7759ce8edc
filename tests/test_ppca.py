"""Probabilistic PCA against scipy's Gaussian and scikit-learn's PCA."""

import math

import numpy as np
import pytest
import torch
from genmodel_bench.models.densities import ppca
from genmodel_bench.models.shared.dequantised import to_levels, with_noise
from scipy.stats import multivariate_normal
from sklearn.decomposition import PCA


def levels_of(x, levels=17):
    return (x * (levels - 1)).round() / (levels - 1)


@pytest.fixture(scope="module")
def fitted():
    """A fit to 300 correlated images, and other images with noise."""
    generator = torch.Generator().manual_seed(0)
    mixed = torch.rand(400, 3, generator=generator) @ torch.rand(3, 6, generator=generator) / 2
    x = levels_of((mixed + 0.1 * torch.rand(400, 6, generator=generator)).clamp(0, 1)).view(400, 1, 2, 3)
    model = ppca.Config(latent=2, levels=17).build((1, 2, 3))
    model.initialise(x[:300])
    return model, x[:300], with_noise(x[300:], 17)


def test_log_prob_equals_scipys_gaussian(fitted):
    model, _, x = fitted
    covariance = model.weights @ model.weights.T + model.noise * torch.eye(6, dtype=torch.float64)
    expected = multivariate_normal(model.mu.numpy(), covariance.numpy()).logpdf(x.flatten(1).double().numpy())
    np.testing.assert_allclose(model.log_prob(x).numpy(), expected, rtol=1e-10)


def test_the_fit_equals_scikit_learns_pca_of_images_with_noise(fitted):
    model, train, x = fitted
    # 3,000 draws of the noise stand for its moments, which the fit has in closed form
    noisy = torch.cat([with_noise(train, 17) for _ in range(3000)]).flatten(1).double().numpy()
    pca = PCA(n_components=2, svd_solver="covariance_eigh").fit(noisy)
    np.testing.assert_allclose(model.mu.numpy(), pca.mean_, atol=1e-4)
    np.testing.assert_allclose(model.values.numpy(), pca.explained_variance_, rtol=5e-3)
    np.testing.assert_allclose(float(model.noise), pca.noise_variance_, rtol=5e-3)
    expected = pca.score_samples(x.flatten(1).double().numpy())
    np.testing.assert_allclose(model.log_prob(x).numpy(), expected, atol=0.05)


def test_no_other_noise_or_scale_is_more_likely(fitted):
    model, train, _ = fitted
    noisy = torch.cat([with_noise(train, 17) for _ in range(100)])
    best = float(model.log_prob(noisy).mean())
    for name in ("noise", "values"):
        for factor in (0.9, 1.1):
            other = ppca.Config(latent=2, levels=17).build((1, 2, 3))
            other.load_state_dict(model.state_dict())
            getattr(other, name).mul_(factor)
            assert float(other.log_prob(noisy).mean()) < best - 1e-3


def test_the_density_of_its_own_draws_is_minus_its_entropy(fitted):
    model, _, _ = fitted
    z = model.latent(40_000).double()
    x = z @ model.weights.T + model.mu + model.noise.sqrt() * torch.randn(40_000, 6, dtype=torch.float64)
    covariance = (model.weights @ model.weights.T + model.noise * torch.eye(6, dtype=torch.float64)).numpy()
    entropy = multivariate_normal(np.zeros(6), covariance).entropy()
    # log p has the variance d / 2: an error of √3 / 200
    assert float(model.log_prob(x.view(-1, 1, 2, 3)).mean()) == pytest.approx(-entropy, abs=0.035)


def test_samples_are_levels_of_the_fitted_moments(fitted):
    model, train, _ = fitted
    x = model.sample(20_000)
    torch.testing.assert_close(x, levels_of(x))
    # clipping to [0, 1] moves the means a little
    torch.testing.assert_close(x.mean(0), train.mean(0), atol=0.02, rtol=0)
    z = model.latent(5).requires_grad_()
    model.decode(z).sum().backward()
    assert z.grad is not None and to_levels(model.decode(z), 17).shape == (5, 1, 2, 3)


def test_too_many_directions_are_refused():
    with pytest.raises(ValueError, match="ppca: latent must be below the 6 numbers of an image, got 6"):
        ppca.Config(latent=6).build((1, 2, 3))


def test_the_fit_is_that_of_maximum_likelihood_with_the_noise_s_variance():
    x = (torch.rand(12, 1, 2, 3).double() * 16).round() / 16
    model = ppca.Config(latent=2, levels=17).build((1, 2, 3))
    model.initialise(x)
    k = x.flatten(1).numpy() * 16
    values = np.linalg.eigvalsh((np.cov(k.T, ddof=0) + np.eye(6) / 12) / 17**2)[::-1]
    np.testing.assert_allclose(model.values.numpy(), values[:2], rtol=1e-10)
    assert float(model.noise) == pytest.approx(values[2:].mean(), rel=1e-10)
    np.testing.assert_allclose(model.mu.numpy(), (k.mean(0) + 0.5) / 17, rtol=1e-12)


def test_samples_have_the_noise_s_standard_deviation():
    model = ppca.Config(latent=1, levels=256).build((1, 2, 3))
    model.values.fill_(0.01)
    model.noise.fill_(0.01)  # W = 0: noise alone
    x = model.sample(5000)
    assert float(x.std()) == pytest.approx(0.1, rel=5 / math.sqrt(2 * 30_000))
