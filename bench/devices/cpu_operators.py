"""Torch operators on a CPU: where torch offers several ways, the fastest one here is picked by measurement.

What was tried on AVX-512 machines, and why these candidates: weights packed once by oneDNN read 1.5 to 3 times faster
than F.linear's plain ones; an embedding bag with per-sample weights is a gathered matrix-vector product, twice as fast
as torch._grouped_mm where experts have one or two rows; the fused attention is up to four times slower than blocks of
plain products over the causal half. Every row says what was picked.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.operators.interface import Step
from bench.operators.torch_experts import Routed, check_grouped
from bench.operators.torch_operators import TorchOperators

# Below this a call's own cost hides what the layout saves (10 us against 3).
SMALLEST_PACKED = 256 * 256
QUERY_BLOCK = 128
# Rows per touched expert beyond which an embedding bag cannot win: it reaches about 0.15 TFLOP/s.
MOST_BAG_ROWS = 4


class CpuOperators(TorchOperators):
    """Operators of the host CPU. Picks are made during the first run, before anything is timed."""

    def __init__(self, step: Step, dtype: str, copies: int = 1, layers: int | None = None) -> None:
        super().__init__(step, dtype, torch.device("cpu"), copies, layers)
        self._picked: dict[Any, str] = {}
        self._bags: dict[tuple[int, int], tuple[Tensor, Tensor]] = {}
        self._scores = torch.empty(0)
        # Experts kept as [experts, k, n]; ids stay valid because the tensors are kept.
        self._columns: set[int] = set()

    def pick(self, operator: str, key: Any, ways: dict[str, Callable[[], Any]]) -> str:
        """Return the fastest way for this operator and shape; measured once, then remembered."""
        picked = self._picked.get((operator, key))
        if picked is None:
            seconds = (
                {name: _shortest(way) for name, way in ways.items()} if len(ways) > 1 else dict.fromkeys(ways, 0.0)
            )
            picked = self._picked[operator, key] = min(seconds, key=seconds.__getitem__)
            known = self.used.get(operator)
            if known is None or picked not in known.split(" | "):
                self.used[operator] = picked if known is None else f"{known} | {picked}"
        return picked

    def _replace(self, old: Tensor, new: Tensor) -> None:
        """Keep a weight in its picked layout only, so that packing costs no memory."""
        for name, kept in self._kept.items():
            if kept is old:
                self._kept[name] = new
                return

    # -- products --------------------------------------------------------------------------------------------------

    def linear(self, x: Tensor, weight: Tensor, bias: Tensor | None = None, *, name: str) -> Tensor:
        if weight.is_mkldnn:
            return packed_linear(x, weight, bias)
        if weight.numel() < SMALLEST_PACKED or weight is self._kept.get("embed"):
            return F.linear(x, weight, bias)
        key = (len(x), tuple(weight.shape))
        ways: dict[str, Callable[[], Any]] = {"F.linear": lambda: F.linear(x, weight, bias)}
        packed = pack(weight) if self._may("linear", key, "packed") else None
        if packed is not None:
            ways["oneDNN packed weight"] = lambda: packed_linear(x, packed, bias)
        if self.pick("linear", key, ways) == "F.linear" or packed is None:
            return F.linear(x, weight, bias)
        self._replace(weight, packed)
        return packed_linear(x, packed, bias)

    def grouped_linear(
        self, x: Tensor, weight: Tensor, routing: Routed, bias: Tensor | None = None, *, name: str
    ) -> Tensor:
        if id(weight) in self._columns:
            out = self._bag(x, weight, routing)
        else:
            check_grouped(weight)
            touched = sum(1 for count in routing.counts if count)
            few = len(x) <= MOST_BAG_ROWS * max(touched, 1) and weight[0].numel() >= SMALLEST_PACKED
            key = (len(x), touched, tuple(weight.shape))
            ways: dict[str, Callable[[], Tensor]] = {
                "torch._grouped_mm": lambda: torch._grouped_mm(x, weight.transpose(1, 2), offs=routing.ends)
            }
            columns = weight.transpose(1, 2).contiguous() if few and self._may("grouped_linear", key, "bag") else None
            if columns is not None:
                ways["embedding_bag"] = lambda: self._bag(x, columns, routing)
            way = self.pick("grouped_linear", key, ways)
            out = ways[way]()
            if way == "embedding_bag" and columns is not None:
                self._columns.add(id(columns))
                self._replace(weight, columns)
        return out if bias is None else out + self._spread(bias, routing)

    def _may(self, operator: str, key: Any, way: str) -> bool:
        """Whether a way is still in the race, or has won it."""
        return way in self._picked.get((operator, key), way)

    def _bag(self, x: Tensor, columns: Tensor, routing: Routed) -> Tensor:
        """Each row as a weighted sum of its expert's columns: x [rows, k] by [experts, k, n]."""
        _, k, n = columns.shape
        key = (id(routing.counts), k)
        if key not in self._bags:
            counts = torch.tensor(routing.counts)
            expert = torch.arange(len(counts)).repeat_interleave(counts)
            index = (expert[:, None] * k + torch.arange(k)).flatten().to(torch.int32)
            self._bags[key] = index, torch.arange(len(expert), dtype=torch.int32) * k
        index, starts = self._bags[key]
        return torch.embedding_bag(columns.view(-1, n), index, starts, False, 0, False, x.flatten(), False)[0]

    # -- attention -----------------------------------------------------------------------------------------------------

    def attention_decode(self, q: Tensor, k: Tensor, v: Tensor, scale: float, sinks: Tensor | None) -> Tensor:
        if sinks is not None:
            return super().attention_decode(q, k, v, scale, sinks)
        ways: dict[str, Callable[[], Tensor]] = {
            "scaled_dot_product_attention": lambda: F.scaled_dot_product_attention(q, k, v, scale=scale),
            "products and softmax": lambda: torch.matmul((torch.matmul(q * scale, k.mT)).softmax(-1), v),
        }
        return ways[self.pick("attention_decode", (q.shape, k.shape), ways)]()

    def attention_prefill(
        self, q: Tensor, k: Tensor, v: Tensor, scale: float, window: int | None, sinks: Tensor | None
    ) -> Tensor:
        if sinks is not None or window is not None or self.new != self.context:
            return super().attention_prefill(q, k, v, scale, window, sinks)
        grouped = q.shape[1] != k.shape[1]
        ways: dict[str, Callable[[], Tensor]] = {
            "scaled_dot_product_attention": lambda: F.scaled_dot_product_attention(
                q, k, v, is_causal=True, scale=scale, enable_gqa=grouped
            ),
            "blocks of products and softmax": lambda: self._blocked(q, k, v, scale),
        }
        return ways[self.pick("attention_prefill", (q.shape, k.shape), ways)]()

    def _blocked(self, q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
        """Causal attention in blocks of queries, each against the keys it may see; the future is never computed."""
        batch, heads, new, _ = q.shape
        kv_heads, group, width = k.shape[1], heads // k.shape[1], v.shape[-1]
        queries = (q * scale).view(batch, kv_heads, group, new, -1)
        out = torch.empty(batch, kv_heads, group, new, width, dtype=q.dtype)
        future = torch.full((QUERY_BLOCK, QUERY_BLOCK), float("-inf"), dtype=q.dtype).triu(1)
        for start in range(0, new, QUERY_BLOCK):
            stop = min(start + QUERY_BLOCK, new)
            size = stop - start
            block = queries[:, :, :, start:stop].reshape(batch * kv_heads, group * size, -1)
            keys = k[:, :, :stop].reshape(batch * kv_heads, stop, -1)
            values = v[:, :, :stop].reshape(batch * kv_heads, stop, -1)
            scores = torch.bmm(block, keys.mT, out=self._buffer(batch * heads * size * stop, q.dtype, keys, block))
            each = scores.view(batch * kv_heads, group, size, stop)
            each[..., start:].add_(future[:size, :size])
            torch.softmax(each, -1, out=each)
            mixed = torch.bmm(each.view(batch * kv_heads, group * size, stop), values)
            out[:, :, :, start:stop] = mixed.view(batch, kv_heads, group, size, width)
        return out.view(batch, heads, new, width)

    def _buffer(self, size: int, dtype: torch.dtype, keys: Tensor, block: Tensor) -> Tensor:
        if self._scores.numel() < size or self._scores.dtype != dtype:
            self._scores = torch.empty(size, dtype=dtype)
        return self._scores[:size].view(len(block), block.shape[1], keys.shape[1])

    def mla_decode(self, q: Tensor, q_rope: Tensor, latent: Tensor, k_rope: Tensor, scale: float) -> Tensor:
        self.used["mla_decode"] = "products and softmax"
        scores = torch.baddbmm(torch.bmm(q_rope * scale, k_rope.mT), q * scale, latent.mT)
        return torch.bmm(scores.softmax(-1), latent)


def _shortest(way: Callable[[], Any]) -> float:
    way()
    best = float("inf")
    for _ in range(3):
        start = time.perf_counter()
        way()
        best = min(best, time.perf_counter() - start)
    return best


def pack(weight: Tensor) -> Tensor | None:
    """Return a weight in oneDNN's own layout, or None where this CPU or dtype has none."""
    try:
        packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight, None)
        torch.ops.mkldnn._linear_pointwise(weight[:1], packed, None, "none", [], "")
    except (RuntimeError, AttributeError):
        return None
    return packed


def packed_linear(x: Tensor, packed: Tensor, bias: Tensor | None) -> Tensor:
    """x [T, k] by a weight from `pack`, [n, k] transposed: [T, n]."""
    out: Tensor = torch.ops.mkldnn._linear_pointwise(x, packed, bias, "none", [], "")
    return out
