import msgspec
import numpy as np
import pytest

from bench.measure.rows import modelled_rows
from bench.measure.targets import Swept, own_eight_bit, rows_at_targets, sweep
from bench.results.target import ACROSS, Target
from bench.workloads.sweep import select_cases


def case_of(workload, **axes):
    return select_cases([workload], axes)[0]


def test_the_batch_that_yields_most_in_time_is_taken_and_what_keeps_it_is_told():
    # Batches 1 to 4 yield 1, 1.33, 0.75 and 1.25 a second.
    times = np.array([1.0, 1.5, 4.0, 3.2])
    swept = Swept(times, times, times, "memory capacity")
    assert [swept.best(limit) for limit in (0.5, 1.0, 1.4, 1.5, 9.0)] == [0, 1, 1, 2, 2]
    assert [swept.limit(limit) for limit in (1.4, 1.5)] == ["latency target", "its rate, which grows no further"]


def test_of_rates_within_a_thousandth_the_smaller_batch_waits_less():
    times = np.array([1.0, 1.9999])
    assert Swept(times, times, times, "").best(9.0) == 1


def test_what_is_in_memory_sets_a_batch_whose_rate_still_grows():
    times = np.array([1.0, 1.5])
    assert Swept(times, times, times, "memory capacity").limit(9.0) == "memory capacity"


def test_a_slower_device_holds_a_smaller_batch_in_time():
    # Steps of 10 + b ms within 20 ms: 10 sequences, 500 a second. A fifth slower: 12 + 1.2 b: 6 in 19.2 ms, 312.5.
    # A tenth quicker: 9 + 0.9 b: 12 in 19.8 ms, 606.06.
    times = (10 + np.arange(1, 41)) / 1000
    swept = Swept(times, times * 0.9, times * 1.2, "")
    assert swept.best(0.020) == 10
    assert swept.factors(0.020) == pytest.approx((312.5 / 500, 606.06 / 500), rel=1e-4)


def test_a_device_that_may_not_keep_the_target_at_all_may_yield_nothing():
    times = (10 + np.arange(1, 41)) / 1000
    assert Swept(times, times, times * 2, "").factors(0.020)[0] == 0


@pytest.mark.parametrize("device", ["h100-sxm", "ascend-910c"])
@pytest.mark.parametrize(
    ("workload", "axes"),
    [
        ("deepseek-r1-decode", {"dtype": ["int8"], "context": [4096]}),
        ("deepseek-r1-prefill", {"dtype": ["int8"], "input_len": [1024]}),
        ("qwen3-30b-a3b-decode", {"context": [1024]}),
        ("llama-3.1-8b-prefill", {"input_len": [4096]}),
    ],
)
def test_a_sweep_s_steps_are_those_of_its_rows(workload, axes, device):
    """Drawn or expected routing, one sequence that cannot be halved: what is solved is what is shown."""
    case = case_of(workload, **axes)
    swept = sweep(case, device)
    for batch in (1, 2, 3, 15, 16, 17, 100):
        if batch <= len(swept.step_s):
            row = modelled_rows(msgspec.structs.replace(case, batch=batch), device)[0]
            found = (swept.step_s[batch - 1], swept.least_s[batch - 1], swept.most_s[batch - 1])
            assert found == pytest.approx((row.step_s, *row.interval), rel=1e-12)


def test_a_row_at_a_target_has_the_rates_of_both_ends():
    case = case_of("deepseek-r1-decode", dtype=["int8"], context=[4096])
    die, package = rows_at_targets([case], "ascend-910c", [Target(tpot_s=0.05)])[:2]
    swept = sweep(case, "ascend-910c")
    slow = max(b for b in range(1, len(swept.most_s) + 1) if swept.most_s[b - 1] <= 0.05)
    quick = max(b for b in range(1, len(swept.least_s) + 1) if swept.least_s[b - 1] <= 0.05)
    assert slow < die.batch < quick
    assert die.rate_interval == pytest.approx((slow / swept.most_s[slow - 1], quick / swept.least_s[quick - 1]))
    assert package.rate_interval == pytest.approx([2 * rate for rate in die.rate_interval])
    # The step's own band says far less: it is of one batch.
    assert die.rate_interval[0] < 0.7 * die.batch / die.interval[1]


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
