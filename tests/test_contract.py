"""Each promise that a model or metric breaks is named."""

from dataclasses import dataclass, replace

import pytest
import torch
from genmodel_bench.commands.templates import metric as theirs
from genmodel_bench.commands.templates import model as ours
from genmodel_bench.contract import check_metric, check_model
from genmodel_bench.errors import BenchError
from genmodel_bench.metrics import Result

SMALL = ours.Config(hidden=8, latent=4, epochs=2, batch_size=20)


def broken(monkeypatch, **methods):
    """The template's model with other methods."""
    for name, method in methods.items():
        monkeypatch.setattr(ours.Net, name, method)
    return SMALL


def steps_by_its_own_state(self, x, y):
    self.taken = getattr(self, "taken", 0) + 1  # no buffer: a checkpoint does not hold it
    with torch.no_grad():
        self.mean.add_(float(self.taken))
    return {"taken": self.mean.sum()}


def writes_into_images(self, x):
    x.mul_(0.5)


GENERATOR = torch.Generator().manual_seed(0)
BROKEN = {
    r"sample\(1\): got \(1, 9\), expected \(1, 1, 8, 8\)": {"sample": lambda self, n: torch.zeros(n, 9)},
    "got torch.float64, expected torch.float32": {
        "sample": lambda self, n: torch.zeros(n, *self.shape, dtype=torch.float64)
    },
    "NaN or infinite": {"sample": lambda self, n: torch.full((n, *self.shape), torch.nan)},
    r"from 2 to 2, expected within \[0, 1\]": {"sample": lambda self, n: torch.full((n, *self.shape), 2.0)},
    r"put @torch.no_grad\(\) on it": {
        "sample": lambda self, n: self.decode(torch.zeros(n, 4)).reshape(n, *self.shape)
    },
    "one seed gave two results": {"sample": lambda self, n: torch.rand(n, *self.shape, generator=GENERATOR)},
    "training changed the images": {"initialise": writes_into_images},
    "step returned nothing to log": {"step": lambda self, x, y: {}},
    "loss has shape": {"step": lambda self, x, y: {"loss": x.mean((1, 2, 3))}},
    "step changed nothing": {"step": lambda self, x, y: {"loss": x.mean()}},
    "differs after a resume": {"step": steps_by_its_own_state},
}


@pytest.mark.parametrize("text", BROKEN)
def test_a_broken_promise_of_a_model_is_named(text, monkeypatch):
    with pytest.raises(Exception, match=text):
        check_model(broken(monkeypatch, **BROKEN[text]), shapes=((1, 8, 8),))


def test_a_model_that_keeps_all_passes():
    check_model(SMALL)


ORIGINAL = theirs.Metric.__call__


def scores(**changes):
    """A call of the template's metric whose score is changed."""

    def call(self, subject, reference):
        (score,) = ORIGINAL(self, subject, reference).scores.values()
        return Result({"variance": replace(score, **changes)})

    return call


def changes_inputs(self, subject, reference):
    subject.samples.mul_(0.5)
    return scores()(self, subject, reference)


BROKEN_METRICS = {
    "value nan": scores(value=float("nan")),
    "standard error -1": scores(stderr=-1.0),
    "stderr_over is empty": scores(stderr_over=""),
    "the unit is empty": scores(unit=""),
    "returned no scores": lambda self, subject, reference: Result({}),
    "expected a Score": lambda self, subject, reference: Result({"variance": 1.0}),
    "column is declared of a score": lambda self, subject, reference: Result(
        {"other": next(iter(scores()(self, subject, reference).scores.values()))}
    ),
    "changed its inputs": changes_inputs,
    "one seed gave two scores": lambda self, subject, reference: scores(
        value=float(torch.rand((), generator=GENERATOR))
    )(self, subject, reference),
}


@pytest.mark.parametrize("text", BROKEN_METRICS)
def test_a_broken_promise_of_a_metric_is_named(text, monkeypatch):
    call = BROKEN_METRICS[text]
    monkeypatch.setattr(theirs.Metric, "__call__", call)
    with pytest.raises(AssertionError, match=text):
        check_metric(theirs.Metric())


def test_an_object_of_another_form_is_refused():
    @dataclass
    class Thawed:
        lr: float = 1.0

    with pytest.raises(BenchError, match="no frozen dataclass"):
        check_model(Thawed())
    with pytest.raises(BenchError, match="no frozen dataclass"):
        check_metric(Thawed())
