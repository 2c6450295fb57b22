"""What a million tokens cost and a token takes in energy, from a row's throughput and a prices file.

Each cost is one formula over named inputs (bench/results/formula.py), each input with its source: the number here, the
cell on the page, the live cell of the workbook and the sensitivity to it are readings of that one line. Purchase:
price less what is left of it, over its life, and hosting, both spread over the hours in use; energy on top. Rental: the
rent, which holds power and hosting, spread over the hours in use. All are of the row's unit: a package of two devices
costs, draws and yields twice what one does, so that a token costs the same however it is counted.
"""

from __future__ import annotations

import math
from typing import Literal

import msgspec

from bench.errors import DefinitionError
from bench.results.compare import source_of
from bench.results.formula import as_name, evaluate
from bench.results.normalize import rate_factors
from bench.results.prices import BASIS_WORDS, Money, Prices
from bench.results.record import Row

Way = Literal["purchase", "rental"]
WAYS: tuple[Way, ...] = ("purchase", "rental")
Interval = tuple[float, float]

TOKENS = {"prefill": ("input", "prompt_tokens_per_s"), "decode": ("output", "output_tokens_per_s")}

# As docs/cost-and-fleet.md has them.
FORMULAS = {
    "holding, bought, an hour": "price x (1 - residual) / (life_years x 8760) + hosting_per_hour",
    "energy, bought, an hour in use": "watts / 1000 x pue x power_price_per_kwh",
    "a million tokens, bought": "(holding / utilization + energy) / (3600 x tokens a second) x 1,000,000",
    "a million tokens, rented": "rent an hour / utilization / (3600 x tokens a second) x 1,000,000",
    "joules per token": "watts / tokens a second",
    "break-even price": "(cost on the other side - cost at price 0) / (cost at price 1 - cost at price 0)",
}


class Input(msgspec.Struct, frozen=True, kw_only=True):
    """One number of a formula. `key` is where a prices file has it; "" is a result (a row's rate, its power)."""

    id: str
    label: str
    value: float | None
    unit: str
    source: str
    date: str = ""
    low: float | None = None
    high: float | None = None
    key: str = ""


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """Money for a million tokens of one kind; `value` is None where `reason` says why.

    interval: from that of the row's rate, the other inputs taken as they stand. source: where the row's numbers come
    from. basis: what its energy rests on.
    """

    device: str
    case_id: str
    tokens: str
    way: Way
    currency: str
    formula: str
    inputs: list[Input]
    source: str
    basis: str
    value: float | None = None
    interval: Interval | None = None
    reason: str = ""


class Energy(msgspec.Struct, frozen=True, kw_only=True):
    """Joules per token at the device, cooling left out; never from a design power unless `basis` says so.

    watts: of the row's unit.
    """

    value: float | None = None
    interval: Interval | None = None
    watts: float | None = None
    basis: str = "measured"
    reason: str = ""


def costs(row: Row, prices: Prices) -> list[Cost]:
    """Return what a million of a row's tokens cost, bought and rented; none for rows without tokens."""
    if row.status != "ok" or row.phase not in TOKENS:
        return []
    return [_cost(row, prices, way) for way in WAYS]


def _cost(row: Row, prices: Prices, way: Way) -> Cost:
    formula, inputs, missing = formula_of(row, prices, way)
    basis = BASIS_WORDS[prices.power_basis] if way == "purchase" else "energy is part of the rent"
    cost = Cost(
        device=row.device, case_id=row.case_id, tokens=TOKENS[row.phase][0], way=way, currency=prices.currency,
        formula=formula, inputs=inputs, source=source_of(row), basis=basis, reason=missing,
    )  # fmt: skip
    if missing:
        return cost
    value = evaluate(formula, {each.id: each.value or 0.0 for each in inputs})
    return msgspec.structs.replace(cost, value=value, interval=scaled_by(value, token_factors(row)))


