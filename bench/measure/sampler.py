"""Readings of a device while a step is timed, and what they say of the window: average power, and whether to trust it.

A thread reads beside the timed work. It never holds the measurement up for longer than `PATIENCE_S` at either end, and
whatever the reader does (hangs, raises, answers nonsense) is a reason in the window and not an error.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

from bench.devices.telemetry.reading import LARGEST, Reading

PERIOD_S = 0.05
# Longer than the time limit of any tool, so that a tool that hangs is reported by its own reason.
PATIENCE_S = 6.0

SHORTEST_S = 0.5
FEWEST_READINGS = 5
FEWEST_UPDATES = 4
STALE_READINGS = 10
LARGEST_GAP = 0.25

Validity = Literal["ok", "none", "few", "stale", "gap", "short"]
Stamped = tuple[float, Reading]

# Which figure of a reading stands behind which figure of a window.
_SOURCES = {
    "power_w": "power_w",
    "utilization": "utilization",
    "temperature_max_c": "temperature_c",
    "clock_mean_hz": "clock_hz",
    "clock_lowest_hz": "clock_hz",
    "throttle": "throttle",
    "memory_used_max_bytes": "memory_used_bytes",
}


@dataclass(frozen=True)
class Window:
    """What the readings of one timed window say; None where they say nothing, with the reason in `missing`.

    power_w is given only where power_validity is "ok": a number that cannot be trusted is not shown. The others:
    none   no reading in the window tells a power or an energy
    short  the window is under 0.5 s, or the sensor was renewed fewer than 4 times in 10 readings or more
    few    fewer than 5 readings, or fewer than 5 values that differ from the one before
    gap    more than a quarter of the window passed without a reading
    stale  10 readings or more and never a change: a sensor under load moves
    Power is measured, never taken from a TDP: the rise of the energy counter over the time between its first and last
    reading in the window, else the trapezoid of the power readings in the window over the time between them.
    """

    seconds: float
    power_w: float | None = None
    power_samples: int = 0
    power_validity: Validity = "none"
    power_basis: str | None = None
    utilization: float | None = None
    temperature_max_c: float | None = None
    clock_mean_hz: float | None = None
    clock_lowest_hz: float | None = None
    throttle: tuple[str, ...] | None = None
    memory_used_max_bytes: int | None = None
    missing: dict[str, str] = field(default_factory=dict, hash=False)


class Sampler:
    """Reads in the background from `with` to its end; `window` holds the outcome afterwards.

    read: gives one reading, slow or fast; each is stamped with the middle of its call.
    """

    def __init__(
        self,
        read: Callable[[], Reading],
        period_s: float = PERIOD_S,
        patience_s: float = PATIENCE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read, self._period_s, self._patience_s, self._clock = read, period_s, patience_s, clock
        self._taken: list[Stamped] = []
        self._failure: str | None = None
        self._first, self._over = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="telemetry", daemon=True)
        self._start = 0.0
        self.window = Window(0.0)

    def __enter__(self) -> Sampler:
        with suppress(RuntimeError):  # no thread to be had: the window then says that nothing was read
            self._thread.start()
            # A tool that takes a second would otherwise miss the beginning of the window.
            self._first.wait(self._patience_s)
        self._start = self._clock()
        return self

    def __exit__(self, *_: object) -> None:
        end = self._clock()
        self._over.set()
        if self._thread.ident is not None:
            self._thread.join(self._patience_s)
        why = self._failure
        if self._thread.is_alive():
            why = f"the reader gave no answer in {self._patience_s:g} s"
        self.window = summarise(self._taken.copy(), self._start, end, why)

    def _run(self) -> None:
        while True:
            self._take()
            self._first.set()
            if self._silent() or self._over.wait(self._period_s):
                return

    def _silent(self) -> bool:
        """Whether the device told no figure at all: asking again would only disturb what is timed."""
        if not self._taken or any(getattr(self._taken[-1][1], name) is not None for name in LARGEST):
            return False
        self._failure = self._taken[-1][1].missing["power_w"]
        return True

    def _take(self) -> None:
        before = self._clock()
        try:
            reading: object = self._read()
        except BaseException as error:  # whatever it is, the measurement goes on
            self._failure = f"the reader failed: {type(error).__name__}: {error}"
            return
        if isinstance(reading, Reading):
            self._taken.append(((before + self._clock()) / 2, reading))
        else:
            self._failure = f"the reader answered {type(reading).__name__} and no reading"


def summarise(taken: Sequence[Stamped], start_s: float, end_s: float, failure: str | None = None) -> Window:
    """Return what stamped readings, in order of time, say of the window from `start_s` to `end_s`.

    Readings outside the window belong to another load and do not count. failure: why the reader has none or no more.
    """
    inside = [(at, reading) for at, reading in taken if start_s <= at <= end_s]
    readings = [reading for _, reading in inside]
    power = _power(inside, start_s, end_s)
    clocks = _values(readings, "clock_hz")
    throttle = [reading.throttle for reading in readings if reading.throttle is not None]
    window = Window(
        end_s - start_s,
        power_w=power.watts,
        power_samples=power.samples,
        power_validity=power.validity,
        power_basis=next((reading.power_basis for reading in readings if reading.power_basis), None),
        utilization=_mean(_values(readings, "utilization")),
        temperature_max_c=max(_values(readings, "temperature_c"), default=None),
        clock_mean_hz=_mean(clocks),
        clock_lowest_hz=min(clocks, default=None),
        throttle=tuple(dict.fromkeys(word for words in throttle for word in words)) if throttle else None,
        memory_used_max_bytes=max(
            (r.memory_used_bytes for r in readings if r.memory_used_bytes is not None), default=None
        ),
    )
    told = readings[-1].missing if readings else {}
    for name, source in _SOURCES.items():
        if getattr(window, name) is None:
            window.missing[name] = told.get(source) or failure or "no reading came in the window"
    if power.doubt is not None:
        window.missing["power_w"] = power.doubt
    return window


@dataclass(frozen=True)
class _Power:
    watts: float | None
    samples: int
    validity: Validity
    doubt: str | None


def _power(inside: Sequence[Stamped], start_s: float, end_s: float) -> _Power:
    counter = [(at, reading.energy_j) for at, reading in inside if reading.energy_j is not None]
    sensor = [(at, reading.power_w) for at, reading in inside if reading.power_w is not None]
    if counter and _rises(counter):
        series = counter
        # What passes between two readings of a counter is counted; only the window's ends can be missed.
        ends = [(start_s, counter[0][0]), (counter[-1][0], end_s)]
    else:
        series = sensor
        ends = list(pairwise([start_s, *(at for at, _ in sensor), end_s]))
    if not series:
        doubt = "its energy counter fell or jumped, and it tells no power" if counter else None
        return _Power(None, 0, "none", doubt)
    validity, doubt = _trust([value for _, value in series], ends, end_s - start_s)
    watts = None
    if validity == "ok":
        energy_j = counter[-1][1] - counter[0][1] if series is counter else _trapezoid(sensor)
        watts = energy_j / (series[-1][0] - series[0][0])
    return _Power(watts, len(series), validity, doubt)


def _trust(values: Sequence[float], ends: Sequence[tuple[float, float]], seconds: float) -> tuple[Validity, str | None]:
    """Judge a sensor's values in a window; `ends` are the stretches without a reading."""
    count, updates = len(values), sum(a != b for a, b in pairwise(values))
    if seconds < SHORTEST_S:
        return "short", f"{seconds:.2g} s are too short to tell the power, {SHORTEST_S:g} s are needed"
    if count < FEWEST_READINGS:
        return "few", f"{count} readings in {seconds:.3g} s are too few, {FEWEST_READINGS} are needed"
    longest = max(end - start for start, end in ends)
    if longest > LARGEST_GAP * seconds:
        return "gap", f"{longest:.2g} of {seconds:.3g} s passed without a reading"
    if count >= STALE_READINGS and updates == 0:
        return "stale", f"{count} readings never changed: the sensor stands still"
    if count >= STALE_READINGS and updates < FEWEST_UPDATES:
        return "short", f"the sensor was renewed {updates} times in {seconds:.3g} s, {FEWEST_UPDATES} are needed"
    if updates + 1 < FEWEST_READINGS:
        return "few", f"{updates + 1} different values in {count} readings are too few, {FEWEST_READINGS} are needed"
    return "ok", None


def _rises(counter: Sequence[tuple[float, float]]) -> bool:
    """Whether an energy counter never falls, and rises no faster than any device can draw power."""
    (first_at, first), (last_at, last) = counter[0], counter[-1]
    return all(a <= b for (_, a), (_, b) in pairwise(counter)) and last - first <= LARGEST["power_w"] * (
        last_at - first_at
    )


def _trapezoid(series: Sequence[tuple[float, float]]) -> float:
    return sum((later - at) * (a + b) / 2 for (at, a), (later, b) in pairwise(series))


def _values(readings: Sequence[Reading], name: str) -> list[float]:
    return [value for reading in readings if (value := getattr(reading, name)) is not None]


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
