"""Formulas as text: numbers, names and + - * / ( ), worked out here, on the page and in the workbook from one line.

A derived number carries its formula, so that anyone can put in numbers of their own. Names are lower case letters,
digits and "_"; nothing else can be said in a formula, so evaluating one runs no code.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping

from bench.errors import DefinitionError

NAME = re.compile(r"[a-z][a-z0-9_]*")
_NOT_IN_NAME = re.compile(r"[^a-z0-9_]+")

_OPERATORS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def names(formula: str) -> list[str]:
    """Return the names in a formula, each once, in the order they stand."""
    return list(dict.fromkeys(NAME.findall(formula)))


def as_name(text: str) -> str:
    """Return a label as it may stand in a formula: "h100-sxm" is h100_sxm."""
    return _NOT_IN_NAME.sub("_", text.lower()).strip("_")


def evaluate(formula: str, values: Mapping[str, float]) -> float:
    """Return what a formula gives for these values.

    Raises: DefinitionError for a name without a value, a division by zero, or anything that is not arithmetic.
    """
    try:
        return _value(ast.parse(formula, mode="eval").body, values)
    except (SyntaxError, TypeError, ValueError, ZeroDivisionError, OverflowError, RecursionError) as error:
        raise DefinitionError(f"formula '{formula}' cannot be worked out: {error}") from None
    except KeyError as error:
        raise DefinitionError(f"formula '{formula}': {error} has no value") from None


def _value(node: ast.expr, values: Mapping[str, float]) -> float:
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        return _OPERATORS[type(node.op)](_value(node.left, values), _value(node.right, values))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_value(node.operand, values)
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float) and not isinstance(node.value, bool):
        return float(node.value)
    if isinstance(node, ast.Name):
        return values[node.id]
    raise TypeError("only numbers, names and + - * / ( ) may stand in it")
