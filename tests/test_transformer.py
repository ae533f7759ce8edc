"""Is a causal transformer a density, and do samples come from it?"""

import math

import pytest
import torch
from genmodel_bench.models.transformer import Config
from ordered import check_density, check_frequencies, check_reach, naive, rough

SMALL = {"width": 8, "blocks": 2, "heads": 2}
NETS = [(SMALL, (1, 3, 3)), ({**SMALL, "levels": 3}, (1, 2, 3)), (SMALL, (3, 2, 1))]


@pytest.fixture(params=NETS, ids=["binary", "levels", "colour"])
def net(request):
    fields, shape = request.param
    return rough(Config(**fields), shape)


def test_probabilities_sum_to_one(net):
    check_density(net)


def test_an_output_depends_on_all_pixels_before_its_own_and_on_no_other(net):
    check_reach(net.double())


def test_samples_have_the_probabilities_of_the_density(net):
    check_frequencies(net)


def test_the_sampler_gives_what_passes_of_the_whole_net_give(net):
    torch.manual_seed(1)
    fast = net.sample(200)
    torch.manual_seed(1)
    # a probability that is rounded otherwise would have to lie within 1e-6 of u
    assert torch.equal(naive(net, 200), fast.permute(0, 2, 3, 1).flatten(1))


def test_means_are_of_the_conditionals_under_drawn_pixels():
    model, means = (rough(Config(**SMALL, output=output), (1, 3, 3)) for output in ("draws", "means"))
    torch.manual_seed(3)
    x = model.sample(100).flatten(1)
    torch.manual_seed(3)
    p = means.sample(100).flatten(1)
    torch.testing.assert_close(p, model.outputs(x)[:, 0].sigmoid().detach(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("levels", [2, 17])
def test_without_weights_pixels_have_the_shares_of_all_training_pixels(levels):
    model = Config(**SMALL, levels=levels).build((1, 4, 4))
    x = torch.randint(levels, (400, 1, 4, 4)) / (levels - 1)
    model.initialise(x)
    with torch.no_grad():
        model.last.weight.zero_()
    shares = (x * (levels - 1)).round().long().flatten().bincount() / x.numel()
    entropy = 16 * -float((shares * shares.log()).sum())
    assert -float(model.log_prob(x).mean()) == pytest.approx(entropy, rel=1e-5)
    with torch.no_grad():
        model.last.bias.zero_()
    assert -float(model.log_prob(x).mean()) == pytest.approx(16 * math.log(levels), rel=1e-6)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"levels": 1}, "transformer: levels must be at least 2, got 1"),
        ({"heads": 3}, "transformer: heads must divide the width 64, got 3"),
    ],
)
def test_what_makes_no_net_is_one_line(fields, message):
    with pytest.raises(ValueError, match=message):
        Config(**fields)
