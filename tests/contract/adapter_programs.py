"""Every program through the vendor's own operators, against the float32 reference; and the operands they start from."""

from __future__ import annotations

import copy
from itertools import pairwise
from typing import Any

import msgspec
import torch
from adapter_setup import CPU, WORKLOADS, case_of

from bench.devices.accelerator import Accelerator
from bench.errors import Unsupported
from bench.measure.correctness import Plan, check
from bench.measure.functional import small_program
from bench.operators.interface import Step
from bench.operators.torch_operators import TorchOperators
from bench.workloads.sweep import select_cases

DTYPES = ("bf16", "fp16", "fp32", "int8", "fp8")
OPERANDS = {"layer.w": (48, 320), "layer.norm": (64,), "layer.bias": (64,), "experts.w": (3, 32, 16), "long": (70_001,)}


def programs(device: Any) -> list[tuple[str, str, Any, Step]]:
    """(workload, dtype, program, step): this folder's workloads in all dtypes; for operators of the vendor's own more.

    Those also run the smoke suite made small, in bf16, and in 8 bit where the kernel is a product. What torch itself
    gives for the suite on the other vendors' devices is compared with the CPU's in `run_programs.py`.
    """
    own = {name: (case.program(), case.step()) for name in WORKLOADS for case in [case_of(name)]}
    found = [(name, dtype, *given) for name, given in own.items() for dtype in DTYPES]
    if device.name == CPU or type(device).operators is Accelerator.operators:
        return found
    for name, case in {case.workload: case for case in select_cases(["smoke"])}.items():
        alone = case.phase == "kernel" and not name.endswith("gemm")
        found += [(name, dtype, *small_program(case)) for dtype in (("bf16",) if alone else ("bf16", "int8", "fp8"))]
    return found


def answers(device: Any) -> dict[str, dict[str, Any]]:
    """Case and dtype -> whether the answer is the reference's, how far off it is, and which implementations ran."""
    found = {}
    for name, dtype, program, step in programs(device):
        told: dict[str, Any] = {}
        found[f"{name} {dtype}"] = told
        try:
            operators = device.operators(step, dtype, 1, None)
            checked = check(program, operators, Plan(step, None, "all"), dtype)
            told.update(correct=checked.correct, detail=checked.detail, used=dict(operators.used))
        except Unsupported as error:
            told["unsupported"] = str(error)
        except Exception as error:
            told["error"] = f"{type(error).__name__}: {error}"[:300]
    return found


def operands(device: Any) -> dict[str, str]:
    """Dtype -> empty where every operand has the bytes that the CPU's has, else which has not."""
    found = {}
    step = Step("decode", 2, 1, 16)
    for dtype in DTYPES:
        try:
            there = device.operators(step, dtype, 1, None)
        except Unsupported as error:
            found[dtype] = f"-{error}"
            continue
        kept_as = {torch.bfloat16: "bf16", torch.float16: "fp16", torch.float32: "fp32"}[there.dtype]
        here = TorchOperators(step, kept_as, torch.device("cpu"))
        differ = []
        for name, shape in OPERANDS.items():
            wanted = here.weight(name, shape)
            given = there.weight(name, shape, quantized=False)
            differ += [name] if not torch.equal(given.cpu(), wanted) else []
            entry = there.input(f"{name}.x", shape).cpu()
            differ += [f"{name}.x"] if not torch.equal(entry, here.input(f"{name}.x", shape)) else []
        if getattr(there, "eight_bit", None) is not None:
            differ += _eight_bit(there, here)
        found[dtype] = ", ".join(differ)
    return found


def _eight_bit(there: Any, here: Any) -> list[str]:
    """8-bit rows made on the device and on the CPU, byte by byte."""
    beside = copy.copy(there)
    beside.device = torch.device("cpu")
    made = there.rows_8bit(there.noise("rows", (5, 96)))
    wanted = beside.rows_8bit(here.noise("rows", (5, 96)))
    bytes_equal = torch.equal(made.values.cpu().view(torch.int8), wanted.values.view(torch.int8))
    return [] if bytes_equal and torch.equal(made.scale.cpu(), wanted.scale) else ["8-bit rows"]


def grouped_in_fp8(a: Any, b: Any, scale_a: Any, scale_b: Any, offs: Any = None, **options: Any) -> Any:
    """torch._scaled_grouped_mm by its rules, from its definition: the CPU has none.

    a [rows, k] row-major, b [experts, k, n] column-major, scale_a [rows], scale_b [experts, n], offs [experts] int32.
    """
    assert a.dtype == b.dtype == torch.float8_e4m3fn
    assert a.stride(-1) == 1
    assert b.stride(-2) == 1
    assert scale_a.shape == (len(a),)
    assert scale_b.shape == (len(b), b.shape[-1])
    assert scale_a.is_contiguous()
    assert scale_b.is_contiguous()
    assert scale_a.dtype == scale_b.dtype == torch.float32
    assert offs.dtype == torch.int32
    assert options.pop("out_dtype") is torch.bfloat16
    assert options.keys() <= {"use_fast_accum"}
    rows, ends = [], [0, *offs.tolist()]
    for expert, (start, end) in enumerate(pairwise(ends)):
        product = a[start:end].float() @ b[expert].float()
        rows.append(product * scale_a[start:end, None] * scale_b[expert])
    return torch.cat(rows).to(torch.bfloat16)


def as_json(found: dict[str, Any]) -> bytes:
    return msgspec.json.encode(found)
