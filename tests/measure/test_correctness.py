"""The check before timing: right answers pass, wrong ones do not, and large cases are checked in part."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from bench.measure.correctness import MOST_CHECK_FLOPS, TOLERANCE, Plan, check, compare, plan_check
from bench.operators.interface import Step
from bench.operators.reference import ReferenceOperators
from bench.operators.torch_operators import TorchOperators

pytestmark = pytest.mark.usefixtures("one_thread")


def stack(width: int, layers: int) -> Callable[[Any], Any]:
    """A program of `layers` square products: 2 * T * width * width FLOP each."""

    def program(ops: Any) -> Any:
        x = ops.input("x", (ops.step.tokens, width))
        for name in ops.repeat("dense", layers):
            x = ops.linear(x, ops.weight(f"{name}.w", (width, width)), name="w")
        return x

    return program


def torch_operators(step: Step, dtype: str = "fp32", layers: int | None = None, kind: type = TorchOperators) -> Any:
    return kind(step, dtype, torch.device("cpu"), 1, layers)


# -- what is compared --------------------------------------------------------------------------------------------------


def test_equal_vectors_are_right():
    x = np.array([3.0, 4.0], dtype=np.float32)
    assert compare(x, x.copy(), "fp32", "all layers").correct


def test_the_error_is_relative_to_the_length_of_the_reference():
    # The difference (0, 0.1) over the length of (3, 4): 0.1 / 5 = 0.02.
    answer, reference = np.array([3.0, 4.1]), np.array([3.0, 4.0])
    checked = compare(answer, reference, "bf16", "all layers")
    assert checked.correct
    assert checked.detail == "relative error 0.02, within 0.08 (all layers)"


@pytest.mark.parametrize(("dtype", "error", "right"), [
    ("bf16", 0.07, True), ("bf16", 0.09, False), ("fp16", 0.019, True), ("fp16", 0.021, False),
    ("fp32", 0.0009, True), ("fp32", 0.0011, False),
])  # fmt: skip
def test_each_precision_has_its_own_limit(dtype, error, right):
    checked = compare(np.array([1.0 + error]), np.array([1.0]), dtype, "")
    assert checked.correct is right
    assert ("within" if right else "beyond") in checked.detail


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_is_not_finite_is_never_right(bad):
    checked = compare(np.array([1.0, bad]), np.array([1.0, bad]), "bf16", "")
    assert not checked.correct
    assert checked.detail == "the device's answer holds NaN or infinity"


def test_another_shape_is_never_right():
    checked = compare(np.zeros(3), np.zeros(4), "bf16", "")
    assert not checked.correct
    assert checked.detail == "shape (3,), reference (4,)"


def test_zeros_where_numbers_should_be_are_wrong():
    assert not compare(np.zeros(4), np.ones(4), "bf16", "").correct


def test_only_zero_agrees_with_a_reference_of_zeros():
    assert compare(np.zeros(4), np.zeros(4), "bf16", "").correct
    assert not compare(np.full(4, 1e-3), np.zeros(4), "bf16", "").correct


# -- how much is checked -----------------------------------------------------------------------------------------------


def test_a_small_case_is_checked_whole():
    # 2 * 10 * 1000 * 1000 * 100 layers = 2e9 FLOP, less than 3e10.
    step = Step("decode", 10, 1, 64)
    plan = plan_check(stack(1000, 100), step, "bf16")
    assert plan.step is step
    assert (plan.layers, plan.detail) == (None, "all layers")


def test_a_larger_case_is_checked_with_fewer_layers_on_the_same_input():
    # 2 * 1000 * 1000 * 1000 = 2e9 FLOP a layer, 100 layers 2e11; 3e10 hold 15 of them.
    step = Step("decode", 1000, 1, 64)
    plan = plan_check(stack(1000, 100), step, "bf16")
    assert plan.step is step
    assert (plan.layers, plan.detail) == (15, "first layers of each kind")


def test_at_least_one_layer_is_checked():
    # 2 * 50,000 * 1e6 = 1e11 FLOP a layer: more than a moment, less than too much.
    assert plan_check(stack(1000, 100), Step("decode", 50_000, 1, 64), "bf16").layers == 1


def test_a_case_whose_single_layer_is_too_much_is_checked_on_a_shorter_input():
    # 2 * 1,000,000 * 1e6 = 2e12 FLOP a layer, more than 1e12.
    assert MOST_CHECK_FLOPS == 1e12
    plan = plan_check(stack(1000, 100), Step("decode", 1_000_000, 1, 4096), "bf16")
    assert plan.step == Step("decode", 1, 1, 256)
    assert (plan.layers, plan.detail) == (1, "one layer of each kind, batch 1, context 256")


def test_a_shortened_prompt_fits_its_context():
    plan = plan_check(stack(1000, 100), Step("prefill", 8, 200_000, 200_000), "bf16")
    assert plan.step == Step("prefill", 1, 256, 256)


def test_a_short_context_is_not_lengthened():
    assert plan_check(stack(1000, 100), Step("decode", 1_000_000, 1, 100), "bf16").step == Step("decode", 1, 1, 100)


@pytest.mark.parametrize("phase", ["kernel", "moe"])
def test_a_kernel_or_a_layer_alone_is_checked_whole(phase):
    step = Step(phase, 1, 50_000, 50_000)
    plan = plan_check(stack(1000, 100), step, "bf16")
    assert plan.step is step
    assert plan.layers is None


# -- the check itself ----------------------------------------------------------------------------------------------------

STEP = Step("decode", 4, 1, 8)


class Wrong(TorchOperators):
    def linear(self, x, weight, bias=None, *, name):
        return super().linear(x, weight, bias, name=name) * 1.5


class Nan(TorchOperators):
    def linear(self, x, weight, bias=None, *, name):
        return super().linear(x, weight, bias, name=name) * float("nan")


class Narrow(TorchOperators):
    def linear(self, x, weight, bias=None, *, name):
        return super().linear(x, weight, bias, name=name)[:, :-1]


@pytest.mark.parametrize("dtype", ["fp32", "bf16", "fp16"])
def test_torchs_own_operators_are_right(dtype, small_pool):
    checked = check(stack(64, 3), torch_operators(STEP, dtype), Plan(STEP, None, "all layers"), dtype)
    assert checked.correct, checked.detail


@pytest.mark.parametrize(("kind", "word"), [(Wrong, "beyond"), (Nan, "NaN"), (Narrow, "shape")])
def test_a_broken_operator_is_found(kind, word, small_pool):
    checked = check(stack(64, 1), torch_operators(STEP, kind=kind), Plan(STEP, None, "all layers"), "fp32")
    assert not checked.correct
    assert word in checked.detail


def test_a_wrong_last_layer_is_found(small_pool):
    class LastWrong(TorchOperators):
        def linear(self, x, weight, bias=None, *, name):
            out = super().linear(x, weight, bias, name=name)
            return -out if weight is self._kept.get("dense7.w") else out

    checked = check(stack(64, 8), torch_operators(STEP, kind=LastWrong), Plan(STEP, None, "all layers"), "fp32")
    assert checked.detail.startswith("relative error 2, beyond")


def test_only_the_planned_layers_run(small_pool):
    operators = torch_operators(STEP)
    check(stack(64, 8), operators, Plan(STEP, 2, "first layers of each kind"), "fp32")
    assert sorted(name for name in operators._kept if name.endswith(".w")) == ["dense0.w", "dense1.w"]


def test_a_case_limited_to_two_layers_never_has_more_of_them(small_pool):
    operators = torch_operators(STEP, layers=2)
    checked = check(stack(64, 8), operators, Plan(STEP, None, "all layers"), "fp32")
    assert checked.correct
    assert checked.detail.endswith("(first 2 layers of each kind)")
    assert sorted(name for name in operators._kept if name.endswith(".w")) == ["dense0.w", "dense1.w"]


@pytest.mark.parametrize(("case", "planned", "run"), [(2, 5, 2), (5, 2, 2), (None, 3, 3)])
def test_the_fewer_layers_win(case, planned, run, small_pool):
    operators = torch_operators(STEP, layers=case)
    check(stack(64, 8), operators, Plan(STEP, planned, "first layers of each kind"), "fp32")
    assert len([name for name in operators._kept if name.endswith(".w")]) == run


def test_afterwards_the_operators_run_as_many_layers_as_before(small_pool):
    operators = torch_operators(STEP, layers=None)
    check(stack(64, 8), operators, Plan(STEP, 2, ""), "fp32")
    assert operators.layers is None


def test_afterwards_the_operators_run_as_many_layers_even_when_the_check_fails(small_pool):
    class Broken(TorchOperators):
        def linear(self, x, weight, bias=None, *, name):
            raise RuntimeError("no such kernel")

    operators = torch_operators(STEP, kind=Broken)
    with pytest.raises(RuntimeError):
        check(stack(64, 8), operators, Plan(STEP, 2, ""), "fp32")
    assert operators.layers is None


def test_the_reference_does_not_go_through_torch(small_pool, monkeypatch):
    def refuse(*_):
        raise AssertionError("torch was used")

    monkeypatch.setattr(torch.nn.functional, "linear", refuse)
    answer = stack(64, 1)(ReferenceOperators(STEP, "fp32"))
    assert isinstance(answer, np.ndarray)
    assert answer.shape == (4, 64)


def test_every_precision_that_runs_has_a_limit():
    assert set(TOLERANCE) == {"bf16", "fp16", "fp32", "fp8", "int8"}
