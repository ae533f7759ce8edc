"""How does anybody's array, file or folder become samples that can be scored, however many they are?

What is float32 already stays where it is, in memory or mapped from its file; everything else is converted some rows at a time, into memory
where that is ample, else into a temporary file without a name, which is gone when this process is.
"""

from __future__ import annotations

import math
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from genmodel_bench.errors import BadSamples, BenchError
from genmodel_bench.inputs.files import available_memory, check_form, gib, is_folder, read_array
from genmodel_bench.inputs.images import read_images
from torch import Tensor

CHUNK = 4 * 2**20
"""Numbers that are looked at or converted at once."""


def read_samples(path: Path, shape: tuple[int, int, int], *, scratch: Path | None = None) -> Tensor:
    """Return the samples in a file or a folder of images as (n, c, h, w), float32 in [0, 1], for images of `shape`; do not write to them.

    Accepts .npy, .npz, .pt and .safetensors with one array, and image folders. A float32 file is mapped: leave it alone meanwhile. What has
    to be converted and is too large for memory goes to a file without a name on the disk of `scratch`. Raises BadSamples.
    """
    try:
        if is_folder(path):
            images = read_images(path, shape)
            # grey pictures stand for colour ones whose channels are equal
            content: Any = images.expand(-1, shape[0], -1, -1) if images.shape[1] == 1 else images
        else:
            content = read_array(path, shape)
        return as_samples(content, shape, who=str(path), scratch=scratch)
    except BadSamples:
        raise
    except BenchError as error:
        raise BadSamples(str(error)) from error
    except (OSError, MemoryError) as error:  # as of a disk that is taken away meanwhile
        raise BadSamples(
            f"{path}: cannot be read ({error or 'out of memory'}); try again, or copy it elsewhere"
        ) from error


def as_samples(
    array: Any, shape: tuple[int, int, int], *, who: str = "samples", scratch: Path | None = None
) -> Tensor:
    """Return an array (n, d), (n, h, w), (n, c, h, w), float in [0, 1] or uint8, as (n, c, h, w) float32; do not write to it.

    It shares memory with `array` where that is float32 in C order. Raises BadSamples.
    """
    x = checked_array(array, shape, who)
    if str(x.dtype).removeprefix("torch.") != "uint8":
        check_values(x, who)
    elif max(int(part.max()) for part in parts(x)) <= 1:
        raise BadSamples(
            f"{who}: uint8 values of 0 and 1 only, expected 0 to 255; give binary images as floats"
        )
    if isinstance(x, Tensor) and x.dtype == torch.float32 and x.is_contiguous():
        return x.view(-1, *shape)
    return converted(x, (len(x), *shape), who, scratch)


def checked_array(array: Any, shape: tuple[int, int, int], who: str) -> Tensor | np.ndarray[Any, Any]:
    """Return an array whose dtype and shape fit images of `shape`, as a tensor where torch has its form. Raises BadSamples."""
    if not isinstance(array, (np.ndarray, Tensor)):
        raise BadSamples(
            f"{who}: expected an array, got {type(array).__name__}; make it one with numpy.asarray"
        )
    if isinstance(array, np.ma.MaskedArray):
        raise BadSamples(f"{who}: expected an array, got one with masked values; fill them first")
    if isinstance(array, Tensor) and (array.layout != torch.strided or array.is_meta or array.is_nested):
        raise BadSamples(
            f"{who}: expected a dense tensor with values, got {array.layout} on {array.device}; make it dense with .to_dense()"
        )
    check_form(array.dtype, tuple(array.shape), shape, who)
    if isinstance(array, Tensor):
        x: Tensor | np.ndarray[Any, Any] = array.detach().resolve_neg()
        strides = array.stride()
    else:
        x, strides = np.asarray(array), array.strides
    repeats = any(step == 0 and size > 1 for step, size in zip(strides, array.shape, strict=True))
    if repeats and 4 * math.prod(array.shape) > available_memory():
        text = f"shape {tuple(array.shape)!s:.200} repeats a few stored numbers (an expanded array), more than fit into memory"
        raise BadSamples(f"{who}: {text}; save the samples themselves")
    if isinstance(x, Tensor):
        return x.cpu()
    if not (x.dtype.isnative and x.dtype.itemsize <= 8 and x.flags.aligned and min(strides) >= 0):
        return x
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", message="The given NumPy array is not writable"
        )  # nothing writes to samples
        return torch.from_numpy(x)


