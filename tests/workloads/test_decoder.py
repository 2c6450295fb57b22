"""What a forward step launches, read off the programs of shipped models."""

from __future__ import annotations

from collections import Counter

import msgspec
import pytest

from bench.operators.cost import CostOperators, read_cost
from bench.operators.interface import LatentSizes, Step
from bench.workloads.decoder import decoder_step, gate_of, moe_layer
from bench.workloads.deployment import Deployment
from bench.workloads.model import load_model
from bench.workloads.routing import Routing

DECODE = Step("decode", 4, 1, 4096)


def work_of(model, step=DECODE, dtype="bf16", routing=None, **ranks):
    shipped = load_model(model)
    return read_cost(
        lambda ops: decoder_step(ops, shipped, Deployment(**ranks), routing or Routing()), step, dtype
    )  # fmt: skip


def counts(work):
    launched = Counter()
    for kernel in work.kernels:
        launched[kernel.kind] += kernel.count
    return launched


def named(work, name):
    found = [k for k in work.kernels if k.name == name]
    assert found
    return found


# -- dense ----------------------------------------------------------------------------------------------------------------


def test_a_llama_layer_is_twelve_launches():
    # A layer: norm, qkv, two ropes, two cache writes, attention, o, norm, gate and up, swiglu, down: 12 x 32 layers;
    # around them the embedding, the last norm, the head and the sampler.
    assert work_of("llama-3.1-8b").launches == 12 * 32 + 4


def test_tensor_parallel_adds_two_sums_a_layer_and_one_at_each_end():
    launched = counts(work_of("llama-3.1-70b", tp=8))
    assert launched["all_reduce"] == 2 * 80 + 1
    assert launched["all_gather"] == 1


def test_tensor_parallel_cuts_heads_and_widths():
    work = work_of("llama-3.1-70b", tp=8)
    attention = named(work, "attention")[0]
    assert (attention.dims["heads"], attention.dims["kv_heads"]) == (8, 1)
    # 64 + 2 x 8 heads of 128 over 8: 1280; twice 28672 over 8: 7168.
    assert named(work, "qkv_proj")[0].dims["n"] == 1280
    assert named(work, "gate_up_proj")[0].dims["n"] == 7168
    assert named(work, "down_proj")[0].dims["k"] == 3584


def test_kv_heads_are_repeated_where_ranks_are_more():
    # Qwen3-235B-A22B has 4 kv heads; each of 8 ranks keeps one of its own.
    attention = named(work_of("qwen3-235b-a22b", tp=8), "attention")[0]
    assert (attention.dims["heads"], attention.dims["kv_heads"]) == (8, 1)


def test_a_vocabulary_that_does_not_divide_is_rounded_up():
    # 129,280 over 3 would be 43,093.3; engines pad.
    small = msgspec.structs.replace(load_model("mini-dense"), vocab=32_001)
    work = read_cost(lambda ops: decoder_step(ops, small, Deployment(tp=2), Routing()), DECODE, "bf16")
    assert named(work, "lm_head")[0].dims["n"] == 16_001


def test_prefill_projects_only_the_last_token_to_the_vocabulary():
    head = named(work_of("llama-3.1-8b", Step("prefill", 2, 512, 512)), "lm_head")[0]
    assert head.dims["m"] == 2
    assert head.flops == 2 * 2 * 128_256 * 4096


def test_8_bit_weights_are_fed_by_a_quantize_kernel_before_each_product_but_the_head():
    # Before qkv, o, gate-up and down of 32 layers.
    assert counts(work_of("llama-3.1-8b", dtype="fp8"))["quantize"] == 4 * 32
    assert named(work_of("llama-3.1-8b", dtype="fp8"), "lm_head")[0].dtype == "bf16"


# -- mixtures of experts ----------------------------------------------------------------------------------------------------


