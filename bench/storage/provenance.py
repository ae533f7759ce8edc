"""On what machine, with which versions and at what cost was a number made?"""

from __future__ import annotations

import os
import platform
import re
import subprocess
import time
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from genmodel_bench.errors import BadOption

PACKAGES = ("torch", "torchvision", "numpy", "scipy", "scikit-learn", "pandas")


def resolve_device(name: str) -> torch.device:
    """Return the device called 'auto', 'cpu', 'cuda' or 'cuda:N'.

    'auto' is CUDA where there is one, else the CPU.

    Raises:
        BadOption: another name, or a CUDA device that torch does not see.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name == "mps" or name.startswith("mps:"):
        raise BadOption(
            f"--device: got {name!r}, which has no float64, in which scores are summed; use cpu instead"
        )
    # torch.device takes 'cuda:128' and makes a negative number of it.
    found = re.fullmatch(r"cpu|cuda(?::(\d{1,9}))?", name)
    if found is None:
        raise BadOption(f"--device: got {name!r}, expected auto, cpu, cuda or cuda:N")
    if name != "cpu" and int(found[1] or 0) >= torch.cuda.device_count():
        raise BadOption(
            f"--device: got {name!r}, but torch sees {torch.cuda.device_count()} CUDA devices here"
        )
    return torch.device(name)


def device_name(device: torch.device) -> str:
    """Return the device's own name: 'NVIDIA H100 80GB HBM3', or 'cpu (x86_64)'."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"cpu ({platform.machine()})"


@cache
def processor() -> str:
    """Return the CPU's name and the instructions that torch uses: 'AMD EPYC, AVX2'.

    Bits may differ between machines where either differs.
    """
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    name = next(names, platform.processor() or platform.machine())
    return f"{name}, {torch.backends.cpu.get_cpu_capability()}"


def machine(device: torch.device) -> dict[str, Any]:
    """Return the fields of a record that say where and with what a number is made."""
    return {
        "device": device_name(device),
        "processor": processor(),
        "threads": torch.get_num_threads(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "python": platform.python_version(),
        "version": version("genmodel-bench"),
        "versions": package_versions(),
        "commit": git_commit(),
    }


def now() -> str:
    """Return the time as ISO 8601, in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@cache
def package_versions() -> str:
    """Return the versions of the packages that compute: 'torch=2.11.0 …'."""
    return " ".join(f"{name}={version(name)}" for name in PACKAGES)


def git_commit() -> str:
    """Return the commit of this code, with '+' if the code was changed since.

    Where no repository holds this file, the environment variable GIT_COMMIT, else ''. An
    unrelated repository may lie around the environment that this is installed in: its
    commit says nothing about this code.
    """
    here = Path(__file__).resolve()

    def git(*args: str) -> str:
        return subprocess.run(
            ["git", "-C", str(here.parent), *args], capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", "--", here.name)
        changed = git(
            "status", "--porcelain", "--", *(f":/{folder}" for folder in ("bench", "models", "metrics"))
        )
        return git("rev-parse", "--short=12", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return os.environ.get("GIT_COMMIT", "")


class Cost:
    """Wall seconds and peak memory (MiB) of a `with` block.

    Memory is what torch allocated on a CUDA device, or the whole process's on a CPU.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds = 0.0
        self.peak_mib: float | None = None

    def __enter__(self) -> Cost:
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        else:
            _reset_peak_rss()
        self.start = time.perf_counter()
        return self

    def __exit__(self, *exc: object) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
            self.peak_mib = torch.cuda.max_memory_allocated(self.device) / 2**20
        else:
            self.peak_mib = _peak_rss_mib()
        self.seconds = time.perf_counter() - self.start


def _reset_peak_rss() -> None:
    """Reset the process's peak of resident memory, where Linux allows it."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pass


def _peak_rss_mib() -> float | None:
    """Return the peak of resident memory in MiB, or None where it is unknown."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:")), None)
