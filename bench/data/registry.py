"""Which data sets are there, how is each one split, and where are its files?

`digits` comes with scikit-learn. The files of the others are under a root folder, which
is `--data DIR` or the environment variable BENCH_DATA, in the layout in which torchvision
or scikit-learn downloads them. Missing ones are downloaded there, except `tfd`, which has
to be requested from its owners. Pixels are float32 in [0, 1].
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from genmodel_bench.data.dataset import Dataset, assemble, missing
from genmodel_bench.data.faces import load_olivetti, load_tfd
from genmodel_bench.errors import BenchError, DataMissing, UnknownName
from genmodel_bench.inputs.images import read_images
from torch import Tensor

DEFAULT_ROOT = Path.home() / ".cache" / "genmodel-bench"
DIGITS_HELD_OUT = 300
"""Images of `digits` in each of validation and test; the other 1,197 train."""


def load(name: str, *, root: Path | str | None = None) -> Dataset:
    """Return the data set `name`; "folder:PATH" reads a folder of images.

    root: the folder of its files (default: BENCH_DATA, else ~/.cache/genmodel-bench).

    Raises:
        UnknownName: there is no data set of this name.
        DataMissing: its files are not there and cannot be downloaded.
        BenchError: its files cannot be read.
    """
    root = in_home(str(root or os.environ.get("BENCH_DATA") or DEFAULT_ROOT))
    if name.startswith("folder:"):
        return load_folder(name)
    if name not in DATASETS:
        raise UnknownName("data set", name, [*DATASETS, "folder:PATH"])
    return DATASETS[name](name, root)


def in_home(path: str) -> Path:
    """Return a path with '~' expanded.

    Raises:
        DataMissing: it names the home of a user that does not exist.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise DataMissing(f"{path}: {error}") from error


def load_digits(name: str, root: Path) -> Dataset:
    """Return the 1,797 real 8×8 digits of scikit-learn, in a fixed split.

    1,197 train, 300 validate and 300 test, stratified by class.
    """
    from sklearn.datasets import load_digits as ship

    bunch = ship()
    # (n, 8, 8) in 0..16 -> (n, 1, 8, 8) in [0, 1]
    images = torch.from_numpy(bunch.images).float().unsqueeze(1) / 16
    labels = torch.from_numpy(bunch.target).long()
    train, valid, test = stratified_split(labels, DIGITS_HELD_OUT)
    return assemble(name, images, labels, [train, valid, test])


def stratified_split(labels: Tensor, held_out: int) -> list[Tensor]:
    """Return the indices of train, valid and test, with the same class shares in each.

    valid and test hold `held_out` images each. The images are shuffled by a fixed
    permutation and sorted by class; 2 · `held_out` equally spaced positions in that order
    go alternately to valid and test.
    """
    n = len(labels)
    shuffled = torch.from_numpy(np.random.RandomState(0).permutation(n))
    by_class = shuffled[labels[shuffled].argsort(stable=True)]
    places = torch.arange(2 * held_out) * n // (2 * held_out)
    chosen = by_class[places]
    train = torch.ones(n, dtype=torch.bool)
    train[chosen] = False
    return [train.nonzero()[:, 0], chosen[0::2].sort().values, chosen[1::2].sort().values]


def load_torchvision(name: str, root: Path, *, cls: str, files: str, valid: int) -> Dataset:
    """Return a torchvision data set; the last of its training images validate.

    cls: the name of its class in `torchvision.datasets`.
    files: a file or folder of it, named in the error message.
    valid: how many training images validate, as in the paper.

    Raises:
        DataMissing: `files` are neither under `root` nor can be downloaded.
    """
    import torchvision.datasets

    make = getattr(torchvision.datasets, cls)
    try:
        both = [make(root, train=train, download=True) for train in (True, False)]
    except (OSError, RuntimeError, ValueError) as error:
        raise missing(name, root, files, error) from error
    images = torch.cat([torch.as_tensor(part.data) for part in both])
    labels = torch.cat([torch.as_tensor(part.targets) for part in both]).long()
    # (n, h, w) -> (n, 1, h, w), or (n, h, w, c) -> (n, c, h, w)
    images = images.unsqueeze(1) if images.ndim == 3 else images.permute(0, 3, 1, 2)
    m, n = len(both[0].data), len(images)
    splits = [torch.arange(m - valid), torch.arange(m - valid, m), torch.arange(m, n)]
    return assemble(name, images.float() / 255, labels, splits)


