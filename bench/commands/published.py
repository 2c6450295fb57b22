"""The part of a comparison, and of an explanation, that shows what others published."""

from __future__ import annotations

import sys

import msgspec

from bench.measure.anchors import anchors
from bench.report.published import published_lines, published_table
from bench.report.terminal import colored, emit, markdown, table_text, width_of
from bench.results.compare import Operand
from bench.results.record import Row
from bench.results.reference import Anchor, Reference, load_references, matching


class Published(msgspec.Struct):
    """Anchors of the devices and models compared, and the figures of theirs that cannot be priced."""

    anchors: list[Anchor]
    not_priced: list[Reference]
    hint: str


def published_beside(sides: list[Operand]) -> Published:
    """Return what was published of the devices and models compared."""
    rows = [row for side in sides for row in side.rows if row.model is not None]
    devices, models = {row.device for row in rows}, {row.model for row in rows if row.model}
    not_priced = [
        reference
        for reference in load_references()
        if reference.reproduce is None
        and reference.phase != "kernel"
        and devices & set(reference.devices)
        and models & set(reference.models)
    ]
    return Published(anchors(devices, models), not_priced, _hint(rows, not_priced))


def _hint(rows: list[Row], not_priced: list[Reference]) -> str:
    """The command that lists figures which cannot be priced: of a case compared that has some."""
    for row in rows:
        if any(reference in not_priced for reference in matching(row.device, row.model, row.phase)):
            return f"bench explain {row.workload} -d {row.device}"
    return "bench explain CASE -d DEVICE"


def show_published(published: Published, form: str, no_color: bool) -> None:
    """Print the anchors below a comparison, and how many figures are left out of it."""
    table = published_table(published.anchors)
    count = len(published.not_priced)
    if count:
        left = f"{count} more published figure{'' if count == 1 else 's'} cannot be priced: {published.hint}"
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
