"""Which sets of images, whose order is known, does `bench audit` score?

The training images are halved: one half is what metrics are told was trained on, the
other is real and unseen. A probe is made of them:

    real            unseen images
    copies          images of the first half
    5% copies       19 of 20 unseen, the rest copies
    kmeans          centroids of the first half, seven for ten samples
    blurred         unseen, blurred by a Gaussian of 1 pixel
    noisy           unseen, plus Gaussian noise of 0.1, clipped to [0, 1]
    shifted         unseen, shifted by one pixel to the right
    nine classes    unseen, without the last class
    one class       unseen, of the first class alone
    mean image      the mean of the first half, again and again

Where a probe's images are fewer than the samples, they are repeated.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from genmodel_bench.data.dataset import Dataset
from genmodel_bench.models.references import KMeans
from torch import Tensor
from torch.nn.functional import conv2d, pad

PROBES = (
    "real", "copies", "5% copies", "kmeans", "blurred", "noisy", "shifted", "nine classes", "one class",
    "mean image",
)  # fmt: skip
OF_LABELS = ("nine classes", "one class")
NOISE = 0.1
BLUR = (0.06136, 0.24477, 0.38774, 0.24477, 0.06136)
"""A Gaussian of standard deviation 1, at −2 to 2 pixels."""
COPIED = 20
"""Of so many images of `5% copies`, one is a copy."""


@dataclass(frozen=True)
class Halves:
    """The data that metrics see, and the images that only probes are made of.

    data: its `train` is half of the training images.
    unseen: the other half, (n, c, h, w), and its labels (n,) or None.
    """

    data: Dataset
    unseen: Tensor
    labels: Tensor | None


def halves(data: Dataset) -> Halves:
    """Return a data set cut into halves, always the same ones; it has no folds.

    The half of an odd number of images is the smaller one for `data`.
    """
    order = torch.randperm(len(data.train), generator=torch.Generator().manual_seed(0))
    seen, unseen = (part.to(data.train.device) for part in order.tensor_split(2))
    labels = data.labels and {**data.labels, "train": data.labels["train"][seen]}
    half = replace(data, train=data.train[seen], labels=labels, folds=(), digest=f"{data.digest} half")
    return Halves(half, data.train[unseen], data.labels["train"][unseen] if data.labels else None)


def sized(data: Dataset, n: int) -> Dataset:
    """Return a data set with n of its test images, always the same ones."""
    order = torch.randperm(len(data.test), generator=torch.Generator().manual_seed(0))
    index = order[:n].to(data.test.device)
    labels = data.labels and {**data.labels, "test": data.labels["test"][index]}
    return replace(data, test=data.test[index], labels=labels, digest=f"{data.digest}, {n}")


def probe(name: str, of: Halves, n: int, draws: int) -> list[Tensor] | None:
    """Return draws of n images of a probe, each (n, c, h, w); None if it lacks labels.

    Noise and centroids come from torch's default generator.
    """
    seen, unseen = of.data.train, of.unseen
    if name in OF_LABELS:
        if of.labels is None:
            return None
        first, last = int(of.labels.min()), int(of.labels.max())
        pool = unseen[of.labels == first if name == "one class" else of.labels != last]
        return [taken(pool, n, k) for k in range(draws)]
    if name in ("copies", "mean image"):
        pool = seen if name == "copies" else seen.mean(0, keepdim=True)
        return [taken(pool, n, k) for k in range(draws)]
    if name == "kmeans":
        _, c, h, w = seen.shape
        model = KMeans(clusters=max(2, min(7 * n // 10, len(seen) // 3)), iterations=10).build((c, h, w))
        model.initialise(seen)
        return [taken(model.prototypes, n, k) for k in range(draws)]
    found = [taken(unseen, n, k) for k in range(draws)]
    if name == "5% copies":
        for k, images in enumerate(found):
            images[::COPIED] = taken(seen, len(images[::COPIED]), k)
    return found if name in ("real", "5% copies") else [changed(name, images) for images in found]


def taken(pool: Tensor, n: int, draw: int) -> Tensor:
    """Return n images of a pool, those after the ones of the draw before."""
    return pool[(draw * n + torch.arange(n, device=pool.device)) % len(pool)].clone()


def changed(name: str, x: Tensor) -> Tensor:
    """Return images (n, c, h, w) blurred, noisy or shifted."""
    if name == "noisy":
        return (x + NOISE * torch.randn_like(x)).clamp(0, 1)
    if name == "shifted":
        return pad(x, (1, 0, 0, 0), mode="replicate")[..., :-1]
    n, c, h, w = x.shape
    kernel = torch.tensor(BLUR, dtype=x.dtype, device=x.device)
    kernel = kernel / kernel.sum()
    x = pad(x.reshape(n * c, 1, h, w), (2, 2, 2, 2), mode="replicate")
    x = conv2d(conv2d(x, kernel.view(1, 1, 1, 5)), kernel.view(1, 1, 5, 1))
    return x.reshape(n, c, h, w).clamp(0, 1)
