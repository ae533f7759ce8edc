"""In which features are images compared?

pixels              the pixels themselves
pca                 64 leading principal components of the training images
random              a small convolutional network of random weights, scaled
classifier          the same network, trained on the training images and their labels
inception           Inception v3 as of the published FID, where its weights are at hand
dinov2              DINOv2 ViT-L/14, where its weights are at hand
module:Extractor    anybody's (`metrics/extractors.py`)

A rank that hinges on one of them says little. Distances in the first four are of this
project alone: none is a FID.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from genmodel_bench.metrics.base import Reference
from genmodel_bench.metrics.classifier import learned
from genmodel_bench.metrics.components import principal_components
from genmodel_bench.metrics.distances import full_precision
from genmodel_bench.metrics.evidence import Memory, remembered
from genmodel_bench.metrics.extractors import extractor
from genmodel_bench.metrics.lenet import DIMENSIONS, digest_of, image_shape, restored, untrained
from genmodel_bench.metrics.mind import shuffled
from torch import Tensor

ENOUGH = 10_000
"""The most training images from which the scale of features is taken."""
PIXELS = 2**18
"""How many go through a small network at once, at least those of one image."""


class NotApplicable(Exception):
    """A metric has no meaning for the data: its row says "n/a", and is no failure."""


@dataclass(frozen=True)
class Features:
    """A map of images to features, and what a row says of it.

    of: (n, c, h, w), float32 in [0, 1] -> (n, k), float32.
    about: "features", its name; "dimensions", k; "weights", the digest of a network's;
        "accuracy" of a classifier. Two scores compare if these are equal.
    """

    of: Callable[[Tensor], Tensor]
    about: Mapping[str, Any] = field(default_factory=dict)


def features(name: str, reference: Reference) -> Features:
    """Return the features called `name`, fitted to the training images where they are.

    Of a reference with a memory they are made once, and so is what a network says of a
    set of images.

    Raises:
        NotApplicable: the data lack what they need, as labels.
        ValueError: there are none of this name, or their weights are not at hand.
    """
    make = NATIVE.get(name) or (lambda reference: of_extractor(name, reference))
    return remembered(reference, f"features {name}", lambda: make(reference))


def pixels(reference: Reference) -> Features:
    """Return the pixels: (n, c, h, w) -> (n, d)."""
    return Features(lambda x: x.flatten(1), {"features": "pixels", "dimensions": reference.train[0].numel()})


def pca(reference: Reference) -> Features:
    """Return the projection on principal components of the training images."""
    mean, axes = principal_components(reference.train.flatten(1))

    def of(x: Tensor) -> Tensor:
        with full_precision():
            return (x.flatten(1) - mean) @ axes  # (n, d) @ (d, k) -> (n, k)

    return Features(of, {"features": "pca", "dimensions": axes.shape[1]})


def random(reference: Reference) -> Features:
    """Return the features of a network of random weights, always the same ones."""
    net = untrained(shape_for_networks(reference))
    about = {"features": "random", "dimensions": DIMENSIONS, "weights": digest_of(net.state_dict())}
    return scaled(network(net, net.features, about, reference), reference)


def classifier(reference: Reference) -> Features:
    """Return the features of a network that learned the classes of training images.

    Raises:
        NotApplicable: they have no labels, or all the same one.
    """
    shape, labels = shape_for_networks(reference), getattr(reference, "labels", None)
    if not labels or len(labels["train"].unique()) < 2:
        raise NotApplicable("the images have no labels, of which a classifier could learn its features")
    state = learned(reference, labels)
    accuracy = float(state.pop("accuracy"))
    net = restored(shape, state)
    about = {
        "features": "classifier",
        "dimensions": DIMENSIONS,
        "weights": digest_of(state),
        "accuracy": accuracy,
    }
    return scaled(network(net, net.features, about, reference), reference)


def scaled(raw: Features, reference: Reference) -> Features:
    """Return features whose mean is 0, and whose mean variance 1, on training images.

    The scale of a network's features is arbitrary, and so would a distance in them be.
    """
    some = shuffled(len(reference.train), reference.train)[:ENOUGH]
    x = raw.of(reference.train[some])
    mean = x.mean(0)
    scale = (x - mean).square().mean().sqrt().clamp_min(torch.finfo(x.dtype).tiny)
    return Features(lambda images: (raw.of(images) - mean) / scale, raw.about)


def shape_for_networks(reference: Reference) -> tuple[int, int, int]:
    """Return (c, h, w) of an image. Raises NotApplicable if it is smaller than 4 × 4."""
    c, h, w = image_shape(reference.train)
    if min(h, w) < 4:
        raise NotApplicable(f"images of {w} × {h} are too small for a network, which needs 4 × 4")
    return c, h, w


NATIVE: Mapping[str, Callable[[Reference], Features]] = {
    "classifier": classifier,
    "random": random,
    "pca": pca,
    "pixels": pixels,
}
"""The features that need nothing but the data."""


def of_extractor(name: str, reference: Reference) -> Features:
    """Return the features of a network that somebody else trained, or of any function.

    Raises:
        NotApplicable: it needs images in grey or colour.
        ValueError: there is none, or what it returns are no features.
    """
    found, c = extractor(name), reference.train.shape[1]
    if found.colour and c not in (1, 3):
        raise NotApplicable(f"images of {c} channels are none for {name}, which needs 1 or 3")

    def of(x: Tensor) -> Tensor:
        # (n, 1, h, w) -> (n, 3, h, w)
        y: object = found.of(x.expand(-1, 3, -1, -1) if found.colour else x)
        if not isinstance(y, Tensor) or y.ndim < 2 or len(y) != len(x) or not bool(y.isfinite().all()):
            got = f"{tuple(y.shape)} of {y.dtype}" if isinstance(y, Tensor) else type(y).__name__
            raise ValueError(f"{name}: got {got} for {len(x)} images, expected finite numbers (n, k)")
        return y.flatten(1)

    compute = network(found.module, of, {}, reference, at_once=50).of
    about: dict[str, Any] = {"features": name, "dimensions": compute(reference.train[:1]).shape[1]}
    about |= {"weights": found.weights} if found.weights else {}
    return network(found.module, of, about, reference, at_once=50)


def network(
    net: torch.nn.Module | None,
    of: Callable[[Tensor], Tensor],
    about: Mapping[str, Any],
    reference: Reference,
    *,
    at_once: int = 0,
) -> Features:
    """Return the features `of` images by a network, or by a function if `net` is None.

    at_once: how many images go through it together; 0 for as many as 2¹⁸ pixels.
    """
    size = at_once or max(1, PIXELS // reference.train[0].numel())
    if net is not None:
        net.to(reference.train.device).eval().requires_grad_(False)

    @torch.no_grad()
    def compute(x: Tensor) -> Tensor:
        exact = torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)
        with full_precision(), exact:
            return torch.cat([of(part).float() for part in torch.split(x, size)])  # (n, c, h, w) -> (n, k)

    def remembering(x: Tensor) -> Tensor:
        if not isinstance(reference, Memory):
            return compute(x)
        return remembered(reference, f"{about} of {digest_of({'x': x})}", lambda: compute(x))

    return Features(remembering, about)
