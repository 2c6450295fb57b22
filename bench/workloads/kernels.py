"""Kernel programs: one operator at a time, the pieces a decoder step is made of.

Each is written inside `ops.repeat("copy", 1)`: an executing operator set may run several copies with operands of their
own, so that they come from memory and not from the last-level cache; the time of one copy is reported.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bench.errors import DefinitionError
from bench.operators.interface import Phase, Step
from bench.workloads.expert_plan import plan_experts
from bench.workloads.model import LARGEST_SIZE
from bench.workloads.routing import Routing

Ops = Any
Dims = dict[str, int]


def gemm(ops: Ops, copy: str, d: Dims, routing: Routing) -> Any:
    """x [m, k] by weight [n, k] transposed."""
    x = ops.quantize(ops.input(f"{copy}.x", (d["m"], d["k"])))
    return ops.linear(x, ops.weight(f"{copy}.w", (d["n"], d["k"])), name="gemm")


def grouped_gemm(ops: Ops, copy: str, d: Dims, routing: Routing) -> Any:
    """The experts' first product alone: rows sorted by expert [m * top_k, k] by [experts, n, k] transposed."""
    plan = plan_experts(routing, d["m"], d["experts"], d["top_k"], executes=ops.executes)
    rows = ops.quantize(ops.input(f"{copy}.x", (plan.rows, d["k"])))
    weight = ops.weight(f"{copy}.w", (d["experts"], d["n"], d["k"]))
    return ops.grouped_linear(rows, weight, ops.planned(plan), name="grouped_gemm")


def moe(ops: Ops, copy: str, d: Dims, routing: Routing) -> Any:
    """Routed experts whole: rows [m, hidden] to their experts, up, SwiGLU, down, and back, weighted."""
    plan = plan_experts(routing, d["m"], d["experts"], d["top_k"], executes=ops.executes)
    routed = ops.planned(plan)
    x = ops.quantize(ops.input(f"{copy}.x", (d["m"], d["hidden"])))
    up = ops.weight(f"{copy}.up", (d["experts"], 2 * d["inner"], d["hidden"]))
    down = ops.weight(f"{copy}.down", (d["experts"], d["hidden"], d["inner"]))
    rows = ops.grouped_linear(ops.dispatch(x, routed, ranks=1), up, routed, name="experts_up")
    rows = ops.grouped_linear(ops.quantize(ops.swiglu(rows)), down, routed, name="experts_down")
    return ops.combine(rows, routed, None, ranks=1)


def batched_gemm(ops: Ops, copy: str, d: Dims, routing: Routing) -> Any:
    """One small product per head: x [m, heads * k] by [heads, k, n], as absorbed latent attention needs."""
    x = ops.input(f"{copy}.x", (d["m"], d["heads"] * d["k"]))
    return ops.head_linear(
        x, ops.weight(f"{copy}.w", (d["heads"], d["k"], d["n"]), quantized=False), name="batched_gemm"
    )


def attention(ops: Ops, copy: str, d: Dims, routing: Routing) -> Any:
    """Grouped-query attention over a cache of `context` tokens; the new tokens are written first."""
    heads, kv_heads, dim = d["heads"], d["kv_heads"], d["head_dim"]
    tokens = ops.step.tokens
    q = ops.input(f"{copy}.q", (tokens, heads * dim))
    k = ops.append(f"{copy}.k", ops.input(f"{copy}.k_new", (tokens, kv_heads * dim)), kv_heads)
    v = ops.append(f"{copy}.v", ops.input(f"{copy}.v_new", (tokens, kv_heads * dim)), kv_heads)
    return ops.attention(q, k, v, heads=heads, kv_heads=kv_heads, scale=dim**-0.5)


def mla_decode(ops: Ops, copy: str, d: Dims, routing: Routing) -> Any:
    """Absorbed latent attention of one new token per sequence."""
    heads, rank, rope, tokens = d["heads"], d["kv_lora_rank"], d["qk_rope_dim"], ops.step.tokens
    q = ops.input(f"{copy}.q", (tokens, heads * rank))
    q_rope = ops.input(f"{copy}.q_rope", (tokens, heads * rope))
    latent = ops.append(f"{copy}.latent", ops.input(f"{copy}.latent_new", (tokens, rank)), 1)
    k_rope = ops.append(f"{copy}.k_rope", ops.input(f"{copy}.k_rope_new", (tokens, rope)), 1)
    return ops.mla_attention(q, q_rope, latent, k_rope, heads=heads, scale=(128 + rope) ** -0.5)


def rms_norm(ops: Ops, copy: str, d: Dims, routing: Routing) -> Any:
    """Residual add and RMSNorm on [m, n]."""
    x, residual = ops.input(f"{copy}.x", (d["m"], d["n"])), ops.input(f"{copy}.r", (d["m"], d["n"]))
    return ops.rms_norm(x, ops.weight(f"{copy}.w", (d["n"],), quantized=False), 1e-6, residual)[0]


