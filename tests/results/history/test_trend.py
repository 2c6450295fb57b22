"""Trends as they are asked for: which series, which runs, in which order, and what a change coincides with."""

from __future__ import annotations

import pytest

from bench.errors import DefinitionError
from bench.results.history.index import ask
from bench.results.history.memo import Memo
from bench.results.history.query import Asked, read_trends


@pytest.fixture
def trends(folder):
    """Return a function that indexes the folder and returns the trends asked for."""
    return lambda **asked: ask(folder, lambda held: read_trends(held.connection, Asked(**asked), Memo()).trends, print)


def values(trend):
    return [point.value for point in trend.points]


def test_runs_stand_in_order_of_time_whatever_their_names(put, trends):
    put(2, 0.3, run_id="a")
    put(0, 0.1, run_id="b")
    put(1, 0.2, run_id="c")
    (one,) = trends()
    assert values(one) == [0.1, 0.2, 0.3]
    assert [point.created for point in one.points] == [f"2026-01-0{day}T00:00:00+00:00" for day in (1, 2, 3)]


def test_runs_of_one_moment_stand_in_order_of_their_ids(put, trends):
    for name in "cab":
        put(0, {"a": 0.1, "b": 0.2, "c": 0.3}[name], run_id=name)
    assert values(trends()[0]) == [0.1, 0.2, 0.3]


def test_sessions_of_one_run_are_one_value_their_geometric_mean(put, trends):
    put(0, 0.1, 0.4)
    (one,) = trends()
    assert values(one) == [pytest.approx(0.2)]
    assert one.points[0].sessions == 2


def test_a_lone_session_keeps_its_value_to_the_last_digit(put, trends):
    put(0, 0.1234567890123)
    assert values(trends()[0]) == [0.1234567890123]


def test_one_run_is_a_trend_without_changes(put, trends):
    put(0, 0.1)
    (one,) = trends()
    assert (one.best, one.changes) == (0.1, [])


def test_the_newest_runs_are_shown_and_no_more(put, trends):
    for day in range(6):
        put(day, 0.1 + day, 0.1 + day)
    assert values(trends(last=2)[0]) == [pytest.approx(4.1), pytest.approx(5.1)]
    assert len(trends(last=99)[0].points) == 6


def test_machines_devices_definitions_and_sources_are_never_mixed(put, trends):
    put(0, 1.0)
    put(1, 2.0, cpu="Another CPU")
    put(2, 3.0, device="cuda:0")
    put(3, 4.0, definition_hash="fedcba9876543210")
    put(4, 5.0, source="modelled", tier="sheet")
    put(5, 6.0, unit="die")
    assert sorted(values(one) for one in trends()) == [[1.0], [2.0], [3.0], [4.0], [5.0], [6.0]]


def test_a_packages_row_does_not_count_its_die_again(put, trends):
    put(0, 1.0)
    put(1, 2.0, unit="package", devices=2)
    assert [values(one) for one in trends()] == [[1.0]]


def test_rows_that_gave_no_time_are_left_out(put, trends):
    put(0, 1.0)
    put(1, 2.0, status="invalid", reason="wrong answer")
    assert values(trends()[0]) == [1.0]


def test_a_metric_that_a_run_lacks_is_missing_and_not_zero(put, trends):
    put(0, 1.0, joules_per_token=0.5)
    put(1, 1.0)
    put(2, 1.0, joules_per_token=0.25)
    (one,) = trends(metric="joules_per_token", last=2)
    assert values(one) == [0.5, 0.25]


def test_best_is_the_highest_where_higher_is_better(put, trends):
    put(0, 1.0, output_tokens_per_s=10.0)
    put(1, 1.0, output_tokens_per_s=30.0)
    put(2, 1.0, output_tokens_per_s=20.0)
    assert trends(metric="output_tokens_per_s")[0].best == 30.0


def stair(put, before, after, **changes):
    for day in range(12):
        old = day < 6
        put(day, (1.0 if old else 1.2) * (1 + day % 3 / 1000), **(before if old else after), **changes)


