"""One side of a report: its rows as they were measured, modelled or published, and what its device is on paper.

Whoever writes a part of a report gets the sides and returns what it adds: `Part`. The figures of a sheet come as plain
numbers, each null where nobody published it, so that the report needs no room but the results.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace

import msgspec

from bench.report.document import Assumption, Section
from bench.results.compare import Operand
from bench.results.pairs import bought
from bench.results.record import Row
from bench.results.verdict import Verdict


@dataclass(frozen=True)
class Paper:
    """A device as its sheet has it, per torch device, in base units; peaks are dense, by dtype."""

    name: str = ""
    peak_flops: dict[str, float] = field(default_factory=dict)
    memory_bytes: float | None = None
    memory_bytes_per_s: float | None = None
    link_bytes_per_s: float | None = None
    tdp_w: float | None = None
    devices_per_package: int = 1
    # Where the peaks come from: a sheet's are published, those that calibration reached were measured.
    source: str = "published"
    # The sheet that the figures are of; "" where none describes the device.
    sheet: str = ""
    # Name -> value as people read it, for the systems table.
    facts: dict[str, str] = field(default_factory=dict)


@dataclass
class Side:
    """An operand with its paper figures, its rows at service targets, and the sweeps that charts draw."""

    operand: Operand
    device: str
    paper: Paper
    # Rows solved at a target (modelled), found by bisection (measured) or interpolated; named by the target.
    at_targets: list[Row] = field(default_factory=list)
    # Rows over batch and context for curves; for a run file, its own rows.
    sweep: list[Row] = field(default_factory=list)
    # Rows of one case under several routings.
    routings: list[Row] = field(default_factory=list)

    @property
    def label(self) -> str:
        return self.operand.label

    @property
    def rows(self) -> list[Row]:
        return self.operand.rows

    @property
    def unit(self) -> str:
        """The unit that is bought: a package where rows are of dies and of packages."""
        return bought(self.operand)

    def bought(self, rows: list[Row]) -> list[Row]:
        """Return the rows of the unit that is bought."""
        unit = self.unit
        return [row for row in rows if row.unit == unit]

    def priced(self, names: Collection[str]) -> Side:
        """Return the side under the name that has its price: its own among these names, else that of its sheet."""
        name = self.paper.sheet
        if not name or self.device in names:
            return self

        def named(rows: list[Row]) -> list[Row]:
            own = self.device
            return [msgspec.structs.replace(row, device=name) if row.device == own else row for row in rows]

        operand = replace(self.operand, rows=named(self.rows))
        return replace(self, operand=operand, device=name, at_targets=named(self.at_targets))


@dataclass
class Part:
    """What a function adds to a report."""

    sections: list[Section] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    assumptions: list[Assumption] = field(default_factory=list)
