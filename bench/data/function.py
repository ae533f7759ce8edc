"""How is a data set made by somebody's own function, named as `module:function`?

It takes no arguments, and returns arrays by name, as an .npz file of a data set holds
them (`npz.py`), or a `Dataset` that `assemble` made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from genmodel_bench.data.dataset import Dataset
from genmodel_bench.data.npz import roles, sets_of
from genmodel_bench.data.splits import dataset_of
from genmodel_bench.errors import BenchError
from genmodel_bench.inputs.files import first_line
from genmodel_bench.inputs.objects import named_object


def load_function(name: str, spec: str) -> Dataset:
    """Return the data set that a function makes, under `name`.

    spec: `module:function`.

    Raises:
        BenchError: there is no such function, it raises, or it returns something else.
    """
    function = named_object(spec)
    if not callable(function):
        raise BenchError(f"{spec}: is a {type(function).__name__}, expected a function without arguments")
    try:
        made = function()
    except BenchError:
        raise
    except (Exception, SystemExit) as error:
        said = (str(error).splitlines() or [""])[0]
        raise BenchError(f"{spec}: raised {type(error).__name__}: {said:.300}") from error
    if isinstance(made, Dataset):
        return replace(made, name=name)
    if not isinstance(made, Mapping) or not all(isinstance(key, str) for key in made):
        text = "expected arrays by name, as {'images': …, 'labels': …}, or a Dataset"
        raise BenchError(f"{spec}: returned a {type(made).__name__}, {text}")
    found = roles(list(made), spec)
    layout = str(made.get("layout", ""))
    return dataset_of(name, sets_of(found, lambda key: as_array(made[key], spec, key), spec, layout))


def as_array(value: Any, spec: str, key: str) -> np.ndarray[Any, Any]:
    """Return a tensor, an array or a list of numbers as an array.

    Raises:
        BenchError: it is none.
    """
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().resolve_neg()
        value = (value.float() if value.dtype == torch.bfloat16 else value).numpy()  # which has no bfloat16
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise BenchError(f"{spec}, {key!r:.40}: {first_line(error)}; expected one array") from error
    if array.dtype.hasobject:
        raise BenchError(f"{spec}, {key!r:.40}: holds Python objects, expected an array of numbers")
    return array
