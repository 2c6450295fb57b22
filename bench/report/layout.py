"""A table before it is printed: headings, cells as text, notes. One layout, several forms."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, field

LONGEST_NAME = 18


@dataclass(frozen=True)
class Column:
    """A heading; numbers stand right; `keep` decides what goes first on a narrow terminal (low goes first).

    wrap: long words may go on below, where the window is narrow (never for numbers). long: so may the name, which
    is no name of ours (a system's, say).
    """

    name: str
    right: bool = False
    keep: int = 9
    wrap: bool = False
    long: bool = False

    @property
    def heading(self) -> list[str]:
        """The name as it stands above its column, in one line or in several."""
        return textwrap.wrap(self.name, LONGEST_NAME, break_long_words=False) if self.long else [self.name]


@dataclass
class Table:
    """Headings, rows of text, and notes below."""

    columns: list[Column]
    rows: list[list[str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    title: str | None = None

    def one_line_each(self) -> Table:
        """Return the table with every cell and note on one line: a stray line break or cursor code breaks a row."""
        rows = [[plain(cell) for cell in row] for row in self.rows]
        return Table(self.columns, rows, [plain(note) for note in self.notes], self.title)

    def without(self, index: int) -> Table:
        """Return the table without one column."""
        columns = self.columns[:index] + self.columns[index + 1 :]
        return Table(columns, [row[:index] + row[index + 1 :] for row in self.rows], self.notes, self.title)

    def without_empty(self) -> Table:
        """Return the table without columns in which no row has anything to say."""
        table = self
        for index in reversed(range(len(self.columns))):
            if table.rows and all(row[index] in ("", "-") for row in table.rows) and table.columns[index].keep < 9:
                table = table.without(index)
        return table


def plain(text: str) -> str:
    """Return a text on one line, without control codes: what does not print becomes a space."""
    return text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text)
