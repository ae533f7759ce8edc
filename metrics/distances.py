"""How are squared distances between many images computed in bounded memory?

‖x − s‖² = ‖x‖² + ‖s‖² − 2 x·s turns them into one matrix product. The mean of up to 4,096
rows of s is first subtracted from both: distances stay the same, and the terms that
cancel get smaller. TF32 and half precision are off: with them the Parzen estimate is
wrong by whole nats.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

RESIDENT = 64 * 2**20
"""The most bytes of the centred copy of s that are held at once."""


@contextmanager
def full_precision() -> Iterator[None]:
    """Turn off TF32 and all other reduced precision in float32 matrix products.

    On leaving, the setting is restored.
    """
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def block_shape(device: torch.device) -> tuple[int, int]:
    """Return the numbers of rows and columns of distances that are computed at once.

    On a CPU each thread's share is 2 MiB in float32: it is still in the core's own cache
    when the distances are used. On CUDA a block is 64 MiB, enough to fill the device.
    """
    if device.type == "cuda":
        return 4096, 4096
    return min(512 * torch.get_num_threads(), 8192), 1024


def squared_distance_blocks(
    x: Tensor, s: Tensor, *, scale: float = 1.0, dtype: torch.dtype | None = None
) -> Iterator[tuple[slice, slice, Tensor, Tensor]]:
    """Yield (rows, columns, a, b) with scale · ‖x[rows] − s[columns]‖² = a + b.

    Every pair of rows is in exactly one block. Each b overwrites the one before it.

    x: (n, d), s: (m, d), of the same float dtype, without gradients; they may be mapped
        from files larger than memory: both are read in order, and copied only in parts.
    a: (rows, 1), float64, the same for every column.
    b: (rows, columns), of `dtype` (default: that of x and s).

    In float32 the error of a + b is about 1e-6 of scale · (‖x‖² + ‖s‖²): the squared
    distance of nearly identical images may come out negative.
    """
    dtype = dtype or x.dtype
    rows, columns = block_shape(x.device)
    resident = max(1, RESIDENT // (x.shape[1] * dtype.itemsize))
    rows = min(rows, resident)
    centre = s[:: -(-len(s) // 4096)].to(dtype).mean(0)  # any point near the data will do
    buffer = torch.empty(min(rows, len(x)) * min(columns, len(s)), dtype=dtype, device=x.device)
    for first in range(0, len(s), resident):
        moved = s[first : first + resident] - centre
        s2 = (squared_norms(moved) * scale).to(dtype)
        for i in range(0, len(x), rows):
            xi = x[i : i + rows] - centre
            x2 = squared_norms(xi)[:, None] * scale
            for j in range(0, len(moved), columns):
                sj = moved[j : j + columns]
                b = buffer[: len(xi) * len(sj)].view(len(xi), len(sj))
                with full_precision():
                    torch.addmm(s2[j : j + columns], xi, sj.T, alpha=-2 * scale, out=b)
                yield slice(i, i + len(xi)), slice(first + j, first + j + len(sj)), x2, b


def squared_norms(x: Tensor) -> Tensor:
    """Return ‖x‖² of each row, summed in float64: (n, d) -> (n,)."""
    norms: Tensor = torch.linalg.vector_norm(x, dim=1, dtype=torch.float64)
    return norms.square_()


@torch.no_grad()
def nearest(x: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
    """Return each row's Euclidean distance to the nearest row of s, and that row's index.

    x: (n, d), s: (m, d); distances and indices: (n,) each. The nearest row is found by
    the matrix product; its distance is then computed from the difference, so that a copy
    has a distance of exactly 0.
    """
    best = torch.full((len(x),), torch.inf, device=x.device, dtype=x.dtype)
    index = torch.zeros(len(x), device=x.device, dtype=torch.int64)
    for rows, columns, _, b in squared_distance_blocks(x, s):
        value, j = b.min(1)  # a is left out: it is the same for a whole row
        closer = value < best[rows]
        best[rows] = torch.where(closer, value, best[rows])
        index[rows] = torch.where(closer, j + columns.start, index[rows])
    pairs = ((x[i : i + 4096], s[index[i : i + 4096]]) for i in range(0, len(x), 4096))
    return torch.cat([(a - b).norm(dim=1) for a, b in pairs]), index
