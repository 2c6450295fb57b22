"""The executing operators against the plain float32 reference, program by program."""

from __future__ import annotations

import time

import numpy as np
import pytest

from bench.errors import Unsupported
from bench.operators.interface import Gate, Step
from bench.operators.noise import noise
from bench.operators.reference import ReferenceOperators
from bench.workloads.deployment import Deployment
from bench.workloads.routing import Routing

torch = pytest.importorskip("torch")

from bench.devices import cpu_operators  # noqa: E402
from bench.devices.cpu_operators import CpuOperators  # noqa: E402
from bench.operators.torch_operators import TorchOperators  # noqa: E402

pytestmark = pytest.mark.usefixtures("small_pool", "one_thread")

LIMIT = {"fp32": 1e-4, "bf16": 0.05}

WHOLE = Step("prefill", 2, 6, 6)
PREFIXED = Step("prefill", 2, 4, 8)
DECODE = Step("decode", 3, 1, 12)
FIRST_TOKEN = Step("decode", 1, 1, 1)
PROGRAMS = ["dense", "dense-qwen2", "moe", "mla-moe", "mla-lite", "gpt-oss", "sparse"]


@pytest.fixture(params=["base", "cpu plain", "cpu picked"])
def operators(request, monkeypatch):
    """Make executing operators: the portable ones, the CPU's with every race won by the first way, and by the last."""
    monkeypatch.setattr(cpu_operators, "SMALLEST_PACKED", 1)
    now, ticks = 0.0, 0

    def clock() -> float:
        nonlocal now, ticks
        ticks += 1
        now += 1 / ticks if request.param == "cpu picked" else ticks
        return now

    def make(step, dtype, copies=1, layers=None):
        if request.param == "base":
            return TorchOperators(step, dtype, torch.device("cpu"), copies, layers)
        monkeypatch.setattr(time, "perf_counter", clock)
        return CpuOperators(step, dtype, copies, layers)

    return make


def run(program, ops):
    with torch.inference_mode():
        return program(ops).double().numpy().ravel()


