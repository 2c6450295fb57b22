"""One contract for every adapter, proved without hardware: each vendor's on its fake plugin, in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import msgspec
import pytest

pytest.importorskip("torch")

from bench.devices.adapter import adapter_classes
from bench.devices.sheet import known_sheets, load_sheet
from bench.errors import BenchError
from bench.measure.functional import functional_check
from bench.measure.rows import modelled_rows
from bench.workloads.sweep import select_cases

from .fakes import HERE, VENDORS, environment


def start_script(name, env, *arguments):
    """Start a script of this folder."""
    command = [sys.executable, HERE / name, *arguments]
    return subprocess.Popen(command, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


# Adapter -> the package under it. NVIDIA's and Hygon's devices are torch.cuda's, and so is the fake GPU.
ADAPTERS = {
    "cpu": "", "ascend": "torch_npu", "nvidia": "fake_gpu", "hygon": "fake_gpu", "musa": "torch_musa",
    "gcu": "torch_gcu", "txda": "torch_txda",
}  # fmt: skip
EACH = [pytest.param(name, marks=() if name in ("cpu", "ascend") else pytest.mark.slow) for name in ADAPTERS]
RULES = (
    "a_device_is_found_and_says_who_it_is",
    "twice_the_work_takes_twice_the_time",
    "timing_waits_for_the_work",
    "a_run_finds_none_of_its_operands_in_the_cache",
    "slow_first_runs_are_not_among_the_samples",
    "memory_is_given_back_when_the_operators_are_dropped",
    "memory_is_given_back_after_a_graph",
    "what_telemetry_does_not_tell_is_none_with_its_reason",
    "a_graph_replays_what_was_captured",
    "a_step_that_cannot_be_captured_runs_eagerly_with_the_reason",
    "a_decode_row_has_its_time_by_graph_and_launch_by_launch",
    "layers_that_run_once_stand_for_all_of_their_kind",
    "what_telemetry_does_not_tell_is_null_in_the_row_with_its_reason",
    "a_clock_that_lies_is_caught",
    "a_clock_that_lies_is_caught_where_layers_are_scaled",
    "a_full_memory_is_a_row",
    "a_case_larger_than_the_memory_is_skipped_with_both_sizes",
    "a_device_lost_in_the_middle_is_a_row",
    "an_exception_of_the_vendors_is_a_row_with_its_place",
    "what_the_vendor_has_no_path_for_is_unsupported_with_its_name",
    "a_missing_fused_operator_is_named_or_replaced",
    "every_fused_operator_that_torch_can_stand_for_is_replaced",
    "what_a_fused_kernel_does_not_take_runs_on_torch_and_says_so",
)
# Rules that have no meaning on a device: a clock that is the host's own, a vendor without graphs or fused operators.
OF_THE_CPU = {
    "timing_waits_for_the_work", "a_run_finds_none_of_its_operands_in_the_cache", "memory_is_given_back_after_a_graph",
    "a_graph_replays_what_was_captured", "a_clock_that_lies_is_caught",
    "a_clock_that_lies_is_caught_where_layers_are_scaled", "a_full_memory_is_a_row",
    "a_device_lost_in_the_middle_is_a_row",
}  # fmt: skip
OF_GRAPHS = {"a_step_that_cannot_be_captured_runs_eagerly_with_the_reason"}
OF_FUSED = {
    "a_missing_fused_operator_is_named_or_replaced",
    "every_fused_operator_that_torch_can_stand_for_is_replaced",
    "what_a_fused_kernel_does_not_take_runs_on_torch_and_says_so",
}
LEFT_OUT = {"cpu": OF_THE_CPU | OF_GRAPHS | OF_FUSED, "txda": OF_GRAPHS | OF_FUSED, "ascend": set()}

DTYPES = {"ascend": {"bf16", "fp16", "fp32", "int8"}, "nvidia": {"bf16", "fp16", "fp32", "int8", "fp8"}}
COMMON = {"bf16", "fp16", "fp32"}
# What must be among the implementations of a vendor that brings its own.
FUSED = {
    "ascend": {
        f"torch_npu.{name}"
        for name in (
            "npu_rms_norm", "npu_add_rms_norm", "npu_rotary_mul", "npu_swiglu", "npu_dynamic_quant", "npu_quant_matmul",
            "npu_transpose_batchmatmul", "npu_grouped_matmul", "npu_fused_infer_attention_score", "npu_moe_gating_top_k",
        )
    } | {"FRACTAL_NZ"},
    "nvidia": {
        "torch._scaled_mm, scales by row", "torch._int_mm, scaled after", "torch._scaled_grouped_mm, scales by row",
    },
}  # fmt: skip
# Attention of the fused kernel itself, and not of what stands in for it: prompts, prefixes, windows, latent caches.
ATTENTION = {
    "decode bf16": "attention_decode", "prefill bf16": "attention_prefill", "prefix fp16": "attention_prefill",
    "sliding-prefill bf16": "attention_prefill", "sliding-decode bf16": "attention_decode",
    "latent-decode bf16": "mla_decode", "latent-prefill bf16": "mla_prefill", "decode int8": "attention_decode",
}  # fmt: skip


@pytest.fixture(scope="module")
def told(request, tmp_path_factory):
    """What a vendor's process found out, run once each; while one is read, that of the next runs."""
    called = (getattr(item, "callspec", None) for item in request.session.items if item.module is request.module)
    wanted = {spec.params.get("name") for spec in called if spec is not None}
    queue = [name for name in ADAPTERS if name in wanted]
    started, known = {}, {}

    def start(name):
        if name in started:
            return
        package, named = ADAPTERS[name], {"FAKE_DEVICE_NAME": "BW1000"} if name == "hygon" else {}
        env = {key: value for key, value in os.environ.items() if not key.startswith("FAKE_")}
        if package:
            folder = tmp_path_factory.mktemp(name)
            env = environment(package, folder, FAKE_CACHE_BYTES=4096, FAKE_OP_SECONDS=2e-5, **named)
        started[name] = start_script("adapter_rules.py", env | {"OMP_NUM_THREADS": "1"}, name)

    def of(name):
        if name not in known:
            start(name)
            for following in queue[queue.index(name) + 1 :][:1] if name in queue else ():
                start(following)
            out, complaint = started[name].communicate(timeout=300)
            assert started[name].returncode == 0, complaint[-3000:]
            known[name] = json.loads(out.splitlines()[-1])
        return known[name]

    yield of
    for process in started.values():
        if process.poll() is None:
            process.kill()
            process.communicate()


