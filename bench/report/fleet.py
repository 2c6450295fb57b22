"""A demand and its fleets on the terminal: one line a fleet, then where the use of each pool goes."""

from __future__ import annotations

from bench.report.comparison import MARKS
from bench.report.layout import Column, Table
from bench.report.parts.fleets import LIMITS, demand_lines, told
from bench.report.parts.priced import WORDS
from bench.results.cost import WAYS, Interval, Way
from bench.results.fleet import Fleet, FleetCost, Fleets, Pool
from bench.units import MISSING, data_size, percent, seconds, three_digits


def fleet_table(found: Fleets) -> Table:
    """Return one line a fleet: packages, use, energy and cost; what cannot be built stands below with its reason."""
    table = Table([
        Column("fleet"), Column("packages", right=True), Column("prefill", right=True, keep=8),
        Column("decode", right=True, keep=8), Column("goodput", right=True, keep=6),
        Column("busy", right=True), Column("at peak", right=True, keep=7),
        Column("KV a request", right=True, keep=2), Column("transfer", right=True, keep=2),
        Column("J a request", right=True, keep=4), Column("bought a day", right=True, keep=6),
        Column("rented a day", right=True, keep=6), Column("idle, bought | rented", right=True, keep=5),
    ])  # fmt: skip
    table.title = "\n".join(demand_lines(found))
    for fleet in found.fleets:
        table.rows.append(_cells(fleet))
    if any(pool.capacity.source != "measured" for fleet in found.fleets for pool in fleet.pools):
        table.notes.append(
            "~ from modelled throughput, in brackets P10 to P90; ≈ from one interpolated between measured batches."
        )
    table.notes.append(
        "goodput: requests a second that one package serves with both targets kept, prefill and decode."
        " A package is what is bought as one, with all its dies."
    )
    table.notes += told(found)
    table.notes += [f"cheapest {WORDS[each.way]}: {each.reading}" for each in found.cheapest]
    bases = dict.fromkeys(each.energy_basis for each in found.fleets if each.energy_basis)
    table.notes += [f"J a request: {basis}" for basis in bases]
    gaps = [each.energy_reason for each in found.fleets] + [c.reason for f in found.fleets for c in f.costs]
    table.notes += [
        f"missing: {gap}" for gap in dict.fromkeys(part for each in gaps for part in each.split("; ") if part)
    ]
    if found.example_prices:
        table.notes.append("EXAMPLE PRICES, no offers to anybody; put in your own (docs/cost-and-fleet.md)")
    table.notes.append(LIMITS)
    return table


def pool_table(found: Fleets) -> Table:
    """Return where the use of each kind of device goes in each phase, once for each."""
    table = Table([
        Column("pool"), Column("packages", right=True), Column("batch", right=True, keep=6),
        Column("step", right=True, keep=6), Column("busy", right=True), Column("= day", right=True, keep=8),
        Column("x headroom", right=True, keep=8), Column("x groups", right=True, keep=8),
        Column("at target", right=True, keep=7), Column("MFU", right=True, keep=7), Column("MBU", right=True, keep=7),
        Column("peak used", right=True),
        Column("batch set by", keep=5), Column("bound", keep=4), Column("source", keep=3),
    ])  # fmt: skip
    table.title = "Where the use goes (busy = day profile x headroom x whole groups):"
    pools = {(p.capacity.phase, p.capacity.device, p.capacity.source): p for fleet in found.fleets for p in fleet.pools}
    table.rows = [_pool_cells(pool) for pool in pools.values()]
    table.notes = [
        "at target: the rate that keeps the service target, of what the device would yield without it.",
        "MFU, MBU: of published peaks while a device is busy. peak used: the larger of them x busy, all day long.",
    ]
    if any(MISSING in row for row in table.rows):
        table.notes.append("-: not published of the device, or not known between two measured batches.")
    return table


def _cells(fleet: Fleet) -> list[str]:
    if not fleet.pools:
        return [fleet.label, *[MISSING] * 12]
    sign = _sign(fleet.pools)
    costs = {cost.way: cost for cost in fleet.costs}
    move = fleet.transfer
    return [
        fleet.label, f"{sign}{fleet.packages:,}", *(_count(pool) for pool in fleet.pools),
        f"{sign}{three_digits(fleet.goodput or 0.0)}/s{_span(fleet.goodput_interval)}",
        sign + percent(fleet.busy), sign + percent(fleet.peak_busy),
        data_size(move.request_bytes) if move else MISSING, seconds(move.seconds) if move else MISSING,
        MISSING if fleet.joules_per_request is None
        else sign + three_digits(fleet.joules_per_request) + _span(fleet.joules_interval),
        *(_money(costs.get(way), sign) for way in WAYS),
        _idle(costs),
    ]  # fmt: skip


def _idle(costs: dict[Way, FleetCost]) -> str:
    """The share of the cost a day that is paid while devices wait, bought and rented."""
    shares = {
        way: percent(cost.idle_per_day.value / cost.per_day.value)
        for way, cost in costs.items() if cost.per_day and cost.idle_per_day and cost.per_day.value
    }  # fmt: skip
    return " | ".join(shares.get(way, MISSING) for way in WAYS) if shares else MISSING


def _sign(pools: list[Pool]) -> str:
    """The mark of the least sure throughput behind a number."""
    kinds = {pool.capacity.source.partition(":")[0] for pool in pools}
    return next((MARKS[kind] for kind in ("modelled", "interpolated") if kind in kinds), "")


def _count(pool: Pool) -> str:
    ends = [f"{end:,}" for end in dict.fromkeys(pool.package_interval or ())]
    return f"{_sign([pool])}{pool.packages:,}" + (f" ({' - '.join(ends)})" if ends else "")


def _money(cost: FleetCost | None, sign: str) -> str:
    if cost is None or cost.per_day is None:
        return MISSING
    return f"{sign}{three_digits(cost.per_day.value)} {cost.currency}{_span(cost.per_day.interval)}"


def _span(interval: Interval | None) -> str:
    """An interval in brackets, once where both ends read the same."""
    ends = dict.fromkeys(map(three_digits, interval or ()))
    return f" ({' - '.join(ends)})" if ends else ""


def _pool_cells(pool: Pool) -> list[str]:
    one, shares = pool.capacity, {each.name: each.share for each in pool.factors}
    sign = _sign([pool])
    return [
        f"{one.phase} {one.device} {one.dtype}", f"{sign}{pool.packages:,}",
        MISSING if one.batch is None else str(one.batch),
        sign + seconds(one.step_s), sign + percent(pool.busy), percent(shares["day profile"]),
        percent(shares["headroom"]), percent(shares["whole groups"]), _share(one.target_share, sign),
        _share(one.mfu, sign), _share(one.mbu, sign), _share(_used(pool), sign),
        one.limit, one.bound or MISSING, one.source,
    ]  # fmt: skip


def _used(pool: Pool) -> float | None:
    """Share of the nearer peak that is used over the whole day."""
    known = [share for share in (pool.capacity.mfu, pool.capacity.mbu) if share is not None]
    return pool.busy * max(known) if known else None


def _share(value: float | None, sign: str) -> str:
    return MISSING if value is None else sign + percent(value)
