"""What readings say of a window, worked out by hand; and a sampler that no reader can stop. No test waits for a time."""

from __future__ import annotations

import threading
import time

import pytest

from bench.devices.telemetry.reading import Missing, Reading, nothing, sensed
from bench.measure.sampler import Sampler, Window, summarise


def powers(watts: list[float], every_s: float, first_s: float = 0.0) -> list[tuple[float, Reading]]:
    return [(first_s + every_s * i, Reading(source="x-smi", power_w=value)) for i, value in enumerate(watts)]


def energies(joules: list[float], every_s: float) -> list[tuple[float, Reading]]:
    return [(every_s * i, Reading(source="x-smi", energy_j=value, power_w=1.0)) for i, value in enumerate(joules)]


# -- power -------------------------------------------------------------------------------------------------------------


def test_power_is_the_trapezoid_of_its_readings():
    # 100 to 200, 200 to 300, 300 to 200, 200 to 100 W: 150 + 250 + 250 + 150 J in 4 s.
    window = summarise(powers([100.0, 200.0, 300.0, 200.0, 100.0], every_s=1.0), 0.0, 4.0)
    assert (window.power_w, window.power_samples, window.power_validity) == (200.0, 5, "ok")
    assert "power_w" not in window.missing


def test_readings_count_by_the_time_between_them():
    taken = [
        (at, Reading(power_w=watts)) for at, watts in ((0, 100), (1, 200), (2, 100), (3, 200), (3.5, 400), (4, 200))
    ]
    # 150 + 150 + 150 + (200 + 400) / 2 * 0.5 + (400 + 200) / 2 * 0.5 = 750 J in 4 s.
    assert summarise(taken, 0.0, 4.0).power_w == 187.5


def test_readings_outside_the_window_are_of_another_load():
    taken = powers([10.0, 100.0, 200.0, 300.0, 200.0, 100.0, 10.0], every_s=1.0, first_s=-1.0)
    window = summarise(taken, 0.0, 4.0)
    assert (window.power_w, window.power_samples) == (200.0, 5)


def test_power_is_the_rise_of_the_energy_counter_where_there_is_one():
    # 1000 J in 4 s; what the power sensor says does not count.
    window = summarise(energies([5000.0, 5100.0, 5500.0, 5600.0, 6000.0], every_s=1.0), 0.0, 4.0)
    assert (window.power_w, window.power_validity) == (250.0, "ok")


def test_a_counter_misses_nothing_between_two_readings():
    taken = [(at, Reading(energy_j=joules)) for at, joules in ((0, 0), (0.1, 10), (0.2, 20), (3.9, 950), (4, 1000))]
    assert summarise(taken, 0.0, 4.0).power_w == 250.0


def test_a_counter_that_falls_is_not_believed():
    window = summarise(energies([5000.0, 5100.0, 100.0, 200.0, 300.0], every_s=1.0), 0.0, 4.0)
    assert window.power_w is None  # the power sensor, asked instead, has one value only
    assert window.power_validity == "few"
    without = [(at, Reading(energy_j=reading.energy_j)) for at, reading in energies([2.0, 1.0], every_s=1.0)]
    assert summarise(without, 0.0, 2.0).missing["power_w"] == "its energy counter fell or jumped, and it tells no power"


def test_a_counter_that_jumps_is_not_believed():
    window = summarise(energies([0.0, 1.0, 2.0, 3.0, 1e9], every_s=1.0), 0.0, 4.0)
    assert (window.power_w, window.power_validity) == (None, "few")


def test_a_device_without_a_sensor_says_so_and_nothing_is_taken_for_it():
    taken = [(float(i), sensed("x-smi", power_w=Missing("shows '-'"), power_limit_w=700.0)) for i in range(5)]
    window = summarise(taken, 0.0, 4.0)
    assert (window.power_w, window.power_samples, window.power_validity) == (None, 0, "none")
    assert window.missing["power_w"] == "x-smi shows '-'"


