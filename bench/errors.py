"""Which errors can a user cause?

The command line prints each as one line, without a traceback, and exits with code 2.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def printable(text: str) -> str:
    r"""Return `text` as one line that can be shown and encoded.

    Line ends, control characters and, in file names, bytes that are not UTF-8 are
    escaped: they become '\n', '\x1b' and '\udcff'.
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class BenchError(Exception):
    """One line that says who or what is at fault, what is wrong, and what to do.

    Control characters and line ends in it, as from an untrusted file's name, are escaped.
    """

    def __init__(self, text: str) -> None:
        super().__init__(printable(text))


class UnknownName(BenchError):
    """A model, metric or data set that is not registered.

    The text suggests the closest name, and lists the `known` ones.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        known = list(known)
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ";"
        super().__init__(f"unknown {kind} {name!r}{hint} known: {', '.join(known)}")


class BadOption(BenchError):
    """An option, of a model or the command line, that is unknown or has a wrong value."""


class DataMissing(BenchError):
    """A data set that is neither on disk nor can be downloaded."""


class BadSamples(BenchError):
    """A user's samples that cannot be scored."""


class BadRecords(BenchError):
    """A table of records that cannot be read."""


class DataNotice(UserWarning):
    """One line on what was left out or looks odd in a user's files, and is no error."""

    def __init__(self, text: str) -> None:
        super().__init__(printable(text))
