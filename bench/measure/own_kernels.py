"""Times a small set of kernels on this machine's CPU, so that its steps can be modelled from them.

The shapes are round numbers and not those of any workload: what is fitted here is checked on programs it has not seen.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from bench.devices.cpu import CpuAdapter
from bench.devices.emulated.pricing import merged_experts
from bench.measure.case import copies_needed
from bench.operators.cost import read_cost
from bench.operators.kernel import Kernel
from bench.workloads.schema import Case

DTYPE = "bf16"
SECONDS_EACH = 0.15
FEWEST_RUNS = 3

Report = Callable[[str], None]


class OwnKernel(msgspec.Struct):
    """One timed kernel: its kind, the dimensions its formula needs, and the median seconds of one call."""

    kind: str
    dims: dict[str, float]
    seconds: float


def shapes() -> Iterator[Case]:
    """Yield the kernels to time, as cases."""
    for n, k in ((1024, 1024), (4096, 1024), (1024, 4096), (16384, 1024)):
        for m in (1, 4, 16, 64, 256, 1024):
            yield _case("gemm", m=m, n=n, k=k)
    for heads, n, k in ((16, 256, 64), (16, 64, 256), (32, 128, 128)):
        for m in (1, 8, 64):
            yield _case("batched_gemm", m=m, heads=heads, n=n, k=k)
    for experts, top_k, n, k in ((32, 4, 1024, 1024), (64, 8, 512, 1024), (16, 2, 2048, 1024)):
        for m in (1, 4, 16, 64, 256, 512):
            yield _case("grouped_gemm", m=m, n=n, k=k, experts=experts, top_k=top_k)
    for batch in (1, 4, 16):
        for context in (256, 1024, 2048, 4096):
            yield _case("attention_decode", batch=batch, context=context, heads=16, kv_heads=4, head_dim=64)
            yield _case("mla_decode", batch=batch, context=context, heads=16, kv_lora_rank=256, qk_rope_dim=32)
    for context in (128, 256, 384, 768, 1024, 1536):
        yield _case("attention_prefill", batch=1, context=context, heads=16, kv_heads=4, head_dim=64)
    for m in (1, 8, 64, 256, 1024):
        yield _case("rms_norm", m=m, n=1024)
        yield _case("rms_norm", m=m, n=4096)


def _case(kernel: str, **dims: int) -> Case:
    return Case(workload="calibration", phase="kernel", kernel=kernel, dtype=DTYPE, dims=dims)


def kernels_json(dtype: str, report: Report) -> bytes:
    """Return the timed kernels as JSON, for a worker to send; all are of one dtype."""
    import torch

    adapter, timed = CpuAdapter(), []
    cases = [case for case in shapes() if case.dtype == dtype]
    with torch.inference_mode():
        for index, case in enumerate(cases):
            timed.append(_time(case, adapter))
            if index % 20 == 19:
                report(f"kernels: {index + 1} of {len(cases)}")
    return msgspec.json.encode(timed)


def _time(case: Case, adapter: CpuAdapter) -> OwnKernel:
    program = case.program()
    work = read_cost(program, case.step(), case.dtype)
    copies = copies_needed(case, work, adapter.cache_bytes())
    operators = adapter.operators(case.step(), case.dtype, copies, None)
    program(operators)
    program(operators)
    seconds: list[float] = []
    start = time.perf_counter()
    while len(seconds) < FEWEST_RUNS or time.perf_counter() - start < SECONDS_EACH:
        seconds += adapter.time(lambda: program(operators), 1)
    kernel = _heaviest(list(merged_experts(work.kernels)))
    dims = {name: float(value) for name, value in kernel.dims.items()}
    return OwnKernel(
        kernel.kind, dims | {"moved_bytes": float(kernel.moved_bytes)}, statistics.median(seconds) / copies
    )


def _heaviest(kernels: list[Kernel]) -> Kernel:
    """The kernel that a case is about: the one with the most work."""

    def weight(kernel: Kernel) -> tuple[Any, Any]:
        return kernel.flops, kernel.moved_bytes

    return max(kernels, key=weight)