def token_factors(row: Row) -> Interval | None:
    """Return how much less and more than at its rate a row's token may take, of time or money, for example (0.9, 1.2).

    None, too, where the rate may be 0: there is no most that a token may cost.
    """
    rates = rate_factors(row)
    if rates is None or rates[0] <= 0:
        return None
    low, high = 1 / rates[1], 1 / rates[0]
    return (low, high) if 0 < low <= high < math.inf else None


def scaled_by(value: float, factors: Interval | None) -> Interval | None:
    """Return the interval of a value that is proportional to what a token takes."""
    return None if factors is None else (value * factors[0], value * factors[1])


def formula_of(row: Row, prices: Prices, way: Way, price: str | None = None) -> tuple[str, list[Input], str]:
    """Return (formula, its inputs, why it cannot be worked out or "").

    price: stands for the unit's own price, of all its devices together.
    """
    inputs: list[Input] = []
    gaps: list[str] = []
    one = price if price is None or row.devices == 1 else f"{price} / {row.devices}"
    hours = times(row.devices, holding_term(row.device, prices, way, inputs, gaps, one))
    hours = f"{hours} / {_share(prices, 'utilization', 'share of the hours in use', 'share', inputs, gaps)}"
    if way == "purchase" and prices.power_basis != "left-out":
        watts = watts_term(row, prices, inputs, gaps)
        hours = f"({hours} + {watts} / 1000 * {power_term(prices, inputs, gaps)})"
    kind, metric = TOKENS[row.phase]
    rate = getattr(row, metric)
    inputs.append(
        Input(
            id="rate", label=f"{kind} tokens a second of a {row.unit}", unit="tok/s", source=source_of(row), value=rate
        )
    )
    if not rate:
        gaps.append(f"no {kind} tokens a second")
    return f"{hours} / (3600 * rate) * 1000000", inputs, "; ".join(gaps)


def times(count: int, term: str) -> str:
    """Return the term for as many devices as a unit has."""
    return term if count == 1 else f"{count} * {term}"


def holding_term(
    device: str, prices: Prices, way: Way, inputs: list[Input], gaps: list[str], price: str | None = None
) -> str:
    """Return the term for what one device costs an hour, used or not; adds to the inputs, and to what is missing."""
    own = prices.device.get(device)
    money = None if own is None else (own.purchase if way == "purchase" else own.rental)
    if price is None:
        name = as_name(f"{'price' if way == 'purchase' else 'rent'}_{device}")
        label = f"{'price' if way == 'purchase' else 'rent an hour'} of {device}"
        per = "" if way == "purchase" else "/h"
        if money is None:
            gaps.append(unknown("price" if way == "purchase" else "rent", device, way))
        price = _money(prices, money, name, label, f"device.{device}.{way}", per, inputs)
    if way == "rental":
        return price
    residual = _share(prices, "residual", "share of the price left at the end", "share", inputs, gaps)
    life = _share(prices, "life_years", "life of a device", "years", inputs, gaps)
    _told(prices, "hosting_per_hour", gaps)
    hosting = _money(
        prices, prices.hosting_per_hour, "hosting", "hosting of a device", "hosting_per_hour", "/h", inputs
    )
    return f"({price} * (1 - {residual}) / ({life} * 8760) + {hosting})"


def power_term(prices: Prices, inputs: list[Input], gaps: list[str]) -> str:
    """Return the term for the price of a kWh at the device, the facility's own use included."""
    pue = _share(prices, "pue", "facility power over device power (PUE)", "x", inputs, gaps)
    _told(prices, "power_price_per_kwh", gaps)
    power = _money(prices, prices.power_price_per_kwh, "power_price", "price of power", "power_price_per_kwh", "/kWh",
                   inputs)  # fmt: skip
    return f"{pue} * {power}"


def _told(prices: Prices, key: str, gaps: list[str]) -> None:
    if getattr(prices, key) is None:
        gaps.append(f"no {key} in the prices file")


