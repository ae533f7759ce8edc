r"""How is text printed where the encoding of the terminal or file lacks its signs?

Signs such as − and ± are then written with others that mean the same, so that no number
changes its value; any other sign becomes an escape, as in JSON: '\u732b'. An answer
that took hours to compute is always printed.
"""

from __future__ import annotations

import codecs
import io
import json
import sys

ALIKE = {
    "−": "-", "–": "-", "—": "-", "±": "+-", "×": "x", "·": "*", "…": "...", "’": "'", "‘": "'",
    "“": '"', "”": '"', "≥": ">=", "≤": "<=", "≠": "!=", "≈": "~", "→": "->", "↑": "^", "↓": "v",
    "†": "+", "½": "1/2", "²": "^2", "σ": "sigma", "━": "=", "─": "-", "●": "*",
}  # fmt: skip
"""What is written for the signs that this project itself prints."""


def alike(error: UnicodeError) -> tuple[str, int]:
    """Return what is written for text that cannot be encoded, and where it ends.

    It handles the errors of a codec, as Python's own "replace" does.
    """
    if not isinstance(error, UnicodeEncodeError):
        raise error
    missing = error.object[error.start : error.end]
    return "".join(ALIKE.get(sign) or json.dumps(sign)[1:-1] for sign in missing), error.end


def always_print() -> None:
    """Make stdout and stderr print any text, whatever their encoding."""
    codecs.register_error("genmodel-bench", alike)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="genmodel-bench")
