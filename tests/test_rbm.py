"""Rates, momenta and weight decay of an RBM; its statistics are in `test_dbn.py`."""

from dataclasses import replace

import pytest
import torch
from genmodel_bench.models.boltzmann import dbn, rbm

SMALL = rbm.Config(hidden=4, batch_size=10, chains=6)


def test_the_rate_falls_linearly_to_zero_and_the_momentum_rises_after_the_warm_up():
    (stage,) = rbm.Config().build((1, 2, 3)).stages()
    rate, momentum = stage.schedules
    (optimiser,) = stage.optimisers
    assert (rate.tensor, momentum.tensor) == (optimiser.lr, optimiser.momentum)
    for epoch in (0, 1, 25, 49):
        assert rate.value(epoch * 500, epoch) == pytest.approx(0.05 * (1 - epoch / 50), rel=1e-12)
    assert [momentum.value(0, epoch) for epoch in (0, 4, 5, 49)] == [0.5, 0.5, 0.9, 0.9]


@pytest.mark.parametrize("layer", [0, 1])
def test_every_rbm_of_a_stack_has_the_rates_of_its_own_epochs(layer):
    stage = dbn.Config().build((1, 2, 3)).stages()[layer]
    rate, momentum = stage.schedules
    assert rate.value(10_000, 25) == pytest.approx(0.05 / 2, rel=1e-12)
    assert [momentum.value(0, epoch) for epoch in (4, 5)] == [0.5, 0.9]


def test_one_update_ascends_the_gradient_and_shrinks_the_weights_alone():
    model = replace(SMALL, weight_decay=0.1).build((1, 2, 3))
    machine, (stage,) = model.rbm, model.stages()
    for p in machine.parameters():
        p.copy_(torch.randn_like(p))
    x = torch.rand(10, 6)
    before = {name: p.clone() for name, p in machine.named_parameters()}
    chains = machine.chains.clone()
    torch.manual_seed(4)
    stage.step(x.view(10, 1, 2, 3), None)
    now = {name: p.clone() for name, p in machine.named_parameters()}

    for name, p in machine.named_parameters():
        p.copy_(before[name])
    machine.chains.copy_(chains)
    torch.manual_seed(4)
    up_W, up_b, up_c = machine.gradients(x, steps=1, persistent=True)
    torch.testing.assert_close(now["W"], before["W"] + 0.05 * (up_W - 0.1 * before["W"]))
    torch.testing.assert_close(now["b"], before["b"] + 0.05 * up_b)
    torch.testing.assert_close(now["c"], before["c"] + 0.05 * up_c)


def test_the_second_update_keeps_the_momentums_share_of_the_first():
    model = replace(SMALL, weight_decay=0.0).build((1, 2, 3))
    machine, (stage,) = model.rbm, model.stages()
    (optimiser,) = stage.optimisers
    optimiser.apply([torch.ones_like(p) for p in machine.parameters()])
    before = machine.b.clone()
    optimiser.apply([torch.zeros_like(p) for p in machine.parameters()])
    torch.testing.assert_close(machine.b - before, torch.full_like(before, -0.05 * 0.5))


@pytest.mark.parametrize("config", [rbm.Config, dbn.Config])
@pytest.mark.parametrize("changes", [{"gibbs_steps": 0}, {"chains": 0}, {"sample_steps": -1}])
def test_chains_that_cannot_run_raise(config, changes):
    who = config.__module__.rpartition(".")[2]
    with pytest.raises(ValueError, match=f"^{who}: expected gibbs_steps, chains ≥ 1"):
        config(**changes)
    assert config(gibbs_steps=1, chains=1, sample_steps=0)


