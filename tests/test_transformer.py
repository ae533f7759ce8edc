"""Is a causal transformer a density, and do samples come from it?"""

import pytest
import torch
from genmodel_bench.models.autoregressive import transformer
from genmodel_bench.models.autoregressive.transformer import Config
from ordered import (
    check_density,
    check_frequencies,
    check_means,
    check_raster_sampler,
    check_reach,
    check_shares,
    rough,
)

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
    check_raster_sampler(net)


def test_means_are_of_the_conditionals_under_drawn_pixels():
    check_means(Config(**SMALL))


@pytest.mark.parametrize("levels", [2, 17])
def test_without_weights_pixels_have_the_shares_of_all_training_pixels(levels):
    check_shares(Config(**SMALL, levels=levels))


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


def test_a_block_is_torch_s_own_with_the_same_weights():
    block = transformer.Block(8, 2).double()
    same = torch.nn.TransformerEncoderLayer(
        8, 2, 32, dropout=0.0, activation="gelu", batch_first=True, norm_first=True, dtype=torch.float64
    )
    ours = (block.before, block.qkv, block.attended, block.between, block.up, block.down)
    theirs = (same.norm1, same.self_attn, same.self_attn.out_proj, same.norm2, same.linear1, same.linear2)
    with torch.no_grad():
        for a, b in zip(ours, theirs, strict=True):
            weights = (b.in_proj_weight, b.in_proj_bias) if b is same.self_attn else (b.weight, b.bias)
            for p, q in zip((a.weight, a.bias), weights, strict=True):
                q.copy_(p.copy_(torch.randn_like(p)))
    t, mask = (
        torch.randn(3, 5, 8, dtype=torch.float64),
        torch.nn.Transformer.generate_square_subsequent_mask(5),
    )
    torch.testing.assert_close(block(t), same(t, src_mask=mask.double(), is_causal=True))


def test_a_step_is_of_gradients_of_a_norm_of_at_most_one():
    model = transformer.Config(width=8, heads=2, blocks=1).build((1, 3, 3))
    (stage,) = model.stages()
    with torch.no_grad():
        model.last.weight.mul_(100)
    stage.step(torch.rand(10, 1, 3, 3).round(), None)
    norm = torch.cat([p.grad.flatten() for p in model.parameters()]).norm()
    assert float(norm) == pytest.approx(1, rel=1e-4)
