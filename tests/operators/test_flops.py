"""The cost reading's FLOPs against what torch's own counter sees when the same program runs.

The counter sees more than the program needs in two places, and each test states by how much, worked out by hand:
attention's masked pairs (it counts the whole square, we count what a query sees), and the weighted sum of a token's
experts (`combine` runs it as a batched product; it is bytes, not matrix work, in our reading).

Three operators that run here are unknown to the counter, so their FLOPs are registered from the shapes they were called
with: torch._grouped_mm, the CPU's fused attention, and the two layouts that `CpuOperators` picks.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from bench.operators.cost import read_cost
from bench.operators.interface import Step
from bench.workloads.deployment import Deployment
from bench.workloads.routing import Routing

torch = pytest.importorskip("torch")
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count  # noqa: E402

from bench.devices import cpu_operators  # noqa: E402
from bench.operators.torch_operators import TorchOperators  # noqa: E402

pytestmark = pytest.mark.usefixtures("small_pool", "one_thread")

Shape = tuple[int, ...]


def grouped_mm(x: Shape, weight: Shape, *_: Any, **__: Any) -> int:
    rows, k = x
    return 2 * rows * k * weight[2]


def fused_attention(q: Shape, k: Shape, v: Shape, *_: Any, **__: Any) -> int:
    return sdpa_flop_count(q, k, v)


def packed_linear(x: Shape, weight: Shape, *_: Any, **__: Any) -> int:
    rows, k = x
    return 2 * rows * k * weight[0]


def bag(columns: Shape, index: Shape, *_: Any, **__: Any) -> int:
    return 2 * index[0] * columns[1]


UNKNOWN = {
    torch.ops.aten._grouped_mm: grouped_mm,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: fused_attention,
    torch.ops.mkldnn._linear_pointwise: packed_linear,
    torch.ops.aten._embedding_bag: bag,
    torch.ops.aten._embedding_bag_forward_only: bag,
}


def counted(program: Callable[[Any], Any], ops: Any) -> int:
    """FLOPs of the second run: the first one draws operands and picks."""
    with torch.inference_mode():
        program(ops)
        with FlopCounterMode(display=False, custom_mapping=UNKNOWN) as counter:
            program(ops)
    return counter.get_total_flops()


WHOLE = Step("prefill", 2, 6, 6)  # 36 pairs, 6 + 5 + .. + 1 = 21 seen, 15 masked
AFTER = Step("prefill", 2, 4, 8)  # 32 pairs, 5 + 6 + 7 + 8 = 26 seen, 6 masked
DECODE = Step("decode", 3, 1, 9)  # one query sees everything
# Extra FLOPs = 2 x layers x batch x heads x masked pairs x (key width + value width)
#             + 2 x MoE layers x tokens x top_k x hidden
EXTRA = [
    ("dense", WHOLE, 2 * 2 * 2 * 4 * 15 * (16 + 16)),
    ("dense", AFTER, 2 * 2 * 2 * 4 * 6 * (16 + 16)),
    ("dense", DECODE, 0),
    ("dense-qwen2", WHOLE, 2 * 2 * 2 * 4 * 15 * (16 + 16)),
    ("dense-qwen2", DECODE, 0),
    ("moe", WHOLE, 2 * 2 * 2 * 4 * 15 * (16 + 16) + 2 * 2 * 12 * 2 * 64),
    ("moe", AFTER, 2 * 2 * 2 * 4 * 6 * (16 + 16) + 2 * 2 * 8 * 2 * 64),
    ("moe", DECODE, 2 * 2 * 3 * 2 * 64),
    # Latent attention's prefill has keys of 16 + 8 and values of 16; two of the three layers have experts.
    ("mla-moe", WHOLE, 2 * 3 * 2 * 4 * 15 * (24 + 16) + 2 * 2 * 12 * 4 * 64),
    ("mla-moe", AFTER, 2 * 3 * 2 * 4 * 6 * (24 + 16) + 2 * 2 * 8 * 4 * 64),
    ("mla-moe", DECODE, 2 * 2 * 3 * 4 * 64),
    ("mla-lite", WHOLE, 2 * 2 * 2 * 4 * 15 * (24 + 16) + 2 * 1 * 12 * 2 * 64),
    ("mla-lite", DECODE, 2 * 1 * 3 * 2 * 64),
    # Two sliding layers see 1 + 2 + 3 + 4 + 4 + 4 = 18 of 36 pairs, the full one 21.
    ("gpt-oss", WHOLE, 2 * 2 * 4 * (18 + 15 + 18) * (16 + 16) + 2 * 3 * 12 * 2 * 64),
    # After four cached tokens a sliding layer's four queries see 4 keys each, 16 of 32 pairs; the full one sees 26.
    ("gpt-oss", AFTER, 2 * 2 * 4 * (16 + 6 + 16) * (16 + 16) + 2 * 3 * 8 * 2 * 64),
    ("gpt-oss", DECODE, 2 * 3 * 3 * 2 * 64),
    # The indexer's three heads of 16 score masked pairs too; nothing is left out, as 6 and 8 tokens fit its top 8.
    ("sparse", WHOLE, 2 * 2 * 2 * 15 * (4 * (24 + 16) + 3 * 16) + 2 * 1 * 12 * 4 * 64),
    ("sparse", AFTER, 2 * 2 * 2 * 6 * (4 * (24 + 16) + 3 * 16) + 2 * 1 * 8 * 4 * 64),
    # Nine cached tokens, of which the best 8 are attended to: both readings count 8.
    ("sparse", DECODE, 2 * 1 * 3 * 4 * 64),
]
NAMES = [f"{name} {step.phase} {step.input_len}/{step.context}" for name, step, _ in EXTRA]


@pytest.mark.parametrize(("name", "step", "extra"), EXTRA, ids=NAMES)
def test_a_decoder_step_needs_the_flops_that_torch_counts(decoder, name, step, extra):
    program = decoder(name)
    ours = read_cost(program, step, "fp32").total("flops")
    assert counted(program, TorchOperators(step, "fp32", torch.device("cpu"))) == ours + extra


@pytest.fixture(params=["plain", "picked"])
def cpu_ways(request, monkeypatch):
    """Make the CPU's race between implementations end as wanted, by a clock that lets the first or the last way win."""
    monkeypatch.setattr(cpu_operators, "SMALLEST_PACKED", 1)
    now, ticks = 0.0, 0

    def clock() -> float:
        nonlocal now, ticks
        ticks += 1
        now += ticks if request.param == "plain" else 1 / ticks
        return now

    monkeypatch.setattr(time, "perf_counter", clock)
    return request.param


