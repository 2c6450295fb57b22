"""Gives rows to pytest-benchmark as benchmarks: its clock is one that shows the device's seconds.

A case runs in a worker, as in `bench run`: a crash or a full memory there is one failed test and not the end of pytest.
What the device's clock said of each sample is then played to `benchmark.pedantic`, sample by sample, on a timer that
stands still but for them. So pytest-benchmark holds the very samples, and all it does with timings works.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
import pytest

from bench.measure.runner import Planned, measure_once
from bench.pytest_plugin.machine import Machine
from bench.results.pytest_benchmark.write import CLOCK, extra_info
from bench.results.record import Row

# With --benchmark-disable a case runs only to see that it works.
ONCE_S = 0.05
NOT_HERE = ("skipped", "unsupported")


class DeviceClock:
    """A timer for pytest-benchmark: shows what it was set to."""

    def __init__(self) -> None:
        self.__name__ = CLOCK
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Recorder:
    """One test's way to pytest-benchmark. `benchmark`: its fixture, timed by `clock`."""

    def __init__(self, benchmark: Any, clock: DeviceClock, machine: Machine, time_s: float | None) -> None:
        self.machine, self.time_s = machine, time_s
        self._benchmark, self._clock = benchmark, clock

    @property
    def enabled(self) -> bool:
        """Whether timings are wanted (not with --benchmark-disable, nor in several processes at once)."""
        return bool(self._benchmark.enabled)

    @property
    def extra_info(self) -> dict[str, Any]:
        """What is saved beside this test's timings."""
        info: dict[str, Any] = self._benchmark.extra_info
        return info

    def measure(self, planned: Planned) -> Row:
        """Measure a case in a worker, record it, and return its row; a case that gives no time skips or fails."""
        time_s = planned.case.time_s if self.enabled else ONCE_S
        case = msgspec.structs.replace(planned.case, time_s=time_s)
        busy = self.machine.busy(planned.device) if self.enabled else ""
        with _kept_environment():
            row = measure_once(msgspec.structs.replace(planned, case=case, busy=busy))
        if row.status in NOT_HERE:
            pytest.skip(f"{row.status}: {row.reason}")
        if row.status != "ok":
            pytest.fail(f"{row.status}: {row.reason}", pytrace=False)
        self.record(row)
        return row

    def once(self, step: Callable[[], Any]) -> Any:
        """Run a step where timings are not wanted; return what it gave."""
        return self._benchmark.pedantic(step)

    def record(self, row: Row) -> None:
        """Give a row's samples to pytest-benchmark, with all that makes it a row again beside them."""
        if not self.enabled:
            self.once(lambda: None)
            return
        samples = row.samples_s or []
        self.extra_info.update(extra_info([row], self.machine.environment))
        self._play(samples)
        if list(self._benchmark.stats.stats.data) != samples:
            pytest.fail("a test asks for `bench` or for `benchmark`, not for both: they have one timer", pytrace=False)

    def _play(self, samples: Sequence[float]) -> None:
        left = iter(samples)

        def restart() -> None:
            self._clock.now = 0.0

        def step() -> None:
            # Once more than there are samples where --benchmark-cprofile runs it again.
            self._clock.now = next(left, 0.0)

        self._benchmark.pedantic(step, setup=restart, rounds=len(samples), iterations=1)


@contextlib.contextmanager
def _kept_environment() -> Iterator[None]:
    """Take back what starting workers sets for their sake: the tests of this process may start others."""
    before = dict(os.environ)
    try:
        yield
    finally:
        for key in set(os.environ) - set(before):
            del os.environ[key]
        os.environ.update(before)
