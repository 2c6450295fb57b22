"""The gate: a verdict for every case, what is refused and in which words, and a second look before an alarm."""

from __future__ import annotations

import math
import random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.errors import DefinitionError, ResultError
from bench.results.gate.check import check, confirm
from bench.results.gate.look import Rule
from bench.results.gate.verdict import BORDERS, Judged, Series, Session

MADE_OF = {"source": "measured", "fingerprint": "abcdef012345", "definition_hash": "0123456789abcdef", "dtype": "bf16"}


def session(*samples, label="run", **changes):
    return Session(label=label, samples=samples, **{**MADE_OF, **changes})


def sessions(*medians_s, **changes):
    """One session of one sample for each median."""
    return [session(value, label=f"run {index}", **changes) for index, value in enumerate(medians_s)]


def series(*given_sessions, case="tiny[b=1]", metric="step_s"):
    return Series(case_id=case, metric=metric, sessions=list(given_sessions))


def only(baseline, candidate, **how) -> Judged:
    (found,) = check([series(*baseline)], [series(*candidate)], **how)
    return found


# Logarithms -0.02 to 0.02: a spread of sqrt(0.001 / 4), as worked out in test_gate_look.
FIVE = [math.exp(value) for value in (-0.02, -0.01, 0.0, 0.01, 0.02)]
QUIET = [math.exp(value / 100) for value in (-0.2, -0.1, 0.0, 0.1, 0.2)]


def test_a_slower_candidate_has_regressed_with_its_numbers():
    found = only(sessions(*FIVE), sessions(math.exp(0.2)))
    assert found.verdict == "regressed"
    assert found.second_look
    assert found.ratio == pytest.approx(math.exp(0.2))
    assert found.interval == (pytest.approx(math.exp(0.15191), abs=1e-5), pytest.approx(math.exp(0.24809), abs=1e-5))
    assert found.limit == pytest.approx(0.037615, abs=1e-5)  # exp(0.036925) - 1
    assert found.detects == pytest.approx(0.09962, abs=1e-4)
    assert (found.baseline, found.candidate) == (pytest.approx(1.0), pytest.approx(math.exp(0.2)))
    assert found.reason == "time +22%, interval +16% to +28%: beyond the limit of +3.8%"


def test_the_same_the_other_way_round_has_improved():
    found = only(sessions(*FIVE), sessions(math.exp(-0.2)))
    assert found.verdict == "improved"
    assert not found.second_look
    assert found.reason == "time -18%, interval -22% to -14%: beyond the limit of -3.6%"


def test_same_says_what_is_excluded():
    found = only(sessions(*QUIET), sessions(1.0))
    assert found.verdict == "same"
    assert found.reason == "time +0.0%, interval -0.5% to +0.5%: a slowdown of 5.0% is excluded"


def test_cannot_tell_says_what_could_have_been_seen():
    # 0.02 -+ 0.04809 on log time: from -0.02809 to 0.06809, which reaches beyond log(1.05) = 0.04879.
    found = only(sessions(*FIVE), sessions(math.exp(0.02)))
    assert found.verdict == "cannot tell"
    assert found.second_look
    assert found.reason == (
        "time +2.0%, interval -2.8% to +7.0%: 5.0% is neither seen nor excluded, this look detects 10.0% or more"
    )


@pytest.mark.parametrize(("spread", "says"), [
    (1.1, "this look detects "), (1.6, "this look cannot detect even a doubling"),
])  # fmt: skip
def test_a_look_that_does_not_see_a_doubling_gives_no_percentage(spread, says):
    noisy = sessions(1.0, spread, 1 / spread, spread, 1 / spread, 1.0)
    found = only(noisy, sessions(1.01))
    assert found.verdict == "cannot tell"
    assert says in found.reason
    assert (found.detects is None) is ("doubling" in says)


def test_the_medians_are_those_of_log_time():
    # The middle of 1 and 4 is 2 on log time.
    found = only([session(1.0, 4.0)] * 5, [session(2.0)])
    assert found.baseline == pytest.approx(2.0)
    assert found.verdict == "same"


