"""A demand and the fleets that serve it: devices of each kind, where their time goes over the day, energy and cost."""

from __future__ import annotations

from typing import Any

import msgspec

from bench.report.document import Cell, Chart, Column, Interval, Section, Table
from bench.report.parts.cost import EXAMPLE, formula_table
from bench.report.parts.priced import WORDS, assumptions
from bench.report.sides import Part
from bench.results.cost import WAYS, Way
from bench.results.fleet import FORMULAS, Cheapest, Fleet, Fleets, Pool
from bench.results.verdict import worst
from bench.units import as_given, counted, percent, three_digits

LIMITS = (
    "Prefill and decode have pools of their own in every fleet, and a prompt's KV cache (16-bit) crosses the network "
    "between them. Requests come evenly within a part of the day: queueing and bursts need more headroom. "
    "Idle power, hosts and switches are left out."
)
BOUGHT = "what is bought as one: an accelerator package with all its dies, or a machine"


def fleets(found: Fleets, file: str = "", known: set[str] | None = None) -> Part:
    """Return the demand, the fleets with their use, energy and cost, and where each pool's time goes.

    file: the prices file. known: ids of assumptions that another part of the report has already.
    """
    section = Section(id="fleets", title="Fleets for a demand", text=demand_lines(found))
    for each in found.cheapest:
        section.follows[len(section.text)] = _follows(each, found)
        section.text.append(f"Cheapest {WORDS[each.way]}: {each.reading}.")
    if found.example_prices:
        section.text.append(EXAMPLE)
    section.charts = [_day_chart(found)]
    working = [fleet for fleet in found.fleets if fleet.pools]
    if working:
        section.charts.append(_hours_chart(working))
    tables = [_fleet_table(found), _money_table(found), _transfer_table(found), _pool_table(working)]
    section.tables = [*(table for table in tables if table.rows), formula_table("fleet-formulas", FORMULAS)]
    section.notes = [LIMITS, *told(found), *(note for table in tables if not table.rows for note in table.notes)]
    inputs = [each for fleet in found.fleets for cost in fleet.costs for each in cost.inputs]
    given = assumptions(inputs, file, example=found.example_prices)
    return Part([section], assumptions=[each for each in given if each.id not in (known or set())])


def _follows(cheapest: Cheapest, found: Fleets) -> str:
    """What the sentence on the cheapest fleet is written from once a price is changed: `cell` has the cost a day."""
    priced = [
        {"label": fleet.label, "cell": _id(cost.way, index), "open": bool(fleet.open), "currency": cost.currency,
         "front": "" if all(pool.capacity.source == "measured" for pool in fleet.pools) else "estimated: "}
        for index, fleet in enumerate(found.fleets) for cost in fleet.costs
        if cost.way == cheapest.way and cost.per_day is not None
    ]  # fmt: skip
    told = {"head": f"Cheapest {WORDS[cheapest.way]}: ", "tail": f"{cheapest.tail}.", "fleets": priced}
    return msgspec.json.encode(told).decode() if priced else ""


def _id(way: Way, index: int) -> str:
    return f"fleet_{way}_{index + 1}"


def told(found: Fleets) -> list[str]:
    """Return why a fleet cannot be built, or has no most that it may need."""
    reasons = ((fleet.label, fleet.reason or fleet.open) for fleet in found.fleets)
    return [f"{label}: {reason}" for label, reason in reasons if reason]


def demand_lines(found: Fleets) -> list[str]:
    """Return what is asked of the fleets, in words."""
    return [
        found.summary,
        f"{three_digits(found.mean_per_s)} requests a second on average and {three_digits(found.peak_per_s)} in the "
        f"busiest part of the day; prompts of {three_digits(found.mean_input)} and answers of "
        f"{three_digits(found.mean_output)} tokens on average; first token within {as_given(found.ttft_s)}, each "
        f"further one within {as_given(found.tpot_s)}; {percent(found.headroom)} kept free at the peak.",
    ]


