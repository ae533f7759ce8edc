from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from genmodel_bench.models import settings_for
from genmodel_bench.models.adversarial import critics, dcgan
from scipy.stats import ks_2samp
from torch import nn
from torch.nn.functional import conv_transpose2d

SMALL = dcgan.Config(latent=6, channels=(4, 8), batch_size=10)


def layers(net):
    return [layer for layer in net.modules() if not list(layer.children())]


@pytest.fixture(scope="module")
def trained():
    """A model whose running statistics and outputs are far from those at the start."""
    torch.manual_seed(0)
    model = replace(SMALL, lr=0.02).build((1, 8, 8))
    (stage,) = model.stages()
    for _ in range(10):
        stage.step(torch.rand(10, 1, 8, 8), None)
    return model.eval()


@pytest.mark.parametrize("dataset", ["digits", "mnist", "cifar10"])
def test_the_five_guidelines_hold(dataset):
    model = settings_for("dcgan", dataset).build((3, 32, 32))
    G, D = layers(model.G), layers(model.D)
    # 1. no pooling, and a stride of 2 in every convolution
    assert not [layer for layer in [*G, *D] if "Pool" in type(layer).__name__]
    convolutions = [layer for layer in [*G, *D] if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d))]
    assert {layer.stride for layer in convolutions} == {(2, 2)}
    # 2. to 5. what follows each map of weights
    weights = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)
    first = [[i for i, layer in enumerate(net) if isinstance(layer, weights)] for net in (G, D)]
    kinds = [
        [[type(layer) for layer in net[a:b]] for a, b in pairwise([*starts, len(net)])]
        for net, starts in zip((G, D), first, strict=True)
    ]
    up, down = nn.ConvTranspose2d, nn.Conv2d
    assert kinds[0] == [
        [nn.Linear, nn.BatchNorm1d, nn.ReLU, nn.Unflatten],  # z, projected
        *[[up, nn.BatchNorm2d, nn.ReLU]] * (len(kinds[0]) - 2),
        [up, nn.Flatten, dcgan.Twice],
    ]
    assert kinds[1] == [
        [down, nn.LeakyReLU],
        *[[down, nn.BatchNorm2d, nn.LeakyReLU]] * (len(kinds[1]) - 3),
        [down, nn.BatchNorm2d, nn.LeakyReLU, nn.Flatten],
        [nn.Linear],
    ]
    assert {layer.negative_slope for layer in D if isinstance(layer, nn.LeakyReLU)} == {0.2}
    assert D[-1].out_features == 1


def test_the_output_is_a_tanh_in_the_unit_interval_and_the_critic_sees_it_around_zero(trained):
    y = []
    handle = trained.G[-1].register_forward_pre_hook(lambda layer, inputs: y.append(inputs[0]))
    x = trained.decode(trained.latent(20))
    handle.remove()
    torch.testing.assert_close(x.flatten(1), (y[0].tanh() + 1) / 2)
    seen = []
    handle = trained.D.net[0].register_forward_pre_hook(lambda layer, inputs: seen.append(inputs[0]))
    trained.D(torch.tensor([0.0, 0.5, 1.0, 0.25]).repeat(1, 16))
    handle.remove()
    assert seen[0].flatten()[:4].tolist() == [-1.0, 0.0, 1.0, -0.5]


