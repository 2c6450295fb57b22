"""A report as text: markdown to read, CSV to work with, JSON as it is."""

from __future__ import annotations

import csv
import io

import msgspec

from bench.report import cells
from bench.report.document import Cell, Column, Report, Table, every_table
from bench.report.layout import Column as TextColumn
from bench.report.layout import Table as TextTable
from bench.report.parts.glance import sentence, shortened
from bench.report.rows import FORMULA_STARTS
from bench.report.terminal import markdown as table_markdown
from bench.results.verdict import AXES, summary
from bench.units import counted

CSV_COLUMNS = (
    "section", "table", "row", "column", "text", "value", "unit", "source", "low", "high", "note", "citation", "doubt",
)  # fmt: skip
# Cases listed under a reason; as many as on the page.
MOST_NOT_RUN = 200
_MARKED = str.maketrans({character: f"\\{character}" for character in "\\`*_[]<>#|"})


def as_json(report: Report) -> str:
    """Return the document itself."""
    return msgspec.json.format(msgspec.json.encode(report), indent=2).decode() + "\n"


def as_csv(report: Report) -> str:
    """Return every cell of every table as a line: numbers as numbers in base units, each with its provenance."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for section, table in every_table(report):
        for number, row in enumerate(table.rows, 1):
            for column, cell in zip(table.columns, row, strict=True):
                where = [section.id, table.id, number, column.name]
                writer.writerow([*map(guarded, where), *_csv_cell(cell, report)])
    return out.getvalue()


def _csv_cell(cell: str | Cell, report: Report) -> list[object]:
    if isinstance(cell, str):
        return [guarded(cell), "", "", "", "", "", "", "", ""]
    low, high = cell.interval or (None, None)
    cited = "" if cell.cite is None else report.citations[cell.cite - 1]
    source = "missing" if cell.value is None else cell.source
    return ["", cell.value, cell.unit, source, low, high, guarded(cell.note), guarded(cited), cell.doubt]


def guarded(value: object) -> object:
    """Return text that no spreadsheet runs as a formula, and that stays on its line."""
    if not isinstance(value, str):
        return value
    return ("'" if value.startswith(FORMULA_STARTS) else "") + value.replace("\r", " ")


def as_markdown(report: Report) -> str:
    """Return the report without its pictures: each chart's numbers are a table."""
    lines = [f"# {escaped(report.title)}", "", escaped(report.question), ""]
    commit = f", commit {report.commit}" if report.commit else ""
    lines += [f"{report.created}, accelbench {report.bench_version}{commit}, report {report.id}", ""]
    lines += _answers(report)
    lines += ["## Verdicts", ""]
    names = shortened(report.verdicts)
    for a, b in dict.fromkeys((verdict.a, verdict.b) for verdict in report.verdicts):
        mine = [verdict for verdict in report.verdicts if (verdict.a, verdict.b) == (a, b)]
        lines += [f"### {escaped(a)} against {escaped(b)}", ""]
        for axis in AXES:
            lines.append(f"- **{axis}: {escaped(summary(axis, mine))}**")
            known = [verdict for verdict in mine if verdict.axis == axis and verdict.metric and verdict.counted]
            lines += [f"  - {escaped(sentence(verdict, names))}" for verdict in known]
        lines.append("")
    if not report.verdicts:
        lines += ["One system: there is nothing to compare it with.", ""]
    counted = ", ".join(f"{source} {count}" for source, count in report.counts.items())
    lines += [f"Numbers in the tables: {counted}.", ""]
    lines += [*(f"- {escaped(words)}" for source, words in cells.LEGEND.items() if source in report.counts), ""]
    for section in report.sections:
        lines += [f"## {escaped(section.title)}", "", *(escaped(text) + "\n" for text in section.text)]
        for table in [*(chart.table for chart in section.charts), *section.tables]:
            lines += [table_markdown(as_text(table)), ""]
        lines += [*(f"- {escaped(note)}" for note in section.notes), ""]
    lines += _back_matter(report)
    return "\n".join(lines)


