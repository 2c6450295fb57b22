"""Measured rows at a service target: the largest batch in time, read off between measured batches, never beyond them.

Between two measured batches the step's time is taken as a straight line; on a grid that doubles, taking the lower
measured batch instead moves a ratio by up to 17 %. What is read off carries the flag "interpolated".
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import msgspec
import numpy as np

from bench.results.compare import INTERPOLATED
from bench.results.doubt import doubt
from bench.results.normalize import fill_rates
from bench.results.record import Row
from bench.results.target import (
    ACROSS,
    NO_LIMITS,
    UNBRACKETED,
    Asked,
    Target,
    asked_of,
    flagged,
    missed,
    named_by,
    unsure,
)
from bench.units import seconds

# Between measured batches this near to each other nothing is read off: the lower one stands as it was measured.
NEAR = 0.05
# A definition without these is the family whose rows differ in their batch alone.
NOT_OF_THE_FAMILY = ("batch", "time_s", "memory_gb")
# What belongs to a measured batch and is not read off between two.
NOT_READ_OFF: dict[str, Any] = {
    "samples_s": None, "p90_s": None, "p99_s": None, "warmup_s": None, "warmup_samples": None, "stop_reason": None,
    "calls_per_sample": None, "eager_step_s": None, "flops": None, "read_bytes": None, "written_bytes": None,
    "link_bytes": None, "kernels": [], "mfu": None, "mbu": None, "mfu_achieved": None, "mbu_achieved": None,
    "memory_bytes": None, "memory_peak_bytes": None, "power_w": None, "joules_per_token": None, "timed_s": None,
    "tokens_per_s_per_tflops": None, "wall_s": None, "clock_hz": None, "lowest_clock_hz": None, "temperature_c": None,
    "device_utilization": None,
}  # fmt: skip


def families(rows: Iterable[Row], phase: str) -> list[dict[int, Row]]:
    """Return the measured rows of a phase by batch, in rising order, one mapping for each definition."""
    found: dict[tuple[str, str, str], dict[int, Row]] = {}
    for row in rows:
        if row.phase == phase and row.source == "measured" and row.status == "ok" and row.step_s and row.batch:
            same = {key: value for key, value in row.definition.items() if key not in NOT_OF_THE_FAMILY}
            key = (row.device, row.unit, msgspec.json.encode(same, order="deterministic").decode())
            found.setdefault(key, {})[row.batch] = row
    return [dict(sorted(family.items())) for family in found.values()]


def bracket(family: dict[int, Row], limit_s: float) -> tuple[int | None, int | None]:
    """Return (largest measured batch in time, the next measured one), each None where there is none."""
    inside = max((batch for batch, row in family.items() if (row.step_s or math.inf) <= limit_s), default=None)
    return inside, min((batch for batch in family if inside is None or batch > inside), default=None)


def batch_between(family: dict[int, Row], inside: int, beyond: int, limit_s: float) -> int:
    """Return the largest whole batch whose time, on the line between two measured ones, is within the limit."""
    low, high = family[inside].step_s or 0.0, family[beyond].step_s or 0.0
    # A limit met exactly must not lose a batch to rounding.
    return inside + math.floor((beyond - inside) * (limit_s - low) / (high - low) + 1e-9)


def measured_at_targets(rows: Iterable[Row], targets: Iterable[Target]) -> list[Row]:
    """Return measured rows at each target: as measured, interpolated, or without a number and with the reason.

    rows: one for each case, sessions folded. Decode is read at a target's TPOT, prefill at its TTFT.
    """
    every, wanted = list(rows), list(targets)
    found: list[Row] = []
    for phase in ("prefill", "decode"):
        for family in families(every, phase):
            model = next(iter(family.values())).model
            found += [_at(family, asked) for asked in asked_of(phase, model, wanted)]
    return found


def _at(family: dict[int, Row], asked: Asked) -> Row:
    first, last = next(iter(family.values())), list(family.values())[-1]
    limits, limit_s, why = asked
    if why:
        return missed(first, limits, why, flag=NO_LIMITS)
    inside, beyond = bracket(family, limit_s)
    if inside is None:
        smallest = "a batch of 1" if first.batch == 1 else f"the smallest measured batch, {first.batch},"
        flag = UNBRACKETED if first.batch != 1 else ACROSS if unsure([(first.interval, limit_s)]) else ""
        reason = f"even {smallest} takes {seconds(first.step_s)}; nothing is extrapolated"
        return missed(first, limits, reason, flag=flag)
    if beyond is None:
        reason = f"even the largest measured batch, {last.batch}, takes only {seconds(last.step_s)}; nothing is"
        more = "measure larger ones (bench run --at, or --batch)"
        return missed(last, limits, f"{reason} extrapolated, {more}", flag=UNBRACKETED)
    batch = inside if near(inside, beyond) else batch_between(family, inside, beyond, limit_s)
    row = family[inside] if batch == inside else _between(family[inside], family[beyond], batch)
    if not doubt(row):
        # Without what slowed it down the next batch may be in time, too.
        row = flagged(row, doubt(family[beyond]))
    row = msgspec.structs.replace(row, rate_interval=_rate_ends(family, row, limit_s))
    return flagged(named_by(row, limits), ACROSS if unsure([(first.interval, limit_s)]) else "")


def _rate_ends(family: dict[int, Row], row: Row, limit_s: float) -> tuple[float, float] | None:
    """What a row in time yields where every step takes as long as its interval's ends say: the batch in time moves too.

    Read on the same lines, and no further than they were measured; from 0 where the smallest batch is late then.
    """
    rate = row.output_tokens_per_s or row.prompt_tokens_per_s
    if not rate or not row.batch or not row.step_s or any(each.interval is None for each in family.values()):
        return None
    batches = np.arange(min(family), max(family) + 1)
    one, found = rate * row.step_s / row.batch, []
    for end in (1, 0):
        times = np.interp(batches, list(family), [each.interval[end] for each in family.values() if each.interval])
        largest = int(np.count_nonzero(np.minimum.accumulate(times[::-1])[::-1] <= limit_s))
        found.append(float(batches[largest - 1] / times[largest - 1]) * one if largest else 0.0)
    return min(found[0], rate), max(found[1], rate)


def near(inside: int, beyond: int) -> bool:
    """Return whether two measured batches bracket a limit closely enough: next to each other, or within 5 %."""
    return beyond - inside <= max(1, NEAR * inside)


def _between(low: Row, high: Row, batch: int) -> Row:
    """A row at a batch between two measured ones."""
    share = (batch - (low.batch or 0)) / ((high.batch or 0) - (low.batch or 0))
    row = msgspec.structs.replace(low, batch=batch, definition={**low.definition, "batch": batch}, **NOT_READ_OFF)
    row.step_s = (1 - share) * (low.step_s or 0.0) + share * (high.step_s or 0.0)
    row.interval = None
    if low.interval is not None and high.interval is not None:
        ends = zip(low.interval, high.interval, strict=True)
        start, end = ((1 - share) * a + share * b for a, b in ends)
        row.interval, row.interval_kind = (start, end), "between the intervals of the two measured batches"
    row.flags = [*dict.fromkeys([*low.flags, *high.flags, INTERPOLATED])]
    row.notes = [*low.notes, f"interpolated between the measured batches {low.batch} and {high.batch}"]
    row.telemetry_missing = {"power_w": "an interpolated row was not run"}
    row.bound = low.bound if low.bound == high.bound else None
    fill_rates(row, devices_in_unit=row.devices)
    return row
