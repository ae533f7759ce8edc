"""Have two sets of points a form in which they can be compared?"""

from __future__ import annotations

from torch import Tensor


def check_points(who: str, x: Tensor, y: Tensor, *, least: int = 2) -> None:
    """Check that sets are (n, k) and (m, k), of finite numbers, with n and m ≥ `least`.

    who: the function that was called, for the message.

    Raises:
        ValueError: they are not.
    """
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1] or min(len(x), len(y)) < least:
        raise ValueError(
            f"{who}: got {tuple(x.shape)} and {tuple(y.shape)}, expected (n, k) and (m, k) with "
            f"n, m ≥ {least}; flatten images to rows"
        )
    for name, points in (("first", x), ("second", y)):
        if not points.isfinite().all():
            bad = int((~points.isfinite()).any(1).nonzero()[0])
            raise ValueError(f"{who}: got NaN or infinity in row {bad} of the {name} set, expected numbers")
