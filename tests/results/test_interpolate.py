"""Measured rows at a target. Steps of 10, 14 and 30 ms at batch 1, 8 and 32; targets worked out by hand."""

import pytest

from bench.results.compare import source_of
from bench.results.doubt import doubt
from bench.results.interpolate import measured_at_targets
from bench.results.target import ACROSS, OPEN, UNBRACKETED, Target

MILLI = 1e-3


@pytest.fixture
def curve(row):
    """Return a function that makes measured decode rows at batches, with steps in milliseconds."""

    def make(steps, **changes):
        return [
            row(case_id=f"d[b={batch},ctx=1k,bf16]", batch=batch, step_s=ms * MILLI, model="m",
                interval=(ms * MILLI * 0.9, ms * MILLI * 1.2), definition={"workload": "d", "batch": batch},
                output_tokens_per_s=batch / ms / MILLI, power_w=100.0, samples_s=[1.0], mfu=0.5, **changes)
            for batch, ms in steps.items()
        ]  # fmt: skip

    return make


STEPS = {1: 10.0, 8: 14.0, 32: 30.0}


def at(rows, tpot_ms):
    return measured_at_targets(rows, [Target(tpot_s=tpot_ms * MILLI)])


def test_between_two_measured_batches_the_time_is_a_straight_line(curve):
    # 14 + (b - 8) x 16 / 24 <= 20: b = 17, which takes 20.0 ms: 850 tok/s.
    (row,) = at(curve(STEPS), 20.0)
    assert row.batch == 17
    assert row.step_s == pytest.approx(0.020)
    assert row.tpot_s == row.step_s
    assert row.output_tokens_per_s == pytest.approx(850)
    assert row.interval == pytest.approx((0.018, 0.024))
    assert source_of(row) == "interpolated"
    assert "interpolated between the measured batches 8 and 32" in row.notes
    assert row.case_id == "d[tpot<=20ms,ctx=1k,bf16]"


def test_what_a_measured_row_yields_in_time_has_ends_of_their_own_batches(curve):
    # Times up to a fifth longer: 16.8 + (b - 8) x 19.2 / 24 <= 20: b = 12, in exactly 20 ms: 600 tok/s. A tenth
    # shorter: 12.6 + (b - 8) x 14.4 / 24 <= 20: b = 20, in 19.8 ms: 1,010 tok/s.
    (row,) = at(curve(STEPS), 20.0)
    assert row.rate_interval == pytest.approx((600, 1010.101), rel=1e-5)


def test_a_measured_row_may_yield_nothing_in_time_where_its_smallest_batch_may_be_late(curve):
    # A batch of 1 takes 10 ms, by its interval up to 12.
    (row,) = at(curve(STEPS), 11.0)
    assert row.rate_interval[0] == 0
    assert ACROSS in row.flags


def test_beyond_the_largest_measured_batch_no_end_is_read(curve):
    # 29 ms: a tenth quicker even batch 32 takes 27 ms; its own 1,185 tok/s are the most that is known.
    (row,) = at(curve(STEPS), 29.0)
    assert row.rate_interval[1] == pytest.approx(32 / 0.027)


def test_an_interpolated_row_claims_nothing_that_was_not_run(curve):
    (row,) = at(curve(STEPS), 20.0)
    assert (row.samples_s, row.power_w, row.mfu, row.joules_per_token) == (None, None, None, None)
    assert row.telemetry_missing["power_w"] == "an interpolated row was not run"


def test_a_measured_batch_that_is_the_largest_in_time_stays_measured(curve):
    # 14.5 ms: 8.75, so 8, which was measured.
    (row,) = at(curve(STEPS), 14.5)
    assert (row.batch, row.step_s, source_of(row)) == (8, 0.014, "measured")


def test_the_batch_found_is_in_time(curve):
    (row,) = at(curve(STEPS), 19.9)
    assert row.batch == 16
    assert row.step_s <= 0.0199


def test_beyond_the_largest_measured_batch_nothing_is_extrapolated(curve):
    (row,) = at(curve(STEPS), 40.0)
    assert (row.status, row.step_s, row.output_tokens_per_s) == ("skipped", None, None)
    assert row.reason == (
        "even the largest measured batch, 32, takes only 30.0 ms; nothing is extrapolated, measure larger ones "
        "(bench run --at, or --batch)"
    )
    assert UNBRACKETED in row.flags, "it keeps the target; only the most it yields is not known"


@pytest.mark.parametrize(
    ("steps", "reason"),
    [
        (STEPS, "even a batch of 1 takes 10.0 ms; nothing is extrapolated"),
        ({4: 12.0, 8: 14.0}, "even the smallest measured batch, 4, takes 12.0 ms; nothing is extrapolated"),
    ],
)
def test_below_the_smallest_measured_batch_nothing_is_extrapolated(curve, steps, reason):
    (row,) = at(curve(steps), 9.0)
    assert (row.status, row.reason, row.step_s) == ("skipped", reason, None)


