"""Statistics of samples: ranks from the binomial by hand, percentiles only where n allows, oddities in words."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bench.results.summary import (
    FEWEST_FOR_P90,
    FEWEST_FOR_P99,
    median,
    median_interval,
    oddities,
    percentile,
    relative_half_width,
    steady_interval,
)


def counting(n: int) -> list[float]:
    """Samples 1 .. n, shuffled: the k-th smallest is k."""
    return [float(value) for value in np.random.default_rng(1).permutation(n) + 1]


def test_the_median_of_an_even_number_is_midway_between_the_middle_two():
    assert median([4.0, 1.0, 3.0, 2.0]) == 2.5


def test_five_samples_have_no_interval():
    # P(all five on one side) = 2 / 2**5 = 6.25 %, more than 5 %.
    assert median_interval(counting(5)) is None


def test_no_samples_have_no_interval():
    assert median_interval([]) is None


def test_six_samples_run_from_the_smallest_to_the_largest():
    # 2 / 2**6 = 3.1 % outside; one rank further in: 2 * (1 + 6) / 64 = 21.9 %.
    assert median_interval(counting(6)) == (1.0, 6.0)


def test_ten_samples_leave_one_out_on_each_side():
    # 2 * (1 + 10) / 1024 = 2.1 % outside; with 45 more: 10.9 %.
    assert median_interval(counting(10)) == (2.0, 9.0)


def test_twenty_samples_run_from_the_6th_to_the_15th():
    # 2 * (1 + 20 + 190 + 1140 + 4845 + 15504) / 2**20 = 4.1 % outside; with 38760 more: 11.5 %.
    assert median_interval(counting(20)) == (6.0, 15.0)


def test_a_hundred_samples_run_from_the_40th_to_the_61st():
    # 2 * P(B <= 39) = 3.5 %, 2 * P(B <= 40) = 5.7 %; the pair (40, 61) is the one in Hahn and Meeker's tables.
    assert median_interval(counting(100)) == (40.0, 61.0)


def test_more_confidence_reaches_further_out():
    # 99 % of ten samples: 2 / 1024 = 0.2 % outside at the ends, 2.1 % one rank in.
    assert median_interval(counting(10), confidence=0.99) == (1.0, 10.0)


def test_the_interval_holds_the_true_median_about_95_times_in_100():
    random = np.random.default_rng(20261121)
    held = 0
    for _ in range(2000):
        # Skewed on purpose: the interval assumes no distribution. The median of exp(normal) is 1.
        low, high = median_interval(np.exp(random.normal(size=31)).tolist())
        held += low <= 1.0 <= high
    assert 0.93 <= held / 2000 <= 0.99


def test_the_half_width_is_half_the_interval_over_the_median():
    # Interval of ten: 2 to 9; half is 3.5; the median is 5.5.
    assert relative_half_width(counting(10)) == 3.5 / 5.5


def test_the_half_width_of_too_few_samples_is_infinite():
    assert relative_half_width([1.0] * 5) == math.inf


def test_samples_that_are_all_alike_have_no_width():
    assert relative_half_width([0.25] * 6) == 0.0
    assert median_interval([0.25] * 6) == (0.25, 0.25)


def test_a_percentile_lies_between_samples():
    # 1 .. 11: the 0.9 quantile is the 10th of 11.
    assert percentile(counting(11), 0.9, fewest=11) == 10.0


@pytest.mark.parametrize(("share", "fewest"), [(0.9, 30), (0.99, 300)])
def test_a_percentile_of_too_few_samples_is_missing(share, fewest):
    assert {0.9: FEWEST_FOR_P90, 0.99: FEWEST_FOR_P99}[share] == fewest
    assert percentile(counting(fewest - 1), share, fewest) is None
    assert percentile(counting(fewest), share, fewest) is not None


def test_clean_noise_has_no_oddity():
    values = 1.0 + 0.01 * np.random.default_rng(3).normal(size=200)
    assert oddities(values.tolist()) == []


def test_clean_noise_is_called_odd_in_fewer_than_one_case_of_twenty():
    random = np.random.default_rng(4)
    odd = sum(bool(oddities((1 + 0.02 * random.normal(size=50)).tolist())) for _ in range(400))
    assert odd < 20


def test_samples_that_are_all_alike_have_no_oddity():
    assert oddities([0.5] * 100) == []


def test_a_steady_rise_is_a_trend():
    # 1.00 to 1.29: the thirds' medians are 1.045 and 1.245, 19 % apart.
    assert oddities([1 + 0.01 * i for i in range(30)]) == ["trend +19%"]


def test_a_fall_is_a_trend_with_its_sign():
    assert oddities([1 + 0.01 * i for i in reversed(range(30))]) == ["trend -16%"]


def test_fewer_than_twelve_samples_show_no_trend():
    assert oddities([float(i) for i in range(1, 12)]) == []


def test_a_drift_below_three_percent_is_no_trend():
    assert oddities([1 + 0.001 * i for i in range(30)]) == []


def test_samples_in_two_groups_are_two_levels():
    # Every third sample takes a tenth longer: a clock that flips, not noise.
    assert oddities([1.10 if i % 3 == 0 else 1.0 + 0.001 * (i % 2) for i in range(30)]) == ["two levels"]


def test_one_stall_is_not_two_levels():
    assert oddities([1.0 + 0.001 * (i % 5) for i in range(29)] + [3.0]) == []


def test_two_levels_closer_than_five_percent_are_one():
    assert oddities([1.04 if i % 2 else 1.0 for i in range(30)]) == []


def test_fewer_than_twenty_samples_show_no_levels():
    assert oddities([1.5 if i % 2 else 1.0 for i in range(10)]) == []


def test_samples_that_drift_have_an_interval_out_to_both_ends():
    """Medians of the thirds 1, 5 and 10: the middle alone would be told as 5 to 5."""
    drifting = [1.0] * 20 + [5.0] * 20 + [10.0] * 20
    assert median_interval(drifting) == (5.0, 5.0)
    assert steady_interval(drifting) == (1.0, 10.0)
    assert steady_interval(drifting[::-1]) == (1.0, 10.0)


def test_samples_without_a_trend_keep_the_interval_of_the_median():
    assert steady_interval(counting(20)) == median_interval(counting(20))
    assert steady_interval([1.0] * 5) is None
