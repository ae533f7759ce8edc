"""What does a run's JSON hold, as pytest-benchmark wrote it?"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from genmodel_bench.errors import BenchError

from benchmarks.ratios import standard_error


@dataclass(frozen=True)
class Measured:
    """One benchmark of a run.

    Its name, the comparison in words, the ratio of each round, and its extra_info.
    """

    name: str
    what: str
    ratios: list[float]
    info: Mapping[str, Any]

    @property
    def ratio(self) -> float:
        """Return the median over the rounds."""
        return median(self.ratios)

    @property
    def error(self) -> float:
        """Return the standard error of log `ratio`, from the spread of the rounds."""
        return standard_error(self.ratios)


@dataclass(frozen=True)
class Run:
    """One run: where and when, and its benchmarks by name."""

    place: Mapping[str, Any]
    benchmarks: Mapping[str, Measured]


def read_json(path: Path) -> Any:
    """Return the content of a JSON file.

    Raises BenchError, of one line, where it cannot be read.
    """
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        raise BenchError(f"{path}: not found") from None
    except (OSError, ValueError) as error:
        raise BenchError(f"{path}: cannot be read as JSON: {' '.join(str(error).split())}") from error


def read_run(path: Path) -> Run:
    """Return a run. Raises BenchError for a file that holds none."""
    content = read_json(path)
    try:
        place = content["machine_info"]
        measured = [measured_of(b) for b in content["benchmarks"] if b["extra_info"]]
        if not isinstance(place["kind"], str) or not {"quick", "part"} <= place.keys():
            raise ValueError("the machine is not named")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        what = f"{type(error).__name__}: {error}"
        raise BenchError(
            f"{path}: not a run of the benchmarks ({what}); make one with `tox -e benchmark`"
        ) from error
    return Run(place, {m.name: m for m in measured})


def measured_of(benchmark: Mapping[str, Any]) -> Measured:
    """Return one benchmark from pytest-benchmark's JSON.

    Raises KeyError, TypeError or ValueError where it is not one of ours.
    """
    info = benchmark["extra_info"]
    ratios = [float(r) for r in info["ratios"]]
    if not ratios or not all(0 < r < math.inf for r in ratios):
        raise ValueError(f"ratios of {benchmark['name']}: {ratios}")
    what = f"{info['ours']} / {info['other']}, {info['size']}, threads: {info['threads']}"
    return Measured(benchmark["fullname"].removeprefix("benchmarks/"), what, ratios, info)
