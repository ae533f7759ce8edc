"""Promises of all registered metrics: a new entry is tested before its own tests."""

from dataclasses import FrozenInstanceError, fields

import pytest
import torch
from genmodel_bench import contract
from genmodel_bench.cells.forms import check_metric
from genmodel_bench.data.registry import load
from genmodel_bench.metrics import METRICS, Subject


@pytest.mark.parametrize("name", METRICS)
def test_metric_is_a_frozen_dataclass_of_plain_settings(name):
    metric = METRICS[name]
    check_metric(name, metric)
    assert metric.min_samples >= 1
    with pytest.raises(FrozenInstanceError):
        setattr(metric, fields(metric)[0].name, 0)


@pytest.fixture
def real(name, few):
    """Images that the metric can be computed on."""
    return load("ring") if name == "known-density" else few


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("law", contract.METRIC_LAWS, ids=lambda law: law.__name__)
def test_metric_keeps_what_the_benchmark_relies_on(name, law, real):
    law(METRICS[name], torch.rand(150, *real.shape), real)


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("threads", [1, 2])
def test_thread_count_moves_nothing_beyond_rounding(name, threads, real):
    subject = Subject(real.train)
    before = torch.get_num_threads()
    values = []
    try:
        for count in (before, threads):
            torch.set_num_threads(count)
            torch.manual_seed(4)
            values.append([score.value for score in METRICS[name](subject, real).scores.values()])
    finally:
        torch.set_num_threads(before)
    # float32 products summed in another order: 1e-7 of ‖x‖², times 1/2σ² ≤ 50
    assert values[0] == pytest.approx(values[1], abs=1e-3)


@pytest.mark.parametrize("name", METRICS)
def test_tf32_stays_off_and_the_callers_setting_is_kept(name, real, monkeypatch):
    precisions = []

    class Spy(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):
            if function.__name__ in ("mm", "addmm", "matmul", "bmm", "baddbmm", "cdist", "linear"):
                precisions.append(torch.get_float32_matmul_precision())
            return function(*args, **(kwargs or {}))

    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        with Spy():
            METRICS[name](Subject(torch.rand(150, *real.shape)), real)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)
    assert set(precisions) <= {"highest"}
    assert precisions or name not in ("parzen", "neighbours")
