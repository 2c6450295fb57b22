"""The operands of a program on a torch device: weights, inputs, caches and masks, drawn on first use and kept.

A second run of the same program finds them there and only computes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.errors import Unsupported
from bench.operators.interface import ExpertPlan, Step
from bench.operators.noise import offset, pool, scale_of

MOST_POOLS = 4
TORCH_DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


class TorchOperands:
    """What one step reads and keeps. dtype: of weights, activations and cache."""

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