def hours(fleet: Fleet) -> dict[str, float]:
    """Return where what a fleet buys is over the day, in packages; the parts add up to all of them."""
    parts = dict.fromkeys(("at work", "idle off the peak", "headroom", "whole groups"), 0.0)
    for pool in fleet.pools:
        kept = next(each.share for each in pool.factors if each.name == "headroom")
        needed = pool.peak_busy * pool.packages / kept
        parts["at work"] += pool.busy * pool.packages
        parts["idle off the peak"] += (pool.peak_busy - pool.busy) * pool.packages
        parts["headroom"] += needed - pool.peak_busy * pool.packages
        parts["whole groups"] += max(0.0, pool.packages - needed)
    return parts


def source_of(pool: Pool) -> str:
    """Return how sure a pool's size is: the demand is an assumption."""
    return worst(pool.capacity.source, "assumed")


def _day_chart(found: Fleets) -> Chart:
    table = Table(id="demand-day-data", title="Requests a second over the day", columns=[
        Column(name="hour"), Column(name="requests a second", number=True),
    ])  # fmt: skip
    rows: list[dict[str, Any]] = []
    for index, rate in enumerate(found.day):
        hour = index * 24 / len(found.day)
        label = f"{int(hour):02d}:{round(hour % 1 * 60):02d}"
        table.rows.append([label, Cell(value=rate, unit="1/s", source="assumed")])
        rows.append({"series": "demand", "x": hour, "y": rate, "low": None, "high": None, "source": "assumed",
                     "label": f"{label}: {three_digits(rate)} requests a second"})  # fmt: skip
    return Chart(
        id="demand-day", title="Requests a second over the day", kind="curve", rows=rows, marks=len(rows), table=table,
        alt=f"Requests a second over the day: {three_digits(found.mean_per_s)} on average, at most "
        f"{three_digits(found.peak_per_s)}.",
        options={"x_title": "hour of the day", "y_title": "requests per second"},
    )  # fmt: skip


def _hours_chart(working: list[Fleet]) -> Chart:
    table = Table(id="fleet-hours-data", title="Where the packages' day goes", columns=[
        Column(name="fleet"), Column(name="where"), Column(name="packages, mean over the day", number=True),
        Column(name="share", number=True),
    ])  # fmt: skip
    rows: list[dict[str, Any]] = []
    for fleet in working:
        source = worst(*(source_of(pool) for pool in fleet.pools))
        for part, value in hours(fleet).items():
            share = value / fleet.packages
            table.rows.append([fleet.label, part, Cell(value=value, unit="1", source=source),
                               Cell(value=share, unit="share", source=source)])  # fmt: skip
            label = f"{fleet.label}, {part}: {three_digits(value)} packages, {percent(share)}"
            rows.append({"series": fleet.label, "part": part, "value": value, "source": source, "label": label})
    return Chart(
        id="fleet-hours", title="Where the packages' day goes", kind="stack", rows=rows, marks=len(rows), table=table,
        alt="For each fleet, its packages on average over the day: at work, idle off the peak, headroom, whole groups.",
        caption="The whole bar is the number of packages.", options={"x_title": "packages, mean over the day"},
    )  # fmt: skip


def _cell(fleet: Fleet, value: float | None, unit: str, why: str = "", interval: Interval | None = None) -> Cell:
    """Return a number of a fleet; one that cannot serve the demand has none, with its reason."""
    source = worst(*map(source_of, fleet.pools)) if fleet.pools and value is not None else "missing"
    return Cell(value=value, unit=unit, source=source, note=why or fleet.reason, interval=interval)


def _fleet_table(found: Fleets) -> Table:
    table = Table(id="fleets", title="Fleets", columns=[
        Column(name="fleet"), Column(name="packages", number=True, note=BOUGHT),
        Column(name="prefill", number=True), Column(name="decode", number=True),
        Column(name="goodput of a package", number=True, note="requests a second with both targets kept"),
        Column(name="busy, mean of the day", number=True), Column(name="busy at the peak", number=True),
        Column(name="J per request", number=True),
    ])  # fmt: skip
    for fleet in found.fleets:
        counts: list[tuple[int | None, tuple[int, int] | None]]
        counts = [(each.packages, each.package_interval) for each in fleet.pools] or [(None, None)] * 2
        spans = [interval for _, interval in counts if interval is not None]
        whole = (sum(a for a, _ in spans), sum(b for _, b in spans)) if spans and len(spans) == len(counts) else None
        why = fleet.energy_basis or fleet.energy_reason
        joules = _cell(fleet, fleet.joules_per_request, "J", why, fleet.joules_interval)
        if fleet.joules_formula:
            joules.formula, joules.ends = fleet.joules_formula, fleet.joules_ends
        table.rows.append([
            fleet.label, _cell(fleet, fleet.packages or None, "1", fleet.open, whole),
            *(_cell(fleet, packages, "1", interval=interval) for packages, interval in counts),
            _cell(fleet, fleet.goodput, "1/s", interval=fleet.goodput_interval),
            _cell(fleet, fleet.busy, "share", interval=fleet.busy_interval),
            _cell(fleet, fleet.peak_busy, "share", interval=fleet.peak_busy_interval), joules,
        ])  # fmt: skip
    return table


