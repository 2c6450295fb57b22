"""What writes into the sheets of a workbook: values as what they are, and the looks they have."""

from __future__ import annotations

import math
from typing import Any

from bench.report.document import Cell
from bench.report.xlsx.place import text


class Pen:
    """One workbook's sheets and cell formats while it is written."""

    def __init__(self, book: Any) -> None:
        self.book = book
        self.formats: dict[str, Any] = {}

    def sheet(self, name: str) -> Any:
        """Return a new sheet."""
        return self.book.add_worksheet(name)

    def format(self, name: str, **look: Any) -> Any:
        """Return a cell format, made once."""
        if name not in self.formats:
            self.formats[name] = self.book.add_format(look)
        return self.formats[name]

    def head(self) -> Any:
        """Return the format of a heading."""
        return self.format("head", bold=True, text_wrap=True, valign="top", bottom=1, bg_color="#F4F6F8")

    def number(self, value: float | None) -> Any:
        """Return the format of a number that stands for itself."""
        form = number_format(value or 0.0, "1")
        return self.format(f"plain {form}", num_format=form)

    def look(self, cell: Cell) -> Any:
        """Return a number's format: as large as it is, and in italics where it was not measured."""
        value = cell.value if cell.value is not None and math.isfinite(cell.value) else 0.0
        form = number_format(value, cell.unit)
        italic = cell.source != "measured" or cell.doubt != ""
        return self.format(f"{form} {italic}", num_format=form, italic=italic)

    def row(self, sheet: Any, row: int, values: list[Any], look: Any = None) -> None:
        """Write values beside each other: text as text, numbers as numbers."""
        for column, value in enumerate(values):
            self.value(sheet, row, column, value, look)

    def value(self, sheet: Any, row: int, column: int, value: Any, look: Any = None) -> None:
        """Write text as text, a number as a number, and of a missing one nothing."""
        if isinstance(value, str):
            sheet.write_string(row, column, text(value), look)
        elif value is not None and math.isfinite(value):
            sheet.write_number(row, column, value, look or self.number(value))


def number_format(value: float, unit: str) -> str:
    """Return how a spreadsheet shows a number; the number itself is stored whole."""
    if unit == "share":
        return "0.0%"
    size = abs(value)
    if size >= 1e9 or 0 < size < 1e-3:
        return "0.00E+00"
    return "#,##0" if size >= 1000 or (unit == "1" and value == int(value)) else "0.00" if size >= 1 else "0.0000"
