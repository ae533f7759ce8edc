"""How is a data set read from somebody's .npz file?

It holds either `images` and perhaps `labels`, or `train_images`, `test_images`, perhaps
`valid_images`, and labels of all or none of them. Names that are common instead, as
Keras's `x_train`, are known too. Nothing in it is unpickled, and what its headers declare
is checked against file and memory before any data are read.
"""

from __future__ import annotations

import math
import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from genmodel_bench.data.dataset import Dataset
from genmodel_bench.data.pixels import channels_last, check_dtype, images_of
from genmodel_bench.data.splits import Part, dataset_of
from genmodel_bench.errors import BadSamples, BenchError, DataMissing, DataNotice
from genmodel_bench.inputs.files import available_memory, check_length, first_line, gib, is_folder, npy_header
from genmodel_bench.storage.names import in_home
from torch import Tensor

SPLITS = {"train": "train", "valid": "valid", "val": "valid", "validation": "valid", "test": "test"}
KINDS = {"images": "images", "x": "images", "labels": "labels", "y": "labels", "targets": "labels"}
ROLES = {
    **{name: (kind, "all") for name, kind in KINDS.items()},
    **{f"{split}_{name}": (kind, part) for split, part in SPLITS.items() for name, kind in KINDS.items()},
    **{f"{name}_{split}": (kind, part) for split, part in SPLITS.items() for name, kind in KINDS.items()},
}
"""What an array is by its name in lower case: images or labels, and of which part."""
WRITE = "write it with numpy.savez(PATH, images=…, labels=…)"


def load_npz(name: str) -> Dataset:
    """Return the images of an .npz file, one set or a set for each split.

    Labels are whole numbers, one for each image. Arrays of other names are not read, and
    are named in a notice.

    Raises:
        DataMissing: there is no such file.
        BenchError: it cannot be read, or does not hold images.
    """
    path = in_home(name.removeprefix("npz:"))
    if not path.exists() and not path.is_symlink():
        raise DataMissing(f"{path}: no such file; expected an .npz of images")
    if is_folder(path):
        raise BenchError(f"{path}: is a folder, expected an .npz file; name a folder as folder:{path}")
    try:
        with zipfile.ZipFile(path) as archive:
            return dataset_of(name, parts_in(archive, path))
    except BadSamples as error:
        raise BenchError(str(error)) from error
    except BenchError:
        raise
    except MemoryError as error:
        raise BenchError(f"{path}: its images do not fit into memory; take fewer or smaller ones") from error
    except Exception as error:  # on a damaged file the libraries may raise anything
        raise BenchError(f"{path}: cannot be read as .npz ({first_line(error)}); {WRITE}") from error


def parts_in(archive: zipfile.ZipFile, path: Path) -> dict[str, Part]:
    """Return the sets of images in a file, by name.

    Raises:
        BenchError: it holds none, or two for one split, or one that is not as expected.
    """
    members = {
        info.filename.removesuffix(".npy"): info
        for info in archive.infolist()
        if info.filename.endswith(".npy")
    }
    found = roles(list(members), path)
    layout = str(read(archive, members["layout"], path)) if "layout" in members else ""
    check_size(archive, [members[key] for (kind, _), key in found.items() if kind == "images"], path, layout)
    return sets_of(found, lambda key: read(archive, members[key], path), str(path), layout)


def sets_of(
    found: Mapping[tuple[str, str], str], read: Callable[[str], Any], who: str, layout: str
) -> dict[str, Part]:
    """Return sets of images with their labels, by the name of the set.

    found: the names of the arrays, as `roles` returns them.
    read: returns the array of a name.

    Raises:
        BenchError: an array is not as expected.
    """
    parts = {}
    for (kind, part), key in found.items():
        if kind == "images":
            images = images_of(read(key), f"{who}, {key!r:.40}", layout=layout)
            named = found.get(("labels", part))
            labels = labels_of(read(named), f"{who}, {named!r:.40}") if named else None
            parts[part] = Part(images, labels)
    return parts


