"""Operators on Ascend through torch_npu's fused kernels, called by the names and rules of torch-npu 2.13's schemas.

A kernel that the installed torch_npu lacks is replaced by torch's own operators, and the row says so.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.devices.accelerator_operators import AcceleratorOperators, Quantized
from bench.errors import Unsupported
from bench.operators.interface import Gate
from bench.operators.torch_experts import Routed

# aclFormat 29, FRACTAL_NZ: the blocked layout that the cube units read without reordering.
FRACTAL_NZ = 29
# npu_transpose_batchmatmul takes whole steps of both dimensions, and rows below 65536.
HEAD_STEP, LONGEST_ROW = 128, 65536
FUSED_ATTENTION = "npu_fused_infer_attention_score"
# Its limits, latent attention aside: queries that share a key, and the step of a head's width.
MOST_GROUP, WIDTH_STEP = 64, 16
# Causal from the lower right, with the one mask that every size shares.
CAUSAL, CAUSAL_MASK = 3, 2048
# npu_moe_gating_top_k's names for scoring and for choosing groups; a group has three experts or more.
SIGMOID, SOFTMAX, BEST_TWO = 1, 0, 1
FEWEST_IN_GROUP, MOST_EXPERTS = 3, 2048


class AscendOperators(AcceleratorOperators):
    """Fused attention, grouped products, gating, norms, rotary embedding, SwiGLU and int8 products of torch_npu."""

    def fused(self, name: str) -> Callable[..., Any] | None:
        """Return torch_npu's kernel of this name, or None where the installed version has none."""
        return getattr(importlib.import_module("torch_npu"), name, None)

    def needed(self, name: str, what: str) -> Callable[..., Any]:
        """Return torch_npu's kernel of this name.

        Raises: Unsupported where it is missing and torch has nothing that could stand for it.
        """
        found = self.fused(name)
        if found is None:
            raise Unsupported(f"the installed torch_npu has no {name}, which {what} needs")
        return found

    def _use(
        self, operator: str, name: str, limit: str | None = None, instead: str = "torch's own operators"
    ) -> Callable[..., Any] | None:
        """Note in the row which kernel runs, and return it; None where something else runs, which the row then says.

        limit: what the kernel does not take of this call, where it does not take it.
        """
        found = self.fused(name)
        if found is None:
            self.used[name] = f"missing in the installed torch_npu: {instead} instead"
        elif limit is not None:
            self.used[f"{operator}, not {name}"] = f"{limit}: {instead} instead"
            return None
        else:
            self.used[operator] = f"torch_npu.{name}"
        return found

    # -- operands ------------------------------------------------------------------------------------------------------

    def laid_out(self, weight: Tensor) -> Tensor:
        return self._blocked(weight.transpose(1, 2).contiguous() if weight.dim() == 3 else weight)

    def laid_out_8bit(self, weight: Quantized) -> Quantized:
        # The 8-bit products take weights as [k, n], with one scale a column.
        return Quantized(self._blocked(weight.values.transpose(-2, -1).contiguous()), weight.scale.squeeze(-1))

    def _blocked(self, weight: Tensor) -> Tensor:
        cast = self.fused("npu_format_cast")
        if cast is None:
            return weight
        self.used["weights"] = "FRACTAL_NZ"
        blocked: Tensor = cast(weight, FRACTAL_NZ)
        return blocked

    # -- pointwise -----------------------------------------------------------------------------------------------------

    def rms_norm(self, x: Tensor, weight: Tensor, eps: float, residual: Tensor | None = None) -> tuple[Tensor, Tensor]:
        name = "npu_rms_norm" if residual is None else "npu_add_rms_norm"
        kernel = self._use("rms_norm" if residual is None else "add_rms_norm", name)
        if kernel is None:
            return super().rms_norm(x, weight, eps, residual)
        if residual is not None:
            out, _, summed = kernel(x, residual, weight, eps)
            return out, summed
        parts = x if len(weight) == x.shape[-1] else x.unflatten(-1, (-1, len(weight)))
        return kernel(parts, weight, eps)[0].view(x.shape), x

    def rope(self, x: Tensor, heads: int, theta: float) -> Tensor:
        kernel = self._use("rope", "npu_rotary_mul")
        if kernel is None:
            return super().rope(x, heads, theta)
        parts = x.reshape(1, len(x), heads, -1)
        cos, sin = self._tables(parts.shape[-1] // 2, theta)
        out: Tensor = kernel(parts, cos, sin)[0]
        return out

    def _tables(self, half: int, theta: float) -> tuple[Tensor, Tensor]:
        """cos and sin of this step's positions, [1, T, 1, 2 * half]; the kernel negates the rotated half itself."""
        name = f"rotary{half}:{theta}"
        if f"{name}.cos" not in self._kept:
            position = np.arange(self.context - self.new, self.context, dtype=np.float64)
            angle = np.tile(position[:, None] * theta ** (-np.arange(half, dtype=np.float64) / half), (self.batch, 2))
            for key, values in (("cos", np.cos(angle)), ("sin", np.sin(angle))):
                self._kept[f"{name}.{key}"] = torch.from_numpy(values).to(self.dtype).to(self.device)[None, :, None]
        return self._kept[f"{name}.cos"], self._kept[f"{name}.sin"]

    def swiglu(self, x: Tensor, clamp: float | None = None) -> Tensor:
        name = "npu_swiglu" if clamp is None else "npu_clipped_swiglu"
        kernel = self._use("swiglu", name)
        if kernel is None:
            return super().swiglu(x, clamp)
        out: Tensor = kernel(x) if clamp is None else kernel(x, alpha=1.702, limit=clamp, bias=1.0, interleaved=False)
        return out

    # -- products ------------------------------------------------------------------------------------------------------

    def quantize(self, x: Any) -> Any:
        if self.eight_bit is None:
            return x
        kernel = self._use("quantize", "npu_dynamic_quant")
        if kernel is None:
            return self.rows_8bit(x)
        values, scale = kernel(x)
        return Quantized(values, scale.unsqueeze(-1))

    def product_8bit(self, x: Quantized, weight: Quantized) -> Tensor:
        kernel = self.needed("npu_quant_matmul", "an int8 product")
        self.used["linear"] = "torch_npu.npu_quant_matmul"
        out: Tensor = kernel(
            x.values, weight.values, weight.scale, pertoken_scale=x.scale.squeeze(-1), output_dtype=self.dtype
        )
        return out

    def head_linear(self, x: Tensor, weight: Tensor, *, name: str) -> Tensor:
        heads, k, n = weight.shape
        limit = f"k = {k}, n = {n} are not whole {HEAD_STEP}" if k % HEAD_STEP or n % HEAD_STEP else None
        if heads * k >= LONGEST_ROW:
            limit = f"rows of {heads} * {k}"
        kernel = self._use("head_linear", "npu_transpose_batchmatmul", limit)
        if kernel is None:
            return super().head_linear(x, weight, name=name)
        parts = x.reshape(len(x), heads, k)
        out: Tensor = kernel(parts, weight, perm_x1=[1, 0, 2], perm_x2=[0, 1, 2], perm_y=[1, 0, 2])
        return out.reshape(len(x), heads * n)

    def grouped_linear(self, x: Any, weight: Any, routing: Routed, bias: Tensor | None = None, *, name: str) -> Tensor:
        kernel = self.needed("npu_grouped_matmul", "a product of experts")
        self.used["grouped_linear"] = "torch_npu.npu_grouped_matmul"
        scaled: dict[str, Any] = {}
        rows, matrix = x, weight
        if isinstance(weight, Quantized):
            rows, matrix = x.values, weight.values
            scaled = {
                "scale": [weight.scale.to(self.dtype)], "per_token_scale": [x.scale.squeeze(-1)],
                "output_dtype": self.dtype,
            }  # fmt: skip
        out: Tensor = kernel(
            [rows], [matrix], group_list=self._ends(routing), split_item=3, group_type=0, group_list_type=0, **scaled
        )[0]
        return out if bias is None else out + self._spread(bias, routing)

    def _ends(self, routing: Routed) -> Tensor:
        """The experts' running ends as int64, made once."""
        name = f"ends:{id(routing.ends)}"
        if name not in self._kept:
            self._kept[name] = routing.ends.long()
            self._kept[f"{name}.of"] = routing.ends  # keeps its id its own
        return self._kept[name]

    # -- attention -----------------------------------------------------------------------------------------------------

    def attention_decode(self, q: Tensor, k: Tensor, v: Tensor, scale: float, sinks: Tensor | None) -> Tensor:
        batch, kv_heads, group, _ = q.shape
        kernel = self._attention("attention_decode", k, v, group, sinks)
        if kernel is None:
            return super().attention_decode(q, k, v, scale, sinks)
        out: Tensor = kernel(
            q.reshape(batch, kv_heads * group, 1, -1), k.contiguous(), v.contiguous(), num_heads=kv_heads * group,
            num_key_value_heads=kv_heads, input_layout="BNSD", scale=scale,
        )[0]  # fmt: skip
        return out.view(batch, kv_heads, group, -1)

    def attention_prefill(
        self, q: Tensor, k: Tensor, v: Tensor, scale: float, window: int | None, sinks: Tensor | None
    ) -> Tensor:
        kernel = self._attention("attention_prefill", k, v, q.shape[1] // k.shape[1], sinks)
        if kernel is None:
            return super().attention_prefill(q, k, v, scale, window, sinks)
        masked = self._causal() if window is None else {"atten_mask": self._closed(window), "sparse_mode": 0}
        out: Tensor = kernel(
            q.contiguous(), k.contiguous(), v.contiguous(), num_heads=q.shape[1], num_key_value_heads=k.shape[1],
            input_layout="BNSD", scale=scale, **masked,
        )[0]  # fmt: skip
        return out

    def _attention(
        self, operator: str, k: Tensor, v: Tensor, group: int, sinks: Tensor | None
    ) -> Callable[..., Any] | None:
        limit = None
        if sinks is not None:
            limit = "sinks"
        elif k.shape != v.shape or k.shape[-1] % WIDTH_STEP:
            limit = f"heads of {k.shape[-1]} and {v.shape[-1]}"
        elif group > MOST_GROUP:
            limit = f"{group} queries a key"
        return self._attend(operator, limit)

    def _attend(self, operator: str, limit: str | None) -> Callable[..., Any] | None:
        return self._use(operator, FUSED_ATTENTION, "float32" if self.dtype is torch.float32 else limit)

    def _causal(self) -> dict[str, Any]:
        if "causal" not in self._kept:
            future = torch.ones(CAUSAL_MASK, CAUSAL_MASK, dtype=torch.bool).triu(1)
            self._kept["causal"] = future.to(self.device)
        return {"atten_mask": self._kept["causal"], "sparse_mode": CAUSAL}

    def _closed(self, window: int) -> Tensor:
        """What each new token must not see, [new, context], once per window."""
        name = f"closed:{window}"
        if name not in self._kept:
            self._kept[name] = ~self._mask(window)
        return self._kept[name]

    # -- experts -------------------------------------------------------------------------------------------------------

    def choose(self, scores: Tensor, bias: Tensor | None, gate: Gate) -> tuple[Tensor, Tensor]:
        experts = scores.shape[-1]
        fits = experts // gate.groups >= FEWEST_IN_GROUP and experts <= MOST_EXPERTS
        limit = None if fits else f"{experts} experts in {gate.groups} groups"
        kernel = self._use("route", "npu_moe_gating_top_k", limit)
        if kernel is None:
            return super().choose(scores, bias, gate)
        _, ids, affinity = kernel(
            scores.float(), gate.top_k, bias=None if bias is None else bias.float(), k_group=gate.groups_kept,
            group_count=gate.groups, group_select_mode=BEST_TWO,
            norm_type=SIGMOID if gate.scoring == "sigmoid" else SOFTMAX, out_flag=True,
            routed_scaling_factor=gate.scale, eps=1e-20,
        )  # fmt: skip
        return ids.long(), affinity
