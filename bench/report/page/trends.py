"""The trend page: every series of a history with its picture, its changes and what they coincide with.

Its pictures are plain SVG, about 6 kB a series of 60 runs: drawn by Vega they would be four times as large, and a page
may have hundreds. Runs stand at equal distances, oldest left, as they do in the terminal's trends.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field

from bench.report.cells import number
from bench.report.history import bounds, changes, event_text, history_table, moved, run_text, sure, value_text, words
from bench.report.layout import plain
from bench.report.page.shell import render
from bench.results.history.document import History
from bench.results.history.trend import Point, Trend
from bench.units import signed

# Of the picture, in its own units: the room for marks, and what stands left of and below it.
WIDTH, HEIGHT = 470, 130
LEFT, RIGHT, TOP, BOTTOM = 62, 460, 20, 108
RADIUS = 2.5


@dataclass(frozen=True)
class Mark:
    """One run: where it stands, and its words."""

    x: float
    y: float
    text: str
    doubt: bool = False


@dataclass(frozen=True)
class Level:
    """The runs between two changes lie around here."""

    x1: float
    x2: float
    y: float


@dataclass(frozen=True)
class Rule:
    """A change, between two runs; `number` is that of its line in the list below the picture."""

    x: float
    number: int
    word: str


@dataclass(frozen=True)
class Picture:
    """What is drawn of a series."""

    marks: list[Mark]
    top: str
    bottom: str
    levels: list[Level] = field(default_factory=list)
    rules: list[Rule] = field(default_factory=list)

    @property
    def line(self) -> str:
        """The way through all runs that are not in doubt."""
        return " ".join(f"{mark.x:g},{mark.y:g}" for mark in self.marks if not mark.doubt)


def trends_page(history: History, every: bool = False) -> str:
    """Return the page of a history. every: tell all changes at the head, not only the last one of each series."""
    table = history_table(history).one_line_each()
    trend_column = next(index for index, column in enumerate(table.columns) if column.name == "trend")
    newest = max((one.points[-1].created for one in history.trends if one.points), default="")
    anchors = {id(one): f"series-{at}" for at, one in enumerate(history.trends, 1)}
    return render(
        "trends.html.jinja", title=f"History of {plain(history.metric)}", question=_question(history),
        skip="To what changed", history=history, newest=newest, parts=changes(history, every),
        table=table.without(trend_column).without_empty(), machines=list(history.machines.items()),
        series=[(anchors[id(one)], one, picture(one, history)) for one in history.trends],
        anchor=lambda one: anchors[id(one)], plain=plain,
        machine_id={mark: f"machine-{at}" for at, mark in enumerate(history.machines, 1)}, event=event_text,
        value=lambda one, value: value_text(one, value, history.unit),
        of_run=lambda one, point: run_text(one, point, history.unit), size=signed, day=_day,
        moved=lambda one, change: moved(one, change, history.unit), word=lambda change: _word(history, change.worse),
        box=(WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM, RADIUS),
    )  # fmt: skip


def _question(history: History) -> str:
    last = [one.changes[-1].worse for one in history.trends if one.changes]
    worse, better = words(history)
    many = len(history.trends)
    return (
        f"Of {many} series {last.count(True)} got {worse} and {last.count(False)} {better} at the last change of level;"
        f" in {many - len(last)} no change was found."
    )


def picture(one: Trend, history: History) -> Picture:
    """Return the picture of a series: a mark for each run, a level between two changes, a rule at each change."""
    low, high = bounds(point.value for point in sure(one))
    step = (RIGHT - LEFT) / max(1, len(one.points) - 1)

    def x(at: float) -> float:
        return round(LEFT + step * at if len(one.points) > 1 else (LEFT + RIGHT) / 2, 1)

    def y(value: float) -> float:
        share = min(1.0, max(0.0, (value - low) / (high - low))) if high > low else 0.5
        return round(BOTTOM - share * (BOTTOM - TOP), 1)

    return Picture(
        marks=[
            Mark(x(at), y(point.value), _told(one, point, history.unit), point.doubt != "")
            for at, point in enumerate(one.points)
        ],
        top=number(high, history.unit), bottom=number(low, history.unit),
        levels=[Level(x(start), x(end - 1), y(value)) for start, end, value in _levels(one)],
        rules=[
            Rule(x(change.at - 0.5), at, _word(history, change.worse)) for at, change in enumerate(one.changes, 1)
        ],
    )  # fmt: skip


def _levels(one: Trend) -> Iterator[tuple[int, int, float]]:
    """Where each level begins and ends, and where it lies; none for a series without a change."""
    if one.changes:
        edges = [0, *(change.at for change in one.changes), len(one.points)]
        values = [one.changes[0].level_before, *(change.level_after for change in one.changes)]
        for (start, end), value in zip(itertools.pairwise(edges), values, strict=True):
            yield start, end, value


def _told(one: Trend, point: Point, unit: str) -> str:
    commit = f" {point.commit}" if point.commit else ""
    return plain(f"{_day(point.created)}{commit}: {run_text(one, point, unit)}")


def _day(created: str) -> str:
    """Return a date with its minute, as ISO 8601 has it without what everybody knows."""
    return created[:16].replace("T", " ")


def _word(history: History, worse: bool) -> str:
    return words(history)[0 if worse else 1]
