"""The words of a verdict. They come from this table, not from free text, so that no report can say more than it knows.

    interval wholly inside +-2 %                  equal within 2%
    interval wholly beyond 2 % on one side        A better by 1.23x
    anything else, or no interval                 cannot tell apart / cannot tell: no interval
    a published figure without one                cannot tell: cited, no interval published
    cases that contradict each other              depends on the case: A better in 2, B in 3 of 9
    a number in doubt (bench/results/doubt.py)    cannot tell: disturbed
    the better side may not keep its target       cannot tell: an interval reaches across the target

A number that was not measured on either side puts "estimated:" in front, one that did not settle "unstable:".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

EQUAL = 0.02
ACROSS = "an interval reaches across the target"

Interval = tuple[float, float]


@dataclass(frozen=True)
class Basis:
    """What a ratio rests on: a number that was not measured, one that did not settle, and why one is in doubt.

    cited: one side is a figure of others', who publish no interval. late: sides, 0 or 1, that by the interval of a
    time may not keep the target at which they are read; no such side is better.
    """

    estimated: bool = False
    unstable: bool = False
    doubt: str = ""
    cited: bool = False
    late: frozenset[int] = frozenset()

    @property
    def front(self) -> str:
        """What stands before the words."""
        return ("estimated: " if self.estimated else "") + ("unstable: " if self.unstable else "")

    @property
    def without(self) -> str:
        """Why there is no interval, where there is none."""
        return ACROSS if self.late else "cited, no interval published" if self.cited else "no interval"

    def cannot_tell(self, why: str) -> str:
        """Return the words where nothing can be told; what did not settle has no part in a verdict that is none."""
        return f"{'estimated: ' if self.estimated else ''}cannot tell{why}"


def reading(
    ratio: float, interval: Interval | None, names: tuple[str, str], *, higher: bool, basis: Basis
) -> str:  # fmt: skip
    """Return the verdict in words for a ratio A over B and its interval."""
    if basis.doubt:
        return basis.cannot_tell(f": {basis.doubt}")
    if interval is None:
        return basis.cannot_tell(f": {basis.without}")
    side = better(interval, higher=higher)
    if side in basis.late:
        return basis.cannot_tell(f": {ACROSS}")
    if side is not None:
        factor = ratio if ratio > 1 else 1 / ratio
        return f"{basis.front}{names[side]} better by {factor:,.2f}x"
    low, high = interval
    if low >= 1 - EQUAL and high <= 1 + EQUAL:
        return f"{basis.front}equal within {EQUAL:.0%}"
    return basis.cannot_tell(" apart")


def better(interval: Interval | None, *, higher: bool) -> int | None:
    """Return which side is better beyond doubt, 0 or 1; None where neither is."""
    if interval is None or (interval[0] <= 1 + EQUAL and interval[1] >= 1 - EQUAL):
        return None
    return 0 if (interval[0] > 1) == higher else 1


def together(ratios: Sequence[float], intervals: Sequence[Interval | None]) -> tuple[float, Interval | None]:
    """Return the geometric mean of ratios and its interval, the widest: as if all errors went the same way.

    Cases of one device share its calibration, so their errors do not average out.
    """
    mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
    known = [interval for interval in intervals if interval is not None]
    if len(known) < len(ratios):
        return mean, None
    low, high = (math.exp(sum(math.log(each[end]) for each in known) / len(known)) for end in (0, 1))
    return mean, (low, high)


def reading_of_many(
    ratios: Sequence[float], intervals: Sequence[Interval | None], names: tuple[str, str], *, higher: bool, basis: Basis
) -> str:  # fmt: skip
    """Return the verdict in words for several cases: that of their geometric mean, unless they disagree."""
    sides = [better(interval, higher=higher) for interval in intervals]
    a, b = sides.count(0), sides.count(1)
    if a and b and not basis.doubt:
        return f"{basis.front}depends on the case: {names[0]} better in {a}, {names[1]} in {b} of {len(sides)}"
    ratio, interval = together(ratios, intervals)
    return reading(ratio, interval, names, higher=higher, basis=basis)
