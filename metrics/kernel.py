"""How far are samples from real images by all moments of their features up to the third?

    kd = unbiased MMD² with the kernel k(a, b) = (a·b / d + 1)³ of d features

    MMD² = mean of k(x, x′) + mean of k(y, y′) − 2 · mean of k(x, y)

over all pairs of two different samples, of two different real images, and of one of each.
In features of the Inception network it is KID, and in no others; there it is mostly
printed as a mean over random subsets of 1,000, which has the same expectation.

What it measures: whether means, covariances and third moments are those of the data.
What it misses: all beyond the third moments; copies of training images, which score as
unseen real images do; what the features do not see. The kernel is of no unit: features of
another scale give another number.
Bias: none, at any N; it may be below 0.
Standard error: from the influence of each point, twice the mean of its own kernels less
that of its kernels with the other set (a jackknife from row sums). Near the floor it is
√2 times too large.
Reference implementation: `kid_features_to_metric` of torch-fidelity 0.4.0 with one subset
of all rows and scikit-learn's `polynomial_kernel`, agreed within 1e-12.
Cost: 7 s on one thread for five draws of 10,000 × 64 on MNIST; blocks of 4 MiB
(128 MiB on CUDA).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from genmodel_bench.metrics.arrays import for_arrays
from genmodel_bench.metrics.base import Reference, Result, Subject
from genmodel_bench.metrics.column import Column
from genmodel_bench.metrics.comparison import Estimate, Quantity, compared
from genmodel_bench.metrics.distances import block_shape, full_precision
from genmodel_bench.metrics.points import check_points
from torch import Tensor


@for_arrays
@full_precision()
@torch.no_grad()
def kernel_distance(x: Tensor, y: Tensor) -> float:
    """Return the unbiased squared MMD of two sets, with the kernel (a·b / k + 1)³.

    x: (n, k), y: (m, k), at least two points each; computed in float64, without a unit.
    It may be below 0.

    Raises:
        ValueError: the sets are of another form, or hold NaN or infinity.

    Example:
        >>> import torch
        >>> from genmodel_bench.metrics.kernel import kernel_distance
        >>> kernel_distance(torch.zeros(3, 2), torch.ones(4, 2))  # 1³ + 2³ − 2 · 1³
        7.0
    """
    check_points("kernel_distance", x, y)
    x, y = x.double(), y.double()
    return mmd(within(x), within(y), *across(x, y)).value


def mmd(xx: Tensor, yy: Tensor, xy: Tensor, yx: Tensor) -> Estimate:
    """Return the unbiased MMD² of the mean kernels of each point.

    xx: of each x with the other x, (n,). yy: likewise, (m,). xy: of each x with all y,
    (n,). yx: of each y with all x, (m,).
    """
    x, y = xx - xy, yy - yx
    error = 2 * math.sqrt(float(x.var() / len(x) + y.var() / len(y)))
    return Estimate(float(x.mean() + y.mean()), error)


def within(x: Tensor) -> Tensor:
    """Return the mean cubic kernel of each point with all others: (n, k) -> (n,)."""
    own = cubic(x.square().sum(1) / x.shape[1])
    return (across(x, x)[0] * len(x) - own) / (len(x) - 1)


def across(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean cubic kernel of each x with all y, (n,), and of each y, (m,).

    Kernels are computed in blocks, so that memory is bounded.
    """
    of_x, of_y = x.new_zeros(len(x)), y.new_zeros(len(y))
    rows, columns = block_shape(x.device)
    for i in range(0, len(x), rows):
        for j in range(0, len(y), columns):
            block = cubic(x[i : i + rows] @ (y[j : j + columns].T / x.shape[1]))  # (rows, columns)
            of_x[i : i + rows] += block.sum(1)
            of_y[j : j + columns] += block.sum(0)
    return of_x / len(y), of_y / len(x)


def cubic(products: Tensor) -> Tensor:
    """Return (p + 1)³ of each product, in place."""
    products += 1
    return products.pow_(3)


@dataclass(frozen=True)
class Kernel:
    """The unbiased squared MMD of features, with the cubic kernel.

    features: their name (`metrics/features.py`).
    """

    features: str = "classifier"
    min_samples: int = 3
    needs: tuple[type, ...] = ()
    quantities: ClassVar = {"kd": Quantity("kernel units", "lower")}
    SOURCES: ClassVar[tuple[str, ...]] = (
        """@inproceedings{binkowski2018demystifying,
            author = {Bi{\\'n}kowski, Miko{\\l}aj and Sutherland, Danica J. and Arbel, Michael and
                Gretton, Arthur},
            title = {Demystifying {MMD} {GANs}},
            booktitle = {International Conference on Learning Representations},
            year = {2018}, eprint = {1801.01401}, archivePrefix = {arXiv}}""",
    )

    @property
    def columns(self) -> Mapping[str, Column]:
        """The column of `kd`."""
        own = self.features == "classifier"
        return {
            "kd": Column(
                "KD × 1000" if own else f"KD × 1000 {self.features}",
                "unbiased squared MMD of the samples' features from those of as many test images, with the "
                "cubic kernel of KID, times 1,000",
                table="quality" if own else "features",
                factor=1000,
                floor="kd_floor",
                # the mean image has the right mean, and little else: it may look good
                promises=(("real", "shifted"), ("real", "one class"), ("nine classes", "one class")),
            )
        }

    def __call__(self, subject: Subject, reference: Reference) -> Result:
        """Score `subject` by the protocol of `metrics/comparison.py`."""
        return compared(self, subject, reference)

    def prepare(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the features, float64, and each row's mean kernel with the others."""
        x = x.double()
        return x, within(x)

    def estimate(self, x: tuple[Tensor, Tensor], real: tuple[Tensor, Tensor]) -> Mapping[str, Estimate]:
        """Return the distance of two sets."""
        return {"kd": mmd(x[1], real[1], *across(x[0], real[0]))}
