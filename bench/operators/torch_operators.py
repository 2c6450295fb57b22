"""Torch operators: execute a program on any torch device with what torch itself offers.

An adapter subclasses this and replaces what its vendor does better; `used` records which implementation ran.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from bench.errors import Unsupported
from bench.operators.noise import token_ids
from bench.operators.torch_attention import TorchAttention
from bench.operators.torch_experts import TorchExperts


class TorchOperators(TorchAttention, TorchExperts):
    """Portable implementations of every operator; an exchange between devices is left out, and the row says so."""

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
