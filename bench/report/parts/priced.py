"""Rows with what their tokens cost: what the section on cost is made of, each row of the unit that is bought."""

from __future__ import annotations

import re
from typing import NamedTuple

import msgspec

from bench.report.document import Assumption, Cell
from bench.report.sides import Side
from bench.results.cost import TOKENS, Cost, Input, Way, costs, token_factors
from bench.results.doubt import doubt
from bench.results.pairs import as_eight_bit, eight_bit, served_order
from bench.results.prices import Prices, bounds
from bench.results.record import Row
from bench.results.verdict import worst

WORDS: dict[Way, str] = {"purchase": "bought", "rental": "rented"}
# More cases than this are no page of costs; name fewer.
MOST_CASES = 30


class Line(NamedTuple):
    """One row with its costs; `number` makes the names in its formulas its own."""

    side: Side
    row: Row
    number: int
    costs: dict[Way, Cost]
    prices: Prices

    @property
    def case(self) -> tuple[str, str]:
        """What two rows must share to be put side by side."""
        return self.row.case_id, self.row.definition_hash

    def formula(self, text: str) -> str:
        """Return a formula with the row's own rate and power in the names."""
        return re.sub(r"\b(rate|watts)\b", rf"\1_{self.number}", text)

    def id(self, way: Way) -> str:
        """Return the name of the cell that holds a cost; "" where there is no number."""
        return "" if self.costs[way].value is None else f"cost_{way}_{self.number}"

    def ends(self, formula: str) -> tuple[str, str] | None:
        """Return the ends of a number that goes with what a token takes, as formulas."""
        factors = token_factors(self.row)
        return None if factors is None else (f"{formula} * {factors[0]!r}", f"{formula} * {factors[1]!r}")


def lines(sides: list[Side], prices: Prices) -> list[Line]:
    """Return rows at service targets, else every prefill and decode row, those of a case beside each other.

    What a service would run comes first. Of MOST_CASES cases; `left_out` counts the rest.
    """
    found = _rows(sides)
    order = served_order(row for _, row in found)[:MOST_CASES]
    kept = sorted((pair for pair in found if pair[1].case_id in order), key=lambda pair: order.index(pair[1].case_id))
    return [
        Line(side, row, number, {one.way: one for one in costs(row, prices)}, prices)
        for number, (side, row) in enumerate(kept, 1)
    ]


def left_out(sides: list[Side]) -> int:
    """Return how many cases `lines` leaves out."""
    return max(0, len({row.case_id for _, row in _rows(sides)}) - MOST_CASES)


def yields(side: Side) -> set[str]:
    """Return the cases of a side whose tokens cost something."""
    return {row.case_id for _, row in _rows([side])}


def no_tokens(sides: list[Side]) -> str:
    """What is said of sides of which no tokens cost anything: at service targets the reason stands elsewhere."""
    late = any(side.at_targets for side in sides)
    return f"no tokens{' in time' * late} to put a price on{'; the list of what was not run says why' * late}"


def _rows(sides: list[Side]) -> list[tuple[Side, Row]]:
    """The rows that tokens cost something of, each of the unit that is bought; at the same batch also in 8-bit."""
    found, own = [], _own_eight_bit(sides)
    for side in sides:
        rows, fixed = (
            [row for row in given if row.phase in TOKENS and row.devices == 1] for given in (side.at_targets, side.rows)
        )
        if rows:
            # Targets of a token's time say nothing of prompts.
            asked = {row.phase for row in rows}
            fixed = [row for row in fixed if row.phase == "prefill" and row.phase not in asked]
        rows += [*fixed, *(as_eight_bit(row) for row in fixed if (side.label, row.case_id) in own)]
        found += [(side, bought(side, row)) for row in rows if row.status == "ok"]
    return found


def _own_eight_bit(sides: list[Side]) -> set[tuple[str, str]]:
    """The cases, by side, that stand for each device's own 8-bit path where the first side's and another's differ."""
    pairs = [
        (other.label, x.case_id, y.case_id)
        for other in sides[1:] for x, y in eight_bit(sides[0].operand, other.operand)
    ]  # fmt: skip
    return {(sides[0].label, mine) for _, mine, _ in pairs} | {(label, theirs) for label, _, theirs in pairs}


def bought(side: Side, row: Row) -> Row:
    """Return a device's row as that of what is bought: a package of two dies yields and draws twice what one does."""
    count = side.paper.devices_per_package
    if count == 1 or row.unit == "machine":
        return row
    many = {
        key: None if value is None else value * count
        for key in ("prompt_tokens_per_s", "output_tokens_per_s", "power_w")
        for value in (getattr(row, key),)
    }
    ends = None if row.rate_interval is None else (row.rate_interval[0] * count, row.rate_interval[1] * count)
    whole = msgspec.structs.replace(row, unit="package", devices=row.devices * count, rate_interval=ends, **many)
    if row.power_w is not None and _of_all(row.power_basis or ""):
        # A package with one die at work draws neither what a die does nor what a busy package does.
        why = f"the sensor covers: {row.power_basis}; one of its devices worked"
        whole.power_w, whole.telemetry_missing = None, row.telemetry_missing | {"power_w": why}
    return whole


def _of_all(basis: str) -> bool:
    """Whether a reading is of more than the one device that was timed."""
    return basis.startswith(("package", "card")) or "of a card" in basis


def cost_cell(line: Line, way: Way) -> Cell:
    """Return what a million of a row's tokens cost, or why that is not known."""
    found = line.costs[way]
    unit = f"{found.currency}/Mtok"
    if found.value is None:
        return Cell(value=None, unit=unit, note=found.reason)
    formula, note = line.formula(found.formula), found.basis + no_end(line.row)
    return Cell(
        value=found.value, unit=unit, source=worst(found.source, "assumed"), interval=found.interval, note=note,
        id=line.id(way), formula=formula, ends=line.ends(line.id(way)), doubt=doubt(line.row),
    )  # fmt: skip


def no_end(row: Row) -> str:
    """Why what a row's token takes has no interval, after other words; "" where it has one."""
    late = row.rate_interval is not None and row.rate_interval[0] <= 0
    return "; no upper end: by its interval nothing may be yielded in time" if late else ""


def assumptions(inputs: list[Input], file: str, *, example: bool) -> list[Assumption]:
    """Return the numbers of a prices file that formulas use, each once."""
    used = {each.id: each for each in inputs if each.key and each.value is not None}
    found = []
    for each in used.values():
        least, above, most = bounds(each.key)
        found.append(
            Assumption(id=each.id, label=each.label, value=each.value or 0.0, unit=each.unit, source=each.source,
                       date=each.date, low=each.low, high=each.high, least=least, above=above, most=most,
                       example=example, file=file, key=each.key)
        )  # fmt: skip
    return found
