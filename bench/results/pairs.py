"""Which rows of two sides are put side by side: one case and one definition, per unit that is bought.

Two vendors' 8-bit paths are one case too: what a service would run on each, fp8 where a side has it, else int8.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import msgspec

from bench.results.compare import Operand
from bench.results.record import Row

EIGHT_BIT = "8-bit"
# What a service would run, first: both sides' own 8-bit path, else the narrowest that both run.
SERVED_FIRST = (EIGHT_BIT, "fp8", "int8", "fp4", "bf16", "fp16", "fp32")
# A case's id has the batch; at a service target it is what was solved.
NOT_THE_WORK = ("dtype", "batch", "time_s", "memory_gb")


def bought(side: Operand) -> str:
    """Return the unit that is bought: a package where rows are of dies and of packages."""
    units = side.units
    return "package" if "package" in units else (units or ["machine"])[0]


def by_case(side: Operand) -> dict[str, Row]:
    """Return the rows of the unit that is bought, by their case."""
    unit = bought(side)
    return {row.case_id: row for row in side.rows if row.unit == unit}


def matched(a: Operand, b: Operand) -> list[tuple[Row, Row]]:
    """Return the rows of one case and one definition that both sides have, per unit that is bought."""
    mine, theirs = by_case(a), by_case(b)
    pairs = ((x, theirs[case_id]) for case_id, x in mine.items() if case_id in theirs)
    return [(x, y) for x, y in pairs if x.definition_hash == y.definition_hash]


def eight_bit(a: Operand, b: Operand) -> list[tuple[Row, Row]]:
    """Return the rows of one case apart from its precision, where each side's own 8-bit path is another one.

    Only of workloads of which the sides have a case in common, so that its definition is known to be the same.
    """
    agreed = {x.workload for x, _ in matched(a, b)}
    own = [own_eight_bit(side.rows) for side in (a, b)]
    mine, theirs = (
        {(*question(row.case_id, row.dtype), str(_work(row))): row for row in by_case(side).values()
         if row.workload in agreed and row.dtype == each.get(row.workload) and precision(row) != EIGHT_BIT}
        for side, each in zip((a, b), own, strict=True)
    )  # fmt: skip
    told = {question(x.case_id, EIGHT_BIT) for x, _ in matched(a, b) if precision(x) == EIGHT_BIT}
    return [
        (x, theirs[key]) for key, x in mine.items()
        if key in theirs and x.dtype != theirs[key].dtype and key[:-1] not in told
    ]  # fmt: skip


def precision(row: Row) -> str:
    """Return the precision that a row's case is named by: "8-bit" where that is each device's own."""
    return EIGHT_BIT if EIGHT_BIT in question(row.case_id, "") else row.dtype


def in_eight_bit(row: Row) -> str:
    """Return a case's name with "8-bit" in the place of its own precision."""
    head, bracket, inside = row.case_id.partition("[")
    return head + bracket + inside.replace(row.dtype, EIGHT_BIT)


def as_eight_bit(row: Row) -> Row:
    """Return a row of `eight_bit` under one name and definition with that of the other side."""
    return msgspec.structs.replace(row, case_id=in_eight_bit(row), definition_hash=f"{EIGHT_BIT}:{row.workload}")


def question(target: str, precision: str) -> tuple[str, ...]:
    """Return what a case or target asks apart from its precision."""
    return tuple(part for part in re.split(r"[\[\],]\s*", target) if part and part != precision)


def rank(precision: str) -> int:
    """Return a precision's place among what a service would run: the least is run first."""
    return SERVED_FIRST.index(precision) if precision in SERVED_FIRST else len(SERVED_FIRST)


def served_first(rows: Iterable[Row]) -> list[Row]:
    """Return the rows in the precision that a service would run, for each question that they answer."""
    asked: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        asked.setdefault(question(row.case_id, precision(row)), []).append(row)
    return [row for each in asked.values() for row in each
            if rank(precision(row)) == min(rank(precision(other)) for other in each)]  # fmt: skip


def served_order(rows: Iterable[Row]) -> list[str]:
    """Return the cases of rows, model by model, in the order in which a service would choose their precision."""
    each = {row.case_id: row for row in rows}
    models = list(dict.fromkeys(row.model for row in each.values()))
    return sorted(each, key=lambda case_id: (models.index(each[case_id].model), rank(precision(each[case_id]))))


def own_eight_bit(rows: Iterable[Row]) -> dict[str, str]:
    """Return the 8-bit precision that a side runs each workload in: fp8 where any of its rows does, else int8."""
    ran = {(row.workload, row.dtype) for row in rows if row.status == "ok"}
    return {workload: "fp8" if (workload, "fp8") in ran else "int8" for workload, _ in ran}


def _work(row: Row) -> dict[str, Any]:
    return {key: value for key, value in sorted(row.definition.items()) if key not in NOT_THE_WORK}
