"""Which records make a row of the table, and what is kept of it to draw figures from?"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from genmodel_bench.report.tables.columns import Key, Quantity, by_row
from genmodel_bench.storage.arrays import Arrays, kept_arrays
from genmodel_bench.storage.ingredients import Vouched, recipe_of
from genmodel_bench.storage.names import file_name
from genmodel_bench.storage.record import Record
from genmodel_bench.storage.store import sure

SeedCurve = dict[float, tuple[float, ...]]
"""A curve of several seeds, {setting: the value of each}."""


@dataclass(frozen=True)
class Line:
    """The records of all seeds of one row of the table, lowest seed first."""

    key: Key
    records: tuple[Record, ...]

    @property
    def name(self) -> str:
        """Return the model's name with the options that differ, and N if not 10,000."""
        _, _, _, n = self.key
        return self.records[0].name + ("" if n == 10_000 else f" N={n}")

    @property
    def short_name(self) -> str:
        """Return the name where there is little room, as in a legend."""
        return self.name if len(self.name) <= 36 else f"{self.name[:24]}…{self.name[-8:]}"

    @property
    def file_name(self) -> str:
        """Return the part of file names that no other line has."""
        role, model, variant, n = self.key
        name = f"{model} {variant}".strip() + ("" if n == 10_000 else f" N={n}")
        return file_name(f"given {name}" if role == "samples" else name)

    def of(self, quantity: Quantity) -> list[Record]:
        """Return the rows of a score that have a value, one for each seed."""
        return [r for r in self.records if (r.metric, r.quantity) == quantity and r.ok]

    @property
    def sampled(self) -> list[Record]:
        """Return a scored row of each seed, whatever the score."""
        return list({r.seed: r for r in reversed(self.records) if r.ok}.values())[::-1]

    def curve(self, name: str, quantity: Quantity | None = None) -> dict[float, float]:
        """Return a curve of a score, {setting: value}, the mean over seeds."""
        return mean_of(self.curve_by_seed(name, quantity))

    def curve_by_seed(self, name: str, quantity: Quantity | None = None) -> SeedCurve:
        """Return a curve of a score, {setting: the values of all seeds}.

        Only settings that all seeds have are in it. Without a score: one that every score
        of a row has, as the validation checks.
        """
        rows = self.sampled if quantity is None else self.of(quantity)
        curves = [json.loads(r.curves).get(name, {}) for r in rows]
        shared = [
            setting for setting in (curves[0] if curves else {}) if all(setting in curve for curve in curves)
        ]
        return dict(sorted((float(setting), tuple(float(c[setting]) for c in curves)) for setting in shared))


def mean_of(curve: Mapping[float, Sequence[float]]) -> dict[float, float]:
    """Return the mean over seeds of a curve, {setting: value}."""
    return {setting: float(np.mean(values)) for setting, values in curve.items()}


def lines_of(records: Sequence[Record], order: Sequence[Key]) -> list[Line]:
    """Return the lines of one data set's trusted records, in the order of its table."""
    found = by_row(sorted(sure(records), key=lambda r: r.seed or 0))
    return [Line(key, tuple(found[key])) for key in order if key in found]


def visuals_of(record: Record, cache: Path) -> tuple[Arrays, dict[str, Any]] | None:
    """Return the visuals of a record's cell and their metadata, or None.

    They must come from the weights that were scored, by the same recipe: that of the
    row's own code, or of the code that was vouched for in its place. Where they were
    made, nobody may have vouched.
    """
    found = kept_arrays(cache / "visuals" / f"{record.cell}.safetensors", record.cell)
    recipes = record.recipe, recipe_of(record.ingredients, Vouched())
    same = found and found[1].get("weights") == record.weights and found[1].get("recipe") in recipes
    return found if same else None
