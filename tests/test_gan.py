import math
from dataclasses import replace

import pytest
import torch

from models import gan
from models.layers import Maxout

SMALL = gan.Config(latent=4, generator=(8,), discriminator=(6,), pieces=2, batch_size=10, discriminator_range=0.3)


def built(config=SMALL):
    model = config.build((1, 3, 3))
    model.initialise(torch.rand(50, 1, 3, 3))
    (stage,) = model.stages()
    return model, stage


@pytest.mark.parametrize(("loss", "value"), [(gan.non_saturating_loss, 0.3133), (gan.minimax_loss, -1.3133)])
def test_generator_losses_at_logit_one(loss, value):
    assert float(loss(torch.tensor([1.0]))) == pytest.approx(value, abs=5e-5)


@pytest.mark.parametrize("logit", [-8.0, -1.0, 0.0, 1.0, 5.0])
def test_generator_gradients_at_the_logit(logit):
    a = torch.tensor([logit], dtype=torch.float64, requires_grad=True)
    d = float(a.detach().sigmoid())
    (minimax,) = torch.autograd.grad(gan.minimax_loss(a), a)
    (non_saturating,) = torch.autograd.grad(gan.non_saturating_loss(a), a)
    # Both push the logit up: the minimax one with D(G(z)), which vanishes where D is sure; the other with 1 − D(G(z)).
    assert float(minimax) == pytest.approx(-d, rel=1e-12)
    assert float(non_saturating) == pytest.approx(-(1 - d), rel=1e-12)


def test_generator_losses_are_logs_of_the_discriminator():
    a = torch.linspace(-5, 5, 11, dtype=torch.float64)
    torch.testing.assert_close(gan.minimax_loss(a), (1 - a.sigmoid()).log().mean())
    torch.testing.assert_close(gan.non_saturating_loss(a), -a.sigmoid().log().mean())


def test_discriminator_loss_is_half_the_cross_entropy():
    real, fake = torch.randn(20, dtype=torch.float64), torch.randn(20, dtype=torch.float64)
    expected = -0.5 * (real.sigmoid().log().mean() + (1 - fake.sigmoid()).log().mean())
    torch.testing.assert_close(gan.discriminator_loss(real, fake), expected)


def test_optimal_discriminator_loss_at_equality_is_half_log_four():
    assert float(gan.discriminator_loss(torch.zeros(3), torch.zeros(3))) == pytest.approx(0.5 * math.log(4))


def stepped(config):
    """A model as it was before one step on x, x, the weights before and after; the generator stands where the step found it."""
    model, stage = built(config)
    x = torch.rand(10, 1, 3, 3)
    old = {k: v.clone() for k, v in model.state_dict().items()}
    torch.manual_seed(5)
    stage.step(x, None)
    new = {k: v.clone() for k, v in model.state_dict().items()}

    model.load_state_dict(old)
    torch.manual_seed(5)
    return model, x, old, new


def test_simultaneous_update_uses_one_fake_batch_one_mask_and_the_old_parameters():
    model, x, old, new = stepped(SMALL)
    fake = model.generate(model.noise(10))
    a_real, a_fake = model.D(torch.cat([x.flatten(1), fake])).chunk(2)
    names = [k for k, _ in model.named_parameters()]
    params = dict(model.named_parameters())
    loss_d, loss_g = gan.discriminator_loss(a_real, a_fake), gan.non_saturating_loss(a_fake)
    for k in names:
        loss = loss_g if k.startswith("G.") else loss_d
        (g,) = torch.autograd.grad(loss, params[k], retain_graph=True)
        torch.testing.assert_close(new[k], old[k] - 0.1 * g, msg=k)