def load_folder(name: str) -> Dataset:
    """Return the images of a folder, all of one size, in a fixed split.

    80 % train, 10 % validate and 10 % test, by a fixed permutation of the files sorted by
    name. They are grey if all are grey, else RGB.

    Raises:
        DataMissing: there is no such folder, or no images in it.
        BenchError: an image cannot be read, or there are fewer than 20.
    """
    images = read_images(in_home(name.removeprefix("folder:")))
    n = len(images)
    if n < 20:
        raise BenchError(
            f"{name}: {n} images are too few for train, validation and test; expected at least 20; add some"
        )
    order = torch.from_numpy(np.random.RandomState(0).permutation(n))
    held_out = n // 10
    return assemble(
        name, images, None, [order[2 * held_out :], order[:held_out], order[held_out : 2 * held_out]]
    )


DATASETS: dict[str, Callable[[str, Path], Dataset]] = {
    "digits": load_digits,
    "mnist": partial(load_torchvision, cls="MNIST", files="MNIST/raw/train-images-idx3-ubyte", valid=10_000),
    "fashion-mnist": partial(
        load_torchvision, cls="FashionMNIST", files="FashionMNIST/raw/train-images-idx3-ubyte", valid=10_000
    ),
    "cifar10": partial(load_torchvision, cls="CIFAR10", files="cifar-10-batches-py", valid=10_000),
    "tfd": load_tfd,
    "olivetti": load_olivetti,
}
SOURCES: dict[str, tuple[str, ...]] = {
    "digits": (
        """@misc{alpaydin1998optical,
            author = {Alpaydin, E. and Kaynak, C.},
            title = {Optical Recognition of Handwritten Digits},
            howpublished = {UCI Machine Learning Repository},
            year = {1998}, doi = {10.24432/C50P49}}""",
    ),
    "mnist": (
        """@article{lecun1998gradient,
            author = {LeCun, Yann and Bottou, Léon and Bengio, Yoshua and Haffner, Patrick},
            title = {Gradient-Based Learning Applied to Document Recognition},
            journal = {Proceedings of the IEEE}, volume = {86}, number = {11}, pages = {2278--2324},
            year = {1998}}""",
    ),
    "fashion-mnist": (
        """@article{xiao2017fashion,
            author = {Xiao, Han and Rasul, Kashif and Vollgraf, Roland},
            title = {{Fashion-MNIST}: a Novel Image Dataset for Benchmarking Machine Learning Algorithms},
            journal = {arXiv preprint arXiv:1708.07747},
            year = {2017}, eprint = {1708.07747}, archivePrefix = {arXiv}}""",
    ),
    "cifar10": (
        """@techreport{krizhevsky2009learning,
            author = {Krizhevsky, Alex},
            title = {Learning Multiple Layers of Features from Tiny Images},
            institution = {University of Toronto},
            year = {2009}}""",
    ),
    "tfd": (
        """@techreport{susskind2010toronto,
            author = {Susskind, Josh and Anderson, Adam and Hinton, Geoffrey E.},
            title = {The {Toronto} Face Dataset},
            institution = {University of Toronto}, number = {UTML TR 2010-001},
            year = {2010}}""",
    ),
    "olivetti": (
        """@inproceedings{samaria1994parameterisation,
            author = {Samaria, F. S. and Harter, A. C.},
            title = {Parameterisation of a Stochastic Model for Human Face Identification},
            booktitle = {Proceedings of the Second IEEE Workshop on Applications of Computer Vision},
            year = {1994}}""",
    ),
}
"""What to cite for each data set, as BibTeX entries."""
