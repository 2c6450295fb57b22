"""Verdicts per axis: each workload and precision apart, targets by name, and the reason where nothing can be said."""

from math import exp

import pytest

from bench.results.axes import every_verdict, missing, other_definitions, verdicts, verdicts_at
from bench.results.compare import Operand
from bench.results.measures import SAME_BATCH
from bench.results.pairs import matched
from bench.results.target import ACROSS, NO_LIMITS, UNBRACKETED
from bench.results.verdict import AXES, summary


@pytest.fixture
def decode(row):
    """Return a function that makes a decode row of a rate, its time within 0.1 %."""

    def make(rate=100.0, **changes):
        given = {"output_tokens_per_s": rate, "step_s": 1 / rate, "tpot_s": 1 / rate, "mbu": rate / 1000,
                 "interval": (exp(-0.001) / rate, exp(0.001) / rate)}  # fmt: skip
        return row(**(given | changes))

    return make


def operand(label, *rows):
    return Operand(label, list(rows))


def test_throughput_latency_and_utilization_are_read_from_one_row_each_way(decode):
    found = {v.metric: v for v in verdicts(operand("A", decode(200.0)), operand("B", decode(100.0)))}
    rate = found["decode at equal batch per device, output tokens"]
    time = found["time per output token at equal batch per device"]
    share = found["share of peak bandwidth in decode (MBU)"]
    assert (rate.axis, rate.ratio, rate.reading) == ("throughput", 2.0, "A better by 2.00x")
    assert (time.axis, time.ratio, time.reading) == ("latency", 0.5, "A better by 2.00x")
    assert (share.axis, share.ratio, share.unit) == ("utilization", 2.0, "share")
    assert (rate.a_value, rate.b_value, rate.source) == (200.0, 100.0, "measured")


def test_utilization_is_of_one_kind_of_peak_on_both_sides(decode):
    """Published peaks on both, or reached ones on both; one of each is no ratio."""
    reached = {"mbu": None, "mbu_achieved": 0.5}
    both = verdicts(operand("A", decode(**reached)), operand("B", decode(mbu=None, mbu_achieved=0.25)))
    assert [v.ratio for v in both if v.axis == "utilization"] == [2.0]
    mixed = verdicts(operand("A", decode(**reached)), operand("B", decode()))
    assert [v for v in mixed if v.axis == "utilization"] == []


def test_against_a_cited_figure_the_other_side_s_interval_is_told(decode):
    cited = decode(200.0, source="published", interval=None)
    found = verdicts(operand("A", decode(100.0)), operand("B", cited))
    rate = next(v for v in found if v.axis == "throughput")
    assert rate.reading == "estimated: cannot tell: cited, no interval published"
    assert rate.why == "0.50x to 0.50x by the interval of A alone"
    assert summary("latency", [v for v in found if v.axis == "latency"] * 2) == (
        "estimated: cannot tell: cited, no interval published on 2 readings"
    )


def test_precisions_and_workloads_are_never_merged(decode):
    rows = [
        decode(case_id=f"{work}[b={batch},{dtype}]", workload=work, dtype=dtype, batch=batch)
        for work in ("x", "y") for dtype in ("bf16", "int8") for batch in (1, 2)
    ]  # fmt: skip
    targets = [v.target for v in verdicts(operand("A", *rows), operand("B", *rows)) if v.axis == "throughput"]
    assert targets == ["x, bf16", "x, int8", "y, bf16", "y, int8"]


def test_several_cases_are_a_geometric_mean_with_its_list(decode):
    a = operand("A", decode(200.0, case_id="c1"), decode(800.0, case_id="c2"))
    b = operand("B", decode(100.0, case_id="c1"), decode(100.0, case_id="c2"))
    rate = next(v for v in verdicts(a, b) if v.axis == "throughput")
    assert rate.ratio == pytest.approx(4.0)
    assert rate.cases == {"c1": 2.0, "c2": 8.0}
    assert (rate.a_value, rate.b_value) == (None, None)


def test_a_case_in_doubt_is_left_out_of_the_mean_and_told(decode):
    a = operand("A", decode(200.0, case_id="c1"), decode(800.0, case_id="c2", flags=["disturbed"]))
    b = operand("B", decode(100.0, case_id="c1"), decode(100.0, case_id="c2"))
    rate = next(v for v in verdicts(a, b) if v.axis == "throughput")
    assert (rate.ratio, rate.reading, rate.doubt) == (2.0, "A better by 2.00x", "")
    assert rate.left_out == {"c2": (8.0, "disturbed")}


