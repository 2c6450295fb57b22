"""Fleets that serve a demand: how many devices of which kind, how busy over the day, for how much.

A fleet is a pool of devices for prefill and one for decode, of one kind or of two. Records only; they are worked out
in bench/measure/fleet.py and printed by bench/report/fleet.py.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from bench.results.cost import Input, Interval, Way

# As docs/cost-and-fleet.md has them.
FORMULAS = {
    "device-seconds of a request, prefill": (
        "sum over prompt lengths of share x tokens / (prompt tokens a second and device at the TTFT less the transfer)"
    ),
    "device-seconds of a request, decode": (
        "mean answer / (output tokens a second and device at the TPOT and the mean context)"
    ),
    "mean context of decoded tokens": "mean prompt + mean of squared answers / (2 x mean answer)",
    "transfer of a prompt": "its KV cache on one device (the larger of sender's and receiver's share) / link",
    "devices of a pool": (
        "device-seconds x requests a second of the busiest part / (1 - headroom), up to whole groups"
    ),
    "busy": "device-seconds x mean requests a second / devices = day profile x headroom x whole groups",
    "goodput of a package": "1 / (device-seconds of prefill and decode, each over the devices in a package)",
    "joules a request": "device-seconds x watts, of both pools",
    "cost a day": "24 x devices x holding (or rent), and the energy of busy devices",
    "idle cost a day": "24 x devices x (1 - busy) x holding (or rent)",
}


class Factor(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that keeps a pool from being used wholly: the share it leaves, and what it is, in words."""

    name: str
    share: float
    text: str


class Capacity(msgspec.Struct, frozen=True, kw_only=True):
    """What one device does at the service target: the device-seconds that a request takes, and what that rests on.

    rate: tokens a second of a device, prompt or output tokens. seconds: of a device for one request, with its interval.
    limit: what keeps the batch from being larger. target_share: the rate over what the device would yield without
    the target. bound, mfu, mbu: of the step at this batch. source: measured, interpolated, or modelled with its tier.
    open: why there is no interval, where by that of its time a device may not keep the target at all.
    """

    phase: str
    device: str
    device_name: str
    source: str
    dtype: str
    case_ids: list[str]
    rate: float
    seconds: float
    interval: Interval | None = None
    batch: int | None = None
    step_s: float | None = None
    group: int = 1
    devices_per_package: int = 1
    limit: str = ""
    target_share: float | None = None
    bound: str | None = None
    mfu: float | None = None
    mbu: float | None = None
    watts: float | None = None
    watts_basis: str = ""
    watts_reason: str = ""
    open: str = ""
    notes: list[str] = []


class Sized(msgspec.Struct, frozen=True, kw_only=True):
    """A pool for so many device-seconds a request: its devices, and how busy they are on average and at the peak."""

    seconds: float
    devices: int
    busy: float
    peak_busy: float