def test_why_holds_the_arithmetic_and_it_adds_up():
    found = only(sessions(*FIVE), sessions(math.exp(0.2)))
    assert found.why is not None
    value = {step.name: step.value for step in found.why.steps}
    assert [one.value for one in found.why.baseline] == [pytest.approx(value) for value in FIVE]
    assert [one.label for one in found.why.candidate] == ["run 0"]
    assert (found.why.metrics, found.why.degrees, found.why.paired) == (1, 4, False)
    assert value["error"] == pytest.approx(value["spread"] * math.sqrt(1 / 5 + 1))
    assert value["low"] == pytest.approx(value["change"] - value["t interval"] * value["error"])
    assert value["k"] == pytest.approx(value["t alarm"] * math.sqrt(1 / 5 + 1))
    assert value["limit"] == pytest.approx(max(value["zone"], value["k"] * value["spread"]))
    assert value["limit as share"] == found.limit
    assert value["detects as share"] == found.detects
    formulas = {step.name: step.formula for step in found.why.steps}
    assert formulas["error"] == "spread * sqrt(1/5 + 1/1)"
    assert formulas["t alarm"] == "Student's t, 0.05 / 1 one-sided, 4"


def test_a_verdict_goes_through_json_and_back():
    found = only(sessions(*FIVE), sessions(math.exp(0.2)))
    assert msgspec.json.decode(msgspec.json.encode(found), type=Judged) == found


def test_the_limit_widens_with_the_metrics_judged_and_not_with_those_that_are_not():
    def first_of(count, **changes):
        names = [f"case {index}" for index in range(count)]
        old = [series(*sessions(*FIVE), case=name) for name in names]
        new = [series(*sessions(1.05, **(changes if index else {})), case=name) for index, name in enumerate(names)]
        return check(old, new)[0]

    assert first_of(1).limit < first_of(20).limit < first_of(200).limit
    assert first_of(20, dtype="fp16").limit == first_of(1).limit


def test_cases_of_one_side_only_are_new_or_gone():
    found = check([series(*sessions(2.0), case="old")], [series(*sessions(3.0), case="fresh")])
    assert [(one.case_id, one.verdict, one.baseline, one.candidate) for one in found] == [
        ("old", "gone", pytest.approx(2.0), None), ("fresh", "new", None, pytest.approx(3.0)),
    ]  # fmt: skip
    assert found[0].reason == "the candidate has no session of this case"
    assert found[1].reason == "the baseline has no session of this case"


def test_a_side_without_sessions_is_as_if_it_were_not_there():
    assert only(sessions(1.0), []).verdict == "gone"
    assert only([], sessions(1.0)).verdict == "new"
    with pytest.raises(ResultError, match="no sessions on either side"):
        only([], [])


def test_two_metrics_of_one_case_are_two_verdicts():
    old = [series(*sessions(*QUIET), metric="step_s"), series(*sessions(*QUIET), metric="ttft_s")]
    new = [series(*sessions(1.0), metric="step_s"), series(*sessions(1.2), metric="ttft_s")]
    assert [one.verdict for one in check(old, new)] == ["same", "regressed"]


def test_four_baseline_sessions_are_learning():
    found = only(sessions(1.0, 1.0, 1.0, 1.0), sessions(1.5))
    assert found.verdict == "learning"
    assert found.ratio == pytest.approx(1.5)
    assert (found.interval, found.limit, found.why) == (None, None, None)
    assert found.reason == "4 of 5 baseline sessions: how much they spread is not known yet"
    assert only(sessions(*[1.0] * 5), sessions(1.5)).verdict == "regressed"


@pytest.mark.parametrize(
    ("border", "change", "words"),
    [
        ("source", {"source": "modelled"}, "source differs (baseline measured, candidate modelled)"),
        ("machine", {"fingerprint": "other"}, "machine differs (baseline abcdef012345, candidate other)"),
        ("definition", {"definition_hash": "newer"}, "definition differs (baseline 0123456789abcdef, candidate newer)"),
        ("precision", {"dtype": "fp8"}, "precision differs (baseline bf16, candidate fp8)"),
    ],
)
def test_no_border_is_crossed_unless_asked(border, change, words):
    found = only(sessions(*FIVE), sessions(1.3, **change))
    assert found.verdict == "not comparable"
    assert found.reason == f"{words}: not compared without --cross {border}"
    assert (found.ratio, found.interval, found.second_look) == (None, None, False)
    crossed = only(sessions(*FIVE), sessions(1.3, **change), cross=[border])
    assert crossed.verdict == "regressed"
    assert crossed.crossed == [border]


