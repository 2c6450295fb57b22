"""One look: Student's t from printed tables, limits and verdicts worked out by hand, and what must hold for any samples."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.results.gate.look import Rule, from_pairs, from_sessions, in_doubt, look, pairs_needed, student_t

RULE = Rule(floor_s=0.0)
# Five sessions at -2, -1, 0, 1 and 2 %: squares add up to 0.001.
FIVE = [-0.02, -0.01, 0.0, 0.01, 0.02]

logs = st.floats(-0.3, 0.3, allow_nan=False).map(lambda value: round(value, 4))
sides = st.lists(logs, min_size=5, max_size=9)


@pytest.mark.parametrize(
    ("tail", "degrees", "t"),
    [(0.25, 1, 1.0), (0.1, 2, 1.886), (0.025, 9, 2.262), (0.05, 7, 1.895), (0.005, 4, 4.604), (0.0005, 10, 4.587)],
)
def test_student_t_is_that_of_the_printed_tables(tail, degrees, t):
    assert student_t(tail, degrees) == pytest.approx(t, abs=0.0005)


def test_student_t_is_scipys_far_out_too():
    stats = pytest.importorskip("scipy.stats")
    for degrees in (1, 2, 5, 9, 30, 101):
        for tail in (0.4, 0.01, 2.5e-4, 1e-6, 1e-8):
            assert student_t(tail, degrees) == pytest.approx(stats.t.isf(tail, degrees), rel=1e-6)


def test_half_of_the_tail_is_beyond_no_t_at_all():
    assert student_t(0.5, 7) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize(("tail", "degrees"), [(0.6, 5), (0.0, 5), (math.nan, 5), (0.05, 0)])
def test_a_tail_that_has_no_t_is_refused(tail, degrees):
    with pytest.raises(ValueError, match="no t for tail"):
        student_t(tail, degrees)


def test_the_spread_is_pooled_from_both_sides():
    # Squares 2 * 0.01**2 and 2 * 0.02**2, 2 + 2 - 2 = 2 degrees of freedom: sqrt(0.001 / 2).
    found = from_sessions([0.0, 0.02], [0.05, 0.09])
    assert found.change == pytest.approx(0.06)
    assert found.spread == pytest.approx(math.sqrt(0.0005))
    assert found.factor == 1.0
    assert found.degrees == 2


def test_a_single_candidate_session_takes_the_baselines_spread():
    found = from_sessions(FIVE, [0.2])
    # sqrt(0.001 / 4), and sqrt(1/5 + 1) times it: sqrt(0.0003).
    assert found.spread == pytest.approx(0.0158114, abs=1e-7)
    assert found.error == pytest.approx(0.0173205, abs=1e-7)


def test_what_a_pair_has_in_common_cancels():
    found = from_pairs([0.0, 0.5, -0.3, 0.1], [0.04, 0.56, -0.26, 0.16])
    assert found.change == pytest.approx(0.05)
    # Differences 0.04, 0.06, 0.04, 0.06: squares 4 * 0.01**2 over 3.
    assert found.spread == pytest.approx(math.sqrt(0.0004 / 3))
    assert found.factor == 0.5
    assert found.degrees == 3


def test_the_limit_of_five_sessions_and_one_by_hand():
    found = look(from_sessions(FIVE, [0.2]), 1, RULE)
    # t(0.05; 4) = 2.1318, times sqrt(1.2) = 2.3353, times 0.0158114.
    assert found.k == pytest.approx(2.3353, abs=1e-4)
    assert found.limit == pytest.approx(0.036925, abs=1e-5)
    # t(0.025; 4) = 2.7764, times 0.0173205 = 0.048090.
    assert (found.low, found.high) == (pytest.approx(0.15191, abs=1e-5), pytest.approx(0.24809, abs=1e-5))
    # log(1.01) + 0.048090 is more than the limit; + 2.1318 * 0.0173205.
    assert found.detects == pytest.approx(0.009950 + 0.048090 + 0.036925, abs=1e-5)
    assert found.verdict == "regressed"


def test_beyond_the_limit_is_not_enough_where_the_interval_reaches_the_zone():
    # 0.05 > 0.0369, but 0.05 - 0.0481 is below log(1.01).
    found = look(from_sessions(FIVE, [0.05]), 1, RULE)
    assert found.verdict == "cannot tell"
    assert in_doubt(found)


def test_an_interval_within_the_budget_on_both_sides_is_same():
    quiet = [value / 10 for value in FIVE]
    # Half width 0.0048.
    assert look(from_sessions(quiet, [0.0]), 1, RULE).verdict == "same"
    assert look(from_sessions(quiet, [0.0439]), 1, Rule(floor_s=0.0, floor=0.045)).verdict == "same"
    assert look(from_sessions(quiet, [0.0441]), 1, Rule(floor_s=0.0, floor=0.045)).verdict == "cannot tell"


def test_a_wide_interval_around_a_faster_candidate_is_not_same():
    # -0.1 +- 0.0962: no slowdown of 5 %, but not the same either, and no reason to look again for a slowdown.
    found = look(from_sessions([value * 2 for value in FIVE], [-0.1]), 200, RULE)
    assert found.high < math.log(1.05)
    assert found.verdict == "cannot tell"
    assert not in_doubt(found)


def test_sessions_without_spread_are_judged_by_the_floor():
    still = [0.3] * 5
    assert look(from_sessions(still, [0.3]), 200, RULE).verdict == "same"
    # log(1.01) = 0.00995
    assert look(from_sessions(still, [0.3099]), 200, RULE).verdict == "same"
    found = look(from_sessions(still, [0.311]), 200, RULE)
    assert found.estimate.spread == 0.0
    assert found.limit == math.log1p(0.01)
    assert found.verdict == "regressed"


def test_a_change_below_the_floor_in_seconds_is_no_news():
    # 4 us, floor 0.5 us: changes up to 12.5 % are within the timer's resolution.
    short = [math.log(4e-6)] * 5
    assert look(from_sessions(short, [math.log(4.49e-6)]), 1, Rule()).verdict == "same"
    assert look(from_sessions(short, [math.log(4.51e-6)]), 1, Rule()).verdict == "regressed"
    assert look(from_sessions([math.log(4.49e-6)] * 5, [math.log(4e-6)]), 1, Rule()).verdict == "same"


def test_many_metrics_at_once_are_judged_as_each_alone():
    rng = np.random.default_rng(3)
    old, new = rng.normal(0, 0.02, (40, 6)), rng.normal(0.05, 0.02, (40, 3))
    together = look(from_sessions(old, new), 40, RULE)
    for index in range(40):
        alone = look(from_sessions(old[index], new[index]), 40, RULE)
        assert alone.verdict == together.verdict[index]
        assert alone.limit == pytest.approx(together.limit[index])


def test_pairs_are_planned_until_they_detect_the_budget():
    # The fewest are enough for 0.1 %, and no number up to forty for 8 %.
    assert pairs_needed(0.001, 1, RULE) == 4
    assert pairs_needed(0.08, 1, RULE) is None
    few, many = pairs_needed(0.02, 1, RULE), pairs_needed(0.02, 200, RULE)
    assert few is not None
    assert many is not None
    assert few < many
    found = look(
        from_pairs([0.0] * many, [0.02 * 2**0.5 * (-1) ** i * (1 - 1 / many) ** 0.5 for i in range(many)]), 200, RULE
    )
    assert math.expm1(found.detects) <= 0.05


@settings(max_examples=80, deadline=None)
@given(sides, sides, st.integers(1, 1000))
def test_exchanged_sides_have_mirrored_verdicts(old, new, metrics):
    mirrored = {"regressed": "improved", "improved": "regressed"}
    one, other = look(from_sessions(old, new), metrics, Rule()), look(from_sessions(new, old), metrics, Rule())
    assert one.limit == pytest.approx(other.limit)
    assert mirrored.get(str(one.verdict), str(one.verdict)) == other.verdict


@settings(max_examples=80, deadline=None)
@given(sides, sides, st.floats(1, 50), st.integers(1, 1000))
def test_more_noise_never_gives_a_narrower_limit(old, new, factor, metrics):
    def louder(values):
        middle = float(np.mean(values))
        return [middle + factor * (value - middle) for value in values]

    quiet, loud = (
        look(from_sessions(old, new), metrics, Rule()),
        look(from_sessions(louder(old), louder(new)), metrics, Rule()),
    )
    assert loud.limit >= quiet.limit * (1 - 1e-9)
    assert loud.detects >= quiet.detects * (1 - 1e-9)


@settings(max_examples=80, deadline=None)
@given(sides, sides, st.integers(1, 500), st.integers(1, 500))
def test_more_metrics_never_give_a_narrower_limit(old, new, fewer, more):
    estimate = from_sessions(old, new)
    assert look(estimate, fewer + more, RULE).limit >= look(estimate, fewer, RULE).limit


@settings(max_examples=80, deadline=None)
@given(sides, sides)
def test_a_slowdown_of_the_budget_is_excluded_wherever_it_says_same(old, new):
    found = look(from_sessions(old, new), 10, RULE)
    if found.verdict == "same":
        assert found.high < math.log(1.05)
        assert found.low > -math.log(1.05)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(logs, logs), min_size=2, max_size=8), st.floats(-5, 5))
def test_pairs_do_not_see_what_both_of_a_pair_have(pairs, state):
    old, new = (np.asarray(side) for side in zip(*pairs, strict=True))
    moved = np.arange(len(pairs)) * state
    one, other = from_pairs(old, new), from_pairs(old + moved, new + moved)
    assert other.change == pytest.approx(float(one.change), abs=1e-9)
    assert other.spread == pytest.approx(float(one.spread), abs=1e-9)


@pytest.mark.parametrize(
    "wrong",
    [{"confidence": 1.0}, {"power": 0.2}, {"budget": -0.1}, {"floor": math.nan}, {"floor_s": -1.0},
     {"false_alarms": 0.0}, {"fewest_sessions": 1}],
)  # fmt: skip
def test_a_rule_that_makes_no_sense_is_refused_by_name(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Rule(**wrong)
