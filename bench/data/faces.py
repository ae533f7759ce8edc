"""How are the two sets of faces read, whose held-out images come in five folds?

One model is trained on images that no fold holds and serves all five. `tfd`, the Toronto Face Database, is the paper's: its owners give it
on request, and nobody may pass it on. `olivetti` is open and stands in for it: the same code, other faces, other numbers.
"""

from __future__ import annotations

import hashlib
import warnings
from pathlib import Path
from typing import Any

import torch
from genmodel_bench.data.dataset import Dataset, assemble, missing
from genmodel_bench.errors import BenchError, DataMissing
from torch import Tensor

FOLDS = 5
TFD_FILES = {"TFD_48x48.mat": "9d113650c197719b750ecc6864faf87c", "TFD_96x96.mat": None}
"""The files that are looked for, with their MD5 where it is known."""
UNLABELLED, TRAIN, VALID, TEST = range(4)
"""The codes of TFD's `folds`."""
TFD_VALID = 1000
"""Unlabelled images of TFD that validate a checkpoint instead of being trained on."""


def load_tfd(name: str, root: Path) -> Dataset:
    """Return the Toronto Face Database at 48×48, from the user's TFD_48x48.mat or TFD_96x96.mat, with its five folds.

    The unlabelled images are the same in every fold; all but the last 1,000 train, and these validate.
    """
    path = next(
        (path for file in TFD_FILES for path in (root / "tfd" / file, root / file) if path.is_file()), None
    )
    if path is None:
        raise DataMissing(
            f"{name}: {' or '.join(TFD_FILES)} not found under {root / 'tfd'}; its owners give it on request (see README); put it there; "
            "the data set 'olivetti' runs the same code"
        )
    content = read_mat(path)
    images, codes, labels = content["images"], content["folds"].long(), content["labs_ex"].long().flatten()
    if images.ndim != 3 or codes.shape != (len(images), FOLDS) or len(labels) != len(images):
        shapes = ", ".join(f"{key} {tuple(value.shape)}" for key, value in content.items())
        raise BenchError(
            f"{path}: expected images (n, h, w), folds (n, {FOLDS}) and labs_ex (n), got {shapes}; get the file anew"
        )
    if ((codes == UNLABELLED).any(1) != (codes == UNLABELLED).all(1)).any():
        raise BenchError(
            f"{path}: an image is unlabelled in one fold and used in another; expected one unlabelled part for all folds"
        )
    unlabelled = (codes[:, 0] == UNLABELLED).nonzero()[:, 0]
    folds = [
        ((codes[:, f] == VALID).nonzero()[:, 0], (codes[:, f] == TEST).nonzero()[:, 0]) for f in range(FOLDS)
    ]
    test = (codes == TEST).any(1).nonzero()[:, 0]
    held_out = min(TFD_VALID, len(unlabelled) // 10)
    if held_out == 0 or min(len(part) for fold in folds for part in fold) == 0:
        raise BenchError(
            f"{path}: a fold, or the unlabelled part, is empty; expected the codes 0 to 3 in every column of folds"
        )
    pixels = at_48(images.unsqueeze(1).float() / 255)  # (n, h, w) -> (n, 1, 48, 48)
    return assemble(name, pixels, labels, [unlabelled[:-held_out], unlabelled[-held_out:], test], folds)


def read_mat(path: Path) -> dict[str, Tensor]:
    """Return the arrays of a TFD file. Warns of another MD5 than the known one; raises BenchError for a file of another form."""
    from scipy.io import loadmat

    known = TFD_FILES[path.name]
    found = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    if known and found != known:
        warnings.warn(
            f"{path}: its MD5 is {found}, not {known}: another version, or a damaged file",
            UserWarning,
            stacklevel=2,
        )
    keys = ("images", "folds", "labs_ex")
    try:
        content: dict[str, Any] = loadmat(str(path), variable_names=keys)
        if content["images"].dtype != "uint8":
            raise BenchError(f"{path}: images are {content['images'].dtype}, expected uint8")
        return {
            key: torch.from_numpy(content[key].astype("uint8" if key == "images" else "int64"))
            for key in keys
        }
    except BenchError:
        raise
    except KeyError as error:
        raise BenchError(f"{path}: holds no {error}; expected the keys {', '.join(keys)}") from error
    except Exception as error:  # a damaged file may raise anything in the library that parses it
        raise BenchError(
            f"{path}: cannot be read as a .mat file ({str(error).splitlines()[0] if str(error) else error!r})"
        ) from error


def load_olivetti(name: str, root: Path) -> Dataset:
    """Return the 400 Olivetti faces of 40 people at 48×48, with five folds by person.

    The ten images of a person stay together: 22 people train, 3 validate a checkpoint, and 15 are held out, three to each fold; a fold
    scores its own three and chooses σ on the other twelve.
    """
    from sklearn.datasets import fetch_olivetti_faces

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of every retry; the last failure is an error
            bunch = fetch_olivetti_faces(data_home=str(root))
    except Exception as error:  # a damaged file may raise anything: it is a pickle
        raise missing(name, root, "olivetti_py3.pkz", error) from error
    images = at_48(torch.from_numpy(bunch.images).float().unsqueeze(1))  # (400, 64, 64) -> (400, 1, 48, 48)
    people = torch.from_numpy(bunch.target).long()
    # Person 0 to 39 in turns, so that no split has one end of the alphabet: of every eight people, three are held out.
    held_out = people % 8 < 3
    fold = people // 8
    validates = ~held_out & (people % 8 == 7) & (fold < 3)
    splits = [(part).nonzero()[:, 0] for part in (~held_out & ~validates, validates, held_out)]
    folds = [
        ((held_out & (fold != f)).nonzero()[:, 0], (held_out & (fold == f)).nonzero()[:, 0])
        for f in range(FOLDS)
    ]
    return assemble(name, images, people, splits, folds)


def at_48(images: Tensor) -> Tensor:
    """Return images (n, 1, h, w) in [0, 1] at 48×48, (n, 1, 48, 48), by antialiased bilinear interpolation."""
    from torch.nn.functional import interpolate

    if images.shape[2:] == (48, 48):
        return images
    return interpolate(images, size=(48, 48), mode="bilinear", antialias=True, align_corners=False).clamp(
        0, 1
    )
