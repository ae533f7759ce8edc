"""What is a study, and how is one of its trainings run and measured?

A study varies one setting of a model, trains each value under the loop that trains the
rows of the tables, and measures after chosen numbers of mini-batches. A training has the
seed that a row of the same kind of model has. It is not disturbed: what is measured is a
copy of the model, with random numbers of its own, and those of the training go on.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol

import torch
from genmodel_bench.metrics.base import Reference
from genmodel_bench.models.adversarial.mlp_gan import Config
from genmodel_bench.models.adversarial.players import GAN
from genmodel_bench.training import loop
from genmodel_bench.training.numerics import numerics
from genmodel_bench.training.seeding import (
    derive_seed,
    fit_seed,
    generator_states,
    restore_generators,
    seed_everything,
)
from torch import Tensor

FRAMES = 6
"""Samples in a frame of the film."""


@dataclass(frozen=True)
class Arm:
    """A value of the setting that is varied, and the Config that has it."""

    setting: str
    value: str
    config: Any


@dataclass(frozen=True)
class Moment:
    """What was measured after `step` mini-batches.

    values: finite numbers by quantity.
    frame: samples (FRAMES, c, h, w), or None where the study has no film.
    """

    step: int
    values: Mapping[str, float]
    frame: Tensor | None = None


class Study(Protocol):
    """One question to training, and what is trained and measured to answer it.

    question: in one line.
    steps: mini-batches of a training unless somebody asks for others.
    film: whether samples are kept at each moment.
    """

    question: ClassVar[str]
    steps: ClassVar[int]
    film: ClassVar[bool]

    def arms(self, dataset: str) -> Sequence[Arm]:
        """Return what is trained; the epochs of the Configs are set later."""

    def moments(self, steps: int) -> set[int]:
        """Return the numbers of mini-batches after which is measured; `steps` is one."""

    def measure(self, model: GAN, data: Reference) -> Mapping[str, float]:
        """Return what is measured of a model as it is, by quantity."""

    def real(self, data: Reference) -> Mapping[str, float]:
        """Return the same of unseen real images, where that has a meaning."""


def measured(
    study: Study,
    config: Any,
    dataset: str,
    data: Reference,
    *,
    seed: int,
    steps: int,
    tell: Callable[[int], None] = lambda step: None,
) -> list[Moment]:
    """Train `config` for `steps` mini-batches, and return what is measured on the way.

    dataset: the name of the data, which is in the seeds.
    seed: the base seed, from which those of training and measuring are derived.
    tell: called with the number of mini-batches after each.

    Raises:
        Diverged, ValueError: as for `training.loop.train`.
    """
    due, found = study.moments(steps), list[Moment]()
    device, x = data.train.device, data.train
    config = lasting(config, steps, len(x))
    trained = config.epochs * (len(x) // (config.k * config.batch_size))
    with numerics(deterministic=False, precision="highest"):
        seed_everything(fit_seed(seed, dataset, config.KIND))
        model = config.build(tuple(x.shape[1:])).to(device)

        def watch(news: loop.Progress | loop.Epoch) -> None:
            if isinstance(news, loop.Progress):
                done = news.done - (news.total - trained)  # of the last stage
                if done in due:
                    found.append(look(study, model, data, done, derive_seed(seed, dataset, "study")))
                tell(max(0, done))

        loop.train(model, x, watch=watch)
    return found


def look(study: Study, model: GAN, data: Reference, step: int, seed: int) -> Moment:
    """Return what is measured of a model in training, which goes on as without it."""
    device = data.train.device
    before = generator_states(device)
    try:
        torch.manual_seed(seed)
        values = dict(study.measure(copy.deepcopy(model), data))
        if bad := [name for name, value in values.items() if not math.isfinite(value)]:
            raise loop.Diverged(f"{bad[0]} is {values[bad[0]]} after {step} mini-batches")
        frame = None
        if study.film:
            torch.manual_seed(seed)
            frame = copy.deepcopy(model).eval().sample(FRAMES).cpu()
        return Moment(step, values, frame)
    finally:
        restore_generators(before, device)


def usual(config: Any, dataset: str) -> Any:
    """Return a Config with its settings for a data set, unchanged where it has none."""
    return replace(config, **config.SETTINGS.get(dataset, {}))


def plain(dataset: str) -> Any:
    """Return the Config of the later losses' nets, without what steadies them.

    There is no batch normalisation, which makes the samples of a mini-batch differ, and
    the rate is fixed: a study of what goes wrong does not change with the rows' settings.
    """
    return replace(usual(Config(), dataset), batch_norm=False, lr=1e-3)


def lasting(config: Any, steps: int, n: int) -> Any:
    """Return a Config with the fewest epochs over n images of so many mini-batches.

    A schedule of the momentum keeps its share of the epochs.

    Raises:
        ValueError: there are fewer images than in a mini-batch.
    """
    size = config.k * config.batch_size
    if n < size:
        raise ValueError(f"got {n} training images, expected at least {size}, the size of a mini-batch")
    epochs = max(1, math.ceil(steps / (n // size)))
    rising = getattr(config, "momentum_epochs", None)
    schedule = {} if rising is None else {"momentum_epochs": round(rising * epochs / config.epochs)}
    return replace(config, epochs=epochs, **schedule)


def shares(steps: int, *parts: int) -> set[int]:
    """Return the numbers of mini-batches after each of the parts of a training.

    parts: 2 is the half of it, 1 all of it.
    """
    return {max(1, round(steps / part)) for part in (1, *parts)}
