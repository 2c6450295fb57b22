"""One reading of two systems on one axis, and what all readings of an axis say together.

What sides yield as readings is in bench/results/axes.py; the words come from bench/results/reading.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from bench.results.doubt import left_out
from bench.results.reading import EQUAL, Basis, Interval, better
from bench.results.target import OPEN
from bench.units import three_digits

Axis = Literal["throughput", "latency", "utilization", "energy", "price/performance"]
AXES: tuple[Axis, ...] = ("throughput", "latency", "utilization", "energy", "price/performance")

# From the surest to the least sure; a derived number is as sure as its least sure input (`worst`).
SOURCES = (
    "measured", "interpolated", "published", "modelled:calibrated", "modelled:transferred", "modelled:sheet", "assumed",
    "missing",
)  # fmt: skip


class EqualPrice(msgspec.Struct, frozen=True, kw_only=True):
    """The price of `of`, of which none is known, at which its tokens cost what the other side's cost.

    way: "rented" or "bought". per: what is bought as one. id: its cell in a report, by which formulas name it.
    """

    of: str
    way: str
    per: str
    unit: str
    value: float
    interval: Interval | None = None
    id: str = ""


class Verdict(msgspec.Struct, kw_only=True):
    """One reading of two systems on one axis: `a` over `b` of `metric`, at a target where there is one.

    ratio, interval: None where there is nothing to divide; then `why` says so.
    per: what yields it: "package", or "machine | package". target: the case, or the service target it is named by.
    a_value, b_value: in `unit`, where the ratio is of one case; None for a geometric mean.
    reading: words of bench.results.reading. source: the least sure of what went in.
    cases: the ratios that a geometric mean is of, by case; empty where the ratio is of one case.
    model, phase, precision, limits: what it is of: the model, else the workload; limits as a service target is written,
    "" at the same batch; precision "" of kernels, which are no service.
    note: what is not the same on both sides though the case is. beside: why it does not stand for its axis: a reading
    at a service target, or in the precision that a service would run, does so in its place.
    a_doubt, b_doubt: why a side's number is in doubt, see bench.results.doubt; such a reading stands for nothing.
    unstable: the time of one of its rows did not settle. late: sides that by the interval of a time may not keep the
    target; such a side is not better.
    left_out: cases in doubt that the geometric mean is not of, with their ratio and why.
    equal: where a price is not known, the one that would make both sides equal.
    a_id, b_id: the cells of a report that hold the values, where those follow from assumptions; "" where they do not.
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
    model: str = ""
    phase: str = ""
    precision: str = ""
    limits: str = ""
    beside: str = ""
    a_doubt: str = ""
    b_doubt: str = ""
    unstable: bool = False
    late: list[str] = []
    left_out: dict[str, tuple[float, str]] = {}
    equal: EqualPrice | None = None
    a_id: str = ""
    b_id: str = ""

    @property
    def counted(self) -> bool:
        """Whether it stands for its axis."""
        return not self.beside

    @property
    def doubt(self) -> str:
        """Why the reading is in doubt, or ""."""
        return self.a_doubt or self.b_doubt


NEITHER = "neither can"
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
    doubts = [verdict.doubt for verdict in mine if verdict.doubt]
    read = [v for v in mine if not v.doubt and (v.ratio is not None or v.reading.endswith((" can", *OPEN.values())))]
    if not read and doubts:
        if len(mine) == 1:
            return mine[0].reading
        return Basis(any(v.source != "measured" for v in mine)).cannot_tell(f": {left_out(doubts)}")
    if read:
        cases = [word for verdict in read for _, word in verdict.left_out.values()]
        rest = [left_out(doubts)] * bool(doubts) + [left_out(cases, "case")] * bool(cases)
        return "; ".join([_in_words(read), *rest])
    return equal_prices(mine) or (mine[0].why if mine else WHY_NONE[axis])


def _in_words(read: Sequence[Verdict]) -> str:
    """What readings say of which none is in doubt, one or more."""
    sides = [_side(verdict) for verdict in read]
    basis = Basis(any(v.source != "measured" for v in read), any(v.unstable for v in read))
    front = basis.front
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
    if all(verdict.reading.endswith(NEITHER) for verdict in read):
        return f"{front}{NEITHER} on {n} readings"
    if all(verdict.interval is None for verdict in read):
        words = {
            verdict.reading.rpartition("cannot tell: ")[2] for verdict in read if not verdict.reading.endswith(NEITHER)
        }
        return basis.cannot_tell(f": {words.pop() if len(words) == 1 else 'no interval'} on {n} readings")
    return basis.cannot_tell(f" apart on {n} readings")


def equal_prices(found: Sequence[Verdict]) -> str:
    """Return the prices that would make both sides equal, from the lowest to the highest, in one sentence."""
    first = next((verdict for verdict in found if verdict.equal is not None), None)
    if first is None or first.equal is None:
        return ""
    of = first.equal.of
    sought = [verdict.equal for verdict in found if verdict.equal is not None and verdict.equal.of == of]
    ways = dict.fromkeys(each.way for each in sought)
    told = " or ".join(_at([each for each in sought if each.way == way]) for way in ways)
    other = first.b if of == first.a else first.a
    spread = ", by case or target" if len(sought) > len(ways) else ""
    return f"{first.why}; estimated: its tokens cost the same as on {other} if it is {told}{spread}"


def _at(prices: Sequence[EqualPrice]) -> str:
    low, high = (three_digits(end(each.value for each in prices)) for end in (min, max))
    return f"{prices[0].way} at {low if low == high else f'{low} to {high}'} {prices[0].unit} a {prices[0].per}"


def _side(verdict: Verdict) -> int | None:
    if verdict.reading.endswith((NEITHER, *OPEN.values())):
        return None
    if verdict.ratio is None:
        return 0 if verdict.reading.endswith(f"only {verdict.a} can") else 1
    return better(verdict.interval, higher=verdict.better == "higher")


def _rest(count: int) -> str:
    return f", cannot tell or equal on {count}" if count else ""
