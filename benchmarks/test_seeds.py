"""Which way of training several seeds of one small model is the fastest?

And does each seed keep its numbers?
"""

from dataclasses import replace
from functools import partial

import pytest
from genmodel_bench.data.registry import load
from genmodel_bench.models import settings_for

from benchmarks import seeds
from benchmarks.conftest import Title


@pytest.fixture(scope="module")
def small(place):
    """The VAE of the digits, their images, and its full epochs: a cell takes seconds."""
    config = settings_for("vae", "digits")
    return replace(config, epochs=place.size(30, 2)), load("digits").train.to(place.device), config.epochs


@pytest.mark.parametrize("count", [3, 10])
@pytest.mark.parametrize("way", ["2 processes", "4 processes", "one batched step"])
def test_seeds(compare, place, small, way, count):
    config, x, registered = small
    if place.quick and (count > 3 or way == "4 processes"):
        pytest.skip("not in a quick run")
    some = range(place.size(count, 2))
    batched = way == "one batched step"
    ours = seeds.batched if batched else seeds.SideBySide(int(way[0]), place.threads, place.device)
    try:
        # Rounding grows from step to step: one epoch shows whether it is the same
        # computation, all of them how much of the agreement is left.
        first = replace(config, epochs=1)
        after = [
            seeds.furthest(seeds.one_after_another(c, x, some), ours(c, x, some)) for c in (first, config)
        ]
        assert after[0] < 1e-4, "another computation, not another rounding"
        facts = {
            "cells": len(some),
            "scale": registered / config.epochs,
            "after_one": after[0],
            "after_all": after[1],
        }
        title = Title("seeds", way, "one after another", f"{len(some)} seeds")
        compare(
            title,
            partial(ours, config, x, some),
            partial(seeds.one_after_another, config, x, some),
            budget=20,
            **facts,
        )
    finally:
        if not batched:
            ours.pool.shutdown()
