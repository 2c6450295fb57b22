"""The part of a comparison at service targets: what each side yields while every token comes in time."""

from __future__ import annotations

import sys

from bench.errors import DefinitionError
from bench.measure.rows import case_of
from bench.measure.targets import USUAL_TARGETS, rows_at_targets
from bench.report.comparison import target_table
from bench.report.terminal import colored, emit, markdown, table_text, width_of
from bench.results.compare import Comparison, Operand, compare
from bench.results.interpolate import measured_at_targets
from bench.results.target import Target, parse_targets


def at_targets(sides: list[Operand], asked: str | None) -> Comparison | None:
    """Return the sides compared at the targets asked for, or at the usual ones; None where nothing can be solved.

    A side modelled now is solved at a target; a run file is read at those asked for, between its measured batches.
    Raises: DefinitionError where targets were asked for and no case has one.
    """
    targets = parse_targets(asked) if asked else list(USUAL_TARGETS)
    if not asked and any(side.environment is not None for side in sides):
        return None
    solved = [solved_at(side, targets) for side in sides]
    if any(side.rows for side in solved):
        return compare(solved)
    if asked:
        raise DefinitionError(f"--at {asked}: no decode case (tpot) or prefill case (ttft) is among those compared")
    return None


def solved_at(side: Operand, targets: list[Target]) -> Operand:
    """Return a side's rows at each target: solved where they are modelled, measured or interpolated where they ran."""
    rows = measured_at_targets(side.rows, targets)
    modelled = [row for row in side.rows if row.source == "modelled" and row.devices == 1]
    for device in dict.fromkeys(row.device for row in modelled):
        rows += rows_at_targets([case_of(row) for row in modelled if row.device == device], device, targets)
    return Operand(side.label, rows, side.environment)


def show_targets(comparison: Comparison, form: str, no_color: bool) -> None:
    """Print the comparison at targets below the one case by case."""
    table = target_table(comparison)
    if form == "md":
        emit("\n" + markdown(table))
    else:
        emit("\n" + table_text(table, width_of(sys.stdout), bold=colored(sys.stdout, no_color)))
