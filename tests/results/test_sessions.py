"""Sessions as one row a case, every expected value by hand."""

from __future__ import annotations

import math

import msgspec
import pytest

from bench.results.sessions import fold


@pytest.fixture
def session(row):
    """Return a function that makes a decode row of one session: its number, its time, and fields changed as named."""

    def make(number, step_s=1.0, **changes):
        given = {
            "session": number, "step_s": step_s, "tpot_s": step_s, "batch": 8, "samples_s": [step_s] * 6,
            "interval": (step_s * 0.99, step_s * 1.01), "interval_kind": "one process", "stable": True,
        }  # fmt: skip
        if step_s is not None:
            given["output_tokens_per_s"] = 8 / step_s
        return row(**(given | changes))

    return make


@pytest.fixture
def failed(row):
    """Return a function that makes a session without a number: its status and reason."""
    return lambda number, status="timeout", reason="no result after 9 s": row(
        session=number, status=status, reason=reason, wall_s=9.0
    )


def only(rows):
    (row,) = rows
    return row


# -- one session -----------------------------------------------------------------------------------------------------


def test_a_row_of_one_session_is_the_row_itself(session):
    row = session(1)
    assert only(fold([row])) is row


def test_a_row_of_an_older_file_that_drifted_has_an_interval_out_to_both_ends(session):
    drifting = [1.0] * 10 + [1.1] * 10 + [2.0] * 10
    row = session(1, 1.1, samples_s=drifting, interval=(1.1, 1.1), flags=["trend +100%"])
    folded = only(fold([row]))
    assert folded.interval == (1.0, 2.0)
    assert folded.interval_kind.startswith("one process; out to the medians of the first and last third")
    assert only(fold([folded])) is folded
    assert row.interval == (1.1, 1.1)


def test_rows_of_other_devices_cases_and_units_stay_apart_in_their_order(session):
    rows = [session(1), session(1, device="cuda:0"), session(1, case_id="b"), session(1, unit="package")]
    assert fold(rows) == rows


def test_nothing_gives_nothing():
    assert fold([]) == []


def test_what_is_folded_keeps_the_order_of_the_first_session(session):
    rows = [session(1, case_id="a"), session(1, case_id="b"), session(2, case_id="b"), session(2, case_id="a")]
    assert [row.case_id for row in fold(rows)] == ["a", "b"]


def test_folding_twice_changes_nothing(session):
    once = fold([session(1, 1.0), session(2, 2.0), session(3, 4.0)])
    assert fold(once) == once


def test_folding_leaves_the_sessions_as_they_are(session, failed):
    rows = [session(1, flags=["busy"]), session(2), failed(3)]
    before = msgspec.json.encode(rows)
    fold(rows)
    assert msgspec.json.encode(rows) == before


# -- time ------------------------------------------------------------------------------------------------------------


def test_the_time_is_the_geometric_mean_and_rates_agree_with_it(session):
    row = only(fold([session(1, 1.0), session(2, 2.0), session(3, 4.0)]))
    assert row.sessions == 3
    assert row.step_s == pytest.approx(2.0)
    assert row.tpot_s == pytest.approx(2.0)
    assert row.output_tokens_per_s == pytest.approx(4.0)  # 8 sequences in 2 s


def test_utilization_agrees_with_the_mean_time(session):
    # Twice the time, half the utilization: 0.4 and 0.1 in 1 s and 4 s are 0.2 in 2 s.
    row = only(fold([session(1, 1.0, mfu=0.4, mbu_achieved=0.8), session(2, 4.0, mfu=0.1, mbu_achieved=0.2)]))
    assert (row.mfu, row.mbu_achieved) == (pytest.approx(0.2), pytest.approx(0.4))
    assert row.mbu is None


def test_what_one_session_lacks_is_not_made_of_the_others(session):
    assert only(fold([session(1, mfu=0.4, p90_s=1.1), session(2)])).mfu is None
    assert only(fold([session(1, p90_s=1.0), session(2, p90_s=4.0)])).p90_s == pytest.approx(2.0)
    assert only(fold([session(1, p90_s=1.0), session(2)])).p90_s is None


