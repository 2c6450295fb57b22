"""Words of verdicts over several cases, and who is better beyond doubt; single ones are in test_compare."""

import math

import pytest

from bench.results.reading import Basis, better, reading, reading_of_many, together

NAMES = ("A", "B")


@pytest.mark.parametrize(
    ("interval", "higher", "side"),
    [
        ((1.1, 1.2), True, 0), ((1.1, 1.2), False, 1), ((0.8, 0.9), True, 1), ((0.8, 0.9), False, 0),
        ((1.01, 1.2), True, None), ((0.5, 2.0), True, None), (None, True, None),
    ],
)  # fmt: skip
def test_a_side_is_better_only_where_the_whole_interval_says_so(interval, higher, side):
    assert better(interval, higher=higher) == side


def test_the_geometric_mean_of_2_and_8_is_4_and_its_interval_is_that_of_the_ends():
    mean, interval = together([2.0, 8.0], [(1.0, 4.0), (4.0, 16.0)])
    assert mean == pytest.approx(4.0)
    assert interval == (pytest.approx(2.0), pytest.approx(8.0))


def test_errors_of_one_device_do_not_average_out():
    """Ten cases of +-10 % are +-10 % together: they share a calibration."""
    _, interval = together([1.0] * 10, [(0.9, 1.1)] * 10)
    assert interval == (pytest.approx(0.9), pytest.approx(1.1))


def test_one_case_without_an_interval_leaves_all_without():
    mean, interval = together([1.0, 4.0], [(0.9, 1.1), None])
    assert (mean, interval) == (pytest.approx(2.0), None)


def test_cases_that_contradict_each_other_are_not_averaged_away():
    words = reading_of_many(
        [2.0, 0.5, 1.0], [(1.9, 2.1), (0.4, 0.6), (0.9, 1.1)], NAMES, higher=True, basis=Basis(estimated=True)
    )  # fmt: skip
    assert words == "estimated: depends on the case: A better in 1, B in 1 of 3"


def test_cases_that_agree_are_read_together():
    words = reading_of_many([2.0, 8.0], [(1.5, 2.5), (7.0, 9.0)], NAMES, higher=True, basis=Basis())
    assert words == f"A better by {math.sqrt(16):.2f}x"


def test_a_verdict_that_is_none_says_what_was_estimated_and_not_what_did_not_settle():
    basis = Basis(estimated=True, unstable=True)
    assert reading(2.0, None, NAMES, higher=True, basis=basis) == "estimated: cannot tell: no interval"
    assert reading(2.0, (0.5, 8.0), NAMES, higher=True, basis=basis) == "estimated: cannot tell apart"
    doubted = Basis(estimated=True, doubt="disturbed")
    assert reading(2.0, (1.9, 2.1), NAMES, higher=True, basis=doubted) == "estimated: cannot tell: disturbed"


def test_a_side_that_may_not_keep_its_target_is_not_better_but_may_be_worse():
    late = Basis(estimated=True, late=frozenset({0}))
    across = "estimated: cannot tell: an interval reaches across the target"
    assert reading(2.0, (1.5, 3.0), NAMES, higher=True, basis=late) == across
    assert reading(0.5, (0.0, 0.6), NAMES, higher=True, basis=late) == "estimated: B better by 2.00x"
    assert reading(2.0, None, NAMES, higher=True, basis=late) == across
