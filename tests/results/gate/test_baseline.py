"""Baselines: sessions added once, changes accepted with a reason, old sessions pruned."""

from __future__ import annotations

import math

import pytest

from bench.errors import ResultError
from bench.results.gate.baseline import typical_and_spread
from bench.results.gate.gather import gather, series

CASE, OTHER = "tiny[b=1]", "tiny[b=2]"


def medians(gathered, case_id=CASE):
    (one,) = [each for each in series(gathered) if each.case_id == case_id and each.metric == "step_s"]
    return [session.samples[0] for session in one.sessions]


def test_the_same_run_is_not_counted_twice(base, ran):
    assert base.add(gather(ran("run-3", {CASE: [9.0]}))[0]) == []
    assert medians(base) == [1.0] * 5


def test_an_accepted_change_moves_the_level_of_what_was_before_it(base, ran):
    new, _ = gather(ran("run-9", {CASE: [1.1], OTHER: [2.2]}))
    (one,) = base.accept("tiny[b=1]", new, "more exact", "2026-11-22T00:00:00+00:00")
    assert one.ratio == pytest.approx(1.1)
    assert medians(base.leveled()) == pytest.approx([1.1] * 5)
    assert medians(base.leveled(), OTHER) == [2.0] * 5
    base.add(new)
    assert medians(base.leveled()) == pytest.approx([1.1] * 6)
    (reason,) = base.reasons().values()
    assert reason == "+10.0% accepted on 2026-11-22: more exact"


def test_the_ratio_of_pairs_comes_before_that_of_the_sessions(base, ran):
    new, _ = gather(ran("run-9", {CASE: [1.1], OTHER: [2.2]}))
    found = base.accept("tiny", new, "why", "2026-11-22", pairs={("cpu", CASE, "step_s"): 1.05})
    assert [(one.ratio, one.by) for one in found] == [(1.05, "pairs"), (pytest.approx(1.1), "first look")]
    assert medians(base.leveled()) == pytest.approx([1.05] * 5)


def test_a_second_change_is_accepted_on_top_of_the_first(base, ran):
    base.accept(CASE, gather(ran("run-8", {CASE: [1.1]}))[0], "first", "2026-11-22")
    (one,) = base.accept(CASE, gather(ran("run-9", {CASE: [1.21]}))[0], "second", "2026-11-23")
    assert one.ratio == pytest.approx(1.1)
    assert medians(base.leveled()) == pytest.approx([1.21] * 5)


def test_where_what_is_run_has_changed_the_old_sessions_go(base, ran):
    new, _ = gather(ran("run-9", {CASE: [7.0]}, definition_hash="f" * 16))
    (one,) = base.accept(CASE, new, "another definition", "2026-11-22")
    assert one.ratio is None
    assert {held.case_id for held in base.cases} == {OTHER}
    base.add(new)
    assert medians(base.leveled()) == [7.0]


def test_nothing_is_accepted_that_has_not_changed(base, ran):
    new, _ = gather(ran("run-9", {CASE: [1.001]}))
    assert base.accept(CASE, new, "why", "2026-11-22") == []
    assert base.accepted == []


def test_what_is_to_be_left_keeps_its_level(base, ran):
    new, _ = gather(ran("run-9", {CASE: [1.1], OTHER: [2.2]}))
    found = base.accept("tiny", new, "why", "2026-11-22", leave={("cpu", CASE, "step_s")})
    assert [(one.case_id, one.ratio) for one in found] == [(OTHER, pytest.approx(1.1))]
    assert medians(base.leveled()) == [1.0] * 5


def test_a_case_that_the_baseline_does_not_have_is_saved_and_not_accepted(base, ran):
    new, _ = gather(ran("run-9", {"tiny[b=3]": [1.1]}))
    with pytest.raises(ResultError, match=r"has no case that matches 'tiny'; .* bench baseline save main"):
        base.accept("tiny", new, "why", "2026-11-22")


def test_each_machine_needs_sessions_of_its_own_and_a_model_none(base, ran):
    assert base.learning(5) == {}
    assert base.learning(6) == {CASE: 5, OTHER: 5}
    base.add(gather(ran("run-8", {CASE: [3.0, 3.0]}, told={"name": "Another CPU"}))[0])
    base.add(gather(ran("run-9", {"model[b=1]": [1.0]}, source="modelled"))[0])
    assert base.learning(5) == {CASE: 2}


@pytest.mark.parametrize(("pattern", "reason", "said"), [
    ("nothing*", "why", "no case of the run matches 'nothing"),
    (CASE, "  ", "the reason is empty"),
])  # fmt: skip
def test_what_cannot_be_accepted_is_refused(base, ran, pattern, reason, said):
    with pytest.raises(ResultError, match=said):
        base.accept(pattern, gather(ran("run-9", {CASE: [2.0]}))[0], reason, "2026-11-22")


def test_pruning_keeps_the_newest_of_each_machine(base, ran):
    other = {"name": "Another CPU"}
    base.add(gather(ran("run-0", {CASE: [3.0]}, told=other))[0])
    gone = base.prune(2)
    assert gone == ["run-1/1", "run-2/1", "run-3/1"]
    assert [one.run for one in base.sessions] == ["run-0", "run-4", "run-5"]
    assert len(base.machines) == 2


def test_a_case_is_dropped_by_pattern(base):
    assert base.drop(["tiny[b=2*"]) == [OTHER]
    assert {held.case_id for held in base.cases} == {CASE}


def test_spread_is_the_standard_deviation_of_logarithms():
    middle, spread = typical_and_spread([math.exp(-0.1), 1.0, math.exp(0.1)])
    assert (middle, spread) == (pytest.approx(1.0), pytest.approx(0.1))
    assert typical_and_spread([2.0])[1] is None