def test_where_every_case_is_in_doubt_so_is_the_mean(decode):
    a = operand("A", decode(200.0, case_id="c1", flags=["busy"]), decode(50.0, case_id="c2"))
    b = operand("B", decode(100.0, case_id="c1"), decode(100.0, case_id="c2", flags=["busy"]))
    rate = next(v for v in verdicts(a, b) if v.axis == "throughput")
    assert (rate.ratio, rate.reading) == (pytest.approx(1.0), "cannot tell: busy")
    assert (rate.a_doubt, rate.b_doubt, rate.left_out) == ("busy", "busy", {})


def test_too_slow_for_a_target_beside_others_is_not_too_slow(decode):
    kept = decode(100.0, case_id="x[tpot<=50ms]", flags=["disturbed"])
    missed = decode(case_id="x[tpot<=50ms]", status="skipped", reason="takes 60 ms", step_s=None, flags=["disturbed"])
    (only,) = verdicts_at(operand("A", kept), operand("B", missed))
    assert (only.reading, only.b_doubt) == ("cannot tell: disturbed", "disturbed")
    missed.flags = []
    (only,) = verdicts_at(operand("A", kept), operand("B", missed))
    assert (only.reading, only.doubt) == ("only A can", "")


@pytest.mark.parametrize(
    ("flag", "words"),
    [
        (ACROSS, "cannot tell: an interval reaches across the target"),
        (UNBRACKETED, "cannot tell: not measured far enough"),
    ],
)
@pytest.mark.parametrize("side", [0, 1])
def test_no_side_alone_keeps_a_target_while_it_is_open_on_the_other_or_on_itself(decode, flag, words, side):
    rows = [
        decode(100.0, case_id="x[tpot<=50ms]"),
        decode(case_id="x[tpot<=50ms]", status="skipped", reason="takes 60 ms", step_s=None),
    ]
    rows[side].flags = [flag]
    (only,) = verdicts_at(operand("A", rows[0]), operand("B", rows[1]))
    assert only.reading == words
    assert summary("throughput", [only]) == words
    more = {ACROSS: ["; by its own interval A may be late", "; by its interval it may be in time"][side]}
    assert only.why == "B: takes 60 ms" + more.get(flag, "")


def test_a_target_that_neither_keeps_is_answered_and_not_with_the_yield_at_the_same_batch(decode):
    # What was measured at the same batch on both sides counts beside it: it is surer than what is modelled.
    modelled = {"source": "modelled", "tier": "sheet"}
    same = (operand("A", decode(200.0, **modelled)), operand("B", decode(100.0, **modelled)))
    late = decode(case_id="x[tpot<=1ms]", status="skipped", reason="takes 60 ms", step_s=None, **modelled)
    in_time = (operand("A", late), operand("B", late))
    found = [v for v in every_verdict(*same, in_time) if v.axis == "throughput"]
    assert [(v.reading, v.counted) for v in found] == [
        ("estimated: neither can", True), ("estimated: A better by 2.00x", False),
    ]  # fmt: skip
    assert found[0].why == "A: takes 60 ms; B: takes 60 ms"
    assert summary("throughput", found) == "estimated: neither can"
    assert summary("throughput", [found[0]] * 2) == "estimated: neither can on 2 readings"


@pytest.mark.parametrize("other", ["ok", "skipped"])
def test_what_does_not_fit_the_memory_was_priced_by_no_tier_and_is_told_all_the_same(decode, other):
    large = decode(case_id="x[1]", status="skipped", reason="needs 76 GB", step_s=None, source="modelled", tier=None)
    second = decode(case_id="x[1]", status=other, reason="late", source="modelled", tier="calibrated")
    (told,) = verdicts_at(operand("A", large), operand("B", second))
    assert told.reading == ("estimated: only B can" if other == "ok" else "estimated: neither can")
    assert (told.source, told.a_source, told.b_source) == ("modelled:sheet", "modelled:sheet", "modelled:calibrated")


