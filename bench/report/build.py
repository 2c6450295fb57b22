"""Builds the document of a report from its sides: the parts in the order they are read."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import msgspec

import bench
from bench.report.document import Cell, Chart, Report, Section, every_table
from bench.report.parts import method
from bench.report.parts.gap import gap
from bench.report.parts.glance import glance, listed
from bench.report.parts.normalized import bases
from bench.report.parts.roofline import rooflines
from bench.report.parts.scaling import imbalance, scaling
from bench.report.parts.speed import speed
from bench.report.parts.utilization import energy, utilization
from bench.report.parts.work import in_short, work
from bench.report.sides import Part, Side
from bench.results.answer import answers, other_pairs
from bench.results.axes import every_verdict
from bench.results.compare import Operand
from bench.results.doubt import explained
from bench.results.target import Target
from bench.results.verdict import Verdict
from bench.units import counted

MOST_POINTS = 300
# More names than this are no title.
MOST_NAMED = 4


def build(
    sides: list[Side], *, targets: list[Target], command: str, created: str, title: str | None = None,
    commit: str | None = None, extra: Iterable[Part] = (), published: Section | None = None,
    citations: list[str] | None = None,
) -> Report:  # fmt: skip
    """Return the document. The first side is read against each of the others.

    extra: what else belongs in it (cost, fleets), before the normalized views. created: ISO 8601.
    """
    extra = list(extra)
    labels = [side.label for side in sides]
    report = Report(
        id="", title=title or _title(labels), question=_question(sides), created=created,
        bench_version=bench.__version__, commit=commit, command=command, citations=citations or [],
        systems=[method.system(side) for side in sides], differences=method.differing(sides),
        not_run=method.not_run(sides), rules=method.rules(sides), repeat=method.repeat(sides, command),
        limits=method.LIMITS,
    )  # fmt: skip
    report.verdicts = _verdicts(sides, [verdict for part in extra for verdict in part.verdicts])
    report.answers, report.other_pairs = answers(report.verdicts), other_pairs(labels)
    views = bases(sides)
    report.sections = [
        glance(report.verdicts) if len(sides) > 1 else in_short(sides[0]), speed(sides, targets),
        *(section for part in extra for section in part.sections),
        gap(sides), rooflines(sides), utilization(sides), energy(sides), scaling(sides), imbalance(sides),
        *views.sections, *([published] if published else []),
        work(sides),
    ]  # fmt: skip
    for section in report.sections:
        section.charts = [_in_doubt(thinned(chart)) for chart in section.charts]
    for _, table in every_table(report):
        table.notes = [*explained(cell.doubt for row in table.rows for cell in row if isinstance(cell, Cell)),
                       *table.notes]  # fmt: skip
    report.assumptions = [assumption for part in (*extra, views) for assumption in part.assumptions]
    report.glossary = method.glossary()
    report.counts = method.counts(report)
    # The same numbers have the same id, whenever they were put on a page.
    content = msgspec.json.encode([report.systems, report.verdicts, report.sections])
    report.id = hashlib.sha256(content).hexdigest()[:12]
    return report


def thinned(chart: Chart) -> Chart:
    """Return a chart of at most MOST_POINTS rows, taken evenly; more would cover each other."""
    count = len(chart.rows)
    if count <= MOST_POINTS:
        return chart
    kept = [index * count // MOST_POINTS for index in range(MOST_POINTS)]
    told = f" {MOST_POINTS:,} of {count:,} points are drawn and listed, evenly; the table of every case has all."
    rows = chart.table.rows
    table = msgspec.structs.replace(chart.table, rows=[rows[at] for at in kept] if len(rows) == count else rows)
    drawn = [chart.rows[at] for at in kept]
    return msgspec.structs.replace(chart, rows=drawn, marks=len(drawn), caption=chart.caption + told, table=table)


def _in_doubt(chart: Chart) -> Chart:
    """Return a chart whose caption says what its marks in doubt are; their words have the mark, too."""
    told = " ".join(f"{note}." for note in explained(row.get("doubt", "") for row in chart.rows))
    return msgspec.structs.replace(chart, caption=f"{chart.caption} Hollow, {told}".strip()) if told else chart


def _verdicts(sides: list[Side], more: list[Verdict]) -> list[Verdict]:
    """Return the verdicts of the first side against each other one, every axis at least with its reason."""
    found: list[Verdict] = []
    for other in sides[1:]:
        pair = (sides[0].operand, other.operand)
        solved = (Operand(sides[0].label, sides[0].at_targets), Operand(other.label, other.at_targets))
        mine = [verdict for verdict in more if (verdict.a, verdict.b) == (sides[0].label, other.label)]
        found += every_verdict(*pair, solved, mine)
    return found


def _title(labels: list[str]) -> str:
    if len(labels) < 2:
        return labels[0] if labels else "Report"
    others = labels[1:]
    return f"{labels[0]} against {listed(others) if len(others) <= MOST_NAMED else f'{len(others)} others'}"


def _question(sides: list[Side]) -> str:
    models = dict.fromkeys(row.model or row.kernel or row.workload for side in sides for row in side.rows)
    work = listed(models) if 0 < len(models) < 5 else f"{counted(len(models), 'workload')}"
    if len(sides) < 2:
        return f"What does {sides[0].label if sides else 'this'} do with {work}?"
    named = listed(side.label for side in sides) if len(sides) <= MOST_NAMED + 1 else f"{len(sides)} systems"
    return f"Which of {named} for {work}, by how much, and how sure is that?"
