"""What is asked of a history, and how it is read from an index or a store."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import msgspec
import sqlalchemy as sa

from bench.errors import DefinitionError, listed, nearest
from bench.results.doubt import of_sessions
from bench.results.history import tables
from bench.results.history.memo import Memo
from bench.results.history.trend import Series, Taken, Trend, trend
from bench.results.metrics import METRICS

# Numbers in one `in (...)`; databases take thousands, not any number.
AT_ONCE = 500
# Before every date that a run can have.
EVER = -(2**62)

# (time, run) -> how its first session was made, medians of its sessions, and why each is in doubt ("" for no doubt).
Points = dict[tuple[int, int], tuple[int, list[float], list[str]]]


@dataclass(frozen=True)
class Asked:
    """What is asked of a history. An empty name or list of names means all.

    names: workloads, case ids, beginnings of these with their bracket, or patterns with `*`. machine: a fingerprint or
    its beginning. last: so many runs of each series. was: old name of a workload -> its name now; what bears the new
    name then is one series, whatever its definitions.
    """

    names: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    machine: str = ""
    metric: str = "step_s"
    last: int = 60
    was: dict[str, str] = field(default_factory=dict)


class Trends(msgspec.Struct, frozen=True, kw_only=True):
    """Trends in the order in which their cases came first. machines: fingerprint -> the facts behind it."""

    trends: list[Trend]
    machines: dict[str, dict[str, str]]


def read_trends(connection: sa.Connection, asked: Asked, memo: Memo) -> Trends:
    """Return the trends that are asked for.

    Raises: DefinitionError for a name, old name, device, machine or metric that no run has, with the nearest.
    """
    if asked.metric not in tables.VALUES:
        hint = nearest(asked.metric, tables.VALUES) or f"; known: {listed(tables.VALUES)}"
        raise DefinitionError(f"--metric: a history holds no '{asked.metric}'{hint}")
    with connection.begin():
        lines = _chosen(list(connection.execute(sa.select(tables.series).order_by(tables.series.c.id))), asked)
        points = _points(connection, lines, asked)
        numbers = {number for each in points.values() for _, number in each}
        runs = {line.id: line for line in _lines(connection, tables.run, numbers)}
        machines = {line.machine: line.facts for line in lines if line.id in points}
        told = {line.id: json.loads(line.content) for line in _lines(connection, tables.facts, set(machines.values()))}

        @cache
        def settings(number: int) -> dict[str, str]:
            (line,) = _lines(connection, tables.facts, {number})
            content: dict[str, str] = json.loads(line.content)
            return content

        grouped: dict[Series, list[Taken]] = {}
        for line in lines:
            if line.id in points:
                taken = _taken(line, points[line.id], runs, timed=METRICS[asked.metric].unit != "B")
                grouped.setdefault(_series(line, asked.was), []).extend(taken)
        found = []
        for series, every in grouped.items():
            # The clock may have gone backwards: ids decide between equals.
            every.sort(key=lambda one: (one.at, one.run))
            # Of a series of several names or definitions each was read to the full length.
            found.append(trend(series, asked.metric, every[-asked.last :], settings, memo))
    return Trends(trends=found, machines={mark: told[number] for mark, number in machines.items()})


def _chosen(lines: list[Any], asked: Asked) -> list[Any]:
    """Return the series that are asked for."""
    if not lines:
        return []
    for old in asked.was:
        _one_of("workload", old, {line.workload for line in lines}, "--was: ")
    for device in asked.devices:
        _one_of("device", device, {line.device for line in lines})
    known = {line.machine for line in lines}
    if asked.machine and not any(mark.startswith(asked.machine) for mark in known):
        _one_of("machine", asked.machine, known)
    patterns = {name: _pattern(name) for name in asked.names}
    wanted = []
    hit = set()
    for line in lines:
        workload, case_id = _named(line, asked.was)
        fits = {name for name, pattern in patterns.items() if name == workload or pattern.match(case_id)}
        hit |= fits
        if (fits or not patterns) and (not asked.devices or line.device in asked.devices):
            wanted.append(line)
    for name in asked.names:
        if name not in hit:
            _one_of("case or workload", name, {part for line in lines for part in _named(line, asked.was)})
    return [line for line in wanted if line.machine.startswith(asked.machine)]


def _one_of(noun: str, name: str, known: Collection[str], where: str = "") -> None:
    if name not in known:
        hint = nearest(name, sorted(known)) or f"; there are: {listed(sorted(known), limit=6)}"
        raise DefinitionError(f"{where}no run has the {noun} '{name}'{hint}")


def _pattern(name: str) -> re.Pattern[str]:
    """A case id, or the beginning of one in its brackets; `*` stands for anything, brackets for themselves."""
    text = ".*".join(re.escape(part) for part in name.split("*"))
    return re.compile(text if "[" in name or "*" in name else rf"{text}\Z", re.DOTALL)


def _named(line: Any, was: dict[str, str]) -> tuple[str, str]:
    """Return a series' workload and case id as they are called now."""
    workload = was.get(line.workload, line.workload)
    begin = f"{line.workload}["
    renamed = workload != line.workload and line.case_id.startswith(begin)
    return workload, f"{workload}[{line.case_id.removeprefix(begin)}" if renamed else line.case_id


