"""What tokens cost on each side, at which price both would cost the same, and how that moves with each assumption."""

from __future__ import annotations

import math
import re
from typing import Any, NamedTuple

from bench.report import cells
from bench.report.document import Assumption, Cell, Chart, Column, Section, Table
from bench.report.parts.numbers import of, rate_of
from bench.report.rows import marked_source, short_names
from bench.report.sides import Part, Side
from bench.results.cost import FORMULAS, TOKENS, WAYS, Cost, Input, Way, costs, energy
from bench.results.doubt import doubt
from bench.results.prices import BASIS_WORDS, Prices
from bench.results.reading import Basis, reading
from bench.results.record import Row
from bench.results.verdict import Verdict, worst
from bench.results.what_if import VARIED, break_even, sensitivity

WORDS: dict[Way, str] = {"purchase": "bought", "rental": "rented"}
EXAMPLE = "EXAMPLE PRICES: public indications with their dates, no offers to anybody. Put in your own quotations."
# More cases than this are in the attached data.
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


def cost(sides: list[Side], prices: Prices, file: str) -> Part:
    """Return costs per million tokens, break-even prices, sensitivity, the assumptions, and verdicts on price."""
    section = Section(id="cost", title="Cost")
    lines = _lines(sides, prices)
    section.text = [EXAMPLE] if prices.example else []
    if not lines:
        section.text.append("No side has a throughput to put a price on.")
        return Part([section])
    short, notes = short_names([line.row.case_id for line in lines])
    section.charts = [chart for way in WAYS if (chart := _chart(lines, short, prices, way)) is not None]
    section.tables = [
        _cost_table(lines, short, prices), _break_even_table(sides, lines, short), _sensitivity_table(lines),
        formula_table("cost-formulas", FORMULAS),
    ]  # fmt: skip
    section.notes = [
        *notes,
        f"Bought: {BASIS_WORDS[prices.power_basis]}. Rented: power, hosting and cooling are part of the rent.",
        "Energy per token is at the device; cooling and conversion come in through PUE. Idle power is left out.",
        "An interval is that of the throughput; prices are taken as they stand, and varied in the last table.",
    ]
    inputs = [each for line in lines for one in line.costs.values() for each in one.inputs]
    given = assumptions(inputs, file, example=prices.example)
    return Part([section], verdicts=_verdicts(sides, lines), assumptions=given)


def formula_table(name: str, formulas: dict[str, str]) -> Table:
    """Return how each quantity is worked out."""
    columns = [Column(name="quantity"), Column(name="formula")]
    rows: list[list[str | Cell]] = [[quantity, formula] for quantity, formula in formulas.items()]
    return Table(id=name, title="How it is worked out", columns=columns, rows=rows)


def _lines(sides: list[Side], prices: Prices) -> list[Line]:
    """Rows of one device at service targets, else every prefill and decode row, those of a case beside each other."""
    found = []
    for side in sides:
        rows = [row for row in (side.at_targets or side.rows) if row.phase in TOKENS and row.devices == 1]
        prefill = [row for row in side.rows if row.phase == "prefill" and row.devices == 1]
        if not any(row.phase == "prefill" for row in rows):
            rows += prefill
        found += [(side, row) for row in rows if row.status == "ok"]
    order = list(dict.fromkeys(row.case_id for _, row in found))[:MOST_CASES]
    kept = sorted((pair for pair in found if pair[1].case_id in order), key=lambda pair: order.index(pair[1].case_id))
    return [
        Line(side, row, number, {one.way: one for one in costs(row, prices)}, prices)
        for number, (side, row) in enumerate(kept, 1)
    ]


def _cost_table(lines: list[Line], short: dict[str, str], prices: Prices) -> Table:
    money = f"{prices.currency} per million tokens"
    table = Table(id="cost", title=money, columns=[
        Column(name="case or target"), Column(name="system"), Column(name="tokens"),
        Column(name="throughput of a device", number=True),
        Column(name="power of a device", number=True, note=BASIS_WORDS[prices.power_basis]),
        Column(name="J per token", number=True), Column(name=f"{money}, bought", number=True),
        Column(name=f"{money}, rented", number=True), Column(name="throughput is"),
    ])  # fmt: skip
    for line in lines:
        rate = of(line.row, rate_of(line.row))
        rate.id = f"rate_{line.number}"
        used = energy(line.row, prices)
        measured = used.basis == "measured"
        source = line.costs["rental"].source if measured else "assumed"
        watts = Cell(value=used.watts, unit="W", source=source if used.watts else "missing", note=used.reason)
        if measured and used.watts is not None:
            watts.id = f"watts_{line.number}"
        joules = Cell(value=used.value, unit="J/token", source=source if used.value else "missing",
                      interval=used.interval, note=used.reason or ("" if measured else BASIS_WORDS["tdp"]))  # fmt: skip
        table.rows.append([
            short[line.row.case_id], line.side.label, line.costs["rental"].tokens, rate, watts, joules,
            *(_cost_cell(line, way) for way in WAYS), marked_source(line.row),
        ])  # fmt: skip
    return table


