"""How is any model trained? One loop for every family, on the CPU and on CUDA.

The data are on the device, and are shuffled and cut into mini-batches there; the host
waits for the device once per epoch. A killed run resumes from its last checkpoint and
ends with the same weights as an uninterrupted one, bit for bit on the CPU. On CUDA a
stage's `step` is captured once as a graph and replayed. In the last stage the weights are
stored after the epochs of `snapshot_epochs`, by the same rule for every family, so that a
checkpoint can be selected and the course of training be inspected afterwards.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

import torch
from genmodel_bench.training.graph import Step, captured
from genmodel_bench.training.seeding import generator_states, restore_generators, seed_everything
from torch import Tensor

if TYPE_CHECKING:  # for annotations only: the loop runs no code of models/
    from genmodel_bench.models.base import Config, Model, Stage

    Snapshot = Callable[[Model, int], None]

CHECKPOINT_SECONDS = 30.0
EARLY, PARTS = (1, 2, 5), 10
"""Weights are stored after these epochs of the last stage, and after each tenth of it."""


class Diverged(RuntimeError):
    """A weight, or a value that a step logs, is not finite."""


@dataclass
class Progress:
    """The position of a training, sent to the listener after every mini-batch.

    done, total: mini-batches over all stages.
    """

    stage: str
    done: int
    total: int


@dataclass
class Epoch:
    """The result of an epoch, sent to the listener at its end.

    epoch: counted from 1 in each stage.
    means: the means over the epoch of the values that the stage's steps log.
    """

    stage: str
    epoch: int
    means: dict[str, float]


@dataclass
class Log:
    """What training returns besides the model: losses by epoch, its cost, and its trace.

    history: one row per epoch: the stage, the epoch and the means of the logged values.
    seconds: the training time, without the time that snapshots take.
    steps: mini-batches over all stages.
    trace: digests of the weights, in order: after initialising, at the end of each stage
        and after each epoch whose weights are stored, each with its position:
        ("elbo 5", digest). Empty without a keeper.
    """

    history: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0
    steps: int = 0
    trace: list[tuple[str, str]] = field(default_factory=list)


class Keeper(Protocol):
    """Stores the state of one training, and its weights by epoch.

    `genmodel_bench.training.checkpoint.Checkpoints` does so on disk.
    """

    def load(self, device: torch.device) -> Mapping[str, Any] | None:
        """Return the last state that was saved, its tensors on `device`, or None."""

    def save(self, position: int, state: Mapping[str, Any]) -> None:
        """Store a state of tensors and plain values; `position` grows with the steps."""

    def keep(self, model: Model, epoch: int) -> None:
        """Store the weights after an epoch of the last stage."""

    def digest(self, model: Model, where: str) -> str:
        """Return a digest of the weights; `where` names the point in the training."""


Watcher = Callable[[Progress | Epoch], None]


def snapshot_epochs(epochs: int) -> list[int]:
    """Return the epochs after which a last stage of `epochs` stores the weights.

    The last epoch is among them.
    """
    tenths = {max(1, round(epochs * i / PARTS)) for i in range(1, PARTS + 1)}
    return sorted(e for e in {*EARLY, *tenths} if e <= epochs)


def fit(
    config: Config,
    x: Tensor,
    y: Tensor | None = None,
    *,
    seed: int,
    keeper: Keeper | None = None,
    watch: Watcher = lambda progress: None,
    snapshot: Snapshot = lambda model, epoch: None,
    bf16: bool = False,
) -> tuple[Model, Log]:
    """Seed all generators, build the model and train it; return it and the log.

    x: images (n, c, h, w), y: labels (n,) or None; the model is on their device.
    The other arguments are those of `train`.

    Raises:
        Diverged, ValueError: as for `train`.
    """
    start = time.monotonic()
    seed_everything(seed)
    c, h, w = x.shape[1:]
    model = config.build((c, h, w)).to(x.device)
    log = train(model, x, y, keeper=keeper, watch=watch, snapshot=snapshot, bf16=bf16, start=start)
    return model, log


def train(
    model: Model,
    x: Tensor,
    y: Tensor | None = None,
    *,
    keeper: Keeper | None = None,
    watch: Watcher = lambda progress: None,
    snapshot: Snapshot = lambda model, epoch: None,
    bf16: bool = False,
    every: float = CHECKPOINT_SECONDS,
    start: float | None = None,
) -> Log:
    """Train `model` in place and return the log. The caller seeds the generators.

    x: images (n, c, h, w), y: labels (n,) or None, both on the model's device.
    keeper: stores the state every `every` seconds and at the end, and the weights after
        the epochs of `snapshot_epochs`; training resumes from the last stored state.
    watch: the listener, called with a Progress or an Epoch.
    snapshot: called with the model and the epoch after the epochs of `snapshot_epochs`.
        The random numbers it draws and the time it takes do not affect the training.
    bf16: take the matrix products of each step in bfloat16, under torch's autocast;
        weights and the update of them stay as they are.
    start: the time (of time.monotonic) from which the log's seconds count; default: now.

    Raises:
        Diverged: a weight or a logged value is not finite.
        ValueError: a stage cannot run on n images.
    """
    start = time.monotonic() if start is None else start
    model.train()
    model.initialise(x)
    stages = list(model.stages())
    if bf16:
        stages = [replace(stage, step=autocast(stage.step, x.device)) for stage in stages]
    run = _Training(model, stages, x, y, keeper, watch, snapshot, every, start)
    run.trace("initialise")
    if not stages:
        run.log.seconds = time.monotonic() - start
        return run.log
    run.resume()
    run.finish()
    return run.log


def autocast(step: Step, device: torch.device) -> Step:
    """Return a step of a stage whose matrix products are in bfloat16; it logs float32."""

    def cast(x: Tensor, y: Tensor | None) -> dict[str, Tensor]:
        # A cached cast would become a constant of a CUDA graph.
        with torch.autocast(device.type, torch.bfloat16, cache_enabled=device.type != "cuda"):
            values = step(x, y)
        return {name: value.float() for name, value in values.items()}

    return cast


class _Training:
    """One run through the stages; its position is (stage, epoch, mini-batch)."""

    def __init__(
        self,
        model: Model,
        stages: Sequence[Stage],
        x: Tensor,
        y: Tensor | None,
        keeper: Keeper | None,
        watch: Watcher,
        snapshot: Snapshot,
        every: float,
        start: float,
    ) -> None:
        self.model, self.stages, self.x, self.y = model, stages, x, y
        self.keeper, self.watch, self.snapshot, self.every = keeper, watch, snapshot, every
        self.kept = set(snapshot_epochs(stages[-1].epochs)) if stages else set()
        self.log = Log()
        self.stage = self.epoch = self.batch = self.step = 0
        self.order = torch.empty(0, dtype=torch.int64, device=x.device)
        self.sums: dict[str, Tensor] = {}
        self.total = sum(s.epochs * (len(x) // s.batch_size) for s in stages)
        self.clock, self.saved = start, time.monotonic()
        for s in stages:
            if not 1 <= s.batch_size <= len(x) or s.epochs < 0:
                raise ValueError(
                    f"{s.name}: batch size {s.batch_size} and {s.epochs} epochs "
                    f"do not fit {len(x)} training images"
                )

    def finish(self) -> None:
        """Run every stage from the current position on."""
        if self.stage == len(self.stages):
            return
        while self.stage < len(self.stages):
            stage = self.stages[self.stage]
            try:
                self.run_stage(stage)
            except Exception as error:
                error.add_note(f"(in stage {stage.name}, epoch {self.epoch + 1}, minibatch {self.batch + 1})")
                raise
            if stage is not self.stages[-1]:
                self.trace(f"{stage.name} {stage.epochs}")
            self.stage += 1
            self.epoch = self.batch = self.step = 0
        self.save()

    def run_stage(self, stage: Stage) -> None:
        """Run the remaining epochs of one stage."""
        inputs = self.x if stage.inputs is None else stage.inputs(self.x)
        labels, size = self.y, stage.batch_size
        step = captured(stage, self.model, inputs, labels) if inputs.is_cuda else stage.step
        # Images beyond the last whole mini-batch are left out; the next epoch has another
        # order.
        batches = len(inputs) // size
        while self.epoch < stage.epochs:
            if self.batch == 0:
                self.order = torch.randperm(len(inputs), device=inputs.device)
                self.sums = {}
            rates = self.rates(stage, batches)
            while self.batch < batches:
                for schedule, values in zip(stage.schedules, rates, strict=True):
                    schedule.tensor.copy_(values[self.batch])
                index = self.order[self.batch * size : (self.batch + 1) * size]
                self.add(step(inputs[index], None if labels is None else labels[index]))
                self.batch += 1
                self.step += 1
                self.after_batch(stage)
            self.end_epoch(stage, batches)

    def rates(self, stage: Stage, batches: int) -> list[Tensor]:
        """Return each schedule's values over this epoch, on the device.

        They are transferred once per epoch.
        """
        first = self.step - self.batch
        return [
            torch.tensor([s.value(first + i, self.epoch) for i in range(batches)]).to(s.tensor)
            for s in stage.schedules
        ]

    def add(self, values: dict[str, Tensor]) -> None:
        """Add one step's logged values to the epoch's sums, on the device."""
        for name, value in values.items():
            if name in self.sums:
                self.sums[name] += value
            else:
                self.sums[name] = value.clone()

    def after_batch(self, stage: Stage) -> None:
        """Call the listener, and store the state if `every` seconds have passed."""
        self.log.steps += 1
        self.watch(Progress(stage.name, self.log.steps, self.total))
        if self.keeper is not None and time.monotonic() - self.saved >= self.every:
            self.save()

    def end_epoch(self, stage: Stage, batches: int) -> None:
        """Log the epoch's means, and store the weights if they are due.

        Raises:
            Diverged: a mean or a weight is not finite.
        """
        means = {name: float(total) / batches for name, total in self.sums.items()}
        for name, mean in means.items():
            if not math.isfinite(mean):
                raise Diverged(f"{name} is {mean}")
        if not all(bool(p.isfinite().all()) for p in self.model.parameters()):
            raise Diverged("a weight is not finite")
        self.log.history.append({"stage": stage.name, "epoch": self.epoch + 1, **means})
        self.epoch += 1
        self.watch(Epoch(stage.name, self.epoch, means))
        self.batch = 0
        if stage is self.stages[-1] and self.epoch in self.kept:
            self.keep()

    def keep(self) -> None:
        """Store the weights of this epoch and call `snapshot`.

        The generators are restored, and the time that it takes is not counted.
        """
        before, generators = time.monotonic(), generator_states(self.x.device)
        if self.keeper is not None:
            self.keeper.keep(self.model, self.epoch)
        self.trace(f"{self.stages[-1].name} {self.epoch}")
        self.model.eval()
        self.snapshot(self.model, self.epoch)
        self.model.train()
        restore_generators(generators, self.x.device)
        self.clock += time.monotonic() - before

    def trace(self, where: str) -> None:
        """Add the digest of the current weights to the log's trace."""
        if self.keeper is not None:
            self.log.trace.append((where, self.keeper.digest(self.model, where)))

    def save(self) -> None:
        """Store everything that the rest of the run depends on, as a checkpoint."""
        now = time.monotonic()
        self.log.seconds += now - self.clock
        self.clock = self.saved = now
        if self.keeper is None:
            return
        state = {
            "position": [self.stage, self.epoch, self.batch, self.step],
            "model": self.model.state_dict(),
            "optimisers": [[o.state_dict() for o in s.optimisers] for s in self.stages],
            "generators": generator_states(self.x.device),
            "order": self.order,
            "sums": self.sums,
            "log": [self.log.history, self.log.seconds, self.log.steps, self.log.trace],
        }
        self.keeper.save(self.log.steps, state)
        self.saved = time.monotonic()

    def resume(self) -> None:
        """Restore the last checkpoint, if there is one."""
        state = None if self.keeper is None else self.keeper.load(self.x.device)
        if state is None:
            return
        self.stage, self.epoch, self.batch, self.step = state["position"]
        self.model.load_state_dict(state["model"])
        for stage, saved in zip(self.stages, state["optimisers"], strict=True):
            for optimiser, content in zip(stage.optimisers, saved, strict=True):
                optimiser.load_state_dict(content)
        restore_generators({k: v.cpu() for k, v in state["generators"].items()}, self.x.device)
        self.order, self.sums = state["order"], state["sums"]
        self.log = Log(*state["log"])