def test_the_interval_of_three_sessions_is_student_s_t_on_their_logarithms(session):
    row = only(fold([session(1, 1.0), session(2, 2.0), session(3, 4.0)]))
    # Logarithms 0, ln 2, 2 ln 2: standard deviation ln 2; t of 2 degrees at 97.5 % is 4.302653.
    # 4.302653 x 0.693147 / sqrt(3) = 1.721872, exp of it 5.59499
    assert row.interval == (pytest.approx(2 / 5.59499, rel=1e-5), pytest.approx(2 * 5.59499, rel=1e-5))
    assert row.interval_kind == "95 % of the geometric mean of 3 sessions' medians, Student's t, between sessions"


def test_the_interval_knows_nothing_of_what_is_inside_a_session(session):
    narrow = [session(n, t, interval=(t, t)) for n, t in enumerate((1.0, 2.0, 4.0), 1)]
    wide = [session(n, t, interval=(t / 9, t * 9)) for n, t in enumerate((1.0, 2.0, 4.0), 1)]
    assert only(fold(narrow)).interval == only(fold(wide)).interval


@pytest.mark.parametrize(
    ("first", "second", "interval"),
    [
        ((1.0, (0.99, 1.01)), (1.2, (1.19, 1.21)), (0.99, 1.21)),  # apart: from end to end
        ((1.0, (0.8, 1.3)), (1.1, (1.09, 1.11)), (0.8, 1.3)),  # one is wider than they are apart
        ((1.0, None), (1.1, None), (1.0, 1.1)),  # too few samples for intervals of their own
        ((1.1, None), (1.0, (0.9, 1.05)), (0.9, 1.1)),
    ],
)
def test_of_two_sessions_it_is_what_they_and_their_intervals_span(first, second, interval, session):
    rows = [session(1, first[0], interval=first[1]), session(2, second[0], interval=second[1])]
    row = only(fold(rows))
    assert row.interval == interval
    assert row.interval_kind == "the span of 2 sessions and their own intervals; 95 % needs 3"


def test_sessions_that_are_all_alike_have_an_interval_without_width(session):
    row = only(fold([session(1, 3e-6), session(2, 3e-6), session(3, 3e-6)]))
    assert row.step_s == pytest.approx(3e-6)
    assert row.interval == (pytest.approx(3e-6), pytest.approx(3e-6))


def test_sessions_further_apart_than_any_clock_reaches_have_no_interval(session):
    row = only(fold([session(1, 1e-300), session(2, 1.0), session(3, 1e300)]))
    assert (row.interval, row.interval_kind) == (None, None)
    assert math.isfinite(row.step_s)


def test_what_tells_of_one_process_is_left_out(session):
    more = {"warmup_s": 0.1, "warmup_samples": 4, "calls_per_sample": 2, "stop_reason": "2000 samples"}
    row = only(fold([session(1, **more), session(2, **more)]))
    assert [row.samples_s, row.warmup_s, row.warmup_samples, row.calls_per_sample, row.stop_reason] == [None] * 5


def test_time_spent_is_that_of_all_sessions_those_that_failed_too(session, failed):
    row = only(fold([session(1, wall_s=2.0, timed_s=1.0), session(2, wall_s=3.0, timed_s=1.5), failed(3)]))
    assert (row.wall_s, row.timed_s) == (14.0, 2.5)


# -- what the device said ------------------------------------------------------------------------------------------------


def test_energy_is_mean_power_over_the_mean_rate(session):
    told = {"power_validity": "ok", "power_basis": "board", "power_samples": 10}
    rows = [session(n, t, power_w=p, joules_per_token=99.0, **told) for n, t, p in ((1, 1.0, 100), (2, 2.0, 200), (3, 4.0, 300))]  # fmt: skip
    row = only(fold(rows))
    assert (row.power_w, row.power_samples, row.power_basis) == (200, 30, "board")
    assert row.joules_per_token == pytest.approx(50.0)  # 200 W at 4 tokens/s


def test_power_of_some_sessions_says_of_how_many(session):
    rows = [
        session(1, power_validity="few", telemetry_missing={"power_w": "3 readings"}),
        session(2, power_w=120.0, power_validity="ok", power_basis="board", joules_per_token=15.0),
    ]
    row = only(fold(rows))
    assert (row.power_w, row.power_validity, row.power_basis) == (120.0, "ok", "board")
    assert row.notes == ["power is of 1 of 2 sessions"]
    assert row.telemetry_missing == {}


