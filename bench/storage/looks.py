"""Which name does another one look like, where it is printed?"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

CYRILLIC = dict(
    zip("аеорсухѕіјԁһӏԛԝѵгтнмвкАВЕКМНОРСТУХЅІЈԌԚԜѴ", "aeopcyxsijdhlqwvrthmbkABEKMHOPCTYXSIJGQWV", strict=True)
)
GREEK = dict(zip("αγικνορτυχΑΒΕΖΗΙΚΜΝΟΡΤΥΧ", "ayikvoptuxABEZHIKMNOPTYX", strict=True))
OTHERS = {"ɡ": "g", "ı": "i", "ᴀ": "a", "ᴄ": "c", "ᴅ": "d", "ᴇ": "e", "ᴍ": "m", "ᴏ": "o", "ᴠ": "v", "ꜱ": "s"}
"""Letters that Unicode does not count as compatible, but that print as Latin ones."""
LIKE = {**CYRILLIC, **GREEK, **OTHERS}
BLANKS = "\u115f\u1160\u3164\uffa0\u2800\u034f"
"""Signs that count as printable and print nothing."""


def looks(name: str) -> str:
    """Return a name as it looks: names that print alike give the same text.

    Compatible signs, other dashes and look-alike letters of other scripts become ASCII;
    blanks, and marks without a letter of their own, count for nothing.
    """
    found = []
    for sign in unicodedata.normalize("NFKC", name):
        if unicodedata.category(sign) == "Pd" or sign == "\u2212":
            sign = "-"
        if not (sign.isspace() or sign in BLANKS or unicodedata.category(sign) in ("Mn", "Me", "Cf")):
            found.append(LIKE.get(sign, sign))
    return "".join(found)


def looked_like(name: str, others: Iterable[str]) -> str | None:
    """Return the first of `others`, other names, that a name looks like, or None.

    A name that goes on in brackets, as 'vae (epochs=30)', looks like a row of that model;
    in a name with Latin letters, any sign of another script counts as a look-alike.
    """
    seen = looks(name)
    base = re.sub(r"\(.*\)$", "", seen)
    mixed = any(c.isascii() and c.isalpha() for c in seen) and any(
        c.isalpha() and not c.isascii() for c in seen
    )
    for other in others:
        whole = looks(other)
        if other != name and (seen == whole or base == whole != seen):
            return other
        if mixed and len(seen) == len(whole):
            if all(a == b or (a.isalpha() and not a.isascii()) for a, b in zip(seen, whole, strict=True)):
                return other
    return None


def is_blank(name: str) -> bool:
    """Return whether a name has blanks at its ends, two in a row, or odd ones."""
    return name != " ".join(name.split()) or any(c in BLANKS for c in name) or not looks(name)
