"""How is a data set read by the package `datasets` of Hugging Face?

`hf:ORG/NAME` is one of their hub, `hf:ORG/NAME:CONFIG` a configuration of it, and a
folder is one on this disk: saved by `save_to_disk`, or of files that `load_dataset`
reads. What is in their cache needs no network.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch
from genmodel_bench.data.dataset import Dataset
from genmodel_bench.data.splits import Part, dataset_of
from genmodel_bench.errors import BenchError, DataMissing, DataNotice
from genmodel_bench.inputs.files import first_line
from genmodel_bench.inputs.images import read_files, some
from genmodel_bench.storage.names import in_home

SPLITS = {
    "train": "train",
    "validation": "valid",
    "valid": "valid",
    "val": "valid",
    "dev": "valid",
    "test": "test",
}
SAVED = ("dataset_dict.json", "dataset_info.json")
"""Files that `save_to_disk` writes."""


def load_hub(name: str) -> Dataset:
    """Return the images of a Hugging Face data set, all of one size.

    The images are the one column that has the feature Image. Labels are the column with
    the feature ClassLabel; of several the one called "label", else the first.

    Raises:
        DataMissing: the package `datasets`, or the data set, is not there.
        BenchError: it has no such column, or its images cannot be read.
    """
    try:
        import datasets
    except ImportError as error:
        raise DataMissing(f"{name}: needs the package datasets; pip install 'genmodel-bench[hf]'") from error
    shown = datasets.utils.logging.is_progress_bar_enabled()
    datasets.disable_progress_bars()
    try:
        found = opened(datasets, name)
        parts = {part: part_of(datasets, each, f"{name}: {part}") for part, each in found.items()}
    finally:
        if shown:
            datasets.enable_progress_bars()
    return dataset_of(name, parts)


def opened(datasets: Any, name: str) -> dict[str, Any]:
    """Return the splits of a data set by our names for them.

    Raises:
        DataMissing: it is not there.
        BenchError: it cannot be opened, or has other splits.
    """
    place, _, config = name.removeprefix("hf:").partition(":")
    folder = in_home(place)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if any((folder / file).is_file() for file in SAVED):
                found = datasets.load_from_disk(str(folder))
            else:
                found = datasets.load_dataset(str(folder) if folder.is_dir() else place, config or None)
    except Exception as error:  # of the hub, the network, the cache, or the files
        there = folder.is_dir()
        what = (
            "cannot be read" if there else "neither in the cache of Hugging Face nor to be had from its hub"
        )
        raise (BenchError if there else DataMissing)(
            f"{name}: {what} ({first_line(error)}); expected hf:ORG/NAME, hf:ORG/NAME:CONFIG or hf:FOLDER"
        ) from error
    if not isinstance(found, dict):
        return {"all": found}
    named = {SPLITS[split]: each for split, each in found.items() if split in SPLITS}
    left_out = [split for split in found if split not in SPLITS]
    if len(named) + len(left_out) < len(found) or (not named and len(found) > 1):
        raise BenchError(f"{name}: has the splits {some(list(found))}, expected train, validation and test")
    if left_out and named:
        warnings.warn(
            f"{name}: not read: {some(left_out)}; train, validation and test are", DataNotice, stacklevel=3
        )
    return named or dict(found)


def part_of(datasets: Any, rows: Any, who: str) -> Part:
    """Return the images and labels of a split.

    Raises:
        BenchError: it has not one column of images, or one of these cannot be read.
    """
    features = rows.features
    images = [key for key, feature in features.items() if isinstance(feature, datasets.Image)]
    if len(images) != 1:
        shown = some([f"{key} ({type(feature).__name__})" for key, feature in features.items()])
        raise BenchError(f"{who}: has the columns {shown}, expected one with the feature Image; cast it")
    labels = [key for key, feature in features.items() if isinstance(feature, datasets.ClassLabel)]
    chosen = "label" if "label" in labels else next(iter(labels), None)
    coded = rows.select_columns(images).cast_column(images[0], datasets.Image(decode=False))
    sources = [source(row[images[0]], f"{who}: image {i}") for i, row in enumerate(coded)]
    if not sources:
        raise BenchError(f"{who}: holds no images; expected some")
    y = torch.tensor(rows[chosen][:], dtype=torch.int64) if chosen else None
    return Part(read_files(sources, who), y)


def source(cell: Any, who: str) -> Path | tuple[str, bytes]:
    """Return a cell of a column of images as the path or content of an image's file.

    Raises:
        BenchError: it is empty.
    """
    if not cell or not (cell.get("bytes") or cell.get("path")):
        raise BenchError(f"{who} is empty, expected an image; filter it out")
    return (who, cell["bytes"]) if cell.get("bytes") else Path(cell["path"])
