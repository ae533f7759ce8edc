"""What is made of the real images once, and used for every row of a table?

A `Reference` may keep it: `Memory` says how. For one that does not, as a bare data set,
it is made again each time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, TypeVar, cast, runtime_checkable

from genmodel_bench.metrics.base import Reference
from torch import Tensor

T = TypeVar("T")


@runtime_checkable
class Memory(Protocol):
    """What a `Reference` has that keeps what is made of it.

    A key names what is made, with every setting that it depends on.
    """

    def remembered(self, key: str, make: Callable[[], object]) -> object:
        """Return what `make` returns, as long as this process lives made only once."""

    def stored(self, key: str, make: Callable[[], Mapping[str, Tensor]]) -> Mapping[str, Tensor]:
        """Return the tensors that `make` returns, which are kept on disk as well."""


def remembered(reference: Reference, key: str, make: Callable[[], T]) -> T:
    """Return what `make` returns, made once for each `reference` that has a memory."""
    return cast(T, reference.remembered(key, make)) if isinstance(reference, Memory) else make()


def stored(reference: Reference, key: str, make: Callable[[], Mapping[str, Tensor]]) -> Mapping[str, Tensor]:
    """Return the tensors that `make` returns, from disk where they are kept there."""
    return reference.stored(key, make) if isinstance(reference, Memory) else make()
