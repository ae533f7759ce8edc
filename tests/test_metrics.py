"""Promises of all registered metrics: a new entry is tested before its own tests."""

from dataclasses import FrozenInstanceError, fields, replace

import pytest
import torch
from conftest import cut
from genmodel_bench import contract
from genmodel_bench.cells.forms import check_metric
from genmodel_bench.data.registry import load
from genmodel_bench.execution.evidence import Evidence
from genmodel_bench.execution.measure import missing
from genmodel_bench.metrics import METRICS, Subject
from genmodel_bench.models import settings_for


@pytest.mark.parametrize("name", METRICS)
def test_metric_is_a_frozen_dataclass_of_plain_settings(name):
    metric = METRICS[name]
    check_metric(name, metric)
    assert metric.min_samples >= 1
    with pytest.raises(FrozenInstanceError):
        setattr(metric, fields(metric)[0].name, 0)


OF_DATA = {"known-density": "ring", "bound": "digits-binary", "ais": "digits-binary"}
"""What metrics are scored on that are not of `digits`: a known density, binary images."""
MODEL = {"nll": "made", "bound": "vae", "ais": "rbm", "ais-decoder": "vae"}
"""Models that metrics need, which score more than samples."""
SMALL = {
    "bound": {"k": 10},
    "ais": {"temperatures": 100, "chains": 10},
    "ais-decoder": {
        "images": 4,
        "valid_images": 3,
        "simulated": 3,
        "chains": 2,
        "temperatures": 8,
        "leapfrogs": 3,
    },
}
"""Settings of metrics that would be slow with the registered ones."""


def small(name):
    return replace(METRICS[name], **SMALL.get(name, {}))


def subject(name, samples, *redraws):
    """Samples, and an untrained model that has what a metric needs."""
    model = None
    if name in MODEL:
        model = settings_for(MODEL[name], OF_DATA.get(name, "digits")).build((1, 8, 8)).eval()
    assert not missing(METRICS[name], model)
    return Subject(samples, model, redraws)


@pytest.fixture(scope="module")
def others():
    """The images that are not of `digits`."""
    return {"ring": Evidence(load("ring")), "digits-binary": Evidence(cut(load("digits-binary")))}


@pytest.fixture(scope="module")
def seen(few):
    """The images, with a memory: features are fitted to them once for all metrics."""
    evidence = Evidence(few)
    before = [tensor.clone() for tensor in (few.train, few.valid, few.test)]
    yield evidence
    for tensor, whole in zip((few.train, few.valid, few.test), before, strict=True):
        assert torch.equal(tensor, whole), "making features changed the images in place"


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("law", contract.METRIC_LAWS, ids=lambda law: law.__name__)
def test_metric_keeps_what_the_benchmark_relies_on(name, law, seen, others):
    images = others.get(OF_DATA.get(name), seen)
    law(small(name), subject(name, torch.rand(150, *images.shape)), images)


@pytest.fixture(scope="module")
def by_threads(few):
    """The images with a memory for each number of threads: features are made by both."""
    return {threads: Evidence(few) for threads in (1, 2)}


@pytest.mark.parametrize("name", METRICS)
def test_one_and_two_threads_give_the_same_scores(name, by_threads, others):
    before = torch.get_num_threads()
    by_threads = dict.fromkeys((1, 2), others[OF_DATA[name]]) if name in OF_DATA else by_threads
    samples = torch.rand(300, *by_threads[1].shape)
    scored, values = subject(name, samples, samples.flip(0)), []
    try:
        for threads, images in by_threads.items():
            torch.set_num_threads(threads)
            torch.manual_seed(4)
            scores = small(name)(scored, images).scores
            values.append({quantity: score.value for quantity, score in scores.items()})
    finally:
        torch.set_num_threads(before)
    # float32 products summed in another order: 1e-7 of ‖x‖², times 1/2σ² ≤ 50
    assert values[0] == pytest.approx(values[1], abs=1e-3)


@pytest.fixture(scope="module")
def spied(few):
    """The images with a memory of this test alone: features are made while it looks."""
    return Evidence(few)


@pytest.mark.parametrize("name", METRICS)
def test_tf32_stays_off_and_the_callers_setting_is_kept(name, spied, others):
    precisions, images = [], others.get(OF_DATA.get(name), spied)

    class Spy(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):
            if function.__name__ in ("mm", "addmm", "matmul", "bmm", "baddbmm", "cdist", "linear"):
                precisions.append(torch.get_float32_matmul_precision())
            return function(*args, **(kwargs or {}))

    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        with Spy():
            small(name)(subject(name, torch.rand(150, *images.shape)), images)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)
    assert set(precisions) <= {"highest"}
    assert precisions or name not in ("parzen", "neighbours", *MODEL)