def test_training_starts_from_the_pixel_means_small_weights_and_random_chains():
    model, x = rbm.Config(hidden=300, chains=200).build((1, 20, 20)), torch.rand(30, 1, 20, 20)
    x[:, :, 0, 0] = 0
    model.initialise(x)
    # a pixel that is always black is clipped to one in a thousand
    torch.testing.assert_close(model.rbm.b.sigmoid(), x.mean(0).flatten().clamp_min(1e-3))
    assert bool((model.rbm.c == 0).all())
    # 120,000 weights and 60,000 units: five standard errors, √(1 / 2n) and ½ / √n
    assert float(model.rbm.W.std()) == pytest.approx(0.01, rel=5 * (2 * 120_000) ** -0.5)
    assert float(model.rbm.W.mean()) == pytest.approx(0, abs=5 * 0.01 * 120_000**-0.5)
    assert float(model.rbm.chains.mean()) == pytest.approx(0.5, abs=5 * 0.5 * 60_000**-0.5)
    assert set(model.rbm.chains.unique().tolist()) == {0.0, 1.0}


@pytest.mark.parametrize("persistent", [False, True])
def test_a_machine_learns_persistently_if_it_is_told_to(persistent):
    model = replace(SMALL, persistent=persistent, chains=20).build((1, 2, 3))
    before, (stage,) = model.rbm.chains.clone(), model.stages()
    stage.step(torch.rand(10, 1, 2, 3), None)
    assert torch.equal(before, model.rbm.chains) != persistent


@pytest.mark.parametrize("persistent", [False, True])
@pytest.mark.parametrize("steps", [1, 2, 3])
def test_a_gradient_of_k_steps_is_of_the_data_and_of_chains_k_steps_on(steps, persistent):
    machine, v = rbm.RBM(6, 4, chains=7), torch.rand(10, 6)
    for p in machine.parameters():
        p.copy_(torch.randn_like(p))
    chains = machine.chains.clone()
    torch.manual_seed(1)
    found = machine.gradients(v, steps=steps, persistent=persistent)
    torch.manual_seed(1)
    h = chains if persistent else rbm.draw(machine.hidden(v))
    for _ in range(steps):
        model_v = rbm.draw(machine.visible(h))
        h = rbm.draw(machine.hidden(model_v))
    seen, dreamt = machine.hidden(v), machine.hidden(model_v)
    up_W = v.T @ seen / 10 - model_v.T @ dreamt / len(model_v)
    expected = (up_W, v.mean(0) - model_v.mean(0), seen.mean(0) - dreamt.mean(0))
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(machine.chains, h if persistent else chains)


def test_contrastive_divergence_starts_its_chains_at_the_data():
    machine = rbm.RBM(6, 4, chains=6)
    machine.W.zero_()
    machine.b.copy_(torch.tensor([30.0, 30, 30, -30, -30, -30]))  # v is certain, whatever h is
    v = torch.rand(10, 6)
    _, up_b, _ = machine.gradients(v, steps=1, persistent=False)
    torch.testing.assert_close(up_b, v.mean(0) - torch.tensor([1.0, 1, 1, 0, 0, 0]))


def test_a_persistent_chain_goes_on_from_where_the_update_before_left_it():
    machine = rbm.RBM(6, 4, chains=6)
    machine.W.copy_(torch.randn(6, 4))
    torch.manual_seed(1)
    chains = machine.chains.clone()
    _, up_b, _ = machine.gradients(torch.zeros(3, 6), steps=1, persistent=True)
    torch.manual_seed(1)
    v = rbm.draw(machine.visible(chains))
    torch.testing.assert_close(-up_b, v.mean(0))
    torch.testing.assert_close(machine.chains, rbm.draw(machine.hidden(v)))


def test_a_sample_is_the_mean_at_the_end_of_chains_from_the_persistent_ones():
    model = replace(SMALL, sample_steps=3).build((1, 2, 3))
    torch.manual_seed(5)
    found = model.sample(4)
    torch.manual_seed(5)
    h = model.rbm.gibbs(rbm.pick(model.rbm.chains, 4), 3)
    torch.testing.assert_close(found.flatten(1), model.rbm.visible(h))
