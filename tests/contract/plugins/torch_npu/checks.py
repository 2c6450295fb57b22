"""How an operator refuses an argument, and what several definitions share."""

from __future__ import annotations

import torch
from torch import Tensor

HALVES = (torch.float16, torch.bfloat16)
FLOATS = (*HALVES, torch.float32)


def need(condition: bool, operator: str, what: str) -> None:
    """Raise as torch_npu does where the vendor's operator library refuses a call."""
    if not condition:
        raise RuntimeError(
            f"call aclnn of {operator} failed, detail: {what}."
            " ERR01100 OPS call acl api failed, error code is 161002 (parameter is invalid)"
        )


def need_types(operator: str, types: tuple[torch.dtype, ...], **tensors: Tensor | None) -> None:
    """Refuse tensors of any other type than these."""
    for name, tensor in tensors.items():
        if tensor is not None:
            wanted = ", ".join(str(t) for t in types)
            need(tensor.dtype in types, operator, f"{name} is {tensor.dtype}, supported: {wanted}")


def need_contiguous(operator: str, **tensors: Tensor | None) -> None:
    """Refuse tensors that are not contiguous."""
    for name, tensor in tensors.items():
        if tensor is not None:
            need(tensor.is_contiguous(), operator, f"{name} is not contiguous")


def need_shape(operator: str, name: str, tensor: Tensor, shape: tuple[int, ...]) -> None:
    """Refuse another shape."""
    need(tuple(tensor.shape) == shape, operator, f"{name} is {tuple(tensor.shape)}, must be {shape}")


def rms(x: Tensor, gamma: Tensor, epsilon: float, dims: int = 1) -> tuple[Tensor, Tensor]:
    """Normalise the last dimensions in float32: (y, reciprocal of the root mean square)."""
    values = x.float()
    inverse = values.pow(2).mean(tuple(range(-dims, 0)), keepdim=True).add(epsilon).rsqrt()
    return values * inverse * gamma.float(), inverse


def rotate_half(x: Tensor) -> Tensor:
    """(first, second) half to (-second, first)."""
    first, second = x.chunk(2, dim=-1)
    return torch.cat([-second, first], dim=-1)


def paired_to_halves(x: Tensor) -> Tensor:
    """Neighbours (0, 1, 2, 3, ...) to halves (0, 2, ..., 1, 3, ...), as DeepSeek's rotary embedding begins."""
    return x.unflatten(-1, (-1, 2)).transpose(-1, -2).flatten(-2)


def quantized(x: Tensor) -> tuple[Tensor, Tensor]:
    """Symmetric int8 with one scale for each row of the last dimension: (int8, float32 scales)."""
    values = x.float()
    scale = values.abs().amax(-1, keepdim=True) / 127
    steps = torch.where(scale > 0, values / scale, torch.zeros_like(values))
    return steps.round().clamp(-128, 127).to(torch.int8), scale.squeeze(-1)
