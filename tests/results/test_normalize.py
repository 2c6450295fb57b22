"""Derived numbers of a row, each worked out by hand."""

from __future__ import annotations

import pytest

from bench.results.normalize import (
    bandwidth_utilization,
    fill_energy,
    fill_rates,
    fill_utilization,
    flops_utilization,
    normalized,
)


def test_half_the_peak_is_half_used():
    # 1e12 FLOP in 2 ms are 5e14 FLOP/s of 1e15.
    assert flops_utilization(1e12, 2e-3, 1e15) == 0.5


def test_utilization_above_the_peak_is_shown_not_clipped():
    # 3 GB in 1 ms are 3 TB/s of 2 TB/s.
    assert bandwidth_utilization(3e9, 1e-3, 2e12) == pytest.approx(1.5)


def test_a_decode_step_of_eight_sequences_in_4_ms_yields_2000_output_tokens_per_second(row):
    each = row(batch=8, step_s=0.004)
    fill_rates(each)
    assert each.output_tokens_per_s == 2000
    assert each.tpot_s == 0.004


def test_decode_yields_no_prompt_tokens(row):
    each = row(batch=8, step_s=0.004)
    fill_rates(each)
    assert each.prompt_tokens_per_s is None
    assert each.ttft_s is None


def test_prefill_of_two_prompts_of_512_in_a_quarter_second_is_4096_prompt_tokens_per_second(row):
    each = row(phase="prefill", batch=2, input_len=512, context=512, step_s=0.25)
    fill_rates(each)
    assert each.prompt_tokens_per_s == 4096
    assert each.ttft_s == 0.25
    assert each.output_tokens_per_s is None


def test_tokens_already_cached_are_not_processed_again(row):
    each = row(phase="prefill", batch=1, input_len=100, context=1100, step_s=0.5)
    fill_rates(each)
    assert each.prompt_tokens_per_s == 200


def test_each_of_four_tensor_parallel_devices_has_a_quarter_of_the_tokens(row):
    each = row(batch=8, step_s=0.004, deployment={"tp": 4, "dp": 2})
    fill_rates(each)
    assert each.output_tokens_per_s == 500


def test_a_package_of_two_dies_yields_twice_one_dies_tokens(row):
    each = row(batch=8, step_s=0.004)
    fill_rates(each, devices_in_unit=2)
    assert each.output_tokens_per_s == 4000
    assert each.tpot_s == 0.004


@pytest.mark.parametrize("phase", ["kernel", "moe"])
def test_a_part_of_a_model_has_no_token_rate(phase, row):
    each = row(phase=phase, batch=8, step_s=0.004)
    fill_rates(each)
    assert (each.tpot_s, each.ttft_s, each.output_tokens_per_s, each.prompt_tokens_per_s) == (None,) * 4


def test_a_row_without_time_has_no_rates(row):
    each = row(status="oom")
    fill_rates(each)
    assert each.output_tokens_per_s is None


def test_utilization_of_the_sheets_peaks(row):
    # 2e12 FLOP in 4 ms: 5e14 of 1e15. 1e9 + 1e9 bytes in 4 ms: 5e11 of 2e12.
    each = row(step_s=0.004, flops=2e12, read_bytes=1e9, written_bytes=1e9)
    fill_utilization(each, 1e15, 2e12, achieved=False)
    assert (each.mfu, each.mbu) == (0.5, 0.25)
    assert (each.mfu_achieved, each.mbu_achieved) == (None, None)


def test_utilization_of_achieved_peaks_is_kept_apart(row):
    each = row(step_s=0.004, flops=2e12, read_bytes=1e9, written_bytes=1e9)
    fill_utilization(each, 1e15, 2e12, achieved=True)
    assert (each.mfu_achieved, each.mbu_achieved) == (0.5, 0.25)
    assert (each.mfu, each.mbu) == (None, None)


def test_utilization_of_a_peak_that_nobody_published_is_missing(row):
    each = row(step_s=0.004, flops=2e12, read_bytes=1e9, written_bytes=1e9)
    fill_utilization(each, None, 2e12, achieved=False)
    assert (each.mfu, each.mbu) == (None, 0.25)
    assert each.bound is None


