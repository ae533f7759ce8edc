"""How do sets of images as somebody has them become train, valid and test?

- One set is divided: 80 % train, 10 % validate and 10 % test, by a fixed permutation;
  with labels each class has the same share of the three.
- Of two, train and another, the other is tested, whatever its name. The last of train
  validate: as many as are tested, at most a fifth. So do those of `mnist` and `cifar10`,
  which are then the same data set from any source. Where train is sorted by class, or
  is in the order of file names, they are taken from all of it instead.
- Three are taken as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from genmodel_bench.data.dataset import Dataset, assemble
from genmodel_bench.errors import BenchError
from torch import Tensor

PARTS = ("train", "valid", "test")
FEWEST = 20
"""Fewer images are neither divided nor trained on."""


@dataclass(frozen=True)
class Part:
    """Images (n, c, h, w), float32 in [0, 1], and their labels (n,), int64, or None."""

    images: Tensor
    labels: Tensor | None = None


def dataset_of(
    name: str, parts: Mapping[str, Part], *, by_name: bool = False, valid: int | None = None
) -> Dataset:
    """Return the Dataset of one, two or three sets of images, by the name of the set.

    parts: names in `PARTS`; the name of a single one does not count.
    by_name: the images are in the order of their files' names.
    valid: how many of two sets' training images validate, where that is published.

    Raises:
        BenchError: they do not fit together, or are too few.
    """
    check(name, parts)
    channels = max(part.images.shape[1] for part in parts.values())
    ordered = [parts[key] for key in PARTS if key in parts] if len(parts) > 1 else [*parts.values()]
    # Grey pictures among colour ones count as colour ones with three equal channels.
    images = torch.cat([part.images.expand(-1, channels, -1, -1) for part in ordered])
    found = [part.labels for part in ordered if part.labels is not None]
    labels = torch.cat(found) if found else None
    sizes = [len(part.images) for part in ordered]
    if len(sizes) == 1:
        splits = divided(sizes[0], labels)
    else:
        starts = [sum(sizes[:i]) for i in range(len(sizes))]
        splits = [torch.arange(start, start + n) for start, n in zip(starts, sizes, strict=True)]
        if len(splits) == 2:
            own = None if labels is None else labels[: sizes[0]]
            count = min(sizes[1], sizes[0] // 5) if valid is None else valid
            chosen = held_out(sizes[0], count, own, by_name=by_name)
            splits = [others(sizes[0], chosen), chosen, splits[1]]
    return assemble(name, images, labels, splits)


def check(name: str, parts: Mapping[str, Part]) -> None:
    """Check that sets of images fit together.

    Raises:
        BenchError: they do not.
    """
    if len(parts) > 1 and "train" not in parts:
        raise BenchError(f"{name}: holds {' and '.join(parts)}, expected train too; add the training images")
    first, start = next(iter(parts.items()))
    for key, part in parts.items():
        n, (h, w) = len(part.images), part.images.shape[2:]
        h0, w0 = start.images.shape[2:]
        if (h, w) != (h0, w0):
            raise BenchError(
                f"{name}: {key} is {w}×{h} where {first} is {w0}×{h0}; expected one size, resize"
            )
        fewest = FEWEST if len(parts) == 1 or key == "train" else 2
        if n < fewest:
            which = "train, validation and test" if len(parts) == 1 else key
            raise BenchError(
                f"{name}: {n} images are too few for {which}; expected at least {fewest}; add some"
            )
        if (part.labels is None) != (start.labels is None):
            lacks, has = (key, first) if part.labels is None else (first, key)
            raise BenchError(f"{name}: {has} has labels and {lacks} has none; label all of them, or none")
        if part.labels is not None and len(part.labels) != n:
            raise BenchError(
                f"{name}: {len(part.labels)} labels for {n} images of {key}; expected one for each"
            )


def divided(n: int, labels: Tensor | None) -> list[Tensor]:
    """Return the indices of train, valid and test of one set, by a fixed permutation."""
    count = n // 10
    if labels is not None:
        return stratified_split(labels, count)
    order = torch.from_numpy(np.random.RandomState(0).permutation(n))
    return [order[2 * count :], order[:count], order[count : 2 * count]]


def held_out(n: int, count: int, labels: Tensor | None, *, by_name: bool) -> Tensor:
    """Return the indices of `count` of n training images that validate.

    They are the last, unless the order of the images means something.
    """
    if labels is not None and (by_name or sorted_by_class(labels)):
        return across_classes(labels, count).sort().values
    if by_name:
        return torch.from_numpy(np.random.RandomState(0).permutation(n))[:count].sort().values
    return torch.arange(n - count, n)


def sorted_by_class(labels: Tensor) -> bool:
    """Return whether there are several classes, one after the other."""
    classes = len(set(labels.tolist()))
    return classes > 1 and int((labels.diff() != 0).sum()) == classes - 1


def stratified_split(labels: Tensor, count: int) -> list[Tensor]:
    """Return the indices of train, valid and test, with the same class shares in each.

    valid and test hold `count` images each, alternately of those that `across_classes`
    chooses.
    """
    chosen = across_classes(labels, 2 * count)
    return [others(len(labels), chosen), chosen[0::2].sort().values, chosen[1::2].sort().values]


def across_classes(labels: Tensor, count: int) -> Tensor:
    """Return the indices of `count` images that have the class shares of all, by class.

    The images are shuffled by a fixed permutation and sorted by class; `count` equally
    spaced positions in that order are chosen.
    """
    n = len(labels)
    shuffled = torch.from_numpy(np.random.RandomState(0).permutation(n))
    by_class = shuffled[labels[shuffled].argsort(stable=True)]
    return by_class[torch.arange(count) * n // count]


def others(n: int, chosen: Tensor) -> Tensor:
    """Return the indices below n that are not chosen."""
    rest = torch.ones(n, dtype=torch.bool)
    rest[chosen] = False
    return rest.nonzero()[:, 0]
