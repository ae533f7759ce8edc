import pytest
import torch
from genmodel_bench.models import vae
from torch.distributions import Normal, kl_divergence


def test_kl_equals_torchs():
    mu, log_var = torch.randn(5, 3, dtype=torch.float64), torch.randn(5, 3, dtype=torch.float64)
    zero, one = torch.zeros_like(mu), torch.ones_like(mu)
    expected = kl_divergence(Normal(mu, (0.5 * log_var).exp()), Normal(zero, one)).sum(1)
    torch.testing.assert_close(vae.gaussian_kl(mu, log_var), expected)


def test_loss_is_the_negative_bound_of_a_known_decoder():
    # With all weights 0 the posterior is the prior (KL 0) and every pixel has probability
    # ½: the bound is −d log 2.
    model = vae.Config(latent=2, hidden=(4,)).build((1, 3, 3))
    with torch.no_grad():
        for p in model.parameters():
            p.zero_()
    (stage,) = model.stages()
    values = stage.step(torch.rand(8, 1, 3, 3), None)
    assert float(values["loss"]) == pytest.approx(9 * 0.693147, rel=1e-5)
    assert float(values["kl"]) == pytest.approx(0, abs=1e-6)


def test_training_raises_the_bound(few):
    torch.manual_seed(0)
    model = vae.Config(latent=4, hidden=(32,), lr=1e-2).build(few.shape)
    model.initialise(few.train)
    (stage,) = model.stages()
    losses = [float(stage.step(few.train, None)["loss"]) for _ in range(150)]
    assert losses[-1] < losses[0] - 3


def test_samples_are_decoder_means():
    model = vae.Config(latent=2, hidden=(4,)).build((1, 2, 2))
    torch.manual_seed(1)
    samples = model.sample(6)
    torch.manual_seed(1)
    z = torch.randn(6, 2)
    torch.testing.assert_close(samples.flatten(1), model.decoder(z).sigmoid())
