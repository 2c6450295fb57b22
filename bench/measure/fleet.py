"""Fleets for a demand: devices of each kind for its busiest time, their use over the day, energy and cost.

Prefill and decode have pools of their own, of one kind of device or of two; a prompt's KV cache crosses the network
between them in every fleet, so that mixed ones and those of one vendor are treated alike. Not modelled: queueing, the
power of idle devices, hosts and switches, and requests that come in bursts within a part of the day.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import msgspec

from bench.errors import Unsupported
from bench.measure.capacity import Supply, decode_capacity, link_seconds, prefill_capacity, request_bytes, transfer_s
from bench.results import cost
from bench.results.fleet import Amount, Capacity, Cheapest, Factor, Fleet, FleetCost, Fleets, Pool, Sized, Transfer
from bench.results.formula import evaluate
from bench.results.prices import BASIS_WORDS, Prices
from bench.units import GIGA, MEGA, percent, three_digits
from bench.workloads.demand import Demand

DAY_S = 86_400
JOULES_PER_KWH = 3.6e6
WHOLE_GROUPS = "whole groups"
MAY_BE_LATE = "cannot be told apart from any other: by its interval it may be late, however many there are"


def fleets(demand: Demand, supplies: list[Supply], prices: Prices | None = None, name: str = "demand") -> Fleets:
    """Return every fleet of these kinds of devices: each alone, and each pair of prefill and decode.

    Raises: DefinitionError where the demand's workloads do not fit it.
    """
    prefill = {each.label: _capacity_or_reason("prefill", demand, each, prices) for each in supplies}
    decode = {each.label: _capacity_or_reason("decode", demand, each, prices) for each in supplies}
    pairs = [(each.label, each.label) for each in supplies]
    pairs += [(a.label, b.label) for a, b in itertools.permutations(supplies, 2)]
    found = [_fleet(demand, (a, prefill[a]), (b, decode[b]), prices) for a, b in pairs]
    return Fleets(
        demand=name, summary=demand.summary, day=demand.day, mean_input=demand.mean_input,
        mean_output=demand.mean_output, mean_context=demand.mean_context, ttft_s=demand.ttft_s, tpot_s=demand.tpot_s,
        headroom=demand.headroom, link_bytes_per_s=demand.link_gb_per_s * GIGA, fleets=found,
        cheapest=[_cheapest(found, way) for way in cost.WAYS] if prices is not None else [],
        example_prices=prices is not None and prices.example,
    )  # fmt: skip


def _capacity_or_reason(phase: str, demand: Demand, supply: Supply, prices: Prices | None) -> Capacity | str:
    solve = prefill_capacity if phase == "prefill" else decode_capacity
    try:
        return solve(demand, supply, prices)
    except Unsupported as error:
        return f"{phase} on {supply.label}: {error}"


def _fleet(
    demand: Demand, prefill: tuple[str, Capacity | str], decode: tuple[str, Capacity | str], prices: Prices | None
) -> Fleet:
    (a, first), (b, second) = prefill, decode
    label = a if a == b else f"prefill {a}, decode {b}"
    if isinstance(first, str) or isinstance(second, str):
        return Fleet(label=label, reason="; ".join(each for each in (first, second) if isinstance(each, str)))
    pools = [pool(demand, first), pool(demand, second)]
    transfer = Transfer(
        request_bytes=request_bytes(demand),
        seconds=max(transfer_s(demand, each.tokens) for each in demand.inputs),
        link_use=max(demand.day) * link_seconds(demand) / min(each.devices for each in pools),
    )
    found = Fleet(label=label, pools=pools, transfer=transfer)
    reason = "; ".join(dict.fromkeys(each.capacity.watts_reason for each in pools if each.capacity.watts_reason))
    costs = [] if prices is None else [_cost(demand, found, reason, prices, way) for way in cost.WAYS]
    if reason:
        return msgspec.structs.replace(found, energy_reason=reason, costs=costs)
    seconds = [each.capacity.seconds for each in pools]
    ends = None if found.ends is None else [[each.seconds for each in end] for end in found.ends]
    return msgspec.structs.replace(
        found, joules_per_request=_joules(pools, seconds), joules_formula=_joules_formula(pools, seconds, prices),
        joules_interval=ends and (_joules(pools, ends[0]), _joules(pools, ends[1])),
        joules_ends=ends and (_joules_formula(pools, ends[0], prices), _joules_formula(pools, ends[1], prices)),
        energy_basis="; ".join(BASIS_WORDS[basis] for basis in dict.fromkeys(p.capacity.watts_basis for p in pools)),
        costs=costs,
    )  # fmt: skip


def pool(demand: Demand, capacity: Capacity) -> Pool:
    """Return the devices that a phase needs in the busiest part of the day, and where their use goes."""
    mean, peak = sum(demand.day) / len(demand.day), max(demand.day)

    def sized(seconds: float) -> Sized:
        devices = _devices(peak * seconds, demand.headroom, capacity.group)
        busy, peak_busy = mean * seconds / devices, peak * seconds / devices
        return Sized(seconds=seconds, devices=devices, busy=busy, peak_busy=peak_busy)

    own, ends = sized(capacity.seconds), None
    if capacity.interval is not None:
        ends = (sized(capacity.interval[0]), sized(capacity.interval[1]))
    factors = [
        Factor(name="day profile", share=mean / peak,
               text=f"{three_digits(mean)} requests/s on average, {three_digits(peak)} in the busiest part of the day"),
        Factor(name="headroom", share=1 - demand.headroom, text=f"{percent(demand.headroom)} kept free at the peak"),
        Factor(name=WHOLE_GROUPS, share=min(1.0, own.peak_busy / (1 - demand.headroom)),
               text=f"devices come in groups of {capacity.group}"),
    ]  # fmt: skip
    if capacity.target_share is not None:
        factors.append(
            Factor(name="service target", share=capacity.target_share,
                   text=f"of what a busy device would yield with no target; its batch of {capacity.batch} is set by:"
                        f" {capacity.limit}")
        )  # fmt: skip
    for name, share in (("FLOP/s", capacity.mfu), ("memory bandwidth", capacity.mbu)):
        if share is not None:
            text = f"of published {name} while busy; the step is bound by {capacity.bound}"
            factors.append(Factor(name=f"of peak {name}", share=share, text=text))
    return Pool(
        capacity=capacity, devices=own.devices, busy=own.busy, peak_busy=own.peak_busy, ends=ends, factors=factors,
    )  # fmt: skip


def _devices(load: float, headroom: float, group: int) -> int:
    """Return devices for a load in device-equivalents, in whole groups; a load met exactly needs no further group."""
    return group * max(1, math.ceil(load / (1 - headroom) / group - 1e-9))


def _cost(demand: Demand, fleet: Fleet, no_joules: str, prices: Prices, way: cost.Way) -> FleetCost:
    """Return what a fleet costs a day; its use comes from the demand, not from the prices file's utilization."""
    pools = fleet.pools
    inputs: list[cost.Input] = []
    gaps: list[str] = []
    basis = BASIS_WORDS[prices.power_basis] if way == "purchase" else "energy is part of the rent"
    terms = [cost.holding_term(each.capacity.device, prices, way, inputs, gaps) for each in pools]
    a_day, power = sum(demand.day) / len(demand.day) * DAY_S, ""
    if way == "purchase" and prices.power_basis != "left-out":
        gaps += [no_joules] if no_joules else []
        # Watt-hours of busy devices: design power is an assumption, measured power a result.
        watts = [_watts(each, prices, inputs) for each in pools]
        power = cost.power_term(prices, inputs, gaps)

    def holding(counts: list[float]) -> str:
        return "24 * (" + " + ".join(f"{n:.9g} * {t}" for n, t in zip(counts, terms, strict=True)) + ")"

    def whole(sized: list[Sized]) -> str:
        if not power:
            return holding([each.devices for each in sized])
        hours = [each.seconds * a_day / JOULES_PER_KWH for each in sized]
        drawn = " + ".join(f"{n:.9g} * {each}" for n, each in zip(hours, watts, strict=True))
        return f"{holding([each.devices for each in sized])} + ({drawn}) * {power}"

    def idle(sized: list[Sized]) -> str:
        return holding([each.devices * (1 - each.busy) for each in sized])

    def per_million(sized: list[Sized]) -> str:
        return f"({whole(sized)}) / {a_day * demand.mean_output / MEGA:.9g}"

    used = list({each.id: each for each in inputs}.values())
    found = FleetCost(way=way, currency=prices.currency, basis=basis, inputs=used)
    if gaps:
        return msgspec.structs.replace(found, reason="; ".join(dict.fromkeys(gaps)))
    values = {each.id: each.value or 0.0 for each in used}
    return msgspec.structs.replace(
        found, per_day=_amount(fleet, whole, values), idle_per_day=_amount(fleet, idle, values),
        per_million_output=_amount(fleet, per_million, values),
    )  # fmt: skip


