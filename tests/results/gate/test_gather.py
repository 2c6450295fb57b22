"""Sessions out of runs: one value a session, what gave no number, and which sessions two sides have alike."""

from __future__ import annotations

import math

import pytest

from bench.results.gate.gather import Gathered, disturbed_text, gather, merged, series, sittings, summed_up

CASE = "tiny[b=1]"


def only(found):
    (one,) = [each for each in found if each.metric == "step_s"]
    return one


def test_each_session_of_a_run_is_one_value(ran):
    gathered, left_out = gather(ran("run-1", {CASE: [1.0, 2.0]}))
    assert [one.label for one in gathered.sessions] == ["run-1/1", "run-1/2"]
    assert [session.samples for session in only(series(gathered)).sessions] == [[1.0], [2.0]]
    assert left_out == []
    assert sittings(gathered) == 1


def test_a_value_is_the_median_on_a_log_scale_with_its_quartiles():
    value = summed_up("step_s", [1.0, 4.0, 16.0, 64.0, 256.0])
    assert (value.count, value.low, value.median, value.high) == (5, 4.0, 16.0, 64.0)
    assert summed_up("step_s", [1.0, 4.0]).median == pytest.approx(2.0)


@pytest.mark.parametrize("sample", [0.0, -1.0, math.inf, math.nan])
def test_a_sample_that_cannot_be_leaves_the_case_out_with_its_reason(ran, sample):
    run = ran("run-1", {CASE: [1.0]})
    run.rows[0].samples_s = [1.0, sample]
    gathered, (left,) = gather(run)
    assert gathered.cases == []
    assert (left.case_id, left.status) == (CASE, "invalid")
    assert str(sample) in left.reason


def test_a_measured_row_without_samples_is_left_out(ran):
    run = ran("run-1", {CASE: [1.0]})
    run.rows[0].samples_s = []
    assert gather(run)[1][0].reason == "the row has no samples"


def test_a_modelled_row_counts_by_its_one_number_and_a_package_not_again(ran, row):
    run = ran("run-1", {})
    run.rows = [row(source="modelled", step_s=2.0), row(source="modelled", step_s=2.0, unit="package", devices=2)]
    (one,) = series(gather(run)[0])
    assert [(session.samples, session.source) for session in one.sessions] == [([2.0], "modelled")]


def test_a_failed_case_is_left_out_with_its_reason_once(ran):
    run = ran("run-1", {CASE: [1.0, 1.0]})
    for row in run.rows:
        row.status, row.reason = "oom", "no memory"
    (left,) = gather(run, "baseline")[1]
    assert (left.side, left.status, left.reason) == ("baseline", "oom", "no memory")


def test_sessions_are_in_the_order_of_time_whatever_the_order_of_files(ran):
    parts = [gather(ran(f"run-{hour}", {CASE: [float(hour)]}))[0] for hour in (12, 9, 10)]
    gathered = merged([*parts, parts[0]])
    assert [one.run for one in gathered.sessions] == ["run-9", "run-10", "run-12"]
    assert [session.samples[0] for session in only(series(gathered)).sessions] == [9.0, 10.0, 12.0]


def test_ten_sessions_of_a_run_are_in_order(ran):
    gathered, _ = gather(ran("run-1", {CASE: [float(n) for n in range(1, 12)]}))
    assert [one.number for one in merged([gathered]).sessions] == list(range(1, 12))


def test_of_several_machines_those_of_the_other_side_are_taken(ran):
    other = {"name": "Another CPU", "cores": "64"}
    both = merged([gather(ran("run-1", {CASE: [1.0]}))[0], gather(ran("run-2", {CASE: [9.0]}, told=other))[0]])
    candidate, _ = gather(ran("run-3", {CASE: [1.1]}))
    assert [session.samples for session in only(series(both, like=candidate)).sessions] == [[1.0]]
    stranger, _ = gather(ran("run-4", {CASE: [1.1]}, told={"name": "A third"}))
    assert len(only(series(both, like=stranger)).sessions) == 2  # and the check says that the machine differs


def test_sessions_of_one_sitting_count_for_themselves_where_there_are_few_sittings(ran):
    gathered, _ = gather(ran("run-1", {CASE: [1.0] * 8}))
    assert not only(series(gathered)).apart
    assert (only(series(gathered, fewest=5)).apart, only(series(gathered, fewest=5)).sittings) == (True, 1)
    many = merged(gather(ran(f"run-{hour}", {CASE: [1.0] * 2}))[0] for hour in range(1, 6))
    assert (only(series(many, fewest=5)).apart, only(series(many, fewest=5)).sittings) == (False, 5)


def test_sessions_that_others_disturbed_are_counted_on_the_machine_of_the_other_side(ran):
    one, two = "a[b=1]", "b[b=1]"
    old = [gather(ran(f"run-{hour}", {one: [1.0], two: [2.0]}, others_cores=0.1 + 0.2 * hour))[0] for hour in (0, 1, 2)]
    elsewhere = gather(ran("run-4", {one: [1.0]}, told={"name": "Another CPU"}, others_cores=2.0))[0]
    unknown = gather(ran("run-5", {one: [1.0]}))[0]
    every = merged([*old, elsewhere, unknown])
    assert disturbed_text(every, old[0]) == "others took cores beside 2 of 4 sessions (4 of 7 times)"
    assert disturbed_text(every) == "others took cores beside 3 of 5 sessions (5 of 8 times)"
    assert disturbed_text(old[0]) == disturbed_text(unknown) == disturbed_text(Gathered()) == ""


def test_an_accelerator_is_not_disturbed_by_what_takes_cores(ran):
    assert disturbed_text(gather(ran("run-1", {"a": [1.0]}, device="cuda:0", others_cores=2.0))[0]) == ""
