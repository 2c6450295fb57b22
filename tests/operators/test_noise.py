"""Operands: the same bits on every machine, never alike, never all zero."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from bench.operators.noise import POOL, noise, offset, pool, rounded, scale_of, token_ids


def digest(values):
    return hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()[:16]


def test_the_pool_holds_the_same_bits_everywhere():
    # Pinned when this was written: a change means that results of before and after used other operands.
    assert digest(pool()) == "4442913b1226b831"


def test_the_pools_length_is_prime():
    # 4,194,301 has no divisor up to its root, 2047.97.
    assert all(POOL % d for d in range(2, 2048))


def test_the_pool_has_mean_0_and_variance_1():
    assert abs(float(pool().mean(dtype=np.float64))) < 0.002
    assert abs(float(pool().var(dtype=np.float64)) - 1) < 0.002


def test_an_operand_is_the_same_bits_everywhere():
    assert digest(noise("dense0.qkv", (64, 48), 0.0, 0.5, "bf16")) == "f71e85c0ad81ba76"


def test_an_operand_starts_where_its_name_says():
    assert np.array_equal(noise("x", (5,)), pool()[offset("x") : offset("x") + 5])


def test_two_names_give_different_operands():
    assert not np.array_equal(noise("dense0.q", (8, 8)), noise("dense1.q", (8, 8)))


def test_an_operand_longer_than_the_pool_runs_on_from_its_start():
    values = noise("x", (POOL + 10,))
    assert np.array_equal(values[:10], values[POOL:])
    left = POOL - offset("x")
    assert np.array_equal(values[left : left + 10], pool()[:10])


def test_no_two_rows_of_a_weight_are_alike():
    rows = noise("w", (3000, 2048))
    assert len(np.unique(rows[:, :4], axis=0)) == 3000


def test_mean_and_deviation_are_applied():
    values = noise("x", (100_000,), 1.0, 0.1)
    assert float(values.mean()) == pytest.approx(1.0, abs=0.002)
    assert float(values.std()) == pytest.approx(0.1, abs=0.001)


def test_norm_weights_lie_near_one_and_biases_near_zero():
    assert scale_of("dense0.attention_norm", (64,)) == (1.0, 0.1)
    assert scale_of("dense0.qkv_bias", (64,)) == (0.0, 0.02)


def test_a_matrix_keeps_the_variance_of_a_square_product():
    # 256 x 256 numbers: deviation 1 / sqrt(256), so that a sum of 256 products has the variance of one input.
    assert scale_of("dense0.o", (256, 256)) == (0.0, pytest.approx(1 / 16))


def test_an_experts_weight_is_scaled_by_its_own_matrix():
    assert scale_of("moe0.experts_up", (64, 256, 256)) == (0.0, pytest.approx(1 / 16))


@pytest.mark.parametrize(
    ("value", "nearest"),
    # bf16 keeps 8 bits: between 1 and 2 its numbers are 1/128 apart.
    [
        (1.0, 1.0),
        (1 + 1 / 512, 1.0),  # a quarter of a step
        (1 + 3 / 512, 1 + 1 / 128),  # three quarters
        (1 + 1 / 256, 1.0),  # half a step above an even number
        (1 + 3 / 256, 1 + 2 / 128),  # half a step above an odd number
        (-1 - 3 / 256, -1 - 2 / 128),
        (0.0, 0.0),
    ],
)
def test_bf16_rounds_to_nearest_and_ties_to_even(value, nearest):
    assert rounded(np.array([value], dtype=np.float32), "bf16")[0] == nearest


def test_fp16_rounds_to_its_own_steps():
    # fp16 keeps 11 bits: between 1 and 2 its numbers are 1/1024 apart.
    assert rounded(np.array([1 + 1 / 4096], dtype=np.float32), "fp16")[0] == 1.0


def test_fp32_is_left_as_it_is():
    values = pool()[:1000]
    assert np.array_equal(rounded(values, "fp32"), values)


def test_rounding_does_not_touch_the_numbers_it_was_given():
    values = np.array([1.001], dtype=np.float32)
    rounded(values, "bf16")
    assert values[0] == np.float32(1.001)


def test_token_ids_are_the_same_everywhere():
    assert token_ids(6, 32000).tolist() == [19714, 11164, 14462, 13964, 16470, 10112]


def test_token_ids_do_not_depend_on_how_many_there_are():
    assert token_ids(4, 1000).tolist() == token_ids(9, 1000)[:4].tolist()


def test_token_ids_stay_below_the_vocabulary():
    ids = token_ids(10_000, 7)
    assert ids.min() == 0
    assert ids.max() == 6
