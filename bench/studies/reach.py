"""How much of a data set do samples reach?

    training images   how many different training images are nearest to a sample, in
                      squared distance of pixels
    classes           exp of the entropy of the classes that the data set's own classifier
                      finds in them: as many classes equally frequent have this entropy
    diversity         the mean distance between two samples, over that between two test
                      images
    precision,        share of samples in the ball of a test image, and of test images
    coverage          whose ball holds a sample (`metrics/prdc.py`), in pixels

As many images are compared as there are validation and test images, a thousand at most;
`training images` depends on that number. Collapse is few training images, few classes
and a low diversity.
"""

from __future__ import annotations

import torch
from genmodel_bench.metrics.base import Reference
from genmodel_bench.metrics.classifier import learned
from genmodel_bench.metrics.distances import nearest
from genmodel_bench.metrics.evidence import remembered
from genmodel_bench.metrics.lenet import LeNet, restored
from genmodel_bench.metrics.prdc import precision_recall_density_coverage
from torch import Tensor

MOST = 1000
"""The most images that are compared."""


@torch.no_grad()
def reached(samples: Tensor, data: Reference) -> dict[str, float]:
    """Return how much of the data samples reach, by quantity.

    samples: (n, c, h, w), with n = `number(data)`. `classes` is left out where the data
        have no labels.
    """
    flat, test = samples.flatten(1), data.test[: len(samples)].flatten(1)  # (n, c, h, w) -> (n, d)
    _, index = nearest(flat, data.train.flatten(1))
    values = {"training images": float(len(index.unique()))}  # type: ignore[no-untyped-call]  # torch's own
    if net := classifier(data):
        values["classes"] = perplexity(net(samples).argmax(1))
    values["diversity"] = apart(flat) / apart(test)
    shares = precision_recall_density_coverage(flat, test)
    return values | {name: shares[name].value for name in ("precision", "coverage")}


def number(data: Reference) -> int:
    """Return how many images are compared."""
    return min(MOST, len(data.valid), len(data.test))


def perplexity(kinds: Tensor) -> float:
    """Return exp of the entropy of the frequencies of whole numbers (n,)."""
    _, counts = kinds.unique(return_counts=True)  # type: ignore[no-untyped-call]  # torch's own
    p = counts.double() / len(kinds)
    return float(torch.special.entr(p).sum().exp())


def apart(x: Tensor) -> float:
    """Return the mean distance between two different rows of x: (n, d)."""
    return float(torch.pdist(x.double()).mean())


def classifier(data: Reference) -> LeNet | None:
    """Return the network that learned the classes, None where there are none."""
    labels = getattr(data, "labels", None)
    c, h, w = data.train.shape[1:]
    if not labels or len(labels["train"].unique()) < 2 or min(h, w) < 4:
        return None

    def make() -> LeNet:
        state = learned(data, labels)
        state.pop("accuracy")
        return restored((c, h, w), state).to(data.train.device).eval()

    return remembered(data, "classifier of studies", make)
