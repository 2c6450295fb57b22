"""The sessions of a run as one row a case: what tables, comparisons and explanations show.

A session is one pass over the cases in processes of its own; its value is the median of its samples. What processes
differ in (address layout, warmed pages, the machine's hour) is not in the interval of any one of them, so that of
several sessions the interval is made of their medians alone (Kalibera and Jones, ISMM 2013).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from msgspec.structs import replace

from bench.errors import listed
from bench.results.gate.look import student_t
from bench.results.normalize import fill_energy
from bench.results.record import Row
from bench.results.summary import WITH_TREND, steady_interval

# The time, and what is proportional to it or to its inverse: geometric means of these agree with each other.
WITH_TIME = (
    "step_s", "ttft_s", "tpot_s", "p90_s", "p99_s", "eager_step_s", "prompt_tokens_per_s", "output_tokens_per_s",
    "tokens_per_s_per_tflops", "mfu", "mbu", "mfu_achieved", "mbu_achieved",
)  # fmt: skip
# What tells of the samples of one process.
OF_ONE_PROCESS = ("samples_s", "warmup_s", "warmup_samples", "calls_per_sample", "stop_reason")
# What should be alike in every session: numbers of different things are not one number.
ALIKE = ("launch", "scope", "operators", "definition_hash")
FEWEST_FOR_INTERVAL = 3
# An interval that reaches further, as a logarithm, was not measured by any clock.
WIDEST = 50.0

Interval = tuple[float, float]


def _mean(values: list[float]) -> float:
    return math.fsum(values) / len(values)


# What does not go with time, over the sessions that tell it.
OVER_SESSIONS: dict[str, Callable[[list[Any]], Any]] = {
    "power_w": _mean, "power_samples": sum, "device_utilization": _mean, "temperature_c": max, "clock_hz": _mean,
    "lowest_clock_hz": min, "others_cores": _mean, "memory_peak_bytes": max,
}  # fmt: skip


def fold(rows: Iterable[Row]) -> list[Row]:
    """Return one row for each device, case and unit, in their order; a row of one session is returned as it is.

    Time, rates and utilization are geometric means over the sessions, power and clocks arithmetic ones; memory and
    temperature are the highest. A session that failed is left out of the numbers and told in `reason`.
    """
    cases: dict[tuple[str, str, str], list[Row]] = {}
    for row in map(_steady, rows):
        cases.setdefault(key_of(row), []).append(row)
    return [_folded(sessions) if len(sessions) > 1 else sessions[0] for sessions in cases.values()]


def _steady(row: Row) -> Row:
    """Of a row that drifted while it was timed, the interval with that in it; older files have it without."""
    if row.interval is None or not row.samples_s or not any(flag.startswith("trend") for flag in row.flags):
        return row
    steady = steady_interval(row.samples_s)
    # Samples are stored with six digits.
    if steady is None or (steady[0] > row.interval[0] * (1 - 1e-5) and steady[1] < row.interval[1] * (1 + 1e-5)):
        return row
    interval = (min(steady[0], row.interval[0]), max(steady[1], row.interval[1]))
    return replace(row, interval=interval, interval_kind=f"{row.interval_kind or 'the median'}; {WITH_TREND}")


def key_of(row: Row) -> tuple[str, str, str]:
    """Return what the rows of one case have in common in all sessions."""
    return row.device, row.case_id, row.unit


def _folded(sessions: list[Row]) -> Row:
    good = [row for row in sessions if _timed(row)]
    bad = [row for row in sessions if not _timed(row)]
    row = _joined(good) if len(good) > 1 else replace((good or bad)[0])
    row.wall_s, row.timed_s = _over(sessions, "wall_s", math.fsum), _over(sessions, "timed_s", math.fsum)
    reasons = list(dict.fromkeys(f"{row.status}: {row.reason or 'no time'}" for row in bad))
    if good and bad:
        row.flags = [*row.flags, f"failed {len(bad)}/{len(sessions)}"]
    if bad and (good or len(reasons) > 1):
        row.reason = f"{len(bad)} of {len(sessions)} sessions failed: {listed(reasons)}"
    return row


def _timed(row: Row) -> bool:
    return row.status == "ok" and row.step_s is not None


def _joined(sessions: list[Row]) -> Row:
    """Return the sessions that gave a time, at least two, as one row."""
    row = replace(sessions[0], sessions=len(sessions), **dict.fromkeys(OF_ONE_PROCESS))
    for name in WITH_TIME:
        setattr(row, name, _geometric_mean(sessions, name))
    row.interval, row.interval_kind = between_sessions(sessions)
    row.stable, row.correct = _all(sessions, "stable"), _all(sessions, "correct")
    row.flags = _flags(sessions)
    row.notes = list(dict.fromkeys(note for each in sessions for note in each.notes))
    for name in ALIKE:
        if any(getattr(each, name) != getattr(row, name) for each in sessions):
            row.notes.append(f"{name} differs between the sessions")
    for name, how in OVER_SESSIONS.items():
        setattr(row, name, _over(sessions, name, how))
    _fill_telemetry(row, sessions)
    return row


def between_sessions(sessions: Sequence[Row]) -> tuple[Interval | None, str | None]:
    """Return the interval of the mean over sessions, in seconds, and what it is.

    From three on Student's t on the logarithms of the medians. Of two it would reach six times as far as they are
    apart; what they and their own intervals span is given instead, and is no 95 % interval.
    """
    logs = [math.log(row.step_s) for row in sessions if row.step_s]
    if len(logs) < FEWEST_FOR_INTERVAL:
        ends = [end for row in sessions for end in (row.step_s, *(row.interval or ())) if end]
        return (min(ends), max(ends)), f"the span of {len(logs)} sessions and their own intervals; 95 % needs 3"
    mean = math.fsum(logs) / len(logs)
    reach = student_t(0.025, len(logs) - 1) * float(np.std(logs, ddof=1)) / math.sqrt(len(logs))
    if reach > WIDEST:
        return None, None
    kind = f"95 % of the geometric mean of {len(logs)} sessions' medians, Student's t, between sessions"
    return (math.exp(mean - reach), math.exp(mean + reach)), kind


def _fill_telemetry(row: Row, sessions: list[Row]) -> None:
    causes = [cause for each in sessions for cause in each.throttle or ()]
    row.throttle = None if all(each.throttle is None for each in sessions) else list(dict.fromkeys(causes))
    told = next((each for each in sessions if each.power_w is not None), sessions[0])
    row.power_basis, row.power_validity = told.power_basis, told.power_validity
    row.telemetry_missing = {
        name: why
        for each in sessions
        for name, why in each.telemetry_missing.items()
        if getattr(row, name, None) is None
    }
    silent = sum(each.power_w is None for each in sessions)
    if row.power_w is not None and silent:
        row.notes.append(f"power is of {len(sessions) - silent} of {len(sessions)} sessions")
    row.joules_per_token = None
    fill_energy(row)


def _flags(sessions: list[Row]) -> list[str]:
    """What is odd in the samples of each process, with how many of them it is in; a trend's size is each one's own."""
    kinds = [{"trend" if flag.startswith("trend") else flag for flag in row.flags} for row in sessions]
    counts = {kind: sum(kind in each for each in kinds) for kind in sorted(set().union(*kinds))}
    every = len(sessions)
    return [kind if count == every else f"{kind} {count}/{every}" for kind, count in counts.items()]


def _geometric_mean(sessions: list[Row], name: str) -> float | None:
    """The mean over all sessions: over some only, it would not fit the time."""
    values = [getattr(row, name) for row in sessions]
    if any(value is None or value <= 0 for value in values):
        return None
    return math.exp(math.fsum(math.log(value) for value in values) / len(values))


def _over(sessions: list[Row], name: str, how: Callable[[list[Any]], Any]) -> Any:
    values = [getattr(row, name) for row in sessions if getattr(row, name) is not None]
    return how(values) if values else None


def _all(sessions: list[Row], name: str) -> bool | None:
    return None if any(getattr(row, name) is None for row in sessions) else all(getattr(row, name) for row in sessions)