def error(answer, right):
    right = np.asarray(right, dtype=np.float64).ravel()
    assert answer.shape == right.shape
    return np.linalg.norm(answer - right) / np.linalg.norm(right)


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
@pytest.mark.parametrize("step", [WHOLE, PREFIXED, DECODE, FIRST_TOKEN], ids=["whole", "prefixed", "decode", "first"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_decoder_step_agrees_with_the_reference_twice(decoder, operators, name, step, dtype):
    program, ops = decoder(name), operators(step, dtype)
    right = program(ReferenceOperators(step, dtype))
    first, second = run(program, ops), run(program, ops)
    assert error(first, right) < LIMIT[dtype]
    # The second run reads weights that the first may have packed or turned.
    assert error(second, right) < LIMIT[dtype]
    assert error(second, first) < LIMIT[dtype] / 10


DEPLOYMENTS = [Deployment(tp=2), Deployment(dp=2, ep=2), Deployment(tp=2, ep=2), Deployment(tp=2, dp=2, ep=4)]


@pytest.mark.parametrize("step", [WHOLE, DECODE], ids=["prefill", "decode"])
@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=["tp2", "dp2 ep2", "tp2 ep2", "tp2 dp2 ep4"])
@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
@pytest.mark.parametrize("name", ["moe", "mla-moe", "gpt-oss"])
def test_one_rank_of_a_deployment_agrees_with_the_reference(decoder, operators, name, deployment, step, dtype):
    program, ops = decoder(name, deployment, Routing(kind="zipf", s=1.2)), operators(step, dtype)
    # A rank alone lacks its peers' parts of every sum, so that its own rounding weighs more.
    limit = {"fp32": 1e-4, "bf16": 0.08}[dtype]
    assert error(run(program, ops), program(ReferenceOperators(step, dtype))) < limit


def test_one_rank_of_a_dense_model_agrees_with_the_reference(decoder, operators):
    program, ops = decoder("dense", Deployment(tp=4)), operators(WHOLE, "fp32")
    assert error(run(program, ops), program(ReferenceOperators(WHOLE, "fp32"))) < LIMIT["fp32"]


ROUTINGS = [Routing(kind="k-hot", hot=4), Routing(kind="zipf", s=1.2), Routing(kind="lognormal", sigma=1.0)]


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
@pytest.mark.parametrize("routing", ROUTINGS, ids=lambda r: r.label)
@pytest.mark.parametrize("name", ["moe", "mla-moe", "mla-lite", "gpt-oss"])
def test_a_moe_layer_alone_agrees_with_the_reference(layer, operators, name, routing, dtype):
    step = Step("moe", 1, 7, 7)
    program, ops = layer(name, routing=routing), operators(step, dtype)
    assert error(run(program, ops), program(ReferenceOperators(step, dtype))) < LIMIT[dtype]


def test_a_moe_layers_copies_end_with_the_last_one(layer, operators):
    step = Step("moe", 1, 7, 7)
    program, ops = layer("moe"), operators(step, "fp32", copies=3)
    answer = run(program, ops)
    assert error(answer, program(ReferenceOperators(step, "fp32", copies=3))) < LIMIT["fp32"]
    assert error(answer, program(ReferenceOperators(step, "fp32", copies=2))) > 0.5


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
@pytest.mark.parametrize(
    "name",
    [
        "gemm", "grouped_gemm", "attention_prefill", "attention_decode", "mla_decode",
        "rms_norm", "layer_norm", "swiglu", "rope", "memory_copy", "all_reduce", "all_gather", "all_to_all",
    ],
)  # fmt: skip
def test_a_kernel_agrees_with_the_reference_twice(kernel, operators, name, dtype):
    program, step = kernel(name)
    ops = operators(step, dtype, copies=2)
    right = program(ReferenceOperators(step, dtype, copies=2))
    assert error(run(program, ops), right) < LIMIT[dtype]
    assert error(run(program, ops), right) < LIMIT[dtype]


def test_attention_over_several_blocks_of_queries_agrees_with_the_reference(kernel, operators):
    program, step = kernel("attention_prefill", batch=2, context=300)  # blocks of 128, 128 and 44 queries
    right = program(ReferenceOperators(step, "fp32"))
    ops = operators(step, "fp32")
    assert error(run(program, ops), right) < LIMIT["fp32"]
    assert error(run(program, ops), right) < LIMIT["fp32"]


def test_a_limit_on_layers_runs_as_many_of_each_kind(decoder, operators):
    program, ops = decoder("mla-moe"), operators(WHOLE, "fp32", layers=1)
    answer = run(program, ops)
    assert error(answer, program(ReferenceOperators(WHOLE, "fp32", layers=1))) < LIMIT["fp32"]
    assert ops.repeated == {"dense": (1, 1), "moe": (2, 1)}
    assert error(answer, program(ReferenceOperators(WHOLE, "fp32"))) > 0.01


def test_only_one_kind_of_layer_runs_where_that_is_asked_for(decoder):
    program, ops = decoder("mla-moe"), TorchOperators(DECODE, "fp32", torch.device("cpu"))
    ops.only = "dense"
    run(program, ops)
    assert "dense0.qkv_a" in ops._kept
    assert "moe0.qkv_a" not in ops._kept


def test_the_clock_decides_which_way_the_cpu_takes(decoder, monkeypatch):
    monkeypatch.setattr(cpu_operators, "SMALLEST_PACKED", 1)
    ticks = iter(range(10**6))
    monkeypatch.setattr(time, "perf_counter", lambda: next(ticks) ** 2.0)  # each interval longer than the one before
    ops = CpuOperators(DECODE, "fp32")
    run(decoder("moe"), ops)
    assert ops.used["linear"] == "F.linear"
    assert ops.used["grouped_linear"] == "torch._grouped_mm"
    assert ops.used["attention_decode"] == "scaled_dot_product_attention"


def test_the_cpu_takes_the_packed_and_gathered_ways_when_they_win(decoder, monkeypatch):
    monkeypatch.setattr(cpu_operators, "SMALLEST_PACKED", 1)
    ticks = iter(range(1, 10**6))
    monkeypatch.setattr(time, "perf_counter", lambda: next(ticks) ** 0.5)  # each interval shorter than the one before
    ops = CpuOperators(DECODE, "bf16")
    run(decoder("moe"), ops)
    if cpu_operators.pack(torch.ones(8, 8, dtype=torch.bfloat16)) is not None:  # oneDNN has no packed bf16 everywhere
        assert ops.used["linear"] == "oneDNN packed weight"
    assert ops.used["grouped_linear"] == "embedding_bag"
    assert ops.used["attention_decode"] == "products and softmax"


def test_a_dtype_without_a_path_is_unsupported_and_says_what_runs():
    with pytest.raises(Unsupported, match="dtype fp8 has no path on cpu here; it runs fp32, fp16, bf16"):
        TorchOperators(DECODE, "fp8", torch.device("cpu"))


def test_a_prompt_beyond_the_indexers_choice_is_unsupported(decoder):
    step = Step("prefill", 1, 9, 9)  # the tiny indexer keeps 8 tokens
    with pytest.raises(Unsupported, match="shorten the prompt"):
        run(decoder("sparse"), TorchOperators(step, "fp32", torch.device("cpu")))


def test_a_collective_alone_is_unsupported_on_one_device(kernel):
    program, step = kernel("all_reduce", ranks=8)
    with pytest.raises(Unsupported, match="all-reduce over 8 devices cannot be measured on one device"):
        run(program, TorchOperators(step, "fp32", torch.device("cpu")))


def test_what_one_rank_leaves_out_is_said(decoder):
    ops = TorchOperators(DECODE, "fp32", torch.device("cpu"))
    run(decoder("moe", Deployment(tp=2, dp=2, ep=4)), ops)
    assert ops.left_out == {
        "all-reduce over 2 ranks",
        "all-gather over 2 ranks",
        "expert dispatch over 4 ranks",
        "expert combine over 4 ranks",
    }


def test_a_second_run_leaves_the_cache_as_the_first_found_it(decoder):
    program, ops = decoder("dense"), TorchOperators(PREFIXED, "fp32", torch.device("cpu"))
    first = run(program, ops)
    kept = {name: tensor.clone() for name, tensor in ops._kept.items()}
    assert np.array_equal(run(program, ops), first)
    assert all(torch.equal(tensor, kept[name]) for name, tensor in ops._kept.items())


@pytest.mark.parametrize("dtype", ["fp32", "fp16", "bf16"])
def test_operands_are_the_same_bits_as_the_references(dtype):
    ops = TorchOperators(DECODE, dtype, torch.device("cpu"))
    for name, shape in (("dense0.qkv", (40, 24)), ("final_norm", (24,)), ("qkv_bias", (24,))):
        ours = ops.weight(name, shape).float().numpy()
        assert np.array_equal(ours, ReferenceOperators(DECODE, dtype).weight(name, shape))
    assert np.array_equal(ops.input("x", (300, 300)).float().numpy(), noise("x", (300, 300), dtype=dtype))


@pytest.mark.parametrize("clamp", [None, 7.0])
def test_gates_far_beyond_the_clamp_agree_with_the_reference(clamp):
    gates = np.array([[-20, -3, 3, 20, -20, -3, 3, 20]], dtype=np.float32)
    right = ReferenceOperators(DECODE, "fp32").swiglu(gates, clamp)
    answer = TorchOperators(DECODE, "fp32", torch.device("cpu")).swiglu(torch.from_numpy(gates), clamp)
    assert answer.numpy() == pytest.approx(right, rel=1e-4, abs=1e-9)


# -- routing rules: random scores, both implementations -----------------------------------------------------------

GATES = [
    Gate(top_k=2, scoring="softmax", normalize=True, scale=1.0),
    Gate(top_k=6, scoring="softmax", normalize=False, scale=1.0),
    Gate(top_k=8, scoring="sigmoid", normalize=True, scale=2.5, groups=8, groups_kept=4),
    Gate(top_k=1, scoring="sigmoid", normalize=False, scale=1.0, groups=4, groups_kept=1),
    Gate(top_k=64, scoring="softmax", normalize=True, scale=1.0),
]


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("gate", GATES, ids=lambda g: f"{g.scoring} {g.top_k} of 64, {g.groups_kept}/{g.groups}")
def test_both_implementations_choose_and_weigh_alike(gate, biased):
    random = np.random.default_rng(3)
    scores = random.normal(size=(50, 64)).astype(np.float32)
    bias = random.normal(size=64).astype(np.float32) * 0.3 if biased else None
    plain = ReferenceOperators(DECODE, "fp32")
    ops = TorchOperators(DECODE, "fp32", torch.device("cpu"))
    ids, affinity = plain.choose(scores, bias, gate)
    torch_bias = None if bias is None else torch.from_numpy(bias)
    torch_ids, torch_affinity = ops.choose(torch.from_numpy(scores), torch_bias, gate)
    assert np.array_equal(np.sort(ids), np.sort(torch_ids.numpy()))
    assert np.allclose(affinity, torch_affinity.numpy(), rtol=1e-5, atol=1e-7)
    weights = plain.gate_weights(ids, affinity, gate)
    torch_weights = ops.gate_weights(torch.from_numpy(ids), torch_affinity, gate)
    assert np.allclose(weights, torch_weights.numpy(), rtol=1e-5)


def test_a_rank_keeps_only_the_rows_of_its_own_experts(plan):
    # Tokens 0, 1, 2 go to experts (0, 2), (2, 3), (1, 3); this rank holds 2 and 3.
    routed_plan = plan([[0, 2], [2, 3], [1, 3]], first=2, here=2)
    ops = TorchOperators(Step("kernel", 1, 3, 3), "fp32", torch.device("cpu"))
    routed = ops.planned(routed_plan)
    assert routed.token.tolist() == [0, 1, 1, 2]  # expert 2: tokens 0 and 1; expert 3: tokens 1 and 2
    assert routed.counts == (2, 2)
    assert routed.ends.tolist() == [2, 4]
    assert routed.weight.tolist() == [0.5, 0.5, 0.5, 0.5]
    assert routed.order is None


def test_every_pair_finds_its_row_where_all_experts_are_here(plan):
    routed_plan = plan([[0, 1], [1, 2]], first=0, here=3)
    ops = TorchOperators(Step("kernel", 1, 2, 2), "fp32", torch.device("cpu"))
    routed = ops.planned(routed_plan)
    # Sorted by expert: token 0 (expert 0), tokens 0 and 1 (expert 1), token 1 (expert 2).
    assert routed.token.tolist() == [0, 0, 1, 1]
    assert routed.order.tolist() == [[0, 1], [2, 3]]
