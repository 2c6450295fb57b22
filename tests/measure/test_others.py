"""What others take of the CPU while a case is timed."""

from __future__ import annotations

import subprocess
import sys
import time
from types import SimpleNamespace

import psutil
import pytest

from bench.measure import others
from bench.measure.others import Others, disturbed

TIMES = {"user": 0.0, "nice": 0.0, "system": 0.0, "irq": 0.0, "softirq": 0.0, "steal": 0.0, "idle": 0.0}


def told(monkeypatch, *moments):
    """Let the system tell (seconds, the cores' times, own CPU seconds) one moment after the other."""
    seconds, cores, own = (iter(every) for every in zip(*moments, strict=True))
    monkeypatch.setattr(others.os, "sched_getaffinity", lambda _: {0, 2}, raising=False)
    monkeypatch.setattr(others.time, "monotonic", lambda: next(seconds))
    monkeypatch.setattr(others.time, "process_time", lambda: next(own))
    monkeypatch.setattr(psutil, "cpu_times", lambda percpu: [SimpleNamespace(**(TIMES | core)) for core in next(cores)])


def test_what_is_neither_idle_nor_ours_is_others_on_our_cores_only(monkeypatch):
    # Ten seconds; core 0: 6 s busy and 1 s stolen, core 1 is not ours, core 2: 3 s; of these 7 s are our own.
    before = [{}, {}, {}]
    after = [{"user": 5.0, "system": 1.0, "steal": 1.0, "idle": 3.0}, {"user": 10.0}, {"nice": 3.0, "idle": 7.0}]
    told(monkeypatch, (100.0, before, 2.0), (110.0, after, 9.0))
    with Others() as seen:
        pass
    assert seen.cores == pytest.approx(0.3)


def test_ticks_that_round_below_nothing_are_nothing(monkeypatch):
    told(monkeypatch, (0.0, [{}, {}, {}], 0.0), (1.0, [{"user": 0.99}, {}, {}], 1.0))
    with Others() as seen:
        pass
    assert seen.cores == 0


def test_a_short_window_says_nothing(monkeypatch):
    told(monkeypatch, (0.0, [{}, {}, {}], 0.0), (0.1, [{"user": 0.1}, {}, {}], 0.0))
    with Others() as seen:
        pass
    assert seen.cores is None


def test_a_system_that_does_not_tell_is_no_error(monkeypatch):
    monkeypatch.setattr(psutil, "cpu_times", lambda percpu: (_ for _ in ()).throw(OSError("no /proc")))
    with Others() as seen:
        pass
    assert seen.cores is None


@pytest.mark.parametrize(
    ("cores", "on_cpu", "told"),
    [(None, True, False), (0.25, True, False), (0.3, True, True), (13.9, False, False), (14.1, False, True)],
)
def test_an_accelerators_step_is_disturbed_only_where_others_leave_less_than_two_cores(
    cores, on_cpu, told, monkeypatch
):
    monkeypatch.setattr(others.os, "sched_getaffinity", lambda _: set(range(16)), raising=False)
    assert disturbed(cores, on_cpu=on_cpu) is told


@pytest.mark.slow
def test_a_busy_neighbour_is_seen():
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as busy:
        time.sleep(0.2)
        with Others() as seen:
            time.sleep(1.0)
        busy.kill()
    assert seen.cores > 0.5
