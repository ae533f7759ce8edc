"""The oracle is the published update, written out with the random numbers given."""

import math
from itertools import islice

import pytest
import torch
from genmodel_bench.models.autoencoders import gsn
from torch.nn.functional import binary_cross_entropy

SMALL = gsn.Config(hidden=(5, 4), walkbacks=3, corruption=0.4, noise=1.5, batch_size=6)


class Recorded:
    """Random tensors in the order they were drawn in, for an oracle to use again."""

    def __init__(self, monkeypatch):
        self.drawn = {"rand_like": [], "randn_like": []}
        for name in self.drawn:
            monkeypatch.setattr(torch, name, self.recording(name, getattr(torch, name)))

    def recording(self, name, draw):
        def drawn(like):
            value = draw(like)
            self.drawn[name].append(value)
            return value

        return drawn

    def again(self, name):
        return self.drawn[name].pop(0)


@pytest.fixture
def model():
    model = SMALL.build((1, 2, 3)).double()
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(0.5 * torch.randn_like(p))
    model.initialise(torch.rand(20, 1, 2, 3, dtype=torch.float64))
    return model


def corrupted(x, u):
    """Salt and pepper where u < 0.4: pepper below 0.2, salt above."""
    return torch.where(u < 0.2, 0.0, torch.where(u < 0.4, 1.0, x))


def test_one_step_is_the_published_one(model, monkeypatch):
    (stage,) = model.stages()
    clean = torch.rand(6, 6, dtype=torch.float64)
    recorded = Recorded(monkeypatch)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    values = stage.step(clean.view(6, 1, 2, 3), None)

    p = {name: value.requires_grad_() for name, value in before.items()}
    x, h2, losses = corrupted(clean, recorded.again("rand_like")), torch.zeros(6, 4).double(), []
    for walkback in range(3):
        h1 = torch.tanh(h2 @ p["W2"].T + x @ p["W1"] + p["b1"])
        mean = torch.sigmoid(h1 @ p["W1"].T + p["b0"])
        losses.append(binary_cross_entropy(mean, clean))  # against the clean image
        if walkback == 2:
            break
        # the second layer has noise before and after its activation, the first none
        noise = [1.5 * recorded.again("randn_like") for _ in range(2)]
        h2 = torch.tanh(h1 @ p["W2"] + p["b2"] + noise[0]) + noise[1]
        picture = (recorded.again("rand_like") < mean).double().detach()
        x = corrupted(picture, recorded.again("rand_like"))
    gradients = torch.autograd.grad(sum(losses), list(p.values()))
    torch.testing.assert_close(values["first"], losses[0].detach())
    torch.testing.assert_close(values["last"], losses[-1].detach())
    # m ← 0.5 m + 0.5 g from m = 0, times the rate 0.25
    for (name, now), g in zip(model.named_parameters(), gradients, strict=True):
        torch.testing.assert_close(now.detach(), before[name].detach() - 0.25 * 0.5 * g, msg=name)


def test_the_increment_is_damped_and_the_rate_decays_by_epoch_once(model):
    (stage,) = model.stages()
    (rate,) = stage.schedules
    assert rate.tensor is model.optimiser.lr
    # m ← μm + (1 − μ)g, θ ← θ − lr·m is plain momentum with the rate (1 − μ)·lr
    for epoch in (0, 1, 10, 999):
        assert rate.value(epoch * 500, epoch) == pytest.approx(0.5 * 0.25 * 0.995**epoch, rel=1e-12)
    # the schedule alone changes the rate
    stage.step(torch.rand(6, 1, 2, 3, dtype=torch.float64), None)
    assert float(model.optimiser.lr) == pytest.approx(0.125)
    assert float(model.optimiser.momentum) == 0.5


@pytest.mark.parametrize("changes", [{"hidden": (5,)}, {"walkbacks": 0}, {"sample_steps": 0}])
def test_what_cannot_be_trained_or_sampled_raises(changes):
    with pytest.raises(ValueError, match=r"^gsn: "):
        gsn.Config(**changes)
    assert gsn.Config(hidden=(1, 1), walkbacks=1, sample_steps=1)


def test_salt_and_pepper_replace_their_share_by_black_and_white_alike():
    x = torch.full((200, 500), 0.5)
    noisy = gsn.salt_and_pepper(x, 0.4)
    # 100,000 pixels: a share's standard error is ≤ 0.0016
    assert float((noisy == 0).float().mean()) == pytest.approx(0.2, abs=0.008)
    assert float((noisy == 1).float().mean()) == pytest.approx(0.2, abs=0.008)
    assert float((noisy == 0.5).float().mean()) == pytest.approx(0.6, abs=0.008)


def test_weights_start_in_glorots_range():
    r = math.sqrt(6 / (784 + 1500))
    W1 = gsn.Config().build((1, 28, 28)).W1.detach()
    assert 0.999 * r < float(W1.abs().max()) <= r


def test_the_chain_that_is_sampled_is_the_one_that_is_trained(model, monkeypatch):
    recorded = Recorded(monkeypatch)
    first = torch.rand(5, 6, dtype=torch.float64)
    chain = list(islice(model.walk(first), 3))
    x, h2 = corrupted(first, recorded.again("rand_like")), torch.zeros(5, 4).double()
    for mean in chain:
        h1 = torch.tanh(h2 @ model.W2.T + x @ model.W1 + model.b1)
        expected = torch.sigmoid(h1 @ model.W1.T + model.b0)
        torch.testing.assert_close(mean, expected)
        if mean is chain[-1]:
            break
        noise = [1.5 * recorded.again("randn_like") for _ in range(2)]
        h2 = torch.tanh(h1 @ model.W2 + model.b2 + noise[0]) + noise[1]
        x = corrupted((recorded.again("rand_like") < mean).double(), recorded.again("rand_like"))


def test_independent_samples_end_chains_of_their_own_and_consecutive_ones_share_one(model):
    torch.manual_seed(2)
    independent = model.sample(4).flatten(1)
    torch.manual_seed(2)
    starts = gsn.draw(model.mean.expand(4, -1))
    *_, last = islice(model.walk(starts), SMALL.sample_steps)
    torch.testing.assert_close(independent, last)

    chain = gsn.Config(hidden=(5, 4), chain="consecutive").build((1, 2, 3)).double()
    chain.load_state_dict(model.state_dict())
    torch.manual_seed(2)
    consecutive = chain.sample(4).flatten(1)
    torch.manual_seed(2)
    expected = torch.cat(list(islice(chain.walk(chain.start), 4)))
    torch.testing.assert_close(consecutive, expected)


def test_chains_start_from_the_pixels_means_or_a_training_image(model):
    x = torch.rand(20, 1, 2, 3, dtype=torch.float64)
    model.initialise(x)
    torch.testing.assert_close(model.mean, x.flatten(1).mean(0))
    assert (model.start == x.flatten(1)).all(1).any()


def test_an_independent_chain_starts_from_draws_of_the_pixels_means():
    model = gsn.Config(hidden=(5, 4), sample_steps=1, corruption=0.0).build((1, 2, 3))
    x = torch.tensor([1.0, 1, 1, 0, 0, 0]).view(1, 1, 2, 3).expand(20, -1, -1, -1)
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.randn_like(p))
    model.initialise(x)  # means of 0 and 1: the start is certain
    expected = model.logits(model.first(x.flatten(1)[:4], None)).sigmoid()
    torch.testing.assert_close(model.sample(4).flatten(1), expected.detach())