def roles(names: list[str], path: Path | str) -> dict[tuple[str, str], str]:
    """Return the names of the arrays that are read, by what they are.

    A single array is images, whatever its name.

    Raises:
        BenchError: none holds images, two are the same, or labels are of nothing.
    """
    found: dict[tuple[str, str], str] = {}
    left_out = []
    for name in names:
        role = ROLES.get(name.lower()) or (("images", "all") if len(names) == 1 else None)
        if role is None:
            left_out += [name] * (name != "layout")
        elif role in found:
            raise BenchError(
                f"{path}: both {found[role]!r} and {name!r:.40} hold {role[0]}; keep one of them"
            )
        else:
            found[role] = name
    shown = ", ".join(f"{name:.40}" for name in names[:8]) or "nothing"
    parts = [part for kind, part in found if kind == "images"]
    if not parts:
        raise BenchError(f"{path}: holds {shown}, expected images, or train_images and test_images; {WRITE}")
    if "all" in parts and len(parts) > 1:
        raise BenchError(f"{path}: holds {shown}: images beside those of splits; keep one or the other")
    for kind, part in found:
        if part not in parts:
            raise BenchError(f"{path}: holds {found[kind, part]!r} without its images; add or remove it")
    if left_out:
        text = ", ".join(f"{name:.40}" for name in left_out[:8])
        warnings.warn(f"{path}: not read: {text}; images and labels alone are", DataNotice, stacklevel=2)
    return found


def check_size(archive: zipfile.ZipFile, members: list[zipfile.ZipInfo], path: Path, layout: str) -> None:
    """Check that images that are declared can be what they have to, and fit into memory.

    Raises:
        BenchError: they cannot or do not.
    """
    need = 0
    for info in members:
        who = f"{path}, {info.filename.removesuffix('.npy')!r:.40}"
        with archive.open(info) as file:
            shape, _, dtype, _ = npy_header(file, who)
        check_plain(dtype, who)
        check_dtype(dtype, who)
        channels_last(shape, who, layout)
        need += (8 + dtype.itemsize) * math.prod(shape)  # as float32, once whole and once split
    if need > available_memory():
        free = gib(available_memory())
        raise BenchError(
            f"{path}: its images take {gib(need)}, of memory {free} are free; take fewer or smaller ones"
        )


def read(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path) -> np.ndarray[Any, Any]:
    """Return an array of a file, its length and checksum verified.

    Raises:
        BenchError: it is longer than the file, or holds Python objects.
    """
    who = f"{path}, {info.filename.removesuffix('.npy')!r:.40}"
    with archive.open(info) as file:
        shape, _, dtype, offset = npy_header(file, who)
    check_plain(dtype, who)
    if shape:
        check_length(shape, dtype, info.file_size - offset, who)
    with archive.open(info) as file:
        array: np.ndarray[Any, Any] = np.lib.format.read_array(file, allow_pickle=False)
        while file.read(2**20):  # the checksum is verified at the end of the member
            pass
    return array


def check_plain(dtype: np.dtype[Any], who: str) -> None:
    """Raise BenchError for an array whose reading could run code."""
    if dtype.hasobject:
        raise BenchError(
            f"{who}: cannot be read without running code: it holds Python objects; save plain numbers"
        )


def labels_of(array: np.ndarray[Any, Any], who: str) -> Tensor:
    """Return labels (n,) as int64, from (n,) or (n, 1).

    Raises:
        BenchError: they are no whole numbers, or of another shape.
    """
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise BenchError(f"{who}: shape {array.shape!s:.60}, expected (n,); save one-hot ones as .argmax(1)")
    if array.dtype.kind not in "iub":
        how = "numpy.unique(labels, return_inverse=True)[1] numbers them"
        raise BenchError(f"{who}: dtype {array.dtype!s:.40}, expected whole numbers; {how}")
    if array.dtype.kind == "u" and array.size and int(array.max()) >= 2**63:
        raise BenchError(f"{who}: a label of 2⁶³ or more, expected smaller whole numbers; number the classes")
    return torch.from_numpy(array.astype(np.int64))
