"""Torch operators: execute a program on any torch device with what torch itself offers.

An adapter subclasses this and replaces what its vendor does better; `used` records which implementation ran. Operands
are declared on first use and kept, so a second run of the same program only computes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from bench.errors import Unsupported
from bench.operators.interface import ExpertPlan, Gate, LatentSizes, Step
from bench.operators.noise import offset, pool, scale_of, token_ids

MOST_POOLS = 4
TORCH_DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class Routed:
    """Rows of the heaviest rank, sorted by expert, on the device.

    token: [rows] source token. weight: [rows]. ends: [experts] running ends of each expert's rows (int32).
    counts: the same as host numbers. order: [tokens, top_k] row of each pair, or None where pairs went elsewhere.
    """

    token: Tensor
    weight: Tensor
    ends: Tensor
    counts: tuple[int, ...]
    order: Tensor | None
    top_k: int


class TorchOperators:
    """Portable implementations. dtype: of weights, activations and cache."""

    executes = True

    def __init__(
        self, step: Step, dtype: str, device: torch.device, copies: int = 1, layers: int | None = None
    ) -> None:
        if dtype not in TORCH_DTYPES:
            raise Unsupported(f"dtype {dtype} has no path on {device.type} here; it runs {', '.join(TORCH_DTYPES)}")
        self.step = step
        self.batch, self.new, self.context = int(step.batch), int(step.input_len), int(step.context)
        self.dtype = TORCH_DTYPES[dtype]
        self.device = device
        self.used: dict[str, str] = {}
        self.left_out: set[str] = set()
        self.copies = copies
        self.layers = layers
        # Run this kind of layer alone ("" for none at all): how parts of a step are told apart.
        self.only: str | None = None
        # How many layers of a kind the program has, and how many of them run.
        self.repeated: dict[str, tuple[int, int]] = {}
        self._kept: dict[str, Tensor] = {}
        self._pools: dict[tuple[float, float], Tensor] = {}
        self._plans: dict[int, tuple[ExpertPlan, Any]] = {}

    # -- operands ------------------------------------------------------------------------------------------------

    def noise(self, name: str, shape: tuple[int, ...], mean: float = 0.0, deviation: float = 1.0) -> Tensor:
        """Return an operand in the device's dtype: the pool, scaled and rounded on the CPU, read cyclically there."""
        rounded = self._rounded(mean, deviation)
        flat = torch.empty(int(np.prod(shape, dtype=np.int64)), dtype=self.dtype, device=self.device)
        filled, start = 0, offset(name)
        while filled < len(flat):
            size = min(len(rounded) - start, len(flat) - filled)
            flat[filled : filled + size] = rounded[start : start + size]
            filled, start = filled + size, 0
        return flat.view(shape)

    def _rounded(self, mean: float, deviation: float) -> Tensor:
        """The pool on the device, the last few kinds kept: operands of one kind come one after the other."""
        kept = self._pools.get((mean, deviation))
        if kept is None:
            if len(self._pools) >= MOST_POOLS:
                self._pools.clear()
            scaled = (torch.from_numpy(pool()) * deviation + mean).to(self.dtype).to(self.device)
            kept = self._pools[mean, deviation] = scaled
        return kept

    def weight(self, name: str, shape: tuple[int, ...], *, quantized: bool = True) -> Tensor:
        kept = self._kept.get(name)
        if kept is None:
            kept = self._kept[name] = self.noise(name, shape, *scale_of(name, shape))
        return kept

    def input(self, name: str, shape: tuple[Any, ...]) -> Tensor:
        kept = self._kept.get(name)
        if kept is None:
            kept = self._kept[name] = self.noise(name, tuple(int(d) for d in shape))
        return kept

    def repeat(self, kind: str, count: int) -> Iterator[str]:
        if kind == "copy":
            runs = self.copies
        else:
            runs = count if self.layers is None else min(count, self.layers)
            self.repeated[kind] = (count, runs)
            if self.only is not None and kind != self.only:
                runs = 0
        for index in range(runs):
            yield f"{kind}{index}"

    # -- views -----------------------------------------------------------------------------------------------------

    def split(self, x: Tensor, widths: Sequence[int]) -> list[Tensor]:
        return list(x.split(list(widths), dim=-1))

    def take(self, x: Tensor, heads: int, first: int, last: int) -> Tensor:
        return x.view(len(x), heads, -1)[:, :, first:last]

    def last_token(self, x: Tensor) -> Tensor:
        return x if self.new == 1 else x.view(self.batch, self.new, -1)[:, -1]

    def flatten(self, cache: Tensor) -> Tensor:
        return cache.flatten(0, 2)

    # -- pointwise -------------------------------------------------------------------------------------------------

    def embed(self, table: Tensor) -> Tensor:
        ids = self._kept.get("token_ids")
        if ids is None:
            ids = torch.from_numpy(token_ids(self.batch * self.new, len(table))).to(self.device)
            self._kept["token_ids"] = ids
        return F.embedding(ids, table)

    def quantize(self, x: Tensor) -> Tensor:
        return x

    def rms_norm(self, x: Tensor, weight: Tensor, eps: float, residual: Tensor | None = None) -> tuple[Tensor, Tensor]:
        summed = x if residual is None else x + residual
        if len(weight) == summed.shape[-1]:
            return F.rms_norm(summed, weight.shape, weight, eps), summed
        parts = summed.unflatten(-1, (-1, len(weight)))
        return F.rms_norm(parts, weight.shape, weight, eps).flatten(-2), summed

    def layer_norm(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return F.layer_norm(x, weight.shape, weight, bias, 1e-6)

    def _turns(self, half: int, theta: float) -> tuple[Tensor, Tensor]:
        """cos and signed sin of this step's positions, [T, 1, 2 * half], once per size."""
        name = f"rope{half}:{theta}"
        if f"{name}.cos" not in self._kept:
            position = np.arange(self.context - self.new, self.context, dtype=np.float64)
            angle = position[:, None] * theta ** (-np.arange(half, dtype=np.float64) / half)
            cos = np.concatenate([np.cos(angle)] * 2, axis=-1)
            sin = np.concatenate([-np.sin(angle), np.sin(angle)], axis=-1)
            for key, values in (("cos", cos), ("sin", sin)):
                each = torch.from_numpy(np.tile(values, (self.batch, 1))).to(self.dtype).to(self.device)
                self._kept[f"{name}.{key}"] = each[:, None]
        return self._kept[f"{name}.cos"], self._kept[f"{name}.sin"]

    def rope(self, x: Tensor, heads: int, theta: float) -> Tensor:
        parts = x.view(len(x), heads, -1) if x.dim() == 2 else x
        half = parts.shape[-1] // 2
        cos, sin = self._turns(half, theta)
        return torch.addcmul(parts * cos, parts.roll(half, -1), sin)

    def swiglu(self, x: Tensor, clamp: float | None = None) -> Tensor:
        gate, up = x.chunk(2, dim=-1)
        if clamp is None:
            return F.silu(gate) * up
        gate, up = gate.clamp(max=clamp), up.clamp(-clamp, clamp)
        return (up + 1) * gate * torch.sigmoid(1.702 * gate)

    def sample(self, logits: Tensor) -> Tensor:
        return logits.argmax(-1)

    def copy(self, x: Tensor) -> Tensor:
        target = self._kept.get("copy_target")
        if target is None or target.shape != x.shape:
            target = self._kept["copy_target"] = torch.empty_like(x)
        return target.copy_(x)

    # -- products --------------------------------------------------------------------------------------------------

    def linear(self, x: Tensor, weight: Tensor, bias: Tensor | None = None, *, name: str) -> Tensor:
        self.used["linear"] = "torch.nn.functional.linear"
        return F.linear(x, weight, bias)

    def head_linear(self, x: Tensor, weight: Tensor, *, name: str) -> Tensor:
        heads, k, n = weight.shape
        self.used["head_linear"] = "torch.bmm"
        parts = x.view(len(x), heads, k) if x.dim() == 2 else x
        return torch.bmm(parts.transpose(0, 1), weight).transpose(0, 1).reshape(len(x), heads * n)

    def grouped_linear(
        self, x: Tensor, weight: Tensor, routing: Routed, bias: Tensor | None = None, *, name: str
    ) -> Tensor:
        self.used["grouped_linear"] = "torch._grouped_mm"
        check_grouped(weight)
        out = torch._grouped_mm(x, weight.transpose(1, 2), offs=routing.ends)
        return out if bias is None else out + self._spread(bias, routing)

    def _spread(self, bias: Tensor, routing: Routed) -> Tensor:
        counts = torch.tensor(routing.counts, device=self.device)
        return bias.repeat_interleave(counts, dim=0, output_size=sum(routing.counts))

    # -- cache and attention -----------------------------------------------------------------------------------------

    def append(self, name: str, x: Tensor, heads: int) -> Tensor:
        width = x.shape[-1] if x.dim() == 2 else x.shape[-1] * x.shape[-2]
        cache = self.cache(name, heads, width // heads)
        fresh = x.reshape(self.batch, self.new, heads, width // heads).transpose(1, 2)
        cache[:, :, self.context - self.new :] = fresh
        return cache

    def cache(self, name: str, heads: int, width: int) -> Tensor:
        """Return the static cache [batch, heads, context, width], as it was before this step when first asked for."""
        kept = self._kept.get(name)
        if kept is None:
            drawn = self.noise(name, (self.batch, self.context, heads, width))
            kept = self._kept[name] = drawn.transpose(1, 2).contiguous()
        return kept

    def _mask(self, window: int | None) -> Tensor:
        """Which cached token each new token sees, [new, context], once per window."""
        name = f"mask:{window}"
        if name not in self._kept:
            query = torch.arange(self.context - self.new, self.context)[:, None]
            key = torch.arange(self.context)[None]
            seen = key <= query
            self._kept[name] = (seen if window is None else seen & (key > query - window)).to(self.device)
        return self._kept[name]

    def attention(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        *,
        heads: int,
        kv_heads: int,
        scale: float,
        window: int | None = None,
        sinks: Tensor | None = None,
        name: str = "attention",
    ) -> Tensor:
        if self.new == 1:
            if window is not None and window < self.context:
                k, v = k[:, :, -window:], v[:, :, -window:]
            out = self.attention_decode(q.reshape(self.batch, kv_heads, heads // kv_heads, -1), k, v, scale, sinks)
            return out.reshape(self.batch, -1)
        queries = q.reshape(self.batch, self.new, heads, -1).transpose(1, 2)
        narrow = window if window is not None and window < self.context else None
        out = self.attention_prefill(queries, k, v, scale, narrow, sinks)
        return out.transpose(1, 2).reshape(self.batch * self.new, -1)

    def attention_decode(self, q: Tensor, k: Tensor, v: Tensor, scale: float, sinks: Tensor | None) -> Tensor:
        """q [batch, kv_heads, group, d] over k, v [batch, kv_heads, context, d]: the group shares its keys."""
        if sinks is not None:
            return self._with_sinks(q, k, v, scale, None, sinks.view(1, q.shape[1], q.shape[2], 1))
        self.used["attention_decode"] = "scaled_dot_product_attention, grouped queries folded"
        return F.scaled_dot_product_attention(q, k, v, scale=scale)

    def attention_prefill(
        self, q: Tensor, k: Tensor, v: Tensor, scale: float, window: int | None, sinks: Tensor | None
    ) -> Tensor:
        """q [batch, heads, new, d] over k, v [batch, kv_heads, context, d], causal."""
        if sinks is not None:
            group = q.shape[1] // k.shape[1]
            k, v = k.repeat_interleave(group, 1), v.repeat_interleave(group, 1)
            return self._with_sinks(q, k, v, scale, self._mask(window), sinks.view(1, -1, 1, 1))
        self.used["attention_prefill"] = "scaled_dot_product_attention"
        whole = window is None and self.new == self.context
        mask = None if whole else self._mask(window)
        return F.scaled_dot_product_attention(
            q, k, v, attn_mask=mask, is_causal=whole, scale=scale, enable_gqa=q.shape[1] != k.shape[1]
        )

    def _with_sinks(self, q: Tensor, k: Tensor, v: Tensor, scale: float, mask: Tensor | None, sinks: Tensor) -> Tensor:
        self.used["attention_sinks"] = "matmul and softmax"
        scores = (q @ k.transpose(-1, -2)).float() * scale
        if mask is not None:
            scores = scores.masked_fill(~mask, float("-inf"))
        sunk = torch.cat([scores, sinks.float().expand(*scores.shape[:-1], 1)], dim=-1)
        return sunk.softmax(-1)[..., :-1].to(v.dtype) @ v

    def mla_prolog(self, layer: str, h: Tensor, sizes: LatentSizes, separate: Callable[[], Any]) -> Any:
        return separate()

    def mla_attention(
        self,
        q: Tensor,
        q_rope: Tensor,
        latent: Tensor,
        k_rope: Tensor,
        *,
        heads: int,
        scale: float,
        expansion: Tensor | None = None,
        selected: Tensor | None = None,
        limit: int | None = None,
    ) -> Tensor:
        sparse = limit is not None and limit < self.context
        if expansion is not None:
            if sparse:
                raise Unsupported("sparse prefill (indexer) beyond its top_k has no torch operator; shorten the prompt")
            return self._mla_prefill(q, q_rope, k_rope, expansion, heads, scale)
        keys, ropes = latent[:, 0], k_rope[:, 0]  # [batch, context, rank], [batch, context, rope]
        if sparse and selected is not None:
            keys = keys.gather(1, selected[..., None].expand(-1, -1, keys.shape[-1]))
            ropes = ropes.gather(1, selected[..., None].expand(-1, -1, ropes.shape[-1]))
        out = self.mla_decode(
            q.reshape(self.batch, heads, -1), q_rope.reshape(self.batch, heads, -1), keys, ropes, scale
        )
        return out.reshape(self.batch, -1)

    def mla_decode(self, q: Tensor, q_rope: Tensor, latent: Tensor, k_rope: Tensor, scale: float) -> Tensor:
        """Absorbed: q [batch, heads, rank], q_rope [batch, heads, r], latent [batch, context, rank]."""
        self.used["mla_decode"] = "bmm, softmax, bmm"
        scores = torch.bmm(q, latent.transpose(1, 2)) + torch.bmm(q_rope, k_rope.transpose(1, 2))
        return torch.bmm((scores.float() * scale).softmax(-1).to(latent.dtype), latent)

    def _mla_prefill(
        self, q: Tensor, q_rope: Tensor, k_rope: Tensor, expansion: Tensor, heads: int, scale: float
    ) -> Tensor:
        plain = q.reshape(self.batch, self.new, heads, -1).transpose(1, 2)
        turned = q_rope.reshape(self.batch, self.new, heads, -1).transpose(1, 2)
        nope = plain.shape[-1]
        each = expansion.view(self.batch, self.context, heads, -1).transpose(1, 2)
        keys = torch.cat([each[..., :nope], k_rope.expand(-1, heads, -1, -1)], dim=-1)
        queries = torch.cat([plain, turned], dim=-1)
        out = self.attention_prefill(queries, keys, each[..., nope:], scale, None, None)
        return out.transpose(1, 2).reshape(self.batch * self.new, -1)

    def select(self, q: Tensor, k: Tensor, weights: Tensor, *, heads: int, top_k: int) -> Tensor:
        queries = q.reshape(self.batch, self.new * heads, -1)
        scores = torch.bmm(queries, k[:, 0].transpose(1, 2)).relu_().view(self.batch, self.new, heads, -1)
        mixed = (scores * weights.view(self.batch, self.new, heads, 1)).sum(2)
        if self.new > 1:
            mixed = mixed.masked_fill(~self._mask(None), float("-inf"))
        return mixed.topk(min(top_k, self.context), dim=-1).indices.reshape(self.batch * self.new, -1)

    # -- experts -----------------------------------------------------------------------------------------------------

    def choose(self, scores: Tensor, bias: Tensor | None, gate: Gate) -> tuple[Tensor, Tensor]:
        """Return (experts [T, top_k], affinities [T, experts]) by the model's own rule."""
        scores = scores.float()
        affinity = scores.sigmoid() if gate.scoring == "sigmoid" else scores.softmax(-1)
        ranking = affinity if bias is None else affinity + bias.float()
        if gate.groups > 1:
            grouped = ranking.unflatten(-1, (gate.groups, -1))
            best_two = grouped.topk(2, dim=-1).values.sum(-1)
            kept = best_two.topk(gate.groups_kept, dim=-1).indices
            closed = torch.ones_like(best_two, dtype=torch.bool).scatter_(-1, kept, False)
            ranking = grouped.masked_fill(closed.unsqueeze(-1), float("-inf")).flatten(-2)
        return ranking.topk(gate.top_k, dim=-1).indices, affinity

    def gate_weights(self, ids: Tensor, affinity: Tensor, gate: Gate) -> Tensor:
        """Return the weights [T, top_k] of given experts by the model's rule."""
        weights = affinity.gather(-1, ids)
        if gate.normalize:
            weights = weights / (weights.sum(-1, keepdim=True) + 1e-20)
        return weights * gate.scale

    def route(self, scores: Tensor, bias: Tensor | None, gate: Gate, plan: ExpertPlan) -> Routed:
        _, affinity = self.choose(scores, bias, gate)
        token, flat, ends, counts, order, ids = self._placed(plan, len(scores))
        if len(ids) != len(scores):
            affinity = affinity[torch.arange(len(ids), device=self.device) % len(scores)]
        weights = self.gate_weights(ids, affinity, gate).to(self.dtype)
        return Routed(token, weights.flatten()[flat], ends, counts, order, ids.shape[1])

    def planned(self, plan: ExpertPlan) -> Routed:
        token, flat, ends, counts, order, ids = self._placed(plan, len(plan.ids) if plan.ids is not None else 0)
        weights = torch.full((len(flat),), 1 / ids.shape[1], dtype=self.dtype, device=self.device)
        return Routed(token, weights, ends, counts, order, ids.shape[1])

    def _placed(self, plan: ExpertPlan, tokens: int) -> Any:
        """The plan's rows as device indices, made once: an engine builds them in a kernel of a few microseconds."""
        kept = self._plans.get(id(plan))
        if kept is None:
            assert plan.ids is not None, "an executed step needs a drawn plan"
            expert = plan.ids.ravel() - plan.first_expert
            here = np.flatnonzero((expert >= 0) & (expert < plan.experts_here))
            flat = here[np.argsort(expert[here], kind="stable")]
            counts = np.bincount(expert[here], minlength=plan.experts_here)
            token = flat // plan.ids.shape[1] % tokens
            order = None
            if len(flat) == plan.ids.size and len(plan.ids) == tokens:
                order = torch.from_numpy(np.argsort(flat, kind="stable").reshape(plan.ids.shape)).to(self.device)
            placed = (
                torch.from_numpy(token).to(self.device),
                torch.from_numpy(flat).to(self.device),
                torch.from_numpy(np.cumsum(counts).astype(np.int32)).to(self.device),
                tuple(int(c) for c in counts),
                order,
                torch.from_numpy(np.ascontiguousarray(plan.ids)).to(self.device),
            )
            kept = self._plans[id(plan)] = (plan, placed)
        return kept[1]

    def dispatch(self, x: Tensor, routing: Routed, *, ranks: int) -> Tensor:
        if ranks > 1:
            self.left_out.add(f"expert dispatch over {ranks} ranks")
        return x.index_select(0, routing.token)

    def combine(self, x: Tensor, routing: Routed, shared: Tensor | None, *, ranks: int) -> Tensor:
        if ranks > 1:
            self.left_out.add(f"expert combine over {ranks} ranks")
        tokens = self.batch * self.new
        if routing.order is not None:
            # [T, top_k, h] weighted and summed in one batched product.
            rows = x[routing.order]
            weights = routing.weight[routing.order].unsqueeze(1)
            out = torch.bmm(weights, rows).squeeze(1)
            return out if shared is None else out + shared
        out = torch.zeros(tokens, x.shape[-1], dtype=x.dtype, device=x.device) if shared is None else shared.clone()
        return out.index_add_(0, routing.token, x * routing.weight[:, None])

    # -- links -------------------------------------------------------------------------------------------------------

    def all_reduce(self, x: Tensor, ranks: int) -> Tensor:
        return self._alone(x, ranks, "all-reduce")

    def all_gather(self, x: Tensor, ranks: int) -> Tensor:
        return self._alone(x, ranks, "all-gather")

    def all_to_all(self, x: Tensor, ranks: int) -> Tensor:
        return self._alone(x, ranks, "all-to-all")

    def _alone(self, x: Tensor, ranks: int, what: str) -> Tensor:
        if ranks > 1:
            if self.step.phase == "kernel":
                raise Unsupported(f"{what} over {ranks} devices cannot be measured on one device")
            self.left_out.add(f"{what} over {ranks} ranks")
        return x


def check_grouped(weight: Tensor) -> None:
    """Raise Unsupported for experts whose rows torch's grouped product cannot take: they must be whole 16 bytes."""
    if weight.shape[-1] * weight.element_size() % 16 or weight.shape[-2] * weight.element_size() % 16:
        raise Unsupported(f"torch._grouped_mm needs rows of whole 16 bytes; experts are {tuple(weight.shape[1:])}")
