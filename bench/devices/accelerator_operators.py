"""Torch operators of an accelerator: 8-bit products with a scale a token and a channel.

8-bit weights are quantized once, per output channel; activations per token by a kernel of their own, as engines do.
Between products everything is bfloat16.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from bench.errors import Unsupported
from bench.operators.interface import Step
from bench.operators.torch_experts import Routed
from bench.operators.torch_operators import TorchOperators

EIGHT_BIT = {"fp8": torch.float8_e4m3fn, "int8": torch.int8}
LARGEST = {torch.float8_e4m3fn: 448.0, torch.int8: 127.0}
SMALLEST_SCALE = 1e-12


@dataclass(frozen=True)
class Quantized:
    """8-bit values [..., k] and the float32 scale of each row [..., 1]: value * scale is the number meant."""

    values: Tensor
    scale: Tensor

    def __len__(self) -> int:
        return len(self.values)


class AcceleratorOperators(TorchOperators):
    """Operators on any torch device. A vendor replaces `product_8bit` and what it fuses."""

    def __init__(
        self, step: Step, dtype: str, device: torch.device, copies: int = 1, layers: int | None = None
    ) -> None:
        super().__init__(step, "bf16" if dtype in EIGHT_BIT else dtype, device, copies, layers)
        self.eight_bit = EIGHT_BIT.get(dtype)
        self._weights_8bit: dict[str, Quantized] = {}
        self._biases: dict[int, tuple[Tensor, Tensor]] = {}

    # -- operands ------------------------------------------------------------------------------------------------------

    def weight(self, name: str, shape: tuple[int, ...], *, quantized: bool = True) -> Any:
        if not quantized or len(shape) < 2:
            return super().weight(name, shape, quantized=quantized)
        if self.eight_bit is None:
            kept = self._kept.get(name)
            if kept is None:
                kept = self._kept[name] = self.laid_out(super().weight(name, shape))
            return kept
        small = self._weights_8bit.get(name)
        if small is None:
            small = self.laid_out_8bit(self.rows_8bit(super().weight(name, shape)))
            self._weights_8bit[name] = small
            del self._kept[name]
        return small

    def laid_out(self, weight: Tensor) -> Tensor:
        """Bring a weight into the layout the vendor's products read fastest, once."""
        return weight

    def laid_out_8bit(self, weight: Quantized) -> Quantized:
        """Bring an 8-bit weight into the layout the vendor's products read fastest, once."""
        return weight

    # -- 8-bit ---------------------------------------------------------------------------------------------------------

    def rows_8bit(self, x: Tensor) -> Quantized:
        """Quantize by rows: the largest magnitude of each row becomes the dtype's largest number."""
        assert self.eight_bit is not None
        if x.dim() == 3:  # experts one by one: float32 copies of them all would not fit beside them
            parts = [self.rows_8bit(each) for each in x]
            return Quantized(torch.stack([p.values for p in parts]), torch.stack([p.scale for p in parts]))
        largest = LARGEST[self.eight_bit]
        scale = (x.abs().amax(-1, keepdim=True).float() / largest).clamp(min=SMALLEST_SCALE)
        values = x.float() / scale
        if self.eight_bit is torch.int8:
            values = values.round_()
        return Quantized(values.to(self.eight_bit), scale)

    def quantize(self, x: Any) -> Any:
        if self.eight_bit is None:
            return x
        self.used["quantize"] = "torch, per token"
        return self.rows_8bit(x)

    def linear(self, x: Any, weight: Any, bias: Tensor | None = None, *, name: str) -> Tensor:
        if not isinstance(weight, Quantized):
            return super().linear(x, weight, bias, name=name)
        out = self.product_8bit(x, weight)
        return out if bias is None else out + bias

    def product_8bit(self, x: Quantized, weight: Quantized) -> Tensor:
        """x [T, k] by weight [n, k] transposed, scaled back: [T, n] in bfloat16."""
        raise Unsupported(f"torch.{self.device.type} has no {self.eight_bit} matrix product that is known here")

    def grouped_linear(self, x: Any, weight: Any, routing: Routed, bias: Tensor | None = None, *, name: str) -> Tensor:
        if not isinstance(weight, Quantized):
            return super().grouped_linear(x, weight, routing, bias, name=name)
        out = self.grouped_8bit(x, weight, routing)
        return out if bias is None else out + self._spread(bias, routing)

    def grouped_8bit(self, x: Quantized, weight: Quantized, routing: Routed) -> Tensor:
        """Each expert's rows by its own weight [experts, n, k], scaled back: [rows, n] in bfloat16."""
        raise Unsupported(f"torch.{self.device.type} has no grouped {self.eight_bit} product that is known here")

    def dispatch(self, x: Any, routing: Routed, *, ranks: int) -> Any:
        if not isinstance(x, Quantized):
            return super().dispatch(x, routing, ranks=ranks)
        rows = super().dispatch(x.values, routing, ranks=ranks)
        return Quantized(rows, x.scale.index_select(0, routing.token))

    def _spread(self, bias: Tensor, routing: Routed) -> Tensor:
        """Each row's bias, from row numbers made once: a capture allows no copy from the host."""
        kept = self._biases.get(id(routing.ends))
        if kept is None:
            expert = np.repeat(np.arange(len(routing.counts)), routing.counts)
            kept = self._biases[id(routing.ends)] = (routing.ends, torch.from_numpy(expert).to(self.device))
        return F.embedding(kept[1], bias)
