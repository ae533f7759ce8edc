"""Which random images stand in for MNIST where its files are missing?"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np


def write_random_mnist(root: Path) -> None:
    """Write four files of random bytes under `root`, with MNIST's format and sizes."""
    folder, rng = root / "MNIST" / "raw", np.random.default_rng(0)
    folder.mkdir(parents=True)
    for part, n in (("train", 60_000), ("t10k", 10_000)):
        images = rng.integers(0, 256, (n, 28, 28), dtype=np.uint8)
        labels = rng.integers(0, 10, n, dtype=np.uint8)
        # idx: two zero bytes, 8 for unsigned bytes, the number of dimensions, each size
        (folder / f"{part}-images-idx3-ubyte").write_bytes(
            struct.pack(">BBBBIII", 0, 0, 8, 3, n, 28, 28) + images.tobytes()
        )
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(
            struct.pack(">BBBBI", 0, 0, 8, 1, n) + labels.tobytes()
        )
