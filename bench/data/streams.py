"""With which random numbers is a data set made by code?

Each split has a stream of its own, from a seed that its name gives: it does not depend on
the sizes of the others. NumPy's RandomState is frozen: the same seed gives the same
numbers in every version.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping

import numpy as np


def streams(name: str, sizes: Mapping[str, int]) -> Iterator[tuple[int, np.random.RandomState]]:
    """Yield the size of each split, and the random numbers that it is made with."""
    for split, n in sizes.items():
        seed = hashlib.sha256(f"{name} {split}".encode()).hexdigest()[:8]
        yield n, np.random.RandomState(int(seed, 16))
