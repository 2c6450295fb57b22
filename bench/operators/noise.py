"""Operands: random, never zeros, the same bytes on every machine and for every reader.

A pool of numbers is drawn once with Philox and scaled by exact arithmetic only; a tensor is the pool, read cyclically
from a place that its name decides. The pool's length is prime, so no two rows of a weight are alike.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

POOL = 4_194_301  # the largest prime below 2**22


@lru_cache(maxsize=1)
def pool() -> Floats:
    """Return the shared numbers: uniform, mean 0, variance 1, [POOL]."""
    words = np.random.Philox(key=[0, 7]).random_raw(POOL)
    uniform = (words >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-24) - np.float32(0.5)
    return uniform * np.float32(3.4641016)


def offset(name: str) -> int:
    """Return where in the pool a tensor of this name starts."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little") % POOL


def scale_of(name: str, shape: tuple[int, ...]) -> tuple[float, float]:
    """Return (mean, deviation) of a weight: near 1 for norms, small for biases, variance-keeping for matrices."""
    if len(shape) >= 2:
        return 0.0, (shape[-1] * shape[-2]) ** -0.25
    return (1.0, 0.1) if name.endswith("norm") else (0.0, 0.02)


def rounded(values: Floats, dtype: str) -> Floats:
    """Return float32 values rounded to what `dtype` can hold, to nearest, ties to even."""
    if dtype == "bf16":
        bits = np.ascontiguousarray(values).view(np.uint32)
        bits = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) & np.uint32(0xFFFF0000)
        return bits.view(np.float32)
    if dtype == "fp16":
        return values.astype(np.float16).astype(np.float32)
    return values


def noise(name: str, shape: tuple[int, ...], mean: float = 0.0, deviation: float = 1.0, dtype: str = "fp32") -> Floats:
    """Return the operand of a name, mean + deviation * pool rounded to `dtype`, as float32 [shape]."""
    size = int(np.prod(shape, dtype=np.int64))
    base = rounded(pool() * np.float32(deviation) + np.float32(mean), dtype)
    start = offset(name)
    out = np.empty(size, dtype=np.float32)
    filled = 0
    while filled < size:
        part = base[start : start + size - filled]
        out[filled : filled + len(part)] = part
        filled += len(part)
        start = 0
    return out.reshape(shape)


def token_ids(count: int, vocab: int) -> NDArray[np.int64]:
    """Return the step's token ids, [count]."""
    words: NDArray[Any] = np.random.Philox(key=[0, 8]).random_raw(count)
    return (words % np.uint64(vocab)).astype(np.int64)
