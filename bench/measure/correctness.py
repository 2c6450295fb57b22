"""Is the device's answer right? Same program, weights and inputs in float32 on the CPU, before anything is timed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.operators.cost import read_cost
from bench.operators.interface import Step
from bench.operators.reference import ReferenceOperators

# Relative error ||device - reference|| / ||reference|| that rounding in this dtype explains, over several layers.
# fp8 keeps three bits of a number's fraction, about 3 % of each operand; int8 by row and channel about half a percent.
TOLERANCE = {"bf16": 0.08, "fp16": 0.02, "fp32": 1e-3, "fp8": 0.25, "int8": 0.12}
# About a fifth of a second in float32 on two cores.
CHECK_FLOPS = 3e10
# Beyond this even one layer of each kind is too slow, and a shorter input is checked instead.
MOST_CHECK_FLOPS = 1e12
MOST_LAYERS = 1000


@dataclass(frozen=True)
class Checked:
    """Result of a check: whether it passed, and what was compared."""

    correct: bool
    detail: str


@dataclass(frozen=True)
class Plan:
    """How much of a case is checked: the step, and at most so many layers of each kind."""

    step: Step
    layers: int | None
    detail: str


def plan_check(program: Callable[[Any], Any], step: Step, dtype: str) -> Plan:
    """Choose the largest part of the case that the reference can do in a moment.

    All of it, else fewer layers on the same inputs, else one layer of each kind on a shorter input.
    """
    whole = float(read_cost(program, step, dtype).total("flops"))
    if whole <= CHECK_FLOPS:
        return Plan(step, None, "all layers")
    if step.phase in ("prefill", "decode"):
        each = _one_layer_flops(program, step, dtype)
        if each <= MOST_CHECK_FLOPS:
            return Plan(step, max(1, int(CHECK_FLOPS / each)), "first layers of each kind")
        context = int(min(step.context, 256))
        short = Step(step.phase, 1, min(int(step.input_len), context), context)
        return Plan(short, 1, f"one layer of each kind, batch 1, context {context}")
    return Plan(step, None, "all")


def _one_layer_flops(program: Callable[[Any], Any], step: Step, dtype: str) -> float:
    work = read_cost(program, step, dtype)
    return sum(float(k.flops) for k in work.kernels)


def check(program: Callable[[Any], Any], operators: Any, plan: Plan, dtype: str) -> Checked:
    """Run the planned part on the device's operators and in float32, and compare."""
    import torch

    before = operators.layers
    # The fewer of what the check can do and what the case runs: more would take memory that nobody asked for.
    layers = operators.layers = min((n for n in (before, plan.layers) if n is not None), default=None)
    try:
        with torch.inference_mode():
            answer = program(operators).float().cpu().numpy().ravel()
    finally:
        operators.layers = before
    reference = np.asarray(program(ReferenceOperators(plan.step, dtype, layers=layers, copies=operators.copies)))
    detail = plan.detail if plan.layers is not None or layers is None else f"first {layers} layers of each kind"
    return compare(answer, reference.ravel(), dtype, detail)


def compare(answer: Any, reference: Any, dtype: str, detail: str) -> Checked:
    """Compare two vectors; a number that is not finite is never right."""
    if answer.shape != reference.shape:
        return Checked(False, f"shape {answer.shape}, reference {reference.shape}")
    if not np.isfinite(answer).all():
        return Checked(False, "the device's answer holds NaN or infinity")
    norm = float(np.linalg.norm(reference.astype(np.float64)))
    error = float(np.linalg.norm(answer.astype(np.float64) - reference.astype(np.float64))) / max(norm, 1e-30)
    limit = TOLERANCE[dtype]
    verdict = "within" if error <= limit else "beyond"
    return Checked(error <= limit, f"relative error {error:.2g}, {verdict} {limit:g} ({detail})")