def test_machines_that_differ_are_told_by_the_facts_that_do():
    one = {"name": "A CPU", "threads": "1", "host cores": "2"}
    old = sessions(*FIVE, machine=one)
    far = session(1.0, fingerprint="far", machine=one | {"name": "B CPU", "host cores": "8"})
    found = only([*old, far], sessions(1.0, fingerprint="other", machine=one | {"threads": "2"}))
    assert found.reason == "machine differs (threads 1 -> 2): not compared without --cross machine"
    both = only(old, sessions(1.0, fingerprint="other", dtype="fp8", machine=one | {"cpu quota": "1.5"}))
    assert both.reason.startswith("machine differs (cpu quota none -> 1.5); precision differs (")
    assert both.reason.endswith("not compared without --cross machine --cross precision")


def test_a_published_figure_is_no_measured_one():
    assert only(sessions(*FIVE), sessions(1.0, source="published")).verdict == "not comparable"
    assert only(sessions(*FIVE, source="modelled"), sessions(1.0, source="published")).verdict == "not comparable"


def test_a_baseline_that_is_mixed_in_itself_is_not_comparable():
    mixed = [*sessions(*FIVE), *sessions(1.0, fingerprint="other")]
    found = only(mixed, sessions(1.0))
    assert found.reason.startswith("machine differs (baseline abcdef012345, other, candidate abcdef012345)")
    assert only(mixed, mixed).reason.startswith("machine differs (both sides mix abcdef012345, other)")


def test_all_borders_that_differ_are_named():
    found = only(sessions(*FIVE), sessions(1.0, dtype="fp8", fingerprint="other"))
    assert "machine differs" in found.reason
    assert "precision differs" in found.reason
    assert found.reason.endswith(": not compared without --cross machine --cross precision")
    assert only(sessions(*FIVE), sessions(1.0, dtype="fp8", fingerprint="other"), cross=["machine"]).verdict == (
        "not comparable"
    )


def test_what_is_not_measured_on_both_sides_is_estimated():
    found = only(sessions(*FIVE), sessions(1.3, source="modelled"), cross=["source"])
    assert found.verdict == "regressed"
    assert found.estimated
    assert found.reason.startswith("estimated: time +30%")
    assert not only(sessions(*FIVE), sessions(1.3)).estimated


@pytest.mark.parametrize(("new", "verdict"), [
    (1.0, "same"), (1.009, "same"), (1.011, "regressed"), (1.06, "regressed"), (0.98, "improved"),
])  # fmt: skip
def test_what_is_modelled_has_no_noise_one_value_is_enough_and_nothing_is_run_again(new, verdict):
    # What the model said before (of 3 s) is no level any more.
    found = only(sessions(3.0, 1.0, source="modelled"), sessions(new, source="modelled"))
    assert (found.verdict, found.second_look, found.estimated) == (verdict, False, True)
    assert found.ratio == pytest.approx(new)
    assert found.limit == pytest.approx(0.01)


def test_what_is_modelled_widens_no_limit_of_what_is_measured():
    alone = only(sessions(*FIVE), sessions(1.0))
    beside = series(*sessions(1.0, source="modelled"), case="other")
    found, _ = check([series(*sessions(*FIVE)), beside], [series(*sessions(1.0)), beside])
    assert (found.limit, found.why.metrics) == (alone.limit, 1)


def test_an_unknown_border_is_refused_with_those_there_are():
    with pytest.raises(
        DefinitionError, match="cross: 'dtype' is no border between results; these are: source, machine"
    ):
        only(sessions(*FIVE), sessions(1.0), cross=["dtype"])
    assert BORDERS == ("source", "machine", "definition", "precision")


@pytest.mark.parametrize("wrong", [math.nan, -1.0, 0.0, math.inf, -math.inf])
def test_a_sample_that_cannot_be_is_refused_with_its_place(wrong):
    broken = session(1.0, wrong, label="monday")
    with pytest.raises(ResultError, match=r"tiny\[b=1\] step_s: candidate session 'monday': sample .* cannot be"):
        only(sessions(*FIVE), [broken])
    with pytest.raises(ResultError, match="baseline session 'monday'"):
        only([broken], sessions(1.0))


