"""The oracles: Gaussians in closed form, sums over pairs one by one, steps by hand."""

import math
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from genmodel_bench.models.moments import gmmn
from genmodel_bench.models.moments.discrepancy import root_mmd
from genmodel_bench.models.moments.gmmn import AutoEncoder
from torch.nn.functional import binary_cross_entropy

PUBLISHED = (2.0, 5.0, 10.0, 20.0, 40.0, 80.0)
PIXELS = gmmn.Config(latent=3, hidden=(5, 4), weights=0.7, variances=(0.5, 3.0), batch_size=6)
CODES = replace(
    PIXELS,
    autoencoder=True,
    encoder=(7, 2),
    code_variances=(0.2,),
    code_batch_size=6,
    matching_lr=0.3,
)
SHAPE = (1, 2, 3)


def slow_mmd2(x, y, variances):
    """MMD² by its definition, kernel by kernel, i = j among the pairs."""

    def mean(a, b):
        squares = (a[:, None] - b[None]).square().sum(2)
        return sum(torch.exp(-squares / (2 * s)) for s in variances).mean()

    return mean(x, x) + mean(y, y) - 2 * mean(x, y)


def points(n, d=3, shift=0.0):
    return torch.randn(n, d, dtype=torch.float64) + shift


def expected_kernel(d, s, variance, shift2=0.0):
    """E exp(−‖u‖²/2s) for u ~ N(Δ, variance · I) in d dimensions, ‖Δ‖² = shift2."""
    return (s / (s + variance)) ** (d / 2) * math.exp(-shift2 / (2 * (s + variance)))


def test_the_root_and_its_gradient_are_those_of_the_sum_over_all_pairs():
    x, y = points(9).requires_grad_(), points(7, shift=0.4)
    expected = slow_mmd2(x, y, PUBLISHED).sqrt()
    value, gradient = root_mmd(x.detach(), y, PUBLISHED)
    torch.testing.assert_close(value, expected.detach())
    torch.testing.assert_close(gradient, *torch.autograd.grad(expected, x))


def test_the_gradient_is_the_slope_of_the_root_by_finite_differences():
    x, y, way = points(6), points(8, shift=0.4), points(6)
    h = 1e-5  # the error is of h², and of the epsilon over h: 1e-11
    ends = [root_mmd(x + sign * h * way, y, (0.5, 4.0))[0] for sign in (1, -1)]
    slope = float((root_mmd(x, y, (0.5, 4.0))[1] * way).sum())
    assert float(ends[0] - ends[1]) / (2 * h) == pytest.approx(slope, rel=1e-7)


@pytest.mark.parametrize("s", [0.5, 4.0])
def test_gaussians_have_the_mmd_of_their_closed_form(s):
    # x ~ N(0, I), y ~ N(Δ, 4 I): differences have the variances 2, 8 and 5. A pair i = j
    # has the kernel 1, which moves the means within a set by (1 − E k) / n: the bias
    d, n, shift2 = 3, 4000, 3 * 0.5**2
    xx, yy, xy = (
        expected_kernel(d, s, 2),
        expected_kernel(d, s, 8),
        expected_kernel(d, s, 5, shift2),
    )
    exact = xx + yy - 2 * xy + (1 - xx) / n + (1 - yy) / n
    value, _ = root_mmd(points(n), 2 * points(n) + 0.5, (s,))
    # over seeds the standard deviation was 0.0024 (s = 0.5) and 0.0066: four of them
    assert float(value**2) == pytest.approx(exact, abs=0.026 if s == 4 else 0.01)


def test_a_variance_is_not_squared_again():
    # two sets of one point each: MMD² = 2 − 2 exp(−25 / 2s)
    x, y = torch.zeros(1, 2, dtype=torch.float64), torch.tensor([[3.0, 4.0]], dtype=torch.float64)
    value, _ = root_mmd(x, y, (10.0,))
    assert float(value) == pytest.approx(math.sqrt(2 - 2 * math.exp(-25 / 20)))


