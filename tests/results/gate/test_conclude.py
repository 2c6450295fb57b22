"""The last word: of two looks, of an accepted change, of a case that failed; and the exit code that follows."""

from __future__ import annotations

import pytest

from bench.results.gate.conclude import conclude, exit_code, with_reasons
from bench.results.gate.document import Checked, LeftOut, Side
from bench.results.gate.verdict import Confirmed, Judged

CASE = "tiny[b=1]"


def judged(verdict="regressed", **changes):
    return Judged(**{
        "device": "cpu", "case_id": CASE, "metric": "step_s", "verdict": verdict, "reason": f"{verdict} it is",
        "second_look": verdict in ("regressed", "cannot tell"), "ratio": 1.2, "baseline": 1.0, "candidate": 1.2,
        **changes,
    })  # fmt: skip


def second(verdict, outcome, **changes):
    return Confirmed(outcome=outcome, reason=f"second look: {verdict}", judged=judged(verdict, **changes))


def checked(*findings, left_out=()):
    return Checked(
        bench_version="0", created="now", command="bench check", baseline=Side(label="main"), candidate=Side(label="run"),
        rule={}, metrics=1, findings=list(findings), left_out=list(left_out),
    )  # fmt: skip


def failed(status="error", side="candidate"):
    return LeftOut(side=side, device="cpu", case_id=CASE, status=status, reason="it broke")


def test_a_confirmed_alarm_has_the_numbers_of_the_second_look_alone():
    found = conclude(judged(), second("regressed", "confirmed", ratio=1.07, candidate=1.07))
    assert (found.verdict, found.alarm, found.confirmed) == ("regressed", True, "confirmed")
    assert (found.ratio, found.candidate) == (1.07, 1.07)
    assert found.first.ratio == 1.2
    assert "first look: regressed it is" in found.reason


@pytest.mark.parametrize("verdict", ["same", "cannot tell"])
def test_a_withdrawn_alarm_is_none(verdict):
    found = conclude(judged(), second(verdict, "withdrawn"))
    assert (found.verdict, found.alarm, found.confirmed) == (verdict, False, "withdrawn")


def test_looks_that_contradict_each_other_cannot_tell():
    assert conclude(judged("regressed"), second("improved", "withdrawn")).verdict == "cannot tell"


def test_an_alarm_that_nobody_looked_at_again_stays_and_says_so():
    found = conclude(judged(), not_run="--no-confirm")
    assert (found.verdict, found.alarm, found.confirmed) == ("regressed", True, "not run")
    assert found.reason.endswith("not confirmed by a second run: --no-confirm")


def test_a_verdict_without_doubt_needs_no_second_look():
    found = conclude(judged("same"), not_run="--no-confirm")
    assert (found.confirmed, found.alarm) == (None, False)


def test_what_fails_a_check_is_asked_for():
    assert conclude(judged("cannot tell"), fail_on=("cannot tell",)).alarm
    assert not conclude(judged("regressed"), not_run="x", fail_on=()).alarm


@pytest.mark.parametrize(("findings", "left_out", "code"), [
    ([conclude(judged("same"))], [], 0),
    ([conclude(judged("same")), conclude(judged("regressed"))], [], 1),
    ([conclude(judged("not comparable"))], [], 5),
    ([conclude(judged("not comparable")), conclude(judged("regressed"))], [], 1),
    ([conclude(judged("gone"))], [failed()], 4),
    ([conclude(judged("gone"))], [failed("unsupported")], 4),
    ([conclude(judged("gone"))], [failed("skipped")], 0),
    ([conclude(judged("gone"))], [failed(side="baseline")], 0),
    ([conclude(judged("new", baseline=None))], [failed()], 0),
])  # fmt: skip
def test_the_exit_code(findings, left_out, code):
    assert exit_code(checked(*findings, left_out=left_out)) == code


def test_a_case_that_is_gone_says_what_became_of_it():
    (found,) = with_reasons([judged("gone")], [failed("timeout")])
    assert found.reason == "the candidate's case is timeout: it broke"
    (other,) = with_reasons([judged("gone", device="cuda:0")], [failed("timeout")])
    assert other.reason == "gone it is"


def test_verdicts_are_counted_the_worst_first():
    found = checked(conclude(judged("same")), conclude(judged("same")), conclude(judged("regressed")))
    assert list(found.counts().items()) == [("regressed", 1), ("same", 2)]
