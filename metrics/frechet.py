"""How far are samples from real images by the mean and covariance of their features?

    fd            the squared Fréchet distance of `metrics/gaussian.py` between N samples
                  and N real images; lower is better
    fd_infinity   extrapolated to infinitely many of both: FD at N, N/2 and N/4 (means
                  over disjoint parts) on a line against 1/N, followed to 1/N = 0

In features of the Inception network it is FID, and in no others: only FIDs of the same
features and the same N compare.

What it measures: whether the first two moments of the features are those of the data.
What it misses: all beyond two moments; copies of training images, which score as unseen
real images do; what the features do not see.
Bias: `fd` upwards. Of two sets from one Gaussian, of unit variance in each of k features,
it is (k + k (k + 1) / 4) · 2/N for N ≫ k: another N is another number. `fd_infinity` has
none of order 1/N: at N = 300 and k = 64, −0.1 is left of 7.4. Where N/4 ≤ k it warns.
Standard error: from the influence of each point on the number (the infinitesimal
jackknife), not a bootstrap, whose repeated rows shrink covariances. Near the floor it is
about 1.5 times too large. The error of `fd_infinity` counts what extrapolation adds.
Reference implementation: `fid_statistics_to_metric` of torch-fidelity 0.4.0 and
`_compute_fid` of torchmetrics 1.9.0, agreed within 1e-12 relative on 2,000 × 64.
Cost: 1 s on one thread for five draws of 10,000 × 64 on MNIST; 1.6 GB and a quarter of an
hour for 2,048 features.
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
from genmodel_bench.metrics.distances import full_precision
from genmodel_bench.metrics.gaussian import Gaussian, between
from genmodel_bench.metrics.mind import shuffled
from genmodel_bench.metrics.orders import DISTANCE
from genmodel_bench.metrics.points import check_points
from torch import Tensor

PARTS = (1, 2, 4)
"""Into how many disjoint parts the sets are cut, for one size after the other."""


@for_arrays
@full_precision()
@torch.no_grad()
def frechet_distance(x: Tensor, y: Tensor) -> float:
    """Return the squared Fréchet distance of the Gaussians fitted to two sets.

    x: (n, k), y: (m, k), at least two points each; computed in float64. It is in squared
    units of the points, at least 0.

    Raises:
        ValueError: the sets are of another form, or hold NaN or infinity.

    Example:
        >>> import torch
        >>> from genmodel_bench.metrics.frechet import frechet_distance
        >>> x = torch.tensor([[0.0, 0.0], [1.0, 1.0], [2.0, 5.0]])
        >>> frechet_distance(x, x + 3)  # 3² + 3²
        18.0
    """
    check_points("frechet_distance", x, y)
    return between(Gaussian(x), Gaussian(y))[0]


def intercept(inverse: Tensor) -> Tensor:
    """Return weights of values at 1/N = `inverse`: their sum is the value at 1/N = 0.

    It is the line of least squares that is followed: 1, ½, −½ for N, N/2, N/4.
    """
    centred = inverse - inverse.mean()
    return 1 / len(inverse) - inverse.mean() * centred / centred.square().sum()


@dataclass(frozen=True)
class Frechet:
    """The squared Fréchet distance of features, at N and extrapolated.

    features: their name (`metrics/features.py`).
    """

    features: str = "classifier"
    min_samples: int = 8
    needs: tuple[type, ...] = ()
    quantities: ClassVar = {
        "fd": Quantity("squared feature units", "lower"),
        "fd_infinity": Quantity("squared feature units", "lower"),
    }
    SOURCES: ClassVar[tuple[str, ...]] = (
        """@inproceedings{heusel2017gans,
            author = {Heusel, Martin and Ramsauer, Hubert and Unterthiner, Thomas and
                Nessler, Bernhard and Hochreiter, Sepp},
            title = {{GANs} Trained by a Two Time-Scale Update Rule Converge to a Local {Nash}
                Equilibrium},
            booktitle = {Advances in Neural Information Processing Systems 30},
            year = {2017}}""",
        """@inproceedings{chong2020effectively,
            author = {Chong, Min Jin and Forsyth, David},
            title = {Effectively Unbiased {FID} and {Inception} Score and Where to Find Them},
            booktitle = {IEEE/CVF Conference on Computer Vision and Pattern Recognition},
            year = {2020}}""",
    )

    @property
    def columns(self) -> Mapping[str, Column]:
        """The column of `fd`; in the classifier's features that of its gain, too."""
        own = self.features == "classifier"
        gain = Column(
            "FD gain",
            "by how much FD is less against as many training images than against test images: copies gain",
            table="memorisation",
            floor="fd_gain_floor",
        )
        return {
            "fd": Column(
                "FD" if own else f"FD {self.features}",
                "squared Fréchet distance of the samples' features from those of as many test images",
                table="quality" if own else "features",
                floor="fd_floor",
                promises=DISTANCE,
            ),
            **({"fd_gain": gain} if own else {}),
        }

    def __call__(self, subject: Subject, reference: Reference) -> Result:
        """Score `subject` by the protocol of `metrics/comparison.py`."""
        return compared(self, subject, reference)

    def prepare(self, x: Tensor) -> list[list[Gaussian]]:
        """Return the Gaussians of the disjoint parts, for each number of parts."""
        x = x[shuffled(len(x), x)]  # samples may come sorted, or one class after the other
        return [[Gaussian(part) for part in x.tensor_split(p)] for p in PARTS]

    def estimate(self, x: list[list[Gaussian]], real: list[list[Gaussian]]) -> Mapping[str, Estimate]:
        """Return both distances of two sets of N points each."""
        values, added, inverse = [], [], []
        for ours, theirs in zip(x, real, strict=True):
            value, of_x, of_y = zip(*map(between, ours, theirs), strict=True)
            values.append(math.fsum(value) / len(value))
            added.append(torch.stack([torch.cat(of_x), torch.cat(of_y)]))  # of all parts: (2, N)
            inverse.append(math.fsum(1 / len(part.points) for part in ours) / len(ours))
        (n, k), least = x[0][0].points.shape, len(x[-1][-1].points)
        weights = intercept(torch.tensor(inverse, dtype=torch.float64))

        def estimate(w: Tensor, warning: str = "") -> Estimate:
            # (sizes,) · (sizes, 2, N) -> (2, N)
            influence = torch.tensordot(w.to(added[0]), torch.stack(added), 1)
            error = math.sqrt(float(influence.var(1).sum()) / n)
            return Estimate(float(w @ torch.tensor(values, dtype=w.dtype)), error, warning)

        few = f"fd_infinity: got {least} images a part, expected more than {k} features" if least <= k else ""
        return {"fd": estimate(torch.eye(len(PARTS)).double()[0]), "fd_infinity": estimate(weights, few)}
