"""Derived numbers of a row: throughput, utilization, bound. Worked out from time and work in one place only."""

from __future__ import annotations

import msgspec

from bench.results.record import Row
from bench.units import GIGA, TERA, scaled


class Normalized(msgspec.Struct, frozen=True, kw_only=True):
    """A row's tokens per second for each of something; `basis` says of what, or why `value` is None."""

    per: str
    unit: str
    basis: str
    value: float | None = None
    interval: tuple[float, float] | None = None


def flops_utilization(flops: float, seconds: float, peak_flops: float) -> float:
    """MFU: achieved FLOP/s over the peak. Above 1 is shown, not clipped."""
    return flops / seconds / peak_flops


def bandwidth_utilization(moved_bytes: float, seconds: float, peak_bytes_per_s: float) -> float:
    """MBU: bytes that had to move per second over the peak."""
    return moved_bytes / seconds / peak_bytes_per_s


def rate_factors(row: Row) -> tuple[float, float] | None:
    """Return how much lower and higher than it is a row's throughput may be, for example (0.8, 1.1); lower may be 0."""
    rate = row.output_tokens_per_s or row.prompt_tokens_per_s
    if row.rate_interval is not None and rate:
        return row.rate_interval[0] / rate, row.rate_interval[1] / rate
    if row.interval is None or not row.step_s or min(row.interval) <= 0:
        return None
    # A longer time is a lower rate.
    return row.step_s / row.interval[1], row.step_s / row.interval[0]


def fill_rates(row: Row, *, devices_in_unit: int = 1) -> None:
    """Fill latency and throughput from `step_s`.

    Throughput is that of the row's unit: a replica of tp devices gives each of them 1/tp of its tokens; a package of
    n devices gives n times one device's.
    """
    if row.step_s is None or row.batch is None or row.phase not in ("prefill", "decode"):
        return
    share = devices_in_unit / int(row.deployment.get("tp", 1) or 1)
    if row.phase == "prefill":
        row.ttft_s = row.step_s
        row.prompt_tokens_per_s = row.batch * (row.input_len or 0) / row.step_s * share
    else:
        row.tpot_s = row.step_s
        row.output_tokens_per_s = row.batch / row.step_s * share


def fill_utilization(row: Row, peak_flops: float | None, peak_bytes_per_s: float | None, *, achieved: bool) -> None:
    """Fill MFU and MBU of the sheet's peaks, or of the achieved ones; None where a peak is not known."""
    if row.step_s is None:
        return
    moved = (row.read_bytes or 0) + (row.written_bytes or 0)
    mfu = flops_utilization(row.flops, row.step_s, peak_flops) if peak_flops and row.flops else None
    mbu = bandwidth_utilization(moved, row.step_s, peak_bytes_per_s) if peak_bytes_per_s and moved else None
    if achieved:
        row.mfu_achieved, row.mbu_achieved = mfu, mbu
    else:
        row.mfu, row.mbu = mfu, mbu
    if row.bound is None and row.flops is not None and peak_flops and peak_bytes_per_s:
        # The higher roof is the lower bound of time; which of the two it is names the bound.
        row.bound = "compute" if row.flops / peak_flops > moved / peak_bytes_per_s else "memory"


def fill_per_peak(row: Row, peak_flops: float | None, *, devices_in_unit: int = 1) -> None:
    """Fill tokens per second per TFLOP/s of published peak; the precision of the peak is the row's dtype."""
    rate = row.output_tokens_per_s or row.prompt_tokens_per_s
    if rate is not None and peak_flops:
        row.tokens_per_s_per_tflops = rate / (peak_flops * devices_in_unit / 1e12)


def fill_energy(row: Row) -> None:
    """Fill joules per token from measured power; never from a design power."""
    rate = row.output_tokens_per_s or row.prompt_tokens_per_s
    if row.power_w is not None and rate:
        row.joules_per_token = row.power_w / rate


def normalized(
    row: Row, *, devices_in_package: int = 1, devices_in_node: int | None = None, peak_flops: float | None = None,
    peak_bytes_per_s: float | None = None, tdp_w: float | None = None,
) -> list[Normalized]:  # fmt: skip
    """Return a row's throughput per device, package, node, TFLOP/s, GB/s and watt.

    Peaks are published ones of one torch device, that of FLOPs in the row's dtype. tdp_w: only where a person chose
    design power as the basis; else watts are measured ones or none.
    """
    rate = row.output_tokens_per_s or row.prompt_tokens_per_s
    one = None if rate is None else rate / row.devices
    watts, watts_basis = (None, "no measured power") if row.power_w is None else (row.power_w / row.devices, "measured")
    if tdp_w is not None:
        watts, watts_basis = tdp_w, "design power (TDP), not measured"
    elif watts is not None:
        watts_basis += f": {row.power_basis or 'sensor'}"
    many = f"{devices_in_node} devices, each as fast as one alone" if devices_in_node else "devices in a node not given"
    dies = "1 device" if devices_in_package == 1 else f"{devices_in_package} devices beside each other"
    flops = _peak(peak_flops, "FLOP/s", f"published dense {row.dtype} peak")
    bandwidth = _peak(peak_bytes_per_s, "B/s", "published memory bandwidth")
    return [
        _per("device", "tok/s", row, one, 1.0, "one torch device"),
        _per("package", "tok/s", row, one, 1 / devices_in_package, dies),
        _per("node", "tok/s", row, one, 1 / devices_in_node if devices_in_node else None, many),
        _per("TFLOP/s", "tok/s per TFLOP/s", row, one, peak_flops and peak_flops / TERA, flops),
        _per("GB/s", "tok/s per GB/s", row, one, peak_bytes_per_s and peak_bytes_per_s / GIGA, bandwidth),
        _per("W", "tok/s per W", row, one, watts, watts_basis),
    ]


def _peak(value: float | None, unit: str, what: str) -> str:
    return f"no {what}" if value is None else f"{what}, {scaled(value, unit)} a device"


def _per(per: str, unit: str, row: Row, rate: float | None, divisor: float | None, basis: str) -> Normalized:
    if rate is None or not divisor:
        return Normalized(per=per, unit=unit, basis=basis if rate is not None else "no tokens a second")
    value = rate / divisor
    factors = rate_factors(row)
    interval = None if factors is None else (value * factors[0], value * factors[1])
    return Normalized(per=per, unit=unit, basis=basis, value=value, interval=interval)
