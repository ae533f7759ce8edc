"""By how much are test points less likely under samples than under real points?

    FLD = 100 (nll − nll of real points) / k
    nll = −mean over x of log 1/n Σ_j N(x; s_j, v_j · 1)

x are test points of k features, which are first moved to mean 0 and variance 1 over
these. The variances v are fitted to training points (`metrics/mixture.py`).

Source: Jiralerspong et al. (2023), arXiv 2302.04440, and the authors' marcojira/fld.
Differs from the release: see `metrics/mixture.py`. Both the samples and the real points
are fitted to the training points that are not the real ones, there the samples to all.
Features that do not vary over the test points are left out; there they divide by 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from genmodel_bench.metrics.arrays import for_arrays
from genmodel_bench.metrics.comparison import Estimate, mean_of
from genmodel_bench.metrics.mind import shuffled
from genmodel_bench.metrics.mixture import fitted_variances, log_probs
from torch import Tensor


@dataclass(frozen=True)
class Nll:
    """−log p / k, float64: of the points that were fitted, (m,), and of test points."""

    fitted: Tensor
    test: Tensor

    @property
    def gap(self) -> Estimate:
        """Return by how much fitted points are less likely than test ones, times 100."""
        variance = sum(float(x.var()) / len(x) for x in (self.fitted, self.test))
        return Estimate(100 * float(self.fitted.mean() - self.test.mean()), 100 * math.sqrt(variance))

    def against(self, real: Nll) -> dict[str, Estimate]:
        """Return FLD and gap, where 0 is the nll of `real`."""
        return {"fld": mean_of(self.above(real)), "gap": self.gap}

    def above(self, real: Nll) -> Tensor:
        """Return what each test point adds to FLD."""
        return 100 * (self.test - real.test)


@torch.no_grad()
def nll(centres: Tensor, fitted: Tensor, test: Tensor) -> Nll:
    """Return −log p / k under Gaussians around centres, (n, k), of fitted widths."""
    variances = fitted_variances(fitted, centres)
    found = [-log_probs(x, centres, variances) / x.shape[1] for x in (fitted, test)]
    return Nll(*found)


@for_arrays
@torch.no_grad()
def feature_likelihood_divergence(samples: Tensor, train: Tensor, test: Tensor) -> tuple[float, float]:
    """Return FLD and its gap of samples, (n, k), against train, (m, k), and test, (l, k).

    As many training points as there are samples, half of them at most, are the centres of
    the baseline; the variances of both are fitted to the others.
    """
    scale = Scale(test)
    size = min(len(samples), len(train) // 2)
    samples, train, test = scale(samples), scale(train)[shuffled(len(train), train)], scale(test)
    ours, real = (nll(centres, train[size:], test) for centres in (samples, train[:size]))
    return float(ours.above(real).mean()), ours.gap.value


class Scale:
    """Moves features to mean 0 and variance 1 over `test`; leaves out constant ones.

    test: (n, k).
    """

    def __init__(self, test: Tensor) -> None:
        std, mean = torch.std_mean(test, 0)
        self.kept = std > 1e-6 * std.max()  # rounding of float32 makes constant ones vary
        if not self.kept.any():
            raise ValueError("fld: no feature varies over the test images; give other images or features")
        self.mean, self.std = mean[self.kept], std[self.kept]

    def __call__(self, x: Tensor) -> Tensor:
        """Return features that are moved, (n, k) -> (n, kept)."""
        return (x[:, self.kept] - self.mean) / self.std
