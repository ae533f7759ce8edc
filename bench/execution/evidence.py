"""What is made of the real images of a data set once, for all rows and processes?"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from genmodel_bench.data.dataset import Dataset
from genmodel_bench.storage import sealed
from genmodel_bench.storage.code import code_digests
from genmodel_bench.storage.digest import content_digest
from genmodel_bench.storage.store import Store
from genmodel_bench.storage.waiting import Say, held, in_silence
from torch import Tensor

MOST = 2**30
"""The most bytes of tensors that are remembered."""


class Evidence:
    """A data set with a memory: what metrics are given as their `Reference`.

    What is remembered is kept in this process, the latest used up to one GiB; what is
    stored is kept under `store`, in .cache/features. Its key is the digest of the data,
    of the key, and of the code that makes it. Where several processes need it, one makes
    it and the others wait.

    store: None to keep nothing on disk.
    say: is told for whom this process waits, if it does.
    """

    def __init__(self, data: Dataset, store: Store | None = None, say: Say = in_silence) -> None:
        self.name, self.digest, self.shape = data.name, data.digest, data.shape
        self.train, self.valid, self.test = data.train, data.valid, data.test
        self.labels, self.folds = data.labels, data.folds
        self.density, self.stacked, self.levels = data.density, data.stacked, data.levels
        self.store, self.say = store, say
        self._kept: OrderedDict[str, object] = OrderedDict()
        self._sizes: dict[str, int] = {}

    def remembered(self, key: str, make: Callable[[], object]) -> object:
        """Return what `make` returns, and keep it."""
        if key not in self._kept:
            made = make()
            self._kept[key], self._sizes[key] = made, size(made)
            while sum(self._sizes.values()) > MOST and len(self._kept) > 1:
                self._sizes.pop(self._kept.popitem(last=False)[0])
        self._kept.move_to_end(key)
        return self._kept[key]

    def stored(self, key: str, make: Callable[[], Mapping[str, Tensor]]) -> Mapping[str, Tensor]:
        """Return the tensors that `make` returns, on the data's device, from disk.

        A damaged file is made again.
        """
        if self.store is None:
            return make()
        digest = content_digest("features", self.digest, key, code_digests(make.__module__))
        path = self.store.artefact("features", f"{digest}.safetensors")
        with held(path.with_suffix(".lock"), f"makes the {key}", self.say):
            found = intact(path, digest)
            if not found:
                sealed.save(path, digest, make(), key)
                found = sealed.load(path, digest)[0]
        return {name: tensor.to(self.train.device) for name, tensor in found.items()}


def intact(path: Path, key: str) -> dict[str, Tensor]:
    """Return the tensors that are sealed under a key at `path`, none if they are not."""
    try:
        return sealed.load(path, key)[0]
    except (FileNotFoundError, sealed.Broken):
        return {}


def size(made: object) -> int:
    """Return the bytes of the tensors in an object: in tuples, mappings, dataclasses."""
    if isinstance(made, Tensor):
        return made.nbytes
    if isinstance(made, Mapping):
        return sum(map(size, made.values()))
    if isinstance(made, (tuple, list)):
        return sum(map(size, made))
    if is_dataclass(made) and not isinstance(made, type):
        held: Any = made
        return sum(size(getattr(held, each.name)) for each in fields(held))
    return 0
