"""The kernel record: what one launch computes and moves, as the cost operators write it down."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

# One number, or one number per point of a sweep.
Dim: TypeAlias = int | float | NDArray[Any]

BYTES = {"fp64": 8.0, "fp32": 4.0, "tf32": 4.0, "fp16": 2.0, "bf16": 2.0, "fp8": 1.0, "int8": 1.0, "fp4": 0.5}

# Kinds whose time is a message between devices; the rest run on one device.
LINK_KINDS = frozenset({"all_reduce", "all_gather", "reduce_scatter", "all_to_all", "ep_dispatch", "ep_combine"})


@dataclass(frozen=True)
class Kernel:
    """One launch, `count` times: FLOPs on the matrix unit, bytes of memory, bytes sent to peers (one direction).

    FLOPs are those of matrix products, 2 per multiply-add; softmax, norms and activations count as bytes only.
    Every operand is read once and every result written once: less is impossible, more is a kernel's own loss.
    """

    kind: str
    name: str
    dtype: str
    flops: Dim
    read_bytes: Dim
    written_bytes: Dim
    link_bytes: Dim = 0
    ranks: int = 1
    count: int = 1
    dims: dict[str, Dim] = field(default_factory=dict)

    @property
    def moved_bytes(self) -> Dim:
        return self.read_bytes + self.written_bytes


@dataclass(frozen=True)
class Work:
    """What a whole step does on one device: its kernels, the weights it holds and the cache it needs."""

    kernels: tuple[Kernel, ...]
    # Name -> (elements, bytes), all layers of a kind under one name that ends in "*".
    weights: dict[str, tuple[int, float]]
    cache_bytes: Dim
    imbalance: float | None = None

    @property
    def parameters(self) -> int:
        return sum(size for size, _ in self.weights.values())

    @property
    def weight_bytes(self) -> float:
        return sum(size_bytes for _, size_bytes in self.weights.values())

    def total(self, quantity: str) -> Dim:
        """Sum of one quantity ("flops", "read_bytes", "written_bytes", "link_bytes") over all launches."""
        total: Dim = sum((getattr(k, quantity) * k.count for k in self.kernels), start=0)
        return total

    @property
    def launches(self) -> int:
        return sum(k.count for k in self.kernels)

    @property
    def activation_bytes(self) -> Dim:
        """Inputs, residual stream and one kernel's results live at once: three of the largest is a safe reading."""
        largest: Dim = 0
        for kernel in self.kernels:
            largest = np.maximum(largest, kernel.dims.get("activation_bytes", 0))
        return 3 * largest

    @property
    def memory_bytes(self) -> Dim:
        """Memory one device needs: weights, KV cache, activations."""
        return self.weight_bytes + self.cache_bytes + self.activation_bytes
