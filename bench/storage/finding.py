"""What does `verify` or `vouch` say of one thing it looked at?"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """What was looked at, whether it is right (None: it cannot be told), and why."""

    what: str
    good: bool | None
    text: str
