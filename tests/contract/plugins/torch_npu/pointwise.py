"""Norms, activations, rotary embedding and quantization, from their definitions in float32."""

from __future__ import annotations

import torch
from torch import Tensor

from torch_npu.checks import (
    FLOATS,
    HALVES,
    need,
    need_contiguous,
    need_types,
    paired_to_halves,
    quantized,
    rms,
    rotate_half,
)


def _check_norm(operator: str, x: Tensor, gamma: Tensor) -> None:
    need_types(operator, FLOATS, x=x, gamma=gamma)
    need(gamma.dtype == x.dtype, operator, f"gamma is {gamma.dtype}, x is {x.dtype}")
    need(gamma.dim() >= 1 and x.shape[-gamma.dim() :] == gamma.shape, operator, "gamma must have x's last dimensions")


def npu_rms_norm(input: Tensor, gamma: Tensor, epsilon: float = 1e-6) -> tuple[Tensor, Tensor]:
    """(y, rstd)."""
    _check_norm("npu_rms_norm", input, gamma)
    y, inverse = rms(input, gamma, epsilon, gamma.dim())
    return y.to(input.dtype), inverse


def npu_add_rms_norm(x1: Tensor, x2: Tensor, gamma: Tensor, epsilon: float = 1e-6) -> tuple[Tensor, Tensor, Tensor]:
    """(y, rstd, x1 + x2). The sum is rounded before it is normalised."""
    need(x1.shape == x2.shape and x1.dtype == x2.dtype, "npu_add_rms_norm", "x1 and x2 differ in shape or type")
    _check_norm("npu_add_rms_norm", x1, gamma)
    summed = (x1.float() + x2.float()).to(x1.dtype)
    y, inverse = rms(summed, gamma, epsilon, gamma.dim())
    return y.to(x1.dtype), inverse, summed


def npu_swiglu(input: Tensor, dim: int = -1) -> Tensor:
    """silu(first half) * second half."""
    need_types("npu_swiglu", FLOATS, input=input)
    need(input.shape[dim] % 2 == 0, "npu_swiglu", f"dimension {dim} of {tuple(input.shape)} is odd")
    gate, up = input.float().chunk(2, dim=dim)
    return (gate * torch.sigmoid(gate) * up).to(input.dtype)


def npu_clipped_swiglu(
    x: Tensor, dim: int = -1, alpha: float = 1.702, limit: float = 7.0, bias: float = 1.0, interleaved: bool = True
) -> Tensor:
    """clamp(gate) * sigmoid(alpha * gate) * (clamp(up) + bias); gate and up alternate unless interleaved is False."""
    need_types("npu_clipped_swiglu", FLOATS, x=x)
    need(x.shape[dim] % 2 == 0, "npu_clipped_swiglu", f"dimension {dim} of {tuple(x.shape)} is odd")
    last = x.float().movedim(dim, -1)
    gate, up = (last[..., ::2], last[..., 1::2]) if interleaved else last.chunk(2, dim=-1)
    gate, up = gate.clamp(max=limit), up.clamp(-limit, limit)
    return (gate * torch.sigmoid(alpha * gate) * (up + bias)).movedim(-1, dim).to(x.dtype).contiguous()


def npu_rotary_mul(input: Tensor, r1: Tensor, r2: Tensor, rotary_mode: str = "half") -> Tensor:
    """input * r1 + rotated input * r2; r1 is the cosine, r2 the sine."""
    name = "npu_rotary_mul"
    need_types(name, FLOATS, input=input, r1=r1, r2=r2)
    need(r1.dtype == input.dtype and r2.dtype == input.dtype, name, "input, r1 and r2 differ in type")
    need(input.dim() == r1.dim() == r2.dim() == 4 and r1.shape == r2.shape, name, "four dimensions, r1 and r2 alike")
    width = input.shape[-1]
    need(width % 2 == 0 and width < 896 and r1.shape[-1] == width, name, f"head size {width} must be even, below 896")
    need(all(r in (1, x) for r, x in zip(r1.shape, input.shape, strict=True)), name, "r1 does not broadcast to input")
    broadcast = [x for r, x in zip(r1.shape, input.shape, strict=True) if r != x]
    need(
        all(x < 1000 for x in broadcast), name, f"dimensions that r1 is broadcast over must be below 1000: {broadcast}"
    )
    x, cos, sin = input.float(), r1.float(), r2.float()
    if rotary_mode == "half":
        return (x * cos + rotate_half(x) * sin).to(input.dtype)
    need(rotary_mode == "interleave", name, f"rotary_mode {rotary_mode}: half or interleave")
    turned = torch.stack([-x[..., 1::2], x[..., ::2]], dim=-1).flatten(-2)
    return (x * cos + turned * sin).to(input.dtype)


def npu_interleave_rope(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Pairs of neighbours are turned, and come out as halves. x [B, N, S, 64]; cos, sin [B, 1, S or 1, 64]."""
    name = "npu_interleave_rope"
    need_types(name, HALVES, x=x)
    need(x.dtype == cos.dtype == sin.dtype, name, "x, cos and sin differ in type")
    need(x.dim() == cos.dim() == sin.dim() == 4 and cos.shape == sin.shape, name, "four dimensions, cos and sin alike")
    need(x.shape[-1] == cos.shape[-1] == 64, name, f"the last dimension must be 64, is {x.shape[-1]}")
    need(
        cos.shape[0] == x.shape[0] and cos.shape[1] == 1 and cos.shape[2] in (1, x.shape[2]),
        name,
        "cos must be [B, 1, S or 1, 64]",
    )
    need_contiguous(name, x=x, cos=cos, sin=sin)
    halves = paired_to_halves(x.float())
    return (halves * cos.float() + rotate_half(halves) * sin.float()).to(x.dtype)


def npu_dynamic_quant(
    input: Tensor, smooth_scales: Tensor | None = None, quant_mode: str = "pertoken"
) -> tuple[Tensor, Tensor]:
    """(int8, float32 scale of each row)."""
    name = "npu_dynamic_quant"
    need_types(name, HALVES, input=input, smooth_scales=smooth_scales)
    need(input.dim() > 1, name, "input needs more than one dimension")
    need(quant_mode == "pertoken", name, f"quant_mode {quant_mode}")
    values = input.float()
    if smooth_scales is not None:
        need(tuple(smooth_scales.shape) == (input.shape[-1],), name, "smooth_scales must have one value a column")
        values = values * smooth_scales.float()
    return quantized(values)


OPERATORS = {
    "npu_rms_norm": npu_rms_norm,
    "npu_add_rms_norm": npu_add_rms_norm,
    "npu_swiglu": npu_swiglu,
    "npu_clipped_swiglu": npu_clipped_swiglu,
    "npu_rotary_mul": npu_rotary_mul,
    "npu_interleave_rope": npu_interleave_rope,
    "npu_dynamic_quant": npu_dynamic_quant,
}
