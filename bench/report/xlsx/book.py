"""Writes a report as a workbook: a front page, the assumptions, a sheet for each section, and its charts.

What may be edited is yellow, on the sheet "Assumptions"; costs are formulas over it, with the values they have now, so
that a viewer that does not calculate shows them too. Text is always written as text: a name that starts with "=" is no
formula. Every number has its source in the column beside it.
"""

from __future__ import annotations

import datetime
import io
import math
from collections import Counter
from typing import Any

from bench.report.document import Cell, Report, Section
from bench.report.xlsx import live
from bench.report.xlsx.charts import ChartData
from bench.report.xlsx.front import FRONT, front
from bench.report.xlsx.pen import Pen
from bench.report.xlsx.place import PlacedTable, Places, Spot, letters, place, text

ASSUMPTIONS, CHART_DATA = "Assumptions", "Chart data"
ASSUMED = ("assumption", "value", "unit", "low", "high", "date", "source", "where to change it", "example")
FIRST_ASSUMPTION = 4
WIDEST = 46
# Columns that repeat; a heading is wrapped in the width that its numbers need.
BESIDE_WIDTHS = {"source": 19, "note": 30}
# Frozen rows must leave room for those that scroll.
HIGHEST_HEAD = 8


def workbook(report: Report) -> bytes:
    """Return the report as an .xlsx file."""
    import xlsxwriter

    out = io.BytesIO()
    # Nothing that looks like a formula, a link or a number becomes one.
    plain = {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False, "in_memory": True}
    book = xlsxwriter.Workbook(out, plain)
    Writer(book, report).write()
    book.close()
    return out.getvalue()