def test_runs_beside_which_others_were_at_work_raise_no_change_and_are_marked(put, trends):
    for day in range(18):
        slow = 6 <= day < 12
        put(day, (3.0 if slow else 1.0) * (1 + day % 3 / 1000), flags=["disturbed"] if slow else [])
    (one,) = trends()
    assert one.changes == []
    assert [point.doubt for point in one.points] == [""] * 6 + ["disturbed"] * 6 + [""] * 6


def test_a_change_behind_runs_in_doubt_lies_between_the_sure_ones_beside_it(put, trends):
    for day in range(14):
        flags = ["disturbed"] if day in (5, 6, 7) else []
        put(day, (1.0 if day < 7 else 1.2) * (1 + day % 3 / 1000), flags=flags, run_id=f"run-{day:02}")
    (change,) = trends()[0].changes
    assert (change.at, change.before, change.after) == (8, "run-04", "run-08")


def test_best_is_of_the_sure_runs_and_of_all_where_none_is(put, trends):
    put(0, 0.5, flags=["busy"])
    assert trends()[0].best == 0.5
    put(1, 1.0)
    assert trends()[0].best == 1.0


def test_half_of_its_sessions_put_a_run_in_doubt_and_no_fewer(put, trends):
    put(0, 1.0, 1.0, flags=["disturbed"])
    put(1, 1.0)
    assert [point.doubt for point in trends()[0].points] == ["disturbed", ""]


def test_others_at_work_move_no_memory(put, trends):
    put(0, 1.0, flags=["disturbed"], memory_peak_bytes=2.0e9)
    assert trends(metric="memory_peak_bytes")[0].points[0].doubt == ""


def test_a_change_names_its_runs_commits_and_what_else_changed(put, trends):
    before = {"commit": "aaaa", "packages": {"torch": "2.9.0"}, "os": "Linux 6.1"}
    after = {"commit": "bbbb", "packages": {"torch": "2.9.1"}, "os": "Linux 6.1"}
    stair(put, before, after)
    (change,) = trends()[0].changes
    assert (change.before, change.after, change.at) == ("run-005.0", "run-006.0", 6)
    assert change.commits == ("aaaa", "bbbb")
    assert change.created == "2026-01-07T00:00:00+00:00"
    assert change.share == pytest.approx(0.2, abs=0.002)
    assert change.worse
    assert change.changed == ["torch 2.9.0 -> 2.9.1"]


def test_what_other_devices_say_is_not_told(put, trends):
    facts = {"cpu": {"name": "A CPU"}, "cuda:0": {"name": "H100", "driver": "1"}}
    changed = {**facts, "cuda:0": {"name": "H100", "driver": "2"}}
    stair(put, {"devices": facts}, {"devices": changed})
    assert trends()[0].changes[0].changed == []


def test_more_tokens_a_second_is_better(put, trends):
    for day in range(12):
        put(day, 1.0, output_tokens_per_s=(10 if day < 6 else 12) + day % 3 / 100)
    (change,) = trends(metric="output_tokens_per_s")[0].changes
    assert not change.worse


def test_a_modelled_series_changes_by_the_least_difference(put, trends):
    put(0, 1.0, source="modelled", tier="sheet")
    put(1, 1.0, source="modelled", tier="sheet")
    put(2, 1.001, source="modelled", tier="sheet", bench_version="0.2.0")
    (change,) = trends()[0].changes
    assert (change.at, change.interval, change.changed) == (2, None, ["accelbench 0.1.0 -> 0.2.0"])


def test_a_series_survives_a_rename_that_a_person_tells(put, trends):
    put(0, 1.0, workload="old", case_id="old[b=1]", definition_hash="0000")
    put(1, 2.0, workload="new", case_id="new[b=1]", definition_hash="1111")
    assert len(trends()) == 2
    (one,) = trends(was={"old": "new"})
    assert (one.case_id, one.workload, values(one)) == ("new[b=1]", "new", [1.0, 2.0])
    assert trends(names=("new",), was={"old": "new"}) == [one]


