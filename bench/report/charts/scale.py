"""Axes of charts: logarithmic where asked and possible, few labels, times with their unit at each label."""

from __future__ import annotations

import math
from typing import Any

import altair as alt

# How far an axis of ratios reaches beyond its values.
EDGE = 0.97
# A title that ends so is of a time; its unit then stands at each label instead.
SECONDS = ", s"
TIME = (
    "datum.value == 0 ? '0' : datum.value < 1e-3 ? format(datum.value * 1e6, '~g') + ' us' : datum.value < 1 ? "
    "format(datum.value * 1e3, '~g') + ' ms' : format(datum.value, '~g') + ' s'"
)

# Not a plain format: Vega would give all labels of an axis one suffix, and zero too.
PERCENT = "format(datum.value, '.0%')"
PLAIN, LARGE = "format(datum.value, '~g')", "format(datum.value, '~s')"


def along(channel: Any, field: str, values: list[float], title: str, *, log: bool) -> Any:
    """Return an axis over values; a logarithm needs values above 0."""
    log = log and min(values) > 0
    scale = alt.Scale(type="log", nice=False, padding=12) if log else alt.Scale(zero=True)
    return channel(field, title=title.removesuffix(SECONDS), scale=scale, axis=_axis(values, title, log=log))


def _axis(values: list[float], title: str, *, log: bool) -> alt.Axis:
    # Shares and ratios around 1 are written out: 0.5, not 500m.
    number = PLAIN if max(map(abs, values)) < (1000 if log else 10) else LARGE
    label: dict[str, Any] = {"labelExpr": TIME if title.endswith(SECONDS) else number, "labelOverlap": True}
    if not log:
        return alt.Axis(tickCount=5, labelSeparation=12, **label)
    first, last = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    span = math.log10(max(values) / min(values))
    steps = (1, 2, 3, 5, 7) if span < 0.9 else (1, 2, 5) if span < 2.2 else (1, 3) if span < 3.2 else (1,)
    ticks = [step * 10.0**power for power in range(first - 1, last + 1) for step in steps]
    return alt.Axis(values=ticks, labelSeparation=6, **label)


def ratio(values: list[float], narrowest: tuple[float, float], title: str, field: str) -> Any:
    """Return a logarithmic axis of ratios around 1x, at least as wide as `narrowest`."""
    domain = [min(narrowest[0], *values) * EDGE, max(narrowest[1], *values) / EDGE]
    between = (0.7, 1.5) if domain[1] / domain[0] < 10 else ()
    steps = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)
    ticks = [tick for tick in (*steps, *between) if domain[0] <= tick <= domain[1]]
    axis = alt.Axis(values=ticks, labelExpr="datum.value + 'x'", orient="top")
    return alt.X(field, title=title, scale=alt.Scale(type="log", domain=domain, nice=False), axis=axis)
