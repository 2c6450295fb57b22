"""Where everything of a report stands in a workbook, worked out before any of it is written.

A formula names assumptions and cells that may stand on other sheets, further down or not yet written; so each gets its
place first, and the names in a formula become references.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from bench.errors import ResultError
from bench.report.document import Cell, Report, Section, Table
from bench.results.formula import NAME

LONGEST_SHEET = 31
# Longer text is refused by the format.
LONGEST_TEXT = 32_000
_NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
# Rows that the pictures of a section take above its tables.
PICTURES = 21
# Longer tables have a sheet of their own, where their heading stays in sight.
LONG = 40
# What lies beyond the 16-bit plane counts twice there.
_NOT_IN_SHEET = re.compile(r"[\[\]:*?/\\\x00-\x1f'\U00010000-\U0010ffff]")
# A number takes its own column and, beside it, those that say how sure it is.
BESIDE = ("low", "high", "source")


@dataclass(frozen=True)
class Spot:
    """A cell of the workbook; row and column count from 0."""

    sheet: str
    row: int
    column: int

    @property
    def reference(self) -> str:
        return f"'{self.sheet}'!${letters(self.column)}${self.row + 1}"


@dataclass(frozen=True)
class Head:
    """The columns that one column of a table takes: itself, and those beside it."""

    first: int
    beside: tuple[str, ...]
    notes: bool

    @property
    def width(self) -> int:
        return 1 + len(self.beside) + self.notes


@dataclass(frozen=True)
class PlacedTable:
    """A table with the row of its title, and its columns; headings follow, then its rows."""

    table: Table
    sheet: str
    title_row: int
    heads: list[Head]

    @property
    def first_row(self) -> int:
        return self.title_row + 2

    def spot(self, row: int, column: int) -> Spot:
        return Spot(self.sheet, self.first_row + row, self.heads[column].first)


@dataclass
class Places:
    """Every section's sheet and tables, and what each name of a formula refers to."""

    sheets: dict[str, str] = field(default_factory=dict)
    tables: dict[str, list[PlacedTable]] = field(default_factory=dict)
    names: dict[str, Spot] = field(default_factory=dict)

    def formula(self, text: str) -> str:
        """Return a document's formula as the workbook's.

        Raises: ResultError for a name that is neither an assumption nor a cell.
        """

        def reference(match: re.Match[str]) -> str:
            if match[0] not in self.names:
                raise ResultError(f"report: formula '{text}' names '{match[0]}', which is no assumption and no cell")
            return self.names[match[0]].reference

        # An exponent (1e-05) is no name.
        return "=" + re.sub(rf"(?<![0-9.a-z_]){NAME.pattern}", reference, text)


def text(value: str) -> str:
    """Return text that the format can hold: no control characters, no halves of a character, not too long."""
    plain = _NOT_IN_XML.sub("\ufffd", value)
    return plain if len(plain) <= LONGEST_TEXT else plain[:LONGEST_TEXT] + " (cut)"


def letters(column: int) -> str:
    """Return a column as a spreadsheet writes it: 0 is A, 26 is AA."""
    text = ""
    column += 1
    while column:
        column, rest = divmod(column - 1, 26)
        text = chr(ord("A") + rest) + text
    return text


def sheet_name(title: str, taken: set[str]) -> str:
    """Return a title as a sheet may be named: short, without brackets or slashes, once in the workbook."""
    plain = " ".join(_NOT_IN_SHEET.sub(" ", text(title)).split()) or "sheet"
    number, name = 1, plain[:LONGEST_SHEET].strip()
    while name.lower() in taken or name.lower() == "history":  # a name that spreadsheets keep for themselves
        number += 1
        tail = f" {number}"
        name = plain[: LONGEST_SHEET - len(tail)].strip() + tail
    taken.add(name.lower())
    return name


def place(report: Report, taken: set[str], assumptions: dict[str, Spot]) -> Places:
    """Return where every table of a report stands: a sheet a section, its tables below its pictures."""
    places = Places(names=dict(assumptions))
    for section in report.sections:
        tables = [*(chart.table for chart in section.charts), *section.tables]
        name = sheet_name(section.title.partition(":")[0], taken)
        places.sheets[section.id] = name
        row = _head_rows(section)
        for table in tables:
            if len(table.rows) > LONG:
                placed = PlacedTable(table, sheet_name(table.title, taken), 0, _heads(table))
            else:
                placed = PlacedTable(table, name, row, _heads(table))
                row = placed.first_row + len(table.rows) + len(table.notes) + 2
            places.tables.setdefault(section.id, []).append(placed)
            _remember(placed, places)
    return places


def _head_rows(section: Section) -> int:
    """Rows of the title, the section's text and its pictures above its tables, and an empty one."""
    return 2 + len(section.text) + len(section.notes) + (PICTURES if section.charts else 0)


def _heads(table: Table) -> list[Head]:
    heads: list[Head] = []
    first = 0
    for index, column in enumerate(table.columns):
        found = [cell for row in table.rows if isinstance(cell := row[index], Cell)]
        beside: tuple[str, ...] = ()
        if column.number or found:
            beside = BESIDE if any(cell.interval is not None for cell in found) else ("source",)
        head = Head(first, beside, bool(beside) and any(cell.note for cell in found))
        heads.append(head)
        first += head.width
    return heads


def _remember(placed: PlacedTable, places: Places) -> None:
    for number, row in enumerate(placed.table.rows):
        for column, cell in enumerate(row):
            if isinstance(cell, Cell) and cell.id is not None and cell.value is not None:
                places.names[cell.id] = placed.spot(number, column)
