"""Where does the time of a training step go?

Shares of the operators' own time, as torch's profiler measures it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch.profiler import ProfilerActivity, profile

PRODUCTS = (
    "aten::mm",
    "aten::addmm",
    "aten::bmm",
    "aten::baddbmm",
    "aten::mkldnn_convolution",
    "aten::convolution_backward",
)
RANDOM = (
    "aten::bernoulli_",
    "aten::uniform_",
    "aten::normal_",
    "aten::native_dropout",
    "aten::random_",
    "aten::randperm",
)
KINDS = (
    "matrix products",
    "update of the weights",
    "random numbers",
    "the rest, forward",
    "the rest, backward",
)


def shares(step: Callable[[], Any], *, steps: int = 20, cuda: bool = False) -> dict[str, float]:
    """Return the share of the operators' own time that each of KINDS takes.

    Measured over `steps` eager calls of `step`. An operator's own time leaves out that of
    the operators it calls; on CUDA it is that of its kernels.
    """
    for _ in range(3):
        step()
    with profile(activities=[ProfilerActivity.CPU, *[ProfilerActivity.CUDA] * cuda]) as profiler:
        for _ in range(steps):
            step()
    found = dict.fromkeys(KINDS, 0.0)
    for event in profiler.events() or ():
        if event.name.startswith("aten::"):
            found[kind_of(event)] += event.self_device_time_total if cuda else event.self_cpu_time_total
    return {kind: time / sum(found.values()) for kind, time in found.items()}


def kind_of(event: Any) -> str:
    """Return which of KINDS an operator's event belongs to, by its name and callers."""
    callers, caller = [], event
    while caller is not None:
        callers.append(caller.name)
        caller = caller.cpu_parent
    if any(name in PRODUCTS for name in callers):  # copies made by a product count as it
        return "matrix products"
    if any(name.startswith("Optimizer.step#") for name in callers):
        return "update of the weights"
    if any(name in RANDOM for name in callers):
        return "random numbers"
    backward = any(name.startswith("autograd::engine") for name in callers)
    return "the rest, backward" if backward else "the rest, forward"
