"""Native charts of a workbook: their numbers stand on a sheet of their own, and follow the tables' where they can."""

from __future__ import annotations

import math
from typing import Any

from bench.report.charts.style import PAPER
from bench.report.document import Cell, Chart
from bench.report.xlsx.place import PlacedTable, Spot, text

SIZE = {"width": 640, "height": 400}
GRID, ROOF = {"color": "#D9DEE3", "width": 0.75}, {"color": "#1A1F24", "width": 1.25}
NUMBERS = "[>=1000000]0E+00;General"
MARKERS = ("circle", "square", "triangle", "diamond", "plus", "x", "star", "long_dash")
# A chart's field that holds what a bar shows.
BARS = {"dots": ("row", "series", "value"), "bars": ("part", "series", "value"), "stack": ("series", "part", "value"),
        "forest": ("row", "series", "ratio")}  # fmt: skip


class ChartData:
    """The sheet that holds the numbers of all charts."""

    def __init__(self, book: Any, sheet: Any) -> None:
        self.book, self.sheet = book, sheet
        self.row = 0

    def draw(self, chart: Chart, placed: PlacedTable, target: Any, row: int, number: int) -> None:
        """Put a chart on a sheet at a row, right of the `number` charts before it."""
        drawn = self._bars(chart, placed) if chart.kind in BARS else self._points(chart, placed)
        drawn.set_title({"name": plain(chart.title), "name_font": {"size": 12}})
        drawn.set_size(SIZE)
        drawn.set_legend({"position": "bottom"})
        # Not moved by the widths of columns, which the tables below decide.
        place = {"x_offset": number * (SIZE["width"] + 12), "object_position": 3, "description": plain(chart.alt)}
        target.insert_chart(row, 0, drawn, place)

    def _points(self, chart: Chart, placed: PlacedTable) -> Any:
        """Points joined by straight lines, one series each; ceilings of a roofline beside them."""
        drawn = self.book.add_chart({"type": "scatter", "subtype": "straight_with_markers"})
        links = {key: _linked(chart, placed, key) for key in ("x", "y")}
        numbered = list(enumerate(chart.rows))
        for at, name in enumerate(dict.fromkeys(str(each["series"]) for each in chart.rows)):
            mine = [(index, each) for index, each in numbered if str(each["series"]) == name]
            points = [(self._value(each["x"], links["x"], index), self._value(each["y"], links["y"], index))
                      for index, each in mine]  # fmt: skip
            line = {"color": PAPER.colour(at), "width": 1.5} if chart.kind == "curve" else {"none": True}
            marker = {"type": MARKERS[at % len(MARKERS)], "size": 7, **_paint(at, [each for _, each in mine])}
            drawn.add_series({"name": plain(name), **self._pairs(name, points), "marker": marker, "line": line})
        for roof in chart.options.get("roofs", []):
            pairs = self._pairs(roof["text"], [tuple(point) for point in roof["points"]])
            drawn.add_series({"name": plain(roof["text"]), **pairs, "marker": {"type": "none"}, "line": ROOF})
        logarithmic = chart.kind == "roofline"
        for axis, set_axis in (("x", drawn.set_x_axis), ("y", drawn.set_y_axis)):
            options: dict[str, Any] = {
                "name": plain(chart.options.get(f"{axis}_title", "")), "num_format": NUMBERS,
                "major_gridlines": {"visible": True, "line": GRID}, "label_position": "low",
            }  # fmt: skip
            if logarithmic or chart.options.get(f"{axis}_log"):
                options |= {"log_base": 10, **_decades([*_values(chart, axis)])}
            set_axis(options)
        return drawn

    def _pairs(self, name: str, points: list[tuple[Any, ...]]) -> dict[str, str]:
        """Write a block of x and y; return it as a series' references."""
        self.sheet.write_string(self.row, 0, plain(name))
        first = self.row + 1
        for offset, point in enumerate(points):
            for column, value in enumerate(point):
                self._write(first + offset, column, value)
        self.row = first + len(points) + 1
        return {"categories": self._range(first, len(points), 0), "values": self._range(first, len(points), 1)}

    def _bars(self, chart: Chart, placed: PlacedTable) -> Any:
        """Bars, a category each: beside each other, or stacked. A ratio's bars start at 1."""
        across, series, key = BARS[chart.kind]
        kind: dict[str, str] = {"type": "bar"}
        if chart.kind == "stack":
            kind["subtype"] = "stacked"
        drawn = self.book.add_chart(kind)
        links = _linked(chart, placed, key)
        categories = list(dict.fromkeys(str(each[across]) for each in chart.rows))
        names = list(dict.fromkeys(str(each[series]) for each in chart.rows))
        top = self.row
        self.sheet.write_string(top, 0, plain(chart.title))
        for column, name in enumerate(names, 1):
            self.sheet.write_string(top, column, plain(name))
        for offset, name in enumerate(categories, 1):
            self.sheet.write_string(top + offset, 0, plain(name))
        for index, each in enumerate(chart.rows):
            where = (top + 1 + categories.index(str(each[across])), 1 + names.index(str(each[series])))
            self._write(*where, self._value(each[key], links, index))
        for column, name in enumerate(names, 1):
            drawn.add_series({
                "name": plain(name), "categories": self._range(top + 1, len(categories), 0),
                "values": self._range(top + 1, len(categories), column), "gap": 60,
                **_paint(column - 1, [each for each in chart.rows if str(each[series]) == name]),
            })  # fmt: skip
        self.row = top + len(categories) + 2
        # The first category at the top, as the page has it; the axis of the values stays below.
        names_axis: dict[str, Any] = {"reverse": True, "crossing": "max"}
        values_axis: dict[str, Any] = {
            "name": plain(chart.options.get("x_title", "")), "num_format": NUMBERS,
            "major_gridlines": {"visible": True, "line": GRID},
        }  # fmt: skip
        if chart.kind == "forest":
            names_axis["label_position"] = "low"
            values_axis |= {"log_base": 2, "crossing": 1, "num_format": "0.##x"}
        if chart.options.get("percent"):
            values_axis["num_format"] = "0%"
        # Of bars, x is the axis that lies: of the values.
        drawn.set_x_axis(values_axis)
        drawn.set_y_axis(names_axis)
        return drawn

    def _value(self, value: Any, links: list[Spot] | None, index: int) -> Any:
        return (links[index], value) if links is not None else value

    def _write(self, row: int, column: int, value: Any) -> None:
        if isinstance(value, tuple):
            spot, cached = value
            self.sheet.write_formula(row, column, f"={spot.reference}", None, cached)
        elif value is not None:
            self.sheet.write_number(row, column, value)

    def _range(self, first: int, count: int, column: int) -> Any:
        return [self.sheet.get_name(), first, column, first + count - 1, column]