class Pool(msgspec.Struct, frozen=True, kw_only=True):
    """The devices of one phase: how many, how busy on average and in the busiest part of the day, and why no more.

    ends: what it would be at both ends of the device-seconds; None where they have no interval.
    """

    capacity: Capacity
    devices: int
    busy: float
    peak_busy: float
    ends: tuple[Sized, Sized] | None
    factors: list[Factor]

    @property
    def sized(self) -> Sized:
        """The pool as it is."""
        taken = self.capacity.seconds
        return Sized(seconds=taken, devices=self.devices, busy=self.busy, peak_busy=self.peak_busy)

    @property
    def interval(self) -> tuple[int, int] | None:
        """The interval of `devices`."""
        return None if self.ends is None else (self.ends[0].devices, self.ends[1].devices)

    @property
    def packages(self) -> int:
        """How many are bought: groups are of whole packages."""
        return self.devices // self.capacity.devices_per_package

    @property
    def package_interval(self) -> tuple[int, int] | None:
        """The interval of `packages`."""
        if self.interval is None:
            return None
        low, high = (each // self.capacity.devices_per_package for each in self.interval)
        return low, high


class Amount(msgspec.Struct, frozen=True, kw_only=True):
    """A number of a fleet with its formula; interval: of fleets sized at both ends of the device-seconds, by `ends`."""

    formula: str
    value: float
    interval: Interval | None = None
    ends: tuple[str, str] | None = None


class FleetCost(msgspec.Struct, frozen=True, kw_only=True):
    """Money a day: all of it, what of it stands idle, and for a million output tokens with their prompts.

    Without amounts where `reason` says why.
    """

    way: Way
    currency: str
    basis: str
    inputs: list[Input] = []
    per_day: Amount | None = None
    idle_per_day: Amount | None = None
    per_million_output: Amount | None = None
    reason: str = ""


class Transfer(msgspec.Struct, frozen=True, kw_only=True):
    """A prompt's KV cache on its way from the prefill to the decode device.

    request_bytes: the whole cache of a mean prompt. seconds: of the longest one. link_use: share of the smaller
    pool's links in the busiest part of the day.
    """

    request_bytes: float
    seconds: float
    link_use: float


class Fleet(msgspec.Struct, frozen=True, kw_only=True):
    """One way to serve the demand; without pools where `reason` says why not."""

    label: str
    pools: list[Pool] = []
    transfer: Transfer | None = None
    joules_per_request: float | None = None
    joules_interval: Interval | None = None
    # Where they rest on design power, which is an assumption; "" where it was measured.
    joules_formula: str = ""
    joules_ends: tuple[str, str] | None = None
    energy_basis: str = ""
    energy_reason: str = ""
    costs: list[FleetCost] = []
    reason: str = ""

    @property
    def open(self) -> str:
        """Why there is no most that it may need and cost, or ""."""
        return "; ".join(dict.fromkeys(pool.capacity.open for pool in self.pools if pool.capacity.open))

    @property
    def devices(self) -> int:
        return sum(pool.devices for pool in self.pools)

    @property
    def packages(self) -> int:
        return sum(pool.packages for pool in self.pools)

    @property
    def goodput(self) -> float | None:
        """Requests a second and package, both phases together, with every target kept (DistServe, 2401.09670)."""
        taken = sum(pool.capacity.seconds / pool.capacity.devices_per_package for pool in self.pools)
        return 1 / taken if taken else None

    @property
    def goodput_interval(self) -> Interval | None:
        """The interval of `goodput`, both phases at the same end."""
        if self.ends is None:
            return None
        dies = [pool.capacity.devices_per_package for pool in self.pools]
        low, high = (
            1 / sum(each.seconds / n for each, n in zip(end, dies, strict=True)) for end in reversed(self.ends)
        )
        return low, high

    @property
    def busy(self) -> float | None:
        """Share of all device-hours of the day in which a device works."""
        return _share([(pool.busy, pool.devices) for pool in self.pools])

    @property
    def peak_busy(self) -> float | None:
        """The same in the busiest part of the day."""
        return _share([(pool.peak_busy, pool.devices) for pool in self.pools])

    @property
    def busy_interval(self) -> Interval | None:
        """The interval of `busy`: a slower device needs more of them, so only whole groups move the share."""
        return self._between(self.busy, lambda each: each.busy)

    @property
    def peak_busy_interval(self) -> Interval | None:
        """The interval of `peak_busy`."""
        return self._between(self.peak_busy, lambda each: each.peak_busy)

    @property
    def ends(self) -> tuple[list[Sized], list[Sized]] | None:
        """The pools at both ends of their device-seconds; None where one has no interval."""
        found = [pool.ends for pool in self.pools if pool.ends is not None]
        if not found or len(found) < len(self.pools):
            return None
        return [each[0] for each in found], [each[1] for each in found]

    def _between(self, value: float | None, of: Callable[[Sized], float]) -> Interval | None:
        if self.ends is None or value is None:
            return None
        shares = [_share([(of(each), each.devices) for each in end]) or 0.0 for end in self.ends]
        return min(value, *shares), max(value, *shares)


def _share(pools: list[tuple[float, int]]) -> float | None:
    """The mean of shares, each of so many devices."""
    return sum(share * devices for share, devices in pools) / sum(n for _, n in pools) if pools else None


class Cheapest(msgspec.Struct, frozen=True, kw_only=True):
    """Which fleet costs least a day, in words, and how many had no cost.

    tail: the end of the words, which no price changes.
    """

    way: Way
    label: str | None
    reading: str
    tail: str = ""


class Fleets(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a demand: the day, and every fleet tried."""

    demand: str
    summary: str
    day: list[float]
    mean_input: float
    mean_output: float
    mean_context: float
    ttft_s: float
    tpot_s: float
    headroom: float
    link_bytes_per_s: float
    fleets: list[Fleet]
    cheapest: list[Cheapest] = []
    example_prices: bool = False

    @property
    def mean_per_s(self) -> float:
        return sum(self.day) / len(self.day)

    @property
    def peak_per_s(self) -> float:
        return max(self.day)