def _money(
    prices: Prices, money: Money | None, name: str, label: str, key: str, per: str, inputs: list[Input]
) -> str:  # fmt: skip
    """Add a price to the inputs; return the term for it, in the currency of the costs and for one device."""
    if money is None:
        inputs.append(Input(id=name, label=label, value=None, unit=prices.currency + per, source="missing", key=key))
        return name
    bought = f" (of {money.devices} devices together)" if money.devices > 1 else ""
    inputs.append(
        Input(id=name, label=label + bought, value=money.value, unit=money.currency + per, source=money.source,
              date=money.date, low=money.low, high=money.high, key=f"{key}.value")
    )  # fmt: skip
    term = name if money.devices == 1 else f"{name} / {money.devices}"
    if money.currency == prices.currency:
        return term
    exchange = prices.exchange_to(money.currency)
    if exchange is None:  # a prices file is refused without it
        raise DefinitionError(f"{key}: no rate between {money.currency} and {prices.currency}")
    rate = as_name(f"{exchange.to}_for_{exchange.of}")
    given = Input(id=rate, label=f"{exchange.to} for one {exchange.of}", value=exchange.rate, source=exchange.source,
                  unit=f"{exchange.to}/{exchange.of}", date=exchange.date, key="exchange.rate")  # fmt: skip
    if given not in inputs:
        inputs.append(given)
    return f"{term} {'*' if exchange.to == prices.currency else '/'} {rate}"


def _share(prices: Prices, key: str, label: str, unit: str, inputs: list[Input], gaps: list[str]) -> str:
    share = getattr(prices, key)
    _told(prices, key, gaps)
    inputs.append(
        Input(id=key, label=label, value=share and share.value, unit=unit, source=share.source if share else "missing",
              date=(share and share.date) or "", key=f"{key}.value")
    )  # fmt: skip
    return key


def watts_term(row: Row, prices: Prices, inputs: list[Input], gaps: list[str]) -> str:
    """Return the term for what the row's unit draws; adds to the inputs, and to what is missing."""
    used = energy(row, prices)
    if used.watts is None:
        gaps.append(used.reason)
    if prices.power_basis != "tdp":
        source = f"measured ({row.power_basis or 'sensor'})"
        inputs.append(Input(id="watts", label=f"power of a {row.unit}", value=used.watts, unit="W", source=source))
        return "watts"
    return times(row.devices, tdp_term(row.device, prices, inputs))


def tdp_term(device: str, prices: Prices, inputs: list[Input]) -> str:
    """Return the term for the design power of one device; adds to the inputs."""
    own = prices.device.get(device)
    tdp = None if own is None else own.tdp_w
    name = as_name(f"tdp_{device}")
    inputs.append(
        Input(id=name, label=f"design power of {device}", value=None if tdp is None else tdp.value, unit="W",
              source="missing" if tdp is None else f"design power, not measured: {tdp.source}",
              date="" if tdp is None else tdp.date or "", key=f"device.{device}.tdp_w.value")
    )  # fmt: skip
    return name


def energy(row: Row, prices: Prices | None = None) -> Energy:
    """Return joules per token from measured power, or from the design power where the prices file says so."""
    rate = row.output_tokens_per_s or row.prompt_tokens_per_s
    watts, basis = row.power_w, "measured"
    if prices is not None and prices.power_basis == "tdp":
        own = prices.device.get(row.device)
        tdp = None if own is None else own.tdp_w
        if tdp is None:
            return Energy(basis="tdp", reason=unknown("design power", row.device, "tdp_w"))
        watts, basis = tdp.value * row.devices, "tdp"
    elif watts is None:
        why = row.telemetry_missing.get("power_w") or "no sensor was read"
        why = "a modelled row has no sensor" if row.source == "modelled" else why
        return Energy(reason=f'no measured power ({why}): power_basis = "tdp" would take design power, and say so')
    if not rate:
        return Energy(watts=watts, basis=basis, reason="no tokens a second")
    joules = watts / rate
    return Energy(value=joules, interval=scaled_by(joules, token_factors(row)), watts=watts, basis=basis)


def unknown(what: str, device: str, key: str) -> str:
    """Return that a prices file lacks something of a device, with the key to add; it may well be known elsewhere."""
    return f"the prices file has no {what} of {device} (add device.{device}.{key})"
