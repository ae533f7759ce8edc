"""How is a function of tensors called with NumPy arrays?"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

R = TypeVar("R")


def for_arrays(function: Callable[..., R]) -> Callable[..., R]:
    """Return a function of tensors that takes NumPy arrays too, also in lists.

    All have to be of one value type, float32 or float64; else it raises ValueError.
    """

    @wraps(function)
    def called(*given: Any, **named: Any) -> R:
        kinds: dict[str, None] = {}
        found = [as_tensors(each, kinds) for each in given]
        found_by_name = {name: as_tensors(each, kinds) for name, each in named.items()}
        if len(kinds) > 1 or not {"float32", "float64"} >= set(kinds):
            raise ValueError(
                f"{function.__name__}: got {' and '.join(kinds)}, expected float32 or float64 throughout; "
                "scale whole numbers of 0 to 255 by x.astype('float32') / 255"
            )
        return function(*found, **found_by_name)

    return called


def as_tensors(value: Any, kinds: dict[str, None]) -> Any:
    """Return arrays, and those in lists, as tensors that share their memory if they can.

    kinds: the names of the value types are added to it. Anything else stays as it is.
    """
    if isinstance(value, (list, tuple)):
        return [as_tensors(each, kinds) for each in value]
    if isinstance(value, np.ndarray):
        shared = value.flags.writeable and value.dtype.isnative and min(value.strides, default=0) >= 0
        value = torch.from_numpy(value if shared else value.astype(value.dtype.newbyteorder("="), order="C"))
    if isinstance(value, Tensor):
        kinds[str(value.dtype).removeprefix("torch.")] = None
    return value
