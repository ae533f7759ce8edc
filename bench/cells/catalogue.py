"""Which model or metric does a name stand for: this project's, an installed one, any?

A name is looked up in `MODELS` or `METRICS`, then among the entry points of installed
packages; else it is `module:Object`, or `NAME=module:Object`, where the name is the row's
in the table. An object is a class, of which one is made with its defaults, or an
instance.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, replace
from typing import Any, TypeVar

from genmodel_bench.cells.cell import features_ingredients
from genmodel_bench.cells.forms import check_config, check_metric
from genmodel_bench.errors import BadOption, BenchError, UnknownName
from genmodel_bench.inputs.objects import Kind, installed, is_spec, named_object
from genmodel_bench.metrics import METRICS, STANDARD, Metric
from genmodel_bench.models import MODELS, Config
from genmodel_bench.storage.looks import is_blank, looked_like
from genmodel_bench.storage.plain import as_json
from genmodel_bench.storage.record import Record

T = TypeVar("T")
ALL = "all"
"""In place of the name of a metric: all of this project."""


def models_named(names: Iterable[str] | Mapping[str, Config]) -> dict[str, Config]:
    """Return Configs by the names of their rows, in the order given.

    names: as the module says; or Configs by name, which are taken as they are.

    Raises:
        UnknownName: there is no model of a name.
        BenchError: an object cannot be imported, or is no Config.
        BadOption: a name is taken, or given to two models.
    """
    return _named("models", names, MODELS, check_config)


def metrics_named(names: Iterable[str] | Mapping[str, Metric] = ()) -> dict[str, Metric]:
    """Return metrics by name, the standard ones where no names are given.

    "all" stands for all of this project, which come first, in the order of its tables.

    Raises:
        UnknownName, BenchError, BadOption: as for models.
    """
    if isinstance(names, Mapping) and not names:
        raise BadOption("metrics: got none, expected some; leave it out for the standard ones")
    if isinstance(names, Mapping):
        return _named("metrics", names, METRICS, check_metric)
    listed = [names] if isinstance(names, str) else list(names)
    listed = [n for name in listed or STANDARD for n in (METRICS if name == ALL else [name])]
    found = _named("metrics", listed, METRICS, check_metric)
    return {name: found[name] for name in [*(n for n in METRICS if n in found), *found] if name in found}


def _named(
    kind: Kind,
    names: Iterable[str] | Mapping[str, T],
    known: Mapping[str, T],
    check: Callable[[str, Any], None],
) -> dict[str, T]:
    found: dict[str, T] = {}
    if isinstance(names, str):
        names = [names]
    if isinstance(names, Mapping):
        for name, value in names.items():
            if name not in known or type(value) is not type(known[name]):
                _check_row_name(str(name), f"{name!r}", known)
            check(name, value)
        return dict(names)
    specs: dict[str, str] = {}
    for text in names:
        name, spec = _parted(kind, text, known)
        if specs.setdefault(name, spec) != spec:
            raise BadOption(f"{name}: got {specs[name]} and {spec}, expected one of them; rename one")
        if name not in found:
            found[name] = known[name] if name in known else _made(spec, check)
    return found


def _parted(kind: Kind, text: str, known: Mapping[str, Any]) -> tuple[str, str]:
    """Return the name of a row, and the `module:Object` behind it, "" for this project's.

    Raises:
        UnknownName: there is no such name, and it is no `module:Object`.
        BadOption: the name is one of this project's, or does not print.
    """
    name, equals, spec = (part.strip() for part in text.rpartition("="))
    if equals:
        if name in installed(kind):
            raise BadOption(f"{text}: {name} is the name of a registered one; choose another")
        if not name or ":" in name:
            raise BadOption(f"{text}: expected NAME=module:Object, as ours=mylab.ae:Config")
        _check_row_name(name, text, known)
        return name, spec
    if text in known:
        return text, ""
    if text in installed(kind):
        return text, installed(kind)[text]
    if not is_spec(text):
        raise UnknownName(kind.removesuffix("s"), text, [*known, *installed(kind), "module:Object"])
    return text, text


def _check_row_name(name: str, text: str, known: Mapping[str, Any]) -> None:
    """Check that what is not of this project is called by a name of its own.

    Raises:
        BadOption: it is not, or the name does not print.
    """
    if name in known:
        raise BadOption(f"{text}: {name} is the name of a registered one; choose another")
    if not name or not name.isprintable() or is_blank(name):
        raise BadOption(f"{text}: expected a name that prints on one line, without blanks at its ends")
    if set(name) & set(";=") or re.search(r" \(.*\)$", name):
        raise BadOption(f"{text}: expected a name without ; and = and brackets at its end, as options have")
    if (like := looked_like(name, known)) is not None:
        raise BadOption(f"{text}: {name!r} prints like {like!r} of this project; choose another")


def _made(spec: str, check: Callable[[str, Any], None]) -> Any:
    """Return the instance that `module:Object` stands for.

    Raises:
        BenchError: it cannot be imported or made, or is not of the kind.
    """
    found = named_object(spec)
    if isinstance(found, type):
        try:
            found = found()
        except Exception as error:  # whatever the class raises
            text = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
            raise BenchError(f"{spec}: cannot be made without arguments, {text}; give defaults") from error
    check(spec, found)
    return found


def sources_of(*, model: tuple[str, Config] | None = None, metric: tuple[str, Metric]) -> str:
    """Return where a row's model and metric come from, as the column `sources` has it.

    model, metric: each with its name. Only those that are not of this project are in it,
    as the `module:Class` of their settings.
    """
    found: dict[str, type] = {"metric": type(metric[1])} if metric[0] not in METRICS else {}
    found |= {"model": type(model[1])} if model and model[0] not in MODELS else {}
    return as_json({what: f"{kind.__module__}:{kind.__qualname__}" for what, kind in found.items()})


def sources_in(record: Record) -> dict[str, str]:
    """Return `module:Class` of a row's model and metric, where they are from outside."""
    return {name: str(spec) for name, spec in json.loads(record.sources).items()}


