"""A check in words: the outcome in a sentence, what comes first, and no estimate without its mark."""

from __future__ import annotations

import pytest

from bench.report.gate import words
from bench.results.gate.document import LeftOut, Side

MODELLED = {"source": "modelled"}


def test_one_confirmed_regression_is_a_failure(make, found, confirmed):
    checked = make([confirmed("a[b=1]", 0.06, 0.05), found("b[b=1]", 1e-3)])
    assert words.outcome(checked) == ("FAIL", "1 of 2 metrics regressed, confirmed by a second look")


def test_alarms_of_several_kinds_are_counted_apart(make, found):
    alarms = ("regressed", "gone")
    checked = make([found("a", 1e-3, 0.2, fail_on=alarms), found("b", 1e-3, after=(), fail_on=alarms)])
    assert words.outcome(checked) == (
        "FAIL", "2 of 2 metrics raise an alarm: 1 regressed, 1 gone, none of them confirmed by a second look",
    )  # fmt: skip


def test_an_alarm_that_is_no_slowdown_needs_no_second_look(make, found):
    checked = make([found("b", 1e-3, after=(), fail_on=("gone",))])
    assert words.outcome(checked) == ("FAIL", "1 of 1 metric gone")


def test_without_an_alarm_the_counts_are_told(make, found):
    checked = make([found("a", 1e-3), found("b", 1e-3, -0.2), found("c", 1e-3, logs=())])
    assert words.outcome(checked) == ("OK", "no alarm in 3 metrics: 1 new, 1 improved, 1 same")


def test_a_failed_case_of_the_baseline_is_told_before_all_else_but_an_alarm(make, found):
    broken = LeftOut(side="candidate", device="cpu", case_id="a", status="oom", reason="no room")
    gone = found("a", 1e-3, after=())
    assert words.outcome(make([gone, found("b", 1e-3)], left_out=[broken])) == (
        "CASE FAILED", "1 case of the baseline failed, left out below; no alarm",
    )  # fmt: skip
    word, sentence = words.outcome(make([gone, found("b", 1e-3, 0.2)], left_out=[broken]))
    assert word == "FAIL"
    assert sentence.endswith("; 1 case of the baseline failed")


def test_a_case_that_was_never_in_the_baseline_has_not_failed_it(make, found):
    new = LeftOut(side="candidate", device="cpu", case_id="elsewhere", status="oom", reason="no room")
    assert words.outcome(make([found("a", 1e-3)], left_out=[new]))[0] == "OK"


def test_what_cannot_be_compared_is_told(make, found):
    checked = make([found("a", 1e-3, new={"dtype": "fp8"}), found("b", 1e-3)])
    assert words.outcome(checked) == ("NOT COMPARABLE", "1 of 2 metrics cannot be compared; no alarm in the others")


def test_learning_and_cannot_tell_have_words_of_their_own(make, found, confirmed):
    few = found("a", 1e-3, logs=(0.0, 0.001))
    assert words.outcome(make([few])) == (
        "LEARNING", "1 of 1 metric: the baseline has too few sessions to know how much they spread",
    )  # fmt: skip
    noisy = found("b", 1e-3, 0.03, logs=tuple(0.01 * step for step in range(-4, 4)))
    assert noisy.verdict == "cannot tell"
    assert words.outcome(make([few, noisy])) == (
        "CANNOT TELL", "1 of 2 metrics: neither a slowdown nor the lack of one is sure; each says why; 1 learning",
    )  # fmt: skip


def test_nothing_in_common_and_nothing_at_all_are_no_success(make, found):
    assert words.outcome(make([found("a", 1e-3, logs=())]))[0] == "NOTHING JUDGED"
    assert words.outcome(make([])) == (
        "NOTHING JUDGED",
        "nothing was checked, neither side has a number to compare",
    )
    modelled = words.outcome(make([found("a", 1e-3, logs=(), new=MODELLED)]))
    assert modelled == ("NOTHING JUDGED", "nothing was checked, no metric is on both sides: 1 new")


def test_estimated_leads_where_nothing_that_decides_was_measured(make, found):
    modelled = found("a", 1e-3, 0.2, old=MODELLED, new=MODELLED)
    assert words.outcome(make([modelled, found("b", 1e-3)]))[1].startswith("estimated: 1 of 2 metrics regressed")
    both = make([modelled, found("b", 1e-3, 0.2)])
    assert words.outcome(both)[1].endswith("(1 of them estimated)")
    assert "estimated" not in words.outcome(make([found("b", 1e-3, 0.2)]))[1]


