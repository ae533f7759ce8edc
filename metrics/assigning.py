"""Which mode of the data is an image of, and how probable are the modes?

Three kinds of data say it:

a known density      the nearest centre; an image counts for it within 3 sd
stacked images       a network that learned the classes of single channels, each channel
                     by itself; the mode is the number that they write
other labels         a network that learned the labels (`metrics/classifier.py`)

Probabilities are those of the density, or the frequencies of labels among training
images; of stacked images, the products of the frequencies of the channels' classes, for
the channels are drawn independently.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from genmodel_bench.metrics.base import Reference
from genmodel_bench.metrics.classifier import learned, trained
from genmodel_bench.metrics.evidence import stored
from genmodel_bench.metrics.features import NotApplicable, network, shape_for_networks
from genmodel_bench.metrics.known import GaussianMixture
from genmodel_bench.metrics.lenet import LeNet, digest_of, restored
from torch import Tensor


@dataclass(frozen=True)
class Assigned:
    """The modes of images: each one's mode, (n,) int64, and whether it counts for it."""

    mode: Tensor
    counts: Tensor


@dataclass(frozen=True)
class Modes:
    """The modes of a data set.

    of: (n, c, h, w) -> the modes of the images.
    probabilities: (k,), float64, those of the data.
    own: the modes that the test images are of, (m,); −1 of one that is none of them.
    about: what two scores have to share to compare.
    """

    of: Callable[[Tensor], Assigned]
    probabilities: Tensor
    own: Tensor
    about: Mapping[str, Any]


def modes_of(reference: Reference, within: float) -> Modes:
    """Return the modes of a data set.

    within: how many sd an image may be from the centre of a known density's mode.

    Raises:
        NotApplicable: the data have neither a known density nor labels of two classes or
            more that test images have too, or images too small for a network.
    """
    density, labels = getattr(reference, "density", None), getattr(reference, "labels", None)
    if density is not None:
        return of_density(density, reference, labels, within)
    if not labels or len(labels["train"].unique()) < 2:
        raise NotApplicable("the images have neither a known density nor labels of several classes")
    if not bool(torch.isin(labels["test"], labels["train"]).any()):
        raise NotApplicable("no test image is of a class of the training images")
    base = getattr(reference, "stacked", 0)
    return of_channels(base, reference, labels) if base else of_labels(reference, labels)


def of_density(
    density: GaussianMixture, reference: Reference, labels: Mapping[str, Tensor] | None, within: float
) -> Modes:
    """Return the Gaussians of a known density.

    Where there are no labels, a test image is of the nearest one.
    """

    def of(x: Tensor) -> Assigned:
        mode, apart = density.nearest(x)
        return Assigned(mode, apart <= within)

    own = labels["test"] if labels else of(reference.test).mode
    return Modes(
        of, torch.tensor(density.weights, dtype=torch.float64).to(own.device), own, {"within": within}
    )


def of_labels(reference: Reference, labels: Mapping[str, Tensor]) -> Modes:
    """Return the classes of labelled images, as the data's own classifier sees them."""
    classes, counts = torch.unique(labels["train"], return_counts=True)
    net, about = network_of(learned(reference, labels), shape_for_networks(reference))
    place = torch.searchsorted(classes, labels["test"]).clamp(max=len(classes) - 1)
    own = torch.where(classes[place] == labels["test"], place, -1)
    of = seen(net, lambda x: net(x).argmax(1, keepdim=True), about, reference)
    return Modes(of, counts.double() / counts.sum(), own, about)


def of_channels(base: int, reference: Reference, labels: Mapping[str, Tensor]) -> Modes:
    """Return the base ** c modes of stacked images, channel by channel."""
    c = reference.train.shape[1]
    powers = base ** torch.arange(c - 1, -1, -1, device=labels["train"].device)
    # (n,) -> (n, c): the digits of a number
    digits = {split: y[:, None] // powers % base for split, y in labels.items()}

    def make() -> Mapping[str, Tensor]:
        # (n, c, h, w) -> (n · c, 1, h, w)
        train, test = (x.flatten(0, 1)[:, None] for x in (reference.train, reference.test))
        return trained(train, digits["train"].flatten(), test, digits["test"].flatten())

    _, h, w = shape_for_networks(reference)
    net, about = network_of(stored(reference, "classifier of channels", make), (1, h, w))
    classes = torch.unique(digits["train"])

    def numbers(x: Tensor) -> Tensor:
        found = net(x.flatten(0, 1)[:, None]).argmax(1).view(len(x), c)  # (n · c,) -> (n, c)
        number: Tensor = (classes[found] * powers).sum(1, keepdim=True)
        return number

    shares = digits["train"].flatten().bincount(minlength=base).double() / digits["train"].numel()
    joint = shares
    for _ in range(c - 1):
        joint = (joint[:, None] * shares).flatten()
    return Modes(seen(net, numbers, about, reference), joint, labels["test"], about)


def network_of(state: Mapping[str, Tensor], shape: tuple[int, int, int]) -> tuple[LeNet, dict[str, Any]]:
    """Return a network by what `trained` returned, and what rows say of it."""
    weights = {name: value for name, value in state.items() if name != "accuracy"}
    about = {"weights": digest_of(weights), "accuracy": float(state["accuracy"])}
    return restored(shape, weights), about


def seen(
    net: LeNet, of: Callable[[Tensor], Tensor], about: Mapping[str, Any], reference: Reference
) -> Callable[[Tensor], Assigned]:
    """Return the map of images to modes by a network: `of` returns them as (n, 1)."""
    compute = network(net, of, {"modes": True, **about}, reference).of

    def assigned(x: Tensor) -> Assigned:
        mode = compute(x)[:, 0].long()  # float32 holds whole numbers up to 2²⁴
        return Assigned(mode, torch.ones_like(mode, dtype=torch.bool))

    return assigned