@pytest.mark.parametrize(("name", "step", "extra"), EXTRA, ids=NAMES)
def test_the_cpus_own_ways_need_the_same_flops(decoder, name, step, extra, cpu_ways):
    program = decoder(name)
    ours = read_cost(program, step, "fp32").total("flops")
    assert counted(program, cpu_operators.CpuOperators(step, "fp32")) == ours + extra


def test_the_cpus_blocked_attention_leaves_the_future_blocks_out(kernel, monkeypatch):
    program, step = kernel("attention_prefill", batch=1, context=200)
    ops = cpu_operators.CpuOperators(step, "fp32")
    monkeypatch.setattr(ops, "pick", lambda operator, key, ways: list(ways)[-1])
    # Two blocks of queries: 128 x 128 and 72 x 200 pairs, of which 200 x 201 / 2 = 20,100 are seen.
    extra = 2 * 4 * (128 * 128 + 72 * 200 - 20_100) * (16 + 16)
    assert counted(program, ops) == read_cost(program, step, "fp32").total("flops") + extra


# A shard computes its part: heads and widths are halved by tp, experts by ep; rows that stay elsewhere are not summed
# in a batched product, so only the masked pairs of its 2 heads are extra.
SHARDS = [
    ("dense", Deployment(tp=2), 2 * 2 * 2 * 2 * 15 * (16 + 16)),
    ("moe", Deployment(tp=2, ep=2), 2 * 2 * 2 * 2 * 15 * (16 + 16)),
    ("mla-moe", Deployment(dp=2, ep=2), 2 * 3 * 2 * 4 * 15 * (24 + 16)),
    ("gpt-oss", Deployment(tp=2, ep=2), 2 * 2 * 2 * (18 + 15 + 18) * (16 + 16)),
]


@pytest.mark.parametrize(("name", "deployment", "extra"), SHARDS, ids=[s[0] for s in SHARDS])
def test_one_rank_of_several_needs_the_flops_that_torch_counts(decoder, name, deployment, extra):
    program = decoder(name, deployment)
    ours = read_cost(program, WHOLE, "fp32").total("flops")
    assert counted(program, TorchOperators(WHOLE, "fp32", torch.device("cpu"))) == ours + extra


@pytest.mark.parametrize("routing", [Routing(), Routing(kind="zipf", s=1.2), Routing(kind="k-hot", hot=4)])
def test_a_moe_layer_alone_needs_the_flops_that_torch_counts(layer, routing):
    program, step = layer("mla-moe", routing=routing), Step("moe", 1, 7, 7)
    ours = read_cost(program, step, "fp32").total("flops")
    # 7 tokens x 4 experts x 64 wide are summed in a batched product.
    assert counted(program, TorchOperators(step, "fp32", torch.device("cpu"))) == ours + 2 * 7 * 4 * 64


KERNEL_EXTRA = [
    ("gemm", 0),
    ("grouped_gemm", 0),
    ("attention_prefill", 2 * 2 * 4 * 45 * (16 + 16)),  # 2 sequences, 4 heads, 100 - 55 = 45 masked pairs
    ("attention_decode", 0),
    ("mla_decode", 0),
    ("rms_norm", 0),
    ("memory_copy", 0),
]


@pytest.mark.parametrize(("name", "extra"), KERNEL_EXTRA)
def test_a_kernel_needs_the_flops_that_torch_counts(kernel, name, extra):
    program, step = kernel(name)
    ours = read_cost(program, step, "fp32").total("flops")
    assert counted(program, TorchOperators(step, "fp32", torch.device("cpu"))) == ours + extra


@pytest.mark.parametrize(("name", "extra"), KERNEL_EXTRA)
def test_a_kernel_on_the_cpu_needs_the_same_flops(kernel, name, extra, cpu_ways):
    program, step = kernel(name)
    ours = read_cost(program, step, "fp32").total("flops")
    assert counted(program, cpu_operators.CpuOperators(step, "fp32")) == ours + extra


def test_the_counter_sees_the_products_it_is_shown():
    # Guards the tests above: a counter that sees nothing would agree with a program that needs nothing.
    x, weight = torch.ones(6, 16), torch.ones(2, 8, 16)
    ends = torch.tensor([2, 6], dtype=torch.int32)
    with torch.inference_mode(), FlopCounterMode(display=False, custom_mapping=UNKNOWN) as counter:
        torch._grouped_mm(x, weight.transpose(1, 2), offs=ends)
    assert counter.get_total_flops() == 2 * 6 * 16 * 8
