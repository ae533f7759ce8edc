"""What does every model, and every metric, promise? Checks for anybody's own.

`check_model(Config())` and `check_metric(Metric())` belong into your tests: they raise an
AssertionError that says which promise is broken. This project's models and metrics are
held to the same ones.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from genmodel_bench.cells.forms import check_config
from genmodel_bench.cells.forms import check_metric as check_form
from genmodel_bench.data.dataset import Dataset, assemble
from genmodel_bench.execution.evidence import Evidence
from genmodel_bench.metrics.base import Metric, Reference, Score, Subject
from genmodel_bench.metrics.column import declared
from genmodel_bench.models import Config, Model, Shape
from genmodel_bench.training import loop
from genmodel_bench.training.checkpoint import Checkpoints
from torch import Tensor, nn

SHAPES: tuple[Shape, ...] = ((1, 8, 8), (3, 6, 4))
"""Shapes (c, h, w) of the images that a model is tried on."""


def check_model(config: Config, shapes: tuple[Shape, ...] = SHAPES) -> None:
    """Check that a model keeps what the benchmark relies on.

    It is trained several times on 60 images, with the Config as it is: give a small one.

    shapes: (c, h, w) of the images.

    Raises:
        AssertionError, BenchError: a promise is broken; the text says which.
    """
    check_config(type(config).__name__, config)
    for shape in shapes:
        x = images(60, shape)
        check_steps(config, x)
        check_leaves_images(config, x)
        for n in (1, 7, 150):
            check_samples(trained(config, x).sample(n), n, shape)
        check_repeats(config, x)
    check_resumes(config, images(60, shapes[0]))


def images(n: int, shape: Shape) -> Tensor:
    """Return n images (n, c, h, w) of noise, always the same."""
    return torch.rand(n, *shape, generator=torch.Generator().manual_seed(0))


def trained(config: Config, x: Tensor, **more: Any) -> Any:
    """Return a model trained on x from a fixed seed, in evaluation mode.

    `more` goes to the training loop.
    """
    torch.manual_seed(3)
    _, c, h, w = x.shape
    model = config.build((c, h, w))
    assert isinstance(model, Model), "the model needs initialise(x), stages() and sample(n)"
    assert isinstance(model, nn.Module), "the model has to be an nn.Module"
    loop.train(model, x, **more)
    return model.eval()


def check_samples(samples: Tensor, n: int, shape: Shape) -> None:
    """Check that samples are n images of `shape` in the unit interval."""
    assert samples.shape == (n, *shape), f"sample({n}): got {tuple(samples.shape)}, expected {(n, *shape)}"
    assert samples.dtype == torch.float32, f"samples: got {samples.dtype}, expected torch.float32"
    assert samples.isfinite().all(), "samples: NaN or infinite"
    low, high = samples.aminmax()
    assert 0 <= low and high <= 1, f"samples: from {low:.3g} to {high:.3g}, expected within [0, 1]"
    assert not samples.requires_grad, "sample: put @torch.no_grad() on it"


def check_repeats(config: Config, x: Tensor) -> None:
    """Check that one seed gives one model and one set of samples."""
    first, second = (trained(config, x).sample(20) for _ in range(2))
    assert torch.equal(first, second), "one seed gave two results: draw with torch's default generator"


def check_leaves_images(config: Config, x: Tensor) -> None:
    """Check that training and sampling do not change the images."""
    before = x.clone()
    trained(config, x).sample(5)
    assert torch.equal(x, before), "training changed the images in place"


def check_steps(config: Config, x: Tensor) -> None:
    """Check that each stage logs scalars and changes the model's state."""
    _, c, h, w = x.shape
    model = config.build((c, h, w))
    model.initialise(x)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    for stage in model.stages():
        inputs = x if stage.inputs is None else stage.inputs(x)
        logged = stage.step(inputs[: stage.batch_size], None)
        assert logged, f"stage {stage.name}: step returned nothing to log"
        for name, value in logged.items():
            assert value.ndim == 0, f"stage {stage.name}: {name} has shape {tuple(value.shape)}, expected ()"
            assert not value.requires_grad, f"stage {stage.name}: {name} requires a gradient; .detach() it"
        changed = [name for name, value in model.state_dict().items() if not torch.equal(before[name], value)]
        assert changed, f"stage {stage.name}: step changed nothing in state_dict()"


class Killed(Exception):
    """Stops a training half way."""


