"""Draws the kinds of charts with Altair: curve, roofline, forest, dots, stack, bars.

Data marks are one layer named "data" (in the SVG the class "data_marks"), one mark for each row of the chart, which
tests count. Everything else, bands, lines between points and rules, is beside the data. What `options` and rows each
kind needs is in its function's docstring; every row has "series", "source" and "label", the words of its mark.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import altair as alt

from bench.report import cells
from bench.report.charts import labels
from bench.report.charts.scale import EDGE, PERCENT, PLAIN, along, ratio
from bench.report.charts.style import Palette, config, shape
from bench.report.document import Cell, Chart
from bench.results.reading import EQUAL
from bench.units import MISSING

Rows = list[dict[str, Any]]

WIDTH, HEIGHT = 500, 300
ROW, BAR, NAME, STACKED = 34, 12, 20, 46
# How far the title of an upright axis reaches above its plot, at most.
TITLE = 190
# A forest plot, and the columns beside it: heading, where it starts, how wide it may be.
FOREST, COLUMNS = 500, (("ratio, interval", 520, 170), ("source", 700, 140), ("reading", 850, 260))
# A reading of more letters does not fit its column in every font.
LONGEST = 44
TINT = 0.4
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
    measured = row["source"] == "measured" and not row.get("doubt")
    # Hollow: not measured, or in doubt. A bar keeps a tint of its colour, to be told from the others.
    return row | {"colour": colour, "fill": colour if measured else palette.paper, "tint": 1.0 if measured else TINT,
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
    heads = _of([{"at": index, "row": name} for index, name in enumerate(names)])
    style = {"align": "left", "baseline": "middle", "fontSize": size, "dy": -up, "x": 0, "aria": False}
    return alt.layer(*(each.encode(y=y, text="row:N") for each in _clear(heads, palette, **style)))


def _clear(rows: Any, palette: Palette, **style: Any) -> list[Any]:
    """Words that no line of the axis runs through: written on a stroke of the paper's colour."""
    under = {"stroke": palette.paper, "strokeWidth": 5, "strokeJoin": "round", "color": palette.paper}
    return [rows.mark_text(**style, **under), rows.mark_text(**style, color=palette.ink)]


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
    # A line far from every point would only squeeze them.
    near = [rule for rule in options.get("rules", []) if min(xs) / 1.3 < rule["x"] < max(xs) * 1.3]
    reach = [*xs, *(rule["x"] for rule in near)]
    layers = _rules(
        near, palette, x, labels.positions([rule["x"] for rule in near], reach, WIDTH, log=options.get("x_log", False))
    )
    for name in dict.fromkeys(row["series"] for row in rows):
        mine = [row for row in rows if row["series"] == name]
        colour = mine[0]["colour"]
        band = [row | {"y": row["low"]} for row in mine if row["low"] is not None]
        if band:
            layers.append(_of(band).mark_area(opacity=0.16, color=colour, aria=False).encode(x=x, y=y, y2="high:Q"))
        layers.append(_of(mine).mark_line(color=colour, strokeWidth=1.8, aria=False).encode(x=x, y=y))
    layers.append(_points(rows, x, y))
    if options.get("text"):
        across = labels.positions(xs, reach, WIDTH, log=options.get("x_log", False))
        down = labels.positions([row["y"] for row in rows], ys, HEIGHT, log=options.get("y_log", False))
        found = labels.placed(rows, [(a, HEIGHT - b) for a, b in zip(across, down, strict=True)], WIDTH)
        for (side, dx, dy), mine in zip(labels.PLACES, found, strict=True):
            text = _of(mine).mark_text(dx=dx, dy=dy, align=side, baseline="middle", fontSize=labels.SIZE, aria=False)
            layers.append(text.encode(x=x, y=y, text="text:N", color=_raw(alt.Color, "colour")))
    return alt.layer(*layers, width=WIDTH, height=HEIGHT)


