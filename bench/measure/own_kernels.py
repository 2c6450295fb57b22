"""Times a small set of kernels on a device of this machine, so that its steps can be modelled from them.

The shapes are round numbers and not those of any workload: what is fitted here is checked on programs it has not seen.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from bench.devices.adapter import Adapter, open_device
from bench.devices.emulated.layers import merged_experts
from bench.errors import Unsupported
from bench.measure.case import copies_needed, memory_need
from bench.measure.launch import clocked, prepare
from bench.operators.cost import read_cost
from bench.operators.kernel import Kernel
from bench.units import data_size
from bench.workloads.schema import Case

DTYPE = "bf16"
EIGHT_BIT = ("fp8", "int8")
PRODUCTS = ("gemm", "moe")
SECONDS_EACH = 0.07
FEWEST_RUNS = 3
# A square product of 2048 within this long (6 TFLOP/s) is an accelerator's: kernels are timed at sizes that fill it.
LARGE_WITHIN_S = 0.003

Report = Callable[[str], None]


class OwnKernel(msgspec.Struct):
    """One timed kernel: its kind and dtype, what its formula needs, its work, and the median seconds of one call."""

    kernel: str
    kind: str
    dtype: str
    dims: dict[str, float]
    flops: float
    moved_bytes: float
    seconds: float


def shapes() -> Iterator[Case]:
    """Yield the kernels to time on a CPU, as cases."""
    for n, k in ((1024, 1024), (4096, 1024), (1024, 4096), (16384, 1024)):
        for m in (1, 4, 16, 64, 256, 1024):
            yield _case("gemm", m=m, n=n, k=k)
    for heads, n, k in ((16, 256, 64), (16, 64, 256), (32, 128, 128)):
        for m in (1, 8, 64):
            yield _case("batched_gemm", m=m, heads=heads, n=n, k=k)
    # Experts with few rows are where kernels take turns: they need more points.
    for experts, top_k, hidden, inner in ((32, 4, 1024, 384), (64, 8, 1024, 192), (16, 2, 768, 1024)):
        for m in (1, 4, 8, 16, 32, 64, 128, 256, 512):
            yield _case("moe", m=m, hidden=hidden, inner=inner, experts=experts, top_k=top_k)
    for batch in (1, 4, 16):
        for context in (256, 1024, 2048, 4096):
            yield _case("attention_decode", batch=batch, context=context, heads=16, kv_heads=4, head_dim=64)
            yield _case("mla_decode", batch=batch, context=context, heads=16, kv_lora_rank=256, qk_rope_dim=32)
    for context in (128, 256, 384, 768, 1024, 1536):
        yield _case("attention_prefill", batch=1, context=context, heads=16, kv_heads=4, head_dim=64)
    for m in (1, 8, 64, 256, 1024):
        yield _case("rms_norm", m=m, n=1024)
        yield _case("rms_norm", m=m, n=4096)
    yield _case("memory_copy", n=2**26)


def large_shapes() -> Iterator[Case]:
    """Yield the kernels to time on an accelerator: sizes of models of 8 to 700 billion parameters."""
    for n, k in ((4096, 4096), (8192, 8192), (28672, 4096), (4096, 14336), (24576, 1536), (2048, 7168)):
        for m in (1, 8, 32, 128, 512, 2048, 8192):
            yield _case("gemm", m=m, n=n, k=k)
    for n, k in ((512, 128), (128, 512)):
        for m in (1, 8, 64, 256):
            yield _case("batched_gemm", m=m, heads=128, n=n, k=k)
    for experts, top_k, hidden, inner in ((32, 8, 7168, 2048), (8, 2, 4096, 14336), (64, 8, 4096, 1536)):
        for m in (1, 4, 16, 64, 256, 1024):
            yield _case("moe", m=m, hidden=hidden, inner=inner, experts=experts, top_k=top_k)
    for batch in (1, 8, 32, 128):
        for context in (1024, 4096, 16384):
            yield _case("attention_decode", batch=batch, context=context, heads=32, kv_heads=8, head_dim=128)
            yield _case("mla_decode", batch=batch, context=context, heads=128, kv_lora_rank=512, qk_rope_dim=64)
    for context in (512, 1024, 2048, 4096, 8192, 16384):
        yield _case("attention_prefill", batch=1, context=context, heads=32, kv_heads=8, head_dim=128)
    for m in (1, 16, 256, 1024, 8192):
        yield _case("rms_norm", m=m, n=4096)
        yield _case("rms_norm", m=m, n=7168)
    yield _case("memory_copy", n=2**29)


def _case(kernel: str, dtype: str = DTYPE, **dims: int) -> Case:
    return Case(workload="calibration", phase="kernel", kernel=kernel, dtype=dtype, dims=dims)


def cases_for(adapter: Adapter) -> list[Case]:
    """Return the kernels to time on a device; products in every 8-bit precision that it has a path for, too."""
    probe = _case("gemm", m=2048, n=2048, k=2048)
    whole = adapter.operators(probe.step(), DTYPE, 1, None)
    program = probe.program()
    program(whole)
    quick = min(clocked(adapter, lambda: program(whole)) for _ in range(3)) < LARGE_WITHIN_S
    cases = list(large_shapes() if quick else shapes())
    for dtype in EIGHT_BIT:
        try:
            adapter.operators(probe.step(), dtype, 1, None)
        except Unsupported:
            continue
        cases += [
            msgspec.structs.replace(c, dtype=dtype) for c in list(cases) if c.kernel in PRODUCTS and c.dtype == DTYPE
        ]
    return cases


def kernels_json(device: str, report: Report) -> bytes:
    """Return the timed kernels as JSON, for a worker to send; what does not fit or fails here is left out, and told."""
    import torch

    adapter = open_device(device)
    timed: list[OwnKernel] = []
    with torch.inference_mode():
        cases = cases_for(adapter)
        for index, case in enumerate(cases):
            try:
                timed.append(_time(case, adapter))
            except (Unsupported, RuntimeError) as error:
                first = str(error).strip().split("\n")[0][:200]
                report(f"{case.case_id}: left out, {first}")
            gc.collect()  # the last case's operands, before the next one's
            if index % 20 == 19:
                report(f"kernels: {index + 1} of {len(cases)}")
    return msgspec.json.encode(timed)


def _time(case: Case, adapter: Adapter) -> OwnKernel:
    program = case.program()
    work = read_cost(program, case.step(), case.dtype)
    copies = copies_needed(case, work, adapter.cache_bytes())
    need, room = memory_need(case, work, copies), float(adapter.memory_room())
    if need > room:
        raise Unsupported(f"needs {data_size(need)} of memory, {data_size(room)} to be had")
    timed = prepare(program, adapter.operators(case.step(), case.dtype, copies, None), adapter)
    timed.once()
    seconds: list[float] = []
    start = time.perf_counter()
    while len(seconds) < FEWEST_RUNS or time.perf_counter() - start < SECONDS_EACH:
        seconds.append(timed.once())
    kernel = _heaviest(list(merged_experts(work.kernels)))
    dims = {name: float(value) for name, value in kernel.dims.items()}
    moved = float(kernel.moved_bytes)
    return OwnKernel(
        case.kernel or "", kernel.kind, case.dtype, dims | {"moved_bytes": moved}, float(kernel.flops), moved,
        statistics.median(seconds),
    )  # fmt: skip


def _heaviest(kernels: list[Kernel]) -> Kernel:
    """The kernel that a case is about: the one with the most work."""

    def weight(kernel: Kernel) -> tuple[Any, Any]:
        return kernel.flops, kernel.moved_bytes

    return max(kernels, key=weight)