def test_the_worst_comes_first(make, found):
    checked = make([
        found("same", 1e-3), found("better", 1e-3, -0.3), found("worse", 1e-3, 0.1), found("worst", 1e-3, 0.2),
        found("new", 1e-3, logs=()),
    ])  # fmt: skip
    assert [one.case_id for one in words.ranked(checked.findings)] == ["worst", "worse", "better", "new", "same"]
    assert [one.case_id for one in words.changed(checked)] == ["worst", "worse", "better"]


def test_a_last_digit_does_not_decide_the_order(make, found):
    names = ["c", "a", "b"]
    checked = make([found(name, 1e-3, 0.002 + 1e-6 * index) for index, name in enumerate(names)])
    assert [one.case_id for one in words.ranked(checked.findings)] == names


def test_an_alarm_that_was_not_borne_out_is_remembered(make, confirmed):
    withdrawn, borne_out = confirmed("a", 0.06, 0.0), confirmed("b", 0.06, 0.05)
    assert [one.case_id for one in words.not_confirmed(make([withdrawn, borne_out]))] == ["a"]
    assert [words.second_look_text(one) for one in (withdrawn, borne_out)] == ["not confirmed", "confirmed"]


def test_a_second_look_at_what_could_not_be_told_decides_it(make, confirmed):
    noisy = tuple(0.01 * step for step in range(-4, 4))
    decided = confirmed("a", 0.03, 0.0, logs=noisy)
    assert words.second_look_text(decided) == "decided"
    assert words.not_confirmed(make([decided])) == []


def test_an_estimate_has_its_mark_at_every_number(found):
    one = found("a", 1e-3, 0.2, old=MODELLED, new=MODELLED)
    assert words.verdict_text(one) == "estimated: regressed"
    assert words.source_text(one) == "estimated (modelled)"
    assert words.value_text(one, one.baseline) == "~1.00 ms"
    assert words.change_text(one) == "~+22%"
    assert words.reason_text(one).startswith("estimated: time +22%")


def test_what_was_new_and_modelled_is_marked_too(found):
    one = found("a", 1e-3, logs=(), new=MODELLED)
    assert words.reason_text(one) == "estimated: the baseline has no session of this case"
    assert words.source_text(one) == "estimated"


def test_only_known_sources_are_named(found):
    one = found("a", 1e-3, old={"source": "<b>modelled"}, new={"source": "<b>modelled"})
    assert words.source_text(one) == "estimated"


def test_a_missing_number_is_a_dash(found):
    one = found("a", 1e-3, logs=())
    told = [
        words.value_text(one, one.baseline), words.change_text(one), words.interval_text(one), words.limit_text(one),
        words.detects_text(one),
    ]  # fmt: skip
    assert told == ["-"] * 5


def test_numbers_are_shares_of_the_baseline_and_say_what_they_can_see(found):
    # Spread sqrt(6e-5 / 9), factor sqrt(1/8 + 1/3): 0.2 -+ 2.262 * 0.00175 on log time.
    one = found("a", 1e-3, 0.2)
    assert words.change_text(one) == "+22%"
    assert words.interval_text(one) == "+22% to +23%"
    assert words.limit_text(one) == "+1.0%"
    assert words.detects_text(one) == ">= 1.7%"


@pytest.mark.parametrize(
    ("side", "text", "days"),
    [
        (Side(label="a", sessions=1), "1 session", ""),
        (Side(label="a", sessions=3, sittings=1, created=("2026-11-01T08", "2026-11-01T09")), "3 sessions in 1 sitting",
         "2026-11-01"),
        (Side(label="a", sessions=8, sittings=5, created=("2026-11-01T08", "2026-11-03T09")), "8 sessions in 5 sittings",
         "2026-11-01 to 2026-11-03"),
    ],
)  # fmt: skip
def test_a_side_tells_how_much_it_rests_on(side, text, days):
    assert (words.sessions_text(side), words.dates_text(side)) == (text, days)


def test_the_same_are_counted_with_what_each_look_could_see(make, found):
    checked = make([found("a", 1e-3), found("b", 1e-3, logs=tuple(0.002 * step for step in range(-4, 4)))])
    # The second's spread is sqrt(1.7e-4 / 9), its error 0.002942: log(1.01) + 2.262 * error + 1.833 * error = 0.0220.
    assert words.same_text(checked) == (
        "2 same: a slowdown of the budget (5.0%, or the case's own) is excluded; each look detects 1.7% to 2.2% or more"
    )


def test_a_rule_without_its_numbers_is_still_told(make, found):
    assert words.rule_text(make([found("a", 1e-3)], rule={})) == "1 judged together, 0 looked at again"