def check_resumes(config: Config, x: Tensor) -> None:
    """Check that a training that is killed and resumed gives the same bits."""
    whole = trained(config, x)

    def kill(news: object) -> None:
        if isinstance(news, loop.Progress) and news.done == 2:  # by then the first step is in a checkpoint
            raise Killed

    with tempfile.TemporaryDirectory() as folder:
        keeper = Checkpoints(Path(folder))
        try:
            trained(config, x, keeper=keeper, every=0.0, watch=kill)
        except Killed:
            pass
        resumed = trained(config, x, keeper=Checkpoints(Path(folder)), every=0.0)
    for name, value in whole.state_dict().items():
        same = torch.equal(value, resumed.state_dict()[name])
        assert same, f"{name} differs after a resume: state belongs into buffers, optimisers into the Stage"


def check_metric(
    metric: Metric, shape: Shape = (1, 8, 8), data: Dataset | None = None, model: object = None
) -> None:
    """Check that a metric keeps what the benchmark relies on.

    It scores noise against noise, 150 images of `shape` or as many as it needs. One that
    needs more of a model than its samples, and is given none, is checked for its form
    alone.

    data: real images to score noise against, where the metric needs what noise lacks, as
        a known density.
    model: one that has what the metric needs.

    Raises:
        AssertionError, BenchError: a promise is broken; the text says which.
    """
    check_form(type(metric).__name__, metric)
    if metric.needs and model is None:
        return
    n = max(150, metric.min_samples)
    x = images(n + 280, data.shape if data else shape)
    splits = [torch.arange(200), torch.arange(200, 240), torch.arange(240, 280)]
    real = data or assemble("noise", x[:280], torch.arange(280) % 10, splits)
    for law in METRIC_LAWS:
        law(metric, Subject(x[280:], model), Evidence(real))


def check_scores(metric: Metric, subject: Subject, data: Reference) -> None:
    """Check that scores are finite and say what they are."""
    scores = metric(subject, data).scores
    assert scores, "the metric returned no scores"
    for name, score in scores.items():
        assert isinstance(score, Score), f"{name} is a {type(score).__name__}, expected a Score"
        assert math.isfinite(score.value), f"{name}: value {score.value}"
        assert math.isfinite(score.stderr) and score.stderr >= 0, f"{name}: standard error {score.stderr}"
        assert score.stderr_over, f"{name}: stderr_over is empty; what is the error over?"
        assert score.unit, f"{name}: the unit is empty"
        assert score.n > 0, f"{name}: n is {score.n}"
        ways = ("higher", "lower", "neither")
        assert score.better in ways, f"{name}: better is {score.better!r}, expected one of {ways}"


def check_columns(metric: Metric, subject: Subject, data: Reference) -> None:
    """Check that what columns are declared of is in the result."""
    result, columns = metric(subject, data), declared(metric)
    assert columns.keys() <= result.scores.keys(), "a column is declared of a score that is not returned"
    if columns:
        assert next(iter(columns)) == next(iter(result.scores)), "the headline score comes first in both"
    for name, column in columns.items():
        curves = result.scores[name].curves
        for curve, said in column.curves.items():
            assert {curve, *(said.beside or [curve])[:1]} <= curves.keys(), f"{name} has no curve {curve!r}"
        if column.examples:
            values = result.arrays[column.examples].double()
            assert values.shape == (len(data.test),), f"{column.examples}: one value for each test image"
            # float32 values, each within 6e-8 of its size
            close = math.isclose(float(values.mean()), result.scores[name].value, rel_tol=1e-6)
            assert close, f"{name} is not the mean of {column.examples}"


def check_leaves_inputs(metric: Metric, subject: Subject, data: Reference) -> None:
    """Check that a metric does not change its inputs."""
    inputs = (subject.samples, data.train, data.valid, data.test)
    before = [tensor.clone() for tensor in inputs]
    metric(subject, data)
    same = all(torch.equal(a, b) for a, b in zip(before, inputs, strict=True))
    assert same, "the metric changed its inputs in place"


def check_takes_no_gradient(metric: Metric, subject: Subject, data: Reference) -> None:
    """Check that no array of the result requires a gradient."""
    samples = subject.samples.clone().requires_grad_()
    arrays = dict(metric(replace(subject, samples=samples), data).arrays)
    arrays.pop("shown_samples", None)  # a view of the input itself
    for name, values in arrays.items():
        assert not values.requires_grad, f"{name} requires a gradient; put @torch.no_grad() on __call__"


def check_scores_repeat(metric: Metric, subject: Subject, data: Reference) -> None:
    """Check that one seed gives one score."""
    found = []
    for _ in range(2):
        torch.manual_seed(4)
        found.append(metric(subject, data).scores)
    assert found[0] == found[1], "one seed gave two scores: draw with torch's default generator"


METRIC_LAWS: tuple[Callable[[Metric, Subject, Reference], None], ...] = (
    check_scores,
    check_columns,
    check_leaves_inputs,
    check_takes_no_gradient,
    check_scores_repeat,
)
