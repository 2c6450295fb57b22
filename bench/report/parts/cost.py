"""What tokens cost on each side, and how that moves with each assumption."""

from __future__ import annotations

import math
import re
from typing import Any

from bench.errors import listed
from bench.report import cells
from bench.report.document import Cell, Chart, Column, Section, Table
from bench.report.parts.break_even import NOT_WORKED_OUT, break_even_table, price_verdicts
from bench.report.parts.numbers import of, rate_of
from bench.report.parts.priced import WORDS, Line, assumptions, cost_cell, left_out, lines, no_end, no_tokens, yields
from bench.report.rows import marked_source, short_names
from bench.report.sides import Part, Side
from bench.results.cost import FORMULAS, WAYS, Input, Way, energy, watts_term
from bench.results.doubt import doubt
from bench.results.pairs import served_first
from bench.results.prices import BASIS_WORDS, Prices
from bench.results.verdict import worst
from bench.results.what_if import VARIED, sensitivity
from bench.units import counted

EXAMPLE = "EXAMPLE PRICES: public indications with their dates, no offers to anybody. Put in your own quotations."


def cost(sides: list[Side], prices: Prices, file: str) -> Part:
    """Return costs per million tokens, break-even prices, sensitivity, the assumptions, and verdicts on price.

    file: the prices file, as people are told of it.
    """
    section = Section(id="cost", title="Cost")
    priced = lines(sides, prices)
    section.text = [EXAMPLE] if prices.example else []
    if not priced:
        section.text.append("No side has a throughput to put a price on.")
        return Part([section], verdicts=price_verdicts(sides, priced))
    short, notes = short_names([line.row.case_id for line in priced])
    inputs = [each for line in priced for one in line.costs.values() for each in one.inputs]
    kinds = dict.fromkeys(line.costs["rental"].tokens for line in priced)
    section.charts = [
        chart for way in WAYS for tokens in kinds if (chart := _chart(priced, short, prices, way, tokens)) is not None
    ]
    even, more = break_even_table(sides, priced, short), left_out(sides)
    section.tables = [
        table for table in (_cost_table(priced, short, prices), even, _sensitivity_table(priced),
                            formula_table("cost-formulas", FORMULAS)) if table.rows
    ]  # fmt: skip
    section.notes = [
        *notes,
        *(why for why in even.notes if not even.rows and why.startswith(NOT_WORKED_OUT)),
        *([f"{counted(more, 'more case')} without a cost here: name fewer with --workload or --at."] if more else []),
        *(f"{side.label} is not here: {no_tokens([side])}." for side in sides if not yields(side)),
        *_how_to_give(inputs, file),
        "All numbers are of what is bought as one; a package's price, power, hosting and tokens are those of all its "
        "devices, so a token costs the same per package as per device.",
        f"Bought: {BASIS_WORDS[prices.power_basis]}. Rented: power, hosting and cooling are part of the rent.",
        "Energy per token is at the device; cooling and conversion come in through PUE. Idle power is left out.",
        "An interval is that of the throughput; prices are taken as they stand, and varied in the last table.",
    ]
    given = assumptions(inputs, file, example=prices.example)
    return Part([section], verdicts=price_verdicts(sides, priced), assumptions=given)


def _how_to_give(inputs: list[Input], file: str) -> list[str]:
    """Where a prices file has what is missing."""
    keys = dict.fromkeys(each.key.removesuffix(".value") for each in inputs if each.key and each.value is None)
    return [f"What is missing is given in {file}: {listed(keys)}."] if keys else []


def formula_table(name: str, formulas: dict[str, str]) -> Table:
    """Return how each quantity is worked out."""
    columns = [Column(name="quantity"), Column(name="formula")]
    rows: list[list[str | Cell]] = [[quantity, formula] for quantity, formula in formulas.items()]
    return Table(id=name, title="How it is worked out", columns=columns, rows=rows, aside=True)


def _cost_table(priced: list[Line], short: dict[str, str], prices: Prices) -> Table:
    money = f"{prices.currency} per million tokens"
    table = Table(id="cost", title=money, columns=[
        Column(name="case or target"), Column(name="system"), Column(name="per"), Column(name="tokens"),
        Column(name="throughput", number=True), Column(name="power", number=True, note=BASIS_WORDS[prices.power_basis]),
        Column(name="J per token", number=True), Column(name=f"{money}, bought", number=True),
        Column(name=f"{money}, rented", number=True), Column(name="throughput is"),
    ])  # fmt: skip
    for line in priced:
        rate = of(line.row, rate_of(line.row))
        rate.id = f"rate_{line.number}"
        table.rows.append([
            short[line.row.case_id], line.side.label, line.row.unit, line.costs["rental"].tokens, rate,
            *_energy_cells(line), *(cost_cell(line, way) for way in WAYS), marked_source(line.row),
        ])  # fmt: skip
    return table