def _series(line: Any, was: dict[str, str]) -> Series:
    workload, case_id = _named(line, was)
    return Series(
        device=line.device, device_name=line.device_name, machine=line.machine, unit=line.unit, case_id=case_id,
        workload=workload, source=line.source, definition="" if workload in was.values() else line.definition,
    )  # fmt: skip


def _taken(line: Any, points: Points, runs: dict[int, Any], *, timed: bool) -> Iterator[Taken]:
    """The runs of a series. timed: whether others at work can have moved the metric."""
    own = {"workload": line.workload, "definition": line.definition}
    for (at, number), (made, medians, doubts) in points.items():
        run = runs[number]
        yield Taken(
            run=run.run_id, at=at, commit=run.commit, settings=(run.settings, made), medians=medians, own=own,
            doubt=of_sessions(doubts) if timed else "",
        )  # fmt: skip


def _points(connection: sa.Connection, lines: list[Any], asked: Asked) -> dict[int, Points]:
    """Return the newest runs of each series."""
    series, point = tables.series, tables.point
    value, other = point.c[asked.metric], point.alias()
    # The time of the oldest run that is wanted, found from the end of the series' key.
    since = (
        sa.select(other.c.at).where(other.c.series == series.c.id, other.c[asked.metric] > 0).distinct()
        .order_by(other.c.at.desc()).limit(1).offset(asked.last - 1).scalar_subquery()
    )  # fmt: skip
    newest = (point.c.series == series.c.id) & (point.c.at >= sa.func.coalesce(since, EVER))
    found: dict[int, Points] = {}
    for numbers in _portions([line.id for line in lines]):
        columns = sa.select(point.c.series, point.c.at, point.c.run, point.c.made, point.c.doubt, value)
        wanted = columns.select_from(series.join(point, newest)).where(series.c.id.in_(numbers), value > 0)
        for number, at, run, made, doubt, median in connection.execute(wanted.order_by(point.c.session)).all():
            _, medians, doubts = found.setdefault(number, {}).setdefault((at, run), (made, [], []))
            medians.append(median)
            doubts.append(doubt or "")
    return found


def _lines(connection: sa.Connection, table: sa.Table, numbers: Collection[int]) -> Iterator[Any]:
    for portion in _portions(sorted(numbers)):
        yield from connection.execute(sa.select(table).where(table.c.id.in_(portion)))


def _portions(numbers: list[int]) -> Iterator[list[int]]:
    for start in range(0, len(numbers), AT_ONCE):
        yield numbers[start : start + AT_ONCE]
