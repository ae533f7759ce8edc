"""How do a user's own samples become a row in the table? `bench score`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from genmodel_bench.cells.catalogue import metrics_named
from genmodel_bench.cells.featured import with_features
from genmodel_bench.commands.display import heard
from genmodel_bench.commands.naming import check_looks, checked_name, default_name
from genmodel_bench.commands.report import report
from genmodel_bench.commands.scores import summary
from genmodel_bench.data.dataset import Dataset
from genmodel_bench.data.registry import load
from genmodel_bench.errors import BadOption
from genmodel_bench.execution.artefacts import keep_test_images
from genmodel_bench.execution.given import (
    SILENT,
    Given,
    check_numbers,
    ingredients_of,
    read_given,
    score_given,
)
from genmodel_bench.execution.listener import Listener
from genmodel_bench.metrics import METRICS, STANDARD, Metric
from genmodel_bench.storage.beside import stand_beside, standing_beside
from genmodel_bench.storage.ingredients import metric_recipe_of, read_vouched, recipe_of
from genmodel_bench.storage.names import in_home, results_at
from genmodel_bench.storage.plain import as_json
from genmodel_bench.storage.provenance import resolve_device
from genmodel_bench.storage.record import Record
from genmodel_bench.storage.store import Store


def score(
    samples: Any,
    *,
    dataset: str,
    name: str | None = None,
    as_draws: bool = False,
    labels: Any = None,
    device: str = "auto",
    data: Path | str | None = None,
    results: Path | str | None = None,
    figures: bool = True,
    beside: str | None = None,
    replace: bool = False,
    replace_data: bool = False,
    metrics: Sequence[str] | Mapping[str, Metric] = STANDARD,
    features: Sequence[str] = (),
    listener: Listener | None = None,
) -> dict[str, Any]:
    """Score a user's samples, and add them to the table of a data set as the row `name`.

    samples: a path (.npy, .npz, .pt, .safetensors, or a folder of images), or an array
        (n, d), (n, h, w), (n, c, h, w) or (n, h, w, c), float in [0, 1] or uint8. A list
        of them is of so many training seeds of one model.
    name: by default the name of the (first) file without its ending; "samples" for an
        array.
    as_draws: a list is of so many draws from one trained model instead.
    labels: of class-conditional samples, the class of each: a path or an array (n,) of
        whole numbers; a list of them for a list of samples. By default those that an
        .npz of samples holds as `arr_1`.
    beside: the data set whose rows, as they come with this package, stand beside in the
        table; by default the data set itself; "none" for none.
    replace: supersede the row of other samples that has this name. Without it, a name
        that is taken is an error.
    replace_data: supersede all rows made from another content of the data set. Without
        it, such rows are an error.
    metrics: those that are computed: names as `bench score --metric` takes them, or
        metrics by name. Scores of the very same samples that are stored and up to date
        are not computed again.
    features: those of the metrics that have features are computed in these as well, each
        as METRIC-NAME, as `run` does.
    listener: is notified of what is done; by default a display in IPython or a notebook.

    Returns the scores as plain values: {"name", "dataset", "n", "seeds", "draws",
    "reused", "copies", "metrics": {metric: {"value", "stderr", "unit", "status", …}}}.
    The entry of a metric holds the fields of its headline score, its settings, and its
    other scores by name. Of several seeds, "metrics" holds means, `seed_sd` and the
    `total` standard error, and "by_seed" what each seed has. "copies" counts samples that
    are validation or test images; "classes" holds the share of each label.

    Raises:
        BadSamples: the samples cannot be read, or are too few for a metric.
        BadOption: the name is invalid or taken, there is no such device, or no metric.
        BenchError: the data set is missing, or stored rows are damaged or made from other
            data.
    """
    where, metrics = resolve_device(device), with_features(metrics_named(metrics), features)
    given = list(samples) if isinstance(samples, (list, tuple)) else [samples]
    given = [in_home(each) if isinstance(each, (str, Path)) else each for each in given]
    name = checked_name(default_name(given) if name is None else name)
    with heard(listener) as listener:
        listener.doing(f"loading {dataset}")
        content = load(dataset, root=data)
        store = Store(results_at(results), content.name)
        read = read_given(given, name, content, store, listener, as_draws=as_draws, labels=labels)
        check_numbers(read, metrics)
        check_looks(name, store.records())
        shipped = standing_beside(store, content.digest, beside)
        store.prepare(content.digest, replace=replace_data)
        free_name(read, store, replace=replace)
        stand_beside(store, shipped)
        keep_test_images(content, store)
        reused, missing = already(read, store, metrics)
        records = score_given(read, content.to(where), where, store, missing, listener) if missing else []
        store.append(records, listener.notice)
        listener.doing("writing tables, figures and the page" if figures else "writing tables")
        report(store.results, figures=figures, metrics={**METRICS, **metrics}, say=listener.notice)
    ordered = [r for key in metrics for r in [*reused, *records] if r.metric == key]
    return {
        "name": name,
        "dataset": dataset,
        "n": len(read.sets[0]),
        "seeds": 1 if as_draws else len(read.sets),
        "draws": len(read.sets) if as_draws else 1,
        "reused": not missing,
        **summary(ordered),
    }


def scored(
    samples: Sequence[Any],
    name: str,
    content: Dataset,
    where: torch.device,
    store: Store,
    metrics: Mapping[str, Metric],
    listener: Listener = SILENT,
    *,
    as_draws: bool = False,
) -> list[Record]:
    """Return the rows of samples that are called `name`, and store none of them.

    samples: paths or arrays of seeds 0, 1, …, or of draws; a single one has no seed.
    content: the data set, on the CPU; metrics are computed on the device `where`.
    store: keeps the arrays behind the scores; it may be in a temporary folder.

    Raises:
        BadSamples: they cannot be read, or do not fit together.
    """
    given = read_given(samples, name, content, store, listener, as_draws=as_draws)
    check_numbers(given, metrics)
    return score_given(given, content.to(where), where, store, metrics, listener)


def rows_of(given: Given, store: Store) -> list[Record]:
    """Return the stored rows of a user's samples of this name and number."""
    line = (given.name, "", len(given.sets[0]))
    return [r for r in store.records() if r.role == "samples" and r.line == line]


