import math
from dataclasses import replace

import pytest
import torch
from genmodel_bench.models import settings_for
from genmodel_bench.models.adversarial import conv_gan, critics, gan, players
from genmodel_bench.models.shared.contrast import Contrast
from genmodel_bench.models.shared.layers import Maxout

SMALL = gan.Config(
    latent=4,
    generator=(8,),
    activations=("relu",),
    discriminator=(6,),
    pieces=2,
    batch_size=10,
    discriminator_range=0.3,
)


def built(config=SMALL):
    model = config.build((1, 3, 3))
    model.initialise(torch.rand(50, 1, 3, 3))
    (stage,) = model.stages()
    return model, stage


@pytest.mark.parametrize(
    ("loss", "value"), [(critics.non_saturating_loss, 0.3133), (critics.minimax_loss, -1.3133)]
)
def test_generator_losses_at_logit_one(loss, value):
    assert float(loss(torch.tensor([1.0]))) == pytest.approx(value, abs=5e-5)


@pytest.mark.parametrize("logit", [-8.0, -1.0, 0.0, 1.0, 5.0])
def test_generator_gradients_at_the_logit(logit):
    a = torch.tensor([logit], dtype=torch.float64, requires_grad=True)
    d = float(a.detach().sigmoid())
    (minimax,) = torch.autograd.grad(critics.minimax_loss(a), a)
    (non_saturating,) = torch.autograd.grad(critics.non_saturating_loss(a), a)
    # Both push the logit up: the minimax loss with D(G(z)), which vanishes where D is
    # sure; the other with 1 − D(G(z)).
    assert float(minimax) == pytest.approx(-d, rel=1e-12)
    assert float(non_saturating) == pytest.approx(-(1 - d), rel=1e-12)


def test_generator_losses_are_logs_of_the_discriminator():
    a = torch.linspace(-5, 5, 11, dtype=torch.float64)
    torch.testing.assert_close(critics.minimax_loss(a), (1 - a.sigmoid()).log().mean())
    torch.testing.assert_close(critics.non_saturating_loss(a), -a.sigmoid().log().mean())


def test_discriminator_loss_is_half_the_cross_entropy():
    real, fake = torch.randn(20, dtype=torch.float64), torch.randn(20, dtype=torch.float64)
    expected = -0.5 * (real.sigmoid().log().mean() + (1 - fake.sigmoid()).log().mean())
    torch.testing.assert_close(critics.discriminator_loss(real, fake), expected)


def test_optimal_discriminator_loss_at_equality_is_half_log_four():
    assert float(critics.discriminator_loss(torch.zeros(3), torch.zeros(3))) == pytest.approx(
        0.5 * math.log(4)
    )


def stepped(config):
    """A model before one step on x, x, the weights before and after, and the step's log.

    The random generator is in the state that the step found.
    """
    model, stage = built(config)
    x = torch.rand(10, 1, 3, 3)
    old = {k: v.clone() for k, v in model.state_dict().items()}
    torch.manual_seed(5)
    values = stage.step(x, None)
    new = {k: v.clone() for k, v in model.state_dict().items()}

    model.load_state_dict(old)
    torch.manual_seed(5)
    return model, x, old, new, values


def assert_logged(values, loss_d, loss_g, a_real, a_fake):
    """The log is of both losses and the means of D(x) and D(G(z)), without gradients."""
    assert not any(value.requires_grad for value in values.values())
    torch.testing.assert_close(
        values,
        {
            "loss_d": loss_d.detach(),
            "d_real": a_real.detach().sigmoid().mean(),
            "d_fake": a_fake.detach().sigmoid().mean(),
            "loss_g": loss_g.detach(),
        },
    )


LOSSES = [
    (SMALL, critics.non_saturating_loss),
    (replace(SMALL, loss="minimax", discriminator_scale=2.0), critics.minimax_loss),
]


@pytest.mark.parametrize(("config", "generator_loss"), LOSSES)
def test_simultaneous_update_uses_one_fake_batch_one_mask_and_the_old_parameters(config, generator_loss):
    model, x, old, new, values = stepped(config)
    a_real = model.D(x.flatten(1))
    a_fake = model.D(model.output(model.G(players.noise(model.G, 10, "uniform"))))
    names = [k for k, _ in model.named_parameters()]
    params = dict(model.named_parameters())
    loss_d = critics.discriminator_loss(a_real, a_fake, scale=config.discriminator_scale)
    loss_g = generator_loss(a_fake)
    for k in names:
        loss = loss_g if k.startswith("G.") else loss_d
        (g,) = torch.autograd.grad(loss, params[k], retain_graph=True)
        torch.testing.assert_close(new[k], old[k] - 0.1 * g, msg=k)
    assert_logged(values, loss_d, loss_g, a_real, a_fake)


