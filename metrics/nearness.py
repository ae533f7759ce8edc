"""How near are real images to the training images: what samples are compared with?

It is the same for every row of a table, and remembered or stored where the reference
keeps it (`metrics/evidence.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from genmodel_bench.metrics.base import Reference
from genmodel_bench.metrics.distances import full_precision, nearest, squared_distance_blocks
from genmodel_bench.metrics.evidence import remembered, stored
from genmodel_bench.metrics.features import Features, features
from genmodel_bench.metrics.neighbours import nearest_shifted
from torch import Tensor


@torch.no_grad()
def nearest_others(x: Tensor) -> Tensor:
    """Return the distance of each row to the nearest other row: (m, d) -> (m,)."""
    best = torch.full((len(x),), torch.inf, device=x.device, dtype=x.dtype)
    index = torch.zeros(len(x), device=x.device, dtype=torch.int64)
    for rows, columns, _, b in squared_distance_blocks(x, x):
        b.diagonal(rows.start - columns.start).fill_(torch.inf)  # offsets beyond b are empty
        value, j = b.min(1)
        closer = value < best[rows]
        best[rows] = torch.where(closer, value, best[rows])
        index[rows] = torch.where(closer, j + columns.start, index[rows])
    # From the differences, as in `nearest`: those of near copies would be rounding alone.
    parts = (slice(i, i + 4096) for i in range(0, len(x), 4096))
    return torch.cat([(x[part] - x[index[part]]).norm(dim=1) for part in parts])


def train_features(reference: Reference, extract: Features) -> Tensor:
    """Return the features of the training images, (m, k)."""
    return remembered(reference, f"train {extract.about}", lambda: extract.of(reference.train))


def train_to_train(reference: Reference, extract: Features) -> Tensor:
    """Return the distance of each training image to the nearest other one, (m,)."""

    def make() -> Mapping[str, Tensor]:
        return {"distance": nearest_others(train_features(reference, extract))}

    return stored(reference, f"train to train {extract.about}", make)["distance"]


def held_to_train(reference: Reference, extract: Features, test: Tensor, fold: int) -> tuple[Tensor, Tensor]:
    """Return the distances of test images to training images, and to which, (n,) each."""

    def make() -> Mapping[str, Tensor]:
        distance, index = nearest(extract.of(test), train_features(reference, extract))
        return {"distance": distance, "index": index}

    found = stored(reference, f"test {fold} to train {extract.about}", make)
    return found["distance"], found["index"]


def shifted_to_train(reference: Reference, test: Tensor, fold: int) -> Tensor:
    """Return the least distances of test images over shifts by up to a pixel, (n,)."""

    def make() -> Mapping[str, Tensor]:
        return {"distance": nearest_shifted(test, reference.train.flatten(1))[0]}

    return stored(reference, f"test {fold} shifted to train, first {len(test)}", make)["distance"]


def centres(reference: Reference, cells: int) -> Tensor:
    """Return the k-means centres of the training images' principal components."""
    from sklearn.cluster import KMeans  # here: each process that starts would wait for it

    def make() -> Mapping[str, Tensor]:
        codes = features("pca", reference).of(reference.train)  # (m, c, h, w) -> (m, k)
        # float64: the order of sums, which threads change, moves no image to another cell
        found = KMeans(cells, n_init=1, random_state=0).fit(codes.double().cpu().numpy())
        return {"centres": torch.from_numpy(found.cluster_centers_).to(codes)}

    return stored(reference, f"{cells} k-means centres of pca", make)["centres"]


def cells_of(sets: Sequence[Tensor], reference: Reference, cells: int) -> list[Tensor]:
    """Return the number of the nearest centre for images, (n, c, h, w) -> (n,) each."""
    with full_precision():
        middles, pca = centres(reference, cells), features("pca", reference)
        return [nearest(pca.of(images), middles)[1] for images in sets]
