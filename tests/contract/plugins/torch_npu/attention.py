"""Fused inference attention in both of its signatures: layouts, pages, masks, latent attention's rotary part, sinks."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from torch_npu.checks import HALVES, need, need_contiguous, need_types
from torch_npu.layouts import joined, lengths_of, pages, sequences

UNLIMITED = 2147483647
LAYOUTS = {
    "BSH": "BSH", "BSND": "BSND", "BNSD": "BNSD", "TND": "TND", "BNSD_BSND": "BSND", "BSH_NBSD": "NBSD",
    "BSND_NBSD": "NBSD", "BNSD_NBSD": "NBSD", "TND_NTD": "NTD", "NTD_TND": "TND",
}  # fmt: skip
COMPRESSED = 2048


@dataclass(frozen=True)
class Call:
    """The arguments of one call, by the names of the first signature."""

    name: str
    mask: Tensor | None
    lengths: list[int] | None
    kv_lengths: list[int] | None
    block_table: Tensor | None
    q_rope: Tensor | None
    k_rope: Tensor | None
    heads: int
    kv_heads: int
    scale: float
    pre_tokens: int
    next_tokens: int
    layout: str
    sparse_mode: int
    block_size: int
    lse: bool
    sinks: Tensor | None


def attend(call: Call, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    """(attention, log-sum-exp of each row, or an empty tensor)."""
    name, source = call.name, call.layout.split("_")[0]
    need(call.layout in LAYOUTS, name, f"input_layout {call.layout}")
    need_types(name, HALVES, query=query)
    for what, tensor in (("key", key), ("value", value), ("query_rope", call.q_rope), ("key_rope", call.k_rope)):
        need(tensor is None or tensor.dtype == query.dtype, name, f"{what} is not {query.dtype}")
    need_contiguous(
        name, query=query, key=key, value=value, mask=call.mask, query_rope=call.q_rope, key_rope=call.k_rope
    )
    need(
        call.kv_heads > 0
        and call.heads % call.kv_heads == 0
        and (call.heads // call.kv_heads <= 64 or call.q_rope is not None),
        name,
        f"{call.heads} heads over {call.kv_heads}",
    )
    need(call.heads <= 256, name, f"{call.heads} heads: at most 256")
    packed = source in ("TND", "NTD")
    need(packed or key.shape == value.shape, name, "key and value differ in shape")
    queries = sequences(name, query, source, call.heads, call.lengths if packed else None, "query")
    width = queries[0].shape[-1]
    need(width <= 512 and width % 16 == 0, name, f"head size {width}: at most 512 and a multiple of 16")
    most = max(q.shape[1] for q in queries)
    _check_rope(call, width, most)
    if packed:
        need(
            call.lengths is not None and call.kv_lengths is not None,
            name,
            f"{source} needs the lengths of queries and keys",
        )
        need(call.sparse_mode in (0, 3), name, f"{source} with sparse_mode {call.sparse_mode}: 0 or 3")
        need(
            (call.sparse_mode == 3) == (call.mask is not None),
            name,
            f"{source}: a mask with sparse_mode 3, none with 0",
        )
    target = LAYOUTS[call.layout]
    need(call.layout != "BNSD_BSND" or most > 1, name, "BNSD_BSND needs more than one query")
    need(
        target != "NBSD" or (call.q_rope is not None and most <= 16) or 1 < most <= 16,
        name,
        "NBSD needs 2 to 16 queries",
    )
    if call.block_table is None:
        kv_lengths = call.kv_lengths if packed else None
        keys = sequences(name, key, source, call.kv_heads, kv_lengths, "key")
        values = sequences(name, value, source, call.kv_heads, kv_lengths, "value")
        ropes = (
            None if call.k_rope is None else sequences(name, call.k_rope, source, call.kv_heads, kv_lengths, "key_rope")
        )
        if not packed and call.kv_lengths is not None:
            each = lengths_of(name, call.kv_lengths, len(keys), keys[0].shape[1])
            keys = [k[:, :n] for k, n in zip(keys, each, strict=True)]
            values = [v[:, :n] for v, n in zip(values, each, strict=True)]
            ropes = None if ropes is None else [r[:, :n] for r, n in zip(ropes, each, strict=True)]
    else:
        _check_pages(call, key, source, most)
        assert call.kv_lengths is not None
        each = lengths_of(name, call.kv_lengths, len(queries), call.block_table.shape[1] * call.block_size)
        keys, values = (pages(name, t, call.block_table, each, call.block_size, call.kv_heads) for t in (key, value))
        ropes = None
        if call.k_rope is not None:
            ropes = pages(name, call.k_rope, call.block_table, each, call.block_size, call.kv_heads)
    need(len(keys) == len(queries), name, f"{len(queries)} sequences of queries, {len(keys)} of keys")
    turned = None
    if call.q_rope is not None:
        turned = sequences(name, call.q_rope, source, call.heads, call.lengths if packed else None, "query_rope")
    outs, sums = [], []
    for index, (q, k, v) in enumerate(zip(queries, keys, values, strict=True)):
        need(q.shape[-1] == k.shape[-1], name, f"head size {q.shape[-1]} of queries, {k.shape[-1]} of keys")
        scores = _scores(q, k)
        if turned is not None and ropes is not None:
            scores = scores + _scores(turned[index], ropes[index])
        scores = scores * call.scale
        closed = _closed(call, index, len(queries), scores.shape[1], scores.shape[2])
        if closed is not None:
            scores = scores.masked_fill(closed, float("-inf"))
        out, total = _weighted(scores, v, call.sinks)
        outs.append(out)
        sums.append(total)
    lse = torch.empty(0)
    if call.lse:
        lse = joined(sums, "TND" if packed else "BNSD")
    return joined(outs, target).to(query.dtype), lse


def _scores(q: Tensor, k: Tensor) -> Tensor:
    """q [heads, new, d] over k [kv_heads, context, d]: [heads, new, context] in float32."""
    return q.float() @ k.float().repeat_interleave(q.shape[0] // k.shape[0], 0).transpose(1, 2)


def _weighted(scores: Tensor, v: Tensor, sinks: Tensor | None) -> tuple[Tensor, Tensor]:
    if sinks is not None:
        scores = torch.cat([scores, sinks.float().view(-1, 1, 1).expand(*scores.shape[:2], 1)], dim=-1)
    total = scores.logsumexp(-1, keepdim=True)
    weights = (scores - total).exp()
    if sinks is not None:
        weights = weights[..., :-1]
    return weights.nan_to_num(0.0) @ v.float().repeat_interleave(len(scores) // len(v), 0), total


def _closed(call: Call, index: int, batch: int, new: int, context: int) -> Tensor | None:
    """What a query must not see, [new, context] or broadcastable, or None."""
    mode, mask, name = call.sparse_mode, call.mask, call.name
    if mask is not None:
        need_types(name, (torch.bool, torch.int8, torch.uint8), atten_mask=mask)
    if new == 1 and call.q_rope is None and mode != 0:
        return None  # one query sees all keys, whatever the mode says
    need(mode in (0, 1, 2, 3, 4), name, f"sparse_mode {mode}")
    if mode in (0, 1):
        need(mode == 0 or mask is not None, name, "sparse_mode 1 needs the whole mask")
        if mask is None:
            return None
        need(
            mask.shape[-1] >= context and (new == 1 or mask.shape[-2] >= new),
            name,
            f"mask {tuple(mask.shape)} for {new} by {context}",
        )
        own = mask if mask.dim() == 2 and new > 1 else mask[index if mask.shape[0] == batch else 0]
        return own.reshape(-1, own.shape[-1])[:new, :context].bool()
    assert_compressed(name, mask)
    query = torch.arange(new)[:, None] + (0 if mode == 2 else context - new)
    key = torch.arange(context)[None]
    if mode == 4:
        return (key > query + call.next_tokens) | (key < query - call.pre_tokens)
    return key > query


def assert_compressed(name: str, mask: Tensor | None) -> None:
    """Modes 2 to 4 take one mask of 2048 by 2048, true above the diagonal."""
    need(
        mask is not None and tuple(mask.shape[-2:]) == (COMPRESSED, COMPRESSED) and mask.numel() == COMPRESSED**2,
        name,
        "the mask must be 2048 by 2048",
    )
    assert mask is not None
    right = torch.ones(COMPRESSED, COMPRESSED, dtype=torch.bool).triu(1)
    need(
        torch.equal(mask.view(COMPRESSED, COMPRESSED).bool(), right),
        name,
        "the mask must be true above the diagonal only",
    )


def _check_rope(call: Call, width: int, new: int) -> None:
    name = call.name
    need((call.q_rope is None) == (call.k_rope is None), name, "query_rope and key_rope come together")
    if call.q_rope is None or call.k_rope is None:
        need(width != 512 or call.layout not in ("TND", "TND_NTD"), name, "head size 512 packed needs query_rope")
        return
    need(width in (128, 512), name, f"with query_rope the head size is 512 or 128, not {width}")
    need(call.q_rope.shape[-1] == 64 and call.k_rope.shape[-1] == 64, name, "the rotary part is 64 wide")
    need(not call.lse or width == 128, name, "no log-sum-exp with query_rope")
    if width == 128:
        need(
            call.layout in ("TND", "NTD_TND") and call.block_table is None and call.heads == call.kv_heads,
            name,
            "head size 128 with query_rope: TND or NTD_TND, no pages, no groups",
        )
        return
    need(
        call.heads in (32, 64, 128) and call.kv_heads == 1,
        name,
        f"{call.heads} heads over {call.kv_heads}: 32, 64 or 128 over 1",
    )
    need(call.block_table is not None and call.block_size in (16, 128), name, "head size 512 needs pages of 16 or 128")
    need(1 <= new <= 16, name, f"{new} queries: 1 to 16")
    if new == 1:
        need(call.sparse_mode == 0 and call.mask is None, name, "one query: sparse_mode 0 and no mask")
    else:
        need(call.sparse_mode == 3 and call.mask is not None, name, "several queries: sparse_mode 3 and its mask")


def _check_pages(call: Call, key: Tensor, source: str, new: int) -> None:
    name, table = call.name, call.block_table
    assert table is not None
    need_types(name, (torch.int32,), block_table=table)
    need(
        table.dim() == 2 and call.kv_lengths is not None, name, "pages need block_table [B, n] and the lengths of keys"
    )
    need(
        call.block_size % (16 if new == 1 or call.q_rope is not None else 128) == 0 and 0 < call.block_size <= 512,
        name,
        f"block_size {call.block_size}",
    )
    need(
        key.dim() in ((3, 4) if source in ("BNSD", "TND", "NTD") else (3,)),
        name,
        f"pages of {key.dim()} dimensions for {source}",
    )


def npu_fused_infer_attention_score(
    query: Tensor, key: Tensor, value: Tensor, atten_mask: Tensor | None = None,
    actual_seq_lengths: list[int] | None = None, actual_seq_lengths_kv: list[int] | None = None,
    block_table: Tensor | None = None, query_rope: Tensor | None = None, key_rope: Tensor | None = None,
    num_heads: int = 1, scale: float = 1.0, pre_tokens: int = UNLIMITED, next_tokens: int = UNLIMITED,
    input_layout: str = "BSH", num_key_value_heads: int = 0, sparse_mode: int = 0, inner_precise: int = 0,
    block_size: int = 0, softmax_lse_flag: bool = False,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """The first signature."""
    call = Call(
        "npu_fused_infer_attention_score", atten_mask, actual_seq_lengths, actual_seq_lengths_kv, block_table, query_rope,
        key_rope, num_heads, num_key_value_heads or num_heads, scale, pre_tokens, next_tokens, input_layout, sparse_mode,
        block_size, softmax_lse_flag, None,
    )  # fmt: skip
    return attend(call, query, key, value)


def npu_fused_infer_attention_score_v2(
    query: Tensor, key: Tensor, value: Tensor, query_rope: Tensor | None = None, key_rope: Tensor | None = None,
    atten_mask: Tensor | None = None, actual_seq_qlen: list[int] | None = None,
    actual_seq_kvlen: list[int] | None = None, block_table: Tensor | None = None, learnable_sink: Tensor | None = None,
    num_query_heads: int = 1, num_key_value_heads: int = 0, softmax_scale: float = 1.0, pre_tokens: int = UNLIMITED,
    next_tokens: int = UNLIMITED, input_layout: str = "BSH", sparse_mode: int = 0, block_size: int = 0,
    inner_precise: int = 0, return_softmax_lse: bool = False,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """The second signature: other names, and learnable sinks [heads]."""
    name = "npu_fused_infer_attention_score_v2"
    if learnable_sink is not None:
        need(
            tuple(learnable_sink.shape) == (num_query_heads,) and learnable_sink.dtype == query.dtype,
            name,
            "one sink a head, of query's type",
        )
    call = Call(
        name, atten_mask, actual_seq_qlen, actual_seq_kvlen, block_table, query_rope, key_rope, num_query_heads,
        num_key_value_heads or num_query_heads, softmax_scale, pre_tokens, next_tokens, input_layout, sparse_mode,
        block_size, return_softmax_lse, learnable_sink,
    )  # fmt: skip
    return attend(call, query, key, value)


OPERATORS = {
    "npu_fused_infer_attention_score": npu_fused_infer_attention_score,
    "npu_fused_infer_attention_score_v2": npu_fused_infer_attention_score_v2,
}
