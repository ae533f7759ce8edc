"""The oracle is an RBM small enough to enumerate."""

from itertools import product

import pytest
import torch
from genmodel_bench.models.boltzmann import dbn
from genmodel_bench.models.boltzmann.rbm import RBM, update
from genmodel_bench.models.shared.optim import Momentum
from genmodel_bench.training import loop as harness


def states(n):
    return torch.tensor(list(product([0.0, 1.0], repeat=n)), dtype=torch.float64)


@pytest.fixture
def rbm():
    torch.manual_seed(2)
    machine = RBM(4, 3, chains=50).double()
    for p in machine.parameters():
        p.copy_(torch.randn_like(p))
    return machine


def joint(rbm):
    """p(v, h) over all states: (16, 8)."""
    v, h = states(4), states(3)
    return torch.softmax(((v @ rbm.W) @ h.T + (v @ rbm.b)[:, None] + h @ rbm.c).flatten(), 0).view(16, 8)


def test_conditionals_equal_enumeration(rbm):
    v, h, p = states(4), states(3), joint(rbm)
    torch.testing.assert_close(rbm.hidden(v), (p @ h) / p.sum(1, keepdim=True))
    torch.testing.assert_close(rbm.visible(h), (p.T @ v) / p.sum(0)[:, None])


def test_free_energy_equals_enumeration_up_to_log_z(rbm):
    log_p = joint(rbm).sum(1).log()
    shifted = log_p + rbm.free_energy(states(4))
    torch.testing.assert_close(shifted, shifted[0].expand(16))


def test_gibbs_chains_reach_the_equilibrium(rbm):
    rbm = rbm.float()
    h = rbm.gibbs(torch.zeros(40_000, 3), 60)
    index = (h @ torch.tensor([4.0, 2.0, 1.0])).long()
    frequency = torch.bincount(index, minlength=8) / len(h)
    # standard error of a frequency ≤ ½/√40,000 = 0.0025; five of them
    torch.testing.assert_close(frequency.double(), joint(rbm.double()).sum(0), atol=0.0125, rtol=0)


@pytest.mark.parametrize("persistent", [False, True])
def test_long_chains_give_the_likelihoods_gradient(rbm, persistent):
    data = torch.tensor([[1.0, 0, 1, 0], [0, 1, 1, 1]], dtype=torch.float64).repeat(20_000, 1)
    W = rbm.W.detach().clone().requires_grad_()
    v, h = states(4), states(3)
    energy = (v @ W) @ h.T + (v @ rbm.b)[:, None] + h @ rbm.c
    log_p = energy.logsumexp(1) - energy.flatten().logsumexp(0)
    seen = [10, 7]  # 1010 and 0111
    (exact,) = torch.autograd.grad(log_p[seen].mean(), W)
    rbm.chains = torch.rand(40_000, 3, dtype=torch.float64).round()
    estimate, _, _ = rbm.gradients(data, steps=60, persistent=persistent)
    torch.testing.assert_close(estimate, exact, atol=0.0125, rtol=0)


@pytest.mark.parametrize("persistent", [False, True])
def test_the_energy_gap_is_that_of_the_data_and_the_equilibrium(rbm, persistent):
    data = torch.tensor([[1.0, 0, 1, 0], [0, 1, 1, 1]], dtype=torch.float64).repeat(20_000, 1)
    p, v, h = joint(rbm), states(4), states(3)
    energy = -((v @ rbm.W) @ h.T + (v @ rbm.b)[:, None] + h @ rbm.c)  # (16, 8)
    given = p / p.sum(1, keepdim=True)
    of_data = (given * energy).sum(1)[[10, 7]].mean()  # 1010 and 0111
    exact, spread = (
        of_data - (p * energy).sum(),
        ((p * energy.square()).sum() - (p * energy).sum() ** 2).sqrt(),
    )
    rbm.chains = torch.rand(40_000, 3, dtype=torch.float64).round()
    optimiser = Momentum(rbm.parameters(), lr=0.0, momentum=0.0)
    found = update(rbm, optimiser, dbn.Config(gibbs_steps=60), persistent, data, None)["energy_gap"]
    # five standard errors of a mean over 40,000 chains
    assert float(found) == pytest.approx(float(exact), abs=5 * float(spread) / 200)