def _amount(fleet: Fleet, formula: Callable[[list[Sized]], str], values: dict[str, float]) -> Amount:
    """A number of a fleet as it is sized, and as it would be at both ends of the device-seconds."""
    own = formula([pool.sized for pool in fleet.pools])
    value = evaluate(own, values)
    if fleet.ends is None:
        return Amount(formula=own, value=value)
    # Whole groups may leave more idle at the quick end than at the slow one.
    ordered = sorted((evaluate(each, values), each) for each in (own, *map(formula, fleet.ends)))
    (low, first), (high, last) = ordered[0], ordered[-1]
    return Amount(formula=own, value=value, interval=(low, high), ends=(first, last))


def _watts(pool: Pool, prices: Prices, inputs: list[cost.Input]) -> str:
    """Return the term for what one device of a pool draws; adds to the inputs."""
    if prices.power_basis == "tdp":
        return cost.tdp_term(pool.capacity.device, prices, inputs)
    return f"{pool.capacity.watts or 0.0:.9g}"


def _joules(pools: list[Pool], seconds: list[float]) -> float:
    """Return the joules of a request that takes so many seconds of each pool's devices."""
    return sum(taken * (each.capacity.watts or 0.0) for taken, each in zip(seconds, pools, strict=True))


def _joules_formula(pools: list[Pool], seconds: list[float], prices: Prices | None) -> str:
    """Return the formula for them, where they follow from assumptions."""
    if prices is None or prices.power_basis != "tdp":
        return ""
    terms = (f"{taken:.9g} * {_watts(each, prices, [])}" for taken, each in zip(seconds, pools, strict=True))
    return " + ".join(terms)


