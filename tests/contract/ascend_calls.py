"""Calls every fused operator of the fake torch_npu and works the answer out again in plain float32.

Runs in a process with the fake plugin; prints JSON: case -> relative error of each output that was compared.
"""

from __future__ import annotations

import json

import ascend_attention_calls  # noqa: F401
import ascend_latent_calls  # noqa: F401
import torch
import torch_npu
from ascend_plain import BF16, CASES, FP32, INT8, Compared, case, draw, error, softmax, there, turned


@case
def grouped_products_by_counts_and_by_ends() -> Compared:
    x, weight = draw(12, 32), draw(3, 32, 48)
    counts, ends = torch.tensor([5, 0, 7]), torch.tensor([5, 5, 12])
    right = torch.cat([x[:5].float() @ weight[0].float(), x[5:].float() @ weight[2].float()])
    common = {"split_item": 2, "group_type": 0}
    by_count = torch_npu.npu_grouped_matmul(
        [there(x)], [there(weight)], group_list=there(counts), group_list_type=1, **common
    )
    by_end = torch_npu.npu_grouped_matmul(
        [there(x)], [there(weight)], group_list=there(ends), group_list_type=0, **common
    )
    bias = draw(3, 48, dtype=FP32)
    added = torch_npu.npu_grouped_matmul(
        [there(x)], [there(weight)], bias=[there(bias)], group_list=there(counts), group_list_type=1, **common
    )
    spread = bias.repeat_interleave(counts, 0)
    return [(by_count[0], right), (by_end[0], right), (added[0], right + spread)]


@case
def grouped_products_in_int8() -> Compared:
    x, weight, scale, token = draw(12, 32, dtype=INT8), draw(3, 32, 48, dtype=INT8), draw(3, 48).abs(), torch.rand(12)
    out = torch_npu.npu_grouped_matmul(
        [there(x)], [there(weight)], scale=[there(scale)], per_token_scale=[there(token)], split_item=3, group_type=0,
        group_list=there(torch.tensor([4, 4, 4])), group_list_type=1, output_dtype=BF16,
    )  # fmt: skip
    each = [x[4 * e : 4 * e + 4].float() @ weight[e].float() * scale[e].float() for e in range(3)]
    return [(out[0], torch.cat(each) * token[:, None])]


@case
def quantized_product() -> Compared:
    a, b, scale, token = draw(6, 32, dtype=INT8), draw(32, 16, dtype=INT8), torch.rand(16), torch.rand(6)
    out = torch_npu.npu_quant_matmul(there(a), there(b), there(scale), pertoken_scale=there(token), output_dtype=BF16)
    return [(out, (a.float() @ b.float()) * scale * token[:, None])]


@case
def transposed_batched_product() -> Compared:
    x, weight = draw(5, 4, 256), draw(4, 256, 128)
    out = torch_npu.npu_transpose_batchmatmul(
        there(x), there(weight), perm_x1=(1, 0, 2), perm_x2=(0, 1, 2), perm_y=(1, 0, 2)
    )
    return [(out, torch.einsum("mbk,bkn->mbn", x.float(), weight.float()))]


@case
def quantized_rows() -> Compared:
    x = draw(3, 5, 40)
    whole, scale = torch_npu.npu_dynamic_quant(there(x))
    return [
        (scale, x.float().abs().amax(-1) / 127),
        (
            whole.float() * scale[..., None],
            (x.float() / (a := x.float().abs().amax(-1, keepdim=True) / 127)).round() * a,
        ),
    ]


@case
def norms() -> Compared:
    x, y, gamma = draw(6, 48), draw(6, 48), draw(48)
    out, inverse = torch_npu.npu_rms_norm(there(x), there(gamma), 1e-5)
    root = (x.float().square().sum(-1, keepdim=True) / 48 + 1e-5).sqrt()
    total = (x.float() + y.float()).to(BF16)
    added, _, summed = torch_npu.npu_add_rms_norm(there(x), there(y), there(gamma), 1e-5)
    total_root = (total.float().square().sum(-1, keepdim=True) / 48 + 1e-5).sqrt()
    return [
        (out, x.float() / root * gamma.float()), (inverse, 1 / root),
        (added, total.float() / total_root * gamma.float()), (summed, total),
    ]  # fmt: skip


@case
def gates() -> Compared:
    x = draw(6, 64)
    gate, up = x.float()[:, :32], x.float()[:, 32:]
    clipped = torch_npu.npu_clipped_swiglu(there(x), interleaved=False, limit=1.0)
    capped, between = gate.clamp(max=1.0), up.clamp(-1.0, 1.0)
    return [
        (torch_npu.npu_swiglu(there(x)), gate / (1 + (-gate).exp()) * up),
        (clipped, capped / (1 + (-1.702 * capped).exp()) * (between + 1)),
    ]


