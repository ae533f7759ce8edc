"""How are the cells that run drawn as bars, in any width?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from genmodel_bench.commands.remaining import in_words
from rich.text import Text

SHORTEST, LONGEST = 10, 40
"""Columns of a bar, where names leave it so many."""
LEFT = len("59 min left")
"""Columns of what is left of a cell, the longest text of it."""
NOTE = 40
"""Columns from which a note stands beside its bar instead of below."""


@dataclass
class Bar:
    """What is shown of a cell that runs.

    total: 0 while nothing is known of its progress.
    left: the seconds that it still takes, if there is a basis.
    """

    name: str
    stage: str = ""
    done: int = 0
    total: int = 0
    left: float | None = None
    epoch: str = ""
    check: str = ""

    @property
    def note(self) -> str:
        """Return what is known besides the counter."""
        return "; ".join(text for text in (self.epoch, self.check) if text)


def drawn(bars: Sequence[Bar], width: int) -> list[Text]:
    """Return the lines of bars for a width in columns, with their notes.

    Bar, counter and estimate are always there: names are shortened for them, and a note
    for which there is no room beside them is on a line of its own.
    """
    names = [" ".join(part for part in (bar.name, bar.stage) if part) for bar in bars]
    counters = [f"{bar.done:,}/{bar.total:,}" if bar.total else "" for bar in bars]
    longest, counter = max(map(len, names), default=0), max(map(len, counters), default=0)
    free = width - counter - LEFT - 3
    size = min(LONGEST, max(SHORTEST, free - longest))
    room = max(1, min(longest, free - size))
    beside = width - room - size - counter - LEFT - 3 - 2
    found = []
    for bar, name, count in zip(bars, names, counters, strict=True):
        text = Text(name)
        text.truncate(room, overflow="ellipsis", pad=True)
        left = "" if bar.left is None else f"{in_words(bar.left)} left"
        text.append(" ").append_text(stroke(bar.done, bar.total, size))
        text.append(f" {count:>{counter}} {left:>{LEFT}}")
        found.append(text)
        if bar.note and beside >= NOTE:
            text.append(f"  {bar.note}", style="dim")
        elif bar.note:
            found.append(Text(f"  {bar.note}", style="dim"))
    return found


def stroke(done: int, total: int, size: int) -> Text:
    """Return a bar of `size` columns, thick where it is done."""
    full = size * min(done, total) // total if total else 0
    return Text("━" * full, style="green").append("─" * (size - full), style="bright_black")