def test_without_power_in_any_session_the_reason_stays(session):
    why = {"power_w": "RAPL is not here"}
    rows = [session(n, power_validity="none", telemetry_missing=why) for n in (1, 2)]
    row = only(fold(rows))
    assert (row.power_w, row.joules_per_token, row.power_validity) == (None, None, "none")
    assert row.telemetry_missing == why


def test_extremes_stay_extremes(session):
    first = {"memory_peak_bytes": 5, "temperature_c": 70.0, "clock_hz": 2e9, "lowest_clock_hz": 1e9, "throttle": []}
    second = {"memory_peak_bytes": 9, "temperature_c": 60.0, "clock_hz": 1e9, "lowest_clock_hz": 9e8, "throttle": ["heat"]}  # fmt: skip
    row = only(fold([session(1, **first), session(2, **second)]))
    assert (row.memory_peak_bytes, row.temperature_c) == (9, 70.0)
    assert (row.clock_hz, row.lowest_clock_hz, row.throttle) == (1.5e9, 9e8, ["heat"])


def test_a_device_that_never_says_whether_it_is_throttled_has_no_answer(session):
    assert only(fold([session(1), session(2)])).throttle is None
    assert only(fold([session(1), session(2, throttle=[])])).throttle == []


# -- what is odd -----------------------------------------------------------------------------------------------------


def test_flags_say_in_how_many_sessions(session):
    rows = [session(1, flags=["trend +4%", "busy"]), session(2, flags=["trend -5%"]), session(3, flags=["two levels"])]
    rows[1].flags.append("busy")
    rows[2].flags.append("busy")
    assert only(fold(rows)).flags == ["busy", "trend 2/3", "two levels 1/3"]


def test_it_is_stable_and_correct_where_every_session_is(session):
    good, bad = session(1, correct=True), session(2, correct=True, stable=False)
    assert (only(fold([good, good])).stable, only(fold([good, bad])).stable) == (True, False)
    assert only(fold([good, bad])).correct is True
    assert only(fold([good, session(2)])).correct is None


def test_sessions_that_were_not_alike_are_noted(session):
    rows = [session(1, launch="graph", notes=["n"]), session(2, launch="eager", notes=["n"])]
    assert only(fold(rows)).notes == ["n", "launch differs between the sessions"]


# -- sessions that failed --------------------------------------------------------------------------------------------


def test_a_session_that_failed_is_out_of_the_numbers_and_told(session, failed):
    rows = [failed(1), session(2, 1.0), failed(3), session(4, 2.0), session(5, 4.0)]
    row = only(fold(rows))
    assert (row.status, row.sessions, row.step_s) == ("ok", 3, pytest.approx(2.0))
    assert row.reason == "2 of 5 sessions failed: timeout: no result after 9 s"
    assert row.flags == ["failed 2/5"]


def test_where_one_session_is_left_its_own_interval_stays(session, failed):
    row = only(fold([session(1), failed(2, "oom", "used 2 GB")]))
    assert (row.sessions, row.interval, row.interval_kind) == (1, (0.99, 1.01), "one process")
    assert row.samples_s == [1.0] * 6
    assert row.reason == "1 of 2 sessions failed: oom: used 2 GB"


def test_where_all_failed_alike_it_reads_as_one(failed):
    row = only(fold([failed(1, "skipped", "needs 3 GB"), failed(2, "skipped", "needs 3 GB")]))
    assert (row.status, row.reason, row.step_s) == ("skipped", "needs 3 GB", None)


def test_where_all_failed_in_several_ways_each_is_told_once(failed):
    row = only(fold([failed(1), failed(2, "oom", "used 2 GB"), failed(3)]))
    assert row.status == "timeout"
    assert row.reason == "3 of 3 sessions failed: timeout: no result after 9 s, oom: used 2 GB"


def test_an_ok_row_without_a_time_is_none_of_the_sessions(session):
    row = only(fold([msgspec.structs.replace(session(1), step_s=None), session(2, 2.0), session(3, 2.0)]))
    assert (row.step_s, row.sessions) == (pytest.approx(2.0), 2)
    assert row.reason == "1 of 3 sessions failed: ok: no time"


def test_a_folded_row_can_be_written_and_read_back(session, failed):
    row = only(fold([session(1), session(2, 2.0), session(3, 3.0, power_w=1.0), failed(4)]))
    assert msgspec.json.decode(msgspec.json.encode(row), type=type(row)) == row
