"""Attention by torch's own operators: over a cache and over a prompt, with sinks and windows, latent and sparse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.errors import Unsupported
from bench.operators.interface import LatentSizes
from bench.operators.torch_operands import TorchOperands


class TorchAttention(TorchOperands):
    """Everything that reads the cache. Adapters replace the three kernels: decode, prefill and latent decode."""

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
