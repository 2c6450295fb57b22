"""Products: grouped, quantized, and batched with transposition."""

from __future__ import annotations

import torch
from torch import Tensor

from torch_npu.checks import FLOATS, need, need_shape, need_types

INNER_LIMIT = 65536
# (type of scale, type of output) that int8 products with a scale for each row support.
PER_TOKEN = {(torch.bfloat16, torch.bfloat16), (torch.float32, torch.float16)}
BY_NUMBER = {1: torch.int8, 3: torch.int32, 5: torch.float16, 6: torch.float32, 15: torch.bfloat16}


def type_of(number: int | None) -> torch.dtype | None:
    """torch passes a dtype for an `int?` as its number."""
    return None if number is None else BY_NUMBER[int(number)]


def npu_grouped_matmul(
    x: list[Tensor],
    weight: list[Tensor],
    bias: list[Tensor] | None = None,
    scale: list[Tensor] | None = None,
    per_token_scale: list[Tensor] | None = None,
    group_list: Tensor | None = None,
    split_item: int = 0,
    group_type: int | None = None,
    group_list_type: int = 0,
    output_dtype: int | None = None,
) -> list[Tensor]:
    """Rows of x in groups, each by its own weight: x [m, k], weight [e, k, n] (or e tensors [k, n]) to [m, n]."""
    name = "npu_grouped_matmul"
    need(group_type in (None, -1, 0), name, f"group_type {group_type}: -1 or 0")
    if group_type in (None, -1):
        need(
            split_item in (0, 1) and group_list is None and len(x) == len(weight),
            name,
            "without groups, x and weight pair up",
        )
        return [_group(name, a, w, None, None, None, None) for a, w in zip(x, weight, strict=True)]
    need(split_item in (2, 3), name, f"split_item {split_item}: one output needs 2 or 3")
    need(len(x) == 1 and x[0].dim() == 2, name, "x must be one tensor of two dimensions")
    each = list(weight[0]) if len(weight) == 1 and weight[0].dim() == 3 else list(weight)
    need(all(w.dim() == 2 for w in each), name, "weight must be one tensor of three dimensions, or tensors of two")
    need(group_list is not None, name, "group_list is missing")
    assert group_list is not None
    sizes = _sizes(name, group_list, group_list_type, len(each), len(x[0]))
    quantized = x[0].dtype == torch.int8
    output = type_of(output_dtype) or x[0].dtype
    biases = _rows(name, "bias", bias, len(each))
    scales = _rows(name, "scale", scale, len(each))
    if quantized:
        need(scales is not None, name, "int8 needs scale")
        need(per_token_scale is not None, name, "the fake's int8 needs per_token_scale")
        assert scales is not None
        assert per_token_scale is not None
        need_shape(name, "per_token_scale", per_token_scale[0], (len(x[0]),))
        need_types(name, (torch.float32,), per_token_scale=per_token_scale[0])
        need((scales[0].dtype, output) in PER_TOKEN, name, f"scale {scales[0].dtype} with output {output}")
    else:
        need(scale is None and per_token_scale is None, name, "scale is for int8")
        need(output == x[0].dtype, name, f"output_dtype {output} for x {x[0].dtype}")
    parts, start = [], 0
    for group, size in enumerate(sizes):
        rows = x[0][start : start + size]
        token = None if per_token_scale is None else per_token_scale[0][start : start + size]
        own_bias = None if biases is None else biases[group]
        parts.append(
            _group(name, rows, each[group], own_bias, None if scales is None else scales[group], token, output)
        )
        start += size
    return [torch.cat(parts)]


def _rows(name: str, what: str, given: list[Tensor] | None, experts: int) -> list[Tensor] | None:
    """One row for each expert, from a list of them or one tensor [experts, n]."""
    if not given:
        return None
    rows = list(given[0]) if len(given) == 1 and given[0].dim() == 2 else list(given)
    need(len(rows) == experts and all(r.dim() == 1 for r in rows), name, f"{what} needs one row for each expert")
    return rows


def _sizes(name: str, group_list: Tensor, kind: int, experts: int, rows: int) -> list[int]:
    """Rows of each group. kind 0: running ends; 1: counts."""
    need_types(name, (torch.int64,), group_list=group_list)
    need_shape(name, "group_list", group_list, (experts,))
    need(kind in (0, 1), name, f"the fake's group_list_type is 0 or 1, not {kind}")
    need(experts <= 1024, name, "more than 1024 groups")
    told = [int(n) for n in group_list]
    sizes = [b - a for a, b in zip([0, *told], told, strict=False)] if kind == 0 else told
    need(all(size >= 0 for size in sizes), name, f"group_list {told} is not ascending")
    need(sum(sizes) == rows, name, f"group_list says {sum(sizes)} rows, x has {rows}")
    return sizes