def _energy_cells(line: Line) -> list[Cell]:
    """Power of what is bought as one, and joules per token; design power follows the assumption."""
    used = energy(line.row, line.prices)
    if used.watts is None:
        return [Cell(value=None, unit=unit, note=used.reason) for unit in ("W", "J/token")]
    name, source, note = f"watts_{line.number}", "assumed", BASIS_WORDS["tdp"]
    told = doubt(line.row)
    watts = Cell(value=used.watts, unit="W", id=name, source=source, doubt=told if used.basis == "measured" else "")
    if used.basis == "measured":
        watts.source = source = line.costs["rental"].source
        note = ""
    else:
        watts.formula = watts_term(line.row, line.prices, [], [])
    note = used.reason or (note + no_end(line.row)).removeprefix("; ")
    joules = Cell(value=used.value, unit="J/token", source=source if used.value else "missing", note=note,
                  interval=used.interval, doubt=told)  # fmt: skip
    if used.value and watts.formula:
        joules.formula = f"{name} / rate_{line.number}"
        joules.ends = line.ends(joules.formula)
    return [watts, joules]


def _sensitivity_table(priced: list[Line]) -> Table:
    """Return how the first cost of each side moves with each of its inputs alone."""
    title = f"One assumption {VARIED:.0%} lower and higher, all others as they are"
    table = Table(id="sensitivity", title=title, columns=[
        Column(name="system"), Column(name="way"), Column(name="assumption"), Column(name="cost", number=True),
        Column(name=f"{VARIED:.0%} lower", number=True), Column(name=f"{VARIED:.0%} higher", number=True),
    ])  # fmt: skip
    table.notes = ["Of each system's first case above. Shares stay at or below 100%, PUE at or above 1."]
    seen: set[tuple[str, Way]] = set()
    for line in priced:
        for way, found in line.costs.items():
            if (line.side.label, way) in seen or found.value is None:
                continue
            seen.add((line.side.label, way))
            for each in sensitivity(found):
                ends = [
                    Cell(value=value, unit=f"{found.currency}/Mtok", source=worst(found.source, "assumed"),
                         formula=line.formula(_varied(found.formula, each.input, at)), doubt=doubt(line.row))
                    for value, at in zip(each.cost, each.at, strict=True)
                ]  # fmt: skip
                cell = cost_cell(line, way)
                table.rows.append([
                    line.side.label, WORDS[way], each.input.label,
                    Cell(value=cell.value, unit=cell.unit, source=cell.source, formula=cell.id, doubt=cell.doubt),
                    *ends,
                ])  # fmt: skip
    return table


def _varied(formula: str, each: Input, at: float) -> str:
    """Return a formula with one name varied; a value held back by its limit stands as a number."""
    factor = at / (each.value or 1.0)
    plain = math.isclose(abs(factor - 1), VARIED)
    return re.sub(rf"\b{each.id}\b", f"({each.id} * {round(factor, 9):g})" if plain else f"{at:g}", formula)


def _chart(priced: list[Line], short: dict[str, str], prices: Prices, way: Way, tokens: str) -> Chart | None:
    """Input and output tokens have pictures of their own: the ones cost a tenth of the others."""
    rows: list[dict[str, Any]] = []
    title = f"{prices.currency} per million {tokens} tokens, {WORDS[way]}"
    table = Table(id=f"cost-{way}-{tokens}-data", title=title, columns=[
        Column(name="case or target"), Column(name="system"), Column(name=title, number=True),
    ])  # fmt: skip
    mine = [line for line in priced if line.costs[way].tokens == tokens]
    served = [row.case_id for row in served_first(line.row for line in mine)]
    for line in (each for each in mine if each.row.case_id in served):
        cell = cost_cell(line, way)
        cell.id, cell.formula = None, cell.id
        name = short[line.row.case_id]
        table.rows.append([name, line.side.label, cell])
        if cell.value is not None:
            low, high = cell.interval or (None, None)
            rows.append({"row": name, "series": line.side.label, "value": cell.value, "low": low, "high": high,
                         "source": cell.source, "label": f"{line.side.label}, {name}: {cells.text(cell)}"})  # fmt: skip
    if not rows:
        return None
    return Chart(
        id=f"cost-{way}-{tokens}", title=title, kind="dots", rows=rows, marks=len(rows), table=table,
        alt=f"{title}: one dot a case and system, {counted(len(rows), 'dot')}; lower is cheaper.",
        caption=" ".join(
            [EXAMPLE] * prices.example + ["Lower is cheaper."]
            + ["Other precisions are in the table below."] * (len(served) < len(mine))
        ), options={"x_title": title},
    )  # fmt: skip
