"""The price at which tokens cost the same on two systems, and what prices say of them: needs no price of the sought."""

from __future__ import annotations

import math
from dataclasses import replace

from bench.report.document import Cell, Column, Table
from bench.report.parts.priced import WORDS, Line, no_tokens, yields
from bench.report.sides import Side
from bench.results.compare import basis_of
from bench.results.cost import WAYS, Way
from bench.results.doubt import doubt
from bench.results.measures import subject
from bench.results.reading import reading
from bench.results.verdict import EqualPrice, Verdict, worst
from bench.results.what_if import NO_PRICE, break_even

NOT_WORKED_OUT = "Not worked out"


def break_even_table(sides: list[Side], lines: list[Line], short: dict[str, str]) -> Table:
    """Return, for each case, the price at which the first side costs what another does, and the other way round."""
    table = Table(id="break-even", title="Price at which tokens cost the same on both", columns=[
        Column(name="case or target"), Column(name="price sought of"), Column(name="to cost what they cost on"),
        Column(name="way"), Column(name="per"), Column(name="price", number=True),
    ])  # fmt: skip
    several = any(line.row.devices > 1 for line in lines)
    if several:
        table.columns.append(Column(name="of that, one device", number=True, note="a die of the package"))
    table.notes = ["Below this price its tokens cost less. It needs no price of that system itself."]
    firsts, left_out = _firsts(sides, lines), dict[str, None]()
    for other in lines:
        first = firsts.get(other.case)
        if first is None or other.side is sides[0]:
            continue
        for sought, against in ((first, other), (other, first)):
            for way in WAYS:
                cells = _cells(sought, against, way)
                if cells[0].value is None and cells[0].note != NO_PRICE:
                    # A table of dashes is not read; why there is no number is told once.
                    left_out[f"{sought.side.label}, {WORDS[way]}, to cost the same as {against.side.label}: "
                             f"{cells[0].note}"] = None  # fmt: skip
                    continue
                words = [short[sought.row.case_id], sought.side.label, against.side.label, WORDS[way]]
                table.rows.append([*words, sought.row.unit, *cells[: 1 + several]])
    table.notes += [f"{NOT_WORKED_OUT}: the price of {each}." for each in left_out]
    return table


def _firsts(sides: list[Side], lines: list[Line]) -> dict[tuple[str, str], Line]:
    return {line.case: line for line in lines if line.side is sides[0]}


def _cells(sought: Line, against: Line, way: Way) -> list[Cell]:
    """The price of what is bought as one, and of one device of it."""
    found = break_even(against.costs[way], sought.row, sought.prices)
    unit = found.currency + ("" if way == "purchase" else "/h")
    if found.value is None:
        return [Cell(value=None, unit=unit, note=found.reason)] * 2

    def named(formula: str) -> str:
        return sought.formula(formula).replace("cost_against", against.id(way))

    count, ends, source = sought.row.devices, found.interval, worst(found.against.source, "assumed")
    whole = Cell(
        value=found.value, unit=unit, source=worst(sought.costs[way].source, source), interval=ends,
        id=f"even_{way}_{sought.number}_{against.number}", formula=named(found.formula),
        ends=None if found.ends is None else (named(found.ends[0]), named(found.ends[1])),
        doubt=doubt(sought.row, against.row),
    )  # fmt: skip
    if count == 1:
        return [whole, Cell(value=None, unit=unit, note="is one device")]
    part = Cell(
        value=found.value / count, unit=unit, source=whole.source, doubt=whole.doubt, formula=f"{whole.id} / {count}",
        interval=None if ends is None else (ends[0] / count, ends[1] / count),
        ends=whole.ends and (f"({whole.ends[0]}) / {count}", f"({whole.ends[1]}) / {count}"),
    )  # fmt: skip
    return [whole, part]


