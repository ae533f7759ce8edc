"""How does an array of somebody's images become float32 in [0, 1], (n, c, h, w)?"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from genmodel_bench.errors import BenchError
from torch import Tensor

CHANNELS = (1, 3)
DARK = 0.25
"""Where no pixel is brighter, the values are taken for others than 0 to 255 or 0 to 1.

As 0 to 16 of scikit-learn's digits, or floats that were divided by 255 twice.
"""
LAYOUTS = ("NHWC", "NCHW")


def images_of(array: np.ndarray[Any, Any], who: str, *, layout: str = "") -> Tensor:
    """Return an array as images (n, c, h, w), float32 in [0, 1]; uint8 is divided by 255.

    array: (n, h, w), (n, h, w, c) or (n, c, h, w), with 1 or 3 channels; uint8, bool, or
        float in [0, 1].
    layout: "NHWC" or "NCHW", where the shape does not say.

    Raises:
        BenchError: it is none of these, or does not say which.
    """
    c_last = channels_last(array.shape, who, layout)
    check_dtype(array.dtype, who)
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise BenchError(f"{who}: holds NaN or infinite values, expected floats in [0, 1]; repair them")
    check_range(array, who)
    kind = np.uint8 if array.dtype.kind in "bu" else np.float32
    x = torch.from_numpy(np.ascontiguousarray(array, dtype=kind))
    # (n, h, w) -> (n, 1, h, w), or (n, h, w, c) -> (n, c, h, w)
    x = x.unsqueeze(1) if x.ndim == 3 else x.permute(0, 3, 1, 2) if c_last else x
    return (x.float() / 255 if array.dtype.kind == "u" else x.float()).contiguous()


def channels_last(shape: tuple[int, ...], who: str, layout: str = "") -> bool:
    """Return whether the last axis of an array of images holds their channels.

    Raises:
        BenchError: it has not the shape of images, or its shape fits both layouts.
    """
    shown = f"{who}: shape {shape!s:.100}"
    forms = "(n, h, w), (n, h, w, c) or (n, c, h, w) with 1 or 3 channels"
    if len(shape) == 2:
        side = math.isqrt(shape[1])
        example = f"reshape(-1, {side}, {side})" if side * side == shape[1] else "reshape(n, h, w)"
        raise BenchError(f"{shown}, expected {forms}; save it after .{example}")
    if len(shape) not in (3, 4):
        raise BenchError(f"{shown}, expected {forms}; save the images so")
    if math.prod(shape[1:]) == 0 or shape[0] == 0:
        raise BenchError(f"{shown}: holds no images; write it again")
    if layout and layout not in LAYOUTS:
        raise BenchError(f"{who}: layout {layout[:20]!r}, expected {' or '.join(LAYOUTS)}; write one of them")
    if len(shape) == 3:
        return False
    first, last = shape[1] in CHANNELS, shape[3] in CHANNELS
    if first and last and not layout:
        raise BenchError(
            f"{shown} fits (n, h, w, c) and (n, c, h, w); "
            "say which with an array layout='NHWC' or 'NCHW' in the file"
        )
    chosen = layout or ("NHWC" if last else "NCHW")
    if not (last if chosen == "NHWC" else first):
        text = "; leave the fourth channel out" if 4 in (shape[1], shape[3]) else "; save the images so"
        raise BenchError(f"{shown}, expected {forms}{text}")
    return chosen == "NHWC"


def check_dtype(dtype: np.dtype[Any], who: str) -> None:
    """Check that numbers of this kind can be pixels.

    Raises:
        BenchError: they cannot, or it is not known what range they have.
    """
    if dtype.kind in "bf" or dtype == np.uint8:
        return
    how = "save .astype(numpy.uint8) of values of 0 to 255" if dtype.kind in "iu" else "save numbers"
    raise BenchError(f"{who}: dtype {dtype!s:.40}, expected uint8, or float in [0, 1]; {how}")


def check_range(array: np.ndarray[Any, Any], who: str) -> None:
    """Check that the pixels use the range of their dtype.

    Raises:
        BenchError: floats leave [0, 1], or no pixel is brighter than `DARK` of the range.
    """
    low, high = float(array.min()), float(array.max())
    span = f"{who}: values from {low:.4g} to {high:.4g}"
    if array.dtype.kind == "f" and (low < 0 or high > 1):
        how = (
            "(x + 1) / 2" if -1 <= low < 0 and high <= 1 else "x / 255" if low >= 0 else "x scaled to [0, 1]"
        )
        raise BenchError(f"{span}, expected floats in [0, 1]; save {how}")
    if array.dtype.kind == "u" and high <= 255 * DARK:
        how = "images of 0 and 1 as floats" if high <= 1 else f"x / {high:.0f} as floats, if that is white"
        raise BenchError(f"{span}, expected uint8 from 0 to 255; save {how}")
    if array.dtype.kind == "f" and high <= DARK:
        how = "divide by 255 once, not twice" if high <= 2 / 255 else "scale them so that white is 1"
        raise BenchError(f"{span}, expected floats up to 1; {how}")
