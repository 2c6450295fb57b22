"""Colours, shapes and type of charts: on the page they are variables of its style sheet, in a file they are fixed.

On the page one picture serves the light and the dark theme: Vega writes colours through as they are given, so that a
fill may be "var(--series-1)". Colours differ in lightness too, and each series has a shape of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right", "triangle-left")
LIGHT = ("#0b5fa5", "#b3470b", "#1b7a4b", "#8a3ea8", "#6b6100", "#a3195b", "#3d5a80", "#555555")
# Room for the labels of an upright axis, whatever font they are shown in.
LEFT = 52
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', sans-serif"


@dataclass(frozen=True)
class Palette:
    """What a chart is painted with."""

    ink: str
    paper: str
    grid: str
    band: str
    series: tuple[str, ...]

    def colour(self, index: int) -> str:
        return self.series[index % len(self.series)]


SCREEN = Palette(
    "var(--ink)", "var(--paper)", "var(--grid)", "var(--band)", tuple(f"var(--series-{n})" for n in range(1, 9))
)
PAPER = Palette("#1a1f24", "#ffffff", "#d9dee3", "#e4e7ea", LIGHT)


def shape(index: int) -> str:
    """Return the shape of a series."""
    return SHAPES[index % len(SHAPES)]


def config(palette: Palette) -> dict[str, Any]:
    """Return the settings that all charts share."""
    text = {"labelColor": palette.ink, "titleColor": palette.ink, "labelFontSize": 13, "titleFontSize": 13,
            "titleFontWeight": "normal"}  # fmt: skip
    return {
        "font": FONT, "background": "transparent" if palette is SCREEN else palette.paper, "view": {"stroke": None},
        "axis": {**text, "gridColor": palette.grid, "domainColor": palette.grid, "tickColor": palette.grid,
                 "labelLimit": 400},
        # The title of an upright axis stands above it, where no label of any font reaches it.
        "axisY": {"titleAngle": 0, "titleAlign": "left", "titleAnchor": "start", "titleBaseline": "bottom",
                  "titleX": -LEFT, "titleY": -10, "minExtent": LEFT, "maxExtent": LEFT},
        "header": text, "padding": 4, "aria": True,
    }  # fmt: skip
