"""What do a model's samples look like, beside the training images nearest to them (the paper's Figure 2)?"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from bench.atomic import write_atomically
from bench.store import Record

ROWS, COLUMNS = 4, 5
FRAME = (255, 200, 0)
SIZE = 64
"""Images are enlarged by a whole factor to at most this many pixels."""


def draw_samples(records: Iterable[Record], folder: Path, cache: Path) -> list[Path]:
    """Draw one picture per model, of its lowest seed, where the stored samples are at hand; return the files.

    Four rows of the first five draws, none chosen, and a last column: the training image nearest to the draw beside it.
    """
    from safetensors.numpy import load_file

    first: dict[str, Record] = {}
    for r in records:
        if r.metric == "neighbours" and r.quantity == "ratio" and r.ok:
            name = file_name(f"{r.model} {r.variant}".strip() + ("" if r.samples == 10_000 else f" N={r.samples}"))
            if name not in first or (r.seed or 0) < (first[name].seed or 0):
                first[name] = r
    written = []
    for name, r in first.items():
        artefact = cache / "scores" / f"{r.score_key}.safetensors"
        if artefact.exists():
            arrays = load_file(artefact)
            path = folder / f"samples-{name}.png"
            write_atomically(path, figure2(arrays["shown_samples"], arrays["shown_neighbours"]))
            written.append(path)
    return written


def figure2(samples: np.ndarray[Any, Any], neighbours: np.ndarray[Any, Any]) -> bytes:
    """Return a PNG of the first 20 samples, (n, c, h, w) in [0, 1], with the neighbour of the last one of each row framed."""
    from PIL import Image

    scale = max(1, SIZE // samples.shape[2])
    rows = []
    for i in range(min(ROWS, len(samples) // COLUMNS)):
        last = (i + 1) * COLUMNS - 1
        images = [*samples[i * COLUMNS : last + 1], neighbours[last]]
        rows.append(np.concatenate([tile(x, scale, framed=j == COLUMNS) for j, x in enumerate(images)], axis=1))
    if not rows:  # fewer than one row of samples: show them all, without neighbours
        rows = [np.concatenate([tile(x, scale, framed=False) for x in samples], axis=1)]
    buffer = io.BytesIO()
    Image.fromarray(np.concatenate(rows)).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def tile(image: np.ndarray[Any, Any], scale: int, *, framed: bool) -> np.ndarray[Any, Any]:
    """Return one image (c, h, w) in [0, 1] enlarged, (h', w', 3) uint8, with a margin of 2 pixels in the frame's colour or white."""
    rgb = np.broadcast_to(image, (3, *image.shape[1:])) if image.shape[0] == 1 else image[:3]
    pixels = np.rint(rgb * 255).astype(np.uint8).transpose(1, 2, 0)  # (3, h, w) -> (h, w, 3)
    pixels = pixels.repeat(scale, axis=0).repeat(scale, axis=1)
    h, w, _ = pixels.shape
    bordered = np.full((h + 4, w + 4, 3), FRAME if framed else (255, 255, 255), dtype=np.uint8)
    bordered[2:-2, 2:-2] = pixels
    return bordered


def file_name(name: str) -> str:
    """Return a name as part of a file's: ASCII letters, digits and '-' are kept, the rest becomes '_' and a hash tells such names apart.

    A name with its options, as in 'gan-ns epochs=100', is spelt so often that it goes without the hash: 'gan-ns_epochs_100'.
    """
    plain = re.sub(r"[^A-Za-z0-9-]+", "_", name).strip("_")[:100]
    if re.fullmatch(r"[A-Za-z0-9-]+( [A-Za-z0-9_]+=[A-Za-z0-9]+)*", name):
        return plain
    return f"{plain or 'unnamed'}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
