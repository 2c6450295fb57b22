"""One reading of two systems on one axis, and what all readings of an axis say together.

What sides yield as readings is in bench/results/axes.py; the words come from bench/results/reading.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from bench.results.reading import EQUAL, Interval, better

Axis = Literal["throughput", "latency", "utilization", "energy", "price/performance"]
AXES: tuple[Axis, ...] = ("throughput", "latency", "utilization", "energy", "price/performance")

# From the surest to the least sure; a derived number is as sure as its least sure input (`worst`).
SOURCES = (
    "measured", "interpolated", "published", "modelled:calibrated", "modelled:transferred", "modelled:sheet", "assumed",
    "missing",
)  # fmt: skip


class Verdict(msgspec.Struct, kw_only=True):
    """One reading of two systems on one axis: `a` over `b` of `metric`, at a target where there is one.

    ratio, interval: None where there is nothing to divide; then `why` says so.
    per: what yields it: "package", or "machine | package". target: the case, or the service target it is named by.
    a_value, b_value: in `unit`, where the ratio is of one case; None for a geometric mean.
    reading: words of bench.results.reading. source: the least sure of what went in.
    cases: the ratios that a geometric mean is of, by case; empty where the ratio is of one case.
    note: what is not the same on both sides though the case is. counted: whether it stands for its axis; False where
    readings at service targets do so in its place.
    """

    axis: Axis
    metric: str
    a: str
    b: str
    unit: str = ""
    per: str = ""
    target: str = ""
    better: Literal["higher", "lower"] = "higher"
    a_value: float | None = None
    b_value: float | None = None
    a_source: str = ""
    b_source: str = ""
    ratio: float | None = None
    interval: Interval | None = None
    reading: str
    source: str = "missing"
    cases: dict[str, float] = {}
    why: str = ""
    note: str = ""
    counted: bool = True


WHY_NONE = {
    "throughput": "no case of both sides yields tokens",
    "latency": "no case was timed on both sides",
    "utilization": "a side's peaks are not known: of a sheet, or reached by bench calibrate",
    "energy": "power was not measured on both sides; it is never taken from a design power",
    "price/performance": "no prices of both sides; give them with: bench report --prices FILE",
}


def worst(*sources: str) -> str:
    """Return the least sure of these sources."""
    return max(sources, key=SOURCES.index, default="missing")


def summary(axis: Axis, found: Sequence[Verdict]) -> str:
    """Return an axis in one sentence: who is better on all that stands for it, or that it depends on the measure."""
    mine = [verdict for verdict in found if verdict.axis == axis and verdict.counted]
    read = [verdict for verdict in mine if verdict.ratio is not None or verdict.reading.endswith(" can")]
    if not read:
        return mine[0].why if mine else WHY_NONE[axis]
    sides = [_side(verdict) for verdict in read]
    front = "estimated: " if any(verdict.source != "measured" for verdict in read) else ""
    a, b, n = sides.count(0), sides.count(1), len(sides)
    first = read[0]
    if n == 1:
        return first.reading
    if a and b:
        return f"{front}depends: {first.a} better on {a}, {first.b} on {b} of {n} readings"
    if a or b:
        return f"{front}{first.a if a else first.b} better on {a or b} of {n} readings" + _rest(n - (a or b))
    if all(verdict.reading.endswith(f"equal within {EQUAL:.0%}") for verdict in read):
        return f"{front}equal within {EQUAL:.0%} on all {n} readings"
    if all(verdict.interval is None for verdict in read):
        return f"{front}cannot tell: no interval on {n} readings"
    return f"{front}cannot tell apart on {n} readings"


def _side(verdict: Verdict) -> int | None:
    if verdict.ratio is None:
        return 0 if verdict.reading.endswith(f"only {verdict.a} can") else 1
    return better(verdict.interval, higher=verdict.better == "higher")


def _rest(count: int) -> str:
    return f", cannot tell or equal on {count}" if count else ""
