"""The functional half of emulation: a case's program, made small, runs on this CPU and is checked in float32.

The cost model prices the full-size program; this shows that the program it priced computes what the model does. Sizes
shrink, structure stays: the same attention, routing rule, shared experts, biases, norms, windows and phases.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from bench.devices.cpu import CpuAdapter
from bench.errors import Unsupported
from bench.measure.correctness import Checked, Plan, check
from bench.operators.interface import Step
from bench.workloads.decoder import decoder_step, moe_layer
from bench.workloads.deployment import Deployment
from bench.workloads.kernels import KERNELS, kernel_step
from bench.workloads.model import Model, load_model
from bench.workloads.routing import Routing
from bench.workloads.schema import Case

LAYERS, HIDDEN, VOCAB, KV_HEADS, EXPERTS, WIDTH, TOKENS = 2, 256, 1000, 2, 16, 128, 24
# 8-bit products have no path on every CPU; their programs are checked in 16 bit.
CHECKED_AS = {"fp8": "bf16", "int8": "bf16", "fp4": "bf16"}

Report = Callable[[str], None]


def check_json(content: str, report: Report) -> bytes:
    """Check the case in `content` (JSON) and return the result as JSON, for a worker to send."""
    report("checking the program at reduced size")
    checked = functional_check(msgspec.json.decode(content.encode(), type=Case))
    return msgspec.json.encode([checked.correct, checked.detail])


def functional_check(case: Case) -> Checked:
    """Run the case's program at reduced size on the CPU's operators and compare it with the float32 reference."""
    dtype = CHECKED_AS.get(case.dtype, case.dtype)
    try:
        program, step = small_program(case)
        operators = CpuAdapter().operators(step, dtype, 1, None)
        found = check(program, operators, Plan(step, None, "the program at reduced size"), dtype)
    except Unsupported as error:
        return Checked(False, f"not checked: {error}")
    note = f"; checked in {dtype}" if dtype != case.dtype else ""
    return Checked(found.correct, f"{found.detail} on this CPU{note}")


def small_program(case: Case) -> tuple[Callable[[Any], Any], Step]:
    """Return a case's program on a small model or small dimensions, and its step."""
    routing = case.routing or Routing()
    if case.phase == "kernel":
        kernel = case.kernel or ""
        dims = {name: min(value, HIDDEN) for name, value in case.dims.items()} | {"ranks": 1}
        return (lambda ops: kernel_step(ops, kernel, dims, routing)), KERNELS[kernel].step(dims)
    model = shrunk(load_model(case.model or ""))
    # A rank's own rows: how a model is spread is the cost model's affair, not the arithmetic's.
    alone = Deployment()
    if case.phase == "moe":
        return (lambda ops: moe_layer(ops, model, alone, Routing())), Step("moe", 1, TOKENS, TOKENS)
    new = TOKENS if case.phase == "prefill" else 1
    return (lambda ops: decoder_step(ops, model, alone, Routing())), Step(case.phase, 2, new, TOKENS)


def shrunk(model: Model) -> Model:
    """Return a model of the same structure and small sizes."""
    moe, mla, indexer = model.moe, model.mla, model.indexer
    if moe is not None:
        groups = min(moe.groups, 4)
        moe = msgspec.structs.replace(
            moe, experts=EXPERTS, top_k=min(moe.top_k, 4), intermediate=WIDTH, groups=groups,
            groups_kept=min(moe.groups_kept, max(1, groups // 2)), first_dense_layers=min(moe.first_dense_layers, 1),
        )  # fmt: skip
    if mla is not None:
        mla = msgspec.structs.replace(
            mla, kv_lora_rank=64, qk_nope_dim=32, qk_rope_dim=16, v_head_dim=32,
            q_lora_rank=None if mla.q_lora_rank is None else 48,
        )  # fmt: skip
    if indexer is not None:
        indexer = msgspec.structs.replace(indexer, heads=4, head_dim=32, top_k=2 * TOKENS)
    kv_heads = None if model.kv_heads is None else min(model.kv_heads, KV_HEADS)
    group = 1 if model.kv_heads is None else min(model.heads // model.kv_heads, 4)
    return msgspec.structs.replace(
        model, layers=LAYERS, hidden=HIDDEN, heads=4 if kv_heads is None else kv_heads * group, kv_heads=kv_heads,
        head_dim=None if model.head_dim is None else 32, vocab=VOCAB, moe=moe, mla=mla, indexer=indexer,
        intermediate=None if model.intermediate is None else 2 * WIDTH,
        sliding_window=None if model.sliding_window is None else 8,
    )  # fmt: skip
