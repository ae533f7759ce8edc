"""Which binary data sets are there, of pixels 0 or 1?

    mnist-larochelle    the published binarisation of MNIST, three files
    mnist-binary        one draw of MNIST: a pixel is 1 with the probability of its grey
    digits-binary       one draw of digits

Log-probabilities of different binarisations do not compare: another draw of the training
images alone moves published ones by 2 nats (Burda et al. 2016, appendix D). Ours are
drawn once, each split from a seed that its name gives (`bench/data/streams.py`).

Source: Larochelle and Murray (2011), The Neural Autoregressive Distribution Estimator,
whose binarised MNIST follows Salakhutdinov and Murray (2008).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from genmodel_bench.data.dataset import Dataset, dataset_of_parts, missing
from genmodel_bench.data.root import data_root
from genmodel_bench.data.streams import streams
from genmodel_bench.errors import BenchError
from torch import Tensor

FOLDER = "binarized_mnist"
SIZES = {"train": 50_000, "valid": 10_000, "test": 10_000}
URL = "http://www.cs.toronto.edu/~larocheh/public/datasets/binarized_mnist"
LENGTH = 2 * 784
"""Bytes of an image: each pixel a digit, and after it a space or the end of the line."""


def load_larochelle(name: str, root: Path | str | None) -> Dataset:
    """Return the published binarised MNIST: 50,000 train, 10,000 validate and test.

    There are no labels. The files are `binarized_mnist/binarized_mnist_train.amat` and so
    on under the root of the data.

    Raises:
        DataMissing: they are not there.
        BenchError: they are damaged.
    """
    folder = data_root(root) / FOLDER
    parts = [read(name, folder / f"{FOLDER}_{split}.amat", n) for split, n in SIZES.items()]
    return dataset_of_parts(name, parts, None)


def read(name: str, path: Path, n: int) -> Tensor:
    """Return the n images of a file, (n, 1, 28, 28).

    Raises:
        DataMissing: it is not there.
        BenchError: it is damaged.
    """
    try:
        text = np.fromfile(path, dtype=np.uint8)
    except OSError as error:
        gone = OSError(f"{error.strerror or error}; they are not downloaded: take them from {URL}")
        raise missing(name, path.parent, path.name, gone) from error
    if len(text) == n * LENGTH:
        pixels = text.reshape(n, 784, 2)
        if (pixels[:, :, 0] - ord("0") <= 1).all() and (pixels[:, :, 1] <= ord(" ")).all():
            return torch.from_numpy(pixels[:, :, 0] == ord("1")).float().view(n, 1, 28, 28)
    raise BenchError(f"{name}: {path}: is damaged, expected {n:,} lines of 784 pixels 0 or 1; get it again")


def drawn_of(
    load: Callable[[str, Path | str | None], Dataset],
) -> Callable[[str, Path | str | None], Dataset]:
    """Return what loads one binary draw of a data set of grey pixels, with its labels."""

    def load_drawn(name: str, root: Path | str | None) -> Dataset:
        grey = load(name, root)
        splits = {"train": grey.train, "valid": grey.valid, "test": grey.test}
        sizes = {split: len(x) for split, x in splits.items()}
        made = zip(splits.values(), streams(name, sizes), strict=True)
        parts = [drawn(x, stream) for x, (_, stream) in made]
        labels = None if grey.labels is None else [grey.labels[split] for split in splits]
        return dataset_of_parts(name, parts, labels)

    return load_drawn


def drawn(x: Tensor, stream: np.random.RandomState) -> Tensor:
    """Return pixels that are 1 with the probability x: (n, c, h, w), float32."""
    # in float64: a pixel of 1 is always drawn as 1, one of 0 never
    return torch.from_numpy(stream.random_sample(tuple(x.shape)) < x.double().numpy()).float()
