"""How is any model trained? One loop for every family, on the CPU and on CUDA.

The data lie on the device; shuffling and minibatches happen there; the host waits for the device once an epoch. A killed
run goes on from its last checkpoint and ends with the same weights as an uninterrupted one, bit for bit on the CPU.
On CUDA a stage's `step` is captured once as a graph and replayed. Through the last stage the weights are kept after the epochs of
`snapshot_epochs`, the same for every family, so that a checkpoint can be selected and training be looked at afterwards.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import torch
from genmodel_bench.training.graph import captured
from genmodel_bench.training.seeding import generator_states, restore_generators, seed_everything
from torch import Tensor

if TYPE_CHECKING:  # not for what they do: the loop depends on no code of the models' own
    from genmodel_bench.models.base import Config, Model, Stage

    Snapshot = Callable[[Model, int], None]

CHECKPOINT_SECONDS = 30.0
EARLY, PARTS = (1, 2, 5), 10
"""Weights are kept after these epochs of the last stage, and after each tenth of it."""


class Diverged(RuntimeError):
    """Training met a value that is not finite."""


@dataclass
class Progress:
    """Where training stands: told after every minibatch."""

    stage: str
    done: int
    total: int


@dataclass
class Epoch:
    """The means of what a stage's steps logged over one of its epochs, counted from 1: told at its end."""

    stage: str
    epoch: int
    means: dict[str, float]


@dataclass
class Log:
    """What training leaves besides the model: losses by epoch, its cost, and its trace.

    The trace holds the digest of the weights after initialising, at the end of each stage and after each epoch at which they are kept,
    in order, each with where that was: ("elbo 5", digest). It is empty where nobody digests them.
    """

    history: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0
    steps: int = 0
    trace: list[tuple[str, str]] = field(default_factory=list)


class Keeper(Protocol):
    """Keeps the state of one training, and its weights by epoch, as `genmodel_bench.training.checkpoint.Checkpoints` does on disk."""

    def load(self, device: torch.device) -> Mapping[str, Any] | None:
        """Return the last state that was saved, its tensors on `device`, or None."""

    def save(self, position: int, state: Mapping[str, Any]) -> None:
        """Keep a state of tensors and plain values; `position` grows with the steps."""

    def keep(self, model: Model, epoch: int) -> None:
        """Keep the weights after an epoch of the last stage."""

    def digest(self, model: Model, where: str) -> str:
        """Return a digest of the weights, at a point of the training that `where` names."""


Watcher = Callable[[Progress | Epoch], None]


def snapshot_epochs(epochs: int) -> list[int]:
    """Return the epochs of a last stage of `epochs` after which the weights are kept, the last one among them."""
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
) -> tuple[Model, Log]:
    """Seed everything, build a Config's model for images x: (n, c, h, w) on their device, train it; return it and the log."""
    start = time.monotonic()
    seed_everything(seed)
    c, h, w = x.shape[1:]
    model = config.build((c, h, w)).to(x.device)
    log = train(model, x, y, keeper=keeper, watch=watch, snapshot=snapshot, start=start)
    return model, log


def train(
    model: Model,
    x: Tensor,
    y: Tensor | None = None,
    *,
    keeper: Keeper | None = None,
    watch: Watcher = lambda progress: None,
    snapshot: Snapshot = lambda model, epoch: None,
    every: float = CHECKPOINT_SECONDS,
    start: float | None = None,
) -> Log:
    """Train `model` in place on x: (n, c, h, w) and labels y: (n,) or None, both on the model's device; return the log.

    With a `keeper`, the state is saved every `every` seconds and at the end, and training goes on from the last one that it has; the
    weights after the epochs of `snapshot_epochs` are kept too. `snapshot(model, epoch)` is called after these epochs; what it draws or
    takes in time leaves no trace in the training. The log's seconds count from `start` (time.monotonic; default: now).
    The caller seeds the generators. Raises Diverged, and ValueError for a stage that cannot run on n images.
    """
    start = time.monotonic() if start is None else start
    model.train()
    model.initialise(x)
    stages = list(model.stages())
    run = _Training(model, stages, x, y, keeper, watch, snapshot, every, start)
    run.trace("initialise")
    if not stages:
        run.log.seconds = time.monotonic() - start
        return run.log
    run.resume()
    run.finish()
    return run.log


class _Training:
    """One run through the stages: its position is (stage, epoch, minibatch)."""

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
                    f"{s.name}: batch size {s.batch_size} and {s.epochs} epochs do not fit {len(x)} training images"
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
        """Run the epochs of one stage that are left."""
        inputs = self.x if stage.inputs is None else stage.inputs(self.x)
        labels, size = self.y, stage.batch_size
        step = captured(stage, self.model, inputs, labels) if inputs.is_cuda else stage.step
        batches = len(inputs) // size  # the rest sits out this epoch; the next has another order
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
        """Return each schedule's values over this epoch, on the device: one transfer an epoch."""
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
        """Tell the watcher, and write a checkpoint when it is time."""
        self.log.steps += 1
        self.watch(Progress(stage.name, self.log.steps, self.total))
        if self.keeper is not None and time.monotonic() - self.saved >= self.every:
            self.save()

    def end_epoch(self, stage: Stage, batches: int) -> None:
        """Log the epoch's means and stop at the first that is not finite."""
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
        """Keep the weights of this epoch and tell of them, as if nothing had happened to generators and clock."""
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
        """Note the digest of the weights as they are."""
        if self.keeper is not None:
            self.log.trace.append((where, self.keeper.digest(self.model, where)))

    def save(self) -> None:
        """Write a checkpoint of everything that the rest of the run depends on."""
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
        """Take up the last checkpoint, if there is one."""
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
