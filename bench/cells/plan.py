"""Which cells does a run consist of?"""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence

from genmodel_bench.cells.cell import Cell, changed_options
from genmodel_bench.cells.options import apply_options
from genmodel_bench.cells.protocol import USUAL, Protocol
from genmodel_bench.cells.untrained import untrained
from genmodel_bench.data.dataset import Dataset
from genmodel_bench.errors import BadOption, UnknownName
from genmodel_bench.metrics import METRICS, Metric
from genmodel_bench.models import MODELS, Config, Shape, settings_for
from genmodel_bench.storage.ingredients import Vouched
from genmodel_bench.storage.record import MOST

NOTHING_VOUCHED = Vouched()
MOST_SEEDS = 1000
"""More of them are taken for a seed that was meant."""


def plan(
    data: Dataset,
    models: Sequence[str] | None,
    metrics: Mapping[str, Metric],
    *,
    seeds: int | Sequence[int] = 3,
    options: Sequence[str] = (),
    protocol: Protocol = USUAL,
    vouched: Vouched = NOTHING_VOUCHED,
) -> list[Cell]:
    """Return the cells of a run, models in the order given, seeds innermost.

    models: their names; None stands for all that are meant for the data set.
    seeds: how many, from 0 on, or these.
    options: as 'MODEL.KEY=VALUE'; several values, 'MODEL.KEY=VALUE,VALUE', are several
        lines of the table (`cells/options.py`).

    Raises:
        UnknownName: a model is not registered.
        BadOption: an option, the protocol or the seeds are wrong, a model cannot be built
            with the options, or there are fewer samples than a metric needs.
    """
    meant = [name for name in MODELS if meant_for(name, data.name)]
    names = list(dict.fromkeys(models)) if models else meant
    for name in names:
        if name not in MODELS:
            raise UnknownName("model", name, MODELS)
    protocol.check()
    chosen = seeds_of(seeds)
    fewest = max(metric.min_samples for metric in metrics.values())
    if protocol.samples < fewest:
        text = f"got {protocol.samples}, expected at least {fewest}"
        raise BadOption(f"--samples: {text}: a bandwidth cannot be chosen from fewer")
    usual = {name: settings_for(name, data.name) for name in names}
    cells = []
    for name, configs in apply_options(usual, options).items():
        for config in configs:
            batch_size = getattr(config, "batch_size", 1)
            if batch_size < 1:
                raise BadOption(f"{name}: batch_size: got {batch_size}, expected at least 1")
            if config != usual[name]:
                check_builds(name, config, data.shape)
            changed = changed_options(config, usual[name], protocol)
            cells += [
                Cell(data.name, data.digest, name, config, seed, protocol, changed, vouched)
                for seed in chosen
            ]
    return cells


def meant_for(name: str, dataset: str) -> bool:
    """Return whether a run of all models has this one on a data set."""
    return dataset in getattr(MODELS[name], "ONLY", (dataset,))


def metrics_named(names: Sequence[str]) -> dict[str, Metric]:
    """Return metrics by name, all where no names are given.

    Raises:
        UnknownName: one is not registered.
    """
    for name in names:
        if name not in METRICS:
            raise UnknownName("metric", name, METRICS)
    return {name: metric for name, metric in METRICS.items() if not names or name in names}


def seeds_of(seeds: int | Sequence[int]) -> list[int]:
    """Return the seeds that a number of them stands for, or those of a list, each once.

    Raises:
        BadOption: there are none, or one is no whole number of at least 0.
    """
    try:
        if isinstance(seeds, Sequence):
            found = list(dict.fromkeys(operator.index(seed) for seed in seeds))
            expected = "one or more whole numbers of at least 0"
        else:
            found = list(range(seeds)) if seeds <= MOST_SEEDS else []
            expected = "at least 1"
            if not found and seeds > 0:
                expected = f"how many, at most {MOST_SEEDS:,}; the one seed {seeds} is given as {seeds},"
    except TypeError:
        found, expected = [], "a number of seeds, or a list of whole numbers"
    if found and max(found) >= MOST:
        raise BadOption(f"--seeds: got {max(found)}, expected seeds below 2**63")
    if not found or min(found) < 0:
        raise BadOption(f"--seeds: got {seeds}, expected {expected}")
    return found


def check_builds(name: str, config: Config, shape: Shape) -> None:
    """Check that a model can be built.

    Raises:
        BadOption: it cannot.
    """
    try:
        untrained(config, shape)
    except Exception as error:  # whatever a model raises
        reason = str(error).partition("\n")[0].strip()[:160] or type(error).__name__
        text = f"{name} cannot be built with these options: {reason}; choose others"
        raise BadOption(f"--set: {text}") from error
