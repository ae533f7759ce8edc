"""How long has a cell run, if the time in which all was stopped does not count?

After Ctrl-Z, SIGSTOP or a closed lid the clock of the system has gone on, and the cells
have not. A process that looks at its clock often sees a gap then.
"""

from __future__ import annotations

import time
from collections.abc import Callable

LONGEST = 2.0
"""Seconds between two looks that count; what a gap has beyond them does not."""


class Ticking:
    """A clock of the seconds in which this process ran; it has to be read often."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self.now, self.last, self.seconds = now, now(), 0.0

    def read(self) -> float:
        """Return the seconds that count so far."""
        last, self.last = self.last, self.now()
        self.seconds += min(self.last - last, LONGEST)
        return self.seconds
