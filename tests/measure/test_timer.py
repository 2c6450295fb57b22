"""Sampling with a scripted device and a clock that only its steps move: no test here waits."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator

import pytest

from bench.errors import DeviceError
from bench.measure.timer import sample
from bench.results.summary import oddities


class Device:
    """A device whose steps take the seconds of a script; its clock moves by them, and by a pause beside each."""

    def __init__(self, script: Iterable[float], pause_s: float = 0.0) -> None:
        self.now = 0.0
        self.steps = 0
        self._script: Iterator[float] = iter(script)
        self._pause_s = pause_s

    def once(self) -> float:
        seconds = next(self._script)
        self.steps += 1
        self.now += seconds + self._pause_s
        return seconds

    def clock(self) -> float:
        return self.now


def sampled(script: Iterable[float], budget_s: float, pause_s: float = 0.0):
    device = Device(script, pause_s)
    return sample(device.once, budget_s, device.clock)


def noisy() -> Iterator[float]:
    """Steps of 0.75 and 1.25 s in turn: the median is never known within 1 %. Exact in binary."""
    return itertools.cycle([0.75, 1.25])


# -- warm-up ---------------------------------------------------------------------------------------------------------


def test_slow_first_steps_are_warm_up_and_not_samples():
    # Blocks of 2, 4, 8, 16 with medians 10, 5, 1, 1: the fourth agrees with the third.
    samples = sampled([10.0] * 2 + [5.0] * 4 + [1.0] * 2000, budget_s=1000)
    assert samples.warmup_samples == 30
    assert samples.warmup_s == 64.0
    assert set(samples.seconds) == {1.0}


def test_a_steady_device_is_warm_after_two_blocks():
    samples = sampled([1.0] * 100, budget_s=100)
    assert (samples.warmup_samples, samples.warmup_s) == (6, 6.0)


def test_three_percent_between_blocks_is_settled_and_four_is_not():
    assert sampled([1.0] * 2 + [1.03125 - 2**-9] * 500, budget_s=100).warmup_samples == 6
    assert sampled([1.0] * 2 + [1.04] * 500, budget_s=100).warmup_samples == 14


def test_warm_up_that_never_settles_ends_at_a_quarter_of_the_time():
    # Each block halves; 2 * 8 + 4 * 4 = 32 s is the first sum of blocks beyond 25 s.
    samples = sampled([8.0] * 2 + [4.0] * 4 + [2.0] * 8 + [1.0] * 500, budget_s=100)
    assert (samples.warmup_samples, samples.warmup_s) == (6, 32.0)


def test_blocks_stop_growing_at_64():
    # 2 + 4 + 8 + 16 + 32 + 64 + 64: a seventh block of 64, not of 128, agrees with the sixth.
    levels = [64.0, 32.0, 16.0, 8.0, 4.0, 2.0]
    script = [s for size, s in zip((2, 4, 8, 16, 32, 64), levels, strict=True) for _ in range(size)] + [2.0] * 10_000
    assert sampled(script, budget_s=10_000).warmup_samples == 190


# -- when it stops -----------------------------------------------------------------------------------------------------


def test_a_steady_device_is_sampled_for_75_percent_of_the_time():
    # 6 s of warm-up and 69 samples of 1 s make 75 s of 100.
    samples = sampled([1.0] * 200, budget_s=100)
    assert len(samples.seconds) == 69
    assert samples.timed_s == 75.0
    assert samples.stop_reason == "median known within 1%"


def test_a_noisy_device_is_sampled_until_the_time_is_up():
    # 6 s of warm-up (six steps of 1 s on average), then 94 samples.
    samples = sampled(noisy(), budget_s=100)
    assert len(samples.seconds) == 94
    assert samples.stop_reason == "time limit 100 s"


def test_the_least_share_holds_for_fast_steps_too():
    samples = sampled([0.001953125] * 3000, budget_s=1.0)
    assert samples.stop_reason == "median known within 1%"
    assert 0.75 <= samples.timed_s < 0.76


def test_no_case_has_more_than_2000_samples():
    samples = sampled(itertools.cycle([0.00075, 0.00125]), budget_s=100)
    assert len(samples.seconds) == 2000
    assert samples.stop_reason == "2000 samples"


def test_slow_steps_get_three_times_the_time_for_six_samples():
    # 8 s of warm-up, samples at 12, 16, 20, 24, 28 and 32 s: the sixth ends it.
    samples = sampled([4.0] * 100, budget_s=10)
    assert len(samples.seconds) == 6
    assert samples.timed_s == 32.0
    assert samples.stop_reason == "time limit 10 s"


def test_very_slow_steps_end_after_three_times_the_time():
    # 10 s of warm-up, samples at 15, 20, 25 and 30 s: 30 is three times 10, four samples have to do.
    samples = sampled([5.0] * 100, budget_s=10)
    assert len(samples.seconds) == 4
    assert samples.timed_s == 30.0


def test_a_step_longer_than_all_patience_is_sampled_once():
    samples = sampled([50.0] * 100, budget_s=10)
    assert (samples.warmup_samples, len(samples.seconds)) == (2, 1)
    assert samples.interval is None
    assert not samples.stable


def test_time_beside_the_steps_counts_as_well():
    # A pause of 1 s beside each step: 12 s of warm-up, the 32nd sample ends after 76 s.
    samples = sampled([1.0] * 200, budget_s=100, pause_s=1.0)
    assert len(samples.seconds) == 32
    assert samples.warmup_s == 12.0


def test_a_median_is_looked_at_again_when_there_are_a_tenth_more_samples():
    # Noisy for 70 s, so until 76 % of the time, then steady: the looks come after 70, 77, 84, 92, ... samples, and the
    # end is one of those.
    looks = [70]
    while looks[-1] < 400:
        looks.append(looks[-1] + max(1, looks[-1] // 10))
    script = itertools.chain([1.0] * 6, itertools.islice(noisy(), 70), itertools.repeat(1.0))
    samples = sampled(script, budget_s=100)
    assert samples.stop_reason == "median known within 1%"
    assert len(samples.seconds) in looks[1:]


# -- what is kept --------------------------------------------------------------------------------------------------------


def test_every_sample_is_kept_in_order():
    script = [1.0] * 6 + [1.0 + i / 1024 for i in range(500)]
    samples = sampled(script, budget_s=100)
    assert samples.seconds == script[6 : 6 + len(samples.seconds)]


def test_no_step_is_run_that_is_neither_warm_up_nor_sample():
    device = Device([1.0] * 200)
    samples = sample(device.once, 100, device.clock)
    assert device.steps == samples.warmup_samples + len(samples.seconds)


def test_a_slow_drift_is_sampled_long_enough_to_be_seen():
    # A device that slows by a tenth in 100 s while each moment of it is steady.
    samples = sampled((1.0 + i / 1024 for i in range(500)), budget_s=100)
    assert len(samples.seconds) >= 48
    assert oddities(samples.seconds)[0].startswith("trend +")


def test_a_narrow_interval_is_stable_and_a_wide_one_is_not():
    assert sampled([1.0] * 200, budget_s=100).stable
    assert not sampled(noisy(), budget_s=100).stable


def test_the_interval_is_that_of_the_samples():
    # Of 94 samples half are 0.75 and half 1.25: the interval of the median spans both.
    assert sampled(noisy(), budget_s=100).interval == (0.75, 1.25)


def test_the_budget_is_printed_as_it_was_given():
    assert sampled(noisy(), budget_s=12.5).stop_reason == "time limit 12.5 s"


@pytest.mark.parametrize("now", [9.5, -1.0, math.nan])
@pytest.mark.parametrize("step", [1, 5, 9, 40])
def test_a_clock_that_goes_back_spoils_the_case(now, step):
    device = Device([1.0] * 200)

    def clock():
        return now if device.steps >= step else device.now + 10

    with pytest.raises(
        DeviceError, match=r"this machine's clock went from \d+ s to (9.5|-1|nan) s; run the case again"
    ):
        sample(device.once, 100, clock)


def test_a_clock_that_stands_still_ends_with_the_most_samples():
    device = Device([1.0] * 5000)
    assert sample(device.once, 100, lambda: 7.0).stop_reason == "2000 samples"


def test_samples_that_are_all_the_same_are_stable_and_nothing_is_odd_about_them():
    samples = sampled([0.5] * 400, budget_s=100)
    assert (samples.interval, samples.stable) == ((0.5, 0.5), True)
    assert oddities(samples.seconds) == []


@pytest.mark.parametrize("budget_s", [0.05, 1.0, 60.0])
def test_a_case_ends_within_its_patience(budget_s):
    for step_s in (1e-4 * budget_s, 0.1 * budget_s, budget_s, 10 * budget_s):
        samples = sampled(itertools.repeat(step_s), budget_s)
        assert len(samples.seconds) >= 1
        assert samples.timed_s <= 3 * budget_s + 3 * step_s
        assert math.isfinite(samples.timed_s)
