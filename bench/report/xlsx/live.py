"""What follows the assumptions of a workbook beside its numbers: ends of intervals, and words until one is changed."""

from __future__ import annotations

from bench.report.xlsx.place import Places, Spot

CHANGED = "changed: read the ratio and its interval"
# Longer text is refused inside a formula.
LONGEST = 255


def end(places: Places, formula: str) -> str:
    """Return one end of an interval; no price, cost or rate lies below 0."""
    return f"=MAX(0,{places.formula(formula)[1:]})"


def while_unedited(number: str, value: float, end: float) -> str:
    """Return an end that is empty once the number it belongs to was changed."""
    return f'=IF({_same(number, value)},{end!r},"")'


def words(number: str, value: float, told: str) -> str:
    """Return the words of a verdict, which hold for the ratio that they were worked out with."""
    kept = told[:LONGEST].replace('"', '""')
    return f'=IF({_same(number, value)},"{kept}","{CHANGED}")'


def _same(number: str, value: float) -> str:
    return f"ABS({number}-({value!r}))<=ABS({value!r})*0.000001"


def beside(spot: Spot, columns: int) -> str:
    """Return a reference to what stands right of a number."""
    return Spot(spot.sheet, spot.row, spot.column + columns).reference