def test_kernels_add_up():
    x, y = points(5), points(6)
    whole = root_mmd(x, y, (1.0, 3.0))[0] ** 2
    torch.testing.assert_close(whole, root_mmd(x, y, (1.0,))[0] ** 2 + root_mmd(x, y, (3.0,))[0] ** 2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equal_sets_have_the_root_zero_and_a_finite_gradient(dtype):
    x = torch.rand(40, 50, dtype=dtype)
    value, gradient = root_mmd(x, x.flip(0), PUBLISHED)
    # MMD² within some rounding of six kernels, and so the root within its own root
    assert 0 <= float(value) <= math.sqrt(100 * torch.finfo(dtype).eps)
    assert gradient.isfinite().all()
    assert float(gradient.abs().max()) < 1e-3  # that of two apart is about 0.01


def test_the_biased_mmd_of_two_halves_of_one_set_is_above_zero():
    # E = (1 − E k)(1/n + 1/m): with n = m = 500 and E k = 5^(-3/2) for s = 0.5
    values = torch.stack([root_mmd(points(500), points(500), (0.5,))[0] ** 2 for _ in range(10)])
    expected = (1 - expected_kernel(3, 0.5, 2)) * 2 / 500
    assert float(values.mean()) == pytest.approx(expected, rel=0.05)  # standard error 0.6 %


def test_data_move_no_weight_by_themselves():
    x, y = points(5).requires_grad_(), points(6).requires_grad_()
    value, gradient = root_mmd(x, y, (1.0,))
    assert not value.requires_grad and not gradient.requires_grad


def trained_by_hand(model, y, lr, variances):
    """G's parameters after the first step, by autograd through the slow MMD."""
    z = model.latent(len(y))
    h = z / math.sqrt(3)
    *hidden, last = [layer for layer in model.G if isinstance(layer, torch.nn.Linear)]
    for layer in hidden:
        h = (h @ layer.weight.T + layer.bias).clamp_min(0)
    x = torch.sigmoid(h @ last.weight.T + last.bias)
    loss = slow_mmd2(x, y, variances).sqrt()
    weights = list(model.G.parameters())
    gradients = torch.autograd.grad(loss, weights)
    return loss.detach(), [p.detach() - lr * g for p, g in zip(weights, gradients, strict=True)]


@pytest.mark.parametrize("config", [PIXELS, CODES])
def test_a_step_descends_the_root_of_mmd(config):
    model, images = config.build(SHAPE), torch.rand(6, *SHAPE)
    stage = model.stages()[-1]
    y = images.flatten(1) if stage.inputs is None else stage.inputs(images)
    for schedule in stage.schedules:
        schedule.tensor.fill_(schedule.value(0, 0))
    torch.manual_seed(4)
    lr, variances = (0.3, (0.2,)) if config is CODES else (2.0, (0.5, 3.0))
    loss, expected = trained_by_hand(model, y, lr, variances)
    before = [p.detach().clone() for p in model.parameters()]
    torch.manual_seed(4)
    logged = stage.step(images if stage.inputs is None else y, None)
    # float32: kernels have an error of 1e-7, the root of an MMD² of 0.01 ten times that
    torch.testing.assert_close(logged["mmd"], loss, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close([p.detach() for p in model.G.parameters()], expected, rtol=1e-3, atol=1e-5)
    moved = sum(not torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    assert moved == len(expected)  # the auto-encoder is left as it is


def test_noise_enters_between_minus_one_and_one():
    model = PIXELS.build(SHAPE)
    entered = []
    model.G[0].register_forward_pre_hook(lambda layer, x: entered.append(x[0]))
    model.sample(2000)
    low, high = entered[0].aminmax()
    assert -1 <= float(low) < -0.99 and 0.99 < float(high) <= 1


def test_rates_change_after_a_quarter_of_the_epochs():
    model = gmmn.Config().build(SHAPE)
    assert [model.learning_rate(0, epoch) for epoch in (0, 199, 200, 799)] == [2, 2, 0.2, 0.2]
    assert [model.momentum(0, epoch) for epoch in (0, 199)] == [0.9, 0.9]
    assert [model.momentum(0, epoch) for epoch in (200, 799)] == pytest.approx([0.99, 0.99])
    # the published update 50 is step 49 here
    assert [model.code_momentum(step, 0) for step in (0, 48, 49, 198, 199)] == [0, 0, 0.5, 0.5, 0.9]


def test_the_published_scheme_takes_as_many_updates():
    c = gmmn.Config()
    assert c.epochs * (50_000 // c.batch_size) == 40_000
    assert c.code_epochs * (50_000 // c.code_batch_size) == 3_000


def test_stages_train_each_layer_on_the_codes_below_then_all_then_g():
    model, x = CODES.build(SHAPE), torch.rand(6, *SHAPE)
    first, second, whole, matching = stages = model.stages()
    assert [stage.name for stage in stages] == ["layer 1", "layer 2", "auto-encoder", "matching"]
    assert [len(stage.optimisers[0].param_groups[0]["params"]) for stage in stages] == [4, 4, 8, 6]
    flat, (up, top) = x.flatten(1), model.ae.up
    torch.testing.assert_close(first.inputs(x), flat)
    torch.testing.assert_close(second.inputs(x), torch.sigmoid(up(flat)))
    torch.testing.assert_close(whole.inputs(x), flat)
    torch.testing.assert_close(matching.inputs(x), torch.sigmoid(top(torch.sigmoid(up(flat)))))
    assert [float(stage.optimisers[0].momentum) for stage in stages[:2]] == [0.5, 0.5]
    assert PIXELS.build(SHAPE).ae is None


def test_a_step_of_the_auto_encoder_descends_the_cross_entropy():
    config = replace(CODES, dropout=(0.0, 0.0), code_lr=0.05)
    model, x = config.build(SHAPE), torch.rand(6, 6)
    stage = model.stages()[2]
    stage.schedules[0].tensor.fill_(0.0)
    ae = model.ae
    h = x
    for layer in [*ae.up, *reversed(ae.down)]:
        h = torch.sigmoid(h @ layer.weight.T + layer.bias)
    loss = binary_cross_entropy(h, x, reduction="sum") / 6
    weights = list(ae.parameters())
    gradients = torch.autograd.grad(loss, weights)
    expected = [p.detach() - 0.05 * g for p, g in zip(weights, gradients, strict=True)]
    logged = stage.step(x, None)
    torch.testing.assert_close(logged["reconstruction"], loss.detach())
    torch.testing.assert_close([p.detach() for p in weights], expected)


def test_a_large_gradient_of_the_auto_encoder_is_scaled_down():
    model, x = replace(CODES, max_gradient=1e-3, code_lr=1.0).build(SHAPE), torch.rand(6, 6)
    before = [p.detach().clone() for p in model.ae.parameters()]
    model.stages()[2].step(x, None)
    moved = [(a - b.detach()).square().sum() for a, b in zip(before, model.ae.parameters(), strict=True)]
    # float32, and torch adds 1e-6 to the norm that it divides by
    assert float(sum(moved).sqrt()) == pytest.approx(1e-3, rel=1e-3)


def test_dropout_is_of_what_enters_a_layer_and_in_training_alone():
    ae = replace(CODES, dropout=(0.0, 0.999)).build(SHAPE).ae
    x, layers = torch.rand(50, 6), range(2)
    below = ae.encode(x, layers[:1])
    torch.testing.assert_close(ae.encode(x, layers[:1], noisy=True), below)
    dropped = ae.encode(x, layers, noisy=True)
    # all but some of 350 inputs are gone: what is left of a code is its bias, 0
    assert float((dropped == 0.5).float().mean()) > 0.9
    assert not (ae.encode(x, layers) == 0.5).any()


@pytest.mark.parametrize(("config", "sizes"), [(PIXELS, (3, 5, 4, 6)), (CODES, (3, 5, 4, 2))])
def test_a_sample_is_g_of_noise_decoded_where_it_is_a_code(config, sizes):
    model = config.build(SHAPE)
    shapes = [tuple(layer.weight.shape) for layer in model.G if isinstance(layer, torch.nn.Linear)]
    assert shapes == [(b, a) for a, b in pairwise(sizes)]
    z = model.latent(10)
    x = torch.sigmoid(model.G(z / 3**0.5))
    if model.ae is not None:
        for layer in reversed(model.ae.down):
            x = torch.sigmoid(layer(x))
    torch.testing.assert_close(model.decode(z), x.detach().view(10, *SHAPE))


def test_weights_start_with_the_given_deviation_and_biases_at_zero():
    model = gmmn.Config(autoencoder=True).build((1, 28, 28))
    for layer in [*model.G, *model.ae.up, *model.ae.down]:
        if isinstance(layer, torch.nn.Linear):
            # of at least 640 weights: four standard errors
            assert float(layer.weight.detach().std()) == pytest.approx(0.1, rel=4 / (2 * 640) ** 0.5)
            assert not layer.bias.any()


@pytest.mark.parametrize(
    "changes",
    [{"variances": ()}, {"code_variances": ()}, {"encoder": ()}, {"encoder": (5,)}, {"dropout": (0.1,)}],
)
def test_what_cannot_be_trained_raises(changes):
    with pytest.raises(ValueError, match=r"^gmmn: .*expected|^gmmn: .*needs"):
        gmmn.Config(**changes)


def test_the_gradient_of_near_sets_is_that_of_autograd():
    y = torch.rand(40, 3, dtype=torch.float64)
    x = (y + 0.02 * torch.randn_like(y)).requires_grad_()

    def mean(a, b):
        apart = (a[:, None] - b[None]).square().sum(2)
        return sum(torch.exp(-apart / (2 * s)) for s in (0.5, 2.0)).mean()

    expected = (mean(x, x) + mean(y, y) - 2 * mean(x, y)).sqrt()
    assert float(expected.detach()) < 0.05
    (gradient,) = torch.autograd.grad(expected, x)
    found, ours = root_mmd(x.detach(), y, (0.5, 2.0))
    torch.testing.assert_close(found, expected.detach())
    torch.testing.assert_close(ours, gradient)


def test_a_step_of_the_auto_encoder_is_with_dropout():
    config = gmmn.Config(latent=2, hidden=(4,), autoencoder=True, encoder=(6, 3), dropout=(0.4, 0.3))
    model, x = config.build((1, 3, 3)), torch.rand(5, 9)
    torch.manual_seed(1)
    logits = model.ae.logits(model.ae.encode(x, model.layers, noisy=True), model.layers)
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(1).mean()
    torch.manual_seed(1)
    values = model.coding("auto-encoder", model.layers).step(x, None)
    assert float(values["reconstruction"]) == pytest.approx(float(expected.detach()))


def test_three_layers_are_decoded_from_the_top_down():
    ae, h = AutoEncoder([3, 3, 3, 3], (0.0, 0.0, 0.0)), torch.rand(4, 3)
    expected = ae.down[0](ae.down[1](ae.down[2](h).sigmoid()).sigmoid())
    torch.testing.assert_close(ae.logits(h, range(3)), expected)
