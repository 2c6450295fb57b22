"""What the scripts that call fused operators share: drawn operands, plain formulas in float32, errors."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import softmax

BF16, FP16, FP32, INT8 = torch.bfloat16, torch.float16, torch.float32, torch.int8
Compared = list[tuple[Tensor, Tensor]]
CASES: dict[str, Callable[[], Compared]] = {}


def case(function: Callable[[], Compared]) -> Callable[[], Compared]:
    CASES[function.__name__] = function
    return function


def draw(*shape: int, dtype: torch.dtype = BF16) -> Tensor:
    if dtype == INT8:
        return torch.randint(-127, 128, shape, dtype=INT8)
    return torch.randn(*shape).to(dtype)


def there(x: Tensor) -> Tensor:
    return x.contiguous().to("npu")


def plain_attention(q: Tensor, k: Tensor, v: Tensor, scale: float, closed: Tensor | None = None, sinks=None) -> Tensor:
    """q [B, N, S, D] over k, v [B, M, C, D], heads of a group one after another."""
    group = q.shape[1] // k.shape[1]
    k, v = k.float().repeat_interleave(group, 1), v.float().repeat_interleave(group, 1)
    scores = torch.einsum("bnsd,bncd->bnsc", q.float(), k) * scale
    if closed is not None:
        scores = scores.masked_fill(closed, float("-inf"))
    if sinks is None:
        return torch.einsum("bnsc,bncd->bnsd", softmax(scores, -1), v)
    weights = scores.exp() / (scores.exp().sum(-1, keepdim=True) + sinks.float().exp().view(1, -1, 1, 1))
    return torch.einsum("bnsc,bncd->bnsd", weights, v)


def turned(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Element i with i + half, both in float32."""
    half = x.shape[-1] // 2
    first, second = x.float()[..., :half], x.float()[..., half:]
    c, s = cos.float(), sin.float()
    return torch.cat(
        [first * c[..., :half] - second * s[..., :half], second * c[..., half:] + first * s[..., half:]], -1
    )


def error(got: Tensor, right: Tensor) -> float:
    """Norm of the difference over the norm of the right answer; infinite where shapes differ."""
    answer, wanted = got.cpu().double(), right.double()
    if answer.shape != wanted.shape:
        return float("inf")
    return float((answer - wanted).norm() / wanted.norm().clamp(min=1e-12))
