"""Finds the peaks a CPU reaches: matrix products per dtype and size, reading and copying memory, threads swept."""

from __future__ import annotations

import datetime
import math
import time
from collections.abc import Callable
from functools import partial

import msgspec

from bench.devices.achieved import Achieved, fingerprint
from bench.devices.cpu import CpuAdapter, physical_cores
from bench.results.environment import packages
from bench.units import counted

SIZES = (512, 1024, 2048, 4096)
DTYPES = ("bf16", "fp16", "fp32")
BUDGET_S = 0.3
# Larger than any cache that a guest is likely to have for itself.
MEMORY_BYTES = 512 * 1024 * 1024
# A product of 512 that takes this long has no fast path here; its larger ones would only cost time.
SLOWEST_S = 0.15

Report = Callable[[str], None]


def find_roofs(command: str, report: Report) -> Achieved:
    """Measure the best rates of this machine's CPU; takes about half a minute.

    report: told what is being measured and what came out, line by line.
    """
    import torch

    adapter = CpuAdapter()
    cores = physical_cores()
    threads = sorted({1, max(1, cores // 2), cores})
    gemm: dict[str, float] = {}
    sizes: dict[str, int] = {}
    best_threads = cores
    read, copied, fastest = 0.0, 0.0, 0.0
    with torch.inference_mode():
        for count in threads:
            torch.set_num_threads(count)
            now_read, now_copied = _memory(count, report)
            read, copied = max(read, now_read), max(copied, now_copied)
            for dtype in DTYPES:
                for size in SIZES if count == cores else (1024,):
                    rate = _gemm(size, dtype)
                    if rate is None:
                        break
                    if rate > gemm.get(dtype, 0.0):
                        gemm[dtype], sizes[dtype] = rate, size
                    if dtype == "bf16" and rate > fastest:
                        fastest, best_threads = rate, count
                if dtype in gemm:
                    report(
                        f"gemm {dtype}, {counted(count, 'thread')}: best {gemm[dtype] / 1e12:.3f} TFLOP/s at"
                        f" {sizes[dtype]}"
                    )
    facts = adapter.facts()
    return Achieved(
        device="cpu",
        fingerprint=fingerprint(facts),
        made=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        command=command,
        threads=best_threads,
        software=" ".join(f"{name} {number}" for name, number in packages().items()),
        gemm_flops=gemm,
        gemm_sizes=sizes,
        read_bytes_per_s=read,
        copy_bytes_per_s=copied,
        notes=[f"{facts['name']}, {facts['cores']} cores, {facts['extensions']}"],
    )


def roofs_json(command: str, report: Report) -> bytes:
    """Return `find_roofs` as JSON, for a worker to send."""
    return msgspec.json.encode(find_roofs(command, report))


def _fastest(step: Callable[[], object]) -> float:
    """Shortest of the runs that fit the budget, at least two after one to warm up."""
    step()
    best, start = math.inf, time.perf_counter()
    runs = 0
    while runs < 2 or time.perf_counter() - start < BUDGET_S:
        before = time.perf_counter()
        step()
        best = min(best, time.perf_counter() - before)
        runs += 1
    return best


def _gemm(size: int, dtype: str) -> float | None:
    """Best FLOP/s of a square product, plain or with a packed weight; None where it is too slow to matter."""
    import torch
    import torch.nn.functional as F

    from bench.devices.cpu_operators import pack, packed_linear
    from bench.operators.torch_operands import TORCH_DTYPES

    kind = TORCH_DTYPES[dtype]
    x, weight = torch.randn(size, size).to(kind), torch.randn(size, size).to(kind)
    start = time.perf_counter()
    F.linear(x, weight)
    if time.perf_counter() - start > SLOWEST_S:
        return None
    best = _fastest(lambda: F.linear(x, weight))
    packed = pack(weight)
    if packed is not None:
        best = min(best, _fastest(lambda: packed_linear(x, packed, None)))
    return 2 * size**3 / best


def _memory(threads: int, report: Report) -> tuple[float, float]:
    """Best bytes per second of reading (of two patterns), and of copying, read plus written."""
    import torch

    from bench.devices.cpu_operators import pack, packed_linear

    source = torch.arange(MEMORY_BYTES // 8, dtype=torch.int64)
    target = torch.empty_like(source)
    reads = [MEMORY_BYTES / _fastest(source.sum)]
    copied = 2 * MEMORY_BYTES / _fastest(partial(target.copy_, source))
    del source, target
    # A matrix-vector product over packed weights reads faster than a sum on some machines, and is what decode does.
    weights = [pack(torch.randn(4096, 4096).bfloat16()) for _ in range(8)]
    vector = torch.randn(1, 4096).bfloat16()
    if all(weight is not None for weight in weights):

        def product() -> None:
            for weight in weights:
                assert weight is not None
                packed_linear(vector, weight, None)

        reads.append(8 * 4096 * 4096 * 2 / _fastest(product))
    report(f"memory, {threads} threads: read {max(reads) / 1e9:.1f} GB/s, copy {copied / 1e9:.1f} GB/s")
    return max(reads), copied