def test_deepseek_has_three_dense_layers_and_58_of_experts():
    work = work_of("deepseek-r1")
    assert named(work, "experts_up")[0].count == 58
    assert [k.count for k in named(work, "qkv_a_proj")] == [3, 58]


def test_one_token_uses_eight_experts_and_the_shared_one():
    work = work_of("deepseek-r1", Step("decode", 1, 1, 4096))
    up = named(work, "experts_up")[0]
    assert (up.dims["m"], up.dims["n"], up.dims["k"]) == (8, 2 * 2048, 7168)
    shared = [k for k in named(work, "gate_up_proj") if k.count == 58]
    assert [k.dims["n"] for k in shared] == [2 * 2048]


def test_tensor_ranks_cut_the_shared_expert():
    # 2 x 2048 over 8.
    shared = [k for k in named(work_of("deepseek-r1", tp=8), "gate_up_proj") if k.count == 58]
    assert [k.dims["n"] for k in shared] == [512]


def test_expert_parallel_pools_the_tokens_of_all_attention_ranks():
    # 128 ranks with 4 tokens each: 512 tokens x 8 experts over 128 ranks of 2 experts: 32 rows a rank on average.
    up = named(work_of("deepseek-r1", dp=128, ep=128), "experts_up")[0]
    assert up.dims["m"] >= 32
    assert up.dims["m"] < 80


def test_expert_parallel_sends_rows_where_tokens_are_spread():
    launched = counts(work_of("deepseek-r1", dp=8, ep=8))
    assert (launched["ep_dispatch"], launched["ep_combine"], launched["all_reduce"]) == (58, 58, 0)


def test_expert_parallel_within_tensor_ranks_sends_no_rows():
    # Every rank has every token after attention's sum, and the experts' sum joins what each has computed.
    launched = counts(work_of("qwen3-30b-a3b", tp=2, ep=2))
    assert launched["ep_dispatch"] == 0
    assert launched["all_reduce"] == 2 * 48 + 1


def test_tensor_ranks_without_expert_ranks_cut_every_expert():
    # Mixtral's 14336 over 4.
    up = named(work_of("mixtral-8x7b", tp=4), "experts_up")[0]
    assert up.dims["n"] == 2 * 3584


def test_skew_gives_the_heaviest_rank_more_rows():
    even = named(work_of("deepseek-r1", dp=32, ep=32), "experts_up")[0]
    skewed = named(work_of("deepseek-r1", dp=32, ep=32, routing=Routing(kind="zipf", s=1.2)), "experts_up")[0]
    assert skewed.dims["m"] > 2 * even.dims["m"]


def test_a_moe_layer_alone_is_one_layer_without_attention():
    model = load_model("mini-moe")
    work = read_cost(
        lambda ops: moe_layer(ops, model, Deployment(), Routing()), Step("moe", 1, 16, 16), "bf16"
    )  # fmt: skip
    assert [k.name for k in work.kernels] == [
        "router", "route", "dispatch", "experts_up", "swiglu", "experts_down", "combine",
    ]  # fmt: skip


def test_the_gate_is_the_models_own_rule():
    gate = gate_of(load_model("deepseek-r1").moe)
    assert (gate.top_k, gate.scoring, gate.normalize, gate.scale) == (8, "sigmoid", True, 2.5)
    assert (gate.groups, gate.groups_kept) == (8, 4)


# -- attention variants ---------------------------------------------------------------------------------------------------


def test_gpt_oss_alternates_a_window_of_128_and_the_whole_context():
    attention = named(work_of("gpt-oss-120b"), "attention")
    assert [(k.dims["kv_len"], k.count) for k in attention] == [(128, 18), (4096, 18)]


def test_an_odd_number_of_windowed_layers_ends_with_a_window():
    odd = msgspec.structs.replace(load_model("gpt-oss-120b"), layers=5)
    work = read_cost(lambda ops: decoder_step(ops, odd, Deployment(), Routing()), DECODE, "bf16")
    assert [(k.dims["kv_len"], k.count) for k in named(work, "attention")] == [(128, 2), (4096, 2), (128, 1)]


