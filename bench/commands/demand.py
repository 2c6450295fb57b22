"""The fleets that serve a demand, for the sides of a report: modelled from their sheets, or by their measured rows."""

from __future__ import annotations

import sys
from pathlib import Path

from bench import project
from bench.measure.capacity import Supply
from bench.measure.fleet import fleets
from bench.report.fleet import fleet_table, pool_table
from bench.report.sides import Side
from bench.report.terminal import colored, emit, table_text, width_of
from bench.results.fleet import Fleets
from bench.results.prices import Prices
from bench.workloads.demand import find_demand, load_demand


def fleets_for(sides: list[Side], text: str, prices: Prices | None) -> Fleets:
    """Return the fleets of these sides for a demand: a file, or the name of one in workloads/demand/.

    Raises: DefinitionError for a demand that cannot be read, or whose workloads do not fit.
    """
    path: Path = find_demand(text)
    return fleets(load_demand(path), [_supply(side) for side in sides], prices, project.shown(path))


def _supply(side: Side) -> Supply:
    measured = [row for row in side.rows if row.source == "measured"]
    return Supply(side.label, side.device, measured or None)


def show_fleets(found: Fleets) -> None:
    """Print the fleets, and where the use of each pool goes, on stdout."""
    width, bold = width_of(sys.stdout), colored(sys.stdout)
    emit(table_text(fleet_table(found), width, bold=bold) + "\n")
    if any(fleet.pools for fleet in found.fleets):
        emit(table_text(pool_table(found), width, bold=bold) + "\n")
