"""Words beside points: each where it covers no mark and no other word; where there is no such place, left out."""

from __future__ import annotations

import math
from typing import Any

Rows = list[dict[str, Any]]
Box = tuple[float, float, float, float]

# Where a word may stand beside its mark, the best place first: how it is aligned, and how far from the mark.
PLACES = (("left", 8, -8), ("right", -8, -8), ("left", 8, 9), ("right", -8, 9))
SIZE = 11
# Of a mark, from its middle; and of a letter, wide enough for the usual fonts.
MARK, LETTER = 6, 7.0


def placed(rows: Rows, pixels: list[tuple[float, float]], width: float) -> list[Rows]:
    """Return the rows whose "text" is drawn at each of PLACES; `pixels` is where each row's mark stands."""
    found: list[Rows] = [[] for _ in PLACES]
    taken: list[Box] = [(x - MARK, y - MARK, x + MARK, y + MARK) for x, y in pixels]
    for row, (x, y) in zip(rows, pixels, strict=True):
        for mine, (side, dx, dy) in zip(found, PLACES, strict=True):
            long = LETTER * len(str(row["text"]))
            left = x + dx - (long if side == "right" else 0)
            box = (left, y + dy - SIZE / 2, left + long, y + dy + SIZE / 2)
            if box[0] >= 0 and box[2] <= width and not any(_cover(box, other) for other in taken):
                taken.append(box)
                mine.append(row)
                break
    return found


def positions(values: list[float], reach: list[float], length: float, *, log: bool, inset: float = 12) -> list[float]:
    """Return where an axis puts values, in pixels from its start; `reach` is all that it has to show."""
    if not (log and min(reach) > 0):
        return [value / (max(reach) or 1.0) * length for value in values]
    low, high = math.log(min(reach)), math.log(max(reach))
    return [inset + (math.log(value) - low) / ((high - low) or 1.0) * (length - 2 * inset) for value in values]


def _cover(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