def _rules(rules: Rows, palette: Palette, x: Any, pixels: list[float]) -> list[Any]:
    """Vertical lines with their words above the plot, higher where the axis' title or another's words are."""
    layers: list[Any] = []
    ends: list[float] = [TITLE]
    for rule, middle in sorted(zip(rules, pixels, strict=True), key=lambda pair: pair[1]):
        half = labels.LETTER * len(rule["text"]) / 2
        row = next((at for at, end in enumerate(ends) if middle - half > end), len(ends))
        ends[row : row + 1] = [middle + half]
        base = _of([rule])
        text = {"align": "center", "baseline": "bottom", "fontSize": 12, "y": -6 - 15 * row, "aria": False}
        layers += [
            base.mark_rule(color=palette.ink, strokeDash=[5, 4], strokeWidth=1.2, aria=False).encode(x=x),
            base.mark_text(color=palette.ink, **text).encode(x=x, text="text:N"),
        ]
    return layers


def _roofline(chart: Chart, rows: Rows, palette: Palette) -> Any:
    """Points under ceilings.

    Rows: x, y. Options: x_title, y_title, roofs [{text, points [[x, y], ...]}], slope {x, y, text}: the name of the
    rising part, beside this point of it.
    """
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
    slope = options.get("slope")
    if slope:
        text = {"color": palette.ink, "align": "right", "dx": -8, "fontSize": 12, "aria": False}
        layers.append(_of([slope]).mark_text(**text).encode(x=x, y=y, text="text:N"))
    layers.append(_points(rows, x, y))
    return alt.layer(*layers, width=WIDTH, height=HEIGHT)


def _forest(chart: Chart, rows: Rows, palette: Palette) -> Any:
    """Ratios with their intervals on one logarithmic axis, and beside each its numbers, source and reading.

    Rows: row (its name), ratio, low, high, reading; axis where a line parts them; at, its place among those in words.
    Options: x_title, or better: who is better on the left and on the right of 1; words: rows without a ratio, with
    their words and on whose side these stand (-1, 0, 1).
    """
    found = sorted([*rows, *chart.options.get("words", ())], key=lambda row: row.get("at", 0))
    every = [row | {"at": index} | _told(row) for index, row in enumerate(found)]
    placed = [row for row in every if "words" not in row]
    ends = [value for row in rows for value in (row["ratio"], row["low"], row["high"]) if value]
    x, low = (ratio(ends, NARROWEST, chart.options.get("x_title", ""), field) for field in ("ratio:Q", "low:Q"))
    y = alt.Y("at:O", axis=None)
    equal = [{"low": 1 / (1 + EQUAL), "high": 1 + EQUAL}]
    # An interval from 0 has its lower end beyond every logarithm: its line begins at the edge.
    edge = min(NARROWEST[0], *ends) * EDGE
    lines = [row | {"low": row["low"] or edge} for row in placed if row["high"]]
    parted = [row for row, before in zip(every[1:], every, strict=False) if row.get("axis") != before.get("axis")]
    layers = [
        _of(equal).mark_rect(color=palette.band, aria=False).encode(x=low, x2="high:Q"),
        _of(parted).mark_rule(color=palette.grid, yOffset=-ROW / 2, aria=False)
        .encode(y=y, x=alt.value(0), x2=alt.value(COLUMNS[-1][1] + COLUMNS[-1][2])),
        _names([row["row"] for row in every], palette, y, 9),
        _of(lines).mark_rule(strokeWidth=2, aria=False, yOffset=6)
        .encode(x=low, x2="high:Q", y=y, color=_raw(alt.Color, "colour")),
        _points(placed, x, y, down=6),
    ]  # fmt: skip
    style = {"align": "left", "fontSize": 12, "color": palette.ink, "aria": False}
    for name, left, width in COLUMNS:
        head = _of([{"text": name}]).mark_text(**style, fontWeight="bold", x=left, y=-10, baseline="middle")
        column = _of(every).mark_text(**style, x=left, limit=width, baseline="middle", yOffset=6)
        layers += [head.encode(text="text:N"), column.encode(y=y, text=f"{name.partition(',')[0]}_text:N")]
    for words, side in zip(chart.options.get("better", ()), (-1, 1), strict=False):
        text = {**style, "align": "right" if side < 0 else "left", "dx": 10 * side, "y": -32, "limit": FOREST / 2}
        layers.append(_of([{"ratio": 1.0, "text": words}]).mark_text(**text).encode(x=x, text="text:N"))
    for side, align in ((-1, "right"), (0, "center"), (1, "left")):
        mine = _of([row | {"ratio": 1.0} for row in every if row.get("side") == side])
        text = {"fontSize": 12, "baseline": "middle", "align": align, "dx": 10 * side, "yOffset": 6, "aria": False}
        layers += [each.encode(x=x, y=y, text="words:N") for each in _clear(mine, palette, **text)]
    return alt.layer(*layers, width=FOREST, height=ROW * len(every))


