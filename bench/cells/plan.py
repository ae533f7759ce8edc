"""Which cells does a run consist of?"""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence

from genmodel_bench.cells.catalogue import models_named
from genmodel_bench.cells.cell import Cell, changed_options
from genmodel_bench.cells.options import apply_options, check_bounds
from genmodel_bench.cells.protocol import LIKE, USUAL, Protocol
from genmodel_bench.cells.untrained import untrained
from genmodel_bench.data.dataset import Dataset
from genmodel_bench.data.registry import DATASETS
from genmodel_bench.errors import BadOption, UnknownName
from genmodel_bench.metrics import Metric
from genmodel_bench.models import CORE, MODELS, Config, Model, Shape, adapted
from genmodel_bench.storage.ingredients import Vouched
from genmodel_bench.storage.record import MOST

NOTHING_VOUCHED = Vouched()
SEEDS = 3
"""Training runs of each model unless it is said how many."""
MOST_SEEDS = 1000
"""More of them are taken for a seed that was meant."""


def plan(
    data: Dataset,
    models: Sequence[str] | Mapping[str, Config] | None,
    metrics: Mapping[str, Metric],
    *,
    like: str = "",
    seeds: int | Sequence[int] | None = None,
    options: Sequence[str] = (),
    protocol: Protocol = USUAL,
    vouched: Vouched = NOTHING_VOUCHED,
) -> list[Cell]:
    """Return the cells of a run, models in the order given, seeds innermost.

    models: their names, as `models_named` takes them, or Configs by name; None stands for
        all of this project that are meant for the data set.
    like: a registered data set whose settings the models have, instead of their own for
        `data`; where that makes a difference it is one of the options of a row.
    seeds: how many, from 0 on, or these; None for `SEEDS`, and for one seed of the models
        outside `CORE` where all are run.
    options: as 'MODEL.KEY=VALUE'; several values, 'MODEL.KEY=VALUE,VALUE', are several
        lines of the table (`cells/options.py`).

    Raises:
        UnknownName: there is no model of a name, or no registered data set `like`.
        BenchError: a model from outside this project cannot be imported.
        BadOption: an option, the protocol or the seeds are wrong, a model cannot be built
            with the options, or there are fewer samples than a metric needs.
    """
    if like and like not in DATASETS:
        raise UnknownName("data set", like, DATASETS)
    meant = [name for name in MODELS if meant_for(name, like or data.name, data.levels)]
    if models is not None and not models:
        raise BadOption("models: got none, expected some; leave them out for all of this project")
    named = models_named(meant if models is None else models)
    protocol.check()
    chosen = seeds_of(SEEDS if seeds is None else seeds)
    needs_most, fewest = max(((n, m.min_samples) for n, m in metrics.items()), key=lambda pair: pair[1])
    if protocol.samples < fewest:
        text = f"got {protocol.samples}, expected at least {fewest}"
        raise BadOption(f"--samples: {text}, which {needs_most} needs; draw more")
    usual = {name: settled(name, config, like or data.name) for name, config in named.items()}
    cells = []
    for name, configs in apply_options(usual, options).items():
        for config in configs:
            batch_size = getattr(config, "batch_size", 1)
            if batch_size < 1:
                raise BadOption(f"{name}: batch_size: got {batch_size}, expected at least 1")
            check_levels(name, config, data)
            alone = models is None and seeds is None and name not in CORE
            if config != usual[name] or name not in MODELS or data.name not in DATASETS:
                check_builds(name, config, data.shape)
            other = {LIKE: like} if usual[name] != adapted(named[name], data.name) else {}
            changed = other | changed_options(config, usual[name], protocol)
            cells += [
                Cell(data.name, data.digest, name, config, seed, protocol, changed, vouched)
                for seed in (chosen[:1] if alone else chosen)
            ]
    return cells


def meant_for(name: str, dataset: str, levels: int | None = None) -> bool:
    """Return whether a run of all models has this one on a data set.

    levels: the grey levels of its pixels, if they are known.
    """
    config = adapted(MODELS[name], dataset)
    fits = levels is None or getattr(config, "levels", levels) == levels
    return fits and dataset in getattr(config, "ONLY", (dataset,))


def check_levels(name: str, config: Config, data: Dataset) -> None:
    """Check that a model of so many grey levels has images of these.

    Raises:
        BadOption: the data have others.
    """
    levels = getattr(config, "levels", data.levels)
    if levels != data.levels:
        got = f"{data.name} has {data.levels}" if data.levels else f"pixels of {data.name} may be any number"
        try:
            check_bounds(config, "levels", data.levels)
            how = f"--set {name}.levels={data.levels}" if data.levels else "run it on images of 8 bits"
        except ValueError:
            how = f"run it on images of {levels} levels"
        raise BadOption(f"{name}: levels: got {levels}, but {got}; {how}")


def settled(name: str, config: Config, dataset: str) -> Config:
    """Return a Config with its settings for a data set.

    Raises:
        BadOption: it refuses them.
    """
    try:
        return adapted(config, dataset)
    except Exception as error:  # whatever its __post_init__ raises
        raise BadOption(f"{name}: SETTINGS for {dataset}: {' '.join(str(error).split())[:160]}") from error


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
        model = untrained(config, shape)
        lacks = [each for each in ("initialise", "stages", "sample") if not hasattr(model, each)]
        if lacks or not isinstance(model, Model):
            raise TypeError(f"{type(model).__name__} has no {' and no '.join(lacks) or 'nn.Module in it'}")
    except Exception as error:  # whatever a model raises
        reason = str(error).partition("\n")[0].strip()[:160] or type(error).__name__
        text = f"{name} cannot be built with these settings for images of {shape[2]}×{shape[1]}: {reason}"
        how = "choose others with --set, or leave it out" if name in MODELS else "change it"
        raise BadOption(f"{text}; {how}") from error
