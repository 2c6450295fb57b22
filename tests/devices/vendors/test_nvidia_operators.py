"""8-bit products of the tensor cores, on the CPU's kernels of the same names: few rows, odd sizes, no way for experts."""

from __future__ import annotations

import pytest
import torch

from bench.devices.accelerator_operators import Quantized
from bench.devices.vendors.nvidia_operators import NvidiaOperators
from bench.errors import Unsupported
from bench.operators import noise
from bench.operators.interface import Step

STEP = Step("kernel", 1, 4, 4)


@pytest.fixture(autouse=True)
def small_pool(monkeypatch):
    """Draw operands from 65,521 numbers (a prime) and not from 4 million."""
    noise.pool.cache_clear()
    monkeypatch.setattr(noise, "POOL", 65_521)
    yield
    noise.pool.cache_clear()


def operators(dtype):
    return NvidiaOperators(STEP, dtype, torch.device("cpu"))


@pytest.mark.parametrize("rows", [1, 16, 17, 32, 40])
def test_int8_products_of_few_rows_are_padded_and_cut_again(rows):
    x = Quantized(torch.full((rows, 32), 2, dtype=torch.int8), torch.full((rows, 1), 0.5))
    weight = Quantized(torch.full((16, 32), 3, dtype=torch.int8), torch.full((16, 1), 0.25))
    out = operators("int8").product_8bit(x, weight)
    # 32 * 2 * 3 = 192 whole steps of 0.5 * 0.25 each.
    assert out.dtype == torch.bfloat16
    assert torch.equal(out, torch.full((rows, 16), 24.0, dtype=torch.bfloat16))


@pytest.mark.parametrize("shape", [(24, 32), (32, 24)])
def test_sizes_that_the_tensor_cores_do_not_take_are_unsupported(shape):
    n, k = shape
    x = Quantized(torch.ones(4, k, dtype=torch.int8), torch.ones(4, 1))
    weight = Quantized(torch.ones(n, k, dtype=torch.int8), torch.ones(n, 1))
    with pytest.raises(Unsupported, match=rf"need n and k in whole 16; the weight is \[{n}, {k}\]"):
        operators("int8").product_8bit(x, weight)


def test_experts_in_int8_are_unsupported():
    with pytest.raises(Unsupported, match="torch has no grouped int8 product on CUDA"):
        operators("int8").grouped_8bit(None, None, None)


@pytest.mark.parametrize(("dtype", "largest"), [("int8", 127.0), ("fp8", 448.0)])
def test_rows_are_quantized_to_the_largest_number_of_their_dtype(dtype, largest):
    rows = torch.tensor([[1.0, -2.0, 0.5], [0.0, 0.0, 0.0], [8.0, 4.0, -8.0]], dtype=torch.bfloat16)
    found = operators(dtype).rows_8bit(rows)
    assert found.values.float().abs().amax(-1).tolist() == [largest, 0.0, largest]
    assert found.scale.shape == (3, 1)
    assert found.scale[[0, 2], 0].tolist() == pytest.approx([2 / largest, 8 / largest])
    assert torch.isfinite(found.values.float() * found.scale).all()


def test_an_8_bit_weight_replaces_its_16_bit_one():
    ops = operators("int8")
    weight = ops.weight("w", (32, 64))
    assert ops.weight("w", (32, 64)) is weight
    assert isinstance(weight, Quantized)
    assert "w" not in ops._kept
    assert not isinstance(ops.weight("gate", (32, 64), quantized=False), Quantized)
    assert not isinstance(ops.weight("norm", (64,)), Quantized)
