"""How are the two data sets of faces read, whose held-out images come in five folds?

One model is trained on the images that are in no fold, and scored on all five folds.
`tfd`, the Toronto Face Database, is the paper's data set: its owners give it on request,
and it may not be redistributed. `olivetti` is open and takes its place: it runs the same
code on other faces, and so gives other numbers.
"""

from __future__ import annotations

import hashlib
import sys
import warnings
import zlib
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import torch
from genmodel_bench.data.dataset import Dataset, assemble, missing
from genmodel_bench.data.root import data_root
from genmodel_bench.errors import BenchError, DataMissing, DataNotice
from genmodel_bench.inputs.files import first_line
from torch import Tensor

FOLDS = 5
TFD_FILES = {"TFD_48x48.mat": "9d113650c197719b750ecc6864faf87c", "TFD_96x96.mat": None}
"""The file names searched for, with the MD5 where it is known."""
UNLABELLED, TRAIN, VALID, TEST = range(4)
"""The codes in the array `folds` of TFD: the part that an image has in a fold."""
TFD_VALID = 1000
"""Unlabelled images of TFD that are not trained on, but used to select a checkpoint."""
OLIVETTI = "olivetti_py3.pkz", "b119468c2f13775df12d3950e7c96644811647a6e10d30617777f245bf9b2f8b"
"""The file in which scikit-learn keeps the faces, and the SHA-256 of their pixels."""
FACES = (400, 64, 64)
"""The shape of these: uint8, columns before rows, ten of each person in a row."""