def test_a_copy_has_bandwidth_utilization_and_no_flops_utilization(row):
    each = row(phase="kernel", step_s=0.004, flops=0.0, read_bytes=1e9, written_bytes=1e9)
    fill_utilization(each, 1e15, 2e12, achieved=False)
    assert (each.mfu, each.mbu) == (None, 0.25)
    assert each.bound == "memory"


@pytest.mark.parametrize(
    ("flops", "bound"),
    # Peaks of 1e15 FLOP/s and 1e12 B/s meet at 1000 FLOP a byte; the step moves 1e9 bytes.
    [(0.9e12, "memory"), (1.1e12, "compute")],
)
def test_the_higher_roof_names_the_bound(flops, bound, row):
    each = row(step_s=0.004, flops=flops, read_bytes=1e9, written_bytes=0.0)
    fill_utilization(each, 1e15, 1e12, achieved=False)
    assert each.bound == bound


def test_a_bound_that_is_known_is_kept(row):
    each = row(step_s=0.004, flops=2e12, read_bytes=1e9, written_bytes=1e9, bound="launch")
    fill_utilization(each, 1e15, 2e12, achieved=False)
    assert each.bound == "launch"


def test_350_watts_at_1400_tokens_per_second_are_a_quarter_joule_a_token(row):
    each = row(power_w=350.0, output_tokens_per_s=1400.0)
    fill_energy(each)
    assert each.joules_per_token == 0.25


def test_energy_without_a_power_sensor_is_missing(row):
    each = row(output_tokens_per_s=1400.0)
    fill_energy(each)
    assert each.joules_per_token is None


def test_energy_of_a_kernel_is_not_given_per_token(row):
    each = row(phase="kernel", power_w=350.0, step_s=0.1)
    fill_energy(each)
    assert each.joules_per_token is None


def by_what(found):
    return {each.per: each for each in found}


def test_a_package_of_two_dies_is_normalized_to_one_device(row):
    package = row(
        phase="decode", unit="package", devices=2, step_s=0.02, interval=(0.016, 0.025), output_tokens_per_s=2000.0,
        power_w=500.0, power_basis="board",
    )  # fmt: skip
    found = by_what(
        normalized(package, devices_in_package=2, devices_in_node=16, peak_flops=250e12, peak_bytes_per_s=1600e9)
    )
    assert [each.value for each in found.values()] == [1000, 2000, 16000, 4, 0.625, 4]
    assert found["device"].interval == pytest.approx((800, 1250))
    assert found["TFLOP/s"].basis == "published dense bf16 peak, 250 TFLOP/s a device"
    assert found["W"].basis == "measured: board"


def test_what_nobody_published_or_measured_is_no_number_with_the_reason(row):
    found = by_what(normalized(row(output_tokens_per_s=1000.0)))
    assert {each.per: each.basis for each in found.values() if each.value is None} == {
        "node": "devices in a node not given", "TFLOP/s": "no published dense bf16 peak",
        "GB/s": "no published memory bandwidth", "W": "no measured power",
    }  # fmt: skip
    assert found["device"].interval is None


def test_design_power_is_labelled_and_hides_no_measured_one_by_itself(row):
    measured = row(output_tokens_per_s=1000.0, power_w=500.0)
    assert by_what(normalized(measured))["W"].value == 2
    chosen = by_what(normalized(measured, tdp_w=1000.0))["W"]
    assert (chosen.value, chosen.basis) == (1, "design power (TDP), not measured")


def test_a_row_without_tokens_is_normalized_to_nothing(row):
    assert {each.value for each in normalized(row(phase="kernel"), peak_flops=1e12)} == {None}


def test_bytes_alone_give_a_share_of_the_bandwidth_and_no_bound(row):
    only = row(step_s=0.5, read_bytes=100.0, written_bytes=50.0)
    fill_utilization(only, 1e3, 600.0, achieved=False)
    assert (only.mfu, only.mbu, only.bound) == (None, 0.5, None)


def test_a_row_at_a_target_is_normalized_with_what_it_may_yield_there(row):
    at = row(output_tokens_per_s=100.0, rate_interval=(0.0, 150.0), step_s=1.0, interval=(0.9, 1.1))
    assert by_what(normalized(at, devices_in_package=2))["package"].interval == (0.0, 300.0)
