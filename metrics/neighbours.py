"""Are a model's samples copies of training images?

Each sample's Euclidean distance to its nearest training image is compared with the same
distance of held-out (test) images. A model as varied as the data has a ratio of medians
near 1. Samples closer than held-out images are suspected copies; with a ratio far above 1
the samples do not look like the data at all.

    ratio          median distance sample → train / median distance test → train;
                   neither direction is better
    exact_copies   share of samples with distance 0; lower is better
    near_copies    share of samples closer than 99 % of the held-out images;
                   lower is better; 1 % for unseen real images

What it misses: copies up to a shift (Theis et al. 2016, arXiv 1511.01844: a shift by one
pixel is enough to defeat the pixel distance). For figures, the nearest training image of
the first samples is therefore also searched with the sample shifted by up to one pixel
in each direction.
Bias: smooth samples, such as conditional means, lie closer to the training images than
real ones do, without being copies. The standard errors take the samples as independent:
they are too small where samples repeat, as those of `data` and `kmeans` do on a small
training set.
Reference implementation: `scipy.spatial.distance.cdist` in float64, agreed within 1e-5
relative.
Source: the nearest-neighbour columns of Goodfellow et al. (2014), Figure 2; the ratio is
ours.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from genmodel_bench.metrics.base import Reference, Result, Score, Subject
from genmodel_bench.metrics.column import Column, Curve
from genmodel_bench.metrics.distances import nearest
from genmodel_bench.metrics.papers import GOODFELLOW_2014, THEIS_2016
from torch import Tensor
from torch.nn.functional import pad

SHOWN = 100
"""How many samples are kept with their nearest training images, for figures."""


@dataclass(frozen=True)
class Neighbours:
    """Distances of samples to training images, compared with those of test images.

    near: a sample closer than this quantile of the test images' distances is a near copy.
    tolerated: a larger share of exact or of near copies in the samples gives a warning.
    resamples: bootstrap resamples, for the standard errors of medians and their ratio.
    """

    near: float = 0.01
    tolerated: float = 0.05
    resamples: int = 200
    min_samples: int = 2
    needs: tuple[type, ...] = ()
    columns: ClassVar = {
        "ratio": Column(
            "NN ratio",
            "median distance from a sample to its nearest training image over the same for test images; "
            "near 1 where samples are as far from the training images as unseen ones",
            table="memorisation",
            curves={
                "distance of samples by share": Curve(
                    "Distances to training images",
                    "distance to the nearest training image, pixels in [0, 1]",
                    "share of images",
                    "The share of samples that lie within a Euclidean distance of their nearest training "
                    "image; the broad grey line is of held-out test images. A curve left of it is of smooth "
                    "or copied images, one right of it of images unlike the data.",
                    swapped=True,
                    beside=("distance of held-out images by share", "held-out images"),
                )
            },
        ),
        "exact_copies": Column(
            "copies %", "samples equal to a training image", table="memorisation", decimals=1, factor=100
        ),
        "near_copies": Column(
            "near copies %",
            "samples nearer to a training image than 99 % of the test images are; 1 % for unseen images",
            table="memorisation",
            decimals=1,
            factor=100,
        ),
    }
    SOURCES: ClassVar[tuple[str, ...]] = (
        GOODFELLOW_2014,
        THEIS_2016,
    )

    @torch.no_grad()
    def __call__(self, subject: Subject, reference: Reference) -> Result:
        """Score `subject` against `reference.train`.

        `reference.test` are the held-out images; `reference.valid` is not used.

        Raises:
            ValueError: half of the test images are copies of training images.
        """
        train = reference.train.flatten(1)  # (m, c, h, w) -> (m, d)
        ours, index = nearest(subject.samples.flatten(1), train)
        held_out, _ = nearest(reference.test.flatten(1), train)
        threshold = held_out.double().quantile(self.near)
        exact, near = float((ours == 0).double().mean()), float((ours.double() < threshold).double().mean())
        n, m = len(ours), len(held_out)
        ours_medians, held_medians = self.bootstrap(ours), self.bootstrap(held_out)
        ours_median, held_median = float(ours.median()), float(held_out.median())
        if held_median == 0:
            raise ValueError(
                "neighbours: half of the test images are copies of training images: the ratio is not defined"
            )

        ratios = float((ours_medians / held_medians).std())
        over, unit = "samples and test examples", "pixel distance"
        curves = {
            "distance of samples by share": by_share(ours),
            "distance of held-out images by share": by_share(held_out),
        }
        scores = {
            "ratio": Score(
                ours_median / held_median,
                ratios,
                over,
                n,
                "ratio",
                "neither",
                self.warning(exact, near),
                curves=curves,
            ),
            "exact_copies": Score(exact, share_error(exact, n), "samples", n, "share", "lower"),
            "near_copies": Score(near, share_error(near, n), "samples", n, "share", "lower"),
            "generated_median": Score(ours_median, float(ours_medians.std()), "samples", n, unit, "neither"),
            "held_out_median": Score(
                held_median, float(held_medians.std()), "test examples", m, unit, "neither"
            ),
        }
        first = subject.samples[:SHOWN]
        shifted, shifted_index = nearest_shifted(first, train)
        shown = {
            "shown_samples": first,
            "shown_neighbours": reference.train[index[:SHOWN]],
            "shown_shifted_neighbours": reference.train[shifted_index],
            "shown_shifted_distance": shifted,
        }
        return Result(scores, {"distance": ours, "index": index, "held_out_distance": held_out, **shown})

    def warning(self, exact: float, near: float) -> str:
        """Return a warning of one line if too many samples are copies, else ""."""
        if exact > self.tolerated:
            return f"more than {self.tolerated:.0%} of the samples are exact copies of training images"
        if near > self.tolerated:
            nearer = f"nearer to training images than {1 - self.near:.0%} of held-out images do"
            return f"more than {self.tolerated:.0%} of the samples lie {nearer}"
        return ""

    def bootstrap(self, values: Tensor) -> Tensor:
        """Return the medians of `resamples` bootstrap resamples: (n,) -> (resamples,)."""
        n = len(values)
        return torch.stack(
            [values[torch.randint(n, (n,), device=values.device)].median() for _ in range(self.resamples)]
        )


def by_share(distances: Tensor) -> dict[str, float]:
    """Return quantiles of `distances`: (n,), in steps of 1/40, as {share: distance}."""
    shares = torch.linspace(0, 1, 41, dtype=torch.float64, device=distances.device)
    quantiles = distances.double().quantile(shares).tolist()
    return {f"{share:g}": value for share, value in zip(shares.tolist(), quantiles, strict=True)}


def nearest_shifted(x: Tensor, train: Tensor) -> tuple[Tensor, Tensor]:
    """Return each image's least distance to a training image over shifts, and its index.

    x: (n, c, h, w), train: (m, d); distances and indices: (n,) each. An image is shifted
    by −1, 0 or 1 pixels along each axis, and its edge pixels fill the gap. The shift with
    the smallest distance counts.
    """
    _, _, h, w = x.shape
    padded = pad(x, (1, 1, 1, 1), mode="replicate")
    moved = [padded[:, :, i : i + h, j : j + w].flatten(1) for i in range(3) for j in range(3)]
    found = [nearest(each, train) for each in moved]
    # 9 shifts of (n,) each -> (9, n)
    distances, indices = (torch.stack(part) for part in zip(*found, strict=True))
    best = distances.argmin(0, keepdim=True)
    return distances.gather(0, best)[0], indices.gather(0, best)[0]


def share_error(p: float, n: int) -> float:
    """Return √(p(1−p)/n), the standard error of a share p of n independent samples."""
    return math.sqrt(p * (1 - p) / n)
