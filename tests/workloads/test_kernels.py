"""Kernel programs: the work of one operator alone."""

from __future__ import annotations

import pytest

from bench.errors import DefinitionError
from bench.operators.cost import read_cost
from bench.operators.interface import Step
from bench.workloads.kernels import KERNELS, check_dims, kernel_step
from bench.workloads.routing import Routing

DIMS = {
    "gemm": {"m": 32, "n": 4096, "k": 1024},
    "batched_gemm": {"m": 64, "heads": 16, "n": 256, "k": 64},
    "grouped_gemm": {"m": 64, "n": 1024, "k": 512, "experts": 16, "top_k": 4},
    "moe": {"m": 64, "hidden": 1024, "inner": 512, "experts": 16, "top_k": 4},
    "attention_prefill": {"batch": 2, "context": 512, "heads": 32, "kv_heads": 8, "head_dim": 128},
    "attention_decode": {"batch": 2, "context": 512, "heads": 32, "kv_heads": 8, "head_dim": 128},
    "mla_decode": {"batch": 2, "context": 512, "heads": 16, "kv_lora_rank": 512, "qk_rope_dim": 64},
    "rms_norm": {"m": 512, "n": 4096},
    "layer_norm": {"m": 512, "n": 4096},
    "swiglu": {"m": 512, "n": 4096},
    "rope": {"m": 512, "heads": 32, "head_dim": 128},
    "memory_copy": {"n": 1_000_000},
    "all_reduce": {"n": 8192, "ranks": 8},
    "all_gather": {"n": 8192, "ranks": 8},
    "all_to_all": {"n": 8192, "ranks": 8},
}


def work_of(kernel, dtype="bf16"):
    dims = DIMS[kernel]
    return read_cost(lambda ops: kernel_step(ops, kernel, dims, Routing()), KERNELS[kernel].step(dims), dtype)


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_kernel_needs_the_dims_it_declares_and_no_others(kernel):
    assert set(DIMS[kernel]) == set(KERNELS[kernel].dims)
    assert work_of(kernel).launches >= 1


@pytest.mark.parametrize(
    ("kernel", "step"),
    [
        ("gemm", Step("kernel", 1, 32, 32)),
        ("attention_prefill", Step("prefill", 2, 512, 512)),
        ("attention_decode", Step("decode", 2, 1, 512)),
        ("mla_decode", Step("decode", 2, 1, 512)),
        ("memory_copy", Step("kernel", 1, 1, 1)),
    ],
)
def test_a_kernels_dims_decide_its_step(kernel, step):
    assert KERNELS[kernel].step(DIMS[kernel]) == step


@pytest.mark.parametrize(
    ("kernel", "flops"),
    [
        ("gemm", 2 * 32 * 4096 * 1024),
        ("grouped_gemm", 2 * 64 * 4 * 1024 * 512),
        # 64 x 4 rows: up to twice 512 from 1024, down from 512 to 1024.
        ("moe", 2 * 64 * 4 * (2 * 512 * 1024 + 512 * 1024)),
        # 512 x 513 / 2 = 131,328 pairs, 2 x 32 heads, two products of 128.
        ("attention_prefill", 2 * 2 * 32 * 131_328 * 256),
        ("attention_decode", 2 * 2 * 32 * 512 * 256),
        # Scores over 512 + 64, values over 512.
        ("mla_decode", 2 * 2 * 16 * 512 * 1088),
        ("rms_norm", 0),
        ("layer_norm", 0),
        ("swiglu", 0),
        ("rope", 0),
        ("memory_copy", 0),
        ("all_reduce", 0),
    ],
)
def test_a_kernels_flops(kernel, flops):
    assert work_of(kernel).total("flops") == flops


def test_a_copy_reads_and_writes_every_byte():
    work = work_of("memory_copy")
    assert (work.total("read_bytes"), work.total("written_bytes")) == (2_000_000, 2_000_000)


def test_a_norm_reads_two_inputs_and_writes_two_results():
    work = work_of("rms_norm")
    assert work.total("read_bytes") == 2 * (2 * 512 * 4096 + 4096)
    assert work.total("written_bytes") == 2 * 2 * 512 * 4096


@pytest.mark.parametrize(
    ("kernel", "read", "written"),
    [
        # Weight and bias beside the input.
        ("layer_norm", 512 * 4096 + 2 * 4096, 512 * 4096),
        ("swiglu", 2 * 512 * 4096, 512 * 4096),
        ("rope", 512 * 32 * 128, 512 * 32 * 128),
    ],
)
def test_what_computes_row_by_row_moves_its_operands_once(kernel, read, written):
    work = work_of(kernel)
    assert (work.total("read_bytes"), work.total("written_bytes")) == (2 * read, 2 * written)


def test_a_gemm_moves_its_three_matrices():
    work = work_of("gemm")
    assert work.total("read_bytes") == 2 * (32 * 1024 + 4096 * 1024)
    assert work.total("written_bytes") == 2 * 32 * 4096


def test_an_8_bit_gemm_quantizes_its_input_first():
    assert [k.kind for k in work_of("gemm", "int8").kernels] == ["quantize", "gemm"]


def test_an_attention_kernels_cache_is_keys_and_values():
    # 2 sequences x 512 tokens x 8 heads x 128 x 2 bytes, twice.
    assert work_of("attention_decode").cache_bytes == 2 * 2 * 512 * 8 * 128 * 2


def test_a_gather_receives_from_all_others():
    # 8 x 16,384 bytes, of which one part was here.
    assert work_of("all_gather").total("link_bytes") == 7 * 16_384


def test_skewed_rows_are_as_many_but_touch_fewer_experts():
    dims = {"m": 16, "n": 8, "k": 8, "experts": 64, "top_k": 4}
    step = KERNELS["grouped_gemm"].step(dims)
    even, skewed = (
        read_cost(lambda ops, r=routing: kernel_step(ops, "grouped_gemm", dims, r), step, "bf16")
        for routing in (Routing(), Routing(kind="k-hot", hot=4))
    )
    assert even.total("flops") == skewed.total("flops") == 2 * 64 * 8 * 8
    # Rows of 64 x 8 numbers, and 4 experts of 64 numbers.
    assert skewed.total("read_bytes") == 2 * (64 * 8 + 4 * 64)
    assert even.total("read_bytes") > 2 * (64 * 8 + 30 * 64)


@pytest.mark.parametrize(
    ("dims", "problem"),
    [
        ({"m": 0}, "m is 0; it must lie between 1 and 1099511627776"),
        ({"m": 2**41}, "m is 2199023255552"),
        ({"heads": 6, "kv_heads": 4}, "heads = 6 is not a multiple of kv_heads = 4"),
        ({"experts": 4, "top_k": 5}, "top_k = 5 is more than experts = 4"),
    ],
)
def test_dims_that_cannot_be_are_refused(dims, problem):
    with pytest.raises(DefinitionError, match=problem):
        check_dims(dims, "here")


def test_dims_that_fit_are_accepted():
    check_dims({"heads": 8, "kv_heads": 4}, "here")
    check_dims({"experts": 4, "top_k": 4}, "here")