@pytest.mark.parametrize(
    ("steps", "tpot_ms", "status", "flag"),
    [
        # One sequence takes 9 to 12 ms: surely late, perhaps in time, perhaps late, surely in time.
        (STEPS, 8.5, "skipped", ""),
        (STEPS, 9.5, "skipped", ACROSS),
        (STEPS, 11.0, "ok", ACROSS),
        (STEPS, 12.5, "ok", ""),
        # What fewer sequences than four take was not measured.
        ({4: 12.0, 8: 14.0}, 8.5, "skipped", UNBRACKETED),
    ],
)
def test_whether_a_target_is_kept_may_be_open(curve, steps, tpot_ms, status, flag):
    (row,) = at(curve(steps), tpot_ms)
    assert row.status == status
    assert [each for each in row.flags if each in OPEN] == ([flag] if flag else [])


def test_a_larger_batch_that_ran_faster_counts(curve):
    # 16 ran faster than 8; the line starts at 16.
    (row,) = at(curve({8: 14.0, 16: 12.0, 32: 20.0}), 13.0)
    assert (row.batch, row.step_s) == (18, pytest.approx(0.013))


def test_batches_of_different_definitions_are_not_joined(curve):
    one, other = curve({1: 10.0}), curve({8: 30.0})
    other[0].definition["context"] = 4096
    assert [row.status for row in at([*one, *other], 20.0)] == ["skipped", "skipped"]


def test_modelled_failed_and_kernel_rows_are_left_out(curve, row):
    rows = [*curve(STEPS, source="modelled"), *curve(STEPS, status="oom"), row(phase="kernel", step_s=0.01)]
    assert at(rows, 20.0) == []


def test_prefill_is_read_at_the_first_token_limit_and_decode_is_not(curve):
    prompts = curve(STEPS, phase="prefill", input_len=100)
    (row,) = measured_at_targets(prompts, [Target(tpot_s=0.001, ttft_s=0.02)])
    assert (row.batch, row.ttft_s, row.prompt_tokens_per_s) == (17, pytest.approx(0.02), pytest.approx(85_000))
    assert measured_at_targets(curve(STEPS), [Target(ttft_s=0.02)]) == []


def test_two_targets_with_one_first_token_limit_read_a_prefill_once(curve):
    prompts = curve(STEPS, phase="prefill", input_len=100)
    both = [Target(tpot_s=0.01, ttft_s=0.02), Target(tpot_s=0.02, ttft_s=0.02)]
    assert len(measured_at_targets(prompts, both)) == 1
    assert len(measured_at_targets(curve(STEPS), both)) == 2


def test_tensor_parallel_rows_share_their_tokens(curve):
    (row,) = at(curve(STEPS, deployment={"tp": 2}), 20.0)
    assert row.output_tokens_per_s == pytest.approx(425)


def test_a_named_target_without_limits_for_the_model_is_told(curve):
    (row,) = measured_at_targets(curve(STEPS), [Target(name="mlperf-server")])
    assert row.status == "skipped"
    assert row.reason.startswith("mlperf-server sets no limits for m; it does for deepseek-r1")


def test_a_row_without_an_interval_gives_a_point_without_one(curve):
    rows = curve(STEPS)
    rows[1].interval = None
    assert at(rows, 20.0)[0].interval is None


@pytest.mark.parametrize(("beyond", "source"), [(42, "measured"), (43, "interpolated")])
def test_between_batches_within_5_percent_the_lower_one_stands_as_measured(curve, beyond, source):
    (row,) = at(curve({40: 10.0, beyond: 20.0}), 19.0)
    assert (row.batch == 40, source_of(row)) == (source == "measured", source)


@pytest.mark.parametrize("disturbed", [1, 8, 31, 32, 33])
def test_what_is_in_time_is_in_doubt_where_it_or_the_batch_that_is_late_is(curve, disturbed):
    """12 ms hold a batch of 4 on the line from 1 to 8; at 29.9 ms 31 stands as measured, and 32 is late by a little."""
    rows = curve({1: 10.0, 8: 14.0, 31: 29.0, 32: 30.0, 33: 31.0})
    for row in rows:
        row.flags = ["disturbed"] if row.batch == disturbed else []
    (late_by_a_little,) = at(rows, 29.9)
    (between,) = at(rows, 12.0)
    assert (late_by_a_little.batch, between.batch) == (31, 4)
    assert doubt(late_by_a_little) == ("disturbed" if disturbed in (31, 32) else "")
    assert doubt(between) == ("disturbed" if disturbed in (1, 8) else "")
