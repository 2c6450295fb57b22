"""Charts as pictures: SVG for the page, SVG and PNG for files. No browser, no network."""

from __future__ import annotations

import json
from typing import Any

from bench.report.charts.draw import TINT, WIDTH, draw, order
from bench.report.charts.labels import LETTER
from bench.report.charts.style import PAPER, SCREEN, shape
from bench.report.document import Chart

BOXES = ("stack", "bars")


def page_svg(chart: Chart, systems: list[str]) -> str:
    """Return a chart as SVG whose colours are variables of the page's style sheet; the page tells its series."""
    import vl_convert

    svg: str = vl_convert.vegalite_to_svg(json.dumps(draw(chart, SCREEN, order(chart, systems))))
    return svg


def file_svg(chart: Chart, systems: list[str]) -> bytes:
    """Return a chart as an SVG file of its own."""
    import vl_convert

    svg: str = vl_convert.vegalite_to_svg(json.dumps(_headed(chart, systems)))
    return svg.encode()


def file_png(chart: Chart, systems: list[str]) -> bytes:
    """Return a chart as a PNG of twice the screen's density."""
    import vl_convert

    png: bytes = vl_convert.vegalite_to_png(json.dumps(_headed(chart, systems)), scale=2)
    return png


def keys(chart: Chart, systems: list[str]) -> list[tuple[str, int]]:
    """Return the series that a chart shows, each with its place among colours and shapes."""
    used = {row["part"] if chart.kind == "stack" else row["series"] for row in chart.rows}
    return [(name, index) for index, name in enumerate(order(chart, systems)) if name in used]


def unsure(chart: Chart) -> str:
    """Return what a hollow mark or a pale bar means; "" where every number was measured and none is in doubt."""
    why = ["not measured"] if any(row["source"] != "measured" for row in chart.rows) else []
    why += ["in doubt"] if any(row.get("doubt") for row in chart.rows) else []
    return f"{'pale' if chart.kind in BOXES else 'hollow'}: {' or '.join(why)}" if why else ""


def _headed(chart: Chart, systems: list[str]) -> dict[str, Any]:
    """The picture as it stands alone: below its title and the list of its series."""
    drawn = draw(chart, PAPER, order(chart, systems))
    title = {"text": chart.title, "anchor": "start", "fontSize": 15, "color": PAPER.ink, "offset": 8}
    whole = {key: drawn.pop(key) for key in ("$schema", "config")}
    return whole | {"title": title, "spacing": 12, "vconcat": [_series(chart, systems), drawn]}


def _series(chart: Chart, systems: list[str]) -> dict[str, Any]:
    """The list of series, as wide as a picture; what is not measured has the last entry."""
    box = chart.kind in BOXES
    entries = [
        {"name": name, "colour": PAPER.colour(index), "fill": PAPER.colour(index), "tint": 1.0,
         "shape": "square" if box else shape(index)}
        for name, index in keys(chart, systems)
    ]  # fmt: skip
    if told := unsure(chart):
        entries.append({"name": told, "colour": PAPER.ink, "fill": PAPER.ink if box else PAPER.paper,
                        "tint": TINT if box else 1.0, "shape": "square" if box else "circle"})  # fmt: skip
    x, line = 6.0, 0
    for entry in entries:
        long = LETTER * len(str(entry["name"])) + 34
        if x > 6 and x + long > WIDTH:
            x, line = 6.0, line + 1
        entry |= {"x": x, "y": 8 + 18 * line}
        x += long
    raw: dict[str, Any] = {"type": "quantitative", "scale": None, "axis": None}
    where = {axis: raw | {"field": axis} for axis in "xy"}
    look = {channel: {"field": field, "type": "nominal", "scale": None, "legend": None}
            for channel, field in (("stroke", "colour"), ("fill", "fill"), ("shape", "shape"))}  # fmt: skip
    look["fillOpacity"] = {"field": "tint", "type": "quantitative", "scale": None, "legend": None}
    text = {"type": "text", "align": "left", "dx": 10, "baseline": "middle", "fontSize": 13, "color": PAPER.ink}
    return {
        "data": {"values": entries}, "width": WIDTH, "height": 18 * (line + 1),
        "layer": [
            {"mark": {"type": "point", "size": 64, "strokeWidth": 1.8, "opacity": 1}, "encoding": where | look},
            {"mark": text, "encoding": where | {"text": {"field": "name", "type": "nominal"}}},
        ],
    }  # fmt: skip