def layer_norm(ops: Ops, copy: str, d: Dims, routing: Routing) -> Any:
    """Mean and variance normalisation with bias on [m, n]."""
    weight, bias = (ops.weight(f"{copy}.{part}", (d["n"],), quantized=False) for part in ("w", "b"))
    return ops.layer_norm(ops.input(f"{copy}.x", (d["m"], d["n"])), weight, bias)


def swiglu(ops: Ops, copy: str, d: Dims, routing: Routing) -> Any:
    """Gate and value [m, 2 * n] to [m, n]."""
    return ops.swiglu(ops.input(f"{copy}.x", (d["m"], 2 * d["n"])))


def rope(ops: Ops, copy: str, d: Dims, routing: Routing) -> Any:
    """Rotary embedding of m tokens in a row, [m, heads * head_dim]."""
    return ops.rope(ops.input(f"{copy}.x", (d["m"], d["heads"] * d["head_dim"])), d["heads"], 10_000.0)


def memory_copy(ops: Ops, copy: str, d: Dims, routing: Routing) -> Any:
    """Copy n elements in device memory."""
    return ops.copy(ops.input(f"{copy}.x", (d["n"],)))


def all_reduce(ops: Ops, copy: str, d: Dims, routing: Routing) -> Any:
    """Sum a message of n elements over `ranks` devices."""
    return ops.all_reduce(ops.input(f"{copy}.x", (d["n"],)), d["ranks"])


def all_gather(ops: Ops, copy: str, d: Dims, routing: Routing) -> Any:
    """Gather a message of n elements from each of `ranks` devices."""
    return ops.all_gather(ops.input(f"{copy}.x", (d["n"],)), d["ranks"])


def all_to_all(ops: Ops, copy: str, d: Dims, routing: Routing) -> Any:
    """Exchange a message of n elements between `ranks` devices."""
    return ops.all_to_all(ops.input(f"{copy}.x", (d["n"],)), d["ranks"])


@dataclass(frozen=True)
class KernelProgram:
    """A kernel's program, the dimensions it needs, and the step it runs in."""

    run: Callable[[Ops, str, Dims, Routing], Any]
    dims: tuple[str, ...]
    phase: Phase = "kernel"

    def step(self, dims: Dims) -> Step:
        """Return the step these dimensions describe."""
        batch, context = dims.get("batch", 1), dims.get("context", 1)
        new = context if self.phase == "prefill" else 1
        if "m" in dims:
            return Step("kernel", 1, dims["m"], dims["m"])
        return Step(self.phase, batch, dims.get("input_len", new), context)


KERNELS: dict[str, KernelProgram] = {
    "gemm": KernelProgram(gemm, ("m", "n", "k")),
    "batched_gemm": KernelProgram(batched_gemm, ("m", "heads", "n", "k")),
    "grouped_gemm": KernelProgram(grouped_gemm, ("m", "n", "k", "experts", "top_k")),
    "moe": KernelProgram(moe, ("m", "hidden", "inner", "experts", "top_k")),
    "attention_prefill": KernelProgram(attention, ("batch", "context", "heads", "kv_heads", "head_dim"), "prefill"),
    "attention_decode": KernelProgram(attention, ("batch", "context", "heads", "kv_heads", "head_dim"), "decode"),
    "mla_decode": KernelProgram(mla_decode, ("batch", "context", "heads", "kv_lora_rank", "qk_rope_dim"), "decode"),
    "rms_norm": KernelProgram(rms_norm, ("m", "n")),
    "layer_norm": KernelProgram(layer_norm, ("m", "n")),
    "swiglu": KernelProgram(swiglu, ("m", "n")),
    "rope": KernelProgram(rope, ("m", "heads", "head_dim")),
    "memory_copy": KernelProgram(memory_copy, ("n",)),
    "all_reduce": KernelProgram(all_reduce, ("n", "ranks")),
    "all_gather": KernelProgram(all_gather, ("n", "ranks")),
    "all_to_all": KernelProgram(all_to_all, ("n", "ranks")),
}


def check_dims(dims: Dims, where: str) -> None:
    """Raise DefinitionError where a kernel's dimensions are out of range or do not fit each other."""
    problem = ""
    for key, value in dims.items():
        if not 1 <= value <= LARGEST_SIZE:
            problem = f"{key} is {value}; it must lie between 1 and {LARGEST_SIZE}"
    if not problem and dims.get("heads", 0) % dims.get("kv_heads", 1):
        problem = f"heads = {dims['heads']} is not a multiple of kv_heads = {dims['kv_heads']}"
    if not problem and dims.get("top_k", 0) > dims.get("experts", LARGEST_SIZE):
        problem = f"top_k = {dims['top_k']} is more than experts = {dims['experts']}"
    if problem:
        raise DefinitionError(f"{where}: {problem}")


def kernel_step(ops: Ops, kernel: str, dims: Dims, routing: Routing) -> Any:
    """Run one kernel program, over as many copies as the operator set keeps."""
    out = None
    for name in ops.repeat("copy", 1):
        out = KERNELS[kernel].run(ops, name, dims, routing)
    return out