def test_a_session_without_samples_is_refused():
    with pytest.raises(ResultError, match="session 'empty' has no samples; leave it out"):
        only(sessions(*FIVE), [session(label="empty")])


def test_a_series_given_twice_is_refused():
    twice = [series(*sessions(1.0)), series(*sessions(1.0))]
    with pytest.raises(ResultError, match="given twice in the candidate"):
        check([], twice)


def test_nothing_at_all_is_no_verdict():
    assert check([], []) == []


def test_sessions_of_one_sitting_count_once():
    together = sessions(1.1, 1.2, 1.3, sitting="tuesday")
    found = only(sessions(*FIVE), together)
    assert found.why is not None
    assert [(one.label, one.value) for one in found.why.candidate] == [
        ("run 0, run 1, run 2", pytest.approx((1.1 * 1.2 * 1.3) ** (1 / 3)))
    ]
    assert [(one.label, one.value) for one in found.why.candidate[0].sessions] == [
        ("run 0", pytest.approx(1.1)), ("run 1", pytest.approx(1.2)), ("run 2", pytest.approx(1.3)),
    ]  # fmt: skip
    assert found.why.baseline[0].sessions == []
    assert found.why.degrees == 4
    assert only(sessions(*FIVE), sessions(1.1, 1.2, 1.3)).why.degrees == 6  # type: ignore[union-attr]


def test_five_sessions_of_one_sitting_are_still_learning():
    assert only(sessions(*FIVE, sitting="monday"), sessions(1.0)).reason.startswith("1 of 5 baseline sessions")


many = st.lists(
    st.lists(st.floats(0.5, 2.0).map(lambda value: round(value, 4)), min_size=1, max_size=4), min_size=5, max_size=8
)
NO_FLOOR_S = Rule(floor_s=0.0)


def of(samples, scale=1.0):
    return [session(*(scale * sample for sample in one), label=str(index)) for index, one in enumerate(samples)]


@settings(max_examples=60, deadline=None)
@given(many, many, st.sampled_from([1e-6, 1e-3, 7.0, 1e4]))
def test_the_unit_of_time_does_not_matter(old, new, scale):
    one, other = only(of(old), of(new), rule=NO_FLOOR_S), only(of(old, scale), of(new, scale), rule=NO_FLOOR_S)
    assert other.verdict == one.verdict
    assert other.ratio == pytest.approx(one.ratio, rel=1e-9)
    assert other.limit == pytest.approx(one.limit, rel=1e-6)


@settings(max_examples=60, deadline=None)
@given(many, many, st.randoms(use_true_random=False))
def test_the_order_of_sessions_and_samples_does_not_matter(old, new, shuffler):
    def shuffled(samples):
        return [shuffler.sample(one, len(one)) for one in shuffler.sample(samples, len(samples))]

    one, other = only(of(old), of(new)), only(of(shuffled(old)), of(shuffled(new)))
    assert other.verdict == one.verdict
    assert other.ratio == pytest.approx(one.ratio, rel=1e-9)
    assert other.limit == pytest.approx(one.limit, rel=1e-6)


@settings(max_examples=60, deadline=None)
@given(many, many)
def test_exchanged_sides_give_the_inverse_ratio_and_the_mirrored_verdict(old, new):
    mirrored = {"regressed": "improved", "improved": "regressed"}
    one, other = only(of(old), of(new)), only(of(new), of(old))
    assert mirrored.get(one.verdict, one.verdict) == other.verdict
    assert one.ratio is not None
    assert other.ratio == pytest.approx(1 / one.ratio)
    assert one.interval is not None
    assert other.interval == (pytest.approx(1 / one.interval[1]), pytest.approx(1 / one.interval[0]))


# The second look: states that wander by tens of percent, pairs that differ by 0.4 % around the change.


def pairs(change, count=12, seed=5):
    rng = random.Random(seed)
    states = [rng.gauss(0, 0.2) for _ in range(count)]
    steps = [change + 0.004 * (-1) ** index for index in range(count)]
    return {
        "baseline": sessions(*(math.exp(state) for state in states)),
        "candidate": sessions(*(math.exp(state + step) for state, step in zip(states, steps, strict=True))),
    }


@pytest.fixture
def alarmed() -> Judged:
    return only(sessions(*FIVE), sessions(math.exp(0.2)))


