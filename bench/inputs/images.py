"""How is an untrusted folder of images read?

Every file with the suffix of an image must be a readable image, and all must be of one
size: skipping files silently would make the score wrong. The size of each is checked
before it is decoded. Images that would lose information are refused: those with
transparency, several frames or 16-bit colours.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from genmodel_bench.errors import BenchError, DataMissing
from genmodel_bench.inputs.files import available_memory, first_line, gib, is_folder
from PIL import Image
from PIL.ImageFile import ImageFile
from torch import Tensor

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm")
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")
"""The only formats that Pillow may detect, whatever a file's name.

It would run Ghostscript on PostScript.
"""


def read_images(folder: Path, shape: tuple[int, int, int] | None = None) -> Tensor:
    """Return the images directly in `folder`, sorted by name, as (n, c, h, w).

    float32 in [0, 1]; c is 1 if all are grey, else 3 (RGB).

    shape: (c, h, w) of the expected images: all must have its height and width, and be
        grey if c is 1. If None, all must have the size of the first image.

    Raises:
        DataMissing: there is no such folder, or no images in it.
        BenchError: an image cannot be read or differs in size, or memory is too small.
    """
    paths = image_paths(folder)
    size = (shape[2], shape[1]) if shape else None
    pictures: list[np.ndarray[Any, Any]] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's remarks on odd files
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        for path in paths:
            picture = read_image(path, size, "an image of the data set" if shape else paths[0].name)
            h, w = picture.shape[:2]
            if shape and shape[0] == 1 and picture.ndim == 3:
                raise BenchError(f"{path}: is in colour, expected grey images; convert it to grey")
            if not pictures and 8 * len(paths) * picture.size > available_memory():
                need = gib(4 * len(paths) * picture.size)
                raise BenchError(
                    f"{folder}: {len(paths)} images of {w}×{h} take {need}, too much for memory; "
                    "score them as one .npy"
                )
            size = size or (w, h)
            pictures.append(picture)
    channels = max(1 if picture.ndim == 2 else 3 for picture in pictures)
    images = np.empty((len(pictures), channels, *pictures[0].shape[:2]), dtype=np.float32)
    for i, picture in enumerate(pictures):
        # (h, w, 3) -> (3, h, w)
        images[i] = picture if picture.ndim == 2 else picture.transpose(2, 0, 1)
    return torch.from_numpy(images)


def image_paths(folder: Path) -> list[Path]:
    """Return the paths of the image files directly in a folder, sorted by name.

    Raises:
        DataMissing: there is no such folder, or no images in it.
        BenchError: it cannot be listed, or a folder in it has the suffix of an image.
    """
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DataMissing(f"{folder}: no such folder; expected a folder of images") from error
    except (OSError, ValueError) as error:
        raise BenchError(
            f"{folder}: cannot be listed ({getattr(error, 'strerror', None) or error}); "
            "expected a folder of images"
        ) from error
    if not paths:
        raise DataMissing(f"{folder}: no images there; expected files ending in {', '.join(SUFFIXES)}")
    for path in paths:
        if is_folder(path):
            raise BenchError(f"{path}: is a folder, expected an image; rename it or move it away")
    return paths


def read_image(path: Path, size: tuple[int, int] | None, whose: str = "") -> np.ndarray[Any, Any]:
    """Return one image, (h, w) if it is grey, else (h, w, 3), float32 in [0, 1].

    size: the expected (w, h), or None.
    whose: what has this size, for the error message.

    Raises:
        BenchError: the image has another size, which is checked before decoding; it holds
            several frames; or it cannot be read.
    """
    try:
        with Image.open(path, formats=FORMATS) as picture:
            (w, h), (w0, h0) = picture.size, size or picture.size
            if (w, h) != (w0, h0):
                raise BenchError(
                    f"{path}: is {w}×{h} pixels where {whose} is {w0}×{h0}; expected one size, resize it"
                )
            # A camera's MPO holds one picture and its previews.
            if picture.format != "MPO" and getattr(picture, "is_animated", False):
                raise BenchError(f"{path}: holds several frames, expected one image; save each as a file")
            # Decoding ignores the checksums of a PNG. After verify() it must be reopened.
            picture.verify()
        with Image.open(path, formats=FORMATS) as picture:
            return pixels(picture, path)
    except BenchError:
        raise
    except Exception as error:  # on a damaged file the parser may raise anything
        raise BenchError(
            f"{path}: cannot be read as an image ({first_line(error)}); remove or repair it"
        ) from error


def pixels(picture: ImageFile, path: Path) -> np.ndarray[Any, Any]:
    """Return a picture's pixels, (h, w) if it is grey, else (h, w, 3), float32 in [0, 1].

    Raises:
        BenchError: transparency or 16-bit colours would be lost.
        ValueError: the range of its values is not known.
    """
    stored = str(picture.tile[0][3]) if picture.tile else ""
    sixteen = picture.mode.startswith("I;16") and "I;12" not in stored
    # Where one 16-bit value stands for transparent, Pillow finds the wrong pixels.
    keyed = sixteen and "transparency" in picture.info
    if keyed or (picture.has_transparency_data and not sixteen and smallest_alpha(picture) < 255):
        raise BenchError(
            f"{path}: has transparent pixels; put it on the background it is meant for "
            "and save it without transparency"
        )
    # 16-bit grey: Pillow's conversion would clip it to 255.
    if sixteen or (picture.mode == "I" and picture.format == "PPM"):
        return np.asarray(picture, dtype=np.float32) / np.float32(65535)
    if picture.mode[0] in "IF":
        raise ValueError(f"its pixels are of kind {picture.mode!r}, whose range is not known")
    if ";16" in stored:
        raise BenchError(
            f"{path}: has 16 bits per colour, of which 8 would be lost; "
            "save it with 8, or the samples as .npy"
        )
    rgb = np.asarray(picture.convert("RGB"), dtype=np.float32) / np.float32(255)
    return rgb[..., 0].copy() if (rgb == rgb[..., :1]).all() else rgb


def smallest_alpha(picture: ImageFile) -> float:
    """Return the smallest alpha of a picture's pixels, from 0 (transparent) to 255."""
    return float(np.asarray(picture.convert("RGBA"))[..., 3].min())
