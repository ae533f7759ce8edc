"""How are the labels of somebody's class-conditional samples read and checked?"""

from __future__ import annotations

import zipfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
from genmodel_bench.errors import BadSamples
from genmodel_bench.inputs.files import first_line, is_folder, labels_in
from numpy.typing import NDArray

Labels = NDArray[np.int64]


def labels_of(samples: Path) -> Path | None:
    """Return the file of samples itself if it holds labels, as an .npz with `arr_1`."""
    if samples.suffix.lower() != ".npz":
        return None
    try:
        with zipfile.ZipFile(samples) as archive:
            names = set(archive.namelist())
        return samples if names == {"arr_0.npy", "arr_1.npy"} and labels_in(samples) else None
    except (OSError, ValueError, zipfile.BadZipFile):  # the samples themselves say what is wrong
        return None


def as_labels(given: Any, n: int, classes: Collection[int]) -> Labels:
    """Return the labels of n samples, (n,), int64.

    given: a path (.npy, or .npz with one array or `arr_1`) or an array of whole numbers.
    classes: those of the data set.

    Raises:
        BadSamples: they cannot be read, or are not n numbers of these classes.
    """
    is_path = isinstance(given, (str, Path))
    who = f"labels {given}" if is_path else "labels"
    y = np.asarray(read(Path(given), who) if is_path else given)
    if y.dtype.kind not in "iu":
        raise BadSamples(f"{who}: dtype {y.dtype!s:.60}, expected whole numbers; give y.astype(int)")
    if y.shape != (n,):
        raise BadSamples(f"{who}: shape {y.shape!s:.60}, expected ({n},), one number for each sample")
    strange = [value for value in np.unique(y).tolist() if value not in classes]
    if strange:
        known = f"{min(classes)} to {max(classes)}" if classes else "none, the data set has no labels"
        raise BadSamples(
            f"{who}: holds {strange[0]}, expected the data's classes, {known}; "
            "number them as the data set does, or leave them out"
        )
    return y.astype(np.int64)


def read(path: Path, who: str) -> Any:
    """Return the array of an .npy, or the only one of an .npz, or its `arr_1`.

    Raises:
        BadSamples: there is none, or it cannot be read without running code.
    """
    if is_folder(path):
        raise BadSamples(f"{who}: is a folder, expected .npy or .npz")
    try:
        content = np.load(path, allow_pickle=False)
        if isinstance(content, np.ndarray):
            return content
        with content:
            names = content.files
            name = "arr_1" if "arr_1" in names else names[0] if len(names) == 1 else None
            if name is None:
                raise BadSamples(f"{who}: holds {len(names)} arrays, expected one, or `arr_1`")
            return content[name]
    except BadSamples:
        raise
    except Exception as error:  # on a damaged file the library may raise anything
        raise BadSamples(
            f"{who}: cannot be read as .npy or .npz of plain numbers ({first_line(error)}); write it again"
        ) from error


def shares_of(labels: Labels) -> dict[str, float]:
    """Return the share of each class that is there, by its number."""
    values, counts = np.unique(labels, return_counts=True)
    return {
        str(value): count / len(labels) for value, count in zip(values.tolist(), counts.tolist(), strict=True)
    }