def test_a_name_that_sets_no_limits_for_a_model_is_no_target_that_neither_keeps(decode):
    row = decode(case_id="x[mlperf-server]", status="skipped", step_s=None, flags=[NO_LIMITS])
    assert verdicts_at(operand("A", row), operand("B", row)) == []


def test_readings_that_are_open_are_counted_with_those_that_cannot_be_told(decode):
    a = operand("A", decode(200.0, case_id="x[1]"), decode(1.0, case_id="x[2]", flags=[ACROSS]))
    b = operand("B", decode(100.0, case_id="x[1]"), decode(case_id="x[2]", status="skipped", step_s=None))
    assert summary("throughput", verdicts_at(a, b)) == "A better on 1 of 2 readings, cannot tell or equal on 1"
    assert summary("throughput", verdicts_at(b, a)[1:] * 2) == (
        "cannot tell: an interval reaches across the target on 2 readings"
    )


def test_another_definition_is_no_pair_and_the_axis_says_so(decode):
    a, b = operand("A", decode(definition_hash="1")), operand("B", decode(definition_hash="2"))
    assert matched(a, b) == []
    assert other_definitions(a, b) == {"tiny-decode"}
    assert "other definitions" in missing("throughput", a, b).why


def test_sides_without_a_common_case_say_so(decode):
    a, b = operand("A", decode(case_id="c1")), operand("B", decode(case_id="c2"))
    assert "no case in common" in missing("latency", a, b).why


def test_packages_are_compared_with_packages_where_a_device_has_dies(decode):
    a = operand("A", decode(100.0, unit="die"), decode(200.0, unit="package", devices=2))
    b = operand("B", decode(100.0, unit="package"))
    rate = next(v for v in verdicts(a, b) if v.axis == "throughput")
    assert (rate.ratio, rate.per) == (2.0, "package")


def test_energy_is_missing_with_its_reason_never_zero(decode):
    a, b = operand("A", decode()), operand("B", decode())
    assert not [v for v in verdicts(a, b) if v.axis == "energy"]
    why = missing("energy", a, b)
    assert (why.ratio, why.source) == (None, "missing")
    assert "never taken from a design power" in why.why


def test_at_a_target_that_one_side_misses_the_other_is_named(decode):
    a = operand("A", decode(case_id="t", source="modelled", tier="sheet"))
    b = operand("B", decode(case_id="t", status="skipped", reason="even a batch of 1 takes ~44 ms"))
    (only,) = verdicts_at(a, b)
    assert only.reading == "estimated: only A can"
    assert only.ratio is None
    assert only.why == "B: even a batch of 1 takes ~44 ms"
    assert summary("throughput", [only]) == "estimated: only A can"


def test_a_side_that_cannot_be_modelled_is_no_verdict_on_it(decode):
    a = operand("A", decode(case_id="t"))
    b = operand("B", decode(case_id="t", status="unsupported", reason="no published fp8 peak"))
    assert verdicts_at(a, b) == []


def test_an_interpolated_number_makes_an_estimate(decode):
    a, b = operand("A", decode(200.0, flags=["interpolated"])), operand("B", decode())
    rate = next(v for v in verdicts(a, b) if v.axis == "throughput")
    assert (rate.source, rate.reading) == ("interpolated", "estimated: A better by 2.00x")


def test_a_package_that_serves_more_users_at_the_same_batch_does_not_win_where_targets_were_read(decode):
    """Two dies at batch 8 yield 1.5 times as much as one at batch 8; in time the one yields twice as much."""
    a, b = operand("A", decode(150.0, devices=2)), operand("B", decode(100.0))
    target = {"case_id": "tiny-decode[tpot<=50ms]", "definition_hash": "target"}
    in_time = operand("A", decode(100.0, **target)), operand("B", decode(200.0, **target))
    found = every_verdict(a, b, in_time)
    rates = [(v.target, v.counted, v.note) for v in found if v.axis == "throughput"]
    assert rates == [("tiny-decode[tpot<=50ms]", True, ""), ("tiny-decode, bf16", False, SAME_BATCH)]
    assert summary("throughput", found) == "B better by 2.00x"
    # A token's time at the same batch is what each user waits, whatever the number of users.
    assert summary("latency", found) == "A better by 1.50x"