@pytest.mark.parametrize("shape", [(1, 4, 4), (2, 5, 4), (3, 28, 28), (1, 7, 33)])
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_any_size_is_halved_upwards_and_reached_again(shape, depth):
    model = replace(SMALL, channels=(4, 6, 8)[:depth]).build(shape)
    (stage,) = model.stages()
    stage.step(torch.rand(4, *shape), None)
    assert model.eval().sample(3).shape == (3, *shape)
    sizes = [[], []]  # of G's maps and D's
    for net, found in zip((model.G, model.D.net), sizes, strict=True):
        for layer in net:
            if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
                layer.register_forward_hook(
                    lambda layer, inputs, y, found=found: found.append(
                        (tuple(inputs[0].shape[1:]), tuple(y.shape[1:]))
                    )
                )
    model.D(model.G(model.latent(2)))
    assert [(b, a) for a, b in sizes[0]][::-1] == sizes[1]
    for (_, h, w), (_, low, left) in sizes[1]:
        assert (low, left) == ((h + 1) // 2, (w + 1) // 2)


def test_a_map_of_odd_size_is_a_doubled_one_cropped():
    x, weight = torch.randn(2, 3, 4, 4), torch.randn(3, 5, 5, 5)
    layer = next(m for m in dcgan.generator(SMALL, (1, 14, 13)) if isinstance(m, nn.ConvTranspose2d))
    assert layer.output_padding == (0, 0)  # 4 -> 7
    doubled = conv_transpose2d(x, weight, stride=2, padding=2, output_padding=1)
    assert doubled.shape == (2, 5, 8, 8)
    cropped = conv_transpose2d(x, weight, stride=2, padding=2, output_padding=0)
    # sums of 75 products of normal numbers, in another order: 75 · 6e-8 of their size
    torch.testing.assert_close(cropped, doubled[:, :, :7, :7], atol=1e-4, rtol=0)


@torch.no_grad()
def test_an_image_depends_on_its_own_z_alone(trained):
    z = trained.latent(64)
    x = trained.decode(z)
    order = torch.randperm(64)
    torch.testing.assert_close(trained.decode(z[order]), x[order], atol=1e-5, rtol=0)
    torch.testing.assert_close(torch.cat([trained.decode(row[None]) for row in z]), x, atol=1e-5, rtol=0)
    # in training mode it does depend on the others
    before = {k: v.clone() for k, v in trained.state_dict().items()}
    assert float((trained.train().decode(z[:8]) - x[:8]).abs().max()) > 1e-2
    trained.load_state_dict(before)
    trained.eval()


def test_one_by_one_or_at_once_draws_have_the_same_law(trained):
    torch.manual_seed(1)
    single = torch.cat([trained.sample(1) for _ in range(300)])
    brightness = [x.flatten(1).mean(1).numpy() for x in (single, trained.sample(300))]
    # draws of one law are told apart by Kolmogorov and Smirnov once in 10,000 times
    assert ks_2samp(*brightness).pvalue > 1e-4


def test_sampling_changes_no_statistics(trained):
    before = {k: v.clone() for k, v in trained.state_dict().items()}
    trained.sample(50)
    assert all(torch.equal(v, before[k]) for k, v in trained.state_dict().items())


def test_real_images_and_fakes_are_normalised_apart():
    model = SMALL.build((1, 8, 8))
    (stage,) = model.stages()
    given = []
    model.D.register_forward_pre_hook(lambda layer, inputs: given.append(inputs[0].detach().clone()))
    x = torch.rand(10, 1, 8, 8)
    stage.step(x, None)
    assert [len(images) for images in given] == [10, 10, 10]  # D: real, fakes; G: fakes
    assert torch.equal(given[0], x.flatten(1))


def test_weights_start_as_published():
    model = dcgan.Config().build((3, 32, 32))
    for layer in layers(model):
        weight = getattr(layer, "weight", None)
        if weight is None:
            continue
        gain = isinstance(layer, (nn.BatchNorm1d, nn.BatchNorm2d))
        # five standard errors of the mean and of the standard deviation
        n = weight.numel()
        assert float(weight.detach().mean()) == pytest.approx(float(gain), abs=5 * 0.02 / n**0.5)
        assert float(weight.detach().std()) == pytest.approx(0.02, abs=5 * 0.02 / (2 * n) ** 0.5)
        assert layer.bias is None or not bool(layer.bias.detach().any())
        assert (layer.bias is not None) == gain


@pytest.mark.parametrize(
    ("loss", "game"),
    [
        ("non-saturating", critics.cross_entropy("non-saturating")),
        ("minimax", critics.cross_entropy("minimax")),
        ("least-squares", critics.least_squares()),
        ("hinge", critics.hinge()),
    ],
)
def test_losses_are_those_of_the_critics(loss, game):
    a, b = torch.randn(9), torch.randn(9)
    found = replace(SMALL, loss=loss).game()
    assert float(found.critic(a, b)) == float(game.critic(a, b))
    assert float(found.generator(b)) == float(game.generator(b))


def test_what_cannot_be_built_is_refused():
    with pytest.raises(ValueError, match="got images of 8×3, expected sides of at least 4"):
        SMALL.build((1, 3, 8))
    with pytest.raises(ValueError, match="k must be at least 1 and channels not empty"):
        dcgan.Config(k=0)
    with pytest.raises(ValueError, match="k must be at least 1 and channels not empty"):
        dcgan.Config(channels=())


def test_both_players_have_the_published_optimiser():
    for config, expected in ((dcgan.Config(), (0.5, 0.999)), (dcgan.Config(betas=(0.3, 0.8)), (0.3, 0.8))):
        (stage,) = replace(config, channels=(3, 4)).build((1, 8, 8)).stages()
        for optimiser in stage.optimisers:
            (group,) = optimiser.param_groups
            assert (float(group["lr"]), group["betas"]) == (pytest.approx(2e-4), expected)
