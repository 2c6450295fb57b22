"""The part of a comparison at service targets: what each side yields while every token comes in time."""

from __future__ import annotations

import sys

from bench.errors import DefinitionError
from bench.measure.rows import case_of
from bench.measure.targets import USUAL_TARGETS_S, parse_targets, rows_at_targets
from bench.report.comparison import target_table
from bench.report.terminal import colored, emit, markdown, table_text, width_of
from bench.results.compare import Comparison, Operand, compare


def at_targets(sides: list[Operand], asked: str | None) -> Comparison | None:
    """Return the sides compared at the targets asked for, or at the usual ones; None where nothing can be solved.

    Only sides modelled now can be solved at a target; where one is a run file, its rows stay as they are.
    Raises: DefinitionError where targets were asked for and a side is a run file.
    """
    targets = parse_targets(asked) if asked else list(USUAL_TARGETS_S)
    files = [side.label for side in sides if side.environment is not None]
    if files and asked:
        raise DefinitionError(f"--at: only devices modelled now can be solved at a target; '{files[0]}' is a run file")
    if files:
        return None
    solved = [solved_at(side, targets) for side in sides]
    return compare(solved) if any(side.rows for side in solved) else None


def solved_at(side: Operand, targets_s: list[float]) -> Operand:
    """Return a modelled side's decode rows at each target."""
    cases = [case_of(row) for row in side.rows if row.phase == "decode" and row.devices == 1]
    return Operand(side.label, rows_at_targets(cases, side.label, targets_s))


def show_targets(comparison: Comparison, form: str, no_color: bool) -> None:
    """Print the comparison at targets below the one case by case."""
    table = target_table(comparison)
    if form == "md":
        emit("\n" + markdown(table))
    else:
        emit("\n" + table_text(table, width_of(sys.stdout), bold=colored(sys.stdout, no_color)))
