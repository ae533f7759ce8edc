"""Are masked nets densities, is each pixel's distribution of those before it alone, and
do samples come from it?"""

import math
from itertools import pairwise

import pytest
import torch
from genmodel_bench.models.autoregressive import masked
from genmodel_bench.models.autoregressive.masked import Config
from ordered import every_image, rough
from sklearn.linear_model import LogisticRegression

NETS = [
    {"hidden": ()},
    {"hidden": (9,)},
    {"hidden": (9,), "direct": False},
    {"hidden": (7, 8), "masks": 3},
    {"hidden": (9,), "levels": 3},
    {"hidden": (), "levels": 3, "masks": 2},
]
SHAPE = {2: (1, 2, 4), 3: (1, 2, 3)}


def net(**fields):
    """A net with weights that are not small, and all images of its size."""
    config = Config(**fields)
    shape = SHAPE[config.levels]
    return rough(config, shape), every_image(config.levels, shape)


@pytest.mark.parametrize("fields", NETS)
def test_probabilities_sum_to_one(fields):
    model, x = net(**fields)
    log_p = model.log_prob(x)
    assert float(log_p.exp().sum()) == pytest.approx(1, abs=1e-5)  # float32
    assert float(log_p.exp().max()) < 0.9  # and are not of one image
    rounding = {"rtol": 1e-6, "atol": 1e-6}  # a few of float32's steps
    torch.testing.assert_close(torch.cat([model.log_prob(part) for part in x.split(7)]), log_p, **rounding)
    torch.testing.assert_close(model.train().log_prob(x), log_p, **rounding)


def test_a_mixture_averages_probabilities_and_its_mean_logits_are_no_density():
    model, x = net(hidden=(9,), masks=4)
    model.requires_grad_(requires_grad=False)
    each = torch.stack([model.log_probs(x.flatten(1), mask) for mask in range(4)])
    assert float((each.exp().mean(0).log() - model.log_prob(x)).abs().max()) < 1e-5
    logits = torch.stack([model.outputs(x.flatten(1), mask)[:, 0] for mask in range(4)]).mean(0)
    averaged = torch.distributions.Bernoulli(logits=logits).log_prob(x.flatten(1)).sum(1)
    assert abs(float(averaged.exp().sum()) - 1) > 0.01


@pytest.mark.parametrize("fields", NETS)
def test_an_output_depends_on_all_pixels_before_its_own_and_on_no_other(fields):
    """Many hidden units, so that each pixel is seen by some."""
    wide = {**fields, "hidden": tuple(60 for _ in fields["hidden"])}
    model, x = net(**wide)
    point = x[5].flatten()
    for mask, place in enumerate(model.place):
        jacobian = torch.autograd.functional.jacobian(
            lambda x, mask=mask: model.outputs(x[None], mask)[0], point
        )
        depends = (jacobian != 0).any(0)  # (k, d, d) -> (d, d)
        before = place[:, None] > place[None]
        assert bool((depends == before).all())


def test_zero_weights_leave_the_pixels_independent():
    model, x = net(hidden=(9,))
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name != "bias":
                p.zero_()
    p = model.bias.detach().sigmoid()
    wanted = torch.distributions.Bernoulli(probs=p).log_prob(x.flatten(1)).sum(1)
    torch.testing.assert_close(model.log_prob(x), wanted.double(), rtol=1e-5, atol=1e-5)


def naive(model, mask, n):
    """Draws by one pass of the whole net for each pixel."""
    d = math.prod(model.shape)
    x = torch.zeros(n, d)
    for place in range(d):
        i = int((model.place[mask] == place).nonzero())
        outputs = model.outputs(x, mask)[:, :, i]
        u = torch.rand(n)
        p = torch.cat([1 - outputs.sigmoid(), outputs.sigmoid()], 1) if model.k == 1 else outputs.softmax(1)
        if model.k == 1:
            x[:, i] = (u < p[:, 1]).float()
        else:
            x[:, i] = (p.cumsum(1)[:, :-1] <= u[:, None]).sum(1) / (model.k - 1)
    return x


@pytest.mark.parametrize("fields", NETS)
def test_the_sampler_gives_what_passes_of_the_whole_net_give(fields):
    model, _ = net(**fields)
    for mask in range(len(model.place)):
        torch.manual_seed(1)
        fast = model.sample_under(mask, 500)
        torch.manual_seed(1)
        # a probability that is rounded otherwise would have to lie within 1e-7 of u
        assert bool((naive(model, mask, 500) == fast).all())


