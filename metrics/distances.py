"""How are squared distances between many images computed in bounded memory?

‖x − s‖² = ‖x‖² + ‖s‖² − 2 x·s turns them into one matrix product. Both sides are first moved by the mean of the second, which
leaves the distances and shrinks the terms that cancel. TF32 and half precision are off: they cost whole nats in the Parzen estimate.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

BLOCK = 16 * 2**20
"""Most distances held at once: 64 MiB in float32."""


@contextmanager
def full_precision() -> Iterator[None]:
    """Switch TF32 and every other shortcut of float32 products off, and back as they were."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def squared_distance_blocks(x: Tensor, s: Tensor, *, block: int = BLOCK) -> Iterator[tuple[slice, slice, Tensor]]:
    """Yield (rows, columns, ‖x[rows] − s[columns]‖²) until every pair was had once, rows outermost.

    x: (n, d), s: (m, d), one float dtype; each tensor of distances is fresh and ≥ 0, and its values hold to about 1e-6
    of ‖x‖² + ‖s‖² in float32. At most `block` distances exist at once.
    """
    centre = s.mean(0)
    # x and s may be mapped from files larger than memory: only blocks of them are copied, also where the other has few rows.
    most = max(1, block // min(x.shape[1], 1000))
    columns = min(len(s), most, max(1, block // min(len(x), 1024)))
    rows = min(most, max(1, block // columns))
    s2 = [(s[j : j + columns] - centre).square_().sum(1) for j in range(0, len(s), columns)]
    for i in range(0, len(x), rows):
        xi = x[i : i + rows] - centre
        x2 = xi.square().sum(1, keepdim=True)
        for k, j in enumerate(range(0, len(s), columns)):
            sj = s[j : j + columns] - centre
            with full_precision():
                d2 = torch.addmm(s2[k], xi, sj.T, alpha=-2)  # (rows, columns)
            # Rounding can push the distance of near-identical images under 0.
            d2 = d2.add_(x2).clamp_min_(0)
            yield slice(i, i + rows), slice(j, j + columns), d2
            del d2  # the caller's now: with the next one there would be two


def nearest(x: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
    """Return for each row of x: (n, d) the Euclidean distance to the nearest row of s: (m, d), and its index: (n,), (n,).

    The winner is found by the matrix product and its distance computed again from the difference, so that a copy has
    distance exactly 0.
    """
    best = torch.full((len(x),), torch.inf, device=x.device, dtype=x.dtype)
    index = torch.zeros(len(x), device=x.device, dtype=torch.int64)
    for rows, columns, d2 in squared_distance_blocks(x, s):
        value, j = d2.min(1)
        closer = value < best[rows]
        best[rows] = torch.where(closer, value, best[rows])
        index[rows] = torch.where(closer, j + columns.start, index[rows])
    pairs = ((x[i : i + 4096], s[index[i : i + 4096]]) for i in range(0, len(x), 4096))
    return torch.cat([(a - b).norm(dim=1) for a, b in pairs]), index
