"""How is what several rows of a file say written in one of them alone?

The scores of one metric of one cell share the settings of the model, the trace of its
training and what they depend on. The first of these rows has such a text, the others have
`{"#": DIGEST}` in its place. They are written, superseded and removed together, so that
none is left without the text; where somebody took it out by hand, the others of the
metric count as edited, as the seal of a row is of the text itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from genmodel_bench.storage.digest import content_digest
from genmodel_bench.storage.plain import as_json, from_json

TOGETHER = ("dataset", "model", "options", "samples", "seed", "metric")
"""The columns that are the same in rows which share their texts."""
WHOLE = ("model_settings", "trace")
"""Columns of which the whole text is written once."""
IN_PARTS = "ingredients"
"""The column of which each part is."""
SHORT = 40
"""A text of so many characters is written in every row."""
REFERENCE = re.compile(r'\{"#": "[0-9a-f]{16}"\}')
NEVER_OBJECTS = {"trace": "[]", "column": "{}"}
"""What stands in a column that cannot hold the reference to a text that is gone."""

Row = Mapping[str, str]


def written_once(rows: Iterable[Row]) -> list[dict[str, str]]:
    """Return rows, as text by column, in which long texts stand once for each metric."""
    said: set[tuple[tuple[str, ...], str]] = set()
    found = []
    for row in rows:
        unit = unit_of(row)

        def once(text: str, unit: tuple[str, ...] = unit) -> str:
            if not is_long(text):
                return text
            if (unit, text) in said:
                return reference(text)
            said.add((unit, text))
            return text

        texts = {name: once(row[name]) for name in WHOLE if name in row}
        parts = parts_of(row.get(IN_PARTS, ""))
        if parts:
            texts[IN_PARTS] = joined({name: once(text) for name, text in parts.items()})
        found.append({**row, **texts})
    return found


def in_full(rows: Sequence[Row]) -> list[dict[str, str]]:
    """Return the rows of a file with all that `written_once` left out of them.

    Columns that a newer version writes so are read as well.
    """
    said: dict[tuple[tuple[str, ...], str], str] = {}
    for row in rows:
        unit = unit_of(row)
        for text in (*row.values(), *parts_of(row.get(IN_PARTS, "")).values()):
            if is_long(text):
                said.setdefault((unit, reference(text)), text)

    def full(unit: tuple[str, ...], name: str, text: str) -> str:
        if not REFERENCE.fullmatch(text):
            return text
        return said.get((unit, text), NEVER_OBJECTS.get(name, text))

    found = []
    for row in rows:
        unit = unit_of(row)
        texts = {name: full(unit, name, text) for name, text in row.items()}
        parts = parts_of(texts.get(IN_PARTS, ""))
        if any(map(REFERENCE.fullmatch, parts.values())):
            texts[IN_PARTS] = joined({name: full(unit, name, text) for name, text in parts.items()})
        found.append(texts)
    return found


def is_long(text: str) -> bool:
    """Return whether a text is JSON of a length that is written once."""
    return len(text) > SHORT and text[0] in "[{" and not REFERENCE.fullmatch(text)


def unit_of(row: Row) -> tuple[str, ...]:
    """Return what the rows of one metric of one cell have in common."""
    return tuple(row.get(name, "") for name in TOGETHER)


@lru_cache(maxsize=10_000)
def reference(text: str) -> str:
    """Return what stands in the place of a text."""
    return as_json({"#": content_digest(text)})


@lru_cache(maxsize=10_000)
def parts_of(text: str) -> Mapping[str, str]:
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