class Writer:
    """One workbook while it is written."""

    def __init__(self, book: Any, report: Report) -> None:
        self.pen, self.report = Pen(book), report
        taken = {FRONT.lower(), ASSUMPTIONS.lower(), CHART_DATA.lower()}
        known = {
            each.id: Spot(ASSUMPTIONS, FIRST_ASSUMPTION + index, 1) for index, each in enumerate(report.assumptions)
        }
        self.places: Places = place(report, taken, known)
        self.data: ChartData | None = None

    def write(self) -> None:
        """Write every sheet."""
        self._properties()
        front(self.pen, self.report, self.places)
        if self.report.assumptions:
            self._assumptions()
        sheets = {name: self.pen.sheet(name) for name in self._sheet_names()}
        if any(section.charts for section in self.report.sections):
            self.data = ChartData(self.pen.book, self.pen.sheet(CHART_DATA))
        for section in self.report.sections:
            self._section(section, sheets)

    def _properties(self) -> None:
        given = {"title": text(self.report.title), "comments": text(f"accelbench {self.report.bench_version}")}
        try:
            created = datetime.datetime.fromisoformat(self.report.created).replace(tzinfo=None)
        except ValueError:
            self.pen.book.set_properties(given)
        else:
            # The same report gives the same file.
            self.pen.book.set_properties(given | {"created": created})

    def _assumptions(self) -> None:
        sheet = self.pen.sheet(ASSUMPTIONS)
        sheet.write_string(0, 0, "Assumptions", self.pen.format("title", bold=True, font_size=16))
        sheet.write_string(
            1, 0, "Yellow cells may be changed; every cost of this workbook follows, and its charts. Sentences do not."
        )
        if self.report.example_prices:
            words = "EXAMPLE: indications with their date and source, no offers to anybody. Put in your own."
            sheet.write_string(2, 0, words, self.pen.format("bold", bold=True))
        self.pen.row(sheet, FIRST_ASSUMPTION - 1, list(ASSUMED), self.pen.format("bold", bold=True))
        edit = self.pen.format("edit", bg_color="#FFF2CC", border=1)
        for row, each in enumerate(self.report.assumptions, FIRST_ASSUMPTION):
            where = " ".join(part for part in (each.file, each.key) if part)
            self.pen.row(sheet, row, [
                each.label, None, each.unit, each.low, each.high, each.date, each.source, where,
                "example" if each.example else "",
            ])  # fmt: skip
            sheet.write_number(row, 1, each.value, edit)
        sheet.freeze_panes(FIRST_ASSUMPTION, 1)
        for column, width in enumerate((44, 14, 12, 10, 10, 12, 60, 44, 10)):
            sheet.set_column(column, column, width)

    def _sheet_names(self) -> list[str]:
        """Each section's sheet, and after it those of its long tables."""
        names: list[str] = []
        for section in self.report.sections:
            own = [self.places.sheets[section.id]]
            names += dict.fromkeys([*own, *(each.sheet for each in self.places.tables.get(section.id, []))])
        return names

    def _section(self, section: Section, sheets: dict[str, Any]) -> None:
        sheet = sheets[self.places.sheets[section.id]]
        sheet.write_string(0, 0, text(section.title), self.pen.format("title", bold=True, font_size=16))
        for row, line in enumerate([*section.text, *section.notes], 1):
            sheet.write_string(row, 0, text(line))
        placed = self.places.tables.get(section.id, [])
        for name in dict.fromkeys([self.places.sheets[section.id], *(each.sheet for each in placed)]):
            self._tables([each for each in placed if each.sheet == name], sheets[name])
        if self.data is not None:
            row = 1 + len(section.text) + len(section.notes)
            pairs = [pair for pair in zip(section.charts, placed, strict=False) if pair[0].rows]
            for number, (chart, its) in enumerate(pairs):
                self.data.draw(chart, its, sheet, row, number)

    def _tables(self, tables: list[PlacedTable], sheet: Any) -> None:
        """Write the tables of one sheet; the heading of one that is alone stays in sight."""
        widths: Counter[int] = Counter()
        for each in tables:
            self._table(each, sheet, widths)
        for column, width in widths.items():
            sheet.set_column(column, column, min(WIDEST, max(8, width + 1)))
        if len(tables) == 1 and tables[0].first_row < HIGHEST_HEAD:
            (only,) = tables
            sheet.freeze_panes(only.first_row, 1)
            if only.table.rows:
                last = only.heads[-1].first + only.heads[-1].width - 1
                sheet.autofilter(only.first_row - 1, 0, only.first_row - 1 + len(only.table.rows), last)
        sheet.set_landscape()
        sheet.fit_to_pages(1, 0)

    def _table(self, placed: PlacedTable, sheet: Any, widths: Counter[int]) -> None:
        table = placed.table
        sheet.write_string(placed.title_row, 0, text(table.title), self.pen.format("table", bold=True, font_size=12))
        head_row = placed.title_row + 1
        # Two lines: not every program makes room for wrapped text by itself.
        sheet.set_row(head_row, 30)
        for index, (column, head) in enumerate(zip(table.columns, placed.heads, strict=True)):
            units = {cell.unit for row in table.rows if isinstance(cell := row[index], Cell) and cell.unit}
            unit = f" [{next(iter(units))}]" if len(units) == 1 and not units & {"1", "share"} else ""
            names = [column.name + unit, *(f"{each} of it" for each in head.beside)]
            names[1:] = ["source" if name == "source of it" else name for name in names[1:]]
            names += ["note"] if head.notes else []
            for offset, name in enumerate(names):
                sheet.write_string(head_row, head.first + offset, text(name), self.pen.head())
                widths[head.first + offset] = max(widths[head.first + offset], BESIDE_WIDTHS.get(name, 11))
        for number, row in enumerate(table.rows, placed.first_row):
            before: str | Cell = ""
            for cell, head in zip(row, placed.heads, strict=True):
                told, before = before, cell
                if isinstance(cell, Cell):
                    self._cell(sheet, number, head.first, cell, head.beside, head.notes)
                    continue
                # Words beside a ratio are its verdict.
                if isinstance(told, Cell) and told.unit == "x" and told.id and told.value is not None:
                    words = live.words(self.places.names[told.id].reference, told.value, text(cell))
                    sheet.write_formula(number, head.first, words, None, text(cell))
                    continue
                sheet.write_string(number, head.first, text(cell))
                widths[head.first] = max(widths[head.first], min(len(cell), WIDEST))
        for number, note in enumerate(table.notes, placed.first_row + len(table.rows)):
            sheet.write_string(number, 0, text(note), self.pen.format("note", italic=True))

    def _cell(self, sheet: Any, row: int, column: int, cell: Cell, beside: tuple[str, ...], noted: bool) -> None:
        known = cell.value is not None and math.isfinite(cell.value)
        source = ", ".join(filter(None, (cell.source, cell.doubt))) if known else "missing"
        if known and cell.value is not None:
            look = self.pen.look(cell)
            if cell.formula is not None:
                sheet.write_formula(row, column, self.places.formula(cell.formula), look, cell.value)
            else:
                sheet.write_number(row, column, cell.value, look)
        low, high = cell.interval or (None, None)
        told: dict[str, Any] = {"low": low, "high": high, "source": source}
        aside = self.pen.format("beside", indent=1)
        for offset, name in enumerate(beside, 1):
            if name != "source" and told[name] is not None and cell.formula is not None and cell.value is not None:
                here = f"{letters(column)}{row + 1}"
                kept = live.while_unedited(here, cell.value, told[name])
                formula = kept if cell.ends is None else live.end(self.places, cell.ends[offset - 1])
                sheet.write_formula(row, column + offset, formula, self.pen.look(cell), told[name])
            else:
                self.pen.value(
                    sheet, row, column + offset, told[name], self.pen.look(cell) if name != "source" else aside
                )
        if noted and cell.note:
            sheet.write_string(row, column + 1 + len(beside), text(cell.note), aside)
