"""Mixture of experts: choosing, and sending rows to experts and back."""

from __future__ import annotations

import torch
from torch import Tensor

from torch_npu.checks import FLOATS, need, need_shape, need_types, quantized


def npu_moe_gating_top_k(
    x: Tensor,
    k: int,
    bias: Tensor | None = None,
    k_group: int = 1,
    group_count: int = 1,
    group_select_mode: int = 0,
    renorm: int = 0,
    norm_type: int = 0,
    out_flag: bool = False,
    routed_scaling_factor: float = 1.0,
    eps: float = 1e-20,
) -> tuple[Tensor, Tensor, Tensor]:
    """(weights, experts, scores): softmax (0) or sigmoid (1), groups, top k; bias only chooses."""
    name = "npu_moe_gating_top_k"
    need_types(name, FLOATS, x=x)
    need(x.dim() == 2 and x.shape[1] <= 2048, name, f"x is {tuple(x.shape)}: two dimensions, at most 2048 experts")
    experts = x.shape[1]
    need(
        group_count > 0 and experts % group_count == 0 and experts // group_count > 2,
        name,
        f"{group_count} groups of {experts}",
    )
    need(-(-experts // group_count // 32) * 32 * group_count <= 2048, name, "groups rounded to 32 exceed 2048")
    need(1 <= k_group <= group_count and 1 <= k <= experts // group_count * k_group, name, f"k {k}, k_group {k_group}")
    need(renorm == 0, name, f"renorm {renorm}: only 0")
    need(norm_type in (0, 1) and group_select_mode in (0, 1), name, "norm_type and group_select_mode are 0 or 1")
    score = x.float().sigmoid() if norm_type == 1 else x.float().softmax(-1)
    ranking = score
    if bias is not None:
        need(bias.dtype == x.dtype, name, f"bias is {bias.dtype}, x is {x.dtype}")
        need_shape(name, "bias", bias, (experts,))
        ranking = score + bias.float()
    if group_count > 1:
        grouped = ranking.unflatten(-1, (group_count, -1))
        worth = grouped.topk(2, dim=-1).values.sum(-1) if group_select_mode == 1 else grouped.amax(-1)
        kept = worth.sort(dim=-1, descending=True, stable=True).indices[:, :k_group]
        closed = torch.ones_like(worth, dtype=torch.bool).scatter(-1, kept, False)
        ranking = grouped.masked_fill(closed[..., None], float("-inf")).flatten(-2)
    chosen = ranking.sort(dim=-1, descending=True, stable=True).indices[:, :k]
    weights = score.gather(-1, chosen)
    if norm_type == 1:
        weights = weights / (weights.sum(-1, keepdim=True) + eps)
    # What a kernel leaves in an output that was not asked for, nobody may read.
    told = score if out_flag else torch.full_like(score, float("nan"))
    return (weights * routed_scaling_factor).to(x.dtype), chosen.to(torch.int32), told


def npu_moe_gating_top_k_softmax(
    x: Tensor, finished: Tensor | None = None, k: int = 1
) -> tuple[Tensor, Tensor, Tensor]:
    """(weights, experts, rows): softmax, then the top k; a finished row goes to no expert."""
    name = "npu_moe_gating_top_k_softmax"
    need_types(name, FLOATS, x=x)
    need_types(name, (torch.bool,), finished=finished)
    need(x.dim() in (2, 3) and 1 <= k <= min(x.shape[-1], 1024), name, f"x {tuple(x.shape)}, k {k}")
    weights, chosen = x.float().softmax(-1).sort(dim=-1, descending=True, stable=True)
    weights, chosen = weights[..., :k], chosen[..., :k].to(torch.int32)
    if finished is not None:
        need_shape(name, "finished", finished, tuple(x.shape[:-1]))
        chosen = chosen.masked_fill(finished[..., None], x.shape[-1])
    rows = x.shape[:-1].numel()
    order = torch.arange(rows * k, dtype=torch.int32).view(k, rows).t().reshape(chosen.shape)
    return weights.to(x.dtype), chosen.contiguous(), order.contiguous()


def npu_moe_init_routing_v2(
    x: Tensor,
    expert_idx: Tensor,
    scale: Tensor | None = None,
    active_num: int = -1,
    expert_capacity: int = -1,
    expert_num: int = -1,
    drop_pad_mode: int = 0,
    expert_tokens_num_type: int = 0,
    expert_tokens_num_flag: bool = False,
    quant_mode: int = -1,
    active_expert_range: tuple[int, ...] = (),
    row_idx_type: int = 0,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """(rows sorted by expert, index, tokens of each expert, scale). Experts outside the range get no row."""
    name = "npu_moe_init_routing_v2"
    need_types(name, (*FLOATS, torch.int8), x=x)
    need_types(name, (torch.int32,), expert_idx=expert_idx)
    need(x.dim() == expert_idx.dim() == 2 and len(x) == len(expert_idx), name, "x and expert_idx need one row a token")
    need(active_num == expert_idx.numel(), name, f"active_num {active_num} must be {expert_idx.numel()}, rows times k")
    need(expert_tokens_num_flag and expert_tokens_num_type in (1, 2), name, "expert_tokens_num_flag True, _type 1 or 2")
    need(drop_pad_mode == 0 and quant_mode in (-1, 1) and row_idx_type in (0, 1), name, "an unsupported mode")
    need(scale is None, name, "the fake takes no scale")
    need(len(active_expert_range) == 2, name, "active_expert_range needs [start, end]")
    start, end = active_expert_range
    need(0 <= start < end <= expert_num <= 10240, name, f"experts [{start}, {end}) of {expert_num}")
    flat, k = expert_idx.flatten().long(), expert_idx.shape[1]
    need(bool(((flat >= 0) & (flat < expert_num)).all()), name, "an expert beyond expert_num")
    pairs = torch.where(flat < start, flat + 2**31, flat).argsort(stable=True)
    active = int(((flat >= start) & (flat < end)).sum())
    nothing = float("nan") if x.dtype.is_floating_point else 0
    rows = torch.full((len(flat), x.shape[1]), nothing, dtype=x.dtype)
    rows[:active] = x[pairs[:active] // k]
    if row_idx_type == 1:
        index = pairs
    else:
        index = torch.full_like(flat, -1)
        index[pairs[:active]] = torch.arange(active)
    counts = torch.bincount(flat, minlength=expert_num)[start:end]
    if expert_tokens_num_type == 2:
        busy = counts.nonzero().squeeze(-1)
        told = torch.zeros(expert_num, 2, dtype=torch.int64)
        told[: len(busy)] = torch.stack([busy + start, counts[busy]], dim=1)
        counts = told
    scales = torch.full((len(flat),), float("nan"))
    if quant_mode == 1:
        need(x.dtype != torch.int8, name, "x is int8 already")
        whole, scales[:active] = quantized(rows[:active])
        rows = torch.zeros_like(rows, dtype=torch.int8)
        rows[:active] = whole
    return rows, index.to(torch.int32), counts, scales


def npu_moe_finalize_routing(
    expanded_permuted_rows: Tensor,
    skip1: Tensor | None,
    skip2: Tensor | None,
    bias: Tensor | None,
    scales: Tensor | None,
    expanded_src_to_dst_row: Tensor,
    export_for_source_row: Tensor | None,
    drop_pad_mode: int = 0,
) -> Tensor:
    """skip1 + skip2 + sum over k of scale * (row + bias of its expert). Index by columns (0) or by rows (2)."""
    name = "npu_moe_finalize_routing"
    rows, index = expanded_permuted_rows, expanded_src_to_dst_row
    need_types(name, FLOATS, rows=rows)
    need_types(name, (torch.int32,), expanded_src_to_dst_row=index, export_for_source_row=export_for_source_row)
    need(drop_pad_mode in (0, 2), name, f"the fake's drop_pad_mode is 0 or 2, not {drop_pad_mode}")
    need(
        rows.dim() == 2 and index.dim() == 1 and len(rows) == len(index),
        name,
        f"rows {tuple(rows.shape)}, index {tuple(index.shape)}",
    )
    need(skip2 is None or skip1 is not None, name, "skip2 without skip1")
    for what, tensor in (("skip1", skip1), ("skip2", skip2), ("bias", bias), ("scales", scales)):
        need(tensor is None or tensor.dtype == rows.dtype, name, f"{what} is not {rows.dtype}")
    k = 1 if scales is None else scales.shape[1]
    tokens = len(index) // k
    need(scales is None or tuple(scales.shape) == (tokens, k), name, "scales must be [tokens, k]")
    need(bool(((index >= 0) & (index < len(rows))).all()), name, "an index beyond the rows")
    places = index.long().view(k, tokens).t() if drop_pad_mode == 0 else index.long().view(tokens, k)
    parts = rows.float()[places]
    if bias is not None:
        need(export_for_source_row is not None, name, "bias without export_for_source_row")
        assert export_for_source_row is not None
        parts = parts + bias.float()[export_for_source_row.long()]
    out = (parts * (1 if scales is None else scales.float()[..., None])).sum(1)
    for skip in (skip1, skip2):
        if skip is not None:
            need_shape(name, "skip", skip, (tokens, rows.shape[1]))
            out = out + skip.float()
    return out.to(rows.dtype)


def npu_moe_token_permute(
    tokens: Tensor, indices: Tensor, num_out_tokens: int | None = None, padded_mode: bool = False
) -> tuple[Tensor, Tensor]:
    """(rows sorted by expert, row of each pair)."""
    name = "npu_moe_token_permute"
    need_types(name, FLOATS, tokens=tokens)
    need_types(name, (torch.int32, torch.int64), indices=indices)
    need(not padded_mode, name, "padded_mode is not supported")
    need(
        tokens.dim() == 2 and indices.dim() in (1, 2) and len(tokens) == len(indices),
        name,
        "one row of indices a token",
    )
    k = 1 if indices.dim() == 1 else indices.shape[1]
    pairs = indices.flatten().argsort(stable=True)
    kept = pairs if not num_out_tokens else pairs[:num_out_tokens]
    return tokens[kept // k], pairs.argsort().to(torch.int32)


def npu_moe_token_unpermute(
    permuted_tokens: Tensor, sorted_indices: Tensor, probs: Tensor | None = None, padded_mode: bool = False
) -> Tensor:
    """Rows back at their pairs (zero where a pair has none), times probs [tokens, k] and summed over k."""
    name = "npu_moe_token_unpermute"
    need_types(name, FLOATS, permuted_tokens=permuted_tokens, probs=probs)
    need_types(name, (torch.int32,), sorted_indices=sorted_indices)
    need(not padded_mode, name, "padded_mode is not supported")
    need(permuted_tokens.dim() == 2 and sorted_indices.dim() == 1, name, "rows of two dimensions, indices of one")
    places = sorted_indices.long()
    there = (places >= 0) & (places < len(permuted_tokens))
    rows = torch.where(there[:, None], permuted_tokens.float()[places.clamp(0, len(permuted_tokens) - 1)], 0.0)
    if probs is not None:
        need(
            probs.dim() == 2 and probs.numel() == len(places),
            name,
            f"probs {tuple(probs.shape)} for {len(places)} pairs",
        )
        rows = (rows.view(*probs.shape, -1) * probs.float()[..., None]).sum(1)
    return rows.to(permuted_tokens.dtype)


OPERATORS = {
    "npu_moe_gating_top_k": npu_moe_gating_top_k,
    "npu_moe_gating_top_k_softmax": npu_moe_gating_top_k_softmax,
    "npu_moe_init_routing_v2": npu_moe_init_routing_v2,
    "npu_moe_finalize_routing": npu_moe_finalize_routing,
    "npu_moe_token_permute": npu_moe_token_permute,
    "npu_moe_token_unpermute": npu_moe_token_unpermute,
}
