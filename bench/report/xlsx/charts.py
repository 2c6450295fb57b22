"""Native charts of a workbook: their numbers stand on a sheet of their own, and follow the tables' where they can."""

from __future__ import annotations

from typing import Any

from bench.report.document import Cell, Chart
from bench.report.xlsx.place import PlacedTable, Spot, text

ROWS_A_CHART = 22
SIZE = {"width": 760, "height": 420}
# A chart's field that holds what a bar shows.
BARS = {"dots": ("row", "series", "value"), "bars": ("part", "series", "value"), "stack": ("series", "part", "value"),
        "forest": ("row", "series", "ratio")}  # fmt: skip


class ChartData:
    """The sheet that holds the numbers of all charts."""

    def __init__(self, book: Any, sheet: Any) -> None:
        self.book, self.sheet = book, sheet
        self.row = 0

    def draw(self, chart: Chart, placed: PlacedTable, target: Any, row: int, column: int) -> int:
        """Put a chart on a sheet at a row and column; return the row below it."""
        if not chart.rows:
            return row
        drawn = self._bars(chart, placed) if chart.kind in BARS else self._points(chart, placed)
        drawn.set_title({"name": plain(chart.title), "name_font": {"size": 12}})
        drawn.set_size(SIZE)
        drawn.set_legend({"position": "bottom"})
        target.insert_chart(row, column, drawn, {"description": plain(chart.alt)})
        return row + ROWS_A_CHART

    def _points(self, chart: Chart, placed: PlacedTable) -> Any:
        """Points joined by straight lines, one series each; ceilings of a roofline beside them."""
        drawn = self.book.add_chart({"type": "scatter", "subtype": "straight_with_markers"})
        links = {key: _linked(chart, placed, key) for key in ("x", "y")}
        numbered = list(enumerate(chart.rows))
        for name in dict.fromkeys(str(each["series"]) for each in chart.rows):
            mine = [(index, each) for index, each in numbered if str(each["series"]) == name]
            points = [(self._value(each["x"], links["x"], index), self._value(each["y"], links["y"], index))
                      for index, each in mine]  # fmt: skip
            line = {} if chart.kind == "curve" else {"line": {"none": True}}
            hollow = {"fill": {"none": True}} if any(each["source"] != "measured" for _, each in mine) else {}
            marker = {"type": "automatic", "size": 6, **hollow}
            drawn.add_series({"name": plain(name), **self._pairs(name, points), "marker": marker, **line})
        for roof in chart.options.get("roofs", []):
            pairs = self._pairs(roof["text"], [tuple(point) for point in roof["points"]])
            drawn.add_series(
                {"name": plain(roof["text"]), **pairs, "marker": {"type": "none"}, "line": {"width": 1.25}}
            )
        logarithmic = chart.kind == "roofline"
        for axis, set_axis in (("x", drawn.set_x_axis), ("y", drawn.set_y_axis)):
            options: dict[str, Any] = {"name": plain(chart.options.get(f"{axis}_title", "")), "num_format": "General"}
            if logarithmic or chart.options.get(f"{axis}_log"):
                options["log_base"] = 10
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
                "values": self._range(top + 1, len(categories), column),
            })  # fmt: skip
        self.row = top + len(categories) + 2
        # Of bars, x is the axis of the categories: the first at the top, as the page has it.
        names_axis: dict[str, Any] = {"reverse": True, "crossing": "max"}
        values_axis: dict[str, Any] = {"name": plain(chart.options.get("x_title", "")), "num_format": "General"}
        if chart.kind == "forest":
            names_axis["label_position"] = "low"
            values_axis |= {"log_base": 2, "crossing": 1}
        if chart.options.get("percent"):
            values_axis["num_format"] = "0%"
        drawn.set_x_axis(names_axis)
        drawn.set_y_axis(values_axis)
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
