"""How does a folder of images become a data set?

It holds the images themselves; or a folder for each class, as torchvision's ImageFolder
has them; or `train`, `test` and perhaps `valid` or `val`, each of which is a folder of
either kind.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from genmodel_bench.data.dataset import Dataset
from genmodel_bench.data.splits import Part, dataset_of
from genmodel_bench.errors import BenchError
from genmodel_bench.inputs.images import image_paths, listed, read_files, some
from genmodel_bench.storage.names import in_home

SPLITS = {"train": "train", "valid": "valid", "val": "valid", "test": "test"}
"""Names of folders that are splits, where there are no other names beside them."""


def load_folder(name: str) -> Dataset:
    """Return the images of a folder, all of one size; sub-folders are classes or splits.

    They are grey if all are grey, else RGB.

    Raises:
        DataMissing: there is no such folder, or no images in it.
        BenchError: an image cannot be read, there are too few, or there is something else
            in the folder.
    """
    top = in_home(name.removeprefix("folder:"))
    images, folders = listed(top)
    if images or not folders:
        return dataset_of(name, {"all": part_of(top, [])}, by_name=True)
    names = [folder.name for folder in folders]
    splits = [each for each in names if each in SPLITS]
    if len(splits) >= 2 and len(splits) < len(names):
        strange = some([each for each in names if each not in SPLITS])
        raise BenchError(
            f"{top}: holds {strange} beside {' and '.join(splits)}, expected splits alone, "
            "or classes alone; move one or the other away"
        )
    if len(splits) < len(names):
        return dataset_of(name, {"all": part_of(top, names)}, by_name=True)
    if {"valid", "val"} <= set(names):
        raise BenchError(f"{top}: holds valid and val, expected one of them; move the other away")
    below = {folder: [path.name for path in classes_in(folder)] for folder in folders}
    classes = below.get(top / "train", [])
    for folder, found in below.items():
        odd = [each for each in found if each not in classes]
        if odd:
            text = f"has the classes {some(odd)} that train has not; expected classes of train"
            raise BenchError(f"{folder}: {text}; add or remove them")
    parts = {
        SPLITS[folder.name]: part_of(folder, classes if found else []) for folder, found in below.items()
    }
    return dataset_of(name, parts, by_name=True)


def classes_in(folder: Path) -> list[Path]:
    """Return the folders in a folder of a split, sorted by name; none if it holds images.

    Raises:
        BenchError: it holds both.
    """
    images, folders = listed(folder)
    if images or not folders:
        image_paths(folder)  # says what is wrong
        return []
    return folders


def part_of(folder: Path, classes: Sequence[str]) -> Part:
    """Return the images of a folder, or of the folders of its classes, and their labels.

    Raises:
        BenchError: an image cannot be read, or a class has none.
    """
    if not classes:
        return Part(read_files(image_paths(folder), str(folder)))
    paths: list[Path] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        found = images_below(folder / name) if (folder / name).exists() else []
        paths += found
        labels += [label] * len(found)
    return Part(read_files(paths, str(folder)), torch.tensor(labels))


def images_below(folder: Path) -> list[Path]:
    """Return the images of a class: those in its folder and in folders below.

    Raises:
        BenchError: there are none, or something else is there.
    """
    images, folders = listed(folder)
    for each in folders:
        images += images_below(each)
    if not images:
        raise BenchError(
            f"{folder}: no images there, expected some of the class; add them or remove the folder"
        )
    return images
