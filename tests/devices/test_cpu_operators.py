"""Picks among the ways of an operator: measured once, remembered, all of them right, and no memory held twice."""

from __future__ import annotations

import gc
import weakref

import pytest
import torch
import torch.nn.functional as F

from bench.devices import cpu_operators
from bench.devices.cpu_operators import CpuOperators, pack
from bench.operators import noise
from bench.operators.interface import Step
from bench.operators.torch_experts import Routed
from bench.operators.torch_operators import TorchOperators

DECODE = Step("decode", 2, 1, 16)


@pytest.fixture(autouse=True)
def small_pool(monkeypatch):
    """Draw operands from 65,521 numbers (a prime) and not from 4 million."""
    noise.pool.cache_clear()
    monkeypatch.setattr(noise, "POOL", 65_521)
    yield
    noise.pool.cache_clear()


@pytest.fixture(autouse=True)
def one_thread():
    """Compute with one thread: on busy cores a second one makes tiny operators wait for it."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def race(monkeypatch):
    """Return a function that sets the seconds the ways will take, in the order in which they are tried."""

    def run(*seconds: float) -> list[float]:
        left = list(seconds)
        monkeypatch.setattr(cpu_operators, "_shortest", lambda way: left.pop(0))
        return left

    return run


@pytest.fixture
def ops():
    return CpuOperators(DECODE, "bf16")


def needs_packing() -> None:
    if pack(torch.randn(256, 256).bfloat16()) is None:
        pytest.skip("this CPU's torch has no oneDNN layout for bf16 weights")


def close(left: torch.Tensor, right: torch.Tensor) -> bool:
    """Within bf16's rounding of a product, relative to the length of the result."""
    return float((left.float() - right.float()).norm()) <= 0.02 * float(right.float().norm())


# -- the pick --------------------------------------------------------------------------------------------------------


def test_the_fastest_way_is_picked(ops, race):
    race(3.0, 1.0, 2.0)
    assert ops.pick("linear", "shape", dict.fromkeys(("a", "b", "c"), bool)) == "b"


def test_a_pick_is_measured_once_and_remembered(ops, race):
    left = race(3.0, 1.0, 1.0, 3.0)
    ways = dict.fromkeys(("a", "b"), bool)
    assert [ops.pick("linear", "shape", ways) for _ in range(5)] == ["b"] * 5
    assert left == [1.0, 3.0]


def test_each_shape_and_operator_has_its_own_pick(ops, race):
    race(3.0, 1.0, 1.0, 3.0, 1.0, 2.0)
    ways = dict.fromkeys(("a", "b"), bool)
    picks = [ops.pick("linear", "small", ways), ops.pick("linear", "large", ways), ops.pick("attention", "small", ways)]
    assert picks == ["b", "a", "a"]


def test_an_only_way_needs_no_race(ops, race):
    left = race(1.0)
    assert ops.pick("linear", "shape", {"a": bool}) == "a"
    assert left == [1.0]


def test_every_way_that_was_picked_is_recorded_once(ops, race):
    race(3.0, 1.0, 1.0, 3.0, 3.0, 1.0)
    for shape in ("small", "large", "huge"):
        ops.pick("linear", shape, dict.fromkeys(("a", "b"), bool))
    assert ops.used == {"linear": "b | a"}


def test_a_race_takes_the_shortest_of_three_after_a_warm_up(monkeypatch):
    # Looks at the clock: 9 s, 2 s and 5 s for three runs; a first run is not looked at.
    looks = iter([0.0, 9.0, 10.0, 12.0, 20.0, 25.0])
    monkeypatch.setattr(cpu_operators.time, "perf_counter", lambda: next(looks))
    runs = []
    assert cpu_operators._shortest(lambda: runs.append(1)) == 2.0
    assert len(runs) == 4


# -- products ----------------------------------------------------------------------------------------------------------


