"""Derived numbers of a row: throughput, utilization, bound. Worked out from time and work in one place only."""

from __future__ import annotations

from bench.results.record import Row


def flops_utilization(flops: float, seconds: float, peak_flops: float) -> float:
    """MFU: achieved FLOP/s over the peak. Above 1 is shown, not clipped."""
    return flops / seconds / peak_flops


def bandwidth_utilization(moved_bytes: float, seconds: float, peak_bytes_per_s: float) -> float:
    """MBU: bytes that had to move per second over the peak."""
    return moved_bytes / seconds / peak_bytes_per_s


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
    if row.step_s is None or row.flops is None:
        return
    moved = (row.read_bytes or 0) + (row.written_bytes or 0)
    mfu = flops_utilization(row.flops, row.step_s, peak_flops) if peak_flops and row.flops else None
    mbu = bandwidth_utilization(moved, row.step_s, peak_bytes_per_s) if peak_bytes_per_s and moved else None
    if achieved:
        row.mfu_achieved, row.mbu_achieved = mfu, mbu
    else:
        row.mfu, row.mbu = mfu, mbu
    if row.bound is None and peak_flops and peak_bytes_per_s:
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
