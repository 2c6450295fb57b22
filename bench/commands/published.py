"""The part of a comparison, and of an explanation, that shows what others published."""

from __future__ import annotations

import sys

import msgspec

from bench.measure.anchors import anchors
from bench.report.published import published_lines, published_table
from bench.report.terminal import colored, emit, markdown, table_text, width_of
from bench.results.compare import Operand
from bench.results.record import Row
from bench.results.reference import Anchor, Reference, matching
from bench.units import counted


class Published(msgspec.Struct):
    """Anchors of the devices, models and phases compared, and the figures of theirs that cannot be priced."""

    anchors: list[Anchor]
    not_priced: list[Reference]
    hint: str


def published_beside(sides: list[Operand]) -> Published:
    """Return what was published of the devices, models and phases compared."""
    rows = [row for side in sides for row in side.rows if row.model is not None]
    not_priced: dict[str, Reference] = {}
    hint = ""
    for device, model, phase, workload in dict.fromkeys((r.device, r.model, r.phase, r.workload) for r in rows):
        left = [reference for reference in matching(device, model, phase) if reference.reproduce is None]
        not_priced |= {reference.id: reference for reference in left}
        if left and not hint:
            hint = f"bench explain {workload} -d {device}"
    found = anchors({r.device for r in rows}, {r.model for r in rows if r.model}, {r.phase for r in rows})
    return Published(found, list(not_priced.values()), hint)


def show_published(published: Published, form: str, no_color: bool) -> None:
    """Print the anchors below a comparison, and how many figures are left out of it."""
    table = published_table(published.anchors)
    count = len(published.not_priced)
    if count:
        left = f"{counted(count, 'more published figure')} cannot be priced: {published.hint}"
        table.notes.append(left)
    if not published.anchors:
        if count:
            emit("\n" + left)
    elif form == "md":
        emit("\n" + markdown(table))
    else:
        emit("\n" + table_text(table, width_of(sys.stdout), bold=colored(sys.stdout, no_color)))


def published_text(rows: list[Row]) -> str:
    """Return what was published of the rows' devices, models and phases, or nothing."""
    parts: list[str] = []
    for device, model, phase, kernel in dict.fromkeys((row.device, row.model, row.phase, row.kernel) for row in rows):
        found = matching(device, model, phase, kernel)
        if found:
            head = f"published figures of {model or kernel}, {phase}, on {device} ({len(found)}):"
            parts.append("\n".join([head, *published_lines(found, width_of(sys.stdout))]))
    return "\n\n".join(parts)
