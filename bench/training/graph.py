"""How is a stage's step captured as a CUDA graph without changing the model?"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from genmodel_bench.models.base import Model, Stage
from genmodel_bench.training.seeding import generator_states, restore_generators
from torch import Tensor

Step = Callable[[Tensor, Tensor | None], dict[str, Tensor]]

WARM_UP = 3
"""Eager steps before the capture.

In them libraries allocate their workspaces, and optimisers create their state.
"""


def captured(stage: Stage, model: Model, inputs: Tensor, labels: Tensor | None) -> Step:
    """Return `stage.step` as a function that replays one CUDA graph.

    Warm-up and capture run real steps; weights, buffers, optimisers and generators are
    restored afterwards. Each step overwrites the values that the step before returned.
    """
    x = inputs[: stage.batch_size].clone()
    y = None if labels is None else labels[: stage.batch_size].clone()
    device = inputs.device
    before = {id(t): t.detach().clone() for t in _state(model, stage)}
    generators = generator_states(device)

    side = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # untyped in torch
    side.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(side):
        for _ in range(WARM_UP):
            stage.step(x, y)
    torch.cuda.current_stream(device).wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        values = stage.step(x, y)

    with torch.no_grad():
        for t in _state(model, stage):
            # Optimiser state created in the warm-up starts at zero: Adam's moments, step.
            t.copy_(before[id(t)]) if id(t) in before else t.zero_()
    restore_generators(generators, device)

    def replay(x_batch: Tensor, y_batch: Tensor | None) -> dict[str, Tensor]:
        x.copy_(x_batch)
        if y is not None and y_batch is not None:
            y.copy_(y_batch)
        graph.replay()
        return values

    return replay


def _state(model: Model, stage: Stage) -> Iterable[Tensor]:
    """Yield every tensor that a step may change."""
    yield from model.parameters()
    yield from model.buffers()
    for optimiser in stage.optimisers:
        for state in optimiser.state.values():
            yield from (v for v in state.values() if isinstance(v, Tensor))