def test_alternating_update_shows_the_generator_the_new_discriminator():
    model, x, _, new = stepped(replace(SMALL, update="alternating"))
    with torch.no_grad():
        fake = model.generate(model.noise(10))
    loss = gan.discriminator_loss(*model.D(torch.cat([x.flatten(1), fake])).chunk(2))
    with torch.no_grad():
        for p, g in zip(model.D.parameters(), torch.autograd.grad(loss, list(model.D.parameters())), strict=True):
            p -= 0.1 * g
    loss = gan.non_saturating_loss(model.D(model.generate(model.noise(10))))
    for (k, p), g in zip(model.G.named_parameters(), torch.autograd.grad(loss, list(model.G.parameters())), strict=True):
        torch.testing.assert_close(new[f"G.{k}"], p - 0.1 * g, msg=k)


def test_k_takes_k_minibatches_for_one_generator_update():
    _, stage = built(replace(SMALL, k=3))
    assert stage.batch_size == 30
    calls = []
    opt_g, opt_d = stage.optimisers
    for name, optimiser in (("g", opt_g), ("d", opt_d)):
        optimiser.register_step_post_hook(lambda *_, name=name: calls.append(name))
    stage.step(torch.rand(30, 1, 3, 3), None)
    assert sorted(calls) == ["d", "d", "d", "g"]


def test_k_below_one_raises():
    with pytest.raises(ValueError, match="k must be at least 1, got 0"):
        gan.Config(k=0)


def test_schedules_are_the_released_ones():
    model, _ = built(gan.Config())
    assert model.learning_rate(0, 0) == 0.1
    assert model.learning_rate(50_000, 100) == pytest.approx(0.1 / 1.000004**50_000)
    assert model.learning_rate(10**8, 0) == 1e-6
    assert model.momentum(0, 0) == 0.5
    assert model.momentum(0, 249) == pytest.approx(0.7)
    assert model.momentum(0, 600) == pytest.approx(0.7)
    assert model.momentum(0, 10) == pytest.approx(0.5 + 0.2 * 10 / 249)


def test_initial_weights_and_biases_are_the_released_ones():
    x = torch.rand(50, 1, 28, 28)
    x[:, :, 0] = 0
    model = gan.Config().build((1, 28, 28))
    model.initialise(x)
    assert [tuple(p.shape) for p in model.G.parameters()][::2] == [(1200, 100), (1200, 1200), (784, 1200)]
    assert [layer.linear.weight.shape for layer in model.D.hidden] == [(1200, 784), (1200, 240)]
    assert 0.0499 < float(model.G[0].weight.detach().abs().max()) <= 0.05
    assert 0.00499 < float(model.D.hidden[0].linear.weight.detach().abs().max()) <= 0.005
    bias = model.G[-1].bias
    bias = bias.detach()
    torch.testing.assert_close(bias[28:].sigmoid(), x.mean(0).flatten()[28:])
    torch.testing.assert_close(bias[0], torch.tensor(1e-7).logit())


@pytest.mark.parametrize("prior", ["uniform", "gaussian"])
def test_noise_has_unit_variance(prior):
    z = replace(SMALL, prior=prior, latent=100).build((1, 3, 3)).noise(2000)
    # variance of 200,000 draws: standard error of the variance ≤ √(2/200,000) = 0.003
    assert float(z.var()) == pytest.approx(1, abs=0.02)
    assert float(z.mean()) == pytest.approx(0, abs=0.01)
    assert (float(z.abs().max()) <= math.sqrt(3)) == (prior == "uniform")


def test_maxout_is_the_maximum_over_pieces():
    layer = Maxout(4, 3, pieces=5)
    x = torch.randn(7, 4)
    W, b = layer.linear.weight, layer.linear.bias
    for j in range(3):
        pieces = torch.stack([x @ W[5 * j + p] + b[5 * j + p] for p in range(5)])
        torch.testing.assert_close(layer(x)[:, j], pieces.max(0).values)


def test_momentum_keeps_the_rate_of_past_increments():
    from models.optim import Momentum

    p = torch.nn.Parameter(torch.zeros(1))
    optimiser = Momentum([p], lr=1.0, momentum=0.5)
    optimiser.apply([torch.tensor([1.0])])  # inc = −1, p = −1
    optimiser.lr.fill_(0.1)
    optimiser.apply([torch.tensor([1.0])])  # inc = −0.5 − 0.1
    assert p.item() == pytest.approx(-1.6)
