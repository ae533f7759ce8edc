"""Is a NADE the density that its formula says, and do samples come from it?"""

import pytest
import torch
from genmodel_bench.models.autoregressive import nade
from genmodel_bench.models.autoregressive.nade import Config, Scan
from ordered import check_density, check_frequencies, check_reach, naive, rough

NETS = [({"hidden": 9}, (1, 2, 4)), ({"hidden": 9, "levels": 3}, (1, 2, 3))]


@pytest.fixture(params=NETS, ids=["binary", "levels"])
def net(request):
    fields, shape = request.param
    return rough(Config(**fields), shape)


def test_probabilities_sum_to_one(net):
    check_density(net)


def test_an_output_depends_on_all_pixels_before_its_own_and_on_no_other(net):
    check_reach(net)


def test_samples_have_the_probabilities_of_the_density(net):
    check_frequencies(net)


def test_outputs_are_those_of_the_formula(net):
    """A loop over pixels, and the pixels before each: O(d² · hidden)."""
    model = net.double().requires_grad_(requires_grad=False)
    d = len(model.order)
    x = torch.randint(model.levels, (20, d)).double() / (model.levels - 1)
    wanted = torch.zeros(20, len(model.b[0]), d).double()
    for i in range(d):
        a = model.c.repeat(20, 1)
        for j in range(i):
            a += x[:, j, None] * model.W[j]
        wanted[:, :, i] = model.b[i] + a.sigmoid() @ model.V[i].T
    torch.testing.assert_close(model.outputs(x), wanted, rtol=1e-12, atol=1e-12)


def test_gradients_are_those_of_finite_differences():
    n, d, k, hidden = 3, 5, 2, 4
    sizes = [(n, d), (d, hidden), (d, k, hidden), (hidden,)]
    x, W, V, c = (torch.randn(*size, dtype=torch.float64, requires_grad=True) for size in sizes)
    units = torch.empty(d, n, hidden, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda *given: Scan.apply(*given, units.clone()), (x, W, V, c))


def test_units_that_were_overwritten_give_no_gradient():
    model = Config(hidden=4).build((1, 2, 2))
    x, units = torch.ones(3, 4), torch.empty(4, 3, 4)
    first = model.outputs(x, units).sum()
    model.outputs(x, units)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        first.backward()


def test_the_sampler_gives_what_passes_of_the_whole_net_give(net):
    torch.manual_seed(1)
    fast = net.sample(200)
    torch.manual_seed(1)
    # a probability that is rounded otherwise would have to lie within 1e-7 of u
    assert torch.equal(naive(net, 200), fast.flatten(1)[:, net.order])


def test_means_are_of_the_conditionals_under_drawn_pixels():
    model, means = (rough(Config(hidden=9, output=output), (1, 2, 4)) for output in ("draws", "means"))
    torch.manual_seed(3)
    x = model.sample(100).flatten(1)[:, model.order]
    torch.manual_seed(3)
    p = means.sample(100).flatten(1)[:, model.order]
    torch.testing.assert_close(p, model.outputs(x)[:, 0].sigmoid().detach(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("fields", "shape"), NETS)
def test_without_weights_pixels_have_the_shares_of_the_training_images(fields, shape):
    model = Config(**fields).build(shape)
    x = torch.randint(model.levels, (400, *shape)) / (model.levels - 1)
    model.initialise(x)
    with torch.no_grad():
        model.V.zero_()
    flat = (x.flatten(1) * (model.levels - 1)).round()
    shares = torch.stack([(flat == k).double().mean(0) for k in range(model.levels)])
    entropy = -float((shares * shares.log()).sum())
    assert -float(model.log_prob(x).mean()) == pytest.approx(entropy, rel=1e-5)


def test_one_level_makes_no_net():
    with pytest.raises(ValueError, match="nade: levels must be at least 2, got 1"):
        Config(levels=1)


def test_the_order_is_a_random_one_of_all_pixels():
    orders = [nade.Config(hidden=2).build((1, 5, 6)).order.tolist() for _ in range(2)]
    assert all(sorted(order) == list(range(30)) for order in orders)
    assert orders[0] != orders[1] and list(range(30)) not in orders
