"""How is a user's array, file or folder converted to samples, however many they are?

What is already float32 is not copied: it stays in memory, or mapped from its file.
Everything else is converted a few rows at a time, into memory if there is enough, else
into a temporary file without a name, which vanishes when this process ends.
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
from genmodel_bench.inputs.mending import for_values, is_channels_last
from torch import Tensor

CHUNK = 4 * 2**20
"""How many numbers are checked or converted at once."""


def read_samples(
    path: Path, shape: tuple[int, int, int], *, brightest: float = 1.0, scratch: Path | None = None
) -> Tensor:
    """Return the samples in a file or a folder of images, (n, c, h, w).

    They are float32 in [0, 1]; do not write to them. Accepts .npy, .npz, .pt and
    .safetensors with one array, or one named 'samples', .npz with `arr_0` and labels as
    `arr_1`, and folders of images. A float32 file is mapped: it must not change while the
    samples are in use.

    shape: (c, h, w) of the images.
    brightest: the highest value of the data, in [0, 1].
    scratch: samples that must be converted and are too large for memory are written to a
        file without a name on the disk of this folder.

    Raises:
        BadSamples: the samples cannot be read, or cannot be scored.
    """
    try:
        if is_folder(path):
            images = read_images(path, shape)
            # Grey pictures count as colour ones with three equal channels.
            content: Any = images.expand(-1, shape[0], -1, -1) if images.shape[1] == 1 else images
        else:
            content = read_array(path, shape)
        return as_samples(content, shape, who=str(path), brightest=brightest, scratch=scratch)
    except BadSamples:
        raise
    except BenchError as error:
        raise BadSamples(str(error)) from error
    except (OSError, MemoryError) as error:  # for instance, a disk was removed meanwhile
        raise BadSamples(
            f"{path}: cannot be read ({error or 'out of memory'}); try again, or copy it elsewhere"
        ) from error


def as_samples(
    array: Any,
    shape: tuple[int, int, int],
    *,
    who: str = "samples",
    brightest: float = 1.0,
    scratch: Path | None = None,
) -> Tensor:
    """Return an array as samples (n, c, h, w), float32 in [0, 1]; do not write to them.

    array: (n, d), (n, h, w), (n, c, h, w) or (n, h, w, c), float in [0, 1] or uint8. If
        it is float32 in C order, channels first, the samples share its memory.
    who: the name of the samples in error messages.
    brightest, scratch: as for `read_samples`.

    Raises:
        BadSamples: the array does not have this form, or cannot be converted.
    """
    x = checked_array(array, shape, who)
    if str(x.dtype).removeprefix("torch.") != "uint8":
        check_values(x, who)
    else:
        check_bytes(max(int(part.max()) for part in parts(x)), brightest, who)
    if isinstance(x, Tensor) and x.dtype == torch.float32 and x.is_contiguous():
        return x.view(-1, *shape)
    return converted(x, (len(x), *shape), who, scratch)


def checked_array(array: Any, shape: tuple[int, int, int], who: str) -> Tensor | np.ndarray[Any, Any]:
    """Return an array of checked dtype and shape, as a tensor if torch can represent it.

    Raises:
        BadSamples: the array cannot hold images of `shape`.
    """
    if not isinstance(array, (np.ndarray, Tensor)):
        raise BadSamples(
            f"{who}: expected an array, got {type(array).__name__}; make it one with numpy.asarray"
        )
    if isinstance(array, np.ma.MaskedArray):
        raise BadSamples(f"{who}: expected an array, got one with masked values; fill them first")
    if isinstance(array, Tensor) and (array.layout != torch.strided or array.is_meta or array.is_nested):
        raise BadSamples(
            f"{who}: expected a dense tensor with values, got {array.layout} on {array.device}; "
            "make it dense with .to_dense()"
        )
    check_form(array.dtype, tuple(array.shape), shape, who)
    if isinstance(array, Tensor):
        x: Tensor | np.ndarray[Any, Any] = array.detach().resolve_neg()
        strides = array.stride()
    else:
        x, strides = np.asarray(array), array.strides
    repeats = any(step == 0 and size > 1 for step, size in zip(strides, array.shape, strict=True))
    if repeats and 4 * math.prod(array.shape) > available_memory():
        text = (
            f"shape {tuple(array.shape)!s:.200} repeats a few stored numbers (an expanded array), "
            "more than fit into memory"
        )
        raise BadSamples(f"{who}: {text}; save the samples themselves")
    if is_channels_last(array.shape, shape):
        # (n, h, w, c) -> (n, c, h, w)
        x = x.permute(0, 3, 1, 2) if isinstance(x, Tensor) else x.transpose(0, 3, 1, 2)
    if isinstance(x, Tensor):
        return x.cpu()
    if not (x.dtype.isnative and x.dtype.itemsize <= 8 and x.flags.aligned and min(strides) >= 0):
        return x
    with warnings.catch_warnings():
        # Nothing writes to samples.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(x)


def parts(x: Tensor | np.ndarray[Any, Any]) -> Iterator[Tensor]:
    """Yield x: (n, ...) a few rows at a time, as tensors of uint8 or a float dtype."""
    step = max(1, CHUNK // math.prod(x.shape[1:]))
    for i in range(0, len(x), step):
        part = x[i : i + step]
        # Torch has no other byte order, no wider floats and no negative strides.
        if isinstance(part, np.ndarray):
            dtype = (
                np.uint8 if part.dtype.kind == "u" else np.float64 if part.dtype.itemsize > 4 else np.float32
            )
            with np.errstate(all="ignore"):  # an overflow is refused later, as infinite
                part = torch.from_numpy(part.astype(dtype, order="C"))
        yield part


def check_bytes(high: int, brightest: float, who: str) -> None:
    """Check that uint8 values up to `high` are of 0 to 255, and not of fewer levels.

    All 0, an image without any light, is let through.

    brightest: the highest value of the data, in [0, 1].

    Raises:
        BadSamples: they are 0 and 1 alone, or reach a quarter of the data's values.
    """
    if high == 1:
        raise BadSamples(
            f"{who}: uint8 values of 0 and 1 only, expected 0 to 255; give binary images as floats"
        )
    if 0 < high <= 255 * brightest / 4:
        levels = 16 if 4 <= high <= 16 else high
        raise BadSamples(
            f"{who}: uint8 values of 0 to {high} only, those of the data reach {255 * brightest:.0f}; "
            f"give x / {levels} as floats, or x / 255 if they are meant to be so dark"
        )


def check_values(x: Tensor | np.ndarray[Any, Any], who: str) -> None:
    """Check that every value of x: (n, ...) is finite and in [0, 1].

    Raises:
        BadSamples: a value is not; says how many rows are affected, and the first one.
    """
    counts, first = {"are not finite": 0, "leave [0, 1]": 0}, dict[str, int]()
    start, low, high = 0, math.inf, -math.inf
    for part in parts(x):
        flat = part.flatten(1)
        lo, hi = float(flat.min()), float(flat.max())  # NaN if any value is NaN
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
            outside = what == "leave [0, 1]"
            span = f", values span [{low}, {high}]" if outside else ""
            mending = for_values(low, high) if outside else "repair or leave them out"
            raise BadSamples(
                f"{who}: {count} of {len(x)} rows {what} (first: row {first[what]}{span}); {mending}"
            )


def converted(
    x: Tensor | np.ndarray[Any, Any], size: tuple[int, ...], who: str, scratch: Path | None
) -> Tensor:
    """Return x: (n, ...) as float32 of `size`; uint8 values are divided by 255.

    It is in memory, or mapped from a file without a name on the disk of `scratch`.

    Raises:
        BadSamples: it fits neither into memory nor on that disk.
    """
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
    # The folder may not exist yet; it is not created, as a failure must leave nothing.
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
