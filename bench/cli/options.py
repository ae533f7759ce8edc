"""Which options do several commands share?"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from genmodel_bench.cells.protocol import Protocol
from genmodel_bench.errors import BadOption
from genmodel_bench.storage.names import default_results, in_home, results_at

Figures = Annotated[
    bool, typer.Option(help="Draw the figures and write the page, or leave both to `bench report`.")
]


def expanded(typed: Any) -> Any:
    """Return a path that was typed, or a list of them, with '~' expanded."""
    if isinstance(typed, (list, tuple)):
        return [in_home(path) for path in typed]
    return None if typed is None else in_home(typed)


Results = Annotated[
    Path, typer.Option("--results", help="Folder of records, tables and artefacts.", callback=results_at)
]
RESULTS = default_results()
Data = Annotated[
    Path | None,
    typer.Option(
        "--data",
        help="Root of the data sets' files, in torchvision's layout.",
        envvar="BENCH_DATA",
        callback=expanded,
    ),
]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or cuda:N.")]
DatasetName = Annotated[
    str,
    typer.Option("--dataset", help="One of `bench list datasets`, or your own: npz:PATH, folder:PATH, …"),
]
Like = Annotated[
    str,
    typer.Option("--like", metavar="DATASET", help="Take the models' settings for this registered data set."),
]

ReplaceData = Annotated[
    bool,
    typer.Option(
        "--replace-data",
        help="Supersede all rows of another content of the data set, which are refused else.",
    ),
]


class Kind(StrEnum):
    """What `bench list` can list."""

    models = "models"
    metrics = "metrics"
    datasets = "datasets"


class Started(StrEnum):
    """What `bench new` can begin."""

    model = "model"
    metric = "metric"


class Taken(StrEnum):
    """Which weights are sampled: the best ones on validation images, or the last."""

    best = "best"
    last = "last"


class Exactness(StrEnum):
    """The precision of matrix products."""

    float32 = "float32"
    tf32 = "tf32"
    bf16 = "bf16"


class Form(StrEnum):
    """How a table is written."""

    md = "md"
    csv = "csv"
    tex = "tex"
    macros = "macros"


class Several(StrEnum):
    """What several files of samples are: training seeds, or draws of one training."""

    seeds = "seeds"
    draws = "draws"


class Where(StrEnum):
    """Where the cells run: on this machine, or on a Ray cluster."""

    local = "local"
    ray = "ray"


Models = Annotated[
    list[str] | None,
    typer.Argument(
        help="Models of `bench list models`, or your own as mylab.ae:Config or NAME=mylab.ae:Config."
    ),
]
Samples = Annotated[int, typer.Option("--samples", help="Samples drawn from each and scored.")]
Draws = Annotated[
    int,
    typer.Option(
        "--draws", help="Sample sets drawn from each: their spread is the error that comes from drawing."
    ),
]
Checkpoint = Annotated[
    Taken,
    typer.Option("--checkpoint", help="The weights that are sampled: last, or best on validation images."),
]
Deterministic = Annotated[
    bool, typer.Option("--deterministic", help="Take only algorithms that repeat their bits.")
]
Precision = Annotated[
    Exactness,
    typer.Option(
        "--precision",
        help="Of matrix products: float32, tf32 (CUDA), or bf16 (training alone).",
    ),
]
Changes = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="MODEL.KEY=VALUE",
        help="Change a hyper-parameter, as vae.epochs=20. vae.lr=1e-3,1e-4 is a row of each value. A tuple "
        "is vae.hidden=16,16, several are (16,16),(32,32). Several options: each combination.",
    ),
]
Seeds = Annotated[
    str | None,
    typer.Option(
        "--seeds",
        metavar="N|SEED,SEED,…",
        help="Training runs of each model: N from seeds 0, 1, …, or these seeds, as 3,7,11 (one: 7,); "
        "3 unless given, and 1 of the later families with --all.",
    ),
]
Metrics = Annotated[
    list[str] | None,
    typer.Option(
        "--metric",
        metavar="NAME",
        help="Compute this metric, may be repeated: of `bench list metrics`, all for all, or your own "
        "as mylab.scores:Metric (default: parzen, neighbours, histogram, mind-pixels).",
    ),
]
Features = Annotated[
    list[str] | None,
    typer.Option(
        "--features",
        metavar="NAME|module:Extractor",
        help="Compute the metrics that have features in these as well, as METRIC-NAME; may be repeated: "
        "inception, dinov2, classifier, random, pca, pixels, or your own as [NAME=]mylab.nets:Extractor.",
    ),
]


def protocol_of(
    samples: int, draws: int, checkpoint: Taken, deterministic: bool, precision: Exactness
) -> Protocol:
    """Return the Protocol that these options describe."""
    return Protocol(samples, draws, checkpoint.value, deterministic, precision.value)


def seeds_in(text: str) -> int | list[int]:
    """Return what `--seeds` says: a number of seeds, or with a comma the seeds.

    Raises:
        BadOption: it is neither.
    """
    try:
        return [int(seed) for seed in text.rstrip(",").split(",")] if "," in text else int(text)
    except ValueError:
        raise BadOption(f"--seeds: got {text[:60]!r}, expected how many, as 3, or which, as 3,7,11") from None


def split(text: str) -> list[str]:
    """Return the names in a list of an option; ';' parts them, for ',' is in names."""
    return [name.strip() for name in text.split(";") if name.strip()]