def free_name(given: Given, store: Store, *, replace: bool) -> None:
    """Supersede rows of other samples under the name, if that is asked for.

    Raises:
        BadOption: there are such rows, and it is not.
    """
    vouched, key = read_vouched(store.results), next(iter(METRICS))
    now = recipe_of(as_json(ingredients_of(given, given.seeds[0], key, METRICS[key])), vouched)
    others = [r for r in rows_of(given, store) if recipe_of(r.ingredients, vouched) != now]
    if others and not replace:
        text = f"{given.name!r} is the row of other samples in {store.path} (scored {others[0].created:.10})"
        raise BadOption(f"--name: {text}; supersede it with --replace, or choose another name")
    if others:
        store.remove(
            lambda r: (
                r.role == "samples" and r.line == others[0].line and recipe_of(r.ingredients, vouched) != now
            )
        )


def already(
    given: Given, store: Store, metrics: Mapping[str, Metric]
) -> tuple[list[Record], dict[str, Metric]]:
    """Return the stored rows that are up to date, and the metrics that are not stored."""
    vouched, missing, found = read_vouched(store.results), dict[str, Metric](), list[Record]()
    stored = rows_of(given, store)
    for key, metric in metrics.items():
        own = [r for r in stored if r.metric == key]
        recipe = metric_recipe_of(as_json(ingredients_of(given, given.seeds[0], key, metric)), vouched)
        good = all(
            not r.doubt and r.metric_recipe == recipe and (r.ok or r.status.startswith("n/a")) for r in own
        )
        if own and good and {r.seed for r in own} == set(given.seeds):
            found += own
        else:
            missing[key] = metric
    return found, missing
