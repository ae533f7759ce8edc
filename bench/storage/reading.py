"""How is a runs.csv read, of this version, an older or a newer one?"""

from __future__ import annotations

import csv
import lzma
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

from genmodel_bench.errors import BadRecords
from genmodel_bench.storage.legacy import is_legacy, modernised
from genmodel_bench.storage.once import in_full
from genmodel_bench.storage.record import COLUMNS, OURS, Record, parsed


def read_rows(path: Path) -> list[dict[str, str]] | None:
    """Return the rows of a CSV as strings, or None where it is not of our form.

    Raises:
        BadRecords: the file is damaged.
    """
    csv.field_size_limit(2**31 - 1)  # texts of any length can be written
    header: list[str] = []
    try:
        with opened(path) as file:
            reader = csv.reader(file, strict=True)
            header = next(reader, [])
            if not set(OURS) <= set(header):
                return None
            rows = list(reader)
    except (csv.Error, UnicodeError, lzma.LZMAError) as error:
        if not header:
            return None
        raise BadRecords(f"{path}: cannot be read as records ({error}); move it away") from error
    for number, row in enumerate(rows, start=1):
        if len(row) != len(header):
            raise BadRecords(
                f"{path}: row {number} is damaged ({len(row)} of {len(header)} columns); "
                "repair it or move the file away"
            )
    return [dict(zip(header, row, strict=True)) for row in rows]


def opened(path: Path) -> TextIO:
    """Return a CSV opened to be read; one that ends with .xz is packed."""
    if path.suffix == ".xz":
        return lzma.open(path, "rt", newline="", encoding="utf-8")
    return path.open(newline="", encoding="utf-8")


def read_records(path: Path) -> list[Record]:
    """Return the rows of a runs.csv, of this version, an older or a newer one.

    Raises:
        BadRecords: the file is damaged or of another form.
    """
    rows = read_rows(path)
    if rows is None:
        raise BadRecords(f"{path}: has not the columns of records ({', '.join(OURS)}); move it away")
    records = []
    for number, row in enumerate(in_full(rows), start=1):
        try:
            records.append(modernised(row) if is_legacy(row) else from_texts(row))
        except (ValueError, TypeError, KeyError) as error:
            raise BadRecords(
                f"{path}: row {number} is damaged ({str(error)[:200]}); repair it or move the file away"
            ) from error
    return records


def from_texts(row: Mapping[str, str]) -> Record:
    """Return a row from the strings in its columns.

    Absent columns get their defaults, unknown ones are kept.

    Raises:
        ValueError: a string does not fit its column.
    """
    known = {name: parsed(name, text) for name, text in row.items() if name in COLUMNS}
    others = tuple((name, text) for name, text in row.items() if name not in COLUMNS)
    return Record(**known, others=others)