@pytest.mark.parametrize(
    ("taken", "end_s", "validity", "reason"),
    [
        (powers([1.0, 2.0, 3.0, 4.0, 5.0], 0.1), 0.4, "short", "0.4 s are too short to tell the power, 0.5 s are needed"),
        (powers([1.0, 2.0, 3.0, 4.0], 1.0), 4.0, "few", "4 readings in 4 s are too few, 5 are needed"),
        (
            powers([1.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0], 1.0),
            6.0,
            "few",
            "2 different values in 7 readings are too few, 5 are needed",
        ),
        (powers([1.0, 2.0, 3.0, 4.0, 5.0], 1.0), 8.0, "gap", "4 of 8 s passed without a reading"),
        (powers([7.0] * 10, 1.0), 9.0, "stale", "10 readings never changed: the sensor stands still"),
        (
            powers([1.0] * 5 + [2.0] * 5, 0.1),
            0.9,
            "short",
            "the sensor was renewed 1 times in 0.9 s, 4 are needed",
        ),
    ],
    ids=["window", "readings", "values", "gap", "stale", "updates"],
)  # fmt: skip
def test_a_power_that_cannot_be_trusted_is_not_shown(taken, end_s, validity, reason):
    window = summarise(taken, 0.0, end_s)
    assert (window.power_w, window.power_validity, window.missing["power_w"]) == (None, validity, reason)


