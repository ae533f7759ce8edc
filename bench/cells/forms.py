"""Has an object of anybody's the form of a Config or of a metric?

What is refused here would fail after a training, or have another key tomorrow.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from genmodel_bench.errors import BenchError
from genmodel_bench.metrics.column import Column


def check_config(name: str, config: Any) -> None:
    """Check that an object has what a Config needs (`models/base.py`).

    Raises:
        BenchError: it has not.
    """
    _check_dataclass(name, config)
    if not callable(getattr(config, "build", None)):
        raise BenchError(f"{name}: {type(config).__name__} has no build(shape), which returns the model")
    for attribute, kind in (("SETTINGS", dict), ("SAMPLING", tuple), ("INPUTS", tuple), ("ONLY", tuple)):
        value: object = getattr(config, attribute, kind())
        if not isinstance(value, kind):
            raise BenchError(f"{name}: {attribute} is a {type(value).__name__}, expected a {kind.__name__}")
    known = {f.name for f in fields(config) if f.init}
    named = {"SAMPLING": set(getattr(config, "SAMPLING", ()))}
    for dataset, values in getattr(config, "SETTINGS", {}).items():
        named[f"SETTINGS for {dataset}"] = set(values)
    for attribute, names in named.items():
        if names - known:
            strange = ", ".join(sorted(map(str, names - known)))
            raise BenchError(f"{name}: {attribute}: {strange} is no field; expected some of {sorted(known)}")
    bounds = getattr(config, "BOUNDS", {})
    if not isinstance(bounds, dict) or not all(isinstance(b, tuple) and len(b) == 2 for b in bounds.values()):
        raise BenchError(f"{name}: BOUNDS, expected the lowest and highest by field, as {{'p': (0, 1)}}")
    for field in ("batch_size", "epochs"):
        value = getattr(config, field, 1)
        if type(value) is not int:
            raise BenchError(f"{name}: field {field} holds a {type(value).__name__}, expected an int")


def check_metric(name: str, metric: Any) -> None:
    """Check that an object has what a Metric needs (`metrics/base.py`).

    Raises:
        BenchError: it has not.
    """
    _check_dataclass(name, metric)
    lacks = [each for each in ("needs", "min_samples") if not hasattr(metric, each)]
    lacks += [] if callable(metric) else ["__call__(subject, reference)"]
    if lacks:
        raise BenchError(f"{name}: {type(metric).__name__} has no {' and no '.join(lacks)}")
    columns: object = getattr(metric, "columns", {})
    if not isinstance(columns, Mapping) or not all(isinstance(c, Column) for c in columns.values()):
        raise BenchError(f"{name}: columns, expected a Column by the name of each score that is shown")


def _check_dataclass(name: str, value: Any) -> None:
    """Check that an object is a frozen dataclass of plain values, found by its name.

    Only these have the same key tomorrow.
    """
    kind = type(value)
    if not is_dataclass(value) or isinstance(value, type) or not kind.__dataclass_params__.frozen:
        raise BenchError(f"{name}: {kind.__name__} is no frozen dataclass; write @dataclass(frozen=True)")
    for field in fields(value):
        if field.name != "needs" and not _is_plain(getattr(value, field.name)):
            held = type(getattr(value, field.name)).__name__
            text = "expected finite numbers, texts, booleans, None, or tuples of these"
            raise BenchError(f"{name}: field {field.name} holds a {held} that cannot be stored, {text}")
    _check_found_again(name, value)


def _check_found_again(name: str, value: Any) -> None:
    """Check that the class of a Config or metric is what its module has under its name.

    By these two its code is hashed, and it is found when a row is checked.

    Raises:
        BenchError: it is not.
    """
    kind = type(value)
    found: Any = sys.modules.get(kind.__module__)
    for part in kind.__qualname__.split("."):
        found = getattr(found, part, None)
    if found is not kind and kind.__module__ != "__main__":  # which is refused for want of a source
        place = f"{kind.__module__}:{kind.__qualname__}"
        text = f"is no longer what was imported as {place}" if found else f"cannot be imported as {place}"
        raise BenchError(
            f"{name}: its class {text}, by which its rows are made again; "
            "define it at the top level of a module, and make it anew after a reload"
        )


def _is_plain(value: Any) -> bool:
    if isinstance(value, tuple):
        return all(map(_is_plain, value))
    if type(value) is float:
        return math.isfinite(value)
    if type(value) is str:
        return not any("\ud800" <= sign <= "\udfff" for sign in value)  # which no file can hold
    return value is None or type(value) in (bool, int)
