"""Layers that several models share; how the GANs use them is in `test_gan.py`."""

import pytest
import torch
from genmodel_bench.models.shared.layers import (
    dropout,
    limit_norms_,
    mlp,
    pixel_logits,
    sparse_weights_,
    squared_norms,
    uniform_weights_,
)
from torch import nn


@pytest.mark.parametrize("rate", [0.0, 0.2, 0.5])
def test_dropout_zeroes_its_share_and_keeps_the_mean(rate):
    x = 1 + torch.rand(400, 500)
    y = dropout(x, rate)
    kept = y != 0
    # 200,000 values: five standard errors of a share
    assert float((~kept).float().mean()) == pytest.approx(rate, abs=5 * 0.5 / 200_000**0.5)
    torch.testing.assert_close(y[kept], x[kept] / (1 - rate))


def test_an_mlp_has_its_activation_between_layers_and_none_after_the_last():
    net = mlp([5, 4, 3, 2], nn.Tanh)
    assert [type(layer) for layer in net] == [nn.Linear, nn.Tanh, nn.Linear, nn.Tanh, nn.Linear]
    assert [layer.weight.shape for layer in net[::2]] == [(4, 5), (3, 4), (2, 3)]
    assert type(mlp([2, 2, 2])[1]) is nn.ReLU


def test_uniform_weights_fill_their_range_and_biases_are_zero():
    net = nn.Sequential(nn.Linear(200, 100), nn.ReLU(), nn.Linear(100, 50))
    uniform_weights_(net, 0.3)
    for layer in net[::2]:
        weights = layer.weight.detach()
        # over 5,000 weights reach 1 % below both ends
        assert -0.3001 < float(weights.min()) < -0.297
        assert 0.297 < float(weights.max()) < 0.3001
        assert bool((layer.bias == 0).all())


def test_units_above_the_norm_are_scaled_down_to_it_and_others_stay():
    layer = nn.Linear(3, 2)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[3.0, 0, 4], [0, 0.6, 0.8]]))  # norms 5 and 1
    bias = layer.bias.detach().clone()
    limit_norms_(nn.Sequential(layer, nn.ReLU()), 2.0)
    expected = torch.tensor([[1.2, 0, 1.6], [0, 0.6, 0.8]])
    torch.testing.assert_close(layer.weight.detach(), expected)
    assert torch.equal(layer.bias.detach(), bias)


def test_sparse_weights_are_normal_at_as_many_random_places_in_each_unit():
    layer = nn.Linear(60, 500)
    sparse_weights_(layer, 20)
    weights = layer.weight.detach()
    places = weights != 0
    assert places.sum(1).tolist() == [20] * 500
    # every input is taken by a third of the units: five standard errors, √(p(1−p)/500)
    torch.testing.assert_close(places.float().mean(0), torch.full((60,), 1 / 3), atol=0.105, rtol=0)
    # 10,000 draws from N(0, 1): five standard errors
    assert float(weights[places].mean()) == pytest.approx(0, abs=0.05)
    assert float(weights[places].std()) == pytest.approx(1, abs=0.05 / 2**0.5)


def test_more_sparse_weights_than_inputs_are_all_of_them():
    layer = nn.Linear(4, 3)
    sparse_weights_(layer, 20)
    assert bool((layer.weight != 0).all())


def test_squared_norms_are_of_columns_and_have_their_gradient():
    W = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(squared_norms(W), (W**2).sum(0))
    weights = torch.randn(3, dtype=torch.float64)
    (found,) = torch.autograd.grad(squared_norms(W) @ weights, W)
    torch.testing.assert_close(found, 2 * W.detach() * weights)


def test_pixel_logits_are_of_the_means_clipped_at_both_ends():
    x = torch.rand(40, 2, 3, 3)
    x[:, 0, 0, 0], x[:, 0, 0, 1] = 0, 1
    expected = x.mean(0).flatten()
    expected[:2] = torch.tensor([0.01, 0.99])
    torch.testing.assert_close(pixel_logits(x, eps=0.01).sigmoid(), expected)