def _answers(report: Report) -> list[str]:
    """The answers, above everything else; below the names of the two systems where there are several pairs."""
    lines: list[str] = []
    several = len(dict.fromkeys((each.a, each.b) for each in report.answers)) > 1
    for each in report.answers:
        head = f"{escaped(each.a)} against {escaped(each.b)}, " if several else ""
        lines.append(f"- {head}**{escaped(each.of)}**: {escaped(each.text.removeprefix(f'{each.of}: '))}")
    if any(each.price for each in report.answers) and report.example_prices:
        lines += ["", "Prices are examples, no offers to anybody."]
    if report.other_pairs:
        lines += ["", f"{escaped(report.other_pairs)}."]
    return [*lines, ""] if lines else []


def _back_matter(report: Report) -> list[str]:
    columns = [Column(name=""), *(Column(name=system.label) for system in report.systems)]
    facts = dict.fromkeys(name for system in report.systems for name in system.facts)
    rows: list[list[str | Cell]] = [["device", *(system.name for system in report.systems)]]
    rows += [[fact, *(system.told(fact) for system in report.systems)] for fact in facts]
    lines = ["## Systems", "", table_markdown(as_text(Table(id="systems", title="", columns=columns, rows=rows))), ""]
    if report.differences:
        lines += ["Not the same on all sides:", ""]
        lines += [f"- {escaped(line[0])}: {escaped(' | '.join(line[1:]))}" for line in report.differences] + [""]
    lines += ["## Not run, or without a number", ""]
    for each in report.not_run:
        lines.append(f"- {escaped(each.system)}, {counted(len(each.cases), 'case')}: {escaped(each.reason)}")
        lines += [f"  - {escaped(case)}" for case in each.cases[:MOST_NOT_RUN]]
        more = len(each.cases) - MOST_NOT_RUN
        lines += [f"  - and {more:,} more, in the JSON"] if more > 0 else []
    lines += [""] if report.not_run else ["Everything that was asked for has a number.", ""]
    if report.assumptions:
        lines += ["## Assumptions", ""]
        lines += [
            f"- {escaped(each.label)}: {each.value:,.10g} {each.unit} ({escaped(each.source)} {each.date})"
            for each in report.assumptions
        ] + [""]
    for title, texts in (("How the numbers were made", report.rules), ("What this report does not say", report.limits)):
        lines += [f"## {title}", "", *(f"- {escaped(text)}" for text in texts), ""]
    lines += ["## Repeat it", "", *(f"    {' '.join(command.split())}" for command in report.repeat), ""]
    if report.citations:
        lines += ["## Cited", "", *(f"{n}. {escaped(text)}" for n, text in enumerate(report.citations, 1)), ""]
    return lines


def escaped(text: str) -> str:
    """Return text that markdown shows as it is, on one line."""
    return " ".join(text.split()).translate(_MARKED)


def as_text(table: Table) -> TextTable:
    """Return a table with its cells as people read them; notes of cells stand below."""
    notes = dict.fromkeys(cell.note for row in table.rows for cell in row if isinstance(cell, Cell) and cell.note)
    units = [cells.shared_unit(table, index) for index in range(len(table.columns))]
    columns = [
        TextColumn(column.name + (f", {unit}" if unit else ""), right=column.number)
        for column, unit in zip(table.columns, units, strict=True)
    ]
    rows = [[_shown(cell, unit) for cell, unit in zip(row, units, strict=True)] for row in table.rows]
    return TextTable(columns, rows, [*notes, *table.notes], table.title or None)


def _shown(cell: str | Cell, unit: str) -> str:
    if isinstance(cell, str) or cell.value is None:
        return cell if isinstance(cell, str) else cells.text(cell)
    spread = f" ({cells.interval_text(cell.interval, '' if unit else cell.unit)})" if cell.interval else ""
    return cells.text(cell, bare=unit != "") + spread + (f" [{cell.cite}]" if cell.cite else "")
