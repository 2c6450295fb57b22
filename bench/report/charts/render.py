"""Charts as pictures: SVG for the page, SVG and PNG for files. No browser, no network."""

from __future__ import annotations

import json

from bench.report.charts.draw import draw, order
from bench.report.charts.style import PAPER, SCREEN
from bench.report.document import Chart


def page_svg(chart: Chart, systems: list[str]) -> str:
    """Return a chart as SVG whose colours are variables of the page's style sheet."""
    import vl_convert

    svg: str = vl_convert.vegalite_to_svg(json.dumps(draw(chart, SCREEN, order(chart, systems))))
    return svg


def file_svg(chart: Chart, systems: list[str]) -> bytes:
    """Return a chart as an SVG file of its own."""
    import vl_convert

    svg: str = vl_convert.vegalite_to_svg(json.dumps(draw(chart, PAPER, order(chart, systems))))
    return svg.encode()


def file_png(chart: Chart, systems: list[str]) -> bytes:
    """Return a chart as a PNG of twice the screen's density."""
    import vl_convert

    png: bytes = vl_convert.vegalite_to_png(json.dumps(draw(chart, PAPER, order(chart, systems))), scale=2)
    return png