def test_the_contract_is_asked_of_every_adapter_that_is_shipped():
    shipped = {name for name, cls in adapter_classes().items() if cls.__module__.startswith("bench.")}
    assert shipped == set(ADAPTERS)
    assert {package for package in ADAPTERS.values() if package} == set(VENDORS)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", EACH)
def test_the_adapter_keeps_the_rule(told, name, rule):
    outcome = told(name)["rules"][rule]
    if rule in LEFT_OUT.get(name, OF_FUSED):
        assert outcome.startswith("-"), outcome
    else:
        assert outcome == ""


def test_every_rule_is_asked_for(told):
    assert set(told("cpu")["rules"]) == set(RULES)


@pytest.mark.parametrize("name", EACH)
def test_operands_have_the_same_bytes_on_the_device_as_on_the_cpu(told, name):
    dtypes = DTYPES.get(name, COMMON)
    operands = told(name)["operands"]
    assert {dtype: text for dtype, text in operands.items() if dtype in dtypes} == dict.fromkeys(dtypes, "")
    assert all(operands[dtype].startswith("-") for dtype in operands.keys() - dtypes)


@pytest.mark.parametrize("name", EACH)
def test_every_program_answers_what_the_float32_reference_does(told, name):
    programs = told(name)["programs"]
    wrong = {key: at for key, at in programs.items() if not at.get("correct") and "unsupported" not in at}
    assert wrong == {}
    assert sum(at.get("correct", False) for at in programs.values()) >= 27


@pytest.mark.parametrize("name", EACH)
def test_only_what_has_no_path_is_unsupported(told, name):
    refused = {key: at["unsupported"] for key, at in told(name)["programs"].items() if "unsupported" in at}
    dtypes = DTYPES.get(name, COMMON)
    within = {key: why for key, why in refused.items() if key.split()[1] in dtypes and key.split()[0] != "several"}
    # torch has no grouped int8 product on CUDA; every expert's program in int8 needs one.
    reasons = {"torch has no grouped int8 product on CUDA"} if name == "nvidia" else set()
    assert set(within.values()) == reasons
    assert all(key.endswith(" int8") for key in within)
    assert all(key.split()[1] in why for key, why in refused.items() if key.split()[1] not in dtypes)


@pytest.mark.parametrize("name", EACH)
def test_rows_name_the_implementations_that_ran(told, name):
    programs = told(name)["programs"]
    used = {how for at in programs.values() for how in at.get("used", {}).values()}
    assert used
    assert FUSED.get(name, set()) - used == set()
    if name == "ascend":
        fused = {key: programs[key]["used"].get(operator) for key, operator in ATTENTION.items()}
        assert fused == dict.fromkeys(ATTENTION, "torch_npu.npu_fused_infer_attention_score")


# -- emulated: what the contract means for a device that is priced and not run ----------------------------------------


@pytest.mark.parametrize("sheet", ["ascend-910c", "ascend-910b3", "h100-sxm", "h20"])
def test_a_modelled_row_is_the_same_every_time_and_never_a_measured_one(sheet):
    (case,) = select_cases(["mini-mla-moe-decode"], {"batch": [8], "context": [1024]})
    rows, again = modelled_rows(case, sheet), modelled_rows(case, sheet)
    assert msgspec.json.encode(rows) == msgspec.json.encode(again)
    for row in rows:
        assert (row.status, row.source) == ("ok", "modelled")
        assert row.tier in ("calibrated", "transferred", "sheet")
        assert row.interval[0] <= row.step_s <= row.interval[1]
        for field in ("samples_s", "correct", "launch", "eager_step_s", "power_w", "memory_peak_bytes", "warmup_s"):
            assert getattr(row, field) is None, field
        assert row.operators == {}


def test_what_a_sheet_has_no_figure_for_is_no_time():
    (case,) = select_cases(["mini-dense-decode"], {"batch": [8], "context": [1024]})
    for row in modelled_rows(case, "tsingmicro-tx81"):
        assert (row.status, row.step_s, row.source) == ("unsupported", None, "modelled")
        assert "tsingmicro-tx81" in row.reason


def test_twice_the_work_is_modelled_as_more_time_on_every_sheet():
    small, large = select_cases(["mini-dense-decode"], {"batch": [8], "context": [1024, 4096]})
    for sheet in known_sheets():
        if load_sheet(sheet).peak_flops("bf16") is None:
            continue
        try:
            times = [modelled_rows(case, sheet)[0].step_s for case in (small, large)]
        except BenchError as error:
            pytest.fail(f"{sheet}: {error}")
        assert None in times or times[0] < times[1], sheet


@pytest.mark.parametrize("workload", ["mini-dense-prefill", "mini-moe-decode", "gemm"])
def test_the_program_that_is_priced_computes_what_the_reference_does(workload):
    checked = functional_check(select_cases([workload])[0])
    assert checked.correct, checked.detail
