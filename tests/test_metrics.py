"""Laws of all registered metrics: a new entry is tested before it has its own tests."""

import math
from dataclasses import FrozenInstanceError, fields, is_dataclass

import pytest
import torch
from genmodel_bench.metrics import METRICS, Score, Subject
from genmodel_bench.metrics.column import declared


@pytest.mark.parametrize("name", METRICS)
def test_metric_is_a_frozen_dataclass_of_plain_settings(name):
    metric = METRICS[name]
    assert is_dataclass(metric)
    assert metric.min_samples >= 1
    with pytest.raises(FrozenInstanceError):
        setattr(metric, fields(metric)[0].name, 0)


@pytest.mark.parametrize("name", METRICS)
def test_scores_are_finite_and_say_what_they_are(name, few):
    scores = METRICS[name](Subject(torch.rand(150, *few.shape)), few).scores
    assert scores
    for score in scores.values():
        assert isinstance(score, Score)
        assert math.isfinite(score.value)
        assert math.isfinite(score.stderr)
        assert score.stderr >= 0
        assert score.stderr_over
        assert score.unit
        assert score.n > 0


@pytest.mark.parametrize("name", METRICS)
def test_what_columns_are_declared_of_is_in_the_result(name, few):
    result, columns = METRICS[name](Subject(torch.rand(150, *few.shape)), few), declared(METRICS[name])
    assert next(iter(columns)) == next(iter(result.scores))  # the headline comes first
    assert columns.keys() <= result.scores.keys()
    for quantity, column in columns.items():
        score = result.scores[quantity]
        for curve, said in column.curves.items():
            assert {curve, *(said.beside or [curve])[:1]} <= score.curves.keys()
        if column.examples:
            values = result.arrays[column.examples].double()
            assert values.shape == (len(few.test),)
            # float32 values, each within 6e-8 of its size
            assert float(values.mean()) == pytest.approx(score.value, rel=1e-6)


@pytest.mark.parametrize("name", METRICS)
def test_inputs_are_not_modified(name, few):
    samples = torch.rand(150, *few.shape)
    given = samples.clone()
    before = [t.clone() for t in (few.train, few.valid, few.test)]
    METRICS[name](Subject(samples), few)
    assert torch.equal(samples, given)
    assert all(torch.equal(a, b) for a, b in zip(before, (few.train, few.valid, few.test), strict=True))


@pytest.mark.parametrize("name", METRICS)
def test_no_gradient_is_taken(name, few):
    arrays = dict(METRICS[name](Subject(torch.rand(150, *few.shape, requires_grad=True)), few).arrays)
    arrays.pop("shown_samples", None)  # a view of the input itself
    assert not any(values.requires_grad for values in arrays.values())


@pytest.mark.parametrize("name", METRICS)
def test_one_seed_gives_one_score(name, few):
    subject = Subject(torch.rand(150, *few.shape))
    scores = []
    for _ in range(2):
        torch.manual_seed(4)
        scores.append(METRICS[name](subject, few).scores)
    assert scores[0] == scores[1]


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("threads", [1, 2])
def test_thread_count_moves_nothing_beyond_rounding(name, threads, few):
    subject = Subject(few.train)
    before = torch.get_num_threads()
    values = []
    try:
        for count in (before, threads):
            torch.set_num_threads(count)
            torch.manual_seed(4)
            values.append([score.value for score in METRICS[name](subject, few).scores.values()])
    finally:
        torch.set_num_threads(before)
    # float32 products summed in another order: 1e-7 of ‖x‖², times 1/2σ² ≤ 50
    assert values[0] == pytest.approx(values[1], abs=1e-3)


@pytest.mark.parametrize("name", METRICS)
def test_tf32_stays_off_and_the_callers_setting_is_kept(name, few, monkeypatch):
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
            METRICS[name](Subject(torch.rand(150, *few.shape)), few)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)
    assert set(precisions) <= {"highest"}
    assert precisions or name not in ("parzen", "neighbours")
