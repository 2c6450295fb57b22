"""Draws the kinds of charts with Altair: curve, roofline, forest, dots, stack, bars.

Data marks are one layer named "data" (in the SVG the class "data_marks"), one mark for each row of the chart, which
tests count. Everything else, bands, lines between points and rules, is beside the data. What `options` and rows each
kind needs is in its function's docstring; every row has "series", "source" and "label", the words of its mark.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import altair as alt

from bench.report.charts.scale import along, ratio
from bench.report.charts.style import Palette, config, shape
from bench.report.document import Chart
from bench.results.reading import EQUAL

Rows = list[dict[str, Any]]

WIDTH, HEIGHT = 500, 300
ROW, BAR, STACKED = 34, 12, 46
# Ratios are drawn on this axis at least.
NARROWEST = (0.5, 2.0)


def draw(chart: Chart, palette: Palette, series: list[str]) -> dict[str, Any]:
    """Return the Vega-Lite specification of a chart; `series` is the order that gives colours and shapes."""
    rows = [_styled(row, palette, series) for row in chart.rows]
    drawn = KINDS[chart.kind](chart, rows, palette).configure(**config(palette))
    specification: dict[str, Any] = drawn.to_dict()
    return specification


def order(chart: Chart, systems: list[str]) -> list[str]:
    """Return systems, then what else a chart tells apart: a device has one colour on all charts, alone."""
    own = dict.fromkeys(_series(chart.kind, row) for row in chart.rows)
    return [*systems, *(name for name in own if name not in systems)]


def _series(kind: str, row: dict[str, Any]) -> str:
    return str(row["part"] if kind == "stack" else row["series"])


def _styled(row: dict[str, Any], palette: Palette, series: list[str]) -> dict[str, Any]:
    part = row.get("part")
    index = series.index(part if part in series else row["series"])
    colour = palette.colour(index)
    # Hollow: not measured.
    return row | {"colour": colour, "fill": colour if row["source"] == "measured" else palette.paper,
                  "shape": shape(index)}  # fmt: skip


def _of(rows: Rows, name: Any = alt.Undefined) -> Any:
    return alt.Chart(alt.Data(values=rows), name=name)  # type: ignore[no-untyped-call]


def _raw(channel: Any, field: str) -> Any:
    return channel(f"{field}:N", scale=None, legend=None)


def _points(rows: Rows, x: Any, y: Any, down: int = 0) -> Any:
    return (
        _of(rows, "data")
        .mark_point(size=64, strokeWidth=1.8, filled=False, opacity=1, yOffset=down)
        .encode(x=x, y=y, stroke=_raw(alt.Stroke, "colour"), fill=_raw(alt.Fill, "fill"),
                shape=_raw(alt.Shape, "shape"), description=alt.Description("label:N"))
    )  # fmt: skip


def _names(names: list[str], palette: Palette, y: Any, up: int, size: int = 12) -> Any:
    """The names of rows, each above its marks, so that a narrow page keeps its width for the data."""
    heads = [{"at": index, "row": name} for index, name in enumerate(names)]
    style = {"align": "left", "baseline": "middle", "fontSize": size, "dy": -up, "x": 0, "aria": False}
    return _of(heads).mark_text(color=palette.ink, **style).encode(y=y, text="row:N")


def _curve(chart: Chart, rows: Rows, palette: Palette) -> Any:
    """Points joined by straight lines, with bands.

    Rows: x, y, low, high (None for no interval), text where options has text. Options: x_title, y_title, x_log, y_log,
    text, rules [{x, text}]: vertical lines.
    """
    options = chart.options
    xs = [row["x"] for row in rows]
    ys = [value for row in rows for value in (row["y"], row["low"], row["high"]) if value is not None]
    x = along(alt.X, "x:Q", xs, options.get("x_title", ""), log=options.get("x_log", False))
    y = along(alt.Y, "y:Q", ys, options.get("y_title", ""), log=options.get("y_log", False))
    layers: list[Any] = []
    for rule in options.get("rules", []):
        # A line far from every point would only squeeze them.
        if min(xs) / 1.3 < rule["x"] < max(xs) * 1.3:
            layers += _rule(rule, palette, x)
    for name in dict.fromkeys(row["series"] for row in rows):
        mine = [row for row in rows if row["series"] == name]
        colour = mine[0]["colour"]
        band = [row | {"y": row["low"]} for row in mine if row["low"] is not None]
        if band:
            layers.append(_of(band).mark_area(opacity=0.13, color=colour, aria=False).encode(x=x, y=y, y2="high:Q"))
        layers.append(_of(mine).mark_line(color=colour, strokeWidth=1.8, aria=False).encode(x=x, y=y))
    layers.append(_points(rows, x, y))
    if options.get("text"):
        text = _of(rows).mark_text(dx=8, dy=-8, align="left", fontSize=11, aria=False)
        layers.append(text.encode(x=x, y=y, text="text:N", color=_raw(alt.Color, "colour")))
    return alt.layer(*layers, width=WIDTH, height=HEIGHT)


def _rule(rule: dict[str, Any], palette: Palette, x: Any) -> list[Any]:
    base = _of([rule])
    text = {"align": "left", "baseline": "top", "dx": 4, "fontSize": 12, "y": 0, "aria": False}
    return [
        base.mark_rule(color=palette.ink, strokeDash=[5, 4], strokeWidth=1.2, aria=False).encode(x=x),
        base.mark_text(color=palette.ink, **text).encode(x=x, text="text:N"),
    ]


def _roofline(chart: Chart, rows: Rows, palette: Palette) -> Any:
    """Points under ceilings. Rows: x, y. Options: x_title, y_title, roofs [{text, points [[x, y], ...]}]."""
    options = chart.options
    corners = [corner for roof in options["roofs"] for corner in roof["points"]]
    x = along(alt.X, "x:Q", [each for each, _ in corners], options["x_title"], log=True)
    heights = [*(row["y"] for row in rows), *(each for _, each in corners)]
    y = along(alt.Y, "y:Q", heights, options["y_title"], log=True)
    layers: list[Any] = []
    for roof in options["roofs"]:
        line = [{"x": a, "y": b, "text": roof["text"]} for a, b in roof["points"]]
        layers.append(_of(line).mark_line(color=palette.ink, strokeWidth=1.4, aria=False).encode(x=x, y=y))
        name = _of(line[-1:]).mark_text(color=palette.ink, align="right", dy=-7, fontSize=12, aria=False)
        layers.append(name.encode(x=x, y=y, text="text:N"))
    layers.append(_points(rows, x, y))
    return alt.layer(*layers, width=WIDTH, height=HEIGHT)


def _forest(chart: Chart, rows: Rows, palette: Palette) -> Any:
    """Ratios with their intervals on one logarithmic axis. Rows: row (its name), ratio, low, high. Options: x_title."""
    placed = [row | {"at": index} for index, row in enumerate(rows)]
    ends = [value for row in rows for value in (row["ratio"], row["low"], row["high"]) if value]
    title = chart.options.get("x_title", "ratio")
    x, low = (ratio(ends, NARROWEST, title, field) for field in ("ratio:Q", "low:Q"))
    y = alt.Y("at:O", axis=None)
    equal = [{"low": 1 / (1 + EQUAL), "high": 1 + EQUAL}]
    layers = [
        _of(equal).mark_rect(color=palette.band, aria=False).encode(x=low, x2="high:Q"),
        _names([row["row"] for row in rows], palette, y, 9),
        _of([row for row in placed if row["low"]]).mark_rule(strokeWidth=2, aria=False, yOffset=6)
        .encode(x=low, x2="high:Q", y=y, color=_raw(alt.Color, "colour")),
        _points(placed, x, y, down=6),
    ]  # fmt: skip
    return alt.layer(*layers, width=WIDTH, height=ROW * len(rows))


def _dots(chart: Chart, rows: Rows, palette: Palette) -> Any:
    """A dot a series in each row. Rows: row, value, low, high. Options: x_title, percent."""
    names = list(dict.fromkeys(row["row"] for row in rows))
    placed = [row | {"at": names.index(row["row"])} for row in rows]
    share, title = chart.options.get("percent"), chart.options.get("x_title")
    top = max([1.0 if share else 0.0, *(row["high"] or row["value"] for row in rows)])
    scale, axis = alt.Scale(domain=[0, top * 1.02]), alt.Axis(format=".0%" if share else "~g")
    x, low = (alt.X(field, title=title, scale=scale, axis=axis) for field in ("value:Q", "low:Q"))
    y = alt.Y("at:O", axis=None)
    layers = [
        _names(names, palette, y, 9),
        _of([row for row in placed if row["low"] is not None]).mark_rule(opacity=0.6, aria=False, yOffset=6)
        .encode(x=low, x2="high:Q", y=y, color=_raw(alt.Color, "colour")),
        _points(placed, x, y, down=6),
    ]  # fmt: skip
    return alt.layer(*layers, width=WIDTH, height=ROW * len(names))


def _stack(chart: Chart, rows: Rows, palette: Palette) -> Any:
    """One bar a series, its parts beside each other and coloured. Rows: part, value. Options: x_title."""
    names = list(dict.fromkeys(row["series"] for row in rows))
    reach = dict.fromkeys(names, 0.0)
    placed: Rows = []
    for row in rows:
        start = reach[row["series"]]
        reach[row["series"]] = start + row["value"]
        placed.append(row | {"start": start, "end": reach[row["series"]], "at": names.index(row["series"])})
    x = along(alt.X, "start:Q", list(reach.values()), chart.options.get("x_title", ""), log=False)
    y = alt.Y("at:O", axis=None)
    bars = _of(placed, "data").mark_rect(height=18, stroke=palette.paper, strokeWidth=1, yOffset=8)
    bars = bars.encode(
        x=x, x2="end:Q", y=y, fill=_raw(alt.Fill, "colour"), description=alt.Description("label:N")
    )  # fmt: skip
    return alt.layer(_names(names, palette, y, 12, 13), bars, width=WIDTH, height=STACKED * len(names))


def _bars(chart: Chart, rows: Rows, palette: Palette) -> Any:
    """A bar a series in each part, coloured by series. Rows: part, value. Options: x_title."""
    names = list(dict.fromkeys(row["part"] for row in rows))
    sides = list(dict.fromkeys(row["series"] for row in rows))
    # In units of one part's height: its name takes the upper 0.4, its bars share the rest.
    step = 0.55 / len(sides)
    placed = []
    for row in rows:
        top = names.index(row["part"]) + 0.4 + step * sides.index(row["series"])
        placed.append(row | {"top": top, "bottom": top + step * 0.86, "zero": 0})
    scale = alt.Scale(domain=[0, len(names)], reverse=True, nice=False)
    x = along(alt.X, "zero:Q", [row["value"] for row in rows], chart.options.get("x_title", ""), log=False)
    heads = [{"at": index + 0.2, "row": name} for index, name in enumerate(names)]
    text = _of(heads).mark_text(align="left", baseline="middle", fontSize=12, x=0, color=palette.ink, aria=False)
    bars = _of(placed, "data").mark_rect().encode(
        x=x, x2="value:Q", y=alt.Y("top:Q", scale=scale, axis=None), y2="bottom:Q", fill=_raw(alt.Fill, "colour"),
        description=alt.Description("label:N"),
    )  # fmt: skip
    text = text.encode(y=alt.Y("at:Q", scale=scale, axis=None), text="row:N")
    return alt.layer(text, bars, width=WIDTH, height=(18 + BAR * len(sides)) * len(names))


KINDS: dict[str, Callable[[Chart, Rows, Palette], Any]] = {
    "curve": _curve, "roofline": _roofline, "forest": _forest, "dots": _dots, "stack": _stack, "bars": _bars,
}  # fmt: skip
