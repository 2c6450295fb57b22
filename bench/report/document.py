"""The document of a report: everything it says, built once; every form (HTML, markdown, CSV, JSON, XLSX) is made of it.

A report is a front page (verdicts, systems, what was not run) and sections. A section is text, charts and tables, in
the order they are read. Whoever adds to a report returns a `Section`, and the verdicts that belong on the front page;
no form needs to know what a section is about.

A number is a `Cell`: value in base units (seconds, bytes, tokens per second, watts; money in the unit's currency),
unit, where it comes from, its interval, and a note. A missing number is a cell without a value whose note says why.
`cells.text(cell)` writes one for people, in one place for all forms.

What can be edited is an `Assumption` with an id. A cell that follows from assumptions has a `formula`: an expression of
numbers, + - * / ( ) and the ids of assumptions and of other cells, for example "price_h100 / (life_h * used)". The
page recomputes it where there is JavaScript, the workbook makes a live formula of it, and the value beside it is what
the formula gives for the values as they stand. `ends` are formulas of its interval's ends, below 0 shown as 0; an
interval without them holds for the value as built alone. An id is lower case letters, digits and "_", and starts with
a letter.
"""

from __future__ import annotations

from typing import Any

import msgspec

from bench.results.answer import Answer
from bench.results.verdict import Verdict

# 1 (2026-11): first form.
DOCUMENT_VERSION = 1

Interval = tuple[float, float]


class Cell(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One number with its provenance.

    unit: "s", "tok/s", "FLOP/s", "B/s", "B", "W", "J/token", "share" (shown as %), "x" (a ratio), "1" (a count),
        "USD", "USD/h", "USD/Mtok" and so on for other currencies.
    doubt: why nothing may be concluded from it, a word of bench.results.doubt; "" for a number like any other.
    source: one of bench.results.verdict.SOURCES; a derived number has the least sure of its inputs (`worst`).
    cite: number of a citation in `Report.citations`, counted from 1.
    """

    value: float | None
    unit: str
    source: str = "missing"
    interval: Interval | None = None
    doubt: str = ""
    note: str = ""
    cite: int | None = None
    id: str | None = None
    formula: str | None = None
    ends: tuple[str, str] | None = None


class Column(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A column of a table: its heading; `number` columns hold cells, the others text. `note` explains the heading."""

    name: str
    number: bool = False
    note: str = ""


class Table(msgspec.Struct, kw_only=True):
    """Rows of text and cells. `id` is unique in the report and names CSV parts and sheets of a workbook.

    aside: what a first reader does not need; the page folds it up.
    """

    id: str
    title: str
    columns: list[Column]
    rows: list[list[str | Cell]] = []
    notes: list[str] = []
    aside: bool = False


class Chart(msgspec.Struct, kw_only=True):
    """A picture of plain rows: `kind` says which drawing of bench/report/charts it is, `options` what it needs beside.

    rows: what is drawn; each has "series" (a label of `Report.systems`, or what is set side by side) and "source".
    marks: how many data marks a drawing must have, which tests count in the browser.
    alt: what a reader who cannot see it must know. table: the same numbers as a table, shown under it.
    """

    id: str
    title: str
    kind: str
    alt: str
    rows: list[dict[str, Any]]
    marks: int
    table: Table
    caption: str = ""
    options: dict[str, Any] = {}


class Section(msgspec.Struct, kw_only=True):
    """A part of the page: what it answers, text, charts, tables, notes. `id` is its anchor in the page.

    follows: for a line of the text that follows from assumptions, what the page's script writes it again from, as JSON.
    """

    id: str
    title: str
    text: list[str] = []
    follows: dict[int, str] = {}
    charts: list[Chart] = []
    tables: list[Table] = []
    notes: list[str] = []


class System(msgspec.Struct, kw_only=True):
    """One side: what it is and where its numbers come from; facts are read by people, name -> value."""

    label: str
    device: str
    name: str
    unit: str
    sources: list[str]
    facts: dict[str, str] = {}

    def told(self, fact: str) -> str:
        """Return a fact of the system; another one may be the only one of which it is published or recorded."""
        return self.facts.get(fact, "not known")


class NotRun(msgspec.Struct, kw_only=True):
    """Work that one side has no number for, with the reason, and how many cases that is."""

    system: str
    reason: str
    cases: list[str]


class Assumption(msgspec.Struct, kw_only=True):
    """A number that a reader may replace; `file` and `key` say where it is changed for good.

    low, high: the range the source gives, where it gives one. least, above, most: what may stand in its place; above:
    `least` itself may not. example: shipped as an example, no offer to anybody.
    """

    id: str
    label: str
    value: float
    unit: str
    source: str
    date: str = ""
    low: float | None = None
    high: float | None = None
    least: float = 0.0
    above: bool = False
    most: float | None = None
    example: bool = False
    file: str = ""
    key: str = ""


class Term(msgspec.Struct, kw_only=True):
    """An entry of the glossary."""

    name: str
    definition: str
    formula: str = ""
    unit: str = ""
    source: str = ""


class Report(msgspec.Struct, kw_only=True):
    """The whole report."""

    version: int = DOCUMENT_VERSION
    id: str
    title: str
    question: str
    created: str
    bench_version: str
    commit: str | None = None
    command: str
    systems: list[System]
    answers: list[Answer] = []
    verdicts: list[Verdict] = []
    # Which pairs are not read against each other, and how to get them.
    other_pairs: str = ""
    # How often a source stands behind a number of this report, "missing" included.
    counts: dict[str, int] = {}
    differences: list[list[str]] = []
    not_run: list[NotRun] = []
    sections: list[Section] = []
    assumptions: list[Assumption] = []
    rules: list[str] = []
    repeat: list[str] = []
    limits: list[str] = []
    citations: list[str] = []
    glossary: list[Term] = []

    @property
    def example_prices(self) -> bool:
        """Whether its prices are examples; how many packages a node holds is one too, and stands in no prices file."""
        return any(each.example and each.file for each in self.assumptions)


def every_table(report: Report) -> list[tuple[Section, Table]]:
    """Return the tables of a report in reading order, those under charts included, each with its section."""
    return [
        (section, table)
        for section in report.sections
        for table in [*(chart.table for chart in section.charts), *section.tables]
    ]


def every_cell(report: Report) -> list[Cell]:
    """Return the cells of all tables."""
    return [cell for _, table in every_table(report) for row in table.rows for cell in row if isinstance(cell, Cell)]
