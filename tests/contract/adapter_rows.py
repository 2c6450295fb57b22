"""What becomes of a case on an adapter, whatever happens: the rows that a run writes down."""

from __future__ import annotations

from typing import Any

import torch
from adapter_setup import CPU, case_of, changed, faulty, machine, row_of, rule

from bench.measure.correctness import Plan, check
from bench.operators.interface import Gate, Step

NO_FAULTS = "the CPU is no fake"
NOT_FUSED = "its operators are torch's own"
# What torch's own operators can stand for: a workload of this folder, its dtype, and the kernel that is taken away.
REPLACED = (
    ("experts", "bf16", "npu_rms_norm"), ("experts", "bf16", "npu_add_rms_norm"), ("experts", "bf16", "npu_rotary_mul"),
    ("experts", "bf16", "npu_fused_infer_attention_score"), ("prefill", "bf16", "npu_fused_infer_attention_score"),
    ("latent-decode", "bf16", "npu_fused_infer_attention_score"), ("latent-decode", "bf16", "npu_transpose_batchmatmul"), ("experts", "bf16", "npu_moe_gating_top_k"),
    ("experts", "bf16", "npu_format_cast"), ("product", "int8", "npu_dynamic_quant"),
)  # fmt: skip


def is_fine(row: Any) -> None:
    assert row.status == "ok", f"{row.status}: {row.reason}"
    assert row.correct is True, row.correct_detail
    assert row.step_s > 0


@rule
def a_decode_row_has_its_time_by_graph_and_launch_by_launch(device: Any) -> str | None:
    row = row_of(device, "decode")
    is_fine(row)
    assert row.samples_s
    assert row.operators
    if device.name == CPU:
        assert (row.launch, row.eager_step_s) == (None, None)
    elif device.graph:
        assert (row.launch, row.launch_reason) == ("graph", None)
        assert row.eager_step_s > 0
    else:
        assert row.launch == "eager"
        assert "captures no graphs" in row.launch_reason
        assert row.eager_step_s is None
    return None


@rule
def layers_that_run_once_stand_for_all_of_their_kind(device: Any) -> None:
    row = row_of(device, "decode", deployment={"layers": 1})
    is_fine(row)
    assert row.scope == "1 of 2 dense layers run, scaled", row.scope


@rule
def what_telemetry_does_not_tell_is_null_in_the_row_with_its_reason(device: Any) -> None:
    row = row_of(device, "product")
    is_fine(row)
    for field in ("power_w", "device_utilization", "temperature_c", "clock_hz"):
        assert getattr(row, field) != 0 or field == "device_utilization", field
        if getattr(row, field) is None:
            assert row.telemetry_missing[field], field
    assert row.joules_per_token is None or row.power_w is not None
    known = device.memory_peak() is not None
    assert (row.memory_peak_bytes is not None) == known
    assert row.memory_peak_bytes != 0


@rule
def a_clock_that_lies_is_caught(device: Any) -> str | None:
    if device.name == CPU:
        return NO_FAULTS
    # A device that is not waited for is seen by work that takes far longer than a host may hesitate.
    for clock, each_s in (("lies", 1e-3), ("stuck", 1e-3), ("unsynchronized", 2e-2)):
        with faulty(clock=clock, op_seconds=each_s):
            row = row_of(device, "product")
        assert row.status == "error", f"{clock}: {row.status}, {row.reason}"
        assert row.reason.startswith(f"the clock of {device.name} "), f"{clock}: {row.reason}"
        assert row.step_s is None
    return None


@rule
def a_clock_that_lies_is_caught_where_layers_are_scaled(device: Any) -> str | None:
    if device.name == CPU:
        return NO_FAULTS
    with faulty(clock="lies"):
        row = row_of(device, "decode", deployment={"layers": 1})
    assert (row.status, row.reason.split(" says")[0]) == ("error", f"the clock of {device.name}"), row.reason
    return None


@rule
def a_full_memory_is_a_row(device: Any) -> str | None:
    if device.name == CPU:
        return NO_FAULTS
    memory = machine().memories[0]
    with changed(memory, "total", memory.allocated + 40_000), changed(type(device), "memory_room", lambda _: 10**9):
        row = row_of(device, "decode")
    assert row.status == "oom", f"{row.status}: {row.reason}"
    assert "out of memory. Tried to allocate" in row.reason
    is_fine(row_of(device, "product"))
    return None


@rule
def a_case_larger_than_the_memory_is_skipped_with_both_sizes(device: Any) -> None:
    with changed(type(device), "memory_room", lambda _: 1000):
        row = row_of(device, "decode")
    assert row.status == "skipped", f"{row.status}: {row.reason}"
    assert row.reason.startswith("needs ")
    assert row.reason.endswith("1.00 kB to be had")