def test_definitions_of_one_name_are_joined_where_a_person_says_so(put, trends):
    stair(put, {"definition_hash": "0000"}, {"definition_hash": "1111"})
    (one,) = trends(was={"tiny-decode": "tiny-decode"})
    assert len(one.points) == 12
    assert one.changes[0].changed == ["definition 0000 -> 1111"]


@pytest.mark.parametrize(("name", "found"), [
    ("tiny-decode", 2), ("tiny-decode[b=1,ctx=1k]", 1), ("tiny-decode[b=1", 1), ("tiny*ctx=2k*", 1), ("*", 4), ("gemm", 1),
    ("gemm-large", 1), ("gemm[m=1]", 1), ("gemm*", 2),
])  # fmt: skip
def test_cases_are_asked_for_by_workload_beginning_or_pattern(put, trends, name, found):
    put(0, 1.0, case_id="tiny-decode[b=1,ctx=1k]")
    put(1, 1.0, case_id="tiny-decode[b=2,ctx=2k]")
    put(2, 1.0, case_id="gemm[m=1]", workload="gemm")
    put(3, 1.0, case_id="gemm-large[m=1]", workload="gemm-large")
    assert len(trends(names=(name,))) == found


@pytest.mark.parametrize(("asked", "message"), [
    ({"names": ("tiny-decod[x",)}, "no run has the case or workload 'tiny-decod[x'; did you mean 'tiny-decode'"),
    ({"devices": ("cuda:0",)}, "no run has the device 'cuda:0'; there are: cpu"),
    ({"machine": "zzz"}, "no run has the machine 'zzz'; there are: "),
    ({"metric": "step"}, "--metric: a history holds no 'step'; did you mean 'step_s'"),
])  # fmt: skip
def test_what_no_run_has_is_told_with_what_there_is(put, trends, asked, message):
    put(0, 1.0)
    with pytest.raises(DefinitionError) as error:
        trends(**asked)
    assert message in str(error.value)


def test_a_machine_is_asked_for_by_the_beginning_of_its_mark(put, trends):
    put(0, 1.0)
    put(1, 2.0, cpu="Another CPU")
    first, second = trends()
    assert trends(machine=second.machine[:5]) == [second]
    assert first.machine != second.machine


@pytest.mark.parametrize("text", ["'; drop table bench_run; --", "a%b_c*", "\x1b[31m\n", "x" * 20_000, "é漢字", 'a"b'])
def test_names_are_taken_as_they_are(put, trends, text):
    put(0, 1.0, case_id=text, workload=text, device=text, commit=text)
    put(1, 2.0)
    assert {one.case_id for one in trends()} == {text[:10_000], "tiny-decode[b=1,ctx=1k,bf16]"}


def test_a_nul_in_a_name_is_replaced(put, trends):
    put(0, 1.0, case_id="a\0b")
    assert trends()[0].case_id == "a\N{REPLACEMENT CHARACTER}b"


def test_more_series_than_a_database_takes_numbers_at_once(put, trends):
    for number in range(1100):
        put(0, 1.0, case_id=f"tiny[{number}]", run_id=f"{number}")
    assert len(trends()) == 1100


@pytest.mark.parametrize(("created", "shown"), [
    ("2026-01-01T12:00:00Z", "2026-01-01T12:00:00+00:00"), ("2026-01-01T12:00:00", "2026-01-01T12:00:00+00:00"),
    ("2026-01-01T12:00:00+08:00", "2026-01-01T04:00:00+00:00"), ("1969-12-31T23:59:59+00:00",) * 2,
])  # fmt: skip
def test_dates_are_compared_in_utc(put, trends, created, shown):
    put(0, 1.0, created=created)
    assert trends()[0].points[0].created == shown


@pytest.mark.parametrize("created", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "", "0", "2026-13-01"])
def test_a_run_of_no_date_is_left_out(put, trends, created):
    put(0, 1.0, created=created)
    put(1, 2.0)
    assert [values(one) for one in trends()] == [[2.0]]
