"""The oracle of the contraction and of the walk is autograd's own Jacobian."""

import math

import pytest
import torch
from genmodel_bench.models.autoencoders import cae
from genmodel_bench.models.autoencoders.cae import CAE
from torch.nn.functional import binary_cross_entropy_with_logits

SMALL = cae.Config(hidden=(5, 3), contraction=0.3, batch_size=10, starts=7, sample_steps=2, step=0.4)


@pytest.fixture
def layer():
    layer = CAE(6, 4).double()
    with torch.no_grad():
        for p in layer.parameters():
            p.copy_(torch.randn_like(p))
    return layer


def jacobian(layer, x):
    """J = ∂h/∂x for each row of x: (n, n_out, n_in)."""
    return torch.func.vmap(torch.func.jacrev(layer.encode))(x)


def test_the_contraction_is_the_squared_frobenius_norm_of_the_jacobian(layer):
    x = torch.rand(8, 6, dtype=torch.float64)
    expected = jacobian(layer, x).square().sum((1, 2))
    torch.testing.assert_close(layer.contraction(layer.encode(x)), expected)


def test_a_walk_moves_the_code_by_j_j_transposed_epsilon(layer):
    x, eps = torch.rand(8, 6, dtype=torch.float64), torch.randn(8, 4, dtype=torch.float64)
    h, J = layer.encode(x), jacobian(layer, x)
    expected = h + (J @ J.mT @ eps[:, :, None])[:, :, 0]
    torch.testing.assert_close(layer.walk(h, eps), expected)


def test_the_decoder_has_the_encoders_weights_transposed(layer):
    h = torch.rand(8, 4, dtype=torch.float64)
    torch.testing.assert_close(layer.logits(h), h @ layer.W.T + layer.b)


def test_weights_start_in_the_range_for_logistic_units():
    r = 4 * math.sqrt(6 / (400 + 300))
    W = CAE(400, 300).W.detach()
    assert 0.999 * r < float(W.abs().max()) <= r


def test_a_step_descends_the_cross_entropy_plus_lambda_times_the_contraction(layer):
    x = torch.rand(10, 6, dtype=torch.float64)
    model = SMALL.build((1, 2, 3)).double()
    model.layers[0] = layer
    stage = model.stages()[0]
    h = (x @ layer.W + layer.c).sigmoid()
    logits = h @ layer.W.T + layer.b
    reconstruction = binary_cross_entropy_with_logits(logits, x, reduction="none").sum(1).mean()
    contraction = ((h * (1 - h)) ** 2 @ (layer.W**2).sum(0)).mean()
    expected = torch.autograd.grad(reconstruction + 0.3 * contraction, list(layer.parameters()))
    values = stage.step(x, None)
    torch.testing.assert_close(values["reconstruction"], reconstruction.detach())
    torch.testing.assert_close(values["contraction"], contraction.detach())
    for p, g in zip(layer.parameters(), expected, strict=True):
        torch.testing.assert_close(p.grad, g)


def test_the_jacobian_that_is_contracted_is_of_each_image_and_not_of_their_mean(layer):
    x = torch.rand(8, 6, dtype=torch.float64)
    model = SMALL.build((1, 2, 3)).double()
    model.layers[0] = layer
    expected = jacobian(layer, x).square().sum((1, 2)).mean()
    torch.testing.assert_close(model.stages()[0].step(x, None)["contraction"], expected)


def test_each_layer_learns_on_the_codes_of_the_one_below():
    model = SMALL.build((1, 2, 3))
    x = torch.rand(10, 1, 2, 3)
    first, second = model.stages()
    torch.testing.assert_close(first.inputs(x), x.flatten(1))
    torch.testing.assert_close(second.inputs(x), model.layers[0].encode(x.flatten(1)))
    before = [p.detach().clone() for p in model.layers[0].parameters()]
    second.step(second.inputs(x), None)
    assert all(torch.equal(a, b) for a, b in zip(before, model.layers[0].parameters(), strict=True))


def test_training_starts_from_the_pixel_means_and_keeps_training_images_to_begin_at():
    model, x = SMALL.build((1, 2, 3)), 0.1 + 0.8 * torch.rand(30, 1, 2, 3)
    x[:, :, 0, 0] = 0
    model.initialise(x)
    # a pixel that is always black is clipped to one in a thousand
    expected = x.mean(0).flatten().clamp_min(1e-3)
    torch.testing.assert_close(model.layers[0].b.detach().sigmoid(), expected)
    assert model.starts.shape == (7, 6)
    assert all((start == x.flatten(1)).all(1).any() for start in model.starts)


@pytest.mark.parametrize("hidden", [(5,), (5, 4, 3)])
def test_the_walk_is_in_the_top_code_of_any_number_of_layers(hidden):
    model = cae.Config(hidden=hidden, starts=7, sample_steps=1, step=0.4).build((1, 2, 3))
    model.initialise(torch.rand(30, 1, 2, 3))
    torch.manual_seed(3)
    found = model.sample(5)
    torch.manual_seed(3)
    h = cae.pick(model.starts, 5)
    for layer in model.layers:
        h = layer.encode(h)
    h = model.layers[-1].walk(h, 0.4 * torch.randn(5, hidden[-1]))
    for layer in reversed(model.layers):
        h = layer.logits(h).sigmoid()
    torch.testing.assert_close(found, h.view(5, 1, 2, 3))


@pytest.mark.parametrize("changes", [{"hidden": ()}, {"starts": 0}, {"sample_steps": 0}])
def test_what_cannot_be_trained_or_sampled_raises(changes):
    with pytest.raises(ValueError, match=r"^cae: "):
        cae.Config(**changes)
    assert cae.Config(hidden=(1,), starts=1, sample_steps=1)


def test_biases_start_at_zero():
    layer = CAE(6, 4)
    assert [layer.b.tolist(), layer.c.tolist()] == [[0] * 6, [0] * 4]


def test_a_sample_is_the_image_after_walks_in_the_top_code():
    model = SMALL.build((1, 2, 3))
    model.initialise(torch.rand(30, 1, 2, 3))
    torch.manual_seed(3)
    found = model.sample(5)
    torch.manual_seed(3)
    x = cae.pick(model.starts, 5)
    bottom, top = model.layers
    for _ in range(2):
        h = top.encode(bottom.encode(x))
        h = top.walk(h, 0.4 * torch.randn(5, 3))
        x = bottom.logits(top.logits(h).sigmoid()).sigmoid()
    torch.testing.assert_close(found, x.view(5, 1, 2, 3))
