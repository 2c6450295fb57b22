"""Cost operators: tensors are shapes, every call appends a Kernel. No torch, and a whole sweep at once.

A dimension may be a NumPy array with one entry per point of a sweep, so a program that is read once prices all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bench.operators.interface import ExpertPlan, Gate, LatentSizes, Step
from bench.operators.kernel import BYTES, Dim, Kernel, Work


@dataclass(frozen=True)
class Shape:
    """A tensor that is only its shape and dtype."""

    dims: tuple[Dim, ...]
    dtype: str

    @property
    def size(self) -> Dim:
        product: Dim = 1
        for dim in self.dims:
            product = product * dim
        return product

    @property
    def bytes(self) -> Dim:
        return self.size * BYTES[self.dtype]


@dataclass
class CostOperators:
    """Reads a program as a list of kernels. `dtype` is the weights'; activations and cache are at least 16-bit."""

    step: Step
    dtype: str
    kernels: list[Kernel] = field(default_factory=list)
    weights: dict[str, tuple[int, float]] = field(default_factory=dict)
    cache_bytes: Dim = 0
    imbalance: float | None = None
    executes: bool = False
    _count: int = 1

    @property
    def activation_dtype(self) -> str:
        return self.dtype if BYTES[self.dtype] >= 2 else "bf16"

    def work(self) -> Work:
        """Return what the program did so far."""
        return Work(tuple(self.kernels), dict(self.weights), self.cache_bytes, self.imbalance)

    def _launch(
        self,
        kind: str,
        name: str,
        reads: Dim,
        result: Shape,
        *,
        flops: Dim = 0,
        dtype: str | None = None,
        link_bytes: Dim = 0,
        ranks: int = 1,
        activation_bytes: Dim | None = None,
        **dims: Dim,
    ) -> Shape:
        if ranks > 1:
            dims["ranks"] = ranks
        dims["activation_bytes"] = result.bytes if activation_bytes is None else activation_bytes
        self.kernels.append(
            Kernel(
                kind,
                name,
                dtype or self.activation_dtype,
                flops,
                reads,
                result.bytes,
                link_bytes,
                ranks,
                self._count,
                dims,
            )
        )
        return result

    def _like(self, x: Shape, *dims: Dim) -> Shape:
        return Shape(dims, self.activation_dtype if BYTES[x.dtype] < 2 else x.dtype)

    def weight(self, name: str, shape: tuple[int, ...], *, quantized: bool = True) -> Shape:
        tensor = Shape(shape, self.dtype if quantized else self.activation_dtype)
        size = int(tensor.size) * self._count
        self.weights.setdefault(name, (size, size * BYTES[tensor.dtype]))
        return tensor

    def input(self, name: str, shape: tuple[Dim, ...]) -> Shape:
        return Shape(shape, self.activation_dtype)

    def repeat(self, kind: str, count: int) -> Iterator[str]:
        if count:
            outer = self._count
            self._count = outer * count
            yield f"{kind}*"
            self._count = outer

    def split(self, x: Shape, widths: Sequence[int]) -> list[Shape]:
        return [Shape((*x.dims[:-1], width), x.dtype) for width in widths]

    def take(self, x: Shape, heads: int, first: int, last: int) -> Shape:
        return Shape((*x.dims[:-1], heads * (last - first)), x.dtype)

    def last_token(self, x: Shape) -> Shape:
        return Shape((self.step.batch, x.dims[-1]), x.dtype)

    def flatten(self, cache: Shape) -> Shape:
        return Shape((cache.dims[0] * cache.dims[1], *cache.dims[2:]), cache.dtype)

    def embed(self, table: Shape) -> Shape:
        result = self._like(table, self.step.tokens, table.dims[1])
        return self._launch("embed", "embed", result.bytes, result)

    def quantize(self, x: Shape) -> Shape:
        if BYTES[self.dtype] >= 2:
            return x
        return self._launch("quantize", "quantize", x.bytes, Shape(x.dims, self.dtype), dtype=self.dtype)

    def linear(self, x: Shape, weight: Shape, bias: Shape | None = None, *, name: str) -> Shape:
        m, (n, k) = x.size / x.dims[-1], weight.dims
        result = self._like(x, *x.dims[:-1], n)
        reads = x.bytes + weight.bytes + (0 if bias is None else bias.bytes)
        return self._launch("gemm", name, reads, result, flops=2 * m * n * k, dtype=weight.dtype, m=m, n=n, k=k)

    def head_linear(self, x: Shape, weight: Shape, *, name: str) -> Shape:
        tokens, (heads, k, n) = x.dims[0], weight.dims
        result = self._like(x, tokens, heads * n)
        flops = 2 * tokens * heads * k * n
        reads = x.bytes + weight.bytes
        return self._launch(
            "batched_gemm", name, reads, result, flops=flops, dtype=weight.dtype, batch=heads, m=tokens, n=n, k=k
        )

    def rms_norm(self, x: Shape, weight: Shape, eps: float, residual: Shape | None = None) -> tuple[Shape, Shape]:
        summed = x if residual is None else residual
        reads = x.bytes + weight.bytes + (0 if residual is None else residual.bytes)
        result = self._launch("rms_norm", "rms_norm", reads, self._like(x, *x.dims))
        if residual is not None:
            # The sum is a second result of the same launch.
            self._launch_extra(summed.bytes)
        return result, summed

    def _launch_extra(self, written: Dim) -> None:
        last = self.kernels[-1]
        self.kernels[-1] = Kernel(
            last.kind, last.name, last.dtype, last.flops, last.read_bytes, last.written_bytes + written,
            last.link_bytes, last.ranks, last.count, last.dims,
        )  # fmt: skip

    def layer_norm(self, x: Shape, weight: Shape, bias: Shape) -> Shape:
        return self._launch("rms_norm", "layer_norm", x.bytes + weight.bytes + bias.bytes, self._like(x, *x.dims))

    def rope(self, x: Shape, heads: int, theta: float) -> Shape:
        return self._launch("rope", "rope", x.bytes, self._like(x, *x.dims))

    def swiglu(self, x: Shape, clamp: float | None = None) -> Shape:
        return self._launch("swiglu", "swiglu", x.bytes, self._like(x, *x.dims[:-1], int(x.dims[-1]) // 2))

    def append(self, name: str, x: Shape, heads: int) -> Shape:
        self._launch("cache_write", "cache_write", x.bytes, x)
        visible = Shape((self.step.batch, self.step.context, x.dims[-1]), x.dtype)
        self.cache_bytes = self.cache_bytes + visible.bytes * self._count
        return visible

    def _pairs(self, window: int | None = None) -> Dim:
        """Query-key pairs of one sequence and head: each query sees itself and what came before it."""
        new, context = self.step.input_len, self.step.context
        if window is None:
            return new * context - new * (new - 1) / 2
        # Queries stand at positions context-new+1 .. context (counted from 1) and see min(position, window) keys.
        return _sum_min(context, window) - _sum_min(context - new, window)

    def attention(
        self,
        q: Shape,
        k: Shape,
        v: Shape,
        *,
        heads: int,
        kv_heads: int,
        scale: float,
        window: int | None = None,
        sinks: Shape | None = None,
        name: str = "attention",
    ) -> Shape:
        dk, dv = int(q.dims[-1]) // heads, int(v.dims[-1]) // kv_heads
        flops = 2 * self.step.batch * heads * self._pairs(window) * (dk + dv)
        seen = self._seen(window)
        reads = q.bytes + (k.bytes + v.bytes) * (seen / self.step.context) + (0 if sinks is None else sinks.bytes)
        result = self._like(q, q.dims[0], heads * dv)
        return self._launch(
            f"attention_{self._reading}", name, reads, result, flops=flops,
            batch=self.step.batch, heads=heads, kv_heads=kv_heads, head_dim=dk, v_dim=dv,
            q_len=self.step.input_len, kv_len=seen,
        )  # fmt: skip

    @property
    def _reading(self) -> str:
        return "prefill" if self.step.phase == "prefill" else "decode"

    def _seen(self, window: int | None) -> Dim:
        """Cached tokens that at least one query of the step attends to."""
        if window is None:
            return self.step.context
        return np.minimum(self.step.context, window + self.step.input_len - 1)

    def mla_prolog(self, layer: str, h: Shape, sizes: LatentSizes, separate: Callable[[], Any]) -> Any:
        return separate()

    def mla_attention(
        self,
        q: Shape,
        q_rope: Shape,
        latent: Shape,
        k_rope: Shape,
        *,
        heads: int,
        scale: float,
        expansion: Shape | None = None,
        selected: Shape | None = None,
        limit: int | None = None,
    ) -> Shape:
        rope_dim = int(q_rope.dims[-1]) // heads
        first = int(q.dims[-1]) // heads
        pairs = self._pairs() if limit is None else self._pairs(limit)
        if expansion is None:
            # Absorbed: the latent is key and value at once and is read once.
            values = first
            seen = self.step.context if limit is None else np.minimum(self.step.context, limit)
            reads = q.bytes + q_rope.bytes + (latent.bytes + k_rope.bytes) * (seen / self.step.context)
        else:
            values = int(expansion.dims[-1]) // heads - first
            seen = self.step.context
            reads = q.bytes + q_rope.bytes + expansion.bytes + k_rope.bytes
        reads = reads + (0 if selected is None else selected.bytes)
        flops = 2 * self.step.batch * heads * pairs * (first + rope_dim + values)
        result = self._like(q, q.dims[0], heads * values)
        return self._launch(
            f"mla_{self._reading}", "mla_attention", reads, result, flops=flops,
            batch=self.step.batch, heads=heads, head_dim=first + rope_dim, v_dim=values,
            q_len=self.step.input_len, kv_len=seen,
        )  # fmt: skip

    def select(self, q: Shape, k: Shape, weights: Shape, *, heads: int, top_k: int) -> Shape:
        dim = int(q.dims[-1]) // heads
        flops = 2 * self.step.batch * heads * self._pairs() * dim
        result = Shape((self.step.tokens, np.minimum(self.step.context, top_k)), "fp32")
        reads = q.bytes + k.bytes + weights.bytes
        return self._launch(
            "indexer", "select", reads, result, flops=flops, batch=self.step.batch, heads=heads, kv_heads=1,
            head_dim=dim, v_dim=0, q_len=self.step.input_len, kv_len=self.step.context,
        )  # fmt: skip

    def route(self, scores: Shape, bias: Shape | None, gate: Gate, plan: ExpertPlan) -> ExpertPlan:
        result = Shape((scores.dims[0], 2 * gate.top_k), "fp32")
        self._launch("route", "route", scores.bytes + (0 if bias is None else bias.bytes), result)
        self.imbalance = plan.imbalance
        return plan

    def planned(self, plan: ExpertPlan) -> ExpertPlan:
        self.imbalance = plan.imbalance
        return plan

    def dispatch(self, x: Shape, routing: ExpertPlan, *, ranks: int) -> Shape:
        rows = Shape((routing.rows, x.dims[-1]), x.dtype)
        sent = rows.bytes * (ranks - 1) / ranks
        kind = "permute" if ranks == 1 else "ep_dispatch"
        return self._launch(
            kind, "dispatch", rows.bytes, rows, link_bytes=sent, ranks=ranks, dtype=x.dtype,
            message_bytes=rows.bytes, **self._bulk(x.dims[-1] * BYTES[x.dtype], routing),
        )  # fmt: skip

    def _bulk(self, row_bytes: Dim, routing: ExpertPlan) -> dict[str, Any]:
        """What a prompt's exchange needs beside its rows: engines send a token once to each group of linked devices."""
        if self.step.phase != "prefill":
            return {}
        return {"token_bytes": self.step.tokens * row_bytes, "top_k": routing.top_k}

    def grouped_linear(
        self, x: Shape, weight: Shape, routing: ExpertPlan, bias: Shape | None = None, *, name: str
    ) -> Shape:
        n, k = weight.dims[1:]
        rows, touched = routing.rows, routing.touched
        result = self._like(x, rows, n)
        reads = x.bytes + touched * n * k * BYTES[weight.dtype]
        if bias is not None:
            reads = reads + touched * n * BYTES[bias.dtype]
        return self._launch(
            "grouped_gemm", name, reads, result, flops=2 * rows * n * k, dtype=weight.dtype,
            m=rows, n=n, k=k, touched=touched, padded=routing.load.padded, busiest=routing.load.busiest,
            experts=routing.experts_here,
        )  # fmt: skip

    def combine(self, x: Shape, routing: ExpertPlan, shared: Shape | None, *, ranks: int) -> Shape:
        result = self._like(x, self.step.tokens, x.dims[-1])
        sent = x.bytes * (ranks - 1) / ranks
        reads = x.bytes + (0 if shared is None else shared.bytes)
        kind = "permute" if ranks == 1 else "ep_combine"
        return self._launch(
            kind,
            "combine",
            reads,
            result,
            link_bytes=sent,
            ranks=ranks,
            activation_bytes=np.maximum(x.bytes, result.bytes),
            message_bytes=x.bytes,
            **self._bulk(x.dims[-1] * BYTES[x.dtype], routing),
        )

    def sample(self, logits: Shape) -> Shape:
        return self._launch("sample", "sample", logits.bytes, Shape(logits.dims[:-1], "fp32"))

    def copy(self, x: Shape) -> Shape:
        return self._launch("copy", "copy", x.bytes, x)

    def all_reduce(self, x: Shape, ranks: int) -> Shape:
        if ranks == 1:
            return x
        # Ring and tree alike send 2 (n-1)/n of the message per device.
        return self._collective("all_reduce", x, x, 2 * x.bytes * (ranks - 1) / ranks, ranks)

    def all_gather(self, x: Shape, ranks: int) -> Shape:
        if ranks == 1:
            return x
        whole = Shape((*x.dims[:-1], x.dims[-1] * ranks), x.dtype)
        return self._collective("all_gather", x, whole, whole.bytes * (ranks - 1) / ranks, ranks)

    def all_to_all(self, x: Shape, ranks: int) -> Shape:
        if ranks == 1:
            return x
        return self._collective("all_to_all", x, x, x.bytes * (ranks - 1) / ranks, ranks)

    def _collective(self, kind: str, x: Shape, result: Shape, link_bytes: Dim, ranks: int) -> Shape:
        return self._launch(kind, kind, x.bytes, result, link_bytes=link_bytes, ranks=ranks, message_bytes=x.bytes)


def _sum_min(length: Dim, cap: int) -> Dim:
    """Sum of min(i, cap) for i = 1 .. length, for numbers and arrays."""
    short = np.minimum(length, cap)
    total: Dim = short * (short + 1) / 2 + np.maximum(length - cap, 0) * cap
    return total


def read_cost(program: Any, step: Step, dtype: str) -> Work:
    """Run a program over shapes and return its work."""
    operators = CostOperators(step, dtype)
    program(operators)
    return operators.work()