def parts(x: Tensor | np.ndarray[Any, Any]) -> Iterator[Tensor]:
    """Yield the rows of x: (n, ...), some at a time, as tensors of uint8 or a float dtype."""
    step = max(1, CHUNK // math.prod(x.shape[1:]))
    for i in range(0, len(x), step):
        part = x[i : i + step]
        if isinstance(part, np.ndarray):  # of another byte order, wider than torch has, or backwards
            dtype = (
                np.uint8 if part.dtype.kind == "u" else np.float64 if part.dtype.itemsize > 4 else np.float32
            )
            with np.errstate(all="ignore"):  # what overflows is refused as infinite
                part = torch.from_numpy(part.astype(dtype, order="C"))
        yield part


def check_values(x: Tensor | np.ndarray[Any, Any], who: str) -> None:
    """Raise BadSamples unless every value of x: (n, ...) is finite and in [0, 1]."""
    counts, first = {"are not finite": 0, "leave [0, 1]": 0}, dict[str, int]()
    start, low, high = 0, math.inf, -math.inf
    for part in parts(x):
        flat = part.flatten(1)
        lo, hi = float(flat.min()), float(flat.max())  # NaN where any value is
        low, high = min(low, lo), max(high, hi)
        if not (lo >= 0 and hi <= 1):
            for what, bad in (
                ("are not finite", ~flat.isfinite()),
                ("leave [0, 1]", (flat < 0) | (flat > 1)),
            ):
                rows = bad.any(1).nonzero()[:, 0]
                if len(rows):
                    counts[what] += len(rows)
                    first.setdefault(what, start + int(rows[0]))
        start += len(part)
    for what, count in counts.items():
        if count:
            span = f", values span [{low}, {high}]" if what == "leave [0, 1]" else ""
            raise BadSamples(
                f"{who}: {count} of {len(x)} rows {what} (first: row {first[what]}{span}); repair or leave them out"
            )


def converted(
    x: Tensor | np.ndarray[Any, Any], size: tuple[int, ...], who: str, scratch: Path | None
) -> Tensor:
    """Return x: (n, ...) as float32 of `size`, bytes divided by 255, in memory or mapped from a nameless file on the disk of `scratch`."""
    need, free = 4 * math.prod(size), available_memory()
    floats = (part.float() / 255 if part.dtype == torch.uint8 else part.float() for part in parts(x))
    if need <= free // 4 or (scratch is None and need <= free):
        out, done = torch.empty(size), 0
        for part in floats:
            out[done : done + len(part)] = part.reshape(-1, *size[1:])
            done += len(part)
        return out
    if scratch is None:
        raise BadSamples(
            f"{who}: {gib(need)} as float32, of memory {gib(free)} are free; save it as a float32 .npy"
        )
    # The folder need not exist, and nothing is made that would outlast a failure.
    folder = next(parent for parent in (scratch, *scratch.parents) if parent.is_dir())
    try:
        if need > shutil.disk_usage(folder).free:
            raise OSError("no space left")
        with tempfile.TemporaryFile(dir=folder) as file:
            for part in floats:
                file.write(part.numpy().tobytes())
            file.flush()
            mapped = np.memmap(file, np.float32, "r", shape=size)
    except OSError as error:
        where = f"cannot be written to a disk either, at {folder} ({error.strerror or error})"
        raise BadSamples(
            f"{who}: {gib(need)} as float32 do not fit into memory, and {where}; save it as a float32 .npy"
        ) from error
    mapped_samples = checked_array(mapped, (size[1], size[2], size[3]), who)
    assert isinstance(mapped_samples, Tensor), "native float32 in C order is torch's own form"
    return mapped_samples