@pytest.mark.parametrize(("config", "generator_loss"), LOSSES)
def test_alternating_update_shows_the_generator_the_new_discriminator(config, generator_loss):
    model, x, _, new, values = stepped(replace(config, update="alternating"))
    with torch.no_grad():
        fake = model.output(model.G(players.noise(model.G, 10, "uniform")))
    a_real, a_fake = model.D(torch.cat([x.flatten(1), fake])).chunk(2)
    loss_d = critics.discriminator_loss(a_real, a_fake, scale=config.discriminator_scale)
    with torch.no_grad():
        for p, g in zip(
            model.D.parameters(), torch.autograd.grad(loss_d, list(model.D.parameters())), strict=True
        ):
            p -= 0.1 * g
    loss_g = generator_loss(model.D(model.output(model.G(players.noise(model.G, 10, "uniform")))))
    for (k, p), g in zip(
        model.G.named_parameters(), torch.autograd.grad(loss_g, list(model.G.parameters())), strict=True
    ):
        torch.testing.assert_close(new[f"G.{k}"], p - 0.1 * g, msg=k)
    assert_logged(values, loss_d, loss_g, a_real, a_fake)


def test_k_takes_k_minibatches_for_one_generator_update():
    _, stage = built(replace(SMALL, k=3))
    assert stage.batch_size == 30
    calls = []
    opt_g, opt_d = stage.optimisers
    for name, optimiser in (("g", opt_g), ("d", opt_d)):
        optimiser.register_step_post_hook(lambda *_, name=name: calls.append(name))
    stage.step(torch.rand(30, 1, 3, 3), None)
    assert sorted(calls) == ["d", "d", "d", "g"]


@pytest.mark.parametrize("config", [gan.Config, conv_gan.Config])
def test_k_below_one_raises(config):
    with pytest.raises(ValueError, match="k must be at least 1, got 0"):
        config(k=0)


@pytest.mark.parametrize("field", ["channels", "kernels", "pads", "pools", "pool_strides"])
def test_convolutional_layers_need_one_of_each(field):
    with pytest.raises(ValueError, match="differ in length"):
        conv_gan.Config(**{field: (2, 2)})


def test_schedules_are_the_released_ones():
    config = gan.Config()
    assert players.learning_rate(config, 0) == 0.1
    assert players.learning_rate(config, 50_000) == pytest.approx(0.1 / 1.000004**50_000)
    assert players.learning_rate(config, 10**8) == 1e-6
    assert players.momentum(config, 0) == 0.5
    assert players.momentum(config, 249) == pytest.approx(0.7)
    assert players.momentum(config, 600) == pytest.approx(0.7)
    assert players.momentum(config, 10) == pytest.approx(0.5 + 0.2 * 10 / 249)


def test_both_players_have_the_schedules():
    model, stage = built(replace(SMALL, lr=0.3, momentum=0.4))
    opt_g, opt_d = stage.optimisers
    assert [float(o.lr) for o in (opt_g, opt_d)] == pytest.approx([0.3, 0.3])
    assert [float(o.momentum) for o in (opt_g, opt_d)] == pytest.approx([0.4, 0.4])
    found = {id(s.tensor): s.value(1000, 10) for s in stage.schedules}
    rate, momentum = players.learning_rate(model.config, 1000), players.momentum(model.config, 10)
    assert found == {
        id(opt_g.lr): rate,
        id(opt_d.lr): rate,
        id(opt_g.momentum): momentum,
        id(opt_d.momentum): momentum,
    }


def test_momentum_of_a_single_epoch_is_the_first():
    config = replace(SMALL, momentum_epochs=1)
    assert players.momentum(config, 0) == 0.5
    assert players.momentum(config, 1) == pytest.approx(0.7)


def test_the_discriminator_gives_one_logit_for_each_image():
    D = SMALL.build((1, 3, 3)).D
    assert D(torch.rand(10, 9)).shape == (10,)


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
    z = players.noise(replace(SMALL, latent=100).build((1, 3, 3)).G, 2000, prior)
    # variance of 200,000 draws: standard error of the variance ≤ √(2/200,000) = 0.003
    assert float(z.var()) == pytest.approx(1, abs=0.02)
    assert float(z.mean()) == pytest.approx(0, abs=0.01)
    assert (float(z.abs().max()) <= math.sqrt(3)) == (prior == "uniform")