@pytest.mark.parametrize("fields", NETS)
def test_samples_have_the_probabilities_of_the_density(fields):
    model, x = net(**fields)
    torch.manual_seed(2)
    draws = model.sample(20_000)
    powers = model.levels ** torch.arange(math.prod(model.shape) - 1, -1, -1)
    counts = torch.bincount(
        ((draws.flatten(1) * (model.levels - 1)).round().long() * powers).sum(1), minlength=len(x)
    )
    expected = model.log_prob(x).exp() * len(draws)
    likely = expected > 5
    chi2 = float(((counts - expected)[likely].square() / expected[likely]).sum())
    freedom = int(likely.sum())
    assert abs(chi2 - freedom) < 5 * math.sqrt(2 * freedom)  # five sd
    # and their mean log-probability is minus the entropy
    log_p = model.log_prob(x)
    entropy, spread = -float((log_p.exp() * log_p).sum()), float(log_p.std())
    assert float(model.log_prob(draws).mean()) == pytest.approx(
        -entropy, abs=5 * spread / math.sqrt(len(draws))
    )


def test_means_are_of_the_conditionals_under_drawn_pixels():
    model, _ = net(hidden=(9,))
    means, _ = net(hidden=(9,), output="means")
    means.load_state_dict(model.state_dict())
    torch.manual_seed(3)
    x = model.sample(300)
    torch.manual_seed(3)
    p = means.sample(300)
    wanted = model.outputs(x.flatten(1), 0)[:, 0].sigmoid().detach()
    torch.testing.assert_close(p.flatten(1), wanted, rtol=1e-5, atol=1e-6)


def test_without_hidden_layers_the_optimum_is_logistic_regression():
    """Each conditional is scikit-learn's regression on the pixels before."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(4)
    z = torch.randn(3000, 1, generator=generator)
    x = (torch.rand(3000, 8, generator=generator) < (1.5 * z + torch.linspace(-1, 1, 8)).sigmoid()).float()
    model = Config(hidden=(), epochs=40, lr=0.05).build((1, 2, 4))
    model.initialise(x.view(-1, 1, 2, 4))
    (stage,) = model.stages()
    for epoch in range(40):
        stage.schedules[0].tensor.fill_(stage.schedules[0].value(0, epoch))
        for batch in x[torch.randperm(3000)].split(300):
            stage.step(batch.view(-1, 1, 2, 4), None)
    order = model.place[0].argsort()
    total = 0.0
    for place, i in enumerate(order.tolist()):
        y = x[:, i].numpy()
        if not place:
            p = y.mean()
            total += 3000 * -(p * math.log(p) + (1 - p) * math.log(1 - p))
            continue
        seen = x[:, order[:place]].numpy()
        log_p = LogisticRegression(C=1e6).fit(seen, y).predict_log_proba(seen)
        total += -float(log_p[range(3000), y.astype(int)].sum())
    found = -float(model.log_prob(x.view(-1, 1, 2, 4)).mean())
    assert found == pytest.approx(total / 3000, abs=2e-3)  # nats; 40 epochs of 10 steps
    assert found > total / 3000 - 1e-5


@pytest.mark.parametrize("levels", [2, 3])
def test_the_bias_starts_at_the_shares_of_the_levels(levels):
    torch.manual_seed(0)
    x = torch.randint(levels, (400, *SHAPE[levels])) / (levels - 1)
    model = Config(hidden=(), levels=levels).build(SHAPE[levels])
    model.initialise(x)
    flat = (x.flatten(1) * (levels - 1)).round()
    shares = torch.stack([(flat == k).double().mean(0) for k in range(levels)])
    entropy = -(shares * shares.log()).sum()
    assert -float(model.log_prob(x).mean()) == pytest.approx(float(entropy), rel=1e-5)


def test_the_masks_of_a_mixture_take_turns():
    model = Config(hidden=(9,), masks=3, batch_size=10).build((1, 2, 4))
    (stage,) = model.stages()
    x = torch.rand(10, 1, 2, 4).round()
    for turn in (1, 2, 0, 1):
        stage.step(x, None)
        assert int(model.turn) == turn


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"levels": 1}, "levels must be at least 2, got 1"),
        ({"hidden": (), "direct": False}, "without hidden layers nothing is seen"),
    ],
)
def test_what_makes_no_net_is_one_line(fields, message):
    with pytest.raises(ValueError, match=message):
        Config(**fields)


def test_every_unit_sees_a_unit_below_and_is_seen_by_an_output():
    for _ in range(5):
        model = masked.Config(hidden=(3, 200, 3, 200), masks=2).build((1, 2, 8))
        for degrees in model.degrees:
            layers = degrees.split(model.config.hidden)
            for below, above in pairwise(layers):
                assert int(above.min()) >= int(below.min())
            assert 0 <= int(degrees.min()) and int(degrees.max()) <= 16 - 2
