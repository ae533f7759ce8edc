"""The flow against autograd's Jacobian, quadrature on a grid and its closed start."""

import math

import pytest
import torch
from genmodel_bench.models.densities import flow
from genmodel_bench.models.shared.dequantised import to_levels, with_noise


def random_flow(shape, **settings):
    """A flow whose every part is far from its start, float64."""
    config = flow.Config(**{"couplings": 3, "hidden": (7, 6), "margin": 0.05} | settings)
    model = config.build(shape).double()
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(0.7 * torch.randn_like(p))
        model.shift.normal_()
        model.scale.uniform_(0.5, 2)
    return model


@pytest.mark.parametrize("shape", [(1, 1, 2), (1, 2, 3), (2, 1, 3), (2, 2, 2)])
def test_the_log_determinant_is_that_of_the_jacobian(shape):
    model, x = random_flow(shape), torch.rand(3, *shape, dtype=torch.float64)
    _, found = model.forward_map(x)
    for one, log_det in zip(x, found, strict=True):
        jacobian = torch.autograd.functional.jacobian(lambda v: model.forward_map(v[None])[0][0], one)
        expected = torch.linalg.slogdet(jacobian.flatten(1)).logabsdet
        torch.testing.assert_close(log_det, expected)


@torch.no_grad()
def test_the_inverse_undoes_the_map():
    model, x = random_flow((1, 4, 4)), torch.rand(50, 1, 4, 4, dtype=torch.float64)
    torch.testing.assert_close(model.inverse_map(model.forward_map(x)[0]), x)
    # in float32 to the tolerance that is usual for flows, of weights that are not as wild
    for p in model.parameters():
        p.mul_(0.3)
    z, _ = model.float().forward_map(x.float())
    torch.testing.assert_close(model.inverse_map(z), x.float(), atol=1e-5, rtol=0)


@torch.no_grad()
def test_the_density_integrates_to_one():
    # with hardly a margin: what it cuts off lies outside the square
    model = random_flow((1, 1, 2), margin=1e-6)
    # in logits, where the density is smooth: dx = y (1 − y) / (1 − 2 margin) dv
    v = torch.linspace(-13.8, 13.8, 300, dtype=torch.float64)
    y = v.sigmoid()
    x = ((y - 1e-6) / (1 - 2e-6)).clamp(0, 1)
    log_dx = (y * (1 - y)).log() - math.log(1 - 2e-6) + math.log(27.6 / 299)
    pairs = torch.cartesian_prod(torch.arange(300), torch.arange(300))
    log_p = model.log_prob(x[pairs].view(-1, 1, 1, 2)) + log_dx[pairs].sum(1)
    assert float(log_p.exp().sum()) == pytest.approx(1, abs=1e-3)


@torch.no_grad()
def test_a_flow_starts_as_a_standard_normal_of_logits():
    model = flow.Config(margin=0.05).build((1, 2, 3)).double()
    x = torch.rand(20, 1, 2, 3, dtype=torch.float64)
    y = 0.05 + 0.9 * x.flatten(1)
    normal = torch.distributions.Normal(0, 1).log_prob(y.logit()).sum(1)
    expected = normal + (0.9 / (y * (1 - y))).log().sum(1)
    torch.testing.assert_close(model.log_prob(x), expected)


@torch.no_grad()
def test_initialise_makes_the_moments_of_the_codes_zero_and_one():
    model = flow.Config(levels=17).build((1, 3, 3)).double()
    x = (torch.rand(2000, 1, 3, 3, dtype=torch.float64) * 16).round() / 16
    model.initialise(x)
    z, _ = model.forward_map(with_noise(x, 17))
    # other noise than that of `initialise`: 0.1 is over four errors of a mean, with tails
    torch.testing.assert_close(z.mean(0), torch.zeros(9).double(), atol=0.1, rtol=0)
    torch.testing.assert_close(z.std(0), torch.ones(9).double(), atol=0.1, rtol=0)


@torch.no_grad()
def test_log_prob_is_the_same_in_parts_and_in_both_modes(monkeypatch):
    model, x = random_flow((1, 3, 3)), torch.rand(11, 1, 3, 3, dtype=torch.float64)
    whole = model.eval().log_prob(x)
    monkeypatch.setattr(flow, "AT_ONCE", 4)
    torch.testing.assert_close(model.train().log_prob(x), whole)


def test_training_raises_the_density_with_new_noise_in_each_step(few):
    model = flow.Config(couplings=2, hidden=(32,), margin=0.05, levels=17, lr=1e-2).build(few.shape)
    model.initialise(few.train)
    (stage,) = model.stages()
    losses = [float(stage.step(few.train, None)["loss"]) for _ in range(15)]
    assert losses[-1] < losses[0] - 5
    torch.manual_seed(5)
    expected = 64 * math.log(17) - model.log_prob(with_noise(few.train, 17)).mean()
    torch.manual_seed(5)
    assert float(stage.step(few.train, None)["loss"]) == pytest.approx(float(expected), rel=1e-5)


def test_samples_are_of_the_levels():
    model = flow.Config(levels=17).build((1, 2, 2))
    steps = model.sample(500) * 16
    torch.testing.assert_close(steps, steps.round(), atol=1e-5, rtol=0)
    torch.manual_seed(2)
    x = model.sample(1500)  # in two parts
    torch.manual_seed(2)
    z = torch.cat([model.latent(1000), model.latent(500)])
    torch.testing.assert_close(x, to_levels(model.decode(z), 17))


def test_noise_is_undone_by_the_cell_it_stays_in():
    x = torch.arange(17.0).repeat(100, 1) / 16
    noisy = with_noise(x, 17)
    assert 0 <= noisy.min() and noisy.max() < 1
    torch.testing.assert_close(to_levels(noisy, 17), x)
    assert to_levels(torch.tensor([-0.3, 1.0, 1.4]), 17).tolist() == [0, 1, 1]


def test_a_margin_without_room_is_refused():
    with pytest.raises(ValueError, match="flow: margin must be above 0 and below"):
        flow.Config(margin=0.5)


def test_the_halves_are_a_checkerboard_s_and_move_in_turn():
    model = flow.Config(couplings=3, hidden=(4,)).build((2, 3, 4))
    colour = torch.tensor([(c + i + j) % 2 for c in range(2) for i in range(3) for j in range(4)])
    for i, coupling in enumerate(model.couplings):
        assert set(colour[coupling.a].tolist()) == {i % 2}
        assert set(colour[coupling.b].tolist()) == {1 - i % 2}
        assert sorted([*coupling.a.tolist(), *coupling.b.tolist()]) == list(range(24))


def test_weights_decay_as_the_setting_says():
    model = flow.Config(couplings=2, hidden=(4,), weight_decay=0.3).build((1, 2, 2))
    (stage,) = model.stages()
    assert {group["weight_decay"] for group in stage.optimisers[0].param_groups} == {0.3}
