"""Is a causal transformer a density, and do samples come from it?"""

import pytest
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