def test_persistent_chains_move_and_stay_binary(rbm):
    before = rbm.chains.clone()
    rbm.gradients(states(4), steps=1, persistent=True)
    assert not torch.equal(before, rbm.chains)
    assert set(rbm.chains.unique().tolist()) <= {0.0, 1.0}
    before = rbm.chains.clone()
    rbm.gradients(states(4), steps=1, persistent=False)
    assert torch.equal(before, rbm.chains)


def test_an_rbm_learns_a_small_distribution():
    # Four 6-pixel patterns: by enumeration, most of the trained RBM's mass is on them.
    torch.manual_seed(0)
    patterns = torch.tensor(
        [[1, 1, 0, 0, 0, 0], [0, 0, 1, 1, 0, 0], [0, 0, 0, 0, 1, 1], [1, 1, 1, 1, 1, 1.0]]
    )
    config = dbn.Config(
        hidden=(12,),
        epochs=150,
        batch_size=40,
        lr=0.2,
        warm_up=150,
        weight_decay=0.0,
        chains=40,
        sample_steps=50,
    )
    model = config.build((1, 1, 6))
    harness.train(model, patterns.repeat(50, 1).view(200, 1, 1, 6))
    (rbm,) = model.rbms
    v = states(6).float()
    p = torch.softmax(-rbm.free_energy(v), 0)
    index = (patterns @ torch.tensor([32.0, 16, 8, 4, 2, 1])).long()
    assert float(p[index].sum()) > 0.5  # 4 of 64 states: 0.06 by chance
    drawn = model.sample(200).flatten(1).round()
    assert float((drawn[:, None] == patterns).all(2).any(1).float().mean()) > 0.5


def test_lower_layers_feed_the_upper_ones_their_probabilities():
    model = dbn.Config(hidden=(5, 3)).build((1, 2, 2))
    x = torch.rand(7, 1, 2, 2)
    first, second = model.stages()
    torch.testing.assert_close(first.inputs(x), x.flatten(1))
    torch.testing.assert_close(second.inputs(x), model.rbms[0].hidden(x.flatten(1)))


@pytest.mark.parametrize("persistent", [False, True])
def test_the_top_rbm_alone_learns_with_persistent_chains(persistent):
    model = dbn.Config(hidden=(5, 4, 3), persistent=persistent, chains=20).build((1, 2, 2))
    x, moved = torch.rand(7, 1, 2, 2), []
    for stage, rbm in zip(model.stages(), model.rbms, strict=True):
        before = rbm.chains.clone()
        stage.step(stage.inputs(x), None)
        moved.append(not torch.equal(before, rbm.chains))
    assert moved == [False, False, persistent]


def test_training_starts_from_the_pixel_means():
    model, x = dbn.Config(hidden=(5, 3)).build((1, 2, 2)), torch.rand(30, 1, 2, 2)
    x[:, :, 0, 0] = 0
    model.initialise(x)
    # a pixel that is always black is clipped to one in a thousand
    torch.testing.assert_close(model.rbms[0].b.sigmoid(), x.mean(0).flatten().clamp_min(1e-3))


def test_a_sample_continues_a_chain_of_the_top_rbm_and_passes_its_means_down():
    model = dbn.Config(hidden=(5, 4, 3), chains=20, sample_steps=3).build((1, 2, 2))
    for p in model.parameters():
        p.copy_(torch.randn_like(p))
    torch.manual_seed(5)
    found = model.sample(6)
    torch.manual_seed(5)
    bottom, middle, top = model.rbms
    h = top.gibbs(dbn.pick(top.chains, 6), 3)
    torch.testing.assert_close(found.flatten(1), bottom.visible(middle.visible(top.visible(h))))


def test_no_layers_raises():
    with pytest.raises(ValueError, match="at least one layer"):
        dbn.Config(hidden=())
