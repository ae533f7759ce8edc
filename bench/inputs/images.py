"""How is an untrusted folder of images read?

Every image must be readable, and all must be of one size: skipping some silently would
make the score wrong. What else is in the folder is an error, or is named in a notice if
it can be no image. The size of each is checked before it is decoded. Images that would
lose information are refused: those with transparency, several frames, 16-bit colours, or
data that end before the last row.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from genmodel_bench.errors import BenchError, DataMissing, DataNotice
from genmodel_bench.inputs.complete import check_complete
from genmodel_bench.inputs.files import available_memory, first_line, gib, is_folder
from PIL import Image, ImageOps
from PIL.ImageFile import ImageFile
from torch import Tensor

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm")
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")
"""The only formats that Pillow may detect, whatever a file's name.

It would run Ghostscript on PostScript.
"""
NO_IMAGES = (".txt", ".md", ".csv", ".tsv", ".json", ".jsonl", ".yaml", ".yml", ".xml", ".html", ".log")
"""Suffixes of files that may lie beside images and are not read."""
LITTER = ("thumbs.db", "desktop.ini", "readme", "license", "__macosx")
"""Names, in lower case, of other files and folders that may."""


def read_images(folder: Path, shape: tuple[int, int, int] | None = None) -> Tensor:
    """Return the images directly in `folder`, sorted by name, as (n, c, h, w).

    float32 in [0, 1]; c is 1 if all are grey, else 3 (RGB).

    shape: (c, h, w) of the expected images: all must have its height and width, and be
        grey if c is 1. If None, all must have the size of the first image.

    Raises:
        DataMissing: there is no such folder, or no images in it.
        BenchError: an image cannot be read, has another size, several frames,
            transparency or 16-bit colours, or is in colour though `shape` is grey; they
            do not fit into memory; or there is something else in the folder.
    """
    return read_files(image_paths(folder), str(folder), shape)


def read_files(
    sources: Sequence[Path | tuple[str, bytes]], who: str, shape: tuple[int, int, int] | None = None
) -> Tensor:
    """Return images as (n, c, h, w), like `read_images`.

    sources: the path of each image, or a name for it and the content of its file.
    who: whose images they are, for error messages.

    Raises:
        BenchError: as `read_images`.
    """
    size = (shape[2], shape[1]) if shape else None
    first = sources[0].name if isinstance(sources[0], Path) else sources[0][0]
    pictures: list[np.ndarray[Any, Any]] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's remarks on odd files
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        for source in sources:
            name, content = (source, source) if isinstance(source, Path) else source
            picture = read_image(
                content, size, "an image of the data set" if shape else first, name=str(name)
            )
            h, w = picture.shape[:2]
            if shape and shape[0] == 1 and picture.ndim == 3:
                raise BenchError(f"{name}: is in colour, expected grey images; convert it to grey")
            if not pictures and 8 * len(sources) * picture.size > available_memory():
                need = gib(4 * len(sources) * picture.size)
                how = "score them as one .npy" if shape else "take fewer or smaller ones"
                text = f"{len(sources)} images of {w}×{h} take {need}, too much for memory"
                raise BenchError(f"{who}: {text}; {how}")
            size = size or (w, h)
            pictures.append(picture)
    channels = max(1 if picture.ndim == 2 else 3 for picture in pictures)
    images = np.empty((len(pictures), channels, *pictures[0].shape[:2]), dtype=np.float32)
    for i, picture in enumerate(pictures):
        # (h, w, 3) -> (3, h, w)
        images[i] = picture if picture.ndim == 2 else picture.transpose(2, 0, 1)
    return torch.from_numpy(images)


def image_paths(folder: Path) -> list[Path]:
    """Return the paths of the image files in a folder that holds no folders, by name.

    Raises:
        DataMissing: there is no such folder, or no images in it.
        BenchError: it cannot be listed, or there are folders in it, or files that may be
            images of a kind that is not read.
    """
    images, folders = listed(folder)
    if folders:
        shown = some([path.name for path in folders])
        beside = "images beside folders" if images else "folders and no images"
        raise BenchError(f"{folder}: holds {beside} ({shown}); put the images into one folder of their own")
    if not images:
        raise DataMissing(f"{folder}: no images there; expected files ending in {', '.join(SUFFIXES)}")
    return images


def listed(folder: Path) -> tuple[list[Path], list[Path]]:
    """Return the image files and the folders directly in a folder, each sorted by name.

    Hidden files and those that can be no images are left out, and named in a notice.

    Raises:
        DataMissing: there is no such folder.
        BenchError: it cannot be listed, a folder in it has the suffix of an image, or a
            file may be an image of a kind that is not read.
    """
    try:
        paths = sorted(folder.iterdir())
        folders = [path for path in paths if path.is_dir()]
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DataMissing(f"{folder}: no such folder; expected a folder of images") from error
    except (OSError, ValueError) as error:
        raise BenchError(
            f"{folder}: cannot be listed ({getattr(error, 'strerror', None) or error}); "
            "expected a folder of images"
        ) from error
    left_out = [path for path in paths if is_litter(path, path in folders)]
    paths = [path for path in paths if path not in left_out]
    for path in folders:
        if path in paths and path.suffix.lower() in SUFFIXES:
            raise BenchError(f"{path}: is a folder, expected an image; rename it or move it away")
    images = [path for path in paths if path.suffix.lower() in SUFFIXES]
    strange = [path for path in paths if path not in folders and path.suffix.lower() not in SUFFIXES]
    if strange and (images or folders):
        raise BenchError(
            f"{folder}: holds {some([path.name for path in strange])}, "
            f"expected images, ending in {', '.join(SUFFIXES)}; convert them or move them away"
        )
    if left_out and (images or folders):
        text = f"{folder}: not read, as no images: {some([path.name for path in left_out])}"
        warnings.warn(text, DataNotice, stacklevel=3)
    return images, [path for path in folders if path in paths]


def is_litter(path: Path, folder: bool) -> bool:
    """Return whether a file or folder may lie beside images and is not read."""
    return (
        path.name.startswith(".")
        or path.name.lower() in LITTER
        or (not folder and path.suffix.lower() in NO_IMAGES)
    )


def some(names: Sequence[str]) -> str:
    """Return the first names of a list, and how many there are besides."""
    return ", ".join(f"{name:.60}" for name in names[:5]) + (
        f" and {len(names) - 5:,} more" if len(names) > 5 else ""
    )


def read_image(
    source: Path | bytes, size: tuple[int, int] | None, whose: str = "", *, name: str = ""
) -> np.ndarray[Any, Any]:
    """Return one image, (h, w) if it is grey, else (h, w, 3), float32 in [0, 1].

    It is turned as its EXIF orientation says.

    source: its file, or the content of one.
    size: the expected (w, h), or None.
    whose: what has this size, for the error message.
    name: what messages call it; by default its path.

    Raises:
        BenchError: the image has another size, which is checked before decoding; it holds
            several frames; or it cannot be read.
    """
    name = name or str(source)
    try:
        content = source if isinstance(source, bytes) else contents(source)
        with Image.open(io.BytesIO(content), formats=FORMATS) as picture:
            if size and sorted(picture.size) != sorted(size):
                raise another_size(name, picture.size, size, whose)
            # A camera's MPO holds one picture and its previews.
            if picture.format != "MPO" and getattr(picture, "is_animated", False):
                raise BenchError(f"{name}: holds several frames, expected one image; save each as a file")
            # Decoding ignores the checksums of a PNG. After verify() it must be reopened.
            picture.verify()
        check_complete(content)
        with Image.open(io.BytesIO(content), formats=FORMATS) as picture:
            x = pixels(picture, name)
        if size and x.shape[1::-1] != size:
            raise another_size(name, x.shape[1::-1], size, whose)
        return x
    except BenchError:
        raise
    except Exception as error:  # on a damaged file the parser may raise anything
        raise BenchError(
            f"{name}: cannot be read as an image ({first_line(error)}); remove or repair it"
        ) from error


def contents(path: Path) -> bytes:
    """Return the content of a file. Raises BenchError for what is no file."""
    if is_folder(path):
        raise BenchError(f"{path}: is a folder, expected an image; rename it or move it away")
    return path.read_bytes()


def another_size(name: str, got: Sequence[int], expected: tuple[int, int], whose: str) -> BenchError:
    """Return the error that an image is not of the expected size, (w, h)."""
    (w, h), (w0, h0) = got, expected
    return BenchError(f"{name}: is {w}×{h} pixels where {whose} is {w0}×{h0}; expected one size, resize it")


def pixels(picture: ImageFile, name: str) -> np.ndarray[Any, Any]:
    """Return a picture's pixels, (h, w) if it is grey, else (h, w, 3), float32 in [0, 1].

    Raises:
        BenchError: transparency or 16-bit colours would be lost, or white would be black.
        ValueError: the range of its values is not known.
    """
    stored = str(picture.tile[0][3]) if picture.tile else ""
    sixteen = picture.mode.startswith("I;16") and "I;12" not in stored
    # Where one 16-bit value stands for transparent, Pillow finds the wrong pixels.
    keyed = sixteen and "transparency" in picture.info
    if keyed or (picture.has_transparency_data and not sixteen and smallest_alpha(picture) < 255):
        raise BenchError(
            f"{name}: has transparent pixels; put it on the background it is meant for "
            "and save it without transparency"
        )
    tags = getattr(picture, "tag_v2", {})  # of a TIFF
    if sixteen and tags.get(PHOTOMETRIC) == WHITE_IS_ZERO:
        raise BenchError(f"{name}: is a 16-bit TIFF in which 0 is white; save it with 0 as black")
    kind, mode = picture.format, picture.mode
    upright = ImageOps.exif_transpose(picture)
    # 16-bit grey: Pillow's conversion would clip it to 255.
    if sixteen or (mode == "I" and kind == "PPM"):
        return np.asarray(upright, dtype=np.float32) / np.float32(65535)
    if mode[0] in "IF":
        raise ValueError(f"its pixels are of kind {mode!r}, whose range is not known")
    if ";16" in stored:
        raise BenchError(
            f"{name}: has 16 bits per colour, of which 8 would be lost; "
            "save it with 8, or the samples as .npy"
        )
    rgb = np.asarray(upright.convert("RGB"), dtype=np.float32) / np.float32(255)
    return rgb[..., 0].copy() if (rgb == rgb[..., :1]).all() else rgb


def smallest_alpha(picture: ImageFile) -> float:
    """Return the smallest alpha of a picture's pixels, from 0 (transparent) to 255."""
    return float(np.asarray(picture.convert("RGBA"))[..., 3].min())


PHOTOMETRIC, WHITE_IS_ZERO = 262, 0
"""The tag of a TIFF that says whether 0 is white, which Pillow follows up to 8 bits."""