def test_a_packed_weight_gives_the_same_product(ops, race):
    needs_packing()
    race(2.0, 1.0)
    x, plain = ops.input("x", (2, 256)), ops.weight("w", (512, 256)).clone()
    expected = F.linear(x, plain)
    assert close(ops.linear(x, ops.weight("w", (512, 256)), name="w"), expected)
    assert ops.used["linear"] == "oneDNN packed weight"
    assert close(ops.linear(x, ops.weight("w", (512, 256)), name="w"), expected)


def test_a_packed_weight_adds_its_bias(ops, race):
    needs_packing()
    race(2.0, 1.0)
    x, weight, bias = ops.input("x", (2, 256)), ops.weight("w", (512, 256)), ops.weight("bias", (512,))
    expected = F.linear(x, weight, bias)
    assert close(ops.linear(x, weight, bias, name="w"), expected)


def test_after_packing_the_plain_weight_is_gone(ops, race):
    needs_packing()
    race(2.0, 1.0)
    x = ops.input("x", (2, 256))
    plain = weakref.ref(ops.weight("w", (512, 256)))
    ops.linear(x, ops.weight("w", (512, 256)), name="w")
    gc.collect()
    assert plain() is None
    assert ops.weight("w", (512, 256)).is_mkldnn


def test_every_layer_of_the_shape_is_packed_by_one_race(ops, race):
    needs_packing()
    left = race(2.0, 1.0, 1.0, 2.0)
    x = ops.input("x", (2, 256))
    for name in ("w0", "w1", "w2"):
        ops.linear(x, ops.weight(name, (512, 256)), name="w")
    assert [ops.weight(name, (512, 256)).is_mkldnn for name in ("w0", "w1", "w2")] == [True] * 3
    assert left == [1.0, 2.0]


def test_where_the_plain_way_is_faster_the_weight_stays_plain(ops, race):
    needs_packing()
    race(1.0, 2.0)
    x = ops.input("x", (2, 256))
    ops.linear(x, ops.weight("w", (512, 256)), name="w")
    assert not ops.weight("w", (512, 256)).is_mkldnn
    assert ops.used["linear"] == "F.linear"


def test_a_small_weight_is_not_raced(ops, race):
    left = race(2.0, 1.0)
    ops.linear(ops.input("x", (2, 64)), ops.weight("w", (64, 64)), name="w")
    assert left == [2.0, 1.0]


def test_a_table_that_is_embedding_and_head_stays_plain(ops, race):
    left = race(2.0, 1.0)
    ops.linear(ops.input("x", (2, 256)), ops.weight("embed", (512, 256)), name="lm_head")
    assert not ops.weight("embed", (512, 256)).is_mkldnn
    assert left == [2.0, 1.0]


# -- experts -------------------------------------------------------------------------------------------------------------

# Five rows for the first, third and fourth of four experts.
COUNTS = (2, 0, 1, 2)


def routed() -> Routed:
    ends = torch.tensor([2, 2, 3, 5], dtype=torch.int32)
    return Routed(torch.arange(5), torch.ones(5, dtype=torch.bfloat16), ends, COUNTS, None, 1)