@pytest.fixture
def unsure() -> Judged:
    return only(sessions(*FIVE), sessions(math.exp(0.02)))


def test_a_slowdown_that_the_pairs_show_too_is_confirmed(alarmed):
    found = confirm(alarmed, **pairs(0.05), looked_at=20)
    assert found.outcome == "confirmed"
    assert found.judged.verdict == "regressed"
    # The pairs' own ratio: the first look's 22 % was chosen for being large.
    assert found.judged.ratio == pytest.approx(math.exp(0.05))
    assert found.judged.why is not None
    assert (found.judged.why.paired, found.judged.why.metrics, found.judged.why.degrees) == (True, 20, 11)
    assert found.reason == "second look: " + found.judged.reason


def test_an_alarm_that_the_pairs_do_not_show_is_withdrawn(alarmed):
    found = confirm(alarmed, **pairs(0.0), looked_at=20)
    assert found.outcome == "withdrawn"
    assert found.judged.verdict == "same"
    assert found.reason.startswith("second look, same: time ")


def test_a_case_in_doubt_is_decided_by_the_pairs(unsure):
    assert unsure.verdict == "cannot tell"
    assert confirm(unsure, **pairs(0.05), looked_at=1).outcome == "confirmed"
    assert confirm(unsure, **pairs(0.0), looked_at=1).judged.verdict == "same"


def test_pairs_that_go_the_other_way_confirm_nothing(alarmed):
    found = confirm(alarmed, **pairs(-0.05), looked_at=1)
    assert (found.outcome, found.judged.verdict) == ("withdrawn", "improved")


def test_a_gain_is_confirmed_likewise():
    first = only(sessions(*FIVE), sessions(math.exp(-0.2)))
    assert confirm(first, **pairs(-0.05), looked_at=1).outcome == "confirmed"
    assert confirm(first, **pairs(0.05), looked_at=1).outcome == "withdrawn"


def test_noisy_pairs_leave_it_open_and_do_not_say_same(alarmed):
    rng = random.Random(1)
    noisy = {side: sessions(*(math.exp(rng.gauss(0, 0.2)) for _ in range(6))) for side in ("baseline", "candidate")}
    found = confirm(alarmed, **noisy, looked_at=1)
    assert (found.outcome, found.judged.verdict) == ("withdrawn", "cannot tell")


def test_the_second_limit_widens_with_the_number_looked_at_again(alarmed):
    rule = Rule(floor=0.0)
    few = confirm(alarmed, **pairs(0.05), looked_at=1, rule=rule).judged.limit
    assert few < confirm(alarmed, **pairs(0.05), looked_at=200, rule=rule).judged.limit


def test_the_candidate_alone_is_held_against_the_first_baseline_with_all_metrics(alarmed):
    found = confirm(alarmed, candidate=sessions(*[math.exp(0.2)] * 3), looked_at=1)
    assert found.outcome == "confirmed"
    assert found.judged.why is not None
    assert [one.value for one in found.judged.why.baseline] == [pytest.approx(value) for value in FIVE]
    assert found.judged.why.paired is False
    assert confirm(alarmed, candidate=sessions(1.0, 1.0), looked_at=1).outcome == "withdrawn"
    once = confirm(alarmed, candidate=sessions(1.0, 1.0, sitting="now"), looked_at=1)
    assert len(once.judged.why.candidate) == 1


def test_the_candidate_alone_is_held_to_the_limit_of_all_metrics_of_the_first_look():
    old = [series(*sessions(*FIVE), case=str(index)) for index in range(50)]
    first = check(old, [series(*sessions(1.2), case=str(index)) for index in range(50)])[0]
    found = confirm(first, candidate=sessions(1.2), looked_at=2)
    assert found.judged.why.metrics == 50
    assert found.judged.limit == pytest.approx(first.limit)


def test_a_verdict_that_is_not_in_doubt_has_no_second_look():
    same = only(sessions(*QUIET), sessions(1.0))
    with pytest.raises(ResultError, match="'same' needs no second look"):
        confirm(same, **pairs(0.0), looked_at=1)
    with pytest.raises(ResultError, match="'new' needs no second look"):
        confirm(only([], sessions(1.0)), **pairs(0.0), looked_at=1)


