"""Is a PixelCNN a density without a blind spot, and do samples come from it?"""

import pytest
import torch
from genmodel_bench.models.autoregressive.pixelcnn import Config
from ordered import (
    check_density,
    check_frequencies,
    check_means,
    check_raster_sampler,
    check_reach,
    check_shares,
    rough,
)

SMALL = {"channels": 4, "blocks": 2, "first_kernel": 3, "head": 5}
NETS = [
    (SMALL, (1, 3, 3)),
    ({**SMALL, "levels": 3}, (1, 2, 3)),
    ({**SMALL, "kernel": 5, "first_kernel": 5}, (3, 2, 1)),
]


@pytest.fixture(params=NETS, ids=["binary", "levels", "colour"])
def net(request):
    fields, shape = request.param
    return rough(Config(**fields), shape)


def test_probabilities_sum_to_one(net):
    check_density(net)


def test_samples_have_the_probabilities_of_the_density(net):
    check_frequencies(net)


@pytest.mark.parametrize("shape", [(1, 5, 6), (3, 4, 2)])
def test_an_output_depends_on_all_pixels_before_its_own_and_on_no_other(shape):
    """Six layers reach across the image, also to the upper right."""
    check_reach(rough(Config(**{**SMALL, "blocks": 6}), shape).double())


def test_stacked_layers_reach_as_far_as_their_kernels():
    """One layer more, one row and one column on each side more."""
    for blocks in (0, 1, 2):
        model = rough(Config(**{**SMALL, "blocks": blocks}), (1, 9, 9)).double()
        x = torch.rand(1, 81).double().round().requires_grad_()
        (gradient,) = torch.autograd.grad(model.outputs(x)[0, 0, 5 * 9 + 4], x)
        rows, columns = gradient.view(9, 9).nonzero(as_tuple=True)
        assert int(rows.min()) == 5 - 1 - blocks
        assert (int(columns.min()), int(columns.max())) == (4 - 1 - blocks, 4 + 1 + blocks)


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
        ({"levels": 1}, "pixelcnn: levels must be at least 2, got 1"),
        ({"kernel": 4}, "pixelcnn: kernel must be odd and at least 3, got 4"),
        ({"first_kernel": 1}, "pixelcnn: first_kernel must be odd and at least 3, got 1"),
    ],
)
def test_what_makes_no_net_is_one_line(fields, message):
    with pytest.raises(ValueError, match=message):
        Config(**fields)
