"""How are values and files hashed?"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any


def content_digest(*parts: Any) -> str:
    """Return 16 hex digits of the SHA-256 of JSON values.

    Tuples count as lists; the order of keys does not matter.
    """
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def file_digest(path: Path) -> str:
    """Return 16 hex digits of the SHA-256 of a file's content. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]
