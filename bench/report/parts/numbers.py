"""Cells and chart rows out of result rows, with the interval that the step's time implies."""

from __future__ import annotations

from typing import Any

from bench.report import cells
from bench.report.document import Cell, Interval
from bench.results.compare import TIMES, source_of
from bench.results.doubt import doubt
from bench.results.normalize import rate_factors
from bench.results.record import Row

UNITS = {
    "step_s": "s", "ttft_s": "s", "tpot_s": "s", "eager_step_s": "s", "prompt_tokens_per_s": "tok/s",
    "output_tokens_per_s": "tok/s", "tokens_per_s_per_tflops": "tok/s per TFLOP/s", "mfu": "share", "mbu": "share",
    "mfu_achieved": "share", "mbu_achieved": "share", "joules_per_token": "J/token", "power_w": "W",
    "p90_s": "s", "p99_s": "s", "imbalance": "1", "batch": "1", "memory_bytes": "B",
}  # fmt: skip
# Known from the definition without any timing; quantiles have no interval of the median's either.
CERTAIN = ("batch", "memory_bytes", "imbalance")
# Quantiles are not the median; power is a mean over the window, whatever the step's time in it.
WITHOUT_INTERVAL = (*CERTAIN, "p90_s", "p99_s", "power_w")
# Why a row that ran may lack a number.
NO_PEAK = "no peak is known, of a sheet or reached by bench calibrate; or it was read between two batches"
WHY = {
    **dict.fromkeys(("mfu", "mbu", "mfu_achieved", "mbu_achieved"), NO_PEAK),
    "p90_s": "too few samples for a percentile", "p99_s": "too few samples for a percentile",
    "tokens_per_s_per_tflops": "no published peak of this precision, or read between two batches",
}  # fmt: skip
OF_THE_RATE = ("prompt_tokens_per_s", "output_tokens_per_s", "tokens_per_s_per_tflops", "rate")
PER_PHASE = {"prefill": "prompt_tokens_per_s", "decode": "output_tokens_per_s"}


def of(row: Row | None, metric: str, why: str = "") -> Cell:
    """Return one number of a row; without a value where the row has none, with its reason."""
    unit = UNITS[metric]
    value = None if row is None else getattr(row, metric)
    if row is None or value is None:
        reason = why if row is None else why or row.reason or WHY.get(metric, "")
        return Cell(value=None, unit=unit, note=reason)
    interval = None if metric in WITHOUT_INTERVAL else interval_of(row, float(value), metric)
    told = "" if metric in CERTAIN else doubt(row)
    return Cell(value=float(value), unit=unit, source=source_of(row), interval=interval, doubt=told)


def interval_of(row: Row, value: float, metric: str) -> Interval | None:
    """Return the interval of a number that goes with the step's time, its inverse, or what the row yields."""
    if metric in OF_THE_RATE:
        factors = rate_factors(row)
        return None if factors is None else (value * factors[0], value * factors[1])
    if row.interval is None or not row.step_s or min(row.interval) <= 0:
        return None
    low, high = (end / row.step_s for end in row.interval)
    ends = (low, high) if metric in TIMES or metric == "eager_step_s" else (1 / high, 1 / low)
    return (value * ends[0], value * ends[1])


def derived(row: Row, value: float | None, unit: str, note: str = "", *, time: bool = False) -> Cell:
    """Return a number worked out from a row: a rate, or a time."""
    if value is None:
        return Cell(value=None, unit=unit, note=note)
    interval = interval_of(row, value, "step_s" if time else "rate")
    return Cell(value=value, unit=unit, source=source_of(row), interval=interval, note=note, doubt=doubt(row))


def point(series: str, x: float, y: Cell, what: str, **more: Any) -> dict[str, Any]:
    """Return a chart's row: where it is, how sure, and what to say of it."""
    low, high = y.interval or (None, None)
    label = f"{series}, {what}: {cells.text(y)}" + (
        f" ({cells.interval_text(y.interval, y.unit)})" if y.interval else ""
    )
    told = {"series": series, "x": x, "y": y.value, "low": low, "high": high, "source": y.source, "label": label}
    return told | ({"doubt": y.doubt} if y.doubt else {}) | more


def rate_of(row: Row) -> str:
    """Return the metric of a row's tokens, or its time where it makes none."""
    return PER_PHASE.get(row.phase, "step_s")
