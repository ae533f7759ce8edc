"""How do sources become the text of a BibTeX file?

A source is the text of one entry, `@type{key, field = {value}, …}`, as a Config or a
metric declares it in `SOURCES`. Values are in braces, or are whole numbers; letters may
be written as they are, and are escaped for LaTeX here.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from genmodel_bench.errors import BenchError

HEAD = re.compile(r"\s*@(\w+)\s*\{\s*([\w:.+/-]+)\s*,", re.ASCII)
FIELD = re.compile(r"\s*([a-z][\w-]*)\s*=\s*(?:(\d+)|(?=\{))", re.ASCII | re.IGNORECASE)
NEXT_FIELD = re.compile(r"\s*,(?=\s*[a-z])", re.ASCII | re.IGNORECASE)
END = re.compile(r"\s*,?\s*\}\s*")
ACCENTS = dict(
    zip("\u0300\u0301\u0302\u0303\u0304\u0306\u0307\u0308\u030a\u030b\u030c\u0323\u0327\u0328",
        "`'^~=u.\"rHvdck", strict=True)
)  # fmt: skip
"""The LaTeX command of a combining accent."""
SIGNS = {
    "ß": r"{\ss}", "æ": r"{\ae}", "Æ": r"{\AE}", "œ": r"{\oe}", "Œ": r"{\OE}", "ø": r"{\o}", "Ø": r"{\O}",
    "ł": r"{\l}", "Ł": r"{\L}", "đ": r"{\dj}", "Đ": r"{\DJ}", "ð": r"{\dh}", "Ð": r"{\DH}", "þ": r"{\th}",
    "Þ": r"{\TH}", "ı": r"{\i}", "–": "--", "—": "---", "‘": "`", "’": "'", "“": "``",
    "”": "''", "\u00a0": "~",
}  # fmt: skip
"""What LaTeX writes for letters and signs that are no letter with an accent."""


@dataclass(frozen=True)
class Entry:
    """One BibTeX entry: its type, as "article", its key, and its fields in order."""

    kind: str
    key: str
    fields: tuple[tuple[str, str], ...]

    @property
    def text(self) -> str:
        """Return the entry as BibTeX, one field a line."""
        lines = [f"  {name} = {{{escaped(value)}}}" for name, value in self.fields]
        return ",\n".join([f"@{self.kind}{{{self.key}", *lines]) + "\n}\n"


def bibliography(sources: Mapping[str, Iterable[str]]) -> str:
    """Return a BibTeX file of the sources of things by name, in the order of the names.

    Each entry comes once, under the names that have it as a source. Another entry with a
    key that is taken gets '-2' at its key's end.

    Raises:
        BenchError: a source is not one BibTeX entry.
    """
    named: dict[Entry, list[str]] = {}
    for name, texts in sources.items():
        for entry in dict.fromkeys(parsed(text, of=name) for text in texts):
            named.setdefault(entry, []).append(name)
    keys: set[str] = set()
    found = []
    for entry, names in named.items():
        key, n = entry.key, 1
        while key.lower() in keys:  # BibTeX does not tell upper from lower case
            n += 1
            key = f"{entry.key}-{n}"
        keys.add(key.lower())
        # BibTeX skips what stands between entries; an '@' begins one.
        found.append(f"% {', '.join(names).replace('@', '(at)')}\n{replace(entry, key=key).text}")
    return "\n".join(found)


def parsed(text: str, *, of: str) -> Entry:
    """Return the entry that `text` is; `of` is named if it is none. Raises BenchError."""
    head = HEAD.match(text)
    place = head.end() if head else 0
    fields: dict[str, str] = {}
    while head and (field := FIELD.match(text, place)) and field[1].lower() not in fields:
        end = field.end() if field[2] else closing(text, field.end())
        value = field[2] or text[field.end() + 1 : end - 1]
        fields[field[1].lower()] = " ".join(value.split())
        if END.fullmatch(text, end):
            return Entry(head[1].lower(), head[2], tuple(fields.items()))
        if not (after := NEXT_FIELD.match(text, end)):
            break
        place = after.end()
    raise BenchError(
        f"{of}: a source is not one BibTeX entry, got {' '.join(text.split())[:60]!r}; "
        "write @type{key, field = {value}, …} with each field once"
    )


def closing(text: str, start: int) -> int:
    """Return the place after the brace that closes the one at `start`, or the end."""
    depth = 0
    for place in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        if depth == 0:
            return place + 1
    return len(text)


def escaped(text: str) -> str:
    r"""Return text with letters beyond ASCII as LaTeX: 'é' becomes "{\'{e}}".

    What has no command in `ACCENTS` or `SIGNS` stays; a LaTeX that reads UTF-8 may know
    it.
    """
    return "".join(c if c.isascii() else latex_of(c) for c in unicodedata.normalize("NFC", text))


def latex_of(char: str) -> str:
    """Return LaTeX for one character that is not ASCII, or the character itself."""
    base, *accents = list(unicodedata.normalize("NFD", char))
    if not (base.isascii() and base.isalpha() and accents and all(a in ACCENTS for a in accents)):
        return SIGNS.get(char, char)
    for accent in accents:
        base = f"\\{ACCENTS[accent]}{{{base}}}"
    return f"{{{base}}}"
