"""Have two sets of points one distribution, by a test with Gaussian kernels?

The kernel is the mean of exp(−|a − b|² / 2h²) over five bandwidths h. The points of both
sets are divided into two sets of the same sizes at random, many times; p is the share of
divisions, that which is given among them, whose MMD² is at least as large as the given
one's. All are had from one matrix of kernels and one matrix product.

Source: Gretton et al. (2012), A Kernel Two-Sample Test, JMLR 13, Lemma 6.
"""

from __future__ import annotations

import math

import torch
from genmodel_bench.metrics.arrays import for_arrays
from genmodel_bench.metrics.comparison import Estimate
from genmodel_bench.metrics.distances import full_precision, squared_norms
from genmodel_bench.metrics.kernel import mmd
from genmodel_bench.metrics.points import check_points
from torch import Tensor

MULTIPLES = (0.25, 0.5, 1.0, 2.0, 4.0)
"""The bandwidths, in multiples of the middle one."""


@for_arrays
@full_precision()
@torch.no_grad()
def kernel_test(x: Tensor, y: Tensor, h: float, *, permutations: int = 500) -> tuple[Estimate, Estimate]:
    """Return the unbiased MMD² of two sets of points, and the p-value of their equality.

    x: (n, k), y: (m, k), at least three points each, of one float dtype, in which kernels
        are computed.
    h: the middle bandwidth, in the units of the points; kernels have no unit.
    permutations: how many times the points are divided anew; the least p is
        1/(permutations + 1).

    Raises:
        ValueError: the sets are of another form, or hold NaN or infinity; h ≤ 0.

    Example:
        >>> import torch
        >>> from genmodel_bench.metrics.permutations import kernel_test
        >>> x, y = torch.arange(20.0)[:, None], torch.arange(10.0, 30.0)[:, None]
        >>> mmd2, p = kernel_test(x, y, 6.0, permutations=999)
        >>> round(mmd2.value, 3), p.value
        (0.221, 0.001)
    """
    check_points("kernel_test", x, y, least=3)
    if not h > 0:
        raise ValueError(f"kernel_test: got h = {h}, expected a bandwidth above 0; give median_distance(y)")
    kernel = kernels(torch.cat([x, y]), h)  # (n + m, n + m), with a diagonal of zeros
    n, m = len(x), len(y)
    parts = (kernel[:n, :n], kernel[n:, n:], kernel[:n, n:], kernel[n:, :n])
    xx, yy, xy, yx = (part.sum(1, dtype=torch.float64) for part in parts)
    found = mmd(xx / (n - 1), yy / (m - 1), xy / m, yx / n)
    values = divided(kernel, signs(n, m, permutations, kernel))
    p = float((values >= values[0]).double().mean())
    return found, Estimate(p, math.sqrt(p * (1 - p) / permutations))


def kernels(points: Tensor, h: float) -> Tensor:
    """Return the mean kernel of each pair of two different points: (n, k) -> (n, n)."""
    x = points - points.mean(0)
    norms = squared_norms(x).to(x.dtype)
    kernel = x.new_zeros(len(x), len(x))
    for i in range(0, len(x), 512):
        rows = kernel[i : i + 512]
        squares = torch.addmm(norms, x[i : i + 512], x.T, alpha=-2) + norms[i : i + 512, None]
        for multiple in MULTIPLES:
            rows += torch.exp(squares / (-2 * (multiple * h) ** 2))
    return kernel.div_(len(MULTIPLES)).fill_diagonal_(0)


def signs(n: int, m: int, permutations: int, like: Tensor) -> Tensor:
    """Return +1 for n points and −1 for m: (n + m, 1 + permutations), at random.

    The first column is the order as it is. They are always the same ones.
    """
    always = torch.Generator().manual_seed(0)
    draws = torch.rand(permutations, n + m, generator=always, dtype=torch.float64)  # float32 has ties
    draws = torch.cat([torch.arange(n + m)[None], draws])
    first = draws <= draws.kthvalue(n, dim=1, keepdim=True).values
    return torch.where(first, 1, -1).T.to(like)


def divided(kernel: Tensor, signs: Tensor) -> Tensor:
    """Return the unbiased MMD² of the points with +1 from those with −1, of each column.

    kernel: (n, n), symmetric, with a diagonal of zeros. signs: (n, p). Result: (p,).
    One product gives them all: with A and B the sums of kernels within the two sets and C
    that between them, z·Kz = A + B − 2C, 1·Kz = A − B and 1·K1 = A + B + 2C.
    """
    products = (signs * (kernel @ signs)).sum(0, dtype=torch.float64)
    sums = kernel.sum(1, dtype=torch.float64)
    total, apart = sums.sum(), sums @ signs.double()
    n = int((signs[:, 0] > 0).sum())
    m = len(signs) - n
    a, b = (total + products) / 4 + apart / 2, (total + products) / 4 - apart / 2
    return a / (n * (n - 1)) + b / (m * (m - 1)) - (total - products) / (2 * n * m)


def median_distance(x: Tensor) -> float:
    """Return the median distance between two of some points, (n, k), to four digits."""
    return float(f"{float(torch.pdist(x).median()):.4g}")
