"""What does a metric say of draws of samples, and which columns of a row hold it?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from genmodel_bench.metrics.base import Metric, Reference, Result, Score, Subject
from genmodel_bench.training.seeding import metric_seed, seed_everything
from torch import Tensor


def subject_of(draws: Sequence[Tensor], model: object, device: torch.device) -> Subject:
    """Return what metrics score: draws of samples, and the model if there is one.

    draws: each (n, c, h, w); the first gives the headline score.
    """
    first, *others = (samples.to(device) for samples in draws)
    return Subject(first, model, tuple(others))


def missing(metric: Metric, model: object) -> list[str]:
    """Return the names of the capabilities that a metric needs and a model lacks."""
    return [need.__name__ for need in metric.needs if not isinstance(model, need)]


def measured(
    name: str,
    metric: Metric,
    subject: Subject,
    reference: Reference,
    *,
    base_seed: int,
    dataset: str,
    of: str,
) -> Result:
    """Return a metric's scores of a subject. Seeds the generators.

    of: the kind of model, or the name of a user's samples.

    Raises:
        ValueError: a score is NaN or infinite; such a score is never written.
    """
    seed_everything(metric_seed(base_seed, dataset, of, name))
    result = metric(subject, reference)
    for quantity, score in result.scores.items():
        if not torch.tensor([score.value, score.stderr]).isfinite().all():
            raise ValueError(f"{quantity}: value {score.value}, standard error {score.stderr} are not finite")
    return result


def columns_of(quantity: str, score: Score) -> Mapping[str, Any]:
    """Return the columns of a row about a score.

    Its settings and curves are still objects, not JSON.
    """
    return {
        "quantity": quantity,
        "value": score.value,
        "stderr": score.stderr,
        "stderr_over": score.stderr_over,
        "n": score.n,
        "draw_sd": score.draw_sd,
        "unit": score.unit,
        "better": score.better,
        "status": f"warning: {score.warning}" if score.warning else "ok",
        "metric_settings": score.settings,
        "curves": score.curves,
    }
