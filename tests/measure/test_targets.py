import msgspec
import numpy as np
import pytest

from bench.measure.rows import modelled_rows
from bench.measure.targets import Swept, own_eight_bit, rows_at_targets, sweep
from bench.results.target import ACROSS, Target
from bench.workloads.sweep import select_cases


def case_of(workload, **axes):
    return select_cases([workload], axes)[0]


def test_the_largest_batch_in_time_is_counted_and_what_ends_it_is_told():
    swept = Swept(np.array([1.0, 2.0, 3.0]), "memory capacity")
    assert [swept.largest(limit) for limit in (0.5, 1.0, 2.9, 9.0)] == [0, 1, 2, 3]
    assert [swept.limit(limit) for limit in (2.9, 9.0)] == ["latency target", "memory capacity"]


def test_one_more_sequence_would_be_late():
    case = case_of("llama-3.1-8b-decode", context=[1024])
    (row,) = rows_at_targets([case], "h100-sxm", [Target(tpot_s=0.02)])
    (more,) = modelled_rows(msgspec.structs.replace(case, batch=row.batch + 1), "h100-sxm")
    assert row.step_s <= 0.02 < more.step_s


def test_prefill_is_solved_at_the_first_token_limit_with_what_is_cached_before_it():
    plain = case_of("llama-3.1-8b-prefill", input_len=[1024])
    (row,) = rows_at_targets([plain], "h100-sxm", [Target(ttft_s=0.2)])
    assert row.batch > 1
    assert row.step_s <= 0.2
    assert row.prompt_tokens_per_s == pytest.approx(row.batch * 1024 / row.step_s)
    cached = case_of("llama-3.1-8b-prefill", input_len=[1024], prefix=[16384])
    (longer,) = rows_at_targets([cached], "h100-sxm", [Target(ttft_s=0.2)])
    assert longer.batch < row.batch


def test_a_prefill_stands_once_though_two_targets_share_its_limit():
    plain = case_of("llama-3.1-8b-prefill", input_len=[1024])
    two = [Target(tpot_s=0.03, ttft_s=0.2), Target(tpot_s=0.05, ttft_s=0.2)]
    assert [row.case_id.count("ttft<=200ms") for row in rows_at_targets([plain], "h100-sxm", two)] == [1]
    decode = case_of("llama-3.1-8b-decode", context=[1024])
    assert len(rows_at_targets([decode], "h100-sxm", two)) == 2


def test_a_first_token_limit_that_the_prompt_misses_leaves_no_decode_number():
    case = case_of("llama-3.1-8b-decode", context=[16384])
    (row,) = rows_at_targets([case], "h100-sxm", [Target(tpot_s=0.05, ttft_s=0.01)])
    assert (row.status, row.output_tokens_per_s) == ("skipped", None)
    assert row.reason.startswith("a prompt of 16384 tokens takes ~")
    assert row.reason.endswith("more than ttft=10 ms")


def test_whether_a_target_is_kept_is_open_where_the_interval_of_one_sequence_reaches_across_it():
    """One sequence is the fastest there is: where its interval holds the limit, nobody knows who keeps it."""
    case = case_of("llama-3.1-8b-decode", context=[1024], batch=[1])
    (one,) = modelled_rows(case, "h100-sxm")
    low, high = one.interval
    limits = (0.99 * low, (low + one.step_s) / 2, (one.step_s + high) / 2, 1.01 * high)
    found = [rows_at_targets([case], "h100-sxm", [Target(tpot_s=limit)])[0] for limit in limits]
    assert [(row.status, ACROSS in row.flags) for row in found] == [
        ("skipped", False), ("skipped", True), ("ok", True), ("ok", False),
    ]  # fmt: skip


def test_whether_decode_may_start_is_open_where_the_prompt_s_interval_reaches_across_its_limit():
    case = case_of("llama-3.1-8b-decode", context=[1024], batch=[1])
    (prompt,) = modelled_rows(case_of("llama-3.1-8b-prefill", input_len=[1024], batch=[1]), "h100-sxm")
    low, high = prompt.interval
    limits = (0.99 * low, (low + prompt.step_s) / 2, (prompt.step_s + high) / 2, 1.01 * high)
    found = [rows_at_targets([case], "h100-sxm", [Target(tpot_s=1.0, ttft_s=limit)])[0] for limit in limits]
    assert [(row.status, ACROSS in row.flags) for row in found] == [
        ("skipped", False), ("skipped", True), ("ok", True), ("ok", False),
    ]  # fmt: skip


def test_a_target_without_a_first_token_limit_solves_no_prefill():
    assert rows_at_targets([case_of("llama-3.1-8b-prefill")], "h100-sxm", [Target(tpot_s=0.05)]) == []


def test_memory_ends_the_sweep_where_the_target_is_generous():
    swept = sweep(case_of("llama-3.1-8b-decode", context=[16384]), "h100-sxm")
    assert swept.limit(1e9) == "memory capacity"
    # 72 GB usable less 16 GB of weights, in caches of 2.15 GB.
    assert len(swept.step_s) == 26


def test_each_device_has_its_own_eight_bit():
    assert (own_eight_bit("h100-sxm"), own_eight_bit("ascend-910c")) == ("fp8", "int8")
