"""Torch operators on NVIDIA GPUs: 8-bit products of the tensor cores, with a scale a token and a channel."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.devices.accelerator_operators import AcceleratorOperators, Quantized
from bench.errors import Unsupported
from bench.operators.torch_experts import Routed

# torch._int_mm takes 17 rows or more.
FEWEST_INT8_ROWS = 32
# The 8-bit products of cuBLASLt and CUTLASS need dimensions in whole 16.
STEP = 16


class NvidiaOperators(AcceleratorOperators):
    """fp8 through torch._scaled_mm and torch._scaled_grouped_mm, int8 through torch._int_mm."""

    def product_8bit(self, x: Quantized, weight: Quantized) -> Tensor:
        n, k = weight.values.shape
        if n % STEP or k % STEP:
            raise Unsupported(f"8-bit products here need n and k in whole {STEP}; the weight is [{n}, {k}]")
        if self.eight_bit is torch.int8:
            return self._int8(x, weight)
        self.used["linear"] = "torch._scaled_mm, scales by row"
        out: Tensor = torch._scaled_mm(
            x.values, weight.values.t(), scale_a=x.scale, scale_b=weight.scale.t(), out_dtype=self.dtype,
            use_fast_accum=True,
        )  # fmt: skip
        return out

    def _int8(self, x: Quantized, weight: Quantized) -> Tensor:
        self.used["linear"] = "torch._int_mm, scaled after"
        rows = len(x)
        values = x.values
        if rows < FEWEST_INT8_ROWS:
            values = F.pad(values, (0, 0, 0, FEWEST_INT8_ROWS - rows))
        whole = torch._int_mm(values, weight.values.t())[:rows]
        return (whole.float() * x.scale * weight.scale.t()).to(self.dtype)

    def grouped_8bit(self, x: Quantized, weight: Quantized, routing: Routed) -> Tensor:
        if self.eight_bit is torch.int8:
            raise Unsupported("torch has no grouped int8 product on CUDA")
        self.used["grouped_linear"] = "torch._scaled_grouped_mm, scales by row"
        out: Tensor = torch._scaled_grouped_mm(
            x.values, weight.values.transpose(-2, -1), x.scale.flatten(), weight.scale.flatten(1), offs=routing.ends,
            out_dtype=self.dtype, use_fast_accum=True,
        )  # fmt: skip
        return out