def _told(row: dict[str, Any]) -> dict[str, str]:
    """What stands in the columns beside a ratio, or beside words in its place."""
    reading = row["reading"] if len(row["reading"]) <= LONGEST else _short_of_why(row["reading"])
    if "words" in row:
        return {"ratio_text": MISSING, "source_text": row["source"], "reading_text": reading}
    spread = f" ({cells.interval_text((row['low'], row['high']), 'x')})" if row["high"] else ""
    number = cells.text(Cell(value=row["ratio"], unit="x", source=row["source"]))
    return {"ratio_text": number + spread, "source_text": row["source"], "reading_text": reading}


def _short_of_why(reading: str) -> str:
    """Return a reading without why nothing can be told, which stands in the table: a column would cut it anywhere."""
    front, told, _ = reading.partition("cannot tell: ")
    return front + told.removesuffix(": ") if told else reading


def _dots(chart: Chart, rows: Rows, palette: Palette) -> Any:
    """A dot a series in each row. Rows: row, value, low, high. Options: x_title, percent."""
    names = list(dict.fromkeys(row["row"] for row in rows))
    placed = [row | {"at": names.index(row["row"])} for row in rows]
    share, title = chart.options.get("percent"), chart.options.get("x_title")
    top = max([1.0 if share else 0.0, *(row["high"] or row["value"] for row in rows)])
    scale, axis = alt.Scale(domain=[0, top * 1.02]), alt.Axis(tickCount=6, labelExpr=PERCENT if share else PLAIN)
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
    bars = _boxes(placed, x, "end:Q", height=18, yOffset=8).encode(y=y)
    return alt.layer(_names(names, palette, y, 12, 13), bars, width=WIDTH, height=STACKED * len(names))


def _bars(chart: Chart, rows: Rows, palette: Palette) -> Any:
    """A bar a series in each part, coloured by series. Rows: part, value. Options: x_title."""
    names = list(dict.fromkeys(row["part"] for row in rows))
    sides = list(dict.fromkeys(row["series"] for row in rows))
    # In pixels: its name, then its bars.
    part = NAME + BAR * len(sides)
    placed = []
    for row in rows:
        top = names.index(row["part"]) * part + NAME + BAR * sides.index(row["series"])
        placed.append(row | {"top": top, "bottom": top + BAR - 2, "start": 0})
    scale = alt.Scale(domain=[0, len(names) * part], reverse=True, nice=False)
    x = along(alt.X, "start:Q", [row["value"] for row in rows], chart.options.get("x_title", ""), log=False)
    heads = [{"at": index * part + NAME * 0.6, "row": name} for index, name in enumerate(names)]
    text = _of(heads).mark_text(align="left", baseline="middle", fontSize=12, x=0, color=palette.ink, aria=False)
    text = text.encode(y=alt.Y("at:Q", scale=scale, axis=None), text="row:N")
    bars = _boxes(placed, x, "value:Q").encode(y=alt.Y("top:Q", scale=scale, axis=None), y2="bottom:Q")
    return alt.layer(text, bars, width=WIDTH, height=part * len(names))


def _boxes(rows: Rows, x: Any, end: str, **look: Any) -> Any:
    return (
        _of(rows, "data")
        .mark_rect(strokeWidth=1.2, **look)
        .encode(x=x, x2=end, fill=_raw(alt.Fill, "colour"), stroke=_raw(alt.Stroke, "colour"),
                fillOpacity=alt.FillOpacity("tint:Q", scale=None, legend=None), description=alt.Description("label:N"))
    )  # fmt: skip


KINDS: dict[str, Callable[[Chart, Rows, Palette], Any]] = {
    "curve": _curve, "roofline": _roofline, "forest": _forest, "dots": _dots, "stack": _stack, "bars": _bars,
}  # fmt: skip
