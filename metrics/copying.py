"""How unlikely is it that samples are this near to training images without copying?

Functions of distances; each returns a statistic with its null. T are m training images,
H are n held-out images, d(y, T) is the distance of a sample y to the nearest of T.

    nearer_train     exact: without copying, T and H may exchange their labels
    c_t              exact given T: samples and held-out images are drawn alike, so that
                     their distances to T are in random order
    authenticity     exact given T, for the same reason
    near_copies      exact given T, for the same reason

All p are one-sided: small where samples are nearer to T than the null allows. What they
share: a null is P = Q for all but the first, so that samples of another quality than real
images, nearer or farther, break it too; and real images that resemble T more than H does
(the same writers, the same photographs) count as copies.
"""

from __future__ import annotations

import math

import torch
from genmodel_bench.metrics.nulls import Statistic, exchanged
from torch import Tensor


def nearer_train(
    to_train: tuple[Tensor, Tensor], to_held: tuple[Tensor, Tensor], m: int, n: int, permutations: int
) -> Statistic:
    """Return P(ρ < 1), ρ(y) = d(y, T) / d(y, H): 1/2 without copying, 1 for copies.

    to_train, to_held: the distances of samples to the nearest of T and of H, (N,) each,
        and which ones these are.

    Where T and H have different sizes, the odds are divided by m / n: with P = Q the
    nearest of all m + n images is one of T with probability m / (m + n). Ties count half.
    Samples with one nearest image in common all change sides when it does: the error and
    p, both of the null, count that. The null is that T and H are alike: samples drawn as
    H, where T is of other sources, are below 1/2.
    """
    (d_train, i_train), (d_held, i_held) = to_train, to_held
    share = (d_train < d_held).double() + 0.5 * (d_train == d_held).double()  # (N,)
    weights = share.new_zeros(m + n)
    weights.index_add_(0, i_train, share).index_add_(0, i_held + m, 1 - share)
    found, count = exchanged(weights, m, permutations), len(share)
    a = found.total / count  # share of samples whose nearest image is one of T
    value = a * n / (a * n + (1 - a) * m)
    stderr = found.stderr / count * (m + n) ** 2 / (4 * m * n)  # the slope where a = m / (m + n)
    return Statistic(value, stderr, found.p, 0.5, stderr)


FEWEST = 20
"""A cell with fewer samples, or held-out images, is left out of C_T, as in the paper."""


def c_t(ours: Tensor, held: Tensor, our_cells: Tensor, held_cells: Tensor) -> Statistic:
    """Return C_T: the Z of `mann_whitney` in each cell, weighted by its held-out images.

    ours, held: distances to the nearest of T, (N,) and (n,); cells: which cell each image
        is in. Without a cell of enough images, all are in one.

    Each Z has variance 1, and those of cells are independent.

    Source: Meehan, Chaudhuri and Dasgupta (2020), arXiv 2004.05675, section 3.
    Differs from the authors' code: the nearest image is that of T, not of T in the cell.
    """
    found = []  # (weight, Z)
    for cell in range(int(held_cells.max()) + 1):
        x, y = ours[our_cells == cell], held[held_cells == cell]
        if min(len(x), len(y)) >= FEWEST:
            found.append((len(y), mann_whitney(x, y)))
    if not found:
        found = [(1, mann_whitney(ours, held))]
    total = sum(weight for weight, _ in found)
    value = math.fsum(weight * z for weight, z in found) / total
    stderr = math.sqrt(sum(weight**2 for weight, _ in found)) / total
    return Statistic(value, stderr, normal_cdf(value / stderr), 0.0, stderr)


def mann_whitney(x: Tensor, y: Tensor) -> float:
    """Return the Z of U, the number of pairs with x > y, ties half; N(0, 1) if alike.

    The half taken from its mean is as in the code of Meehan et al. (2020).
    """
    ordered = y.sort().values
    below, up_to = torch.searchsorted(ordered, x), torch.searchsorted(ordered, x, right=True)
    u = float((below + up_to).double().sum()) / 2
    pairs = len(x) * len(y)
    return (u - (pairs / 2 - 0.5)) / math.sqrt(pairs * (len(x) + len(y) + 1) / 12)


def authenticity(ours: tuple[Tensor, Tensor], held: tuple[Tensor, Tensor], own: Tensor) -> Statistic:
    """Return the share of samples that are farther from their x* than x* is from T.

    ours, held: distances to the nearest image x* of T, and which one it is: (N,), (n,).
    own: the distance of each image of T to the nearest other one, (m,).

    0 for copies. Under P = Q it depends on the dimension (1/3 in one, 0.3785 in two), so
    that it says something beside the share of held-out images alone: the p is that of
    Fisher's exact test of the two shares.

    Source: Alaa et al. (2022), arXiv 2102.08921, section 3.2; the authors' code looks up
    `own` at the number of the sample, instead of x*.
    """
    from scipy.stats import hypergeom  # here: each process that starts would wait for it

    (x, y), (count, size) = ((int((d > own[i]).sum()) for d, i in (ours, held)), (len(ours[0]), len(held[0])))
    p = float(hypergeom.cdf(x, count + size, x + y, count))
    value, floor = x / count, y / size
    return Statistic(value, share_error(value, count), p, floor, share_error(floor, size))


def near_copies(ours: Tensor, held: Tensor, near: float) -> Statistic:
    """Return the share of samples nearer to T than a share `near` of held-out images is.

    ours, held: distances to the nearest of T, (N,) and (n,).

    The threshold is the k-th smallest distance of held-out images; if distances are in
    random order, the number of samples below it is beta-binomial of N, k and n + 1 − k.
    """
    from scipy.stats import betabinom  # here: each process that starts would wait for it

    count, size = len(ours), len(held)
    k = max(1, int(near * size))
    below = int((ours < held.kthvalue(k).values).sum())
    null = count, k, size + 1 - k
    p = float(betabinom.pmf(range(below, count + 1), *null).sum())  # 1 − cdf is 0 in far tails
    value, floor = below / count, k / (size + 1)
    stderr = math.hypot(share_error(value, count), share_error(floor, size))  # and of the threshold
    return Statistic(value, stderr, min(1.0, p), floor, float(betabinom.std(*null)) / count)


def share_error(p: float, n: int) -> float:
    """Return √(p(1−p)/n), the standard error of a share p of n."""
    return math.sqrt(p * (1 - p) / n)


def normal_cdf(z: float) -> float:
    """Return P(Z ≤ z) of a standard normal Z."""
    return math.erfc(-z / math.sqrt(2)) / 2