def config_of(record: Record) -> Config:
    """Return the Config that a record was made from, with the record's settings.

    Raises:
        KeyError, TypeError, ValueError: the model or a setting does not exist any more.
        BenchError: a model from outside this project cannot be imported.
    """
    spec = sources_in(record).get("model")
    base = _made(spec, check_config) if spec else MODELS[record.model]
    return with_values(base, json.loads(record.model_settings))


def metric_of(record: Record, metrics: Mapping[str, Metric] = METRICS) -> Metric | None:
    """Return the metric that gave a record's score, with the settings it had.

    metrics: those at hand. None if the metric cannot be made any more.
    """
    spec = sources_in(record).get("metric")
    if record.metric in metrics:
        return metrics[record.metric]
    try:
        base: Any = _made(spec, check_metric) if spec else METRICS[record.metric]
        made_with = json.loads(record.ingredients).get("score", {})
        names = [f.name for f in fields(base) if f"metric's {f.name}" in made_with]
        found: Metric = with_values(base, {name: made_with[f"metric's {name}"] for name in names})
        features_ingredients(getattr(found, "features", ""))
    except (BenchError, KeyError, TypeError, ValueError):
        return None
    return found


def metrics_in(records: Iterable[Record]) -> dict[str, Metric]:
    """Return this project's metrics, and those from outside that records name."""
    found = dict(METRICS)
    for r in records:
        if r.metric not in found and (metric := metric_of(r)):
            found[r.metric] = metric
    return found


def with_values(config: T, values: Mapping[str, Any]) -> T:
    """Return a dataclass with `values` from JSON in it, lists as tuples.

    Fields that it computes itself are left to it.
    """
    own: Any = config
    computed = {f.name for f in fields(own) if not f.init}
    changed = {name: _as_tuple(value) for name, value in values.items() if name not in computed}
    found: T = replace(own, **changed)
    return found


def _as_tuple(value: Any) -> Any:
    return tuple(map(_as_tuple, value)) if isinstance(value, list) else value
