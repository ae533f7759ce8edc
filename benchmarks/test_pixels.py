"""How much faster is a sampler that keeps what it computed at the pixels before?

Against one pass of the whole net for each pixel. The nets are untrained, the images of
28 × 28 binary pixels. The naive sampler draws a few images, and its time is scaled.
"""

from dataclasses import replace

import pytest
import torch
from genmodel_bench.models import settings_for

from benchmarks.conftest import Title
from benchmarks.naive import naive

DRAWS = {"made": (10_000, 200), "nade": (10_000, 20), "pixelcnn": (1_000, 4), "transformer": (1_000, 4)}
"""How many images the sampler draws, and the naive one."""
TARGETS = {"made": 1 / 20, "pixelcnn": 1 / 10, "transformer": 1 / 10}


@pytest.mark.parametrize("name", DRAWS)
def test_draw_pixel_by_pixel(compare, place, name):
    n, few = (place.size(count, 2) for count in DRAWS[name])
    shape = (1, place.size(28, 5), place.size(28, 5))
    model = replace(settings_for(name, "mnist-larochelle"), levels=2).build(shape).to(place.device).eval()
    both = []
    for sampler in (model.sample, lambda n: naive(model, n)):
        torch.manual_seed(0)
        both.append(sampler(2))
    assert torch.equal(*both)
    title = Title(
        "pixels", f"`{name}`", "the whole net for each pixel", f"{n:,} images of {shape[1]} × {shape[2]}"
    )
    compare(
        title,
        lambda: model.sample(n),
        lambda: naive(model, few),
        share=few / n,
        target=TARGETS.get(name),
        note="" if few == n else f"the naive sampler timed on {few} images and scaled",
    )