@case
def rotary_embeddings() -> Compared:
    x, cos, sin = draw(3, 4, 2, 64), draw(3, 1, 2, 64), draw(3, 1, 2, 64)
    paired = torch.cat([x[..., ::2], x[..., 1::2]], -1)
    return [
        (torch_npu.npu_rotary_mul(there(x), there(cos), there(sin)), turned(x, cos, sin)),
        (torch_npu.npu_interleave_rope(there(x), there(cos), there(sin)), turned(paired, cos, sin)),
    ]


@case
def gating_with_sigmoid_and_groups() -> Compared:
    x, bias = draw(5, 32, dtype=FP32), draw(32, dtype=FP32)
    weights, chosen, scores = torch_npu.npu_moe_gating_top_k(
        there(x), 4, bias=there(bias), k_group=2, group_count=4, group_select_mode=1, norm_type=1, out_flag=True,
        routed_scaling_factor=2.5,
    )  # fmt: skip
    right_weights, right_chosen = [], []
    for row in x:
        affinity = 1 / (1 + (-row).exp())
        ranking = affinity + bias
        worth = [ranking[8 * g : 8 * g + 8].sort().values[-2:].sum() for g in range(4)]
        open_groups = sorted(range(4), key=lambda g: -worth[g])[:2]
        best = sorted((e for e in range(32) if e // 8 in open_groups), key=lambda e: -ranking[e])[:4]
        right_chosen.append(best)
        right_weights.append(affinity[best] / affinity[best].sum() * 2.5)
    return [(weights, torch.stack(right_weights)), (chosen, torch.tensor(right_chosen)), (scores, torch.sigmoid(x))]


@case
def gating_with_softmax() -> Compared:
    x = draw(5, 32)
    weights, chosen, rows = torch_npu.npu_moe_gating_top_k_softmax(there(x), None, 3)
    plain, _, _ = torch_npu.npu_moe_gating_top_k(there(x), 3)
    right = softmax(x.float(), -1).topk(3)
    order = torch.tensor([[0, 5, 10], [1, 6, 11], [2, 7, 12], [3, 8, 13], [4, 9, 14]])
    return [
        (weights, right.values),
        (softmax(x.float(), -1).gather(1, chosen.cpu().long()), right.values),
        (rows, order),
        (plain, right.values),
    ]


@case
def routing_there_and_back() -> Compared:
    x, experts, weights = (
        draw(5, 16),
        torch.tensor([[0, 3], [3, 1], [2, 0], [1, 2], [3, 0]], dtype=torch.int32),
        draw(5, 2),
    )
    rows, index, counts, _ = torch_npu.npu_moe_init_routing_v2(
        there(x), there(experts), active_num=10, expert_num=4, expert_tokens_num_type=1, expert_tokens_num_flag=True,
        quant_mode=-1, active_expert_range=[0, 4], row_idx_type=0,
    )  # fmt: skip
    # By expert: 0 of tokens 0, 2, 4; 1 of 1, 3; 2 of 2, 3; 3 of 0, 1, 4.
    sorted_rows = x[[0, 2, 4, 1, 3, 2, 3, 0, 1, 4]]
    right = (x.float()[:, None] * weights.float()[..., None]).sum(1)
    back = torch_npu.npu_moe_token_unpermute(rows, index, probs=there(weights))
    final = torch_npu.npu_moe_finalize_routing(rows, None, None, None, there(weights), index, None, 2)
    permuted, places = torch_npu.npu_moe_token_permute(there(x), there(experts))
    return [
        (rows, sorted_rows), (index, torch.tensor([0, 7, 8, 3, 5, 1, 4, 6, 9, 2])), (counts, torch.tensor([3, 2, 2, 3])),
        (back, right), (final, right), (permuted, sorted_rows), (places, index.cpu()),
    ]  # fmt: skip


@case
def routing_to_a_part_of_the_experts() -> Compared:
    x, experts = draw(3, 16), torch.tensor([[0, 3], [3, 1], [2, 0]], dtype=torch.int32)
    rows, index, counts, _ = torch_npu.npu_moe_init_routing_v2(
        there(x), there(experts), active_num=6, expert_num=4, expert_tokens_num_type=1, expert_tokens_num_flag=True,
        quant_mode=-1, active_expert_range=[2, 4], row_idx_type=0,
    )  # fmt: skip
    return [(rows[:3], x[[2, 0, 1]]), (index, torch.tensor([-1, 1, 2, -1, 0, -1])), (counts, torch.tensor([1, 2]))]


@case
def formats_keep_values() -> Compared:
    x = draw(32, 32)
    cast = torch_npu.npu_format_cast(there(x), 29)
    assert (torch_npu.get_npu_format(cast), torch_npu.get_npu_format(there(x))) == (29, 2)
    return [(cast, x)]


def main() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    with torch.inference_mode():
        print(json.dumps({name: [error(*pair) for pair in run()] for name, run in CASES.items()}))


if __name__ == "__main__":
    main()