@rule
def a_device_lost_in_the_middle_is_a_row(device: Any) -> str | None:
    if device.name == CPU:
        return NO_FAULTS
    for after in (0, 200):
        with faulty(lost_after=after) as own:
            row = row_of(device, "decode")
        assert row.status == "error", f"after {after}: {row.status}"
        assert own.vendor.lost.split(":")[0] in row.reason, f"after {after}: {row.reason}"
        assert row.step_s is None
    is_fine(row_of(device, "product"))
    return None


@rule
def an_exception_of_the_vendors_is_a_row_with_its_place(device: Any) -> str | None:
    def failing(*_: Any, **__: Any) -> Any:
        raise RuntimeError("the vendor's library is of another version")

    def lacking(*_: Any, **__: Any) -> Any:
        raise NotImplementedError("aten::linear")

    with changed(torch.nn.functional, "linear", failing):
        row = row_of(device, "product", "fp32" if device.name == CPU else "bf16")
    if device.name != CPU:
        assert row.status == "error", row.status
        assert row.reason.startswith("RuntimeError: the vendor's library is of another version ("), row.reason
        with changed(torch.nn.functional, "linear", lacking):
            row = row_of(device, "product")
        assert (row.status, row.reason) == ("unsupported", "an operator is missing here: aten::linear")
    is_fine(row_of(device, "product"))
    return None


@rule
def what_the_vendor_has_no_path_for_is_unsupported_with_its_name(device: Any) -> None:
    paths = getattr(device, "dtypes", ("bf16", "fp16", "fp32"))
    for dtype in ("int8", "fp8"):
        row = row_of(device, "product", dtype)
        assert row.status == ("ok" if dtype in paths else "unsupported"), f"{dtype}: {row.status}, {row.reason}"
        assert dtype in paths or dtype in row.reason, row.reason
    row = row_of(device, "several")
    assert (row.status, row.reason) == ("unsupported", "all-reduce over 2 devices cannot be measured on one device")


@rule
def a_missing_fused_operator_is_named_or_replaced(device: Any) -> str | None:
    if device.name != "npu:0":
        return NOT_FUSED
    import torch_npu

    with changed(torch_npu, "npu_grouped_matmul", ...):
        row = row_of(device, "experts")
    assert row.status == "unsupported", f"{row.status}: {row.reason}"
    assert row.reason == "the installed torch_npu has no npu_grouped_matmul, which a product of experts needs"
    with changed(torch_npu, "npu_swiglu", ...):
        row = row_of(device, "experts")
    is_fine(row)
    assert row.operators["npu_swiglu"] == "missing in the installed torch_npu: torch's own operators instead"
    row = row_of(device, "experts")
    is_fine(row)
    assert row.operators["swiglu"] == "torch_npu.npu_swiglu"
    return None


@rule
def every_fused_operator_that_torch_can_stand_for_is_replaced(device: Any) -> str | None:
    if device.name != "npu:0":
        return NOT_FUSED
    import torch_npu

    for workload, dtype, name in REPLACED:
        case = case_of(workload, dtype)
        program, step = case.program(), case.step()
        with changed(torch_npu, name, ...):
            operators = device.operators(step, dtype, 1, None)
            checked = check(program, operators, Plan(step, None, "all"), dtype)
        assert checked.correct, f"{name}: {checked.detail}"
        assert f"torch_npu.{name}" not in operators.used.values()
        assert name == "npu_format_cast" or operators.used[name].startswith("missing "), f"{name}: {operators.used}"
    return None


@rule
def what_a_fused_kernel_does_not_take_runs_on_torch_and_says_so(device: Any) -> str | None:
    if device.name != "npu:0":
        return NOT_FUSED
    operators = device.operators(Step("decode", 1, 1, 24), "bf16", 1, None)
    x = torch.ones(2, 512 * 128, dtype=torch.bfloat16, device=device.name)
    weight = torch.ones(512, 128, 128, dtype=torch.bfloat16, device=device.name)
    assert operators.head_linear(x, weight, name="heads").shape == (2, 512 * 128)
    experts, _ = operators.choose(torch.rand(2, 16).to(device.name), None, Gate(2, "sigmoid", True, 1.0, 8, 4))
    assert experts.shape == (2, 2)
    keys = torch.ones(1, 1, 24, 24, dtype=torch.bfloat16, device=device.name)
    operators.attention_decode(torch.ones_like(keys)[:, :, :4], keys, keys, 1.0, None)
    limits = {how.split(":")[0]: what for what, how in operators.used.items() if how.endswith("own operators instead")}
    assert limits == {
        "rows of 512 * 128": "head_linear, not npu_transpose_batchmatmul",
        "16 experts in 8 groups": "route, not npu_moe_gating_top_k",
        "heads of 24 and 24": "attention_decode, not npu_fused_infer_attention_score",
    }, operators.used
    program, step = case_of("decode").program(), case_of("decode").step()
    operators = device.operators(step, "fp32", 1, None)
    program(operators)
    assert operators.used["attention_decode, not npu_fused_infer_attention_score"].startswith("float32: ")
    return None
