"""Sums over a step's kernels."""

from __future__ import annotations

import numpy as np

from bench.operators.kernel import BYTES, Kernel, Work


def kernel(**keys):
    return Kernel(
        **{"kind": "gemm", "name": "x", "dtype": "bf16", "flops": 0, "read_bytes": 0, "written_bytes": 0} | keys
    )


def test_a_kernel_moves_what_it_reads_and_writes():
    assert kernel(read_bytes=30, written_bytes=12).moved_bytes == 42


def test_a_total_counts_every_launch():
    work = Work((kernel(flops=10, count=3), kernel(flops=7)), {}, 0)
    assert work.total("flops") == 37


def test_launches_are_counted_with_their_repeats():
    assert Work((kernel(count=3), kernel()), {}, 0).launches == 4


def test_no_kernels_total_nothing():
    assert Work((), {}, 0).total("flops") == 0


def test_weights_are_summed_in_elements_and_bytes():
    work = Work((), {"a": (10, 20.0), "b": (6, 6.0)}, 0)
    assert (work.parameters, work.weight_bytes) == (16, 26.0)


def test_three_of_the_largest_activations_live_at_once():
    work = Work((kernel(dims={"activation_bytes": 5}), kernel(dims={"activation_bytes": 9}), kernel()), {}, 0)
    assert work.activation_bytes == 27


def test_memory_is_weights_cache_and_activations():
    work = Work((kernel(dims={"activation_bytes": 9}),), {"a": (10, 20.0)}, 100)
    assert work.memory_bytes == 20 + 100 + 27


def test_the_largest_activation_is_found_point_by_point():
    first = kernel(dims={"activation_bytes": np.array([1, 8])})
    second = kernel(dims={"activation_bytes": np.array([4, 2])})
    assert Work((first, second), {}, 0).activation_bytes.tolist() == [12, 24]


def test_a_4_bit_number_takes_half_a_byte():
    assert BYTES["fp4"] == 0.5