def _cost_cell(line: Line, way: Way) -> Cell:
    found = line.costs[way]
    unit = f"{found.currency}/Mtok"
    if found.value is None:
        return Cell(value=None, unit=unit, note=found.reason)
    return Cell(
        value=found.value, unit=unit, source=worst(found.source, "assumed"), interval=found.interval, note=found.basis,
        id=f"cost_{way}_{line.number}", formula=line.formula(found.formula),
    )  # fmt: skip


def _break_even_table(sides: list[Side], lines: list[Line], short: dict[str, str]) -> Table:
    """Return, for each case, the price at which the first side costs what another does, and the other way round."""
    table = Table(id="break-even", title="Price at which tokens cost the same on both", columns=[
        Column(name="case or target"), Column(name="price sought of"), Column(name="to cost what they cost on"),
        Column(name="way"), Column(name="price of a device", number=True),
        Column(name="price of what is bought as one", number=True, note="a package, where it holds several devices"),
    ])  # fmt: skip
    table.notes = ["Below this price a device's tokens cost less. It needs no price of that device itself."]
    firsts = {line.case: line for line in lines if line.side is sides[0]}
    for other in lines:
        first = firsts.get(other.case)
        if first is None or other.side is sides[0]:
            continue
        for sought, against in ((first, other), (other, first)):
            for way in WAYS:
                ends = _break_even_cells(sought, against, way)
                name = short[sought.row.case_id]
                table.rows.append([name, sought.side.label, against.side.label, WORDS[way], *ends])
    return table


def _break_even_cells(sought: Line, against: Line, way: Way) -> list[Cell]:
    """The price of one device, and of what is bought as one."""
    found = break_even(against.costs[way], sought.row, sought.prices)
    unit = found.currency + ("" if way == "purchase" else "/h")
    if found.value is None:
        return [Cell(value=None, unit=unit, note=found.reason)] * 2
    formula = sought.formula(found.formula).replace("cost_against", f"cost_{way}_{against.number}")
    name, count = f"even_{way}_{sought.number}_{against.number}", sought.side.paper.devices_per_package
    source, ends = worst(sought.costs[way].source, against.costs[way].source, "assumed"), found.interval
    whole = None if ends is None else (ends[0] * count, ends[1] * count)
    return [
        Cell(value=found.value, unit=unit, source=source, interval=ends, id=name, formula=formula),
        Cell(value=found.value * count, unit=unit, source=source, interval=whole, formula=f"{name} * {count}"),
    ]


def _sensitivity_table(lines: list[Line]) -> Table:
    """Return how the first cost of each side moves with each of its inputs alone."""
    title = f"One assumption {VARIED:.0%} lower and higher, all others as they are"
    table = Table(id="sensitivity", title=title, columns=[
        Column(name="system"), Column(name="way"), Column(name="assumption"), Column(name="cost", number=True),
        Column(name=f"{VARIED:.0%} lower", number=True), Column(name=f"{VARIED:.0%} higher", number=True),
    ])  # fmt: skip
    table.notes = ["Of each system's first case above. Shares stay at or below 100%, PUE at or above 1."]
    seen: set[tuple[str, Way]] = set()
    for line in lines:
        for way, found in line.costs.items():
            if (line.side.label, way) in seen or found.value is None:
                continue
            seen.add((line.side.label, way))
            for each in sensitivity(found):
                ends = [
                    Cell(value=value, unit=f"{found.currency}/Mtok", source=worst(found.source, "assumed"),
                         formula=line.formula(_varied(found.formula, each.input, at)))
                    for value, at in zip(each.cost, each.at, strict=True)
                ]  # fmt: skip
                cell = _cost_cell(line, way)
                table.rows.append([
                    line.side.label, WORDS[way], each.input.label,
                    Cell(value=cell.value, unit=cell.unit, source=cell.source, formula=cell.id), *ends,
                ])  # fmt: skip
    return table


def _varied(formula: str, each: Input, at: float) -> str:
    """Return a formula with one name varied; a value held back by its limit stands as a number."""
    factor = at / (each.value or 1.0)
    plain = math.isclose(abs(factor - 1), VARIED)
    return re.sub(rf"\b{each.id}\b", f"({each.id} * {round(factor, 9):g})" if plain else f"{at:g}", formula)


