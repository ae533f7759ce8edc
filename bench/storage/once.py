"""How is what many rows of a file say written in one of them alone?

The settings of a model, the trace of its training, what a value depends on: hundreds of
rows say the same. The first of them has it, the others have `{"#": DIGEST}` in its place,
the digest of that text. A seal is of a whole row: where the row that had a text is gone,
or the text was changed, the others have nothing there, and count as edited.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from genmodel_bench.storage.digest import content_digest
from genmodel_bench.storage.plain import as_json, from_json

WHOLE = ("model_settings", "trace", "column")
"""Columns of which the whole text is written once."""
IN_PARTS = "ingredients"
"""The column of which each part is."""
SHORT = 40
"""A text of so many characters is written in every row."""
REFERENCE = re.compile(r'\{"#": "[0-9a-f]{16}"\}')


def written_once(rows: Iterable[Mapping[str, str]]) -> list[dict[str, str]]:
    """Return rows, as text by column, in which no long text stands twice."""
    said: set[str] = set()
    digests: dict[str, str] = {}

    def once(text: str) -> str:
        if len(text) <= SHORT:
            return text
        digest = digests.setdefault(text, content_digest(text))
        if digest in said:
            return reference(digest)
        said.add(digest)
        return text

    found = []
    for row in rows:
        texts = {name: once(row[name]) for name in WHOLE if name in row}
        parts = parts_of(row.get(IN_PARTS, ""))
        if parts:
            texts[IN_PARTS] = joined({name: once(text) for name, text in parts.items()})
        found.append({**row, **texts})
    return found


def in_full(rows: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    """Return the rows of a file with all that `written_once` left out of them.

    A text that stands nowhere is empty.
    """
    said: dict[str, str] = {}

    def hear(text: str) -> None:
        if len(text) > SHORT and not REFERENCE.fullmatch(text):
            said.setdefault(content_digest(text), text)

    def full(text: str, empty: str) -> str:
        return said.get(text[7:-2], empty) if REFERENCE.fullmatch(text) else text

    whole = {row[name] for row in rows for name in WHOLE if name in row}
    divided = {text: parts_of(text) for text in {row.get(IN_PARTS, "") for row in rows}}
    for text in whole.union(*(parts.values() for parts in divided.values())):
        hear(text)
    joint = {
        text: joined({name: full(part, "{}") for name, part in parts.items()}) if parts else text
        for text, parts in divided.items()
    }
    found = []
    for row in rows:
        texts = {name: full(row[name], "") for name in WHOLE if name in row}
        if IN_PARTS in row:
            texts[IN_PARTS] = joint[row[IN_PARTS]]
        found.append({**row, **texts})
    return found


def reference(digest: str) -> str:
    """Return what stands in the place of a text."""
    return as_json({"#": digest})


def parts_of(text: str) -> dict[str, str]:
    """Return the text of each part of a JSON object, none if it is written otherwise."""
    try:
        content: Any = from_json(text)
    except ValueError:
        return {}
    if not isinstance(content, dict) or as_json(content) != text:
        return {}
    return {name: as_json(part) for name, part in content.items()}


def joined(parts: Mapping[str, str]) -> str:
    """Return the JSON object of such parts."""
    return f"{{{', '.join(f'{as_json(name)}: {text}' for name, text in parts.items())}}}"
