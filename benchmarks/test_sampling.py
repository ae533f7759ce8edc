"""How far is drawing samples from its matrix products, for each kind of model?

Sizes are the paper's. The time of a chain does not depend on training: the nets are
untrained. Models that run chains draw 200 images, because 10,000, as the others draw,
would take minutes; of chains of 1,000 steps there are 20. `deep-gsn-chain` takes one
step for each image.
"""

from dataclasses import replace

import pytest
import torch
from genmodel_bench.models import settings_for

from benchmarks.conftest import Title
from benchmarks.products import SAMPLES, flops, multiply

DRAWS = {
    "gan-ns": 10_000,
    "vae": 10_000,
    "stacked-cae": 200,
    "dbn": 200,
    "rbm": 200,
    "deep-gsn": 200,
    "deep-gsn-chain": 1_000,
}
CHAINS = ("stacked-cae", "dbn", "rbm", "deep-gsn")


@pytest.fixture
def draw(compare, place, mnist):
    """Compare drawing n samples of a Config with its matrix products."""

    def run(name, config, n, *, what):
        images = mnist.train[:2000].to(place.device)
        model = config.build(mnist.shape).to(place.device)
        model.initialise(images)
        products = SAMPLES[type(config)](config, images[0].numel(), n)
        title = Title("sampling", f"`{name}`, {what}", "its matrix products", f"{n:,} images")
        with torch.no_grad():
            compare(
                title,
                lambda: model.sample(n),
                multiply(products, place.device),
                budget=8,
                flops=flops(products),
            )

    return run


@pytest.mark.parametrize("name", DRAWS)
def test_draw(draw, place, name):
    n = place.size(DRAWS[name], 10)
    draw(name, settings_for(name, "mnist"), n, what=f"{n:,} images")


@pytest.mark.parametrize("name", CHAINS)
def test_chains_of_1000_steps(draw, place, name):
    steps, chains = place.size(1000, 5), place.size(20, 10)
    draw(
        name,
        replace(settings_for(name, "mnist"), sample_steps=steps),
        chains,
        what=f"{chains} chains of {steps:,} steps",
    )
