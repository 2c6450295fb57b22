"""Calls of fused attention in every layout, each with its answer worked out in plain float32."""

from __future__ import annotations

import torch
import torch_npu
from ascend_plain import FP16, Compared, case, draw, plain_attention, there

CAUSAL = torch.ones(2048, 2048, dtype=torch.bool).triu(1)


@case
def attention_of_one_query_over_grouped_heads_bnsd() -> Compared:
    q, k, v = draw(2, 8, 1, 64), draw(2, 2, 50, 64), draw(2, 2, 50, 64)
    out, lse = torch_npu.npu_fused_infer_attention_score(
        there(q), there(k), there(v), num_heads=8, num_key_value_heads=2, input_layout="BNSD", scale=0.125,
        softmax_lse_flag=True,
    )  # fmt: skip
    scores = torch.einsum("bnsd,bncd->bnsc", q.float(), k.float().repeat_interleave(4, 1)) * 0.125
    return [(out, plain_attention(q, k, v, 0.125)), (lse, scores.logsumexp(-1, keepdim=True))]


@case
def attention_of_a_whole_prompt_bsh_with_the_compressed_mask() -> Compared:
    q, k, v = draw(2, 40, 8, 64), draw(2, 40, 2, 64), draw(2, 40, 2, 64)
    out, _ = torch_npu.npu_fused_infer_attention_score(
        there(q.flatten(2)), there(k.flatten(2)), there(v.flatten(2)), num_heads=8, num_key_value_heads=2,
        input_layout="BSH", scale=0.1, sparse_mode=3, atten_mask=there(CAUSAL),
    )  # fmt: skip
    right = plain_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), 0.1, CAUSAL[:40, :40])
    return [(out, right.transpose(1, 2).flatten(2))]


@case
def attention_after_a_prefix_bsnd_looks_at_the_prefix() -> Compared:
    q, k, v = draw(2, 8, 4, 64), draw(2, 24, 4, 64), draw(2, 24, 4, 64)
    out, _ = torch_npu.npu_fused_infer_attention_score(
        there(q),
        there(k),
        there(v),
        num_heads=4,
        input_layout="BSND",
        scale=0.125,
        sparse_mode=3,
        atten_mask=there(CAUSAL),
    )
    closed = torch.ones(8, 24, dtype=torch.bool).triu(17)
    right = plain_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), 0.125, closed)
    return [(out, right.transpose(1, 2))]


@case
def attention_with_a_mask_of_its_own() -> Compared:
    q, k, v = draw(2, 4, 6, 64, dtype=FP16), draw(2, 4, 10, 64, dtype=FP16), draw(2, 4, 10, 64, dtype=FP16)
    closed = torch.rand(6, 10) > 0.6
    closed[:, 0] = False
    out, _ = torch_npu.npu_fused_infer_attention_score(
        there(q), there(k), there(v), num_heads=4, input_layout="BNSD_BSND", scale=0.125, atten_mask=there(closed)
    )
    return [(out, plain_attention(q, k, v, 0.125, closed).transpose(1, 2))]


@case
def attention_over_pages_of_packed_sequences() -> Compared:
    lengths, heads, kv_heads, size = [130, 256, 7], 8, 2, 64
    q, pages = draw(3, heads, size), [draw(6, 128, kv_heads, size) for _ in range(2)]
    table = torch.tensor([[4, 1], [0, 3], [5, 0]], dtype=torch.int32)
    out, _ = torch_npu.npu_fused_infer_attention_score(
        there(q), there(pages[0].flatten(2)), there(pages[1].flatten(2)), num_heads=heads, num_key_value_heads=kv_heads,
        input_layout="TND", scale=0.125, block_table=there(table), block_size=128, actual_seq_lengths=[1, 2, 3],
        actual_seq_lengths_kv=lengths,
    )  # fmt: skip
    rows = []
    for sequence, length in enumerate(lengths):
        k, v = (p[table[sequence].long()].flatten(0, 1)[:length].transpose(0, 1)[None] for p in pages)
        rows.append(plain_attention(q[sequence][None, :, None], k, v, 0.125)[0, :, 0])
    return [(out, torch.stack(rows))]


@case
def attention_of_packed_prompts_with_wide_keys() -> Compared:
    q, k, v = draw(20, 4, 192), draw(20, 4, 192), draw(20, 4, 128)
    out, _ = torch_npu.npu_fused_infer_attention_score(
        there(q), there(k), there(v), num_heads=4, input_layout="TND", scale=0.07, sparse_mode=3, atten_mask=there(CAUSAL),
        actual_seq_lengths=[8, 20], actual_seq_lengths_kv=[8, 20],
    )  # fmt: skip
    parts = []
    for a, b in ((0, 8), (8, 20)):
        each = (x[a:b].transpose(0, 1)[None] for x in (q, k, v))
        parts.append(plain_attention(*each, 0.07, CAUSAL[: b - a, : b - a])[0].transpose(0, 1))
    return [(out, torch.cat(parts))]


@case
def latent_attention_over_pages() -> Compared:
    q, q_rope = draw(2, 32, 1, 512), draw(2, 32, 1, 64)
    latent, rope = draw(4, 128, 512), draw(4, 128, 64)
    table = torch.tensor([[2, 0], [1, 3]], dtype=torch.int32)
    out, _ = torch_npu.npu_fused_infer_attention_score(
        there(q), there(latent), there(latent), query_rope=there(q_rope), key_rope=there(rope), num_heads=32,
        num_key_value_heads=1, input_layout="BNSD_NBSD", scale=0.04, block_table=there(table), block_size=128,
        actual_seq_lengths_kv=[140, 256],
    )  # fmt: skip
    rows = []
    for b, length in enumerate((140, 256)):
        c, r = latent[table[b].long()].flatten(0, 1)[:length], rope[table[b].long()].flatten(0, 1)[:length]
        keys = torch.cat([c, r], -1)[None, None]
        rows.append(plain_attention(torch.cat([q[b], q_rope[b]], -1)[None], keys, c[None, None], 0.04))
    return [(out, torch.cat(rows).transpose(0, 1))]


@case
def attention_with_sinks_and_a_window() -> Compared:
    q, k, v, sinks = draw(1, 8, 12, 64), draw(1, 2, 30, 64), draw(1, 2, 30, 64), draw(8)
    out, _ = torch_npu.npu_fused_infer_attention_score_v2(
        there(q), there(k), there(v), num_query_heads=8, num_key_value_heads=2, input_layout="BNSD", softmax_scale=0.125,
        sparse_mode=4, pre_tokens=4, next_tokens=0, atten_mask=there(CAUSAL), learnable_sink=there(sinks),
    )  # fmt: skip
    place, key = torch.arange(18, 30)[:, None], torch.arange(30)[None]
    closed = (key > place) | (key <= place - 5)
    return [(out, plain_attention(q, k, v, 0.125, closed, sinks))]
