"""What a cost becomes when an assumption changes, and the price at which two devices' tokens cost the same."""

from __future__ import annotations

import math
import re

import msgspec

from bench.results.cost import TOKENS, Cost, Input, Interval, Way, formula_of
from bench.results.formula import evaluate
from bench.results.normalize import rate_factors
from bench.results.prices import Prices
from bench.results.record import Row

# Shares cannot be more than all, and a facility needs at least what its devices take.
LEAST, MOST = {"pue": 1.0}, {"utilization": 1.0, "residual": 1.0}
VARIED = 0.2
NO_PRICE = "its energy and hosting alone cost more: no price makes it equal"


class Varied(msgspec.Struct, frozen=True, kw_only=True):
    """What a cost becomes when one input alone is a share lower, and the same share higher, and the values used."""

    input: Input
    at: Interval
    cost: Interval


class BreakEven(msgspec.Struct, frozen=True, kw_only=True):
    """The price of one `unit` (a package, with all its devices) at which its tokens cost what `against` costs.

    ends: formulas of the interval's ends, as `formula` is of the value.
    """

    device: str
    unit: str
    way: Way
    currency: str
    against: Cost
    formula: str
    inputs: list[Input]
    value: float | None = None
    interval: Interval | None = None
    ends: tuple[str, str] | None = None
    reason: str = ""


def sensitivity(cost: Cost, share: float = VARIED) -> list[Varied]:
    """Return how a cost moves with each input alone, the one that moves it most first; none for a missing cost."""
    if cost.value is None:
        return []
    values = {each.id: each.value or 0.0 for each in cost.inputs}
    found = []
    for each in cost.inputs:
        if not each.value:
            continue  # a share of nothing is nothing
        low = max(each.value * (1 - share), LEAST.get(each.id, 0.0))
        high = min(each.value * (1 + share), MOST.get(each.id, math.inf))
        at = [evaluate(cost.formula, values | {each.id: value}) for value in (low, high)]
        found.append(Varied(input=each, at=(low, high), cost=(at[0], at[1])))
    return sorted(found, key=lambda v: -abs(v.cost[1] - v.cost[0]))


def break_even(against: Cost, row: Row, prices: Prices) -> BreakEven:
    """Return the price of a row's unit at which a million of its tokens cost what they cost in `against`.

    Needs no price of that unit: it says what one may cost at most. Costs are linear in the price, so the formula is
    (cost - cost at price 0) / (cost at price 1 - cost at price 0).
    """
    formula, inputs, missing = formula_of(row, prices, against.way, price="0")
    one = formula_of(row, prices, against.way, price="1")[0]
    target = Input(id="cost_against", label=f"cost on {against.device}", value=against.value,
                   unit=f"{against.currency}/Mtok", source=against.source)  # fmt: skip
    found = BreakEven(
        device=row.device, unit=row.unit, way=against.way, currency=prices.currency, against=against,
        formula=f"(cost_against - {formula}) / ({one} - {formula})", inputs=[target, *inputs],
        reason=missing or against.reason,
    )  # fmt: skip
    if found.reason or against.value is None:
        return found
    if against.tokens != TOKENS[row.phase][0]:
        return msgspec.structs.replace(found, reason=f"{against.tokens} tokens are not {TOKENS[row.phase][0]} tokens")
    values = {each.id: each.value or 0.0 for each in found.inputs}
    value = evaluate(found.formula, values)
    if value <= 0:
        return msgspec.structs.replace(found, reason=NO_PRICE)
    factors = _apart(against, row)
    if factors is None:
        return msgspec.structs.replace(found, value=value)
    low, high = (re.sub(r"\bcost_against\b", f"cost_against * {factor!r}", found.formula) for factor in factors)
    # Where even the lower end of a cost is less than energy and hosting alone, no price is low enough.
    interval = (max(evaluate(low, values), 0.0), evaluate(high, values))
    return msgspec.structs.replace(found, value=value, interval=interval, ends=(low, high))


def _apart(against: Cost, row: Row) -> Interval | None:
    """What a cost may be of itself at the ends of both throughputs' intervals, for example (0.8, 1.3).

    Their errors are independent, so their logarithms add squared. A row's own error moves its whole cost, so it counts
    as one of what it is set against.
    """
    own = rate_factors(row)
    if own is None or against.interval is None or not against.value:
        return None
    below, above = math.log(against.interval[0] / against.value), math.log(against.interval[1] / against.value)
    # What may yield nothing in time is worth nothing at the lower end.
    least = math.exp(-math.hypot(below, math.log(own[0]))) if own[0] > 0 else 0.0
    return least, math.exp(math.hypot(above, math.log(own[1])))
