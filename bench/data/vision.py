"""How are data sets of torchvision read: those of the registry, and any by its class?"""

from __future__ import annotations

import hashlib
import inspect
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import torch
from genmodel_bench.data.dataset import Dataset, missing
from genmodel_bench.data.pixels import images_of
from genmodel_bench.data.root import data_root
from genmodel_bench.data.splits import Part, dataset_of
from genmodel_bench.errors import BadOption, BenchError, DataMissing, DataNotice, UnknownName
from genmodel_bench.inputs.files import available_memory, first_line, gib
from torch import Tensor

SPLITS = {"train": ("train",), "valid": ("val", "valid"), "test": ("test",)}
"""How classes with an argument `split` call the parts."""
PUBLISHED = {
    "MNIST": {
        "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
        "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
        "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
        "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
    },
    "FashionMNIST": {
        "train-images-idx3-ubyte": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
        "train-labels-idx1-ubyte": "9018921c3c673c538a1fc5bad174d6f9",
        "t10k-images-idx3-ubyte": "8181f5470baa50b63fa0f6fddb340f0a",
        "t10k-labels-idx1-ubyte": "15d484375f8d13e6eb1aabb0c3f46965",
    },
}
"""MD5 of the unpacked files, which torchvision reads without looking at a checksum."""


def load_registered(
    name: str,
    root: Path | str | None,
    *,
    cls: str,
    files: str,
    valid: int,
    shape: tuple[int, int, int],
) -> Dataset:
    """Return a torchvision data set; the last of its training images validate.

    cls: the name of its class in `torchvision.datasets`.
    files: a file or folder of it, named in the error message.
    valid: how many training images validate, as in the paper.
    shape: (c, h, w) of an image.

    Raises:
        DataMissing: `files` are neither under `root` nor can be downloaded.
        BenchError: they are damaged.
    """
    import torchvision.datasets

    root = data_root(root)
    make = getattr(torchvision.datasets, cls)
    which = (("train", True), ("test", False))
    opened = {key: read(name, root, files, make, {"train": train}) for key, train in which}
    parts = {key: part_of(found, f"{name}: {key}") for key, found in opened.items()}
    for key, part in parts.items():
        got = tuple(part.images.shape)
        if got[1:] != shape or (key == "train" and got[0] <= valid):
            least = f"more than {valid:,}" if key == "train" else "some"
            raise damaged(name, root / files, f"{key} has the shape {got}, expected {least} of {shape}")
    check_published(name, root / cls / "raw", PUBLISHED.get(cls, {}))
    return dataset_of(name, parts, valid=valid)


def check_published(name: str, folder: Path, published: Mapping[str, str]) -> None:
    """Say of files that are not those published, as where labels were exchanged."""
    for file, md5 in published.items():
        path = folder / file
        if path.is_file() and hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest() != md5:
            text = f"{path}: is not the file that was published as {name}: other images or labels, or damaged"
            warnings.warn(text, DataNotice, stacklevel=2)


def load_class(name: str, root: Path | str | None) -> Dataset:
    """Return the data set of a class of torchvision, as "torchvision:KMNIST".

    It has an argument `train` or `split`. A `split` that has to be given is named after a
    second colon, as in "torchvision:EMNIST:balanced".

    Raises:
        UnknownName: there is no such class.
        DataMissing: its files are neither under `root` nor can be downloaded.
        BenchError: they are damaged, or not images of one size.
    """
    import torchvision.datasets

    root = data_root(root)
    cls, _, kind = name.removeprefix("torchvision:").partition(":")
    every = vars(torchvision.datasets)
    known = {key: made for key, made in every.items() if takes(made) & {"train", "split"}}
    if cls not in known:
        raise UnknownName("class of torchvision.datasets with train= or split=", cls, sorted(known))
    make = known[cls]
    wanted = inspect.signature(make).parameters.get("split")
    needed = wanted is not None and wanted.default is inspect.Parameter.empty
    kinds = [str(each) for each in getattr(make, "splits", ())]
    if (needed and kind not in (kinds or [kind])) or needed != bool(kind):
        forms = f"torchvision:{cls}" + (f":{'|'.join(kinds) or 'SPLIT'}" if needed else "")
        raise BadOption(f"--dataset: got {name}, expected {forms}")
    files = f"the files of torchvision.datasets.{cls}"
    if needed or "train" in takes(make):
        asked = {"split": kind} if needed else {}
        which = {"train": [{**asked, "train": True}], "test": [{**asked, "train": False}]}
    else:
        which = {part: [{"split": word} for word in words] for part, words in SPLITS.items()}
    opened: dict[str, Any] = {}
    for part, tries in which.items():
        for arguments in tries:
            found = read(name, root, files, make, arguments)
            if found is not None:
                opened[part] = found
                break
    return dataset_of(name, {part: part_of(each, f"{name}: {part}") for part, each in opened.items()})