def test_number_of_activations_that_does_not_fit_raises():
    with pytest.raises(ValueError, match="an activation for each of the 1 hidden layers, got 2"):
        gan.Config(generator=(8,))


def test_front_layers_need_pretraining():
    with pytest.raises(ValueError, match="front and pretrain_epochs go together"):
        gan.Config(front=(8, 4))


TFD = replace(
    settings_for("gan-ns", "tfd"),
    generator=(30, 20),
    front=(25, 10),
    discriminator=(12, 12),
    discriminator_range=0.3,
    output_sparse=6,
    batch_size=10,
    lr=0.01,
)


def test_tfd_setting_is_the_released_one():
    config = settings_for("gan-ns", "tfd")
    assert (config.prior, config.generator, config.activations) == (
        "gaussian",
        (8000, 8000),
        ("relu", "sigmoid"),
    )
    assert (config.front, config.pretrain_epochs, config.epochs) == ((8000, 100), 50, 22)
    assert (config.discriminator, config.max_norm, config.lr, config.sigmoid_bias) == (
        (1200, 1200),
        1.9365,
        0.05,
        -2.0,
    )


def test_pretraining_trains_the_last_layers_alone_and_then_all_against_a_fresh_discriminator():
    model = TFD.build((1, 4, 4))
    model.initialise(torch.rand(50, 1, 4, 4))
    first, last = model.stages()
    assert [(s.name, s.epochs) for s in (first, last)] == [("pretraining", 50), ("adversarial", 22)]
    linear = [layer for layer in model.G if isinstance(layer, torch.nn.Linear)]
    assert [(layer.in_features, layer.out_features) for layer in linear] == [
        (100, 25),
        (25, 10),
        (10, 30),
        (30, 20),
        (20, 16),
    ]
    assert [type(layer).__name__ for layer in model.G[1::2]] == ["ReLU", "Sigmoid", "ReLU", "Sigmoid"]

    def moved(stage):
        before = {k: v.detach().clone() for k, v in model.named_parameters()}
        stage.step(torch.rand(10, 1, 4, 4), None)
        return {k.rsplit(".", 1)[0] for k, v in model.named_parameters() if not torch.equal(v, before[k])}

    players = {"G.4", "G.6", "G.8", "first_D.hidden.0.linear", "first_D.hidden.1.linear", "first_D.out"}
    assert moved(first) == players
    assert moved(last) == {name.removeprefix("first_") for name in players} | {"G.0", "G.2"}


def test_sparse_weights_biases_and_norms_are_those_asked_for():
    model = TFD.build((1, 4, 4))
    output = model.G[-1]
    assert (output.weight != 0).sum(1).tolist() == [6] * 16
    assert model.G[2].bias.tolist() == [-2.0] * 10  # the sigmoid layers
    assert model.G[6].bias.tolist() == [-2.0] * 20
    assert float(output.weight.detach().norm(dim=1).max()) > 1.9365
    model.initialise(torch.rand(50, 1, 4, 4))
    for stage in model.stages():
        stage.step(torch.rand(10, 1, 4, 4), None)
    for net in (model.G, model.D, model.first_D):
        for layer in net.modules():
            if isinstance(layer, torch.nn.Linear):
                assert float(layer.weight.detach().norm(dim=1).max()) <= 1.9365 + 1e-5


def test_cifar_setting_trains_on_normalised_images_and_samples_in_the_unit_interval():
    config = replace(
        settings_for("gan-ns", "cifar10"), generator=(30, 20), discriminator=(12, 12), batch_size=10
    )
    assert settings_for("gan-ns", "cifar10").generator == (8000, 8000)
    model = config.build((3, 5, 5))
    x = torch.rand(40, 3, 5, 5)
    model.initialise(x)
    (stage,) = model.stages()
    y = stage.inputs(x)
    torch.testing.assert_close(y.norm(dim=1), torch.full((40,), 55.0))
    torch.testing.assert_close(y.mean(1), torch.zeros(40), atol=1e-4, rtol=0)
    assert 0.45 < float(model.G[-1].weight.detach().abs().max()) <= 0.5
    stage.step(y[:10], None)
    drawn = model.sample(7)
    assert drawn.shape == (7, 3, 5, 5)
    assert 0 <= drawn.min() <= drawn.max() <= 1


