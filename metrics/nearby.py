"""Which rows are near each other: the k nearest within a set, the pairs within a radius?

Both search with the matrix products of `metrics/distances.py`, block by block, and never
hold all distances. Distances that decide are then computed from differences, so that a
copy has a distance of exactly 0 and equal distances are equal.

Reference implementation: `sklearn.neighbors.NearestNeighbors` in float64, agreed within
1e-6 relative for float32.
Cost at n = 10,000, d = 784, in matrix products of n × n × d on one thread: 1.1 for
`k_nearest`, which makes each pair once, and 1.2 for `pairs_within`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from genmodel_bench.metrics.distances import block_shape, squared_distance_blocks, squared_norms
from torch import Tensor

GROUP = 8
"""Into groups of how many the columns are put: the k nearest are in k groups at most."""

AT_ONCE = 2**18
"""The most numbers of differences that are held at once."""


@torch.no_grad()
def k_nearest(x: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return each row's squared distances to its k nearest other rows, and their indices.

    x: (n, d), n > k. Distances: (n, k), float64, in ascending order; indices: (n, k). A
    row is not its own neighbour; its copies are, at distance 0.

    Raises:
        ValueError: there are not more than k rows.
    """
    n = len(x)
    if not 0 < k < n:
        raise ValueError(f"k_nearest: got {n} rows and k = {k}, expected more rows than k, and k ≥ 1")
    best = x.new_full((n, k), torch.inf)
    index = torch.zeros(n, k, device=x.device, dtype=torch.int64)

    def keep(rows: slice, distances: Tensor, offset: int) -> None:
        values, columns = lowest(distances, k)
        values, chosen = torch.cat([best[rows], values], 1).topk(k, largest=False)
        best[rows] = values
        index[rows] = torch.cat([index[rows], columns + offset], 1).gather(1, chosen)

    strip = max(block_shape(x.device))
    for start in range(0, n, strip):
        # Pairs with the rows before `start` were made from these rows' side.
        for rows, columns, a, b in squared_distance_blocks(x[start : start + strip], x[start:]):
            b.add_(a.to(b.dtype))
            apart = rows.start - columns.start
            if -len(b) < apart < b.shape[1]:
                b.diagonal(apart).fill_(torch.inf)
            keep(moved(rows, start), b, start + columns.start)
            new = slice(max(columns.start, strip), columns.stop)
            if new.start < new.stop:
                later = b[:, new.start - columns.start :].T.contiguous()
                keep(moved(new, start), later, start + rows.start)
    centres = torch.arange(n, device=x.device)[:, None].expand(n, k)
    exact = squared_distances(x, centres.flatten(), x, index.flatten()).view(n, k)
    exact, order = exact.sort(1)
    return exact, index.gather(1, order)


def moved(part: slice, by: int) -> slice:
    """Return a slice of rows that lie `by` rows further on."""
    return slice(part.start + by, part.stop + by)


def lowest(values: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return the k smallest of each row and their columns, all where there are fewer.

    values: (r, c), contiguous; both results (r, k), in any order.
    """
    _, c = values.shape
    groups, k = c // GROUP, min(k, c)
    if c % GROUP or groups < 2 * k:
        return values.topk(k, largest=False, sorted=False)
    # (r, c) -> (r, GROUP, groups) -> the k groups with the smallest minima, (r, k)
    minima = values.view(-1, GROUP, groups).amin(1)
    near = minima.topk(k, largest=False, sorted=False).indices
    members = torch.arange(0, c, groups, device=values.device)[:, None]
    columns = (near[:, None] + members).flatten(1)  # (r, GROUP, k) -> (r, GROUP · k)
    smallest, chosen = values.gather(1, columns).topk(k, largest=False, sorted=False)
    return smallest, columns.gather(1, chosen)


def squared_distances(x: Tensor, i: Tensor, s: Tensor, j: Tensor) -> Tensor:
    """Return ‖x[i] − s[j]‖² of pairs, computed from differences.

    i, j: (p,); the result: (p,), float64. Sums of float64: equal ones are equal within
    1e-12.
    """
    step = max(1, AT_ONCE // x.shape[1])
    parts = [squared_norms(x[i[p : p + step]] - s[j[p : p + step]]) for p in range(0, len(i), step)]
    return torch.cat(parts) if parts else x.new_zeros(0, dtype=torch.float64)


@torch.no_grad()
def pairs_within(
    x: Tensor, s: Tensor, of_x: Tensor, of_s: Tensor, *, open_x: Tensor
) -> Iterator[tuple[Tensor, Tensor, Tensor, float]]:
    """Yield (i, j, ‖x[i] − s[j]‖², error) of all pairs within one of two squared radii.

    x: (n, d), s: (m, d); i, j, distances: (p,) each. The radii are of_x: (n,), about each
    row of x, and of_s: (m,), about each row of s; for the latter a pair counts only where
    open_x: (n,), bool, which the caller may change on the way. A distance is wrong by
    `error` at most; pairs that are further apart by this much may be among them.
    """
    error = rounding(x, s)
    of_x, of_s = (of_x + error).to(x.dtype)[:, None], (of_s + error).to(x.dtype)
    for rows, columns, a, b in squared_distance_blocks(x, s):
        b.add_(a.to(b.dtype))
        near = b <= of_s[columns]
        near &= open_x[rows, None]
        near |= b <= of_x[rows]
        i, j = near.nonzero(as_tuple=True)
        yield i + rows.start, j + columns.start, b[i, j].double(), error


def rounding(x: Tensor, s: Tensor) -> float:
    """Return a bound on the error of a squared distance by products: x (n, d), s (m, d).

    The error of a sum of d products grows as √d; 4 is for the several sums.
    """
    centre = s.mean(0)
    parts = (each[i : i + 4096] for each in (x, s) for i in range(0, len(each), 4096))
    largest = max(float(squared_norms(part - centre).max()) for part in parts)
    return 4 * torch.finfo(x.dtype).eps * math.sqrt(x.shape[1]) * largest
