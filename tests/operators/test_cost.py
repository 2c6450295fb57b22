"""What a program is said to compute and move, against numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from bench import project
from bench.operators.cost import CostOperators, Shape, read_cost
from bench.operators.interface import Gate, Step
from bench.workloads.decoder import decoder_step
from bench.workloads.deployment import Deployment
from bench.workloads.model import load_model
from bench.workloads.routing import Routing

DECODE = Step("decode", 1, 1, 4096)
PREFILL = Step("prefill", 1, 64, 64)


def cost(dtype="bf16", step=DECODE):
    return CostOperators(step, dtype)


def work_of(model, step=DECODE, dtype="bf16", deployment=None):
    shipped = load_model(model)
    return read_cost(lambda ops: decoder_step(ops, shipped, deployment or Deployment(), Routing()), step, dtype)


# Every parameter of the published checkpoints, without extra prediction layers. Each sum was worked out from the
# architecture by hand and agrees with the size its authors name (671B, 15.7B, 8.03B, 70.6B, 30.5B, 235B, 46.7B ...).
# Llama-3.1-8B, say: 32 layers x (4096 x (4096 + 2 x 1024) for q, k, v + 4096 x 4096 for o + 3 x 4096 x 14336 for the
# MLP + 2 x 4096 for norms) = 6,979,584,000; two tables of 128,256 x 4096 = 1,050,673,152; the last norm's 4,096.
PARAMETERS = {
    "deepseek-v3": 671_026_419_200,
    "deepseek-r1": 671_026_419_200,
    "deepseek-v3.2": 671_877_944_064,
    "deepseek-v2-lite": 15_706_484_224,
    "deepseek-r1-distill-qwen-7b": 7_615_616_512,
    "deepseek-r1-distill-qwen-32b": 32_763_876_352,
    "llama-3.1-8b": 8_030_261_248,
    "llama-3.1-70b": 70_553_706_496,
    "qwen3-8b": 8_190_735_360,
    "qwen3-32b": 32_762_123_264,
    "qwen3-30b-a3b": 30_532_122_624,
    "qwen3-235b-a22b": 235_093_634_560,
    "mixtral-8x7b": 46_702_792_704,
    "gpt-oss-120b": 116_829_156_672,
    "kimi-k2": 1_026_408_232_448,
}


@pytest.mark.parametrize("model", PARAMETERS)
def test_a_decode_step_declares_every_parameter_of_the_model(model):
    assert work_of(model).parameters == PARAMETERS[model]


@pytest.mark.parametrize("model", PARAMETERS)
def test_prefill_declares_the_same_parameters_as_decode(model):
    assert work_of(model, PREFILL).parameters == PARAMETERS[model]


def test_every_shipped_model_has_its_parameters_worked_out():
    shipped = {path.stem for path in (project.shelf() / "workloads" / "models").glob("*.toml")}
    assert {name for name in shipped if not name.startswith("mini")} == set(PARAMETERS)


# Bytes of one token in every layer's cache, bf16: 2 x layers x (2 x kv heads x head size), or for latent attention
# 2 x layers x (rank + rope).
CACHE = {
    "deepseek-v3": 70_272,  # 2 x 61 x (512 + 64)
    "deepseek-v2-lite": 31_104,  # 2 x 27 x (512 + 64)
    "deepseek-r1-distill-qwen-7b": 57_344,  # 2 x 28 x 2 x 4 x 128
    "llama-3.1-8b": 131_072,  # 2 x 32 x 2 x 8 x 128
    "llama-3.1-70b": 327_680,  # 2 x 80 x 2 x 8 x 128
    "qwen3-235b-a22b": 192_512,  # 2 x 94 x 2 x 4 x 128
    "gpt-oss-120b": 73_728,  # 2 x 36 x 2 x 8 x 64
    "deepseek-v3.2": 85_888,  # 2 x 61 x (512 + 64 + 128 for the indexer's key)
}


@pytest.mark.parametrize("model", CACHE)
def test_a_tokens_cache_has_the_published_size(model):
    assert work_of(model, Step("decode", 3, 1, 1000)).cache_bytes == 3000 * CACHE[model]


def test_the_cache_stays_16_bit_where_weights_are_8_bit():
    assert work_of("deepseek-v3", dtype="fp8").cache_bytes == 4096 * 70_272


def test_a_deepseek_decode_step_needs_two_flops_per_active_parameter_and_its_attention():
    # Active: all but the embedding table, and 8 of 256 experts in each of 58 layers: 36,625,618,432.
    # Attention, absorbed: 61 layers x 2 x 128 heads x 4096 tokens x (576 for scores + 512 for values).
    expected = 2 * 36_625_618_432 + 61 * 2 * 128 * 4096 * (576 + 512)
    assert work_of("deepseek-r1").total("flops") == pytest.approx(expected, rel=0.01)


def test_a_deepseek_decode_step_spends_no_flops_on_norms_and_choosing_biases():
    # Norms: 61 x (2 x 7168 + 1536 + 512) + 7168; choosing biases: 58 x 256. Together 1,021,440 parameters, no product.
    expected = 2 * (36_625_618_432 - 1_021_440) + 61 * 2 * 128 * 4096 * (576 + 512)
    assert work_of("deepseek-r1").total("flops") == expected


def test_a_decode_step_reads_the_weights_that_one_token_needs():
    # bf16, batch 1, ep 1: 2 bytes x (671,026,419,200 - 58 layers x 248 idle experts x 3 x 7168 x 2048
    # - 129,279 rows of the embedding table x 7168), and the cache of 4096 x 70,272 bytes; activations are below 0.2 %.
    weights = 2 * (671_026_419_200 - 58 * 248 * 3 * 7168 * 2048 - 129_279 * 7168)
    assert work_of("deepseek-r1").total("read_bytes") == pytest.approx(weights + 4096 * 70_272, rel=0.002)


# -- one operator at a time ----------------------------------------------------------------------------------------


def test_decode_reads_each_cached_key_and_value_once():
    ops = cost()
    cache = Shape((1, 4096, 8 * 128), "bf16")
    ops.attention(Shape((1, 32 * 128), "bf16"), cache, cache, heads=32, kv_heads=8, scale=1.0)
    # 2 x 4096 tokens x 8 heads x 128 x 2 bytes = 16 MiB, and the query's 8 KiB.
    assert ops.kernels[0].read_bytes == 16 * 2**20 + 8 * 2**10


def test_causal_attention_counts_only_the_pairs_that_are_seen():
    ops = cost(step=Step("prefill", 2, 3, 5))
    cache = Shape((2, 5, 16), "bf16")
    ops.attention(Shape((6, 32), "bf16"), cache, cache, heads=2, kv_heads=1, scale=1.0)
    # After 2 cached tokens, queries see 3, 4 and 5: 12 pairs x 2 sequences x 2 heads x 2 x (16 + 16).
    assert ops.kernels[0].flops == 12 * 2 * 2 * 2 * 32


@pytest.mark.parametrize(
    ("new", "context", "window", "pairs"),
    [
        (1, 10, 4, 4),  # the last query sees 4
        (1, 3, 4, 3),  # fewer than the window
        (3, 3, 4, 6),  # 1 + 2 + 3
        (6, 6, 4, 18),  # 1 + 2 + 3 + 4 + 4 + 4
        (3, 8, 4, 12),  # three queries with 4 each
        (3, 5, 4, 11),  # 3 + 4 + 4
    ],
)
def test_a_window_limits_what_each_query_sees(new, context, window, pairs):
    ops = cost(step=Step("prefill", 1, new, context))
    cache = Shape((1, context, 8), "bf16")
    ops.attention(Shape((new, 8), "bf16"), cache, cache, heads=1, kv_heads=1, scale=1.0, window=window)
    assert ops.kernels[0].flops == 2 * pairs * (8 + 8)


def test_a_window_limits_the_cache_that_is_read():
    ops = cost(step=Step("decode", 1, 1, 1000))
    cache = Shape((1, 1000, 64), "bf16")
    ops.attention(Shape((1, 64), "bf16"), cache, cache, heads=1, kv_heads=1, scale=1.0, window=128)
    # 128 keys and 128 values of 64 x 2 bytes, and the query's 128 bytes.
    assert ops.kernels[0].read_bytes == pytest.approx(2 * 128 * 128 + 128)


def test_a_prompts_windows_reach_further_back_than_one():
    ops = cost(step=Step("prefill", 1, 3, 8))
    cache = Shape((1, 8, 64), "bf16")
    ops.attention(Shape((3, 64), "bf16"), cache, cache, heads=1, kv_heads=1, scale=1.0, window=4)
    # Queries at 6, 7 and 8 see 3..6, 4..7 and 5..8: six keys and six values of 128 bytes, and three queries.
    assert ops.kernels[0].read_bytes == 2 * 6 * 128 + 3 * 128


def test_absorbed_latent_attention_reads_the_latent_once_for_all_heads():
    ops = cost()
    ops.mla_attention(
        Shape((1, 128 * 512), "bf16"), Shape((1, 128 * 64), "bf16"),
        Shape((1, 4096, 512), "bf16"), Shape((1, 4096, 64), "bf16"), heads=128, scale=1.0,
    )  # fmt: skip
    # Cache 4096 x 576 x 2 bytes, query 128 x 576 x 2 bytes.
    assert ops.kernels[0].read_bytes == 4_718_592 + 147_456
    assert ops.kernels[0].flops == 2 * 128 * 4096 * (512 + 64 + 512)


def test_sparse_attention_counts_the_selected_tokens_only():
    ops = cost()
    ops.mla_attention(
        Shape((1, 8 * 16), "bf16"), Shape((1, 8 * 4), "bf16"),
        Shape((1, 4096, 16), "bf16"), Shape((1, 4096, 4), "bf16"),
        heads=8, scale=1.0, selected=Shape((1, 2048), "fp32"), limit=2048,
    )  # fmt: skip
    assert ops.kernels[0].flops == 2 * 8 * 2048 * (16 + 4 + 16)
    # 2048 latents of 20 x 2 bytes, queries of 8 x 20 x 2 bytes, 2048 token numbers of 4 bytes.
    assert ops.kernels[0].read_bytes == 81_920 + 320 + 8_192


def test_the_indexer_scores_every_visible_token():
    ops = cost(step=Step("prefill", 1, 4, 4))
    chosen = ops.select(
        Shape((4, 3 * 8), "bf16"), Shape((1, 4, 8), "bf16"), Shape((4, 3), "bf16"), heads=3, top_k=2
    )  # fmt: skip
    assert ops.kernels[0].flops == 2 * 3 * (1 + 2 + 3 + 4) * 8
    assert chosen.dims == (4, 2)


def test_a_product_reads_both_operands_and_writes_one():
    ops = cost()
    out = ops.linear(Shape((3, 10), "bf16"), Shape((7, 10), "bf16"), Shape((7,), "bf16"), name="x")
    kernel = ops.kernels[0]
    assert out.dims == (3, 7)
    assert kernel.flops == 2 * 3 * 7 * 10
    assert kernel.read_bytes == 2 * (30 + 70 + 7)
    assert kernel.written_bytes == 2 * 21


def test_8_bit_weights_halve_what_a_product_reads_but_not_what_it_writes():
    ops = cost("fp8")
    ops.linear(ops.quantize(ops.input("x", (3, 10))), ops.weight("w", (7, 10)), name="x")
    quantize, product = ops.kernels
    assert (quantize.kind, quantize.read_bytes, quantize.written_bytes) == ("quantize", 60, 30)
    assert (product.dtype, product.read_bytes, product.written_bytes) == ("fp8", 30 + 70, 42)


def test_16_bit_weights_need_no_quantize_kernel():
    ops = cost("fp16")
    ops.quantize(ops.input("x", (3, 10)))
    assert ops.kernels == []


def test_a_weight_that_stays_16_bit_says_so():
    ops = cost("int8")
    assert ops.weight("norm", (8,), quantized=False).dtype == "bf16"
    assert ops.weight("w", (8, 8)).dtype == "int8"


def test_a_residual_norm_writes_the_sum_as_well():
    ops = cost()
    x, weight = Shape((4, 8), "bf16"), Shape((8,), "bf16")
    ops.rms_norm(x, weight, 1e-6, x)
    assert ops.kernels[0].read_bytes == 2 * (32 + 8 + 32)
    assert ops.kernels[0].written_bytes == 2 * (32 + 32)


def test_an_embedding_reads_one_row_a_token():
    ops = cost(step=Step("prefill", 2, 3, 3))
    ops.embed(ops.weight("embed", (1000, 16), quantized=False))
    assert ops.kernels[0].read_bytes == 6 * 16 * 2


def test_a_gated_activation_halves_its_input():
    ops = cost()
    out = ops.swiglu(Shape((4, 32), "bf16"))
    assert out.dims == (4, 16)
    assert (ops.kernels[0].read_bytes, ops.kernels[0].written_bytes) == (256, 128)


def test_grouped_products_read_the_weights_of_touched_experts_only(plan):
    ops = cost()
    routed = plan(rows=10, touched=3)
    ops.grouped_linear(Shape((10, 16), "bf16"), Shape((8, 24, 16), "bf16"), routed, Shape((8, 24), "bf16"), name="up")
    assert ops.kernels[0].flops == 2 * 10 * 24 * 16
    assert ops.kernels[0].read_bytes == 2 * (10 * 16 + 3 * 24 * 16 + 3 * 24)


def test_dispatch_sends_what_does_not_stay(plan):
    ops = cost()
    ops.dispatch(Shape((4, 16), "bf16"), plan(rows=12, touched=3), ranks=4)
    # 12 rows x 32 bytes, of which a quarter was here already.
    assert ops.kernels[0].kind == "ep_dispatch"
    assert ops.kernels[0].link_bytes == 12 * 32 * 3 / 4


def test_dispatch_on_one_rank_sends_nothing(plan):
    ops = cost()
    ops.dispatch(Shape((4, 16), "bf16"), plan(rows=12, touched=3), ranks=1)
    assert (ops.kernels[0].kind, ops.kernels[0].link_bytes) == ("permute", 0)


def test_routing_notes_the_plans_imbalance(plan):
    ops = cost()
    gate = Gate(2, "softmax", True, 1.0)
    ops.route(Shape((4, 8), "bf16"), None, gate, plan(rows=8, touched=3, imbalance=2.5))
    assert ops.work().imbalance == 2.5


@pytest.mark.parametrize(
    ("collective", "link_bytes"),
    # A message of 1000 bf16 numbers on each of 8 devices.
    [
        ("all_reduce", 2 * 2000 * 7 / 8),
        ("all_gather", 8 * 2000 * 7 / 8),
        ("all_to_all", 2000 * 7 / 8),
    ],
)
def test_a_collective_sends_its_share_of_the_message(collective, link_bytes):
    ops = cost()
    getattr(ops, collective)(ops.input("x", (1000,)), 8)
    assert ops.kernels[0].link_bytes == link_bytes
    assert ops.kernels[0].ranks == 8


@pytest.mark.parametrize("collective", ["all_reduce", "all_gather", "all_to_all"])
def test_a_collective_of_one_device_is_no_kernel(collective):
    ops = cost()
    x = ops.input("x", (1000,))
    assert getattr(ops, collective)(x, 1) is x
    assert ops.kernels == []


def test_alike_layers_are_one_reading_multiplied():
    ops = cost()
    for name in ops.repeat("dense", 5):
        ops.linear(ops.input("x", (1, 4)), ops.weight(f"{name}.w", (3, 4)), name="w")
    work = ops.work()
    assert len(work.kernels) == 1
    assert work.launches == 5
    assert work.total("flops") == 5 * 2 * 3 * 4
    assert work.weights == {"dense*.w": (60, 120.0)}


def test_no_layers_are_no_work():
    ops = cost()
    assert list(ops.repeat("dense", 0)) == []


def test_a_tensor_parallel_rank_declares_its_share_of_the_weights():
    # Llama-3.1-70B over 8: each layer's norms stay whole (80 x 2 x 8192 and the last 8192), the rest is cut in 8.
    norms = 80 * 2 * 8192 + 8192
    assert work_of("llama-3.1-70b", deployment=Deployment(tp=8)).parameters == (70_553_706_496 - norms) / 8 + norms


def test_an_expert_parallel_rank_declares_its_share_of_the_experts():
    # DeepSeek-R1 over 128: 2 of 256 experts in each of 58 layers, the rest whole.
    experts = 58 * 3 * 7168 * 2048
    here = 671_026_419_200 - 254 * experts
    assert work_of("deepseek-r1", deployment=Deployment(dp=128, ep=128)).parameters == here


def test_tied_embeddings_are_declared_once(model):
    # 97 x 64 table; two layers of (4 + 2 x 2) x 16 x 64 + 128 bias, 64 x 64, 3 x 64 x 96, 2 x 64 norms; a last norm.
    work = read_cost(lambda ops: decoder_step(ops, model("dense-qwen2"), Deployment(), Routing()), DECODE, "bf16")
    assert work.parameters == 97 * 64 + 2 * (8_192 + 128 + 4_096 + 18_432 + 128) + 64


# -- whole sweeps at once ------------------------------------------------------------------------------------------

BATCHES, CONTEXTS = [1, 3, 64, 256], [1, 5, 900, 5000]


def points(work, quantity):
    value = getattr(work, quantity) if quantity in ("cache_bytes", "memory_bytes") else work.total(quantity)
    return np.broadcast_to(np.asarray(value, dtype=np.float64), (4,))


@pytest.mark.parametrize(
    "quantity", ["flops", "read_bytes", "written_bytes", "link_bytes", "cache_bytes", "memory_bytes"]
)
@pytest.mark.parametrize("name", ["dense", "dense-qwen2", "moe", "mla-moe", "mla-lite", "gpt-oss", "sparse"])
def test_a_decode_sweep_equals_its_points(decoder, name, quantity, monkeypatch):
    # A sweep knows expectations only, so single points are priced by expectation here as well.
    monkeypatch.setattr("bench.workloads.expert_plan.MOST_DRAWS_PRICED", -1)
    program = decoder(name, routing=Routing(kind="zipf", s=0.7))
    sweep = read_cost(program, Step("decode", np.array(BATCHES), 1, np.array(CONTEXTS)), "fp8")
    singles = [read_cost(program, Step("decode", b, 1, c), "fp8") for b, c in zip(BATCHES, CONTEXTS, strict=True)]
    assert points(sweep, quantity) == pytest.approx([float(points(s, quantity)[0]) for s in singles], rel=1e-12)


@pytest.mark.parametrize("quantity", ["flops", "read_bytes", "written_bytes", "cache_bytes"])
@pytest.mark.parametrize("name", ["dense", "moe", "mla-moe", "gpt-oss", "sparse"])
def test_a_prefill_sweep_equals_its_points(decoder, name, quantity, monkeypatch):
    monkeypatch.setattr("bench.workloads.expert_plan.MOST_DRAWS_PRICED", -1)
    program, lengths = decoder(name), [1, 3, 200, 4096]
    sweep = read_cost(program, Step("prefill", np.array(BATCHES), np.array(lengths), np.array(lengths) + 7), "bf16")
    singles = [read_cost(program, Step("prefill", b, n, n + 7), "bf16") for b, n in zip(BATCHES, lengths, strict=True)]
    assert points(sweep, quantity) == pytest.approx([float(points(s, quantity)[0]) for s in singles], rel=1e-12)


@pytest.mark.parametrize("deployment", [Deployment(tp=2), Deployment(dp=4, ep=4)], ids=["tp2", "dp4 ep4"])
def test_a_deployments_sweep_equals_its_points(decoder, deployment, monkeypatch):
    monkeypatch.setattr("bench.workloads.expert_plan.MOST_DRAWS_PRICED", -1)
    program = decoder("mla-moe", deployment)
    sweep = read_cost(program, Step("decode", np.array(BATCHES), 1, np.array(CONTEXTS)), "bf16")
    singles = [read_cost(program, Step("decode", b, 1, c), "bf16") for b, c in zip(BATCHES, CONTEXTS, strict=True)]
    for quantity in ("flops", "read_bytes", "link_bytes"):
        assert points(sweep, quantity) == pytest.approx([float(points(s, quantity)[0]) for s in singles], rel=1e-12)


def test_a_moe_layers_sweep_equals_its_points(layer, monkeypatch):
    monkeypatch.setattr("bench.workloads.expert_plan.MOST_DRAWS_PRICED", -1)
    program, tokens = layer("mla-moe", routing=Routing(kind="zipf")), [1, 16, 300, 5000]
    sweep = read_cost(program, Step("moe", 1, np.array(tokens), np.array(tokens)), "bf16")
    singles = [read_cost(program, Step("moe", 1, n, n), "bf16") for n in tokens]
    for quantity in ("flops", "read_bytes", "written_bytes"):
        assert points(sweep, quantity) == pytest.approx([float(points(s, quantity)[0]) for s in singles], rel=1e-12)


@pytest.mark.parametrize("name", ["attention_prefill", "attention_decode", "mla_decode"])
def test_a_kernels_sweep_equals_its_points(kernel, name):
    program, step = kernel(name, batch=np.array(BATCHES), context=np.array(CONTEXTS))
    sweep = read_cost(program, step, "bf16")
    singles = [
        read_cost(*kernel(name, batch=b, context=c), "bf16") for b, c in zip(BATCHES, CONTEXTS, strict=True)
    ]  # fmt: skip
    for quantity in ("flops", "read_bytes", "written_bytes", "cache_bytes"):
        assert points(sweep, quantity) == pytest.approx([float(points(s, quantity)[0]) for s in singles], rel=1e-12)


def test_ten_thousand_points_cost_no_more_than_two_hundred_single_readings():
    import time

    def seconds(step: Step) -> float:
        best = float("inf")
        for _ in range(3):
            start = time.process_time()
            work_of("deepseek-r1", step, "fp8", Deployment(dp=128, ep=128))
            best = min(best, time.process_time() - start)
        return best

    batch, context = np.meshgrid(np.arange(1, 101), np.arange(1, 101) * 1024)
    assert batch.size == 10_000
    seconds(DECODE)
    assert seconds(Step("decode", batch.ravel(), 1, context.ravel())) < 200 * seconds(DECODE)