def _chart(lines: list[Line], short: dict[str, str], prices: Prices, way: Way) -> Chart | None:
    rows: list[dict[str, Any]] = []
    title = f"{prices.currency} per million tokens, {WORDS[way]}"
    table = Table(id=f"cost-{way}-data", title=title, columns=[
        Column(name="case or target"), Column(name="system"), Column(name=title, number=True),
    ])  # fmt: skip
    for line in lines:
        cell = _cost_cell(line, way)
        cell.id, cell.formula = None, cell.id
        name = f"{short[line.row.case_id]}, {line.costs[way].tokens}"
        table.rows.append([name, line.side.label, cell])
        if cell.value is not None:
            low, high = cell.interval or (None, None)
            rows.append({"row": name, "series": line.side.label, "value": cell.value, "low": low, "high": high,
                         "source": cell.source, "label": f"{line.side.label}, {name}: {cells.text(cell)}"})  # fmt: skip
    if not rows:
        return None
    return Chart(
        id=f"cost-{way}", title=title, kind="dots", rows=rows, marks=len(rows), table=table,
        alt=f"{title}: one dot a case and system, {len(rows)} dots; lower is cheaper.",
        caption=f"{EXAMPLE} Lower is cheaper." if prices.example else "Lower is cheaper.", options={"x_title": title},
    )  # fmt: skip


def _verdicts(sides: list[Side], lines: list[Line]) -> list[Verdict]:
    """Return the first side's cost over each other side's, for each case and way; or why there is none."""
    found: list[Verdict] = []
    firsts = {line.case: line for line in lines if line.side is sides[0]}
    for other in sides[1:]:
        pairs = [(firsts[x.case], x) for x in lines if x.side is other and x.case in firsts]
        read = [_verdict(a, b, way) for way in WAYS for a, b in pairs]
        known = [verdict for verdict in read if verdict.ratio is not None]
        found += known or [_without_price(verdict, pairs) for verdict in read[:1]]
    return found


def _without_price(verdict: Verdict, pairs: list[tuple[Line, Line]]) -> Verdict:
    """A verdict without a ratio, with the price at which both sides would cost the same, where that is known."""
    for way in WAYS:
        for a, b in pairs:
            for sought, against in ((a, b), (b, a)):
                price = _break_even_cells(sought, against, way)[1]
                if price.value is not None:
                    ends = f" ({cells.interval_text(price.interval, price.unit)})" if price.interval else ""
                    at = f"{sought.side.label} {WORDS[way]} at {cells.text(price)}{ends} a {sought.side.unit}"
                    verdict.why += f"; {at} would cost the same as {against.side.label} for {sought.row.case_id}"
                    return verdict
    return verdict


def _verdict(first: Line, other: Line, way: Way) -> Verdict:
    a, b = first.costs[way], other.costs[way]
    verdict = Verdict(
        axis="price/performance", metric=f"cost of {a.tokens} tokens, {WORDS[way]}", a=first.side.label,
        b=other.side.label, unit=f"{a.currency}/Mtok", target=first.row.case_id, better="lower", a_value=a.value,
        b_value=b.value, a_source=a.source, b_source=b.source, reading="cannot tell: a number is missing",
        why="; ".join(dict.fromkeys(each.reason for each in (a, b) if each.reason)),
    )  # fmt: skip
    if not a.value or not b.value:
        return verdict
    verdict.ratio, verdict.source = a.value / b.value, worst(a.source, b.source, "assumed")
    if a.interval is not None and b.interval is not None:
        # Independent errors add up in squares of logarithms.
        low = math.hypot(math.log(a.value / a.interval[0]), math.log(b.interval[1] / b.value))
        high = math.hypot(math.log(a.interval[1] / a.value), math.log(b.value / b.interval[0]))
        verdict.interval = (verdict.ratio * math.exp(-low), verdict.ratio * math.exp(high))
    verdict.a_doubt, verdict.b_doubt = doubt(first.row), doubt(other.row)
    basis = Basis(estimated=True, doubt=verdict.doubt)
    verdict.reading = reading(verdict.ratio, verdict.interval, (verdict.a, verdict.b), higher=False, basis=basis)
    return verdict


def assumptions(inputs: list[Input], file: str, *, example: bool) -> list[Assumption]:
    """Return the numbers of a prices file that formulas use, each once."""
    used = {each.id: each for each in inputs if each.key and each.value is not None}
    return [
        Assumption(id=each.id, label=each.label, value=each.value or 0.0, unit=each.unit, source=each.source,
                   date=each.date, low=each.low, high=each.high, example=example, file=file, key=each.key)
        for each in used.values()
    ]  # fmt: skip
