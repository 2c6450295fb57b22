"""Builds the document of a report from its sides: the parts in the order they are read."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import msgspec

import bench
from bench.report.document import Report, Section
from bench.report.parts import method
from bench.report.parts.gap import gap
from bench.report.parts.glance import glance, listed
from bench.report.parts.normalized import bases
from bench.report.parts.roofline import rooflines
from bench.report.parts.scaling import imbalance, scaling
from bench.report.parts.speed import speed
from bench.report.parts.utilization import energy, utilization
from bench.report.sides import Part, Side
from bench.results.axes import AXES, Verdict, missing, verdicts, verdicts_at
from bench.results.compare import Operand
from bench.results.target import Target


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
    report.verdicts = every_verdict(sides, [verdict for part in extra for verdict in part.verdicts])
    views = bases(sides)
    report.sections = [
        glance(report.verdicts), speed(sides, targets),
        *(section for part in extra for section in part.sections),
        gap(sides), rooflines(sides), utilization(sides), energy(sides), scaling(sides), imbalance(sides),
        *views.sections, *([published] if published else []),
    ]  # fmt: skip
    report.assumptions = [assumption for part in (*extra, views) for assumption in part.assumptions]
    report.glossary = method.glossary()
    report.counts = method.counts(report)
    # The same numbers have the same id, whenever they were put on a page.
    content = msgspec.json.encode([report.systems, report.verdicts, report.sections])
    report.id = hashlib.sha256(content).hexdigest()[:12]
    return report


def every_verdict(sides: list[Side], more: list[Verdict]) -> list[Verdict]:
    """Return the verdicts of the first side against each other one, every axis at least with its reason."""
    found: list[Verdict] = []
    for other in sides[1:]:
        first = sides[0]
        pair = verdicts_at(Operand(first.label, first.at_targets), Operand(other.label, other.at_targets))
        pair += verdicts(first.operand, other.operand)
        pair += [verdict for verdict in more if (verdict.a, verdict.b) == (first.label, other.label)]
        read = {verdict.axis for verdict in pair}
        pair += [missing(axis, first.label, other.label) for axis in AXES if axis not in read]
        found += sorted(pair, key=lambda verdict: AXES.index(verdict.axis))
    return found


def _title(labels: list[str]) -> str:
    return labels[0] + (f" against {listed(set(labels[1:]))}" if labels[1:] else "") if labels else "Report"


def _question(sides: list[Side]) -> str:
    models = {row.model or row.kernel or row.workload for side in sides for row in side.rows}
    work = listed(models) if 0 < len(models) < 5 else f"{len(models)} workloads"
    if len(sides) < 2:
        return f"What does {sides[0].label if sides else 'this'} do with {work}?"
    return f"Which of {listed({side.label for side in sides})} for {work}, by how much, and how sure is that?"
