"""Promises of all registered metrics: a new entry is tested before its own tests."""

from dataclasses import FrozenInstanceError, fields

import pytest
import torch
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


OF_DENSITIES = ("known-density",)
"""Metrics that images of a known density alone can be scored with."""
MODEL = {"nll": "made"}
"""Models that metrics need, which score more than samples."""


def subject(name, samples, *redraws):
    """Samples, and an untrained model that has what a metric needs."""
    model = settings_for(MODEL[name], "digits").build((1, 8, 8)).eval() if name in MODEL else None
    assert not missing(METRICS[name], model)
    return Subject(samples, model, redraws)


@pytest.fixture(scope="module")
def ring():
    return Evidence(load("ring"))


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
def test_metric_keeps_what_the_benchmark_relies_on(name, law, seen, ring):
    images = ring if name in OF_DENSITIES else seen
    law(METRICS[name], subject(name, torch.rand(150, *images.shape)), images)


@pytest.fixture(scope="module")
def by_threads(few):
    """The images with a memory for each number of threads: features are made by both."""
    return {threads: Evidence(few) for threads in (1, 2)}


@pytest.mark.parametrize("name", METRICS)
def test_one_and_two_threads_give_the_same_scores(name, by_threads, ring):
    before = torch.get_num_threads()
    by_threads = dict.fromkeys((1, 2), ring) if name in OF_DENSITIES else by_threads
    samples = torch.rand(300, *by_threads[1].shape)
    scored, values = subject(name, samples, samples.flip(0)), []
    try:
        for threads, images in by_threads.items():
            torch.set_num_threads(threads)
            torch.manual_seed(4)
            scores = METRICS[name](scored, images).scores
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
def test_tf32_stays_off_and_the_callers_setting_is_kept(name, spied, ring):
    precisions, images = [], ring if name in OF_DENSITIES else spied

    class Spy(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):
            if function.__name__ in ("mm", "addmm", "matmul", "bmm", "baddbmm", "cdist", "linear"):
                precisions.append(torch.get_float32_matmul_precision())
            return function(*args, **(kwargs or {}))

    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        with Spy():
            METRICS[name](subject(name, torch.rand(150, *images.shape)), images)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)
    assert set(precisions) <= {"highest"}
    assert precisions or name not in ("parzen", "neighbours")