def test_latent_decode_is_absorbed_and_latent_prefill_is_expanded():
    decode, prefill = work_of("deepseek-v3"), work_of("deepseek-v3", Step("prefill", 1, 64, 64))
    assert named(decode, "absorb_q")[0].dims["batch"] == 128
    assert not [k for k in decode.kernels if k.name == "kv_b_proj"]
    assert named(prefill, "kv_b_proj")[0].dims["n"] == 128 * (128 + 128)
    assert not [k for k in prefill.kernels if k.name == "absorb_q"]


class Scales(CostOperators):
    """Cost operators that note the scale of each attention."""

    def attention(self, *args, scale, **keys):
        self.scale = scale
        return super().attention(*args, scale=scale, **keys)

    def mla_attention(self, *args, scale, **keys):
        self.scale = scale
        return super().mla_attention(*args, scale=scale, **keys)


@pytest.mark.parametrize(
    ("model", "scale"),
    [
        ("llama-3.1-8b", 0.0883883),  # 1 / sqrt(128)
        ("gpt-oss-120b", 0.125),  # 1 / sqrt(64)
        ("mini-mla-moe", 0.1020621),  # 1 / sqrt(64 + 32)
        ("deepseek-r1", 0.1352443),  # 1 / sqrt(128 + 64) x 1.874, which yarn's longer context asks for
    ],
)
def test_scores_are_scaled_by_the_root_of_the_head_size(model, scale):
    ops = Scales(DECODE, "bf16")
    decoder_step(ops, load_model(model), Deployment(), Routing())
    assert ops.scale == pytest.approx(scale, rel=1e-5)


def test_a_prefix_is_expanded_again_in_latent_prefill():
    # 64 new tokens after 960 cached ones: all 1024 latents become keys and values.
    assert named(work_of("deepseek-v3", Step("prefill", 1, 64, 1024)), "kv_b_proj")[0].dims["m"] == 1024


def test_the_lite_model_projects_queries_in_one_step():
    work = work_of("deepseek-v2-lite")
    # 16 heads x (128 + 64) and 512 + 64.
    assert named(work, "q_kv_a_proj")[0].dims["n"] == 16 * 192 + 576


@pytest.mark.parametrize("model", ["deepseek-r1", "deepseek-v2-lite", "deepseek-v3.2"])
def test_what_precedes_latent_attention_is_asked_for_as_one_operator_in_decode_only(model):
    asked = []

    class Asked(CostOperators):
        def mla_prolog(self, layer, h, sizes, separate):
            asked.append((layer, h.dims, sizes))
            return separate()

    shipped = load_model(model)
    for step in (DECODE, Step("prefill", 4, 32, 32)):
        decoder_step(Asked(step, "bf16"), shipped, Deployment(tp=4), Routing())
    sizes = {
        "deepseek-r1": LatentSizes(7168, 32, 1536, 512, 128, 64, 1e-6, 1e4, False),
        "deepseek-v2-lite": LatentSizes(2048, 4, None, 512, 128, 64, 1e-6, 1e4, False),
        "deepseek-v3.2": LatentSizes(7168, 32, 1536, 512, 128, 64, 1e-6, 1e4, True),
    }[model]
    assert asked == [("dense*", (4, sizes.hidden), sizes), ("moe*", (4, sizes.hidden), sizes)]


def test_sparse_attention_reads_at_most_2048_tokens():
    attention = named(work_of("deepseek-v3.2", Step("decode", 1, 1, 32_768)), "mla_attention")[0]
    assert attention.dims["kv_len"] == 2048
    assert attention.flops == 2 * 128 * 2048 * (512 + 64 + 512)


def test_sparse_attentions_indexer_scores_the_whole_context():
    index = named(work_of("deepseek-v3.2", Step("decode", 1, 1, 32_768)), "select")[0]
    assert index.flops == 2 * 64 * 32_768 * 128
