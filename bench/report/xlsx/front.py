"""The front page of a workbook: the verdicts, the systems, what was not run, and the rules."""

from __future__ import annotations

from typing import Any

from bench.report import cells
from bench.report.document import Report
from bench.report.parts.glance import ratio_id
from bench.report.xlsx import live
from bench.report.xlsx.pen import Pen
from bench.report.xlsx.place import Places, text
from bench.results.answer import answer, questions
from bench.results.verdict import Verdict
from bench.units import counted

FRONT = "Report"
VERDICTS = (
    "axis", "metric", "at", "A", "B", "A value", "B value", "unit", "A over B", "low", "high", "reading", "source",
    "per", "why", "price that makes both equal", "of what",
)  # fmt: skip
WIDTHS = (18, 46, 60, 16, 16, 11, 11, 9, 9, 9, 9, 40, 20, 10, 40, 13, 30)


def front(pen: Pen, report: Report, places: Places) -> None:
    """Write the front page; what follows from assumptions refers to the cells where it follows."""
    sheet = pen.sheet(FRONT)
    sheet.set_landscape()
    bold, title = pen.format("bold", bold=True), pen.format("title", bold=True, font_size=16)
    head = pen.head()
    row = 0
    sheet.write_string(row, 0, text(report.title), title)
    row = _answers(pen, report, places, sheet, row)
    facts = [
        report.question,
        f"{report.created}, accelbench {report.bench_version}, report {report.id}",
        report.command,
        *([report.other_pairs] if report.other_pairs else []),
    ]
    facts += [words for source, words in cells.LEGEND.items() if source in report.counts]
    for fact in facts:
        row += 1
        sheet.write_string(row, 0, text(fact))
    row += 2
    sheet.set_row(row, 30)
    pen.row(sheet, row, list(VERDICTS), head)
    for verdict in report.verdicts:
        row += 1
        low, high = verdict.interval or (None, None)
        pen.row(sheet, row, [
            verdict.axis, verdict.metric, verdict.target, verdict.a, verdict.b, verdict.a_value, verdict.b_value,
            verdict.unit, verdict.ratio, low, high, verdict.reading,
            ", ".join(filter(None, (verdict.source, verdict.doubt))), verdict.per,
            "; ".join(filter(None, (verdict.note, verdict.why))), *_equal(verdict),
        ])  # fmt: skip
        _live(pen, places, sheet, row, verdict)
    row += 2
    facts = list(dict.fromkeys(name for system in report.systems for name in system.facts))
    pen.row(sheet, row, ["system", *(system.label for system in report.systems)], head)
    for name, told in (
        ("device", [system.name for system in report.systems]),
        ("numbers are of one", [system.unit for system in report.systems]),
        ("numbers are", [", ".join(system.sources) for system in report.systems]),
        *((fact, [system.told(fact) for system in report.systems]) for fact in facts),
    ):
        row += 1
        pen.row(sheet, row, [name, *told])
    row += 2
    for heading, lines in (
        ("not run", [f"{each.system}: {each.reason} ({counted(len(each.cases), 'case')})" for each in report.not_run]),
        ("not the same on all sides", [": ".join([line[0], " | ".join(line[1:])]) for line in report.differences]),
        ("run rules", report.rules), ("to repeat", report.repeat), ("limits", report.limits),
        ("citations", [f"[{number}] {each}" for number, each in enumerate(report.citations, 1)]),
    ):  # fmt: skip
        if lines:
            sheet.write_string(row, 0, heading, bold)
            for line in lines:
                row += 1
                sheet.write_string(row, 0, text(line))
            row += 2
    for column, width in enumerate(WIDTHS):
        sheet.set_column(column, column, width)
    sheet.fit_to_pages(1, 0)


def _answers(pen: Pen, report: Report, places: Places, sheet: Any, row: int) -> int:
    """Write the answers below the title, what they say of price in a line of its own; return the last row."""
    bold = pen.format("bold", bold=True)
    for question in questions(report.verdicts):
        told, row = answer(question), row + 1
        sheet.write_string(row, 0, text(f"{told.a} against {told.b}, {told.of}: {told.words}"), bold)
        if not told.price:
            continue
        row, price = row + 1, text(told.price)
        first = question.price[0]
        name, value = (first.equal.id, first.equal.value) if first.equal else (ratio_id(first), first.ratio or 0.0)
        spot = places.names.get(name)
        if spot is None:
            sheet.write_string(row, 0, price)
        else:
            sheet.write_formula(row, 0, live.words(spot.reference, value, price), None, price)
    return row


def _equal(verdict: Verdict) -> list[Any]:
    price = verdict.equal
    return [] if price is None else [price.value, f"{price.unit}, {price.of} {price.way}, a {price.per}"]


def _live(pen: Pen, places: Places, sheet: Any, row: int, verdict: Verdict) -> None:
    """Put references over what a verdict takes from cells that follow from assumptions."""
    names, equal = places.names, verdict.equal
    for column, name, value in (
        ("A value", verdict.a_id, verdict.a_value), ("B value", verdict.b_id, verdict.b_value),
        ("price that makes both equal", equal.id if equal else "", equal.value if equal else None),
    ):  # fmt: skip
        if name in names:
            look = pen.number(value)
            sheet.write_formula(row, VERDICTS.index(column), f"={names[name].reference}", look, value)
    spot = names.get(ratio_id(verdict))
    if spot is None or verdict.ratio is None:
        return
    for offset, value in enumerate((verdict.ratio, *(verdict.interval or ()))):
        where, look = VERDICTS.index("A over B") + offset, pen.number(value)
        sheet.write_formula(row, where, f"={live.beside(spot, offset)}", look, value)
    words = live.words(spot.reference, verdict.ratio, text(verdict.reading))
    sheet.write_formula(row, VERDICTS.index("reading"), words, None, text(verdict.reading))