def by_hand(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    parts = x.split(list(COUNTS))
    return torch.cat([F.linear(part, weight[expert]) for expert, part in enumerate(parts)])


@pytest.mark.parametrize(("seconds", "way"), [((1.0, 2.0), "torch._grouped_mm"), ((2.0, 1.0), "embedding_bag")])
def test_both_ways_of_the_experts_product_are_right(seconds, way, ops, race):
    race(*seconds)
    routing, x = routed(), ops.input("x", (5, 256))
    expected = by_hand(x, ops.weight("w", (4, 256, 256)))
    for _ in range(2):
        assert close(ops.grouped_linear(x, ops.weight("w", (4, 256, 256)), routing, name="up"), expected)
    assert ops.used["grouped_linear"] == way


def test_experts_turned_for_the_bag_are_not_held_twice(ops, race):
    race(2.0, 1.0)
    plain = weakref.ref(ops.weight("w", (4, 256, 512)))
    ops.grouped_linear(ops.input("x", (5, 512)), ops.weight("w", (4, 256, 512)), routed(), name="up")
    gc.collect()
    assert plain() is None
    assert ops.weight("w", (4, 256, 512)).shape == (4, 512, 256)


def test_a_bias_of_each_expert_is_added_to_its_rows(ops, race):
    race(2.0, 1.0)
    routing, x, bias = routed(), ops.input("x", (5, 256)), ops.weight("bias", (4, 256))
    expected = by_hand(x, ops.weight("w", (4, 256, 256))) + bias[[0, 0, 2, 3, 3]]
    assert close(ops.grouped_linear(x, ops.weight("w", (4, 256, 256)), routing, bias, name="up"), expected)


def test_many_rows_an_expert_are_not_raced(ops, race):
    left = race(2.0, 1.0)
    ends = torch.tensor([40], dtype=torch.int32)
    routing = Routed(torch.arange(40), torch.ones(40), ends, (40,), None, 1)
    ops.grouped_linear(ops.input("x", (40, 256)), ops.weight("w", (1, 256, 256)), routing, name="up")
    assert left == [2.0, 1.0]


# -- attention -------------------------------------------------------------------------------------------------------------


def tensors(*shapes: tuple[int, ...]) -> list[torch.Tensor]:
    random = torch.Generator().manual_seed(1)
    return [torch.randn(shape, generator=random).bfloat16() for shape in shapes]


@pytest.mark.parametrize("seconds", [(1.0, 2.0), (2.0, 1.0)])
def test_both_ways_of_decode_attention_are_right(seconds, ops, race):
    race(*seconds)
    q, k, v = tensors((2, 2, 4, 32), (2, 2, 16, 32), (2, 2, 16, 32))
    expected = TorchOperators(DECODE, "bf16", torch.device("cpu")).attention_decode(q, k, v, 32**-0.5, None)
    assert close(ops.attention_decode(q, k, v, 32**-0.5, None), expected)


@pytest.mark.parametrize("new", [100, 128, 300])
@pytest.mark.parametrize("seconds", [(1.0, 2.0), (2.0, 1.0)])
def test_both_ways_of_prefill_attention_are_right(seconds, new, race):
    # Blocks hold 128 queries: less than one, one, and two and a part.
    race(*seconds)
    step = Step("prefill", 2, new, new)
    q, k, v = tensors((2, 4, new, 32), (2, 2, new, 32), (2, 2, new, 32))
    expected = TorchOperators(step, "bf16", torch.device("cpu")).attention_prefill(q, k, v, 32**-0.5, None, None)
    assert close(CpuOperators(step, "bf16").attention_prefill(q, k, v, 32**-0.5, None, None), expected)


def test_blocks_may_be_run_again_with_the_same_buffer(race):
    race(2.0, 1.0)
    ops = CpuOperators(Step("prefill", 1, 300, 300), "bf16")
    q, k, v = tensors((1, 2, 300, 32), (1, 2, 300, 32), (1, 2, 300, 32))
    first = ops.attention_prefill(q, k, v, 32**-0.5, None, None).clone()
    assert torch.equal(ops.attention_prefill(q, k, v, 32**-0.5, None, None), first)


def test_no_query_sees_the_future(race):
    race(2.0, 1.0)
    ops = CpuOperators(Step("prefill", 1, 200, 200), "bf16")
    q, k, v = tensors((1, 2, 200, 32), (1, 2, 200, 32), (1, 2, 200, 32))
    first = ops.attention_prefill(q, k, v, 1.0, None, None).clone()
    k[:, :, 150:], v[:, :, 150:] = 9.0, 9.0
    assert torch.equal(ops.attention_prefill(q, k, v, 1.0, None, None)[:, :, :150], first[:, :, :150])


def test_latent_attention_agrees_with_the_portable_one(ops):
    q, q_rope, latent, k_rope = tensors((2, 4, 32), (2, 4, 16), (2, 16, 32), (2, 16, 16))
    expected = TorchOperators(DECODE, "bf16", torch.device("cpu")).mla_decode(q, q_rope, latent, k_rope, 0.1)
    assert close(ops.mla_decode(q, q_rope, latent, k_rope, 0.1), expected)
    assert ops.used == {"mla_decode": "products and softmax"}
