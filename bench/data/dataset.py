"""What does a data set hold: images in splits, labels, folds, and a digest of these?"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from genmodel_bench.errors import DataMissing
from genmodel_bench.metrics.known import GaussianMixture
from torch import Tensor

LEVELS = (2, 16, 17, 256)
"""How many grey levels pixels may have: binary, 4 bits, those of `digits`, 8 bits."""
LEVEL_TOLERANCE = 1e-3
"""In steps between levels; float32 in [0, 1] is exact to 1e-5 of the 255."""


@dataclass(frozen=True)
class Fold:
    """Held-out images (n, c, h, w) of a fold: `valid` chooses σ, and `test` is scored."""

    valid: Tensor
    test: Tensor


@dataclass(frozen=True)
class Dataset:
    """Images (n, c, h, w), float32 in [0, 1], in three splits.

    labels: (n,), int64, by the name of the split; or None.
    digest: of the content of all of it; one changed pixel changes it.
    folds: the held-out images where they are published as folds, else empty. `test` is
        then all test images of the folds, and `valid` holds images that neither train a
        model nor are in a fold, so that no fold is used to select a checkpoint.
    density: that the images were drawn from, where it is known.
    stacked: of how many classes each channel is, where a label is the number that the
        channels' classes write to this base; else 0.
    levels: how many grey levels a pixel has, as its values say: k / (levels − 1); 2 for
        binary images, 0 where it may be any number.
    """

    name: str
    train: Tensor
    valid: Tensor
    test: Tensor
    labels: Mapping[str, Tensor] | None
    digest: str
    folds: tuple[Fold, ...] = ()
    density: GaussianMixture | None = None
    stacked: int = 0
    levels: int = 0

    @property
    def shape(self) -> tuple[int, int, int]:
        """Return (c, h, w) of one image."""
        c, h, w = self.train.shape[1:]
        return c, h, w

    def to(self, device: torch.device) -> Dataset:
        """Return the same data on `device`."""
        return self.mapped(lambda tensor: tensor.to(device))

    def mapped(self, change: Callable[[Any], Any]) -> Dataset:
        """Return the same data with `change` applied to every tensor.

        As for a transfer to another device, or to another machine and back.
        """
        labels = self.labels and {name: change(y) for name, y in self.labels.items()}
        train, valid, test = (change(images) for images in (self.train, self.valid, self.test))
        folds = tuple(Fold(change(fold.valid), change(fold.test)) for fold in self.folds)
        return replace(self, train=train, valid=valid, test=test, labels=labels, folds=folds)


def assemble(
    name: str,
    images: Tensor,
    labels: Tensor | None,
    splits: Sequence[Tensor],
    folds: Sequence[tuple[Tensor, Tensor]] = (),
) -> Dataset:
    """Return a Dataset of `images` (n, c, h, w) and `labels` (n,).

    splits: the indices of the train, valid and test images.
    folds: for each fold, the indices of its valid and test images.
    """
    parts = [images[index].contiguous() for index in splits]
    ys = None if labels is None else [labels[index] for index in splits]
    held_out = [Fold(images[valid].contiguous(), images[test].contiguous()) for valid, test in folds]
    return dataset_of_parts(name, parts, ys, held_out)


def dataset_of_parts(
    name: str,
    parts: Sequence[Tensor],
    labels: Sequence[Tensor] | None,
    folds: Sequence[Fold] = (),
    *,
    density: GaussianMixture | None = None,
    stacked: int = 0,
) -> Dataset:
    """Return a Dataset of train, valid and test images, and their labels.

    parts: (n, c, h, w) each. labels: (n,) each, int64.
    """
    ys = None if labels is None else dict(zip(("train", "valid", "test"), labels, strict=True))
    digest = hashlib.sha256()
    for tensor in [*parts, *(labels or ()), *(part for fold in folds for part in (fold.valid, fold.test))]:
        digest.update(str((tensor.dtype, tuple(tensor.shape))).encode())
        digest.update(tensor.contiguous().numpy().data)
    if density or stacked:
        digest.update(repr((density, stacked)).encode())
    train, valid, test = parts
    levels = levels_of([*parts, *(part for fold in folds for part in (fold.valid, fold.test))])
    content = digest.hexdigest()[:16]
    return Dataset(name, train, valid, test, ys, content, tuple(folds), density, stacked, levels)


def levels_of(parts: Sequence[Tensor]) -> int:
    """Return how many grey levels the pixels of some sets of images have, or 0.

    The fewest of `LEVELS` of which all pixels are.
    """

    def are(x: Tensor, levels: int) -> bool:
        steps = x * (levels - 1)
        return bool(steps.sub_(steps.round()).abs_().max() < LEVEL_TOLERANCE)

    some = [x[i : i + 1000] for x in parts for i in range(0, len(x), 1000)]
    return next((k for k in LEVELS if all(are(x, k) for x in some)), 0)


def missing(name: str, root: Path, files: str, error: Exception) -> DataMissing:
    """Return the error that says what is missing, where, and how to get it."""
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return DataMissing(
        f"{name}: {files} not found whole under {root}, and the download failed ({reason}); "
        "go online, or put the files there, "
        "or name their folder with --data DIR or BENCH_DATA; the data set 'digits' needs nothing"
    )
