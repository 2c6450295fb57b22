"""The page: one HTML file with everything in it, which opens offline and is whole without JavaScript."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from bench.report import cells
from bench.report.charts.draw import TINT
from bench.report.charts.render import BOXES, keys, page_svg, unsure
from bench.report.charts.style import shape
from bench.report.document import Cell, Chart, Report, Table
from bench.report.page.live import live
from bench.report.page.shell import render
from bench.report.parts.glance import sentence, shortened
from bench.results.answer import answer, questions
from bench.results.verdict import AXES, Axis, Verdict, summary, worst

if TYPE_CHECKING:
    from markupsafe import Markup

# The shapes of Vega, drawn small for the list of series above each chart.
PATHS = {
    "circle": "M-5,0a5,5 0 1,0 10,0a5,5 0 1,0 -10,0",
    "square": "M-5,-5h10v10h-10z",
    "cross": "M-2,-6h4v4h4v4h-4v4h-4v-4h-4v-4h4z",
    "diamond": "M0,-7L5,0L0,7L-5,0z",
    "triangle-up": "M0,-6L6,5H-6z",
    "triangle-down": "M0,6L6,-5H-6z",
    "triangle-right": "M6,0L-5,6V-6z",
    "triangle-left": "M-6,0L5,6V-6z",
}
# A name stands once for its rows, and again before it is out of sight or on the next sheet of paper.
SPANNED = 8
# Longer tables are cut: a browser lays out only the pieces that are seen.
CHUNK = 100
# A page of more is for the other forms, which have all.
MOST_ROWS = 5000
LETTERS = "abcdefghijklmnopqrstuvwxyz"
_ROOT = re.compile(r"<svg([^>]*)>")


def page(report: Report) -> str:
    """Return the page of a report."""
    from markupsafe import Markup

    labels = [system.label for system in report.systems]
    charts = [chart for section in report.sections for chart in section.charts]
    pictures = {chart.id: Markup(_named(page_svg(chart, labels), chart)) for chart in charts}
    notes: dict[str, dict[str, str]] = {}
    return render(
        "page.html.jinja", title=report.title, question=report.question, skip="To the verdicts", report=report,
        pictures=pictures,
        pairs=pairs(report.verdicts),
        readings=len([each for each in report.verdicts if each.metric and each.counted and each.equal is None]),
        facts=list(dict.fromkeys(name for system in report.systems for name in system.facts)),
        chunk=CHUNK, most=MOST_ROWS, text=cells.text, marks=cells.marks, legend=cells.LEGEND, plain=_plain,
        interval=lambda cell, unit: cells.interval_text(cell.interval, "" if unit else cell.unit),
        units_of=lambda table: [cells.shared_unit(table, index) for index in range(len(table.columns))],
        notes_of=lambda table: notes.setdefault(table.id, _notes(table)),
        left_out=_left_out(report), series_of=lambda chart: _legend(chart, labels), sources_of=_sources,
        hollow=_hollow, spans=_spans, wide=_wide, breakable=_breakable,
    )  # fmt: skip


def pairs(verdicts: list[Verdict]) -> list[dict[str, Any]]:
    """Return, for each two systems, the answers, and every axis with its sentence, its readings, and how sure it is."""
    names = shortened(verdicts)
    found = []
    for a, b in dict.fromkeys((verdict.a, verdict.b) for verdict in verdicts):
        mine = [verdict for verdict in verdicts if (verdict.a, verdict.b) == (a, b)]
        told = [{"answer": answer(each), "live": live(each.price, names)} for each in questions(mine)]
        found.append({"a": a, "b": b, "answers": told, "axes": [_axis(axis, mine, names) for axis in AXES]})
    return found


def _axis(axis: Axis, verdicts: list[Verdict], names: dict[str, str]) -> dict[str, Any]:
    mine = [verdict for verdict in verdicts if verdict.axis == axis]
    known = [verdict for verdict in mine if verdict.metric and verdict.counted]
    source = worst(*(verdict.source for verdict in known)) if known else "missing"
    return {
        "name": axis, "verdict": summary(axis, mine), "source": source,
        "lines": [sentence(verdict, names) for verdict in known], "live": live(mine, names),
    }  # fmt: skip


def _left_out(report: Report) -> dict[str, int]:
    """How many cases have no number, by system."""
    found: dict[str, set[str]] = {}
    for item in report.not_run:
        found.setdefault(item.system, set()).update(item.cases)
    return {label: len(cases) for label, cases in found.items()}


def _named(svg: str, chart: Chart) -> str:
    """The picture with the words for those who cannot see it; its marks keep their own."""
    from markupsafe import escape

    return _ROOT.sub(
        rf'<svg\1 role="graphics-document" aria-label="{escape(chart.alt)}">'.replace("\\1", r"\g<1>"), svg, 1
    )


def _legend(chart: Chart, labels: list[str]) -> list[dict[str, Any]]:
    boxes = chart.kind in BOXES
    return [
        {"name": name, "number": index % 8 + 1, "path": PATHS["square" if boxes else shape(index)]}
        for name, index in keys(chart, labels)
    ]  # fmt: skip


def _sources(chart: Chart) -> list[str]:
    return list(dict.fromkeys(row["source"] for row in chart.rows))


def _hollow(chart: Chart) -> dict[str, Any] | None:
    """The entry that tells what an empty mark or a pale bar means, where there is one."""
    told, box = unsure(chart), chart.kind in BOXES
    return {"name": told, "path": PATHS["square" if box else "circle"], "tint": TINT if box else 0} if told else None


def _spans(rows: list[list[str | Cell]]) -> list[tuple[int, list[str | Cell]]]:
    """Return each row with the rows that its first cell stands for, SPANNED at most: 0 where one above does."""
    heights = [0] * len(rows)
    start = 0
    for index, row in enumerate(rows):
        if not isinstance(row[0], str) or row[0] != rows[start][0] or heights[start] == SPANNED:
            start = index
        heights[start] += 1
    return list(zip(heights, rows, strict=True))


def _wide(cell: str) -> Markup:
    """The class of a cell with text: names on one line, sentences in a column that can be read."""
    from markupsafe import Markup

    name = len(cell) < 24 or ("[" in cell and " " not in cell)
    return Markup(' class="s"') if name else Markup(' class="long"') if len(cell) > 60 else Markup("")


def _breakable(cell: str) -> Markup:
    """A case's name breaks before its brackets and after its commas, and nowhere else."""
    from markupsafe import Markup, escape

    text = escape(cell)
    if " " in cell:
        return text
    return text.replace("[", Markup("<wbr>[")).replace(",", Markup(",<wbr>"))


def _notes(table: Table) -> dict[str, str]:
    """Notes of a table's columns and cells, each once, with the letter that refers to it."""
    every = dict.fromkeys(column.note for column in table.columns if column.note)
    every |= dict.fromkeys(cell.note for row in table.rows for cell in row if isinstance(cell, Cell) and cell.note)
    return {note: _letter(index) for index, note in enumerate(every)}


def _letter(index: int) -> str:
    return (
        LETTERS[index] if index < len(LETTERS) else _letter(index // len(LETTERS) - 1) + LETTERS[index % len(LETTERS)]
    )


def _plain(value: float) -> str:
    return f"{value:,.10g}"
