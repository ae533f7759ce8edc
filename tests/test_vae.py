import pytest
import torch
from genmodel_bench.models.autoencoders import vae
from torch.distributions import Bernoulli, Normal, kl_divergence


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


def test_a_step_descends_the_negative_bound_and_logs_it_and_its_kl():
    model = vae.Config(latent=3, hidden=(5, 4)).build((1, 2, 3)).double()
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.randn_like(p))
    x = torch.rand(8, 6, dtype=torch.float64).round()  # binary, as a Bernoulli's are
    (stage,) = model.stages()
    torch.manual_seed(3)
    mu, log_var = model.encoder(x).split(3, 1)
    posterior = Normal(mu, log_var.exp().sqrt())
    z = mu + posterior.stddev * torch.randn(8, 3, dtype=torch.float64)
    likelihood = Bernoulli(logits=model.decoder(z)).log_prob(x).sum(1)
    kl = kl_divergence(posterior, Normal(torch.zeros_like(mu), torch.ones_like(mu))).sum(1)
    bound = (likelihood - kl).mean()
    expected = torch.autograd.grad(-bound, list(model.parameters()))
    for p in model.parameters():
        p.grad = torch.ones_like(p)  # of a step before, which this one forgets
    torch.manual_seed(3)
    values = stage.step(x.view(8, 1, 2, 3), None)
    torch.testing.assert_close(values["loss"], -bound.detach())
    torch.testing.assert_close(values["kl"], kl.mean().detach())
    for p, g in zip(model.parameters(), expected, strict=True):
        torch.testing.assert_close(p.grad, g)


def test_encoder_and_decoder_have_the_same_hidden_layers_in_opposite_order():
    model = vae.Config(latent=3, hidden=(5, 4)).build((1, 2, 3))
    assert [layer.weight.shape for layer in model.encoder[::2]] == [(5, 6), (4, 5), (6, 4)]
    assert [layer.weight.shape for layer in model.decoder[::2]] == [(4, 3), (5, 4), (6, 5)]
    for net in (model.encoder, model.decoder):
        assert [type(layer) for layer in net[1::2]] == [torch.nn.ReLU] * 2


def test_training_starts_from_the_pixel_means():
    model, x = vae.Config(latent=2, hidden=(4,)).build((1, 2, 3)), torch.rand(30, 1, 2, 3)
    x[:, :, 0, 0] = 0
    model.initialise(x)
    means = model.decoder[-1].bias.detach().sigmoid()
    # a pixel that is always black is clipped to one in a thousand
    torch.testing.assert_close(means, x.mean(0).flatten().clamp_min(1e-3))


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


def test_log_weights_are_of_draws_of_the_encoder_s_gaussian():
    model, x = vae.Config(latent=3, hidden=(5,)).build((1, 2, 3)), torch.rand(7, 1, 2, 3).round()
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.randn_like(p))
        mu, log_var = model.encoder(x.flatten(1)).split(3, 1)
        assert torch.equal(torch.stack(model.encode(x)), torch.stack([mu, log_var]))
        torch.manual_seed(1)
        found = model.log_weights(x, 4)
        torch.manual_seed(1)
        z = mu + (log_var / 2).exp() * torch.randn(4, 7, 3)
        log_p = Bernoulli(logits=model.decoder(z)).log_prob(x.flatten(1)).sum(2) + Normal(0, 1).log_prob(
            z
        ).sum(2)
        expected = log_p - Normal(mu, (log_var / 2).exp()).log_prob(z).sum(2)
    torch.testing.assert_close(found, expected)
