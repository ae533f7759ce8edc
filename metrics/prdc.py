"""Do samples lie where real images lie, and do they reach all of these?

The ball of an image reaches to its k-th nearest neighbour in its own set.

    coverage    share of real images whose ball holds a sample
    precision   share of samples in the ball of a real image
    recall      share of real images in the ball of a sample
    density     mean number of real balls that a sample is in, over k

Of all, higher is better. Coverage is the headline: it falls where samples are unlike the
data and where they leave out a part of these; it is at most 1; and no ball is of samples,
so that a few strange ones change nothing. For unseen real images its expectation is
known: 1 − Π (N − i)/(M + N − i), i = 1 … k, with N of them and M samples; 1 − 2⁻ᵏ where
N = M is large. That of density is 1.

What they miss: copies, which score as real images do (see the gain), and what happens
within a ball, which is large where dimensions are many: k-means centroids cover more than
real images do, and weak noise costs nothing.
Bias: all depend on N, k and the features. Samples that are strange have large balls and
raise recall; samples all near the middle of the data have a density above 1.
Ties: an image on the edge of a ball is in it, d ≤ r, as precision and recall were
defined. A set against itself then has coverage, precision and recall of exactly 1,
however many copies are in it, and a density of 1 + 1/k, more with copies: each ball holds
its centre and its k neighbours. With d < r, as in the package `prdc`, an image with k
copies has an empty ball. Without ties both are the same.
Standard error: over both sets; a jackknife that leaves out a tenth of both and makes the
balls anew: 0.9 to 2 times the spread over fresh sets (N = 500 to 2,000, d = 4 to 64).
Reference implementation: the package `prdc` 0.2, the same numbers unless distances tie;
`torch-fidelity` 0.4.0 has the same precision and recall.
Source: Kynkäänniemi et al. (2019), eq. 1 and 2; Naeem et al. (2020), eq. 3 to 5.
Cost: `metrics/balls.py`. The balls of the real images are made once for all rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from genmodel_bench.metrics.arrays import for_arrays
from genmodel_bench.metrics.balls import Balls, balls, counts, estimate
from genmodel_bench.metrics.base import Reference, Result, Subject
from genmodel_bench.metrics.column import Column
from genmodel_bench.metrics.comparison import Estimate, Quantity, compared
from torch import Tensor


@for_arrays
def precision_recall_density_coverage(samples: Tensor, real: Tensor, k: int = 5) -> Mapping[str, Estimate]:
    """Return coverage, precision, recall and density of samples against real images.

    samples: (m, d), real: (n, d), tensors or NumPy arrays, all float32 or all float64:
        an image's pixels or features a row.
    k: to which neighbour in its own set the ball of an image reaches.

    Each is an `Estimate`: its `value` is a share, of density a ratio, and `stderr` the
    standard error of that.

    >>> import numpy as np
    >>> samples, real = np.random.default_rng(0).normal(size=(2, 1000, 4))
    >>> coverage = precision_recall_density_coverage(samples, real, k=5)["coverage"]
    >>> print(f"{coverage.value:.2f} ± {coverage.stderr:.2f}")
    0.97 ± 0.01

    Raises:
        ValueError: a set has no more than k rows; value types differ.
    """
    return measured(balls(samples, k), balls(real, k), k)


def measured(samples: Balls, real: Balls, k: int) -> Mapping[str, Estimate]:
    """Return the estimates of two sets whose balls reach to the k-th neighbour."""
    found = counts(samples, real)
    m, n = (of.there.sum(0).double() for of in (samples, real))
    return {
        "coverage": estimate((found.covered > 0).sum(0) / n),
        "precision": estimate((found.held > 0).sum(0) / m),
        "recall": estimate((found.recalled > 0).sum(0) / n),
        "density": estimate(found.held.sum(0) / (k * m)),
    }


PROMISES = {
    "coverage": (("real", "one class"), ("real", "mean image")),
    "precision": (),
    "recall": (("real", "one class"), ("real", "mean image")),
    "density": (),
}


@dataclass(frozen=True)
class PRDC:
    """Coverage, precision, recall and density, by the protocol of `comparison`.

    features: the features in which distances are taken.
    k: to which neighbour in its own set the ball of an image reaches.
    """

    features: str = "classifier"
    k: int = 5
    needs: tuple[type, ...] = ()
    quantities: ClassVar[Mapping[str, Quantity]] = {
        "coverage": Quantity("share", "higher"),
        "precision": Quantity("share", "higher"),
        "recall": Quantity("share", "higher"),
        "density": Quantity("ratio", "higher"),
    }
    SOURCES: ClassVar[tuple[str, ...]] = (
        """@inproceedings{kynkaanniemi2019improved,
            author = {Kynk{\\"a}{\\"a}nniemi, Tuomas and Karras, Tero and Laine, Samuli and Lehtinen, Jaakko
                and Aila, Timo},
            title = {Improved Precision and Recall Metric for Assessing Generative Models},
            booktitle = {Advances in Neural Information Processing Systems},
            year = {2019}}""",
        """@inproceedings{naeem2020reliable,
            author = {Naeem, Muhammad Ferjad and Oh, Seong Joon and Uh, Youngjung and Choi, Yunjey and Yoo,
                Jaejun},
            title = {Reliable Fidelity and Diversity Metrics for Generative Models},
            booktitle = {International Conference on Machine Learning},
            year = {2020}}""",
    )

    @property
    def min_samples(self) -> int:
        """The fewest samples with which each ball can be made without a tenth of them."""
        return 2 * self.k + 2

    @property
    def columns(self) -> Mapping[str, Column]:
        """All four in the classifier's features, coverage alone in others."""
        near = f"its {self.k} nearest"
        says = {
            "coverage": f"share of test images that have a sample as near as {near} test images",
            "precision": f"share of samples as near to a test image as {near} test images are",
            "recall": f"share of test images as near to a sample as {near} samples are",
            "density": f"test images that a sample is so near to, over {self.k}; 1 for unseen real images",
        }
        if self.features != "classifier":
            title, promises = f"coverage {self.features}", PROMISES["coverage"]
            return {
                "coverage": Column(
                    title, says["coverage"], "features", 3, floor="coverage_floor", promises=promises
                )
            }
        return {
            name: Column(name, text, floor=f"{name}_floor", promises=PROMISES[name])
            for name, text in says.items()
        }

    def prepare(self, x: Tensor) -> Balls:
        """Return the balls of features (N, d)."""
        return balls(x, self.k)

    def estimate(self, x: Balls, real: Balls) -> Mapping[str, Estimate]:
        """Return the four quantities of samples and real images."""
        return measured(x, real, self.k)

    @torch.no_grad()
    def __call__(self, subject: Subject, reference: Reference) -> Result:
        """Score `subject` against the test images of `reference`, or of each fold.

        Raises:
            NotApplicable: the data lack what the features need.
            ValueError: there are no more than k test images.
        """
        return compared(self, subject, reference, k=self.k)