def _paint(index: int, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """A series' colour, pale where not all was measured or some is in doubt.

    White, as on the page, would not be seen where a program draws no border around a mark.
    """
    full = PAPER.colour(index)
    pale = "#" + "".join(f"{(int(full[at : at + 2], 16) + 2 * 255) // 3:02x}" for at in (1, 3, 5))
    sure = all(each["source"] == "measured" and not each.get("doubt") for each in rows)
    return {"fill": {"color": full if sure else pale}, "border": {"color": full}}


def _values(chart: Chart, axis: str) -> list[float]:
    corners = [point["xy".index(axis)] for roof in chart.options.get("roofs", []) for point in roof["points"]]
    return [*(each[axis] for each in chart.rows), *corners]


def _decades(values: list[float]) -> dict[str, float]:
    """Return the ends of a logarithmic axis: spreadsheets begin at 1 and leave most of the picture empty."""
    known = [value for value in values if value > 0]
    if not known:
        return {}
    low = 10.0 ** math.floor(math.log10(min(known)))
    return {"min": low, "max": 10.0 ** math.ceil(math.log10(max(known))), "crossing": low}


def _linked(chart: Chart, placed: PlacedTable, key: str) -> list[Spot] | None:
    """Return the cell behind each of a chart's rows, where a column of its table holds those numbers in that order."""
    wanted = [each[key] for each in chart.rows]
    for column in range(len(chart.table.columns)):
        found = [
            (row, cell.value) for row, line in enumerate(chart.table.rows)
            if isinstance(cell := line[column], Cell) and cell.value is not None
        ]  # fmt: skip
        if [value for _, value in found] == wanted:
            return [placed.spot(row, column) for row, _ in found]
    return None


def plain(value: str) -> str:
    """Return a name that no spreadsheet takes for a formula or a reference."""
    return text(f" {value}" if value.startswith("=") else value)[:250]