def price_verdicts(sides: list[Side], lines: list[Line]) -> list[Verdict]:
    """Return the first side's cost over each other side's, for each case and way; or the prices that would equal them.

    Where neither is known for any case, or no case yields tokens on both sides, one verdict with what is missing.
    """
    found: list[Verdict] = []
    firsts = _firsts(sides, lines)
    for other in sides[1:]:
        found += _nothing_shared(sides[0], other)
        pairs = [(firsts[x.case], x) for x in lines if x.side is other and x.case in firsts]
        read = [_verdict(a, b, way) for way in WAYS for a, b in pairs]
        known = [verdict for verdict in read if verdict.ratio is not None]
        equal = [verdict for verdict in read if verdict.equal is not None]
        found += known or equal or [_in_short(verdict, pairs) for verdict in read[:1]]
    return found


def _nothing_shared(first: Side, other: Side) -> list[Verdict]:
    """Why prices say nothing of two sides though there are prices: a system is late at every target, for example."""
    if yields(first) & yields(other):
        return []
    without = [side for side in (first, other) if not yields(side)]
    named = " and ".join(side.label for side in without)
    why = f"of {named}, {no_tokens(without)}" if without else "no case or target of both has tokens to put a price on"
    return [Verdict(axis="price/performance", metric="", a=first.label, b=other.label, reading="no verdict", why=why)]


def _in_short(verdict: Verdict, pairs: list[tuple[Line, Line]]) -> Verdict:
    """A verdict that lacks much, with what a buyer must know of it; the keys stand in the section on cost."""
    without = [line.side.label for line in pairs[0] if _unknown(line, "purchase") == "price"]
    what = f"no price of {' or '.join(without)} is given" if without else "the prices file lacks what a cost is made of"
    verdict.why = f"{what}; the section on cost says what is missing"
    return verdict


def _verdict(first: Line, other: Line, way: Way) -> Verdict:
    a, b = first.costs[way], other.costs[way]
    units = dict.fromkeys((first.row.unit, other.row.unit))
    verdict = Verdict(
        axis="price/performance", metric=f"cost of {a.tokens} tokens, {WORDS[way]}", a=first.side.label,
        b=other.side.label, unit=f"{a.currency}/Mtok", per=" | ".join(units), better="lower",
        **subject(first.row, other.row, first.row.case_id),
        a_value=a.value, b_value=b.value, a_source=worst(a.source, "assumed"), b_source=worst(b.source, "assumed"),
        a_id=first.id(way), b_id=other.id(way), a_doubt=doubt(first.row), b_doubt=doubt(other.row),
        reading="cannot tell: a number is missing",
        why="; ".join(dict.fromkeys(each.reason for each in (a, b) if each.reason)),
    )  # fmt: skip
    if not a.value or not b.value:
        return _equal(verdict, first, other, way)
    verdict.ratio, verdict.source = a.value / b.value, worst(a.source, b.source, "assumed")
    if a.interval is not None and b.interval is not None:
        # Independent errors add up in squares of logarithms.
        low = math.hypot(math.log(a.value / a.interval[0]), math.log(b.interval[1] / b.value))
        high = math.hypot(math.log(a.interval[1] / a.value), math.log(b.value / b.interval[0]))
        verdict.interval = (verdict.ratio * math.exp(-low), verdict.ratio * math.exp(high))
    basis = replace(basis_of(first.row, other.row), estimated=True)
    verdict.unstable, names = basis.unstable, (verdict.a, verdict.b)
    verdict.late = [names[side] for side in sorted(basis.late)]
    verdict.reading = reading(verdict.ratio, verdict.interval, names, higher=False, basis=basis)
    return verdict


def _equal(verdict: Verdict, first: Line, other: Line, way: Way) -> Verdict:
    """The verdict with the price at which both sides would cost the same, where that can be worked out."""
    for sought, against in ((first, other), (other, first)):
        price = _cells(sought, against, way)[0]
        if price.value is not None and sought.costs[way].value is None:
            verdict.equal = EqualPrice(
                of=sought.side.label, way=WORDS[way], per=sought.row.unit, unit=price.unit, value=price.value,
                interval=price.interval, id=price.id or "",
            )  # fmt: skip
            verdict.source = price.source
            verdict.why = f"no {_unknown(sought, way)} of {sought.side.label} is given"
    return verdict


def _unknown(line: Line, way: Way) -> str:
    """What is not known of a device: any price, or that of one way."""
    own = line.prices.device.get(line.row.device)
    if own is None or (own.purchase is None and own.rental is None):
        return "price"
    return "purchase price" if way == "purchase" else "rent"