def test_contrast_is_restored_at_the_mean_of_the_training_images():
    contrast = Contrast()
    x = 0.5 + 0.1 * torch.randn(20, 3, 4, 4).clamp(-3, 3)
    contrast.fit(x)
    y = contrast.normalise(x)
    back = contrast.restore(y)
    flat = x.flatten(1)
    norms = (flat - flat.mean(1, keepdim=True)).norm(dim=1)
    expected = flat.mean() + (flat - flat.mean(1, keepdim=True)) * (norms.mean() / norms)[:, None]
    torch.testing.assert_close(back, expected.clamp(0, 1), atol=1e-5, rtol=0)


def test_uniform_images_of_every_grey_level_have_no_contrast():
    contrast, levels = Contrast(), torch.arange(256) / 255
    y = contrast.normalise(levels[:, None, None, None].expand(-1, 3, 32, 32))
    # a mean of 3,072 float32 values errs by up to 5e-7 and the norm by √3,072 of it
    assert float(y.norm(dim=1).max()) < 55 * math.sqrt(3072) * 5e-7 / 1e-3
    one = torch.zeros(1, 3, 32, 32)
    one[0, 0, 0, 0] = 1 / 255
    assert float(contrast.normalise(one).norm()) == pytest.approx(55, rel=1e-4)


def test_convolutional_nets_have_the_released_shapes():
    model = settings_for("gan-conv", "cifar10").build((3, 32, 32))
    deconvolution = model.G[5]
    assert (
        deconvolution.in_channels,
        deconvolution.out_channels,
        deconvolution.kernel_size,
        deconvolution.stride,
    ) == (
        80,
        3,
        (5, 5),
        (3, 3),
    )
    assert model.G[2].out_features == 80 * 10 * 10
    assert [layer.weight.shape for layer in model.D.convolutions] == [
        (64, 3, 8, 8),
        (64, 32, 8, 8),
        (384, 32, 5, 5),
    ]
    assert [type(layer).__name__ for layer in model.G] == [
        "Linear",
        "ReLU",
        "Linear",
        "Sigmoid",
        "Unflatten",
        "ConvTranspose2d",
        "Crop",
        "Flatten",
    ]
    # 32 → 33 → 16 → 15 → 7 → 9 → 5: the odd ones only with ceil-mode pooling
    assert model.D.hidden.linear.weight.shape == (2500, 192 * 5 * 5)
    assert model.G(torch.randn(2, 100)).shape == (2, 3 * 32 * 32)


def assert_uniform(weights, r):
    """The weights are from U(−r, r): n of them, over 1,000, reach 1 % below both ends."""
    weights = weights.detach() / (1 + 1e-6)  # float32 rounds r
    assert -r <= float(weights.min()) < -0.99 * r
    assert 0.99 * r < float(weights.max()) <= r


def test_convolutional_nets_start_from_their_ranges_with_biases_of_zero():
    model = replace(settings_for("gan-conv", "cifar10"), generator=200, maps=20).build((3, 32, 32))
    for layer in (model.G[0], model.G[2], model.G[5]):
        assert_uniform(layer.weight, 0.05)
    for layer in (*model.D.convolutions, model.D.hidden.linear, model.D.out):
        assert float(layer.weight.detach().abs().max()) <= 0.005
    for layer in (*model.D.convolutions, model.D.hidden.linear):
        assert_uniform(layer.weight, 0.005)
    for name, p in model.named_parameters():
        assert not name.endswith("bias") or bool((p == 0).all()), name


def test_an_image_larger_than_the_datas_is_cropped_at_the_right_and_the_bottom():
    crop = conv_gan.Crop(3, 2)
    x = torch.rand(4, 3, 5, 6)
    assert torch.equal(crop(x), x[:, :, :3, :2])


@pytest.mark.parametrize("size", range(3, 13))
def test_a_generated_image_covers_the_datas_with_the_smallest_maps(size):
    config = replace(settings_for("gan-conv", "digits"), generator=8, maps=4)
    G = torch.nn.Sequential(*conv_gan.generator(config, (1, size, size)))
    rows = G[4].unflattened_size[1]
    assert G(torch.randn(2, 32)).shape == (2, size * size)
    # kernel 5, stride 3
    assert (rows - 1) * 3 + 5 >= size
    assert rows == 1 or (rows - 2) * 3 + 5 < size