def _cheapest(found: list[Fleet], way: cost.Way) -> Cheapest:
    """Return the fleet that costs least, and which are not told apart from it."""
    priced = [(each, c.per_day) for each in found for c in each.costs if c.way == way and c.per_day is not None]
    left = len(found) - len(priced)
    without = f"; {left} of {len(found)} have no cost" if left else ""
    if not priced:
        return Cheapest(way=way, label=None, reading=f"no fleet has a cost: {_first_reason(found, way)}")
    best, least = min(priced, key=lambda each: each[1].value)
    front = "" if all(p.capacity.source == "measured" for p in best.pools) else "estimated: "
    amount = f"{three_digits(least.value)} {best.costs[0].currency} a day"
    top = (least.interval or (0.0, least.value))[1]
    near = [each.label for each, c in priced if each is not best and (c.interval or (c.value,))[0] <= top]
    # Names of fleets have commas of their own.
    apart = f"; cannot be told apart from: {' | '.join(near)}" if near else ""
    if best.open:
        apart = f"; {MAY_BE_LATE}"
    if len(priced) == 1:
        reading = f"only {best.label} has a cost, {front}{amount}{without}"
        return Cheapest(way=way, label=None, reading=reading, tail=without)
    small = list(dict.fromkeys(each.label for each, _ in priced if any(map(_smallest, each.pools))))
    floor = f"; sizes set by the smallest deployment and not by the load: {' | '.join(small)}" if small else ""
    tail = floor + without
    return Cheapest(way=way, label=best.label, reading=f"{front}{best.label}, {amount}{apart}{tail}", tail=tail)


def _smallest(pool: Pool) -> bool:
    """Whether a pool is a single group of several devices that the load fills less than half."""
    load = next(each.share for each in pool.factors if each.name == WHOLE_GROUPS)
    return pool.devices == pool.capacity.group > pool.capacity.devices_per_package and load < 0.5


def _first_reason(found: list[Fleet], way: cost.Way) -> str:
    reasons = [c.reason for each in found for c in each.costs if c.way == way] + [each.reason for each in found]
    return next((reason for reason in reasons if reason), "nothing to cost")
