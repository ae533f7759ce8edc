"""What is to be cited for numbers made with this project? `bench cite`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from genmodel_bench.cells.catalogue import metrics_in, models_named
from genmodel_bench.cells.recorded import same_cell
from genmodel_bench.data.registry import DATASETS, SOURCES, form_of
from genmodel_bench.errors import BenchError, UnknownName
from genmodel_bench.inputs.objects import installed, is_spec
from genmodel_bench.metrics import METRICS, Metric
from genmodel_bench.models import MODELS, Config
from genmodel_bench.report.bibliography import bibliography
from genmodel_bench.storage.ingredients import Vouched
from genmodel_bench.storage.names import results_at
from genmodel_bench.storage.record import Record
from genmodel_bench.storage.store import stores_of

TOOL = "genmodel-bench"


@dataclass(frozen=True)
class Citations:
    """A BibTeX file, and the names of what is used but has no known source."""

    bibtex: str
    left_out: Sequence[str]


def cite(
    names: Iterable[str] = (),
    *,
    dataset: str | None = None,
    results: Path | str | None = None,
    metrics: Mapping[str, Metric] = METRICS,
) -> Citations:
    """Return what to cite for named models, metrics and data sets, and for this project.

    The order is that of the registries, whatever that of the names.

    names: none for all that the records under `results` use.
    dataset: only its records.
    results: default `results` in a clone of this project, else `bench-results`.
    metrics: those that may be named; add your own to the registered ones.

    Raises:
        UnknownName: a name is not registered, or the data set has no records.
        BadRecords: the records cannot be read.
        BenchError: there are no records, or a source is not BibTeX.
    """
    known = [*MODELS, *metrics, *DATASETS]
    wanted = list(dict.fromkeys(names))
    models = dict(MODELS)
    for name in wanted:
        if name not in known and (is_spec(name) or name in installed("models")):
            models |= models_named([name])
        elif name not in known and form_of(name) is None:
            raise UnknownName("model, metric or data set", name, known)
    if not wanted:
        records = records_of(results_at(results), dataset)
        wanted, metrics = used(records), {**metrics_in(records), **metrics}
        models |= {r.model: cell.config for r in records if (cell := same_cell(r, Vouched()))}
    named = sources_by_name(models, metrics)
    cited = {name: sources for name, sources in named.items() if name in wanted}
    return Citations(
        bibliography({TOOL: [tool_source()], **cited}), [name for name in wanted if name not in cited]
    )


def sources_by_name(
    models: Mapping[str, Config], metrics: Mapping[str, Metric]
) -> dict[str, tuple[str, ...]]:
    """Return the sources of models, metrics and data sets that declare some, by name.

    None at all, `()`, says that the thing is this project's own.
    """
    declared = [
        *((name, getattr(entry, "SOURCES", None)) for name, entry in [*models.items(), *metrics.items()]),
        *((name, SOURCES.get(name)) for name in DATASETS),
    ]
    found: dict[str, tuple[str, ...]] = {}
    for name, sources in declared:
        if sources is not None:
            found[name] = found.get(name, ()) + tuple(sources)
    return found


def tool_source() -> str:
    """Return this project as a BibTeX entry, with the version that is installed."""
    return f"""@misc{{genmodelbench,
        author = {{{{The genmodel-bench authors}}}},
        title = {{genmodel-bench: a benchmark of generative models whose numbers can be published}},
        note = {{Version {version(TOOL)}}}}}"""


def records_of(results: Path, dataset: str | None) -> list[Record]:
    """Return the records under a results folder, of one data set if it is given."""
    stores = stores_of(results)
    if dataset is not None and stores and dataset not in [store.dataset for store in stores]:
        raise UnknownName("data set with records", dataset, [store.dataset for store in stores])
    found = [r for store in stores if dataset in (None, store.dataset) for r in store.records()]
    if not found:
        raise BenchError(
            f"cite: no records under {results}; name what you use, as in `bench cite gan-ns parzen mnist`"
        )
    return found


def used(records: Iterable[Record]) -> list[str]:
    """Return the names of models, data sets and metrics in records, each once.

    A metric counts where it gave a number.
    """
    found = [
        name for r in records for name in (r.model, r.dataset, *([r.metric] if r.value is not None else []))
    ]
    return list(dict.fromkeys(found))
