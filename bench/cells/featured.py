"""In which features besides their own are metrics computed? `--features`.

A metric that has a field `features`, a text, is computed in others as well: as `frechet`
is in those of Inception under the name `frechet-inception`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from typing import Any

from genmodel_bench.errors import BadOption, BenchError, UnknownName
from genmodel_bench.inputs.objects import is_spec, named_object
from genmodel_bench.metrics import METRICS, Metric
from genmodel_bench.metrics.extractors import URLS, weights_digest
from genmodel_bench.metrics.features import NATIVE


def with_features(metrics: Mapping[str, Metric], names: Iterable[str]) -> dict[str, Metric]:
    """Return metrics, and those that have features in each of the named ones as well.

    names: of `metrics/features.py`, as "inception" or "mylab.nets:Extractor"; or
        "NAME=mylab.nets:Extractor", where the metric is called METRIC-NAME. One that is
        registered, or among `metrics`, keeps its name.

    Raises:
        UnknownName: there are no features of a name.
        BenchError: they cannot be made, or their weights are not at hand.
        BadOption: a name is wrong, or no metric has features.
    """
    found = dict(metrics)
    for text in [names] if isinstance(names, str) else names:
        label, equals, spec = (part.strip() for part in text.rpartition("="))
        if equals and not (is_spec(spec) and label.isidentifier()):
            raise BadOption(
                f"--features {text}: expected NAME=module:Extractor, as ours=mylab.nets:Extractor"
            )
        check_features(spec)
        own = [name for name, metric in metrics.items() if features_of(metric)]
        if not own:
            raise BadOption(f"--features {text}: none of {', '.join(metrics)} has features; choose others")
        for name in own:
            other: Any = metrics[name]
            other = replace(other, features=spec)
            known = next((n for n, metric in METRICS.items() if metric == other), f"{name}-{label or spec}")
            if other not in found.values():
                if known in found:
                    raise BadOption(f"--features {text}: {known} is another metric; choose another name")
                found[known] = other
    return found


def features_of(metric: Metric) -> str:
    """Return the name of the features that a metric is computed in, "" if it has none."""
    own: Any = metric
    name = getattr(metric, "features", "") if "features" in {f.name for f in fields(own)} else ""
    return name if isinstance(name, str) else ""


def check_features(name: str) -> None:
    """Check that features can be computed; `module:Extractor` is imported.

    Raises:
        UnknownName: there are none of this name.
        BenchError: they cannot be made, or their weights are not at hand.
    """
    if name in NATIVE:
        return
    if name not in URLS and not is_spec(name):
        raise UnknownName("features", name, [*NATIVE, *URLS, "module:Extractor"])
    if is_spec(name):
        named_object(name)  # what it raises says more
    try:
        weights_digest(name)
    except ValueError as error:
        raise BenchError(str(error)) from error
