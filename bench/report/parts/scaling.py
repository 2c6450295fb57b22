"""How time and throughput grow: with the batch, the context, the prompt, and with uneven experts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bench.report.document import Cell, Chart, Column, Section, Table
from bench.report.parts.numbers import derived, of, point
from bench.report.sides import Side
from bench.results.compare import source_of
from bench.results.record import Row
from bench.units import counted


@dataclass(frozen=True)
class Axis:
    """One curve: which rows, along which of their numbers, showing which."""

    id: str
    title: str
    phase: str
    along: str
    x_title: str
    metric: str
    y_title: str
    fixed: str


CURVES = (
    Axis("decode-batch", "Decode over the batch", "decode", "batch", "sequences per device",
         "tpot_s", "time per output token, s", "context"),
    Axis("decode-context", "Decode over the context", "decode", "context", "tokens of context",
         "tpot_s", "time per output token, s", "batch"),
    Axis("prefill-length", "Prefill over the prompt", "prefill", "input_len", "tokens of the prompt",
         "prompt_tokens_per_s", "prompt tokens per second", "batch"),
)  # fmt: skip


def scaling(sides: list[Side]) -> Section:
    """Return the curves of which some side has two points or more."""
    section = Section(id="scaling", title="How it grows: batch, context, prompt")
    for axis in CURVES:
        chart = _curve(sides, axis)
        if chart is None:
            section.notes.append(f"{axis.title}: no side has two points that differ in nothing else.")
        else:
            section.charts.append(chart)
    return section


def _curve(sides: list[Side], axis: Axis) -> Chart | None:
    family = _largest(sides, axis)
    if family is None:
        return None
    # With it the drawing knows a time; the numbers have their own unit.
    named_y = axis.y_title.removesuffix(", s")
    table = Table(id=f"{axis.id}-data", title=axis.title, columns=[
        Column(name="system"), Column(name=axis.x_title, number=True), Column(name=named_y, number=True),
    ])  # fmt: skip
    rows: list[dict[str, Any]] = []
    for side in sides:
        mine = sorted((r for r in side.sweep if _family(r, axis) == family), key=lambda row: getattr(row, axis.along))
        for row in mine:
            x, y = float(getattr(row, axis.along)), of(row, axis.metric)
            rows.append(point(side.label, x, y, f"{x:,.0f} {axis.x_title}"))
            table.rows.append([side.label, Cell(value=x, unit="1", source=source_of(row)), y])
    named = f"{family[0]}, {family[1]}, {axis.fixed.replace('_', ' ')} {family[2]}"
    return Chart(
        id=axis.id, title=f"{axis.title}: {named}", kind="curve", rows=rows, marks=len(rows), table=table,
        alt=f"{named_y} against {axis.x_title}, one line a system, {counted(len(rows), 'point')}.",
        caption="A line ends where the next size no longer fits the memory, or was not run.",
        options={"x_title": axis.x_title, "y_title": axis.y_title, "x_log": True, "y_log": True},
    )  # fmt: skip


def _family(row: Row, axis: Axis) -> tuple[str, str, int, str] | None:
    if row.phase != axis.phase or row.status != "ok" or getattr(row, axis.metric) is None:
        return None
    return row.workload, row.dtype, getattr(row, axis.fixed) or 0, row.routing or ""


def _largest(sides: list[Side], axis: Axis) -> tuple[str, str, int, str] | None:
    """The family that has points on the most sides, then the most points; None below two along the axis."""
    found: dict[tuple[str, str, int, str], dict[str, set[int]]] = {}
    for side in sides:
        for row in side.sweep:
            family = _family(row, axis)
            if family is not None:
                found.setdefault(family, {}).setdefault(side.label, set()).add(getattr(row, axis.along) or 0)
    several = {family: by for family, by in found.items() if any(len(values) > 1 for values in by.values())}
    score: Callable[[tuple[str, str, int, str]], tuple[int, int]] = lambda family: (  # noqa: E731
        len(several[family]), sum(map(len, several[family].values())))  # fmt: skip
    return max(several, key=score, default=None)


def imbalance(sides: list[Side]) -> Section:
    """Return what uneven experts cost: the step's time over that with even experts."""
    section = Section(id="imbalance", title="What uneven experts cost")
    table = Table(id="imbalance-data", title="Steps under ever more skewed experts", columns=[
        Column(name="system"), Column(name="routing"), Column(name="largest over mean load", number=True),
        Column(name="time of a step", number=True), Column(name="over even experts", number=True),
    ])  # fmt: skip
    rows: list[dict[str, Any]] = []
    for side in sides:
        base = next((row.step_s for row in side.routings if row.routing == "uniform"), None)
        for row in sorted(side.routings, key=lambda row: row.imbalance or 0):
            if not base or not row.step_s or not row.imbalance:
                continue
            slower = derived(row, row.step_s / base, "x", time=True)
            # Both steps are priced with the same errors, so the ratio has no interval of its own here.
            slower.interval = None
            what = f"{row.routing}, largest load {row.imbalance:.1f} times the mean"
            rows.append(point(side.label, row.imbalance, slower, what))
            table.rows.append([side.label, row.routing or "", of(row, "imbalance"), of(row, "step_s"), slower])
    if not rows:
        section.text = ["No side has steps of one MoE model under several routings."]
        return section
    named = ", ".join(row.routing or "" for row in max((side.routings for side in sides), key=len))
    case = next(row for side in sides for row in side.routings)
    section.charts = [Chart(
        id="imbalance", title=f"{case.workload}, {case.dtype}, batch {case.batch}: time against expert imbalance",
        kind="curve", rows=rows, marks=len(rows), table=table,
        alt="Time of a step over that with even experts, against the largest load over the mean; "
        f"{counted(len(rows), 'point')}.",
        caption="1x is even experts, as redundant copies aim at; the right end is what a skewed mix of prompts does "
        f"without them. The most loaded device decides the step. Routings: {named}.",
        options={"x_title": "largest expert load over the mean", "y_title": "time over that with even experts",
                 "x_log": True, "y_log": True},
    )]  # fmt: skip
    return section
