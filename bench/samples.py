"""How does a user's file of samples become an array that can be scored? Nothing in it is ever unpickled or run."""

from __future__ import annotations

import math
import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.data import read_images
from bench.errors import BadSamples, BenchError

DTYPES = ("float16", "bfloat16", "float32", "float64", "uint8")
SUFFIXES = (".npy", ".npz", ".pt", ".safetensors")


def read_samples(path: Path, shape: tuple[int, int, int]) -> Tensor:
    """Return the samples in a file or a folder of images as (n, c, h, w), float32 in [0, 1], for images of `shape`.

    Accepts .npy, .npz, .pt and .safetensors with one array, and image folders. Raises BadSamples.
    """
    if path.is_dir():
        try:
            images = read_images(path)
            # grey pictures stand for colour ones whose channels are equal
            colours = images.expand(-1, shape[0], -1, -1) if images.shape[1] == 1 else images
            return as_samples(colours, shape, who=str(path))
        except BenchError as error:
            raise BadSamples(str(error)) from error
    if path.suffix not in SUFFIXES:
        raise BadSamples(f"{path}: expected a file ending in {', '.join(SUFFIXES)}, or a folder of images")
    if not path.is_file():
        raise BadSamples(f"{path}: no such file")
    try:
        content = READERS[path.suffix](path)
    except BadSamples:
        raise
    except MemoryError as error:
        raise BadSamples(f"{path}: says it holds more numbers than fit into memory") from error
    except pickle.UnpicklingError as error:
        raise BadSamples(f"{path}: cannot be read as .pt of plain tensors: it holds other objects, or is damaged") from error
    except Exception as error:  # a damaged file may raise anything in the libraries that parse it
        raise BadSamples(f"{path}: cannot be read as {path.suffix} of plain numbers ({first_line(error)})") from error
    return as_samples(only_array(content, path), shape, who=str(path))


def as_samples(array: Any, shape: tuple[int, int, int], *, who: str = "samples") -> Tensor:
    """Return an array (n, d), (n, h, w), (n, c, h, w), float in [0, 1] or uint8, as (n, c, h, w) float32. Raises BadSamples."""
    if not isinstance(array, (np.ndarray, Tensor)):
        raise BadSamples(f"{who}: expected an array, got {type(array).__name__}")
    if isinstance(array, np.ndarray) and array.dtype.kind == "f":
        array = array.astype(np.float64 if array.dtype.itemsize > 4 else np.float32)  # of any width and byte order
    if str(array.dtype).removeprefix("torch.") not in DTYPES:
        raise BadSamples(f"{who}: dtype {str(array.dtype).removeprefix('torch.')}, expected float in [0, 1] or uint8")
    if isinstance(array, Tensor) and (array.layout != torch.strided or array.is_meta):
        raise BadSamples(f"{who}: expected a dense tensor with values, got {array.layout} on {array.device}")
    x = torch.from_numpy(np.ascontiguousarray(array)) if isinstance(array, np.ndarray) else array.detach().cpu()
    c, h, w = shape
    fits = {2: (math.prod(shape),), 3: (h, w) if c == 1 else (), 4: shape}
    if x.ndim not in fits or tuple(x.shape[1:]) != fits[x.ndim]:
        kinds = [f"(n, {math.prod(shape)})", *([f"(n, {h}, {w})"] if c == 1 else []), f"(n, {c}, {h}, {w})"]
        raise BadSamples(f"{who}: shape {tuple(x.shape)}, expected {', '.join(kinds[:-1])} or {kinds[-1]}")
    if len(x) == 0:
        raise BadSamples(f"{who}: holds no samples")
    x = x.reshape(-1, *shape)
    if x.dtype == torch.uint8:
        if int(x.max()) <= 1:
            raise BadSamples(f"{who}: uint8 values of 0 and 1 only, expected 0 to 255; give binary images as floats")
        return x.float() / 255
    check_values(x, who)
    return x.float()


def check_values(x: Tensor, who: str) -> None:
    """Raise BadSamples unless every value of x: (n, ...) is finite and in [0, 1]."""
    flat = x.flatten(1)
    for bad, what in ((~flat.isfinite(), "are not finite"), ((flat < 0) | (flat > 1), "leave [0, 1]")):
        rows = bad.any(1).nonzero()[:, 0]
        if len(rows):
            span = "" if "finite" in what else f", values span [{float(flat.min()):.4g}, {float(flat.max()):.4g}]"
            raise BadSamples(f"{who}: {len(rows)} of {len(x)} rows {what} (first: row {int(rows[0])}{span})")


def only_array(content: Any, path: Path) -> Any:
    """Return the one array of a file that may hold several by name."""
    if not isinstance(content, dict):
        return content
    arrays = {k: v for k, v in content.items() if isinstance(v, (np.ndarray, Tensor))}
    if "samples" in arrays:
        return arrays["samples"]
    if len(arrays) != 1:
        names = ", ".join(map(repr, arrays)) or "none"
        raise BadSamples(f"{path}: expected one array, or one named 'samples'; got {names}")
    return next(iter(arrays.values()))


def read_npz(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    """Return the arrays of an .npz file by name."""
    # A file of our own: NumPy leaves its own open when the archive turns out to be damaged.
    with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def read_pt(path: Path) -> Any:
    """Return the content of a .pt file of tensors and plain values."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's remarks on the pickle's protocol; what it cannot read it refuses
        return torch.load(path, map_location="cpu", weights_only=True)


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a .safetensors file by name."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise BadSamples(f"{path}: cannot be read as .safetensors ({first_line(error)})") from error


READERS: dict[str, Any] = {
    ".npy": lambda path: np.load(path, allow_pickle=False),
    ".npz": read_npz,
    ".pt": read_pt,
    ".safetensors": read_safetensors,
}


def first_line(error: BaseException) -> str:
    """Return the first line of an error's text, after the error's name where the text is a word or less."""
    text = (str(error).splitlines() or [""])[0]
    return text if " " in text else f"{type(error).__name__} {text}".strip()
