"""Rows from cases: identity, work, and modelled rows on a sheet of a person's own."""

from __future__ import annotations

import itertools

import msgspec
import pytest

from bench.devices.sheet import load_sheet
from bench.measure.rows import case_of, modelled_rows, new_row, price_step, set_work
from bench.operators.cost import read_cost
from bench.workloads.deployment import Deployment
from bench.workloads.routing import Routing
from bench.workloads.schema import Case

SHEET = """
name = "Mine"
vendor = "Me"
adapter = "nvidia"
torch_device = "cuda"
checked = "2026-11-21"
unit = "die"
devices_per_package = 2

[peak_tflops]
bf16 = { value = 100, source = "a test", confidence = "A" }

[memory]
size_gb = { value = 80, source = "a test", confidence = "A" }
bandwidth_gb_per_s = { value = 1000, source = "a test", confidence = "A" }
"""


@pytest.fixture(autouse=True)
def sheet(project):
    """Put the sheet of a device of two dies into the project folder; return a function that changes it."""

    def write(before: str = "", after: str = "") -> None:
        assert before in SHEET
        (project / "devices").mkdir(exist_ok=True)
        (project / "devices" / "mine.toml").write_text(SHEET.replace(before, after))

    write()
    return write


def gemm(dtype: str = "bf16") -> Case:
    return Case(workload="tiny", phase="kernel", kernel="gemm", dtype=dtype, dims={"m": 4, "n": 8, "k": 16})


def decode(model: str = "tiny-dense", **deployment: int) -> Case:
    return Case(
        workload="tiny", phase="decode", dtype="bf16", model=model, batch=2, input_len=1, context=8,
        routing=Routing() if "moe" in model else None, deployment=Deployment(**deployment),
    )  # fmt: skip


def row_of(case: Case):
    return new_row(case, device="mine", device_name="Mine", unit="die", source="measured")


@pytest.mark.parametrize("case", [gemm(), decode(), decode("tiny-moe", dp=2, ep=2), decode(tp=2, layers=1)])
def test_a_row_carries_its_whole_case(case):
    row = row_of(case)
    assert case_of(row) == case
    assert (row.case_id, row.definition_hash) == (case.case_id, case.definition_hash)


def test_a_new_row_is_an_error_until_something_better_is_known():
    row = row_of(gemm())
    assert (row.status, row.step_s, row.flops) == ("error", None, None)


def test_work_is_that_of_one_step():
    # gemm in bf16: 2 * 4 * 8 * 16 FLOP, (64 + 128) * 2 B read, 32 * 2 B written.
    row, case = row_of(gemm()), gemm()
    set_work(row, read_cost(case.program(), case.step(), case.dtype))
    assert (row.flops, row.read_bytes, row.written_bytes, row.link_bytes) == (1024, 384, 64, 0)


def test_alike_layers_are_one_kernel_with_a_count():
    row, case = row_of(decode()), decode()
    set_work(row, read_cost(case.program(), case.step(), case.dtype))
    counts = {kernel.name: kernel.count for kernel in row.kernels}
    assert counts["qkv_proj"] == 4
    assert counts["lm_head"] == 1
    assert sum(kernel.flops * kernel.count for kernel in row.kernels) == row.flops


def test_a_modelled_row_says_that_it_is_modelled_how_and_how_sure():
    row = modelled_rows(decode(), "mine")[0]
    assert (row.status, row.source) == ("ok", "modelled")
    assert row.tier is not None
    assert row.samples_s is None
    assert row.interval[0] <= row.step_s <= row.interval[1]
    assert row.interval[0] < row.interval[1]


def test_a_package_of_two_dies_takes_as_long_and_yields_twice_the_tokens():
    die, package = modelled_rows(decode(), "mine")
    assert (die.unit, die.devices, package.unit, package.devices) == ("die", 1, "package", 2)
    assert package.step_s == die.step_s
    assert package.output_tokens_per_s == pytest.approx(2 * die.output_tokens_per_s)
    assert (package.flops, package.memory_bytes) == (2 * die.flops, 2 * die.memory_bytes)
    assert package.mfu == die.mfu


def test_a_device_that_is_its_own_package_has_one_row(sheet):
    sheet("devices_per_package = 2", "devices_per_package = 1")
    assert [row.unit for row in modelled_rows(decode(), "mine")] == ["die"]


def test_a_case_that_does_not_fit_the_sheets_memory_is_skipped_with_need_and_room(sheet):
    # w 8 * 16 * 2 = 256 B and three times the result 4 * 8 * 2 = 192 B; nine tenths of 400 B are usable.
    sheet("value = 80", "value = 4e-7")
    row = modelled_rows(gemm(), "mine")[0]
    assert row.status == "skipped"
    assert row.reason == "needs 448 B a device, 360 B usable of 400 B (devices/mine.toml)"
    assert row.step_s is None


def test_a_precision_that_the_sheet_gives_no_peak_for_is_unsupported_with_the_sheets_name():
    row = modelled_rows(gemm("fp8"), "mine")[0]
    assert (row.status, row.step_s) == ("unsupported", None)
    assert "fp8" in row.reason
    assert "devices/mine.toml" in row.reason


def test_utilization_is_of_the_sheet():
    # 1024 FLOP in step_s of 100e12, 448 B of 1000e9.
    row = modelled_rows(gemm(), "mine")[0]
    assert row.mfu == pytest.approx(1024 / row.step_s / 100e12)
    assert row.mbu == pytest.approx(448 / row.step_s / 1000e9)


def test_one_of_several_devices_says_so(sheet):
    links = '[link]\npeer_gb_per_s = { value = 100, source = "a test", confidence = "A" }\n\n[memory]'
    sheet("[memory]", links)
    row = modelled_rows(decode(tp=2), "mine")[0]
    assert row.status == "ok"
    assert row.scope.startswith("one device of 2, links included")


def test_modelling_twice_gives_the_same_numbers():
    assert modelled_rows(decode(), "mine") == modelled_rows(decode(), "mine")


@pytest.mark.parametrize("device", ["ascend-910c", "h100-sxm"])
@pytest.mark.parametrize("dtype", ["int8", "bf16"])
def test_a_step_of_more_tokens_takes_longer_where_draws_end_and_expectations_begin(device, dtype):
    """128 to 8,192 tokens. Up to 1,953 of 256 experts are drawn, more are expected: both of one and the same rank."""
    deployment = Deployment(dp=128, ep=128, scale_out_gb_per_s=50)
    case = Case(
        workload="t", phase="decode", model="deepseek-r1", dtype=dtype, batch=1, context=4096, deployment=deployment,
        routing=Routing(),
    )  # fmt: skip

    def grows(cases):
        steps = [float(price_step(case, case.step(), device, load_sheet(device)).step_s) for case in cases]
        return all(more > fewer for fewer, more in itertools.pairwise(steps))

    assert grows(msgspec.structs.replace(case, batch=batch) for batch in range(1, 65))
    prompt = msgspec.structs.replace(case, phase="prefill", deployment=Deployment(dp=32, ep=32, scale_out_gb_per_s=50))
    lengths = (4, 8, 16, 32, 48, 56, 60, 61, 62, 64, 72, 80, 96, 128, 192, 256)
    assert grows(msgspec.structs.replace(prompt, input_len=n, context=n) for n in lengths)