def test_a_workload_without_a_reading_at_a_target_is_judged_at_the_same_batch_and_says_so(decode):
    a, b = operand("A", decode(150.0), decode(150.0, workload="x", case_id="x", devices=2)), operand("B", decode(), decode(
        workload="x", case_id="x"))  # fmt: skip
    late = {"case_id": "tiny-decode[tpot<=1ms]", "status": "skipped", "reason": "too slow"}
    only = {"case_id": "x[tpot<=50ms]", "workload": "x"}
    in_time = operand("A", decode(**late), decode(**only)), operand("B", decode(**late), decode(**only))
    found = every_verdict(a, b, in_time)
    same_batch = {v.target: v.counted for v in found if v.note}
    assert same_batch == {"tiny-decode, bf16": True, "x, bf16": False}
    (judged,) = [v for v in every_verdict(a, b) if v.target == "tiny-decode, bf16" and v.axis == "throughput"]
    assert (judged.note, judged.counted) == ("same batch per device, not the same service", True)


def test_two_runs_of_one_device_are_judged_by_what_was_measured_beside_what_is_interpolated(decode):
    target = {"case_id": "tiny-decode[tpot<=50ms]", "definition_hash": "target", "flags": ["interpolated"]}
    in_time = operand("A", decode(100.0, **target)), operand("B", decode(200.0, **target))
    found = every_verdict(operand("A", decode(150.0)), operand("B", decode(100.0)), in_time)
    assert [v.counted for v in found if v.axis == "throughput"] == [True, True]


def test_every_axis_has_a_reason_for_nothing(decode):
    a, b = operand("A", decode()), operand("B", decode())
    assert all(missing(axis, a, b).why for axis in AXES)


def in_two(decode, dtype, rate, device_name, **changes):
    return decode(rate, case_id=f"x[b=1,{dtype}]", workload="x", dtype=dtype, device_name=device_name,
                  definition={"dtype": dtype}, definition_hash=f"x {dtype}", **changes)  # fmt: skip


def test_what_a_service_would_run_counts_and_wider_precisions_stand_beside_it(decode):
    a = operand("A", in_two(decode, "int8", 100.0, "910C"), in_two(decode, "bf16", 300.0, "910C"))
    b = operand("B", in_two(decode, "int8", 50.0, "H100"), in_two(decode, "bf16", 100.0, "H100"),
                in_two(decode, "fp8", 400.0, "H100"))  # fmt: skip
    found = [v for v in every_verdict(a, b) if v.axis == "throughput"]
    assert [(v.precision, v.ratio, v.beside) for v in found] == [
        ("int8", 2.0, "8-bit counts in its place"), ("bf16", 3.0, "8-bit counts in its place"), ("8-bit", 0.25, ""),
    ]  # fmt: skip
    assert found[2].note == f"{SAME_BATCH}; int8 | fp8"
    assert summary("throughput", found) == "B better by 4.00x"


def test_without_8_bit_the_narrowest_that_is_sure_counts_and_what_is_in_doubt_is_told(decode):
    a = operand("A", *(in_two(decode, dtype, 100.0, "910C") for dtype in ("int8", "bf16", "fp32")))
    b = operand("B", in_two(decode, "int8", 50.0, "H100", flags=["busy"]), in_two(decode, "bf16", 50.0, "H100"),
                in_two(decode, "fp32", 50.0, "H100"))  # fmt: skip
    found = [v for v in every_verdict(a, b) if v.axis == "throughput"]
    assert [(v.precision, v.counted) for v in found] == [("int8", True), ("bf16", True), ("fp32", False)]
    assert summary("throughput", found) == "A better by 2.00x; 1 reading left out: busy"


def test_two_runs_of_one_device_count_every_precision(decode):
    rows = [in_two(decode, dtype, 100.0, "910C") for dtype in ("int8", "bf16")]
    found = [v for v in every_verdict(operand("A", *rows), operand("B", *rows)) if v.axis == "throughput"]
    assert [v.counted for v in found] == [True, True]


def test_kernels_are_no_service_and_every_precision_counts(decode):
    rows = [[in_two(decode, dtype, 100.0, name, phase="kernel") for dtype in ("int8", "bf16")] for name in ("a", "b")]
    found = [v for v in every_verdict(operand("A", *rows[0]), operand("B", *rows[1])) if v.axis == "latency"]
    assert [(v.precision, v.counted) for v in found] == [("", True), ("", True)]
