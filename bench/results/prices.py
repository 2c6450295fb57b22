"""Prices and what else a cost rests on (`prices.toml`): every number with its date and source, in its own currency.

Keys are described in docs/cost-and-fleet.md. What is absent stays unknown: what needs it then has no number, with the
reason. A zero is written as one.
"""

from __future__ import annotations

import datetime
import math
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from bench import project
from bench.errors import DefinitionError, nearest

EXAMPLE = "example"
PATTERN = "prices/*.toml"

Text = Annotated[str, msgspec.Meta(min_length=1)]
UNDATED = "undated"
# What energy is worked out from: a sensor, the design power of a sheet, or nothing (cost then holds no energy).
PowerBasis = Literal["measured", "tdp", "left-out"]
BASIS_WORDS: dict[str, str] = {
    "measured": "energy from measured power",
    "tdp": "energy from design power (TDP), not measured",
    "left-out": "without energy",
}
# Key, least and most; what divides must be above 0.
RANGES = (("pue", 1, 10), ("life_years", 0, 100), ("residual", 0, 1), ("utilization", 0, 1))


def _within(key: str, value: float | None, low: float, high: float, *, open_low: bool = False) -> None:
    """Raise ValueError where a number lies outside its range, or is none (NaN)."""
    if value is None or (low < value <= high if open_low else low <= value <= high):
        return
    most = "" if high == math.inf else f" and at most {high:g}"
    raise ValueError(f"{key} is {value}; it must be {'above' if open_low else 'at least'} {low:g}{most}")


def _check_currency(key: str, value: str) -> None:
    if not (len(value) == 3 and value.isascii() and value.isalpha() and value.isupper()):
        raise ValueError(f'{key} is {value!r}; it must be three capitals, for example {key} = "CNY" or "USD"')


def _check_date(key: str, value: str | None) -> None:
    """Raise ValueError for what is no year, month or day; UNDATED stands where the source gives none."""
    if value is None or value == UNDATED:
        return
    try:
        if len(value) not in (4, 7, 10):
            raise ValueError
        # A year and a month are dates without their last parts.
        datetime.datetime.strptime(value + "-01-01"[len(value) - 4 :], "%Y-%m-%d")
    except ValueError:
        raise ValueError(
            f'{key} is {value!r}; it must be a year, a month or a day, for example {key} = "2026-05-31" or "2026-05", '
            f'or "{UNDATED}"'
        ) from None


class Money(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A price: of one torch device, or of a package, card or server that `devices` of them come in."""

    value: float
    currency: str
    date: str
    source: Text
    low: float | None = None
    high: float | None = None
    devices: Annotated[int, msgspec.Meta(ge=1)] = 1

    def __post_init__(self) -> None:
        for key in ("value", "low", "high"):
            # Hosting may cost nothing; a device does not (see DevicePrice).
            _within(key, getattr(self, key), 0, 1e12)
        _check_currency("currency", self.currency)
        _check_date("date", self.date)


class Share(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A number without a currency that a cost rests on: years, a share, a ratio, watts."""

    value: float
    source: Text
    date: str | None = None

    def __post_init__(self) -> None:
        _check_date("date", self.date)


class DevicePrice(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """What a device costs to buy, or to rent for an hour; `tdp_w` is of one torch device."""

    purchase: Money | None = None
    rental: Money | None = None
    tdp_w: Share | None = None

    def __post_init__(self) -> None:
        for key in ("purchase", "rental", "tdp_w"):
            given = getattr(self, key)
            if given is not None:
                _within(f"{key}.value", given.value, 0, 1e12, open_low=True)


class Exchange(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True, rename={"of": "from"}):
    """How much of `to` one unit of `from` is."""

    of: str
    to: str
    rate: float
    date: str
    source: Text

    def __post_init__(self) -> None:
        _within("rate", self.rate, 0, 1e9, open_low=True)
        _check_currency("from", self.of)
        _check_currency("to", self.to)
        _check_date("date", self.date)
        if self.of == self.to:
            raise ValueError(f"exchange from {self.of} to itself")


class Prices(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A prices file: what costs are shown in, the prices of devices, and the assumptions common to all of them."""

    currency: str
    example: bool = False
    power_basis: PowerBasis = "measured"
    power_price_per_kwh: Money | None = None
    pue: Share | None = None
    life_years: Share | None = None
    residual: Share | None = None
    utilization: Share | None = None
    hosting_per_hour: Money | None = None
    exchange: list[Exchange] = []
    device: dict[str, DevicePrice] = {}

    def __post_init__(self) -> None:
        _check_currency("currency", self.currency)
        for key, low, high in RANGES:
            share: Share | None = getattr(self, key)
            if share is not None:
                _within(f"{key}.value", share.value, low, high, open_low=low == 0 and key != "residual")
        for where, money in self._moneys():
            if money.currency != self.currency and self.exchange_to(money.currency) is None:
                raise ValueError(
                    f"{where} is in {money.currency}, costs are in {self.currency}, and no rate between them is given; "
                    f'add [[exchange]] from = "{money.currency}", to = "{self.currency}", rate, date and source'
                )

    def _moneys(self) -> list[tuple[str, Money]]:
        found = [("power_price_per_kwh", self.power_price_per_kwh), ("hosting_per_hour", self.hosting_per_hour)]
        for name, device in self.device.items():
            found += [(f"device.{name}.purchase", device.purchase), (f"device.{name}.rental", device.rental)]
        return [(where, money) for where, money in found if money is not None]

    def exchange_to(self, currency: str) -> Exchange | None:
        """Return the rate between a currency and the one costs are in, in whichever direction it is given."""
        pair = {currency, self.currency}
        return next((each for each in self.exchange if {each.of, each.to} == pair), None)


def bounds(key: str) -> tuple[float, bool, float | None]:
    """Return (least, whether it must be above that, most or None) of a key, such as "device.x.rental.value"."""
    own = next((each for each in RANGES if key.startswith(each[0])), None)
    if own is not None:
        return own[1], own[1] == 0 and own[0] != "residual", own[2]
    return 0, key.startswith(("device.", "exchange.")), None


def load_prices(path: Path) -> Prices:
    """Read a prices file.

    Raises: DefinitionError naming the file, the key and what would be right; also for a currency without a rate.
    """
    return project.load_toml(path, Prices)


def example_prices() -> Path:
    """Return the shipped example: indications with date and source, no offers; to be copied and edited."""
    return project.definitions("results", PATTERN)[EXAMPLE]


def check_devices(prices: Prices, known: list[str], where: str) -> None:
    """Raise DefinitionError for a priced device that nobody knows, with the nearest names."""
    for name in prices.device:
        if name not in known:
            raise DefinitionError(f"{where}: unknown device '{name}'{nearest(name, known)} (see: bench devices)")
