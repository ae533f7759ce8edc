"""The importance-weighted bound against quadrature, its laws and the paper's gradient."""

import math

import pytest
import torch
from genmodel_bench.models.autoencoders import iwae
from torch import nn
from torch.distributions import Bernoulli, Normal

EVERY = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 4).double().view(16, 1, 2, 2)


def random_model(**settings):
    """A model of 2×2 images with weights far from 0, float64.

    Its q(z|x) is wider than the prior: the variance of the weights is finite.
    """
    config = iwae.Config(**{"latent": 1, "hidden": (5,), "k": 3} | settings)
    model = config.build((1, 2, 2)).double()
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.randn_like(p))
        model.encoder[-1].weight.mul_(0.2)
        model.encoder[-1].bias.fill_(0.7)
    return model


def log_p(model, x):
    """log p(x) by quadrature over the one component of z: (n, c, h, w) -> (n,)."""
    z = torch.linspace(-12, 12, 4001, dtype=torch.float64)
    joint = Bernoulli(logits=model.decoder(z[:, None])).log_prob(x.flatten(1)[:, None]).sum(2)
    return (joint + Normal(0, 1).log_prob(z)).logsumexp(1) + math.log(24 / 4000)


@torch.no_grad()
def test_the_mean_weight_is_p_of_x():
    model = random_model()
    w = model.log_weights(EVERY, 20_000).exp()
    exact = log_p(model, EVERY).exp()
    assert float(exact.sum()) == pytest.approx(1, abs=1e-12)  # of all images
    stderr = w.std(0) / math.sqrt(len(w))
    # 16 means: beyond 4 standard errors in one of 1,000 seeds
    assert ((w.mean(0) - exact).abs() < 4 * stderr).all()


@torch.no_grad()
def test_the_bound_rises_with_k_and_stays_below_log_p():
    model = random_model()
    w = model.log_weights(EVERY, 12_800)
    bounds, errors = [], []
    for k in (1, 4, 16, 64):
        each = w.view(-1, k, 16).logsumexp(1) - math.log(k)  # (draws, images)
        bounds.append(each.mean())
        errors.append(each.mean(1).std() / math.sqrt(len(each)))
    steps = torch.stack([*bounds, log_p(model, EVERY).mean()]).diff()
    # each step is far above its standard error, but for the last, which is near 0
    assert (steps[:-1] > 5 * torch.stack(errors[:-1])).all()
    assert steps[-1] > -3 * errors[-1]


@pytest.mark.parametrize("k", [1, 3])
def test_a_step_has_the_gradient_of_weighted_draws(k):
    model = random_model(latent=2, k=k)
    (stage,) = model.stages()
    torch.manual_seed(3)
    mu, log_var = model.encode(EVERY)
    q = Normal(mu, (0.5 * log_var).exp())
    z = mu + q.stddev * torch.randn(k, 16, 2, dtype=torch.float64)
    log_w = (
        Bernoulli(logits=model.decoder(z)).log_prob(EVERY.flatten(1)).sum(2)
        + Normal(0, 1).log_prob(z).sum(2)
        - q.log_prob(z).sum(2)
    )
    # eq. 14: each draw's gradient has the share of its weight
    shares = log_w.detach().softmax(0)
    expected = torch.autograd.grad(-(shares * log_w).sum(0).mean(), list(model.parameters()))
    torch.manual_seed(3)
    loss = stage.step(EVERY, None)["loss"]
    assert float(loss) == pytest.approx(-float((log_w.detach().logsumexp(0) - math.log(k)).mean()))
    for p, g in zip(model.parameters(), expected, strict=True):
        torch.testing.assert_close(p.grad, g)


@torch.no_grad()
def test_with_the_exact_posterior_every_weight_is_p_of_x():
    # A decoder that ignores z: the posterior is the prior.
    model = random_model()
    model.decoder[-1].weight.zero_()
    model.encoder[-1].weight.zero_()
    model.encoder[-1].bias.zero_()
    w = model.log_weights(EVERY, 7)
    exact = Bernoulli(logits=model.decoder[-1].bias).log_prob(EVERY.flatten(1)).sum(1)
    torch.testing.assert_close(w, exact.expand(7, 16))


def test_nets_are_of_tanh_and_mirror_each_other():
    model = iwae.Config().build((1, 28, 28))
    sizes = [layer.out_features for net in (model.encoder, model.decoder) for layer in net[::2]]
    assert sizes == [200, 200, 100, 200, 200, 784]
    assert all(isinstance(layer, nn.Tanh) for net in (model.encoder, model.decoder) for layer in net[1::2])


def test_training_raises_the_bound(few):
    x = few.train.round()
    model = iwae.Config(latent=4, hidden=(32,), k=5, lr=1e-2).build(few.shape)
    model.initialise(x)
    (stage,) = model.stages()
    losses = [float(stage.step(x, None)["loss"]) for _ in range(60)]
    assert losses[-1] < losses[0] - 3


def test_samples_are_draws_or_their_means():
    draws, means = (iwae.Config(output=output).build((1, 2, 2)) for output in ("draws", "means"))
    means.load_state_dict(draws.state_dict())
    x = draws.sample(40_000)
    assert set(x.unique().tolist()) == {0, 1}
    # standard deviation of each mean of 40,000 bits: at most 0.0025
    torch.testing.assert_close(x.mean(0), means.sample(1000).mean(0), atol=0.015, rtol=0)


def test_grey_levels_are_refused():
    with pytest.raises(ValueError, match="iwae: levels must be 2, of binary images, got 17"):
        iwae.Config(levels=17)


def test_training_starts_from_glorot_s_weights_with_the_published_optimiser():
    model = iwae.Config(hidden=(60,), latent=20).build((1, 10, 10))
    (stage,) = model.stages()
    (group,) = stage.optimisers[0].param_groups
    assert (group["betas"], group["eps"]) == ((0.9, 0.999), 1e-4)
    for layer in [*model.encoder[::2], *model.decoder[::2]]:
        r = (6 / sum(layer.weight.shape)) ** 0.5
        assert 0.98 * r < float(layer.weight.detach().abs().max()) <= r
        assert bool((layer.bias == 0).all())
