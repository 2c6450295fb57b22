"""Runs every program of a suite, made small, on a fake device and on the CPU: `run_programs.py PACKAGE DEVICE [SUITE]`.

Prints one JSON object: case -> what differs, empty where both answers are equal bit for bit.
"""

from __future__ import annotations

import importlib
import json
import sys

import torch

from bench.errors import Unsupported
from bench.measure.functional import small_program
from bench.operators import noise
from bench.operators.torch_operators import TorchOperators
from bench.workloads.sweep import select_cases


def difference(case: object, device: torch.device) -> str:
    """What differs between the CPU and the device; empty where nothing does."""
    program, step = small_program(case)
    answers = []
    for place in (torch.device("cpu"), device):
        operators = TorchOperators(step, case.dtype, place)
        with torch.inference_mode():
            try:
                program(operators)  # operands are declared
                answers.append(program(operators).cpu())
            except Unsupported as error:
                answers.append(str(error).replace(device.type, "cpu"))
    right, answer = answers
    if isinstance(right, str) or isinstance(answer, str):
        return "" if right == answer else f"{right} / {answer}"
    return "" if torch.equal(right, answer) else f"off by {(right.double() - answer.double()).abs().max():g}"


def main(package: str, device: str, suite: str = "smoke") -> None:
    torch.set_num_threads(1)
    noise.POOL = 65_521
    importlib.import_module(package)
    seen, found = set(), {}
    for case in select_cases([suite]):
        key = (case.workload, case.dtype)
        if key not in seen and case.dtype in ("fp32", "fp16", "bf16"):
            seen.add(key)
            found[case.case_id] = difference(case, torch.device(device))
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
