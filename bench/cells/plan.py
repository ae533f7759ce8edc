"""Which cells does a run consist of?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from genmodel_bench.cells.cell import Cell, changed_options
from genmodel_bench.cells.options import apply_options
from genmodel_bench.cells.protocol import USUAL, Protocol
from genmodel_bench.data.dataset import Dataset
from genmodel_bench.errors import BadOption, UnknownName
from genmodel_bench.metrics.base import Metric
from genmodel_bench.models import MODELS, settings_for
from genmodel_bench.storage.ingredients import Vouched

NOTHING_VOUCHED = Vouched()


def plan(
    data: Dataset,
    models: Sequence[str] | None,
    metrics: Mapping[str, Metric],
    *,
    seeds: int = 3,
    options: Sequence[str] = (),
    protocol: Protocol = USUAL,
    vouched: Vouched = NOTHING_VOUCHED,
) -> list[Cell]:
    """Return the cells of a run, models in the order given, seeds innermost.

    models: their names; None stands for all that are meant for the data set.
    options: as 'MODEL.KEY=VALUE'.

    Raises:
        UnknownName: a model is not registered.
        BadOption: an option, the protocol or the number of seeds is wrong, or there are
            fewer samples than a metric needs.
    """
    meant = [name for name, config in MODELS.items() if data.name in getattr(config, "ONLY", (data.name,))]
    names = list(dict.fromkeys(models)) if models else meant
    for name in names:
        if name not in MODELS:
            raise UnknownName("model", name, MODELS)
    protocol.check()
    if seeds < 1:
        raise BadOption(f"--seeds: got {seeds}, expected at least 1")
    fewest = max(metric.min_samples for metric in metrics.values())
    if protocol.samples < fewest:
        text = f"got {protocol.samples}, expected at least {fewest}"
        raise BadOption(f"--samples: {text}: a bandwidth cannot be chosen from fewer")
    usual = {name: settings_for(name, data.name) for name in names}
    configs = apply_options(usual, options)
    changed = {name: changed_options(configs[name], usual[name], protocol) for name in names}
    return [
        Cell(data.name, data.digest, name, configs[name], seed, protocol, changed[name], vouched)
        for name in names
        for seed in range(seeds)
    ]
