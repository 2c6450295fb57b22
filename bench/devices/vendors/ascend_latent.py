"""Latent attention on Ascend: what precedes it in decode as one kernel, and attention over pages of the cache.

Sizes and meanings of arguments: torch_npu-npu_mla_prolog_v3.md in Ascend/op-plugin, and torch-npu 2.13's schemas.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from bench.devices.accelerator_operators import Quantized
from bench.devices.vendors.ascend_operators import AscendOperators
from bench.operators.interface import LatentSizes, Step
from bench.operators.noise import scale_of

# Sizes that fused attention takes for a latent cache, and the pages of the cache that it wants there.
LATENT_HEADS, LATENT_RANK, LATENT_ROPE, LATENT_HEAD, PAGE = (32, 64, 128), 512, 64, 128, 128
# The kernel for what precedes it, and its sizes beyond those.
PROLOG = "npu_mla_prolog_v3"
PROLOG_HIDDEN, PROLOG_HEADS, PROLOG_Q_RANK = (7168, 7680), (1, 2, 4, 8, 16, 32, 64, 128), 1536
# Its weight_quant_mode for int8 tokens and weights with a bfloat16 cache; compressed queries it quantizes by token.
ALL_INT8 = 2


class AscendLatentOperators(AscendOperators):
    """Adds npu_mla_prolog_v3, and npu_fused_infer_attention_score on latent caches."""

    def __init__(
        self, step: Step, dtype: str, device: torch.device, copies: int = 1, layers: int | None = None
    ) -> None:
        super().__init__(step, dtype, device, copies, layers)
        self._prologs: dict[str, dict[str, Tensor]] = {}

    # -- before attention ----------------------------------------------------------------------------------------------

    def mla_prolog(self, layer: str, h: Tensor, sizes: LatentSizes, separate: Callable[[], Any]) -> Any:
        kernel = self._use("mla_prolog", PROLOG, self._beyond_prolog(sizes), instead="one kernel for each part")
        if kernel is None:
            return separate()
        latents = self.cache(f"{layer}.latent", 1, sizes.rank)
        ropes = self.cache(f"{layer}.k_rope", 1, sizes.rope)
        cos, sin = (table[0, :, 0] for table in self._tables(sizes.rope // 2, sizes.theta))
        x = self.quantize(h)
        tokens: dict[str, Any] = {"token_x": x}
        if isinstance(x, Quantized):
            tokens = {"token_x": x.values, "dequant_scale_x": x.scale, "weight_quant_mode": ALL_INT8}
        query, turned, *_ = kernel(
            **tokens, **self._prolog_weights(layer, sizes),
            weight_uk=self.weight(f"{layer}.k_up", (sizes.heads, sizes.nope, sizes.rank), quantized=False),
            rmsnorm_gamma_cq=self.weight(f"{layer}.q_a_norm", (PROLOG_Q_RANK,), quantized=False),
            rmsnorm_gamma_ckv=self.weight(f"{layer}.kv_norm", (sizes.rank,), quantized=False),
            rope_sin=sin, rope_cos=cos, cache_index=self._newest(),
            kv_cache=latents.view(-1, PAGE, 1, sizes.rank), kr_cache=ropes.view(-1, PAGE, 1, sizes.rope),
            rmsnorm_epsilon_cq=sizes.eps, rmsnorm_epsilon_ckv=sizes.eps, cache_mode="PA_BSND",
        )  # fmt: skip
        return query, turned, latents, ropes, None

    def _beyond_prolog(self, sizes: LatentSizes) -> str | None:
        """What of this call the kernel does not take."""
        inner = (sizes.q_rank, sizes.rank, sizes.nope, sizes.rope)
        if self.dtype is not torch.bfloat16:
            return str(self.dtype).removeprefix("torch.")
        if sizes.indexer:
            return "an indexer"
        if sizes.q_rank is None:
            return "queries that are not compressed"
        if sizes.hidden not in PROLOG_HIDDEN or inner != (PROLOG_Q_RANK, LATENT_RANK, LATENT_HEAD, LATENT_ROPE):
            ranks = f"rank {sizes.q_rank} and {sizes.rank}"
            return f"hidden {sizes.hidden}, queries and keys of {ranks}, heads of {sizes.nope} + {sizes.rope}"
        if sizes.heads not in PROLOG_HEADS:
            return f"{sizes.heads} heads"
        if self.new != 1:
            return f"{self.new} new tokens a sequence"
        if self.fused("npu_format_cast") is None:
            return "weights that are not in FRACTAL_NZ"
        return self._beyond_pages()

    def _beyond_pages(self) -> str | None:
        return f"a context of {self.context} is not whole pages of {PAGE}" if self.context % PAGE else None

    def _newest(self) -> Tensor:
        """Where each sequence's new token goes in the paged cache, [T] int64, made once."""
        if "newest" not in self._kept:
            places = torch.arange(1, self.batch + 1, dtype=torch.int64) * self.context - 1
            self._kept["newest"] = places.to(self.device)
        return self._kept["newest"]

    def _prolog_weights(self, layer: str, sizes: LatentSizes) -> dict[str, Tensor]:
        """The matrices [k, n] that the kernel takes, and in int8 a scale of each column [1, n]; made once.

        They hold the numbers of the separate products, which are not kept beside them.
        """
        if layer not in self._prologs:
            made = self._prologs[layer] = {}
            down = self._drawn(f"{layer}.qkv_a", (PROLOG_Q_RANK + sizes.rank + sizes.rope, sizes.hidden))
            up = self._drawn(f"{layer}.q_b", (sizes.heads * (sizes.nope + sizes.rope), PROLOG_Q_RANK))
            if self.eight_bit is None:
                matrices = _cut(down, up, sizes)
            else:
                small_down, small_up = self.rows_8bit(down), self.rows_8bit(up)
                matrices = _cut(small_down.values, small_up.values, sizes)
                for name, scale in _cut(small_down.scale, small_up.scale, sizes).items():
                    made[f"dequant_scale_w_{name}"] = scale.t().contiguous()
            for name, rows in matrices.items():
                made[f"weight_{name}"] = self._blocked(rows.t().contiguous())
        return self._prologs[layer]

    def _drawn(self, name: str, shape: tuple[int, ...]) -> Tensor:
        """A weight's rows, not kept."""
        return self.noise(name, shape, *scale_of(name, shape))

    # -- attention -----------------------------------------------------------------------------------------------------

    def mla_decode(self, q: Tensor, q_rope: Tensor, latent: Tensor, k_rope: Tensor, scale: float) -> Tensor:
        batch, heads, rank = q.shape
        context, rope = latent.shape[1], k_rope.shape[-1]
        limit = self._beyond_pages()
        if heads not in LATENT_HEADS or rank != LATENT_RANK or rope != LATENT_ROPE:
            limit = f"{heads} heads of rank {rank} + {rope}"
        kernel = self._attend("mla_decode", limit)
        if kernel is None:
            return super().mla_decode(q, q_rope, latent, k_rope, scale)
        keys = latent.contiguous().view(-1, 1, PAGE, rank)
        ropes = k_rope.contiguous().view(-1, 1, PAGE, rope)
        if "pages" not in self._kept:
            numbers = torch.arange(batch * context // PAGE, dtype=torch.int32).view(batch, -1)
            self._kept["pages"] = numbers.to(self.device)
        out: Tensor = kernel(
            q.reshape(batch, heads, 1, rank), keys, keys, query_rope=q_rope.reshape(batch, heads, 1, rope),
            key_rope=ropes, num_heads=heads, num_key_value_heads=1, input_layout="BNSD", scale=scale,
            block_table=self._kept["pages"], block_size=PAGE, actual_seq_lengths_kv=[context] * batch,
        )[0]  # fmt: skip
        return out.view(batch, heads, rank)

    def _mla_prefill(
        self, q: Tensor, q_rope: Tensor, k_rope: Tensor, expansion: Tensor, heads: int, scale: float
    ) -> Tensor:
        each = expansion.view(self.batch * self.context, heads, -1)
        plain, turned = q.reshape(len(q), heads, -1), q_rope.reshape(len(q), heads, -1)
        nope, rope = plain.shape[-1], turned.shape[-1]
        fits = each.shape[-1] == 2 * LATENT_HEAD and nope == LATENT_HEAD and rope == LATENT_ROPE
        kernel = self._attend("mla_prefill", None if fits else f"heads of {nope} + {rope}")
        if kernel is None:
            return super()._mla_prefill(q, q_rope, k_rope, expansion, heads, scale)
        ropes = k_rope.reshape(-1, 1, rope).expand(-1, heads, -1).contiguous()
        out: Tensor = kernel(
            plain.contiguous(), each[..., :nope].contiguous(), each[..., nope:].contiguous(),
            query_rope=turned.contiguous(), key_rope=ropes, num_heads=heads, num_key_value_heads=heads,
            input_layout="TND", scale=scale, actual_seq_lengths=self._running(self.new),
            actual_seq_lengths_kv=self._running(self.context), **self._causal(),
        )[0]  # fmt: skip
        return out.reshape(len(q), -1)

    def _running(self, size: int) -> list[int]:
        """Running ends of the step's sequences, packed one behind the other."""
        return [size * (index + 1) for index in range(self.batch)]


def _cut(down: Tensor, up: Tensor, sizes: LatentSizes) -> dict[str, Tensor]:
    """Rows of qkv_a and q_b, or what belongs to each row, as the kernel wants them together."""
    each = up.unflatten(0, (sizes.heads, -1))
    return {
        "dq": down[:PROLOG_Q_RANK],
        "uq_qr": _paired(each, sizes.rope).flatten(0, 1),
        "dkv_kr": _paired(down[PROLOG_Q_RANK:], sizes.rope),
    }


def _paired(rows: Tensor, rope: int) -> Tensor:
    """[..., n, k] with its last `rope` rows interleaved: the kernel turns neighbours where we turn halves."""
    halves = rows[..., -rope:, :].unflatten(-2, (2, -1))
    return torch.cat([rows[..., :-rope, :], halves.transpose(-3, -2).flatten(-3, -2)], dim=-2)