def takes(made: Any) -> set[str]:
    """Return the names of the arguments of a class, none of anything else."""
    return set(inspect.signature(made).parameters) if inspect.isclass(made) else set()


def read(name: str, root: Path, files: str, make: Any, arguments: Mapping[str, Any]) -> Any:
    """Return a part of a torchvision data set; what is missing is downloaded.

    None if the class has no split of this name.

    Raises:
        DataMissing: it is not there, and cannot be downloaded.
        BenchError: what is there cannot be read.
    """
    with redirect_stdout(sys.stderr), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return make(root, **arguments)
        except Exception as error:  # on a damaged file torchvision may raise anything
            reason = first_line(error)
            if reason.startswith(("Unknown value", "ValueError Unknown value")):
                return None
            if isinstance(error, (ImportError, TypeError)):
                raise BenchError(f"{name}: {make.__name__} cannot be opened: {reason}") from error
            if not isinstance(error, FileNotFoundError) and "not found" not in str(error):
                raise damaged(name, root, f"cannot be read ({reason})") from error
            if "download" not in takes(make) and "kwargs" not in takes(make):
                raise DataMissing(
                    f"{name}: {reason}; put its files under {root}, or name --data DIR"
                ) from error
        try:
            return make(root, download=True, **arguments)
        except Exception as error:  # of the network, the disk, or the files
            raise missing(name, root, files, error) from error


def damaged(name: str, path: Path, what: str) -> BenchError:
    """Return the error that the files of a data set are damaged."""
    return BenchError(f"{name}: under {path}: {what}; remove its files, and they are downloaded anew")


def part_of(found: Any, who: str) -> Part:
    """Return images and labels of a torchvision data set.

    Raises:
        BenchError: it is not of images of one size, or its labels do not fit them.
    """
    if isinstance(getattr(found, "data", None), (np.ndarray, Tensor)):
        labels = getattr(found, "targets", getattr(found, "labels", None))
        images = images_of(np.asarray(found.data), who)
    else:
        images, labels = one_by_one(found, who)
    if labels is None:
        return Part(images)
    y = torch.as_tensor(labels).long()
    y = y[:, 0] if y.ndim == 2 else y  # QMNIST: class, writer, …
    classes = len(getattr(found, "classes", ()))
    if len(y) != len(images):
        raise BenchError(f"{who}: {len(y):,} labels for {len(images):,} images; get its files anew")
    if classes and len(y) and not 0 <= int(y.min()) <= int(y.max()) < classes:
        span = f"{int(y.min())} to {int(y.max())}"
        raise BenchError(f"{who}: labels from {span}, expected 0 to {classes - 1}; get its files anew")
    return Part(images, y)


def one_by_one(found: Any, who: str) -> tuple[Tensor, list[int] | None]:
    """Return images (n, c, h, w) and labels of a data set that opens image by image.

    Raises:
        BenchError: they are of several sizes, no images, or too many for memory.
    """
    pictures: list[np.ndarray[Any, Any]] = []
    labels: list[Any] = []
    for picture, label in pairs(found, who):
        x = np.asarray(picture.convert("RGB"))
        if pictures and x.shape != pictures[0].shape:
            (h, w), (h0, w0) = x.shape[:2], pictures[0].shape[:2]
            text = f"its images are {w0}×{h0}, {w}×{h} and perhaps others, expected one size"
            raise BenchError(f"{who}: {text}; save them resized, and name folder:PATH")
        if not pictures and 9 * x.size * len(found) > available_memory():
            need, free = gib(9 * x.size * len(found)), gib(available_memory())
            raise BenchError(
                f"{who}: its images take {need}, of memory {free} are free; take a part as npz:PATH"
            )
        pictures.append(x)
        labels.append(label)
    whole = all(isinstance(label, int) for label in labels)
    return images_of(np.stack(pictures), who), labels if whole else None


def pairs(found: Any, who: str) -> Iterator[tuple[Any, Any]]:
    """Yield images and labels. Raises BenchError where there are none."""
    for i in range(len(found)):
        each = found[i]
        if not (isinstance(each, tuple) and hasattr(each[0], "convert")):
            raise BenchError(f"{who}: does not hold images; expected a data set of images")
        yield each[0], each[1]