def test_readings_that_end_early_or_stop_in_between_are_a_gap():
    early = powers([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 1.0)
    assert summarise(early, 0.0, 6.6).power_validity == "ok"  # 1.6 of 6.6 s
    assert summarise(early, 0.0, 6.7).power_validity == "gap"  # 1.7 of 6.7 s
    between = [*powers([1.0, 2.0, 3.0], 1.0), *powers([4.0, 5.0, 6.0], 1.0, first_s=5.0)]
    assert summarise(between, 0.0, 7.0).power_validity == "gap"


def test_a_counter_that_stands_still_is_stale():
    assert summarise(energies([5.0] * 12, every_s=0.1), 0.0, 1.1).power_validity == "stale"


# -- the other figures -------------------------------------------------------------------------------------------------


def test_figures_of_the_window():
    taken = [
        (0.0, Reading(utilization=0.5, temperature_c=60.0, clock_hz=2e9, memory_used_bytes=10, throttle=())),
        (1.0, Reading(utilization=1.0, temperature_c=70.0, clock_hz=1e9, memory_used_bytes=30, throttle=("power cap",))),
        (2.0, Reading(utilization=0.9, temperature_c=65.0, clock_hz=3e9, memory_used_bytes=20, throttle=("heat", "power cap"))),
    ]  # fmt: skip
    window = summarise(taken, 0.0, 2.0)
    assert window.seconds == 2.0
    assert (window.utilization, window.temperature_max_c) == (pytest.approx(0.8), 70.0)
    assert (window.clock_mean_hz, window.clock_lowest_hz) == (2e9, 1e9)
    assert (window.throttle, window.memory_used_max_bytes) == (("power cap", "heat"), 30)
    assert set(window.missing) == {"power_w"}


def test_no_throttling_differs_from_not_knowing():
    assert summarise([(0.0, Reading(throttle=()))], 0.0, 1.0).throttle == ()
    window = summarise([(0.0, Reading(source="x-smi"))], 0.0, 1.0)
    assert (window.throttle, window.missing["throttle"]) == (None, "x-smi does not show it")


def test_a_window_without_readings_has_its_reason_everywhere():
    window = summarise([], 0.0, 1.0)
    assert set(window.missing.values()) == {"no reading came in the window"}
    assert set(window.missing) == {
        "power_w",
        "utilization",
        "temperature_max_c",
        "clock_mean_hz",
        "clock_lowest_hz",
        "throttle",
        "memory_used_max_bytes",
    }
    assert summarise([], 0.0, 1.0, "the reader failed: X").missing["power_w"] == "the reader failed: X"


# -- the sampler -------------------------------------------------------------------------------------------------------


class Device:
    """A device of 200 J/s by a clock that each reading moves by 0.1 s."""

    def __init__(self, readings: int) -> None:
        self.now, self.readings = 0.0, readings
        self.enough = threading.Event()

    def read(self) -> Reading:
        self.now += 0.1
        self.readings -= 1
        if self.readings == 0:
            self.enough.set()
        return Reading(source="x-smi", energy_j=200.0 * self.now)

    def clock(self) -> float:
        return self.now


def test_a_window_is_sampled_in_the_background():
    device = Device(readings=20)
    with Sampler(device.read, period_s=0.0001, clock=device.clock) as sampler:
        assert device.enough.wait(60)
    # Stamps are in the middle of a call that moves the clock by 0.1 s; the counter's rise per second is 200 J.
    assert sampler.window.power_validity == "ok"
    assert sampler.window.power_w == pytest.approx(200.0)
    assert sampler.window.seconds > 1.0


def test_the_first_reading_is_there_before_the_window_begins():
    device = Device(readings=1)
    with Sampler(device.read, period_s=600):
        assert device.enough.is_set()


def test_leaving_does_not_wait_for_the_period():
    with Sampler(Reading, period_s=600) as sampler:
        pass
    assert sampler.window.seconds < 300


def test_a_reader_that_hangs_is_left_behind():
    release = threading.Event()

    def hang() -> Reading:
        release.wait(600)
        return Reading()

    before = time.monotonic()
    with Sampler(hang, patience_s=0.01) as sampler:
        pass
    release.set()
    assert time.monotonic() - before < 300
    assert set(sampler.window.missing.values()) == {"the reader gave no answer in 0.01 s"}


def test_a_reader_that_hangs_later_leaves_what_was_read():
    release, hanging = threading.Event(), threading.Event()
    calls = iter([sensed("x-smi", power_w=Missing("is busy"), temperature_c=40.0)] * 3)

    def read() -> Reading:
        reading = next(calls, None)
        if reading is None:
            hanging.set()
            release.wait(600)
        return reading or Reading()

    with Sampler(read, period_s=0.0001, patience_s=0.01) as sampler:
        assert hanging.wait(60)
    release.set()
    assert sampler.window.missing["power_w"] in ("x-smi is busy", "the reader gave no answer in 0.01 s")


@pytest.mark.parametrize("error", [OSError("device lost"), SystemExit(3), KeyboardInterrupt()])
def test_a_reader_that_raises_is_a_reason(error):
    def fail() -> Reading:
        raise error

    with Sampler(fail) as sampler:
        pass
    assert sampler.window.missing["power_w"] == f"the reader failed: {type(error).__name__}: {error}"


@pytest.mark.parametrize("lie", [None, 42, {"power_w": 1.0}])
def test_a_reader_that_answers_something_else_is_a_reason(lie):
    with Sampler(lambda: lie) as sampler:
        pass
    assert sampler.window.missing["power_w"] == f"the reader answered {type(lie).__name__} and no reading"


def test_an_error_of_the_timed_work_is_not_hidden():
    with pytest.raises(ZeroDivisionError), Sampler(Reading):
        _ = 1 / 0


def test_before_it_was_used_a_sampler_has_no_window():
    assert Sampler(Reading).window == Window(0.0)


def test_a_device_that_tells_nothing_is_asked_once():
    asked: list[int] = []

    def read() -> Reading:
        asked.append(1)
        return nothing("RAPL", Missing("is not here"))

    with Sampler(read, period_s=0.0) as sampler:
        sampler._thread.join(10)
    assert len(asked) == 1
    assert sampler.window.missing["power_w"] == "RAPL is not here"