def _money_table(found: Fleets) -> Table:
    """Return what each fleet costs, bought and rented: in all, while it waits for work, and for what it yields."""
    table = Table(id="fleet-costs", title="What the fleets cost", columns=[
        Column(name="fleet"), Column(name="way"), Column(name="a day", number=True),
        Column(name="of that idle", number=True),
        Column(name="per million output tokens", number=True, note="their prompts included"),
    ])  # fmt: skip
    without: dict[str, list[str]] = {}
    for index, fleet in enumerate(found.fleets):
        costs = {each.way: each for each in fleet.costs}
        for way in WAYS:
            cost = costs.get(way)
            amounts = () if cost is None else (cost.per_day, cost.idle_per_day, cost.per_million_output)
            if cost is None or None in amounts:
                why = fleet.reason or (cost.reason if cost is not None else "no prices are given")
                without.setdefault(why, []).append(f"{fleet.label}, {WORDS[way]}")
                continue
            row: list[str | Cell] = [fleet.label, WORDS[way]]
            for amount, unit in zip(amounts, (cost.currency, cost.currency, f"{cost.currency}/Mtok"), strict=True):
                if amount is not None:
                    cell = _cell(fleet, amount.value, unit, cost.basis, amount.interval)
                    cell.formula, cell.ends = amount.formula, amount.ends
                    row.append(cell)
                    if amount is cost.per_day:
                        cell.id = _id(way, index)
            table.rows.append(row)
    # A table of dashes is not read; why there is no number is told once.
    table.notes = [f"No cost: {why}: {'; '.join(each)}." for why, each in without.items()]
    return table


def _transfer_table(found: Fleets) -> Table:
    table = Table(id="fleet-transfers", title="What moving the KV cache from prefill to decode takes", columns=[
        Column(name="fleet"), Column(name="KV cache a request", number=True),
        Column(name="its longest transfer", number=True), Column(name="links used at the peak", number=True),
    ])  # fmt: skip
    for fleet in (each for each in found.fleets if each.pools):
        move = fleet.transfer
        moved = (move.request_bytes, move.seconds, move.link_use) if move is not None else (None, None, None)
        units = ("B", "s", "share")
        table.rows.append([fleet.label, *(_cell(fleet, value, unit) for value, unit in zip(moved, units, strict=True))])
    return table


def _pool_table(working: list[Fleet]) -> Table:
    """Return, for each kind of device in each phase, where its use goes."""
    table = Table(id="fleet-pools", title="Where the use of each pool goes", columns=[
        Column(name="fleet"), Column(name="pool"), Column(name="what"), Column(name="share", number=True),
        Column(name="in words"), Column(name="rate is"),
    ])  # fmt: skip
    table.notes = ["Day profile, headroom and whole groups multiply to the share of the day in which a device works."]
    seen = set()
    for fleet in working:
        for pool in fleet.pools:
            one = pool.capacity
            if (one.device, one.phase, one.source) in seen:
                continue
            seen.add((one.device, one.phase, one.source))
            name = f"{one.phase}, {one.device}, {one.dtype}: {_bought(pool)}"
            for each in pool.factors:
                own = one.source if each.name.startswith(("of peak", "service")) else source_of(pool)
                cell = Cell(value=each.share, unit="share", source=own)
                table.rows.append([fleet.label, name, each.name, cell, each.text, one.source])
    return table


def _bought(pool: Pool) -> str:
    """How many packages, and how many torch devices that is where it is more."""
    devices = f" of {pool.capacity.devices_per_package} devices" if pool.capacity.devices_per_package > 1 else ""
    return f"{counted(pool.packages, 'package')}{devices}"