def test_maxout_convolution_is_the_maximum_over_its_pieces():
    model = replace(
        settings_for("gan-conv", "digits"),
        channels=(2,),
        kernels=(3,),
        pads=(1,),
        pools=(1,),
        pool_strides=(1,),
    ).build((1, 4, 4))
    D = model.D
    D.config = replace(D.config, dropout_input=0.0, dropout_hidden=0.0)
    x = torch.rand(5, 1, 4, 4)
    maps = D.convolutions[0](x)
    expected = torch.stack([maps[:, 0:2].max(1).values, maps[:, 2:4].max(1).values], dim=1)
    torch.testing.assert_close(D.features(x), expected.flatten(1))


def test_maxout_is_the_maximum_over_pieces():
    layer = Maxout(4, 3, pieces=5)
    x = torch.randn(7, 4)
    W, b = layer.linear.weight, layer.linear.bias
    for j in range(3):
        pieces = torch.stack([x @ W[5 * j + p] + b[5 * j + p] for p in range(5)])
        torch.testing.assert_close(layer(x)[:, j], pieces.max(0).values)


class Tapped(torch.nn.Module):
    """A linear layer of ones that keeps what it is given."""

    def __init__(self, n_out):
        super().__init__()
        self.n_out = n_out

    def forward(self, x):
        self.given = x.detach().clone()
        return torch.ones(len(x), self.n_out)


def shares(x):
    """The share of zeros, and the only other value there is."""
    (value,) = x[x != 0].unique().tolist()
    return float((x == 0).float().mean()), value


def test_dropout_is_before_each_layer_of_the_discriminator_with_its_rate_and_scale():
    D = gan.Config(discriminator=(240, 240)).build((1, 28, 28)).D
    D.hidden = torch.nn.ModuleList([Tapped(240), Tapped(240)])
    D.out = Tapped(1)
    D(torch.ones(500, 784))
    # standard errors of the shares: √(0.2·0.8 / 392,000) and √(0.25 / 120,000) = 0.0014
    for layer, rate in ((D.hidden[0], 0.2), (D.hidden[1], 0.5), (D.out, 0.5)):
        share, value = shares(layer.given)
        assert share == pytest.approx(rate, abs=0.007)
        assert value == pytest.approx(1 / (1 - rate))


def test_the_generator_has_no_dropout():
    model = gan.Config(generator=(50, 50)).build((1, 28, 28))
    z = model.latent(20)
    model.train()
    assert torch.equal(model.G(z), model.G(z))


def test_dropout_of_the_convolutional_discriminator_has_its_rates(monkeypatch):
    D = settings_for("gan-conv", "cifar10").build((3, 32, 32)).D
    rates = []
    monkeypatch.setattr(conv_gan, "dropout", lambda x, rate: (rates.append(rate), x)[1])
    D(torch.ones(2, 3 * 32 * 32))
    assert rates == [0.2, 0.5, 0.5, 0.5, 0.5]


@pytest.mark.parametrize("name", ["gan-ns", "gan-conv"])
def test_the_discriminator_reads_no_more_than_its_image(name):
    D = settings_for(name, "digits").build((1, 8, 8)).D
    x, y = torch.rand(5, 64), torch.rand(5, 64)
    y[0] = x[0]
    logits = []
    for images in (x, y):
        torch.manual_seed(1)
        logits.append(D(images))
    torch.testing.assert_close(logits[0][0], logits[1][0])
    assert bool((logits[0][1:] != logits[1][1:]).all())


def test_momentum_keeps_the_rate_of_past_increments():
    from genmodel_bench.models.shared.optim import Momentum

    p = torch.nn.Parameter(torch.zeros(1))
    optimiser = Momentum([p], lr=1.0, momentum=0.5)
    optimiser.apply([torch.tensor([1.0])])  # inc = −1, p = −1
    optimiser.lr.fill_(0.1)
    optimiser.apply([torch.tensor([1.0])])  # inc = −0.5 − 0.1
    assert p.item() == pytest.approx(-1.6)


@pytest.mark.parametrize("pixels", ["unit", "contrast"])
def test_the_discriminator_sees_pixels_in_the_unit_interval_or_normalised_ones_as_they_are(pixels):
    config = gan.Config(latent=4, generator=(8,), activations=("relu",), discriminator=(6,), pixels=pixels)
    model, y = config.build((3, 2, 2)), 30 * torch.randn(5, 12)
    expected = y.sigmoid() if pixels == "unit" else y
    assert torch.equal(model.output(y), expected)


def test_the_discriminator_s_loss_has_the_released_factor():
    for dataset in ("mnist", "tfd", "cifar10"):
        assert settings_for("gan-ns", dataset).discriminator_scale == 0.5
