"""How is JSON written, and read that somebody may have edited?"""

from __future__ import annotations

import json
from typing import Any

DEEPEST = 50
"""Levels of lists and objects within each other; ours have five."""


def from_json(text: str | bytes) -> Any:
    """Return the value of a JSON text that can be written, printed and walked through.

    Raises:
        ValueError: it is no JSON, is nested too deeply, or has text that is not Unicode.
    """
    try:
        found = json.loads(text)
    except RecursionError:
        raise ValueError(f"JSON of more than {DEEPEST} levels") from None
    level = [found]
    for _ in range(DEEPEST):
        level = [part for each in level if isinstance(each, dict | list) for part in parts(each)]
        if not level:
            break
    else:
        raise ValueError(f"JSON of more than {DEEPEST} levels")
    json.dumps(found, ensure_ascii=False).encode()  # half a surrogate pair is a ValueError
    return found


def parts(value: dict[str, Any] | list[Any]) -> list[Any]:
    """Return what a list or an object holds."""
    return list(value.values()) if isinstance(value, dict) else value


def as_json(values: Any, *, in_order: bool = False) -> str:
    """Return settings as JSON, keys sorted or, if `in_order`, as they are given."""
    return json.dumps(values, sort_keys=not in_order, default=str, ensure_ascii=False)
