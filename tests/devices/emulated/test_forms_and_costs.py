"""One account of work: what a formula makes of a kernel's dimensions is what the cost operators counted for it.

With every share 1, every launch 0 and peaks of 1, the parts of a formula are its FLOPs and bytes. They must be those of
the kernel that the program emitted; where a formula counts otherwise on purpose, the range of the ratio is stated here.
"""

from __future__ import annotations

import numpy as np
import pytest

from bench.devices.emulated.form import Peaks
from bench.devices.emulated.forms import FORMS, element_bytes
from bench.devices.emulated.layers import merged_experts
from bench.devices.emulated.links import LINKED
from bench.devices.emulated.pricing import _dims
from bench.operators.cost import CostOperators, Shape, read_cost
from bench.operators.interface import Step
from bench.workloads.deployment import Deployment
from bench.workloads.routing import Routing
from bench.workloads.schema import Case

ONES = Peaks(1.0, 1.0, 1e30, 1.0, None, 1.0)
NUMBERS = {
    "compute": 1.0, "memory": 1.0, "memory_ungrouped": 1.0, "sharpness": 60.0, "launch_us": 0.0, "expert_us": 0.0,
    "ramp_tokens": 0.0, "ramp_us": 0.0, "hit": 0.0, "cache_share": 1.0, "compute_wide": 0.5, "per_rank_us": 0.0,
    "link_quick": 1e-12, "link_bulk": 1.0, "bulk_launch": 1.0, "near": 1.0, "far": 1.0,
}  # fmt: skip
EXACT = (1.0, 1.0)
# Form over kernel. Decode attention reaches half the peak in its formula, so its computing part is twice the FLOPs.
FLOPS = {
    "attention_decode": (2.0, 2.0),
    # Rows of an expert are padded to whole tiles of 64: up to 64 rows of computing for one that is there. Rows are those
    # of the heaviest rank as drawn, padded ones those expected of it: two in a hundred fewer at most.
    "moe": (0.98, 64.0),
}
BYTES = {
    # A bias is left out: n of (m + n) k.
    "gemm": (0.999, 1.0),
    # A sink is a number a head.
    "attention_prefill": (0.9999, 1.0),
    # Queries and results are left out beside the cache.
    "attention_decode": (0.9, 1.0),
    "mla_decode": (0.85, 1.0),
    # Keys are counted with their rotary part for every head; the program reads it once.
    "mla_prefill": (1.0, 1.12),
    # The weights of heads and the numbers of the keys selected are left out beside queries and keys.
    "indexer": (0.6, 1.0),
    # Rows go in and out of each step between the two products; the formula counts 8 h + 12 i bytes of a row for all.
    "moe": (0.99, 1.4),
}
CASES = [
    ("llama-3.1-8b", "bf16", Deployment(tp=8)),
    ("llama-3.1-8b", "fp8", Deployment()),
    ("gpt-oss-120b", "bf16", Deployment(tp=2)),
    ("qwen3-30b-a3b", "bf16", Deployment(dp=4, ep=4)),
    ("deepseek-v3.2", "fp8", Deployment(dp=8, ep=8)),
    ("deepseek-r1", "fp8", Deployment(tp=4)),
]


def kernels():
    """Kernels of decode and prefill steps of models that between them have every kind a decoder emits."""
    for model, dtype, deployment in CASES:
        for phase, step in (("decode", Step("decode", 32, 1, 8192)), ("prefill", Step("prefill", 1, 4096, 4096))):
            case = Case(
                workload="t", phase=phase, dtype=dtype, model=model, batch=1, context=4096, deployment=deployment,
                routing=Routing() if "llama" not in model else None,
            )  # fmt: skip
            yield from merged_experts(read_cost(case.program(), step, dtype).kernels)
    alone = CostOperators(Step("decode", 1, 1, 1), "bf16")
    alone.all_to_all(Shape((64, 4096), "bf16"), 8)
    alone.all_gather(Shape((64, 4096), "bf16"), 8)
    yield from alone.kernels


EVERY = list(kernels())


def form_of(kernel) -> str:
    return kernel.kind if kernel.kind in FORMS else "pointwise"


def parts(kernel):
    form = form_of(kernel)
    return FORMS[form].price(NUMBERS, _dims(kernel, form), ONES, element_bytes(kernel.dtype))


@pytest.mark.parametrize("kind", sorted(set(FORMS) - {"reduce_scatter"}))
def test_a_formulas_work_is_its_kernels(kind):
    # reduce_scatter is in tables only; no program emits it.
    found = [kernel for kernel in EVERY if form_of(kernel) == kind]
    assert found, f"no program here emits {kind}"
    for kernel in found:
        priced = parts(kernel)
        if kind in LINKED:
            assert float(priced.link) == pytest.approx(float(kernel.link_bytes)), kernel
            continue
        low, high = BYTES.get(kind, EXACT)
        assert low - 1e-9 <= float(priced.memory) / float(kernel.moved_bytes) <= high + 1e-9, kernel
        if kernel.flops:
            low, high = FLOPS.get(kind, EXACT)
            assert low - 1e-9 <= float(priced.compute) / float(kernel.flops) <= high + 1e-9, kernel


def test_every_kind_that_a_program_emits_has_a_formula_or_is_bytes_alone():
    for kernel in EVERY:
        assert kernel.kind in FORMS or not np.any(kernel.flops), f"{kernel.kind} computes and is priced as bytes"
