"""What are the leading principal components of images?"""

from __future__ import annotations

import torch
from torch import Tensor

COMPONENTS = 64
MOST = 4096
"""The largest matrix whose eigenvectors are computed."""


@torch.no_grad()
def principal_components(x: Tensor, k: int = COMPONENTS) -> tuple[Tensor, Tensor]:
    """Return the mean, (d,), and the k axes of largest variance, (d, k), float32.

    x: (n, d). Where d is more than 4,096, the first 4,096 of them count. There are no
        more axes than n − 1 or d. The sign of an axis is such that its largest entry is
        positive.
    """
    x = x[:MOST] if x.shape[1] > MOST else x
    wide = x.shape[1] > len(x)  # then the smaller matrix is that of products of images
    k = min(k, len(x) - 1, x.shape[1])
    mean = x.mean(0, dtype=torch.float64)
    size = len(x) if wide else x.shape[1]
    products = torch.zeros(size, size, dtype=torch.float64, device=x.device)
    parts = torch.split(x.T if wide else x, MOST)  # n × d in float64 may be too much
    shifts = torch.split(mean, MOST) if wide else [mean] * len(parts)
    for part, shift in zip(parts, shifts, strict=True):
        centred = part.double() - (shift[:, None] if wide else shift)
        products += centred.T @ centred
    vectors = torch.linalg.eigh(products)[1].flip(1)[:, :k]
    if wide:  # (n, k) -> (d, k)
        vectors = torch.cat(
            [(part.double() - shift[:, None]) @ vectors for part, shift in zip(parts, shifts, strict=True)]
        )
        vectors /= vectors.norm(dim=0).clamp(min=1e-300)  # of images all alike
    largest = vectors.gather(0, vectors.abs().argmax(0, keepdim=True))
    return mean.float(), (vectors * largest.sign()).float()
