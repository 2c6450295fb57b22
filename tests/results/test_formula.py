import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import DefinitionError
from bench.results.formula import as_name, evaluate, names


def test_a_formula_is_worked_out_as_arithmetic_is():
    assert evaluate("(price * (1 - residual) / 4 + 1) / used", {"price": 80, "residual": 0.25, "used": 0.5}) == 32


def test_a_minus_before_a_name_is_a_minus():
    assert evaluate("-a - -2", {"a": 3}) == -1


def test_names_are_listed_once_in_their_order():
    assert names("b * a + b / 3600 + a2") == ["b", "a", "a2"]


def test_a_device_is_named_as_a_formula_can_hold_it():
    assert as_name("price_Ascend-910C (die)") == "price_ascend_910c_die"


@pytest.mark.parametrize(
    "text", ["__import__('os')", "a.b", "a if a else a", "2 ** 9", "'x' * 3", "f(a)", "1 < 2", "[1]", "True", "a,", ""]
)
def test_what_is_not_arithmetic_is_refused(text):
    with pytest.raises(DefinitionError, match="cannot be worked out"):
        evaluate(text, {"a": 1})


def test_a_division_by_zero_and_a_missing_value_are_told():
    with pytest.raises(DefinitionError, match="division by zero"):
        evaluate("a / 0", {"a": 1})
    with pytest.raises(DefinitionError, match="'b' has no value"):
        evaluate("a / b", {"a": 1})


@given(st.text(max_size=40))
def test_no_text_does_anything_but_give_a_number_or_an_error(text):
    with contextlib.suppress(DefinitionError):
        assert isinstance(evaluate(text, {}), float)
