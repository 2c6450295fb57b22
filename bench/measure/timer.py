"""Sampling: warm up until the time settles, then sample until the median is known well enough or time is up."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from bench.errors import DeviceError
from bench.results.summary import half_width, median, relative_half_width, steady_interval

TARGET = 0.01
STABLE = 0.03
SETTLED = 0.03
MOST_SAMPLES = 2000
# Enough for an interval of the median; a case whose steps are very slow gets three times its time for them.
FEWEST_SAMPLES = 6
MOST_PATIENCE = 3.0
# Share of the time that warm-up may take, and that sampling takes at least, so that slow drifts are seen.
WARMUP_SHARE = 0.25
LEAST_SHARE = 0.75

TimeOnce = Callable[[], float]
Clock = Callable[[], float]


@dataclass(frozen=True)
class Samples:
    """Raw seconds of each sample, how warm-up went, and why sampling stopped."""

    seconds: list[float]
    warmup_s: float
    warmup_samples: int
    timed_s: float
    stop_reason: str

    @property
    def stable(self) -> bool:
        """Whether the median's 95 % interval, a trend included, is within 3 % to either side."""
        return half_width(self.interval, median(self.seconds)) <= STABLE

    @property
    def interval(self) -> tuple[float, float] | None:
        return steady_interval(self.seconds)


def sample(once: TimeOnce, budget_s: float, clock: Clock = time.perf_counter) -> Samples:
    """Time a step within `budget_s` seconds of warm-up and sampling together.

    once: runs the step and returns its seconds as the device's own clock has them.
    Stops when the median's 95 % interval is within 1 % (after 75 % of the time, so that drift shows), when time is up
    (with six samples, or after three times the time whatever there is), or at 2,000 samples.
    Raises: DeviceError when the clock goes back.
    """
    clock = _forward(clock)
    start = clock()
    warmup = _warm_up(once, budget_s * WARMUP_SHARE, clock)
    sampling = clock()
    seconds: list[float] = []
    check_at = FEWEST_SAMPLES
    while True:
        seconds.append(once())
        gone = clock() - start
        if len(seconds) >= MOST_SAMPLES:
            reason = f"{MOST_SAMPLES} samples"
            break
        if gone >= budget_s * (1 if len(seconds) >= FEWEST_SAMPLES else MOST_PATIENCE):
            reason = f"time limit {budget_s:g} s"
            break
        if gone >= budget_s * LEAST_SHARE and len(seconds) >= check_at:
            if relative_half_width(seconds) <= TARGET:
                reason = f"median known within {TARGET:.0%}"
                break
            # Looking after every sample would find a lucky moment; look again when there are a tenth more.
            check_at = len(seconds) + max(1, len(seconds) // 10)
    return Samples(seconds, sampling - start, warmup, clock() - start, reason)


def _forward(clock: Clock) -> Clock:
    """Return the clock, which refuses to go back: what it timed meanwhile could be anything."""
    last = -math.inf

    def now() -> float:
        nonlocal last
        before, last = last, clock()
        if not last >= before:
            raise DeviceError(f"this machine's clock went from {before:g} s to {last:g} s; run the case again")
        return last

    return now


def _warm_up(once: TimeOnce, budget_s: float, clock: Clock) -> int:
    """Run blocks until the last block's median agrees with the one before, or the time is up; return the runs."""
    start, runs, size = clock(), 0, 2
    before: float | None = None
    while True:
        block = [once() for _ in range(size)]
        runs += size
        now = median(block)
        if before is not None and abs(now / before - 1) <= SETTLED:
            return runs
        if clock() - start >= budget_s:
            return runs
        before, size = now, min(size * 2, 64)
