"""The part of a comparison at service targets: what each side yields while every token comes in time."""

from __future__ import annotations

import sys

from bench.measure.rows import case_of
from bench.measure.targets import USUAL_TARGETS_S, parse_targets, rows_at_targets
from bench.report.comparison import target_table
from bench.report.terminal import colored, emit, markdown, table_text, width_of
from bench.results.compare import Comparison, Operand, compare


def at_targets(sides: list[Operand], asked: str | None) -> Comparison | None:
    """Return the sides compared at the targets asked for, or at the usual ones; None where nothing can be solved.

    Only modelled sides can be solved at a target; where one was measured, its rows stay as they are.
    """
    targets = parse_targets(asked) if asked else list(USUAL_TARGETS_S)
    if any(row.source != "modelled" for side in sides for row in side.rows):
        return None
    solved: list[Operand] = []
    for side in sides:
        cases = [case_of(row) for row in side.rows if row.phase == "decode" and row.unit != "package"]
        cases += [case_of(row) for row in side.rows if row.phase == "decode" and row.devices == 1]
        solved.append(Operand(side.label, rows_at_targets(cases, side.label, targets)))
    return compare(solved) if any(side.rows for side in solved) else None


def show_targets(comparison: Comparison, form: str, no_color: bool) -> None:
    """Print the comparison at targets below the one case by case."""
    table = target_table(comparison)
    if form == "md":
        emit("\n" + markdown(table))
    else:
        emit("\n" + table_text(table, width_of(sys.stdout), bold=colored(sys.stdout, no_color)))
