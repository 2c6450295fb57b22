"""No modelled kernel is faster than the peaks of its device, whatever another device's numbers say."""

from __future__ import annotations

import pytest

from bench import project
from bench.devices.emulated.form import USUAL_CACHE_MB
from bench.devices.sheet import Sheet, known_sheets, load_sheet
from bench.errors import Unsupported
from bench.measure.rows import price_step
from bench.operators.kernel import Kernel
from bench.workloads.deployment import Deployment
from bench.workloads.routing import Routing
from bench.workloads.schema import Case
from bench.workloads.sweep import select_cases


def test_numbers_of_another_device_make_no_kernel_faster_than_the_peaks():
    """An H20 has 148 of an H100's 989 bf16 TFLOP/s and more bandwidth: an H100's shares would be 1.11 of its peak."""
    asked = Case(
        workload="t", phase="decode", model="deepseek-r1", dtype="fp8", batch=96, context=32768,
        deployment=Deployment(dp=128, ep=128), routing=Routing(),
    )  # fmt: skip
    step = price_step(asked, asked.step(), "h20", load_sheet("h20"))
    attention = next(k for k in step.kernels if k.kernel.kind == "mla_decode")
    assert attention.seconds == pytest.approx(attention.kernel.flops / 148e12)
    assert float(step.interval[0]) >= float(sum(k.roof_s * k.kernel.count for k in step.kernels))


def test_what_fits_the_cache_alone_is_left_as_measured_and_in_a_step_it_is_not():
    # 16 MB of weights, in the 50 MB of an H800's cache.
    alone = Case(
        workload="t", phase="kernel", kernel="gemm", dtype="fp8", dims={"m": 1, "n": 4096, "k": 4096}
    )  # fmt: skip
    (gemm,) = (k for k in price_step(alone, alone.step(), "h800-sxm", load_sheet("h800-sxm")).kernels
               if k.kernel.kind == "gemm")  # fmt: skip
    assert gemm.chosen.tier == "calibrated"
    assert float(gemm.seconds) < gemm.kernel.moved_bytes / 3.35e12
    served = Case(workload="t", phase="decode", model="llama-3.1-8b", dtype="fp8", batch=1, context=4096)
    step = price_step(served, served.step(), "h800-sxm", load_sheet("h800-sxm"))
    assert all(float(k.seconds) >= float(k.roof_s) for k in step.kernels)


@pytest.mark.slow
@pytest.mark.parametrize("device", sorted(known_sheets()))
def test_no_modelled_kernel_of_any_workload_is_faster_than_its_roof(device):
    sheet = load_sheet(device)
    cached = (sheet.memory.cache_mb.value if sheet.memory.cache_mb else None) or USUAL_CACHE_MB
    for name in project.definitions("workloads", "*.toml"):
        for asked in select_cases([name], {}):
            try:
                step = price_step(asked, asked.step(), device, sheet)
            except Unsupported:
                continue
            for k in step.kernels:
                least = _least(k.kernel, sheet)
                alone = asked.phase == "kernel" and k.chosen.tier == "calibrated"
                if not (alone and k.kernel.moved_bytes <= cached * 1e6):
                    assert float(k.seconds) >= 0.999999 * least, (asked.case_id, k.kernel.name)
            least = step.rounds * sum(_least(k.kernel, sheet) * k.kernel.count for k in step.kernels)
            assert asked.phase == "kernel" or float(step.interval[0]) >= 0.999999 * least, asked.case_id


def _least(kernel: Kernel, sheet: Sheet) -> float:
    """The roof that the report's chart of gaps draws; quantizing may be part of a product's time."""
    if kernel.link_bytes or kernel.kind == "quantize":
        return 0.0
    peak = sheet.peak_flops(kernel.dtype)
    return max(float(kernel.flops) / peak if peak else 0.0, float(kernel.moved_bytes) / (sheet.memory_bytes_per_s or 1))