def _group(
    name: str,
    x: Tensor,
    w: Tensor,
    bias: Tensor | None,
    scale: Tensor | None,
    token: Tensor | None,
    output: torch.dtype | None,
) -> Tensor:
    need_types(name, (*FLOATS, torch.int8), x=x, weight=w)
    need(x.dtype == w.dtype, name, f"x is {x.dtype}, weight is {w.dtype}")
    need(x.shape[-1] == w.shape[0], name, f"x {tuple(x.shape)} by weight {tuple(w.shape)}")
    need(x.shape[-1] < INNER_LIMIT and w.shape[-1] < INNER_LIMIT, name, f"inner dimensions reach {INNER_LIMIT}")
    out = x.double() @ w.double() if x.dtype == torch.int8 else x.float() @ w.float()
    if scale is not None and token is not None:
        need_shape(name, "scale", scale, (w.shape[-1],))
        out = out * scale.float() * token.float()[:, None]
    if bias is not None:
        wanted = {torch.float16: torch.float16, torch.int8: torch.int32}.get(x.dtype, torch.float32)
        need(scale is None, name, "the fake's int8 has no bias")
        need_types(name, (wanted,), bias=bias)
        out = out + bias
    return out.to(output or x.dtype)


def npu_quant_matmul(
    x1: Tensor,
    x2: Tensor,
    scale: Tensor,
    pertoken_scale: Tensor | None = None,
    bias: Tensor | None = None,
    output_dtype: int | None = None,
) -> Tensor:
    """int8 [..., m, k] by int8 [k, n], times the scales of columns and rows."""
    name = "npu_quant_matmul"
    need_types(name, (torch.int8,), x1=x1, x2=x2)
    need(
        x1.dim() >= 2 and x2.dim() == 2 and x1.shape[-1] == x2.shape[0], name, f"{tuple(x1.shape)} by {tuple(x2.shape)}"
    )
    need(max(x1.shape[-1], x2.shape[-1]) <= INNER_LIMIT - 1, name, "last dimensions above 65535")
    need(tuple(scale.shape) in ((1,), (x2.shape[1],)), name, f"scale is {tuple(scale.shape)}")
    output = type_of(output_dtype) or torch.int8
    bf16, fp16, fp32 = torch.bfloat16, torch.float16, torch.float32
    if pertoken_scale is None:
        allowed = {
            (fp32, bf16),
            (bf16, bf16),
            (fp32, torch.int8),
            (fp32, torch.int32),
            (bf16, torch.int32),
            (fp32, fp16),
        }
    else:
        allowed = {(fp32, bf16), (bf16, bf16), (fp32, fp16)}
        need_types(name, (fp32,), pertoken_scale=pertoken_scale)
        need_shape(name, "pertoken_scale", pertoken_scale, (x1.shape[-2],))
    need((scale.dtype, output) in allowed, name, f"scale {scale.dtype} with output {output}")
    out = x1.double() @ x2.double()
    if bias is not None and bias.dtype == torch.int32:
        out = out + bias
    if output != torch.int32:
        out = out * scale.double()
    if pertoken_scale is not None:
        out = out * pertoken_scale.double()[:, None]
    if bias is not None and bias.dtype != torch.int32:
        need_types(name, (bf16, fp32), bias=bias)
        need(output in (bf16, fp16), name, f"bias {bias.dtype} with output {output}")
        out = out + bias.double()
    return out.round().clamp(-128, 127).to(output) if output == torch.int8 else out.to(output)


def npu_transpose_batchmatmul(
    input: Tensor,
    weight: Tensor,
    perm_x1: list[int] | None = None,
    perm_x2: list[int] | None = None,
    perm_y: list[int] | None = None,
) -> Tensor:
    """Permuted input [b, m, k] by weight [b, k, n], and the product [b, m, n] permuted to [m, b, n]."""
    name = "npu_transpose_batchmatmul"
    need_types(name, FLOATS, input=input, weight=weight)
    need(input.dim() == weight.dim() == 3 and input.dtype == weight.dtype, name, "three dimensions and one type")
    first, second, last = list(perm_x1 or (0, 1, 2)), list(perm_x2 or (0, 1, 2)), list(perm_y or (1, 0, 2))
    need(first in ([0, 1, 2], [1, 0, 2]), name, f"perm_x1 {first}")
    need(second == [0, 1, 2] and last == [1, 0, 2], name, f"perm_x2 {second}, perm_y {last}")
    left = input.permute(first)
    need(
        left.shape[0] == weight.shape[0] and left.shape[2] == weight.shape[1],
        name,
        f"{tuple(left.shape)} by {tuple(weight.shape)}",
    )
    k, n = weight.shape[1:]
    need(k % 128 == 0 and n % 128 == 0, name, f"k {k} and n {n} must be multiples of 128")
    need((k * left.shape[0] if first[0] else k) < INNER_LIMIT, name, "k times batch too large")
    return torch.bmm(left.float(), weight.float()).permute(last).to(input.dtype).contiguous()


OPERATORS = {
    "npu_grouped_matmul": npu_grouped_matmul,
    "npu_quant_matmul": npu_quant_matmul,
    "npu_transpose_batchmatmul": npu_transpose_batchmatmul,
}
