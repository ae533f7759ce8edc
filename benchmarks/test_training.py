"""How far is a training step from its matrix products?

And how much faster is the harness than a loop written by hand?
"""

from dataclasses import replace
from functools import partial

import pytest
import torch
from genmodel_bench.models import MODELS, settings_for
from genmodel_bench.training.graph import captured
from genmodel_bench.training.loop import train
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import loops
from benchmarks.conftest import Title
from benchmarks.place import replayed
from benchmarks.products import STEPS, flops, multiply
from benchmarks.shares import shares

KINDS = [
    name
    for name in MODELS
    if not MODELS[name].REFERENCE and type(MODELS[name]) in STEPS and name != "deep-gsn-chain"
]
"""One model for each kind of training that has a floor."""
LOOPS = {"gan-ns": loops.train_gan, "vae": loops.train_vae}


@pytest.fixture(scope="module")
def images(place, mnist):
    return mnist.train[: place.size(5_000, 200)].to(place.device)


def built(name, shape, device):
    return settings_for(name, "mnist").build(shape).to(device)


@pytest.mark.parametrize("name", KINDS)
def test_step(compare, place, images, name):
    """One step of the first stage at the paper's size, as the harness runs it.

    Eager on a CPU, a captured graph on CUDA.
    """
    model = built(name, tuple(images.shape[1:]), place.device)
    model.initialise(images)
    stage = model.stages()[0]
    x = images if stage.inputs is None else stage.inputs(images)
    x = x[: stage.batch_size].clone()
    products = STEPS[type(model.config)](model.config, images[0].numel())
    with FlopCounterMode(display=False) as counter:
        stage.step(x, None)
    shown = shares(lambda: stage.step(x, None), steps=place.size(20, 2), cuda=x.is_cuda)
    step = captured(stage, model, x, None) if x.is_cuda else stage.step
    floor = replayed(multiply(products, place.device), place.device)
    title = Title(
        "steps",
        f"`{name}`, one step",
        f"its {len(products)} matrix products",
        f"minibatches of {stage.batch_size}",
    )
    made = counter.get_total_flops() / flops(products)
    compare(title, lambda: step(x, None), floor, budget=5, flops=flops(products), work=made, shares=shown)


# a DataLoader's workers are forked
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
@pytest.mark.parametrize("loader", ["torchvision", "torchvision, 2 workers", "tensors"])
@pytest.mark.parametrize("name", LOOPS)
def test_against_a_loop_by_hand(compare, place, mnist_root, images, name, loader):
    """Epochs over 5,000 images.

    More of them on CUDA: capturing the graph must be a small part, as it is in practice.
    """
    shape, epochs = tuple(images.shape[1:]), 20 if place.device.type == "cuda" and not place.quick else 1
    config = replace(settings_for(name, "mnist"), epochs=epochs)
    ours, theirs = (built(name, shape, place.device) for _ in range(2))
    ours.config = config
    workers = 2 if "workers" in loader else 0
    data = (
        loops.tensor_images(images)
        if loader == "tensors"
        else loops.torchvision_images(mnist_root, len(images), workers=workers)
    )
    steps = epochs * len(images) // 100
    title = Title(
        "loops",
        f"`{name}` by `genmodel_bench.training.loop`",
        f"eager loop, DataLoader of {loader}",
        f"{steps:,} steps of 100 images",
    )
    by_hand = partial(LOOPS[name], theirs, data, place.device, epochs=epochs)
    compare(title, partial(train, ours, images), by_hand, budget=15, steps=steps)
    assert all(bool(torch.isfinite(p).all()) for p in (*ours.parameters(), *theirs.parameters()))
