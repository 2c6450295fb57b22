"""What one sample is: a step, launched as one graph where the device can, often enough for its clock's own cost.

A sample's seconds come from the device's clock, and that clock is held against the host's before it is believed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from bench.devices.adapter import Adapter, Launch
from bench.errors import DeviceError
from bench.units import counted

# A sample shorter than this is repeated inside, so that the clock's own cost stays below a thousandth.
SHORTEST_SAMPLE_S = 5e-4
# The device's clock against the host's: time on the device lies within the time that the host waited, and fills most
# of it once the samples are long. The host may be interrupted, so the best of some tries counts.
CHECKED_S = 0.02
MOST_RUNS = 1000
CLOCK_TRIES = 5
SLACK_S = 2e-4
LEAST_SHARE, MOST_SHARE = 0.5, 1.05


@dataclass(frozen=True)
class Timed:
    """A step made ready: `once` returns the seconds of one call; a sample holds `calls` of them."""

    once: Callable[[], float]
    calls: int
    launch: Launch


def prepare(program: Callable[[Any], Any], operators: Any, adapter: Adapter, *, eager: bool = False) -> Timed:
    """Make a program ready to be sampled; `eager` leaves it uncaptured.

    Raises: DeviceError when the device's clock contradicts the host's.
    """

    def launched(step: Callable[[], Any]) -> Launch:
        return Launch(step, "eager") if eager else adapter.capture(step)

    program(operators)
    if operators.layers is not None:
        return _scaled(program, operators, adapter, launched)
    first = clocked(adapter, lambda: program(operators))
    inner = max(1, math.ceil(SHORTEST_SAMPLE_S / max(first, 1e-9)))
    calls = inner * operators.copies

    def many() -> None:
        for _ in range(inner):
            program(operators)

    launch = launched(many)
    check_clock(adapter, launch)
    return Timed(lambda: clocked(adapter, launch.run) / calls, calls, launch)


def _scaled(
    program: Callable[[Any], Any], operators: Any, adapter: Adapter, launched: Callable[[Callable[[], Any]], Launch]
) -> Timed:
    """A model of which only some layers run, scaled to all: the part outside layers once, each kind by its count.

    One sample is one round: nothing but embedding and head, then each kind of layer alone on top of it.
    """
    kinds = {kind: (count, runs) for kind, (count, runs) in operators.repeated.items() if runs}

    def alone(kind: str, call: Callable[[], Any]) -> Any:
        operators.only = kind
        try:
            return call()
        finally:
            operators.only = None

    launches: dict[str, Launch] = {}
    for kind in ("", *kinds):
        launches[kind] = alone(kind, lambda: launched(lambda: program(operators)))
        alone(kind, partial(check_clock, adapter, launches[kind]))

    def timed(kind: str) -> float:
        return float(alone(kind, lambda: clocked(adapter, launches[kind].run)))

    def once() -> float:
        total = outside = timed("")
        for kind, (count, runs) in kinds.items():
            # A disturbed moment can make the part outside slower than the whole; no layer takes less than nothing.
            total += max(0.0, timed(kind) - outside) * count / runs
        return total

    eager = next((launch for launch in launches.values() if launch.how != "graph"), launches[""])
    return Timed(once, 1, eager)


def clocked(adapter: Adapter, step: Callable[[], Any]) -> float:
    """Return the seconds of one run of a step.

    Raises: DeviceError for a time that cannot be: it would spoil the row, and a NaN the whole run file.
    """
    told = adapter.time(step, 1)
    if len(told) != 1:
        raise DeviceError(
            f"the clock of {adapter.name} gave {counted(len(told), 'time')} for one step; its adapter needs repair"
        )
    if not 0 < told[0] < math.inf:
        raise DeviceError(f"the clock of {adapter.name} gave {told[0]} s for a step; its adapter needs repair")
    return told[0]


def check_clock(adapter: Adapter, launch: Launch) -> None:
    """Hold the device's clock against the host's; a device that is timed by the host's clock needs no check.

    Raises: DeviceError when they contradict each other: the device does not wait for its work, or its clock is wrong.
    """
    if launch.how is None:
        return
    runs = max(1, min(MOST_RUNS, math.ceil(CHECKED_S / clocked(adapter, launch.run))))

    def often() -> None:
        for _ in range(runs):
            launch.run()

    device, host = 0.0, 0.0
    for _ in range(CLOCK_TRIES):
        # What a timing costs the host besides its step, flushing the cache above all.
        aside = _host_seconds(adapter, lambda: None)[1]
        device, host = _host_seconds(adapter, often)
        if LEAST_SHARE * (host - aside) - SLACK_S <= device <= MOST_SHARE * host + SLACK_S:
            return
    raise DeviceError(
        f"the clock of {adapter.name} says {device * 1e3:.3g} ms for what took {host * 1e3:.3g} ms by the host's;"
        " its events or its synchronization are wrong, and no time of this device can be believed"
    )


def _host_seconds(adapter: Adapter, step: Callable[[], None]) -> tuple[float, float]:
    """Seconds of a step by the device's clock, and of its whole timing by the host's."""
    start = time.perf_counter()
    device = adapter.time(step, 1)[0]
    return device, time.perf_counter() - start
