"""A report's cells as people read them: one scaling and one set of marks for every form."""

from __future__ import annotations

from bench.report.document import Cell, Interval, Table
from bench.results import doubt
from bench.units import MISSING, percent, scaled, seconds, three_digits, times

# What stands before a number that was not measured.
MARKS = {"modelled": "~", "published": "^", "interpolated": "≈", "assumed": "*"}
LEGEND = {
    "measured": "measured on the device, with this suite",
    "modelled": "~ modelled from the device's sheet and a calibration, not measured; its interval is P10 to P90",
    "published": "^ published by others, cited, not measured here",
    "interpolated": "≈ interpolated between measured points, not measured at this point",
    "assumed": "* rests on assumptions (prices, a demand), whatever else went into it; they may be edited, it follows",
    "in doubt": f"{doubt.MARK} measured while others took the cores or the device: in no verdict, to be measured again",
    "missing": "- no number, with the reason",
}
SCALED = ("FLOP/s", "B/s", "B", "tok/s per B/s")


def kind(source: str) -> str:
    """Return a source without its tier: modelled:sheet is modelled."""
    return source.partition(":")[0]


def mark(source: str) -> str:
    """Return what stands before a number of this source; nothing before a measured one."""
    return MARKS.get(kind(source), "")


def text(cell: Cell, *, bare: bool = False) -> str:
    """Return a cell with its marks and unit, for example "~437 tok/s"; "-" where it has no value.

    bare: without the unit, which stands in the heading (see `shared_unit`).
    """
    if cell.value is None:
        return MISSING
    return marks(cell) + number(cell.value, "" if bare else cell.unit)


def marks(cell: Cell) -> str:
    """Return what stands before a cell's number: the mark of its source, and that of doubt."""
    return mark(cell.source) + (doubt.MARK if cell.doubt else "")


def shared_unit(table: Table, index: int) -> str:
    """Return the unit that all cells of a column have and that may stand in its heading; "" where there is none."""
    units = {cell.unit for row in table.rows if isinstance(cell := row[index], Cell)}
    unit = units.pop() if len(units) == 1 else ""
    return "" if unit in (*SCALED, "s", "share", "x", "1") else unit


def number(value: float, unit: str) -> str:
    """Return a value of a unit for people."""
    if unit == "s":
        return seconds(value)
    if unit == "share":
        return percent(value)
    if unit in SCALED:
        return scaled(value, unit)
    if unit == "1" and value == round(value):
        return f"{value:,.0f}"
    if unit == "x":
        return times(value)
    return three_digits(value) + ("" if unit in ("", "1") else f" {unit}")


def interval_text(interval: Interval | None, unit: str) -> str:
    """Return an interval as "low to high", once where both ends read the same."""
    if interval is None:
        return MISSING
    return " to ".join(dict.fromkeys(number(end, unit) for end in interval))
