"""On which device, with how many threads and on what machine does a benchmark run?"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from genmodel_bench.storage.provenance import git_commit, now, package_versions
from threadpoolctl import threadpool_limits


@dataclass(frozen=True)
class Place:
    """Where the benchmarks of one session run; `quick` shrinks every size, for trials."""

    device: torch.device
    threads: int
    quick: bool

    def synchronise(self) -> None:
        """Wait until the device has finished its work."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def size(self, full: int, quick: int) -> int:
        """Return the size for a full run, or for a quick one."""
        return quick if self.quick else full

    def describe(self) -> dict[str, Any]:
        """Return the description of this place for the JSON.

        Two runs must share its `kind` for their ratios to compare.
        """
        return {
            "kind": machine_kind(self.device, self.threads),
            "cpu": cpu_name(),
            "system": f"{platform.system()} {platform.machine()}",
            "threads": self.threads,
            "python": platform.python_version(),
            "versions": package_versions(),
            "commit": git_commit(),
            "date": now(),
            "quick": self.quick,
        }


def machine_kind(device: torch.device, threads: int) -> str:
    """Return the GPU's name, or the processor's with its instructions and the threads."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    # Hypervisors hide the model behind names like 'Intel(R) Xeon(R) Processor': the
    # instructions tell some of them apart.
    return f"{cpu_name()}, {torch.backends.cpu.get_cpu_capability()}, {threads} thread{'s' * (threads != 1)}"


def cpu_name() -> str:
    """Return the processor's model name, as far as the system reports it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()


@contextmanager
def limited(threads: int) -> Iterator[None]:
    """Set the threads of torch and all BLAS and OpenMP libraries; restore them after."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with threadpool_limits(threads):
            yield
    finally:
        torch.set_num_threads(before)


def replayed(work: Callable[[], None], device: torch.device) -> Callable[[], None]:
    """Return `work` as one CUDA graph; on a CPU, `work` itself.

    Without a graph, a floor of many small products would measure their launches.
    """
    if device.type != "cuda":
        return work
    side = torch.cuda.Stream(device)
    side.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(side):
        work()
    torch.cuda.current_stream(device).wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    return graph.replay
