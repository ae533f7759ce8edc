"""What is a ratio within one run, and how far does it spread?

Both sides are timed in turn, round by round, one first in even rounds and the other in
odd ones: a machine that slows down for a second, or for good, slows both, and the ratio
of a round stays. The median over rounds is reported. Its standard error comes from the
median absolute deviation, so that single disturbed rounds do not count. All of it is in
logarithms: a ratio of 2 and one of ½ are equally far from 1.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

Call = Callable[[], Any]

SHORTEST = 0.02
"""The least seconds of a side in a round: shorter calls are repeated."""
FEWEST, MOST = 7, 25
"""The limits of the number of rounds."""


@dataclass(frozen=True)
class Plan:
    """How often both sides are timed: rounds, and calls of each in one round."""

    rounds: int
    our_calls: int = 1
    other_calls: int = 1


def plan(ours: float, other: float, *, budget: float, fewest: int = FEWEST) -> Plan:
    """Return the plan for sides that take `ours` and `other` seconds a call.

    All rounds together take about `budget` seconds.
    """
    calls = [max(1, math.ceil(SHORTEST / max(seconds, 1e-9))) for seconds in (ours, other)]
    one_round = ours * calls[0] + other * calls[1]
    return Plan(max(fewest, min(MOST, int(budget / one_round))), *calls)


def seconds(call: Call, calls: int = 1, *, wait: Callable[[], None] = lambda: None) -> float:
    """Return the mean seconds of a call over `calls` of them.

    `wait` waits for a device that works asynchronously.
    """
    wait()
    start = time.perf_counter()
    for _ in range(calls):
        call()
    wait()
    return (time.perf_counter() - start) / calls


def warm(call: Call, *, wait: Callable[[], None] = lambda: None, again: bool = True) -> float:
    """Return the seconds of a call after a first one.

    The first call compiles, allocates and fills the caches. Where it was long, or not
    `again`, its seconds are returned.
    """
    first = seconds(call, wait=wait)
    return seconds(call, wait=wait) if again and first < 2 else first


class Turns:
    """Times the other side before ours in even rounds, after it in odd ones.

    `before` and `after` are called at the start and end of each round.
    """

    def __init__(self, other: Callable[[], float]) -> None:
        self.other, self.round = other, 0
        self.seconds: list[float] = []

    def before(self) -> None:
        """Begin a round."""
        if self.round % 2 == 0:
            self.seconds.append(self.other())

    def after(self) -> None:
        """End a round."""
        if self.round % 2:
            self.seconds.append(self.other())
        self.round += 1


def interleave(
    ours: Call, other: Call, rounds: int, *, wait: Callable[[], None] = lambda: None
) -> tuple[list[float], list[float]]:
    """Return the seconds of both sides by round, each side first in every other round."""
    turns, taken = Turns(lambda: seconds(other, wait=wait)), []
    for _ in range(rounds):
        turns.before()
        taken.append(seconds(ours, wait=wait))
        turns.after()
    return taken, turns.seconds


def divide(ours: Sequence[float], other: Sequence[float]) -> list[float]:
    """Return the ratio of each round."""
    return [a / b for a, b in zip(ours, other, strict=True)]


def spread(values: Sequence[float]) -> float:
    """Return a robust standard deviation, 0 of one value.

    It is 1.4826 times the median absolute deviation, raised for few values.
    """
    n, middle = len(values), median(values)
    if n == 1:
        return 0.0
    # Croux and Rousseeuw (1992), table 1, has 1.196 for n = 2 and is within 5 % of
    # n / (n − 1) from there on.
    return 1.4826 * median(abs(v - middle) for v in values) * (1.196 if n == 2 else n / (n - 1))


def standard_error(ratios: Sequence[float]) -> float:
    """Return the standard error of the logarithm of the median of `ratios`.

    √(π/2) · spread / √n, as of a normal distribution.
    """
    return math.sqrt(math.pi / 2 / len(ratios)) * spread([math.log(r) for r in ratios])


def exponent(sizes: Sequence[float], values: Sequence[float], *, upper: int) -> float:
    """Return the b of values ≈ a · sizes^b, fitted to the `upper` largest sizes.

    Least squares on the logarithms.
    """
    pairs = sorted(zip(sizes, values, strict=True))[-upper:]
    xs, ys = [math.log(x) for x, _ in pairs], [math.log(y) for _, y in pairs]
    x0, y0 = sum(xs) / len(xs), sum(ys) / len(ys)
    return sum((x - x0) * (y - y0) for x, y in zip(xs, ys, strict=True)) / sum((x - x0) ** 2 for x in xs)