@pytest.mark.parametrize(("old", "new"), [(3, 2), (1, 1), (0, 3)])
def test_pairs_that_do_not_match_are_refused(alarmed, old, new):
    with pytest.raises(
        ResultError, match=f"has {old} baseline and {new} candidate sessions; pairs need as many of both"
    ):
        confirm(alarmed, baseline=sessions(*[1.0] * old), candidate=sessions(*[1.0] * new), looked_at=1)


def test_a_second_look_of_nothing_is_refused(alarmed):
    with pytest.raises(ResultError, match="the second look has no sessions"):
        confirm(alarmed, candidate=[], looked_at=1)
    with pytest.raises(ResultError, match="looked_at is 0"):
        confirm(alarmed, **pairs(0.0), looked_at=0)


def test_a_second_look_on_another_machine_is_refused(alarmed):
    moved = {
        side: [msgspec.structs.replace(one, fingerprint="other") for one in ones] for side, ones in pairs(0.0).items()
    }
    with pytest.raises(ResultError, match="session 'run 0' has machine other, the first look's had abcdef012345"):
        confirm(alarmed, **moved, looked_at=1)


def test_a_second_look_with_a_sample_that_cannot_be_is_refused(alarmed):
    with pytest.raises(ResultError, match="second look's candidate session 'bad': sample nan cannot be"):
        confirm(
            alarmed,
            baseline=sessions(1.0, 1.0),
            candidate=[*sessions(1.0), session(math.nan, label="bad")],
            looked_at=1,
        )


def test_two_pairs_far_apart_are_no_overflow(alarmed):
    """One degree of freedom and 200 metrics: the limit is exp(1273 * ...), which is no float."""
    second = confirm(alarmed, baseline=sessions(1.0, 1.0), candidate=sessions(1.0, 9.0), looked_at=200).judged
    assert second.verdict == "cannot tell"
    assert second.limit == pytest.approx(1e9)


def test_a_second_look_alone_beside_others_withdraws_nothing(alarmed):
    slower = sessions(1.5, 1.5, 1.5, others=1.0)
    with pytest.raises(ResultError, match=r"others took .* beside the candidate"):
        confirm(alarmed, candidate=slower, looked_at=1)
    assert confirm(alarmed, candidate=sessions(1.5, 1.5, 1.5), looked_at=1).outcome == "confirmed"


def test_sessions_of_one_sitting_do_not_show_what_sittings_differ_by():
    """By hand: spread sqrt(0.001 / 4); the error is spread * sqrt(1/5 + 1/1 + 1 + 1) where both sides are one sitting."""
    alike = [session(value, label=f"run {index}", sitting="monday") for index, value in enumerate(FIVE)]
    baseline = Series(case_id="tiny[b=1]", metric="step_s", sessions=alike, apart=True)
    candidate = series(session(math.exp(0.2), sitting="tuesday"))
    (found,) = check([baseline], [candidate])
    steps = {step.name: step for step in found.why.steps}
    assert steps["error"].formula == "spread * sqrt(1/5 + 1/1 + 2)"
    assert steps["error"].value == pytest.approx(math.sqrt(0.001 / 4) * math.sqrt(3.2))
    assert found.why.unseen == 1.0
    again = confirm(found, candidate=[session(math.exp(0.2), sitting="wednesday")], looked_at=1)
    assert again.judged.why.steps[2].formula == "spread * sqrt(1/5 + 1/1 + 2)"
    five = Series(case_id="tiny[b=1]", metric="step_s", sessions=sessions(*FIVE), apart=True)
    assert check([five], [candidate])[0].why.unseen == 0.0


def test_what_others_took_counts_only_where_it_is_known_of_most_sessions():
    """One disturbed session of three, the others not known: the machine does not explain the slowdown."""
    slow = [session(1.3, label="a", others=1.5), session(1.3, label="b"), session(1.3, label="c")]
    assert only(sessions(*FIVE), slow).verdict == "regressed"
    known = only(sessions(*FIVE), [session(1.3, label="a", others=1.5)])
    assert known.verdict == "cannot tell"
    assert "1.5 cores beside the candidate and a number of cores that is not known beside the baseline" in known.reason
    quiet = [session(value, label=f"run {index}", others=0.1) for index, value in enumerate(FIVE)]
    assert "1.5 cores beside the candidate and 0.1 cores beside" in only(quiet, [session(1.3, others=1.5)]).reason