def load_tfd(name: str, root: Path | str | None) -> Dataset:
    """Return the Toronto Face Database at 48×48, with its five folds.

    It is read from the user's TFD_48x48.mat or TFD_96x96.mat. The unlabelled images are
    the same in every fold; the last 1,000 (at most a tenth) validate, the others train.

    Raises:
        DataMissing: neither file is there.
        BenchError: the file cannot be read, or does not have the expected content.
    """
    root = data_root(root)
    path = next(
        (path for file in TFD_FILES for path in (root / "tfd" / file, root / file) if path.is_file()), None
    )
    if path is None:
        raise DataMissing(
            f"{name}: {' or '.join(TFD_FILES)} not found under {root / 'tfd'}; "
            "its owners give it on request (see README); put it there; "
            "the data set 'olivetti' runs the same code"
        )
    content = read_mat(path)
    images, codes, labels = content["images"], content["folds"].long(), content["labs_ex"].long().flatten()
    if images.ndim != 3 or codes.shape != (len(images), FOLDS) or len(labels) != len(images):
        shapes = ", ".join(f"{key} {tuple(value.shape)}" for key, value in content.items())
        raise BenchError(
            f"{path}: expected images (n, h, w), folds (n, {FOLDS}) and labs_ex (n), "
            f"got {shapes}; get the file anew"
        )
    if not bool(((codes >= UNLABELLED) & (codes <= TEST)).all()):
        odd = sorted({int(code) for code in codes.flatten()} - {UNLABELLED, TRAIN, VALID, TEST})
        raise BenchError(f"{path}: folds holds {odd[:5]}, expected the codes 0 to 3; get the file anew")
    if ((codes == UNLABELLED).any(1) != (codes == UNLABELLED).all(1)).any():
        raise BenchError(
            f"{path}: an image is unlabelled in one fold and used in another; "
            "expected one unlabelled part for all folds"
        )
    unlabelled = (codes[:, 0] == UNLABELLED).nonzero()[:, 0]
    folds = [
        ((codes[:, f] == VALID).nonzero()[:, 0], (codes[:, f] == TEST).nonzero()[:, 0]) for f in range(FOLDS)
    ]
    test = (codes == TEST).any(1).nonzero()[:, 0]
    held_out = min(TFD_VALID, len(unlabelled) // 10)
    if held_out == 0 or min(len(part) for fold in folds for part in fold) == 0:
        raise BenchError(
            f"{path}: a fold, or the unlabelled part, is empty; "
            "expected the codes 0 to 3 in every column of folds"
        )
    pixels = at_48(images.unsqueeze(1).float() / 255)  # (n, h, w) -> (n, 1, 48, 48)
    return assemble(name, pixels, labels, [unlabelled[:-held_out], unlabelled[-held_out:], test], folds)


def read_mat(path: Path) -> dict[str, Tensor]:
    """Return the arrays `images`, `folds` and `labs_ex` of a TFD file.

    Warns if its MD5 is not the known one.

    Raises:
        BenchError: the file cannot be read, lacks an array, or its images are not uint8.
    """
    from scipy.io import loadmat

    known = TFD_FILES[path.name]
    found = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    if known and found != known:
        warnings.warn(
            f"{path}: its MD5 is {found}, not {known}: another version, or a damaged file",
            DataNotice,
            stacklevel=2,
        )
    keys = ("images", "folds", "labs_ex")
    try:
        content: dict[str, Any] = loadmat(str(path), variable_names=keys)
        if content["images"].dtype != "uint8":
            raise BenchError(f"{path}: images are {content['images'].dtype}, expected uint8")
        for key in ("folds", "labs_ex"):
            array = content[key]
            odd = array[~(np.isfinite(array) & (array == np.floor(array)))] if array.dtype.kind == "f" else []
            if array.dtype.kind not in "iuf" or len(odd):
                shown = float(odd[0]) if len(odd) else array.dtype
                raise BenchError(f"{path}: {key} holds {shown}, expected whole numbers; get the file anew")
        return {
            key: torch.from_numpy(content[key].astype("uint8" if key == "images" else "int64"))
            for key in keys
        }
    except BenchError:
        raise
    except KeyError as error:
        raise BenchError(f"{path}: holds no {error}; expected the keys {', '.join(keys)}") from error
    except Exception as error:  # on a damaged file the library may raise anything
        raise BenchError(
            f"{path}: cannot be read as a .mat file ({first_line(error)}); get the file anew"
        ) from error


def load_olivetti(name: str, root: Path | str | None) -> Dataset:
    """Return the 400 Olivetti faces of 40 people at 48×48, with five folds by person.

    The ten images of a person stay together: 22 people train, 3 validate a checkpoint,
    and 15 are held out, three in each fold. The test images of a fold are its own three
    people, its validation images the other twelve.

    Raises:
        DataMissing: the faces are neither under `root` nor can be downloaded.
        BenchError: their file is damaged.
    """
    root = data_root(root)
    path = root / OLIVETTI[0]
    if not path.exists():
        fetch_olivetti(name, root)
    # (400, 64, 64) -> (400, 1, 48, 48)
    images = at_48(torch.from_numpy(olivetti_pixels(name, path)).unsqueeze(1))
    people = torch.arange(len(images)) // 10
    # Of every eight people in a row three are held out, so that no split has only people
    # from one end of the list.
    held_out = people % 8 < 3
    fold = people // 8
    validates = ~held_out & (people % 8 == 7) & (fold < 3)
    splits = [(part).nonzero()[:, 0] for part in (~held_out & ~validates, validates, held_out)]
    folds = [
        ((held_out & (fold != f)).nonzero()[:, 0], (held_out & (fold == f)).nonzero()[:, 0])
        for f in range(FOLDS)
    ]
    return assemble(name, images, people, splits, folds)


def fetch_olivetti(name: str, root: Path) -> None:
    """Download the faces; scikit-learn compares their SHA-256 with what was published.

    Raises:
        DataMissing: they cannot be downloaded.
    """
    from sklearn.datasets import fetch_olivetti_faces

    try:
        with warnings.catch_warnings(), redirect_stdout(sys.stderr):
            warnings.simplefilter("ignore")  # one for each retry; the last one raises
            fetch_olivetti_faces(data_home=str(root))
    except Exception as error:  # of the network, the disk, or the file
        raise missing(name, root, OLIVETTI[0], error) from error


def olivetti_pixels(name: str, path: Path) -> np.ndarray[Any, Any]:
    """Return the faces of scikit-learn's file, (400, 64, 64), float32 in [0, 1].

    The file is a compressed pickle, and is not unpickled: that could run code. The pixels
    are its last bytes but one, and are compared with those that were published.

    Raises:
        BenchError: they are others.
    """
    size = int(np.prod(FACES))
    try:
        content = zlib.decompressobj().decompress(path.read_bytes(), 2 * size)
    except (zlib.error, OSError) as error:
        content, reason = b"", first_line(error)
    else:
        reason = "its pixels are not those published"
    plain = content[-size - 1 : -1]
    if hashlib.sha256(plain).hexdigest() != OLIVETTI[1]:
        raise BenchError(f"{name}: {path} is damaged ({reason}); remove it, and it is downloaded anew")
    # columns before rows -> (400, 64, 64)
    x = np.frombuffer(plain, np.uint8).reshape(FACES).transpose(0, 2, 1).astype(np.float32)
    x -= x.min()
    return np.ascontiguousarray(x / x.max())


def at_48(images: Tensor) -> Tensor:
    """Return images in [0, 1] resized to 48×48: (n, 1, h, w) -> (n, 1, 48, 48).

    The interpolation is bilinear and antialiased.
    """
    from torch.nn.functional import interpolate

    if images.shape[2:] == (48, 48):
        return images
    return interpolate(images, size=(48, 48), mode="bilinear", antialias=True, align_corners=False).clamp(
        0, 1
    )
