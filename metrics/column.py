"""How is a score shown: under which title, in which table, with which sentence?

What is declared here is for readers. It is no part of a metric's code in keys, so that a
reworded sentence makes no stored score stale.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Curve:
    """How a curve of a score is drawn: a chart with a line for each row of the table.

    title: of the chart.
    x, y: the names of its axes, with units.
    says: its caption, in sentences.
    log_x: whether the settings are on a logarithmic axis.
    swapped: the curve's values are on the x axis, its settings on the y axis.
    beside: another curve of the score, the same for all rows, drawn as a broad grey line,
        and its name in the legend.
    """

    title: str
    x: str
    y: str
    says: str
    log_x: bool = False
    swapped: bool = False
    beside: tuple[str, str] | None = None


@dataclass(frozen=True)
class Column:
    """The column of a score.

    title: its heading, short; unit and direction are the score's own.
    says: what the number is, a clause without a full stop, for the legend.
    table: the table that it belongs to, as "likelihood", "quality", "memorisation";
        tables come in the order in which metrics first name them.
    decimals: how many are printed.
    factor: what the value is multiplied by in print, as 100 for per cent.
    examples: which array of the result holds the value of each test image, whose mean the
        score is: two rows are then compared image by image.
    curves: which curves of the score are drawn, by their names.
    floor: which score of the result is what real images have instead of the samples;
        tables show it in a row of its own.
    promises: pairs (better, worse) of probes of `bench audit`, whose order the score has
        to give. One that it does not give marks the column.
    """

    title: str
    says: str
    table: str = "quality"
    decimals: int = 3
    factor: float = 1.0
    examples: str = ""
    curves: Mapping[str, Curve] = field(default_factory=dict)
    floor: str = ""
    promises: tuple[tuple[str, str], ...] = ()


def declared(metric: object) -> Mapping[str, Column]:
    """Return what a metric declares of its scores; a metric need not declare anything."""
    return getattr(metric, "columns", {})
