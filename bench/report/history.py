"""A history as people read it: what got slower first, then every series with its trend; and the same as data."""

from __future__ import annotations

import csv
import io
import itertools
from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec

from bench.report.cells import MARKS, number
from bench.report.layout import Column, Table, plain
from bench.results import doubt
from bench.results.history.document import History
from bench.results.history.split import ENOUGH
from bench.results.history.trend import Change, Point, Trend
from bench.units import MISSING, signed

BLOCKS = "▁▂▃▄▅▆▇█"
# The same for a terminal that has no blocks.
ASCII_BLOCKS = "_.-:=+*#"
MOST_MARKS = 30
# Full height is at least this much of the lowest value: noise of one percent shall not look like mountains.
LEAST_SPAN = 0.1
# Spreadsheets run a cell that starts so as a formula.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def sparkline(values: Sequence[float | None], blocks: str = BLOCKS) -> str:
    """Return values as a row of marks, each of one run, or the mean of several where there are more than fit.

    None: a run in doubt, which has its mark and no height.
    """
    count = min(len(values), MOST_MARKS)
    edges = [index * len(values) // count for index in range(count + 1)] if count else [0]
    means = [_mean([value for value in values[a:b] if value is not None]) for a, b in itertools.pairwise(edges)]
    if all(mean is None for mean in means):
        return doubt.MARK * len(means)
    low, high = bounds(mean for mean in means if mean is not None)
    span, top = high - low, len(blocks) - 1
    return "".join(
        doubt.MARK if mean is None else blocks[min(top, int((mean - low) / span * len(blocks)))] if span else blocks[0]
        for mean in means
    )


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None


def sure(one: Trend) -> list[Point]:
    """Return the runs that are not in doubt; all of them where every one is."""
    return [point for point in one.points if not point.doubt] or one.points


def bounds(values: Iterable[float]) -> tuple[float, float]:
    """Return what lies at the bottom and at the top of a picture of these values."""
    known = list(values)
    low, high = min(known), max(known)
    spare = max(0.0, low * LEAST_SPAN - (high - low)) / 2
    return low - spare, high + spare


def encodes(encoding: str | None) -> bool:
    """Whether a stream of this encoding can show the blocks."""
    try:
        BLOCKS.encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def history_table(history: History, blocks: str = BLOCKS) -> Table:
    """Return one line a series: its trend, its first, last and best run, and the last change of level."""
    table = Table([
        Column("case"), Column("on"), Column("machine", keep=8), Column("definition", keep=3), Column("trend", keep=7),
        Column("runs", right=True, keep=6), Column("sessions", right=True, keep=2),
        Column("in doubt", right=True, keep=8), Column("first", right=True, keep=5), Column("last", right=True),
        Column("best", right=True, keep=4), Column("change", right=True), Column("since", keep=8), Column("source"),
    ])  # fmt: skip
    definitions = Counter(_case(one) for one in history.trends)
    several = len({one.machine for one in history.trends}) > 1
    units: dict[tuple[str, str], set[str]] = {}
    for one in history.trends:
        units.setdefault((one.device, one.case_id), set()).add(one.unit)
    for one in history.trends:
        change = one.changes[-1] if one.changes else None
        table.rows.append([
            one.case_id, one.device if len(units[one.device, one.case_id]) == 1 else f"{one.device}, {one.unit}",
            one.machine if several else "", one.definition[:6] if definitions[_case(one)] > 1 else "",
            sparkline([None if point.doubt else point.value for point in one.points], blocks), *_counts(one),
            run_text(one, one.points[0], history.unit), run_text(one, one.points[-1], history.unit),
            value_text(one, one.best, history.unit),
            MISSING if change is None else signed(change.share), "" if change is None else change.created[:10],
            one.source,
        ])  # fmt: skip
    table.notes = _notes(history, any(count > 1 for count in definitions.values()))
    return table


def _case(one: Trend) -> tuple[str, ...]:
    return one.device, one.machine, one.unit, one.case_id, one.source


def _counts(one: Trend) -> list[str]:
    """Runs, sessions where these are more, and how many of the runs are in doubt."""
    runs, sessions = len(one.points), sum(point.sessions for point in one.points)
    in_doubt = sum(point.doubt != "" for point in one.points)
    return [f"{runs:,}", f"{sessions:,}" if sessions > runs else "", f"{in_doubt:,}" if in_doubt else ""]


def value_text(one: Trend, value: float, unit: str) -> str:
    """Return a value with its mark and unit."""
    return MARKS.get(one.source, "") + number(value, unit)


def run_text(one: Trend, point: Point, unit: str) -> str:
    """Return a run's value with its marks and unit."""
    return MARKS.get(one.source, "") + (doubt.MARK if point.doubt else "") + number(point.value, unit)


def _notes(history: History, several_definitions: bool) -> list[str]:
    words = {"lower": "lower is better", "higher": "higher is better"}
    notes = [
        f"{history.metric}: {words.get(history.better, 'neither direction is better')}; one value a run, the newest"
        f" {history.last} runs of each series, from {history.origin}",
        f"trend: oldest left, full height is at least {LEAST_SPAN:.0%}; change: docs/history.md says how it is found",
    ]
    told = doubt.explained(point.doubt for one in history.trends for point in one.points)
    notes += [f"{line}; such a run makes no change and is no best" for line in told]
    few = sum(one.source == "measured" and len(sure(one)) < ENOUGH for one in history.trends)
    if few:
        notes.append(f"fewer than {ENOUGH} runs: a change can hardly be told from chance yet ({few} series)")
    if any(one.source == "modelled" for one in history.trends):
        notes.append("~ modelled, not measured: without noise, so that every difference is a change of the model")
    if several_definitions:
        notes.append("definition: what decides the work differs under one name; joined by --was NAME=NAME")
    return [*notes, *_machines(history), *left_out(history)]


def _machines(history: History) -> list[str]:
    """What tells machines apart, where several are shown: they are never put in one line."""
    if len(history.machines) < 2:
        return [f"every series is of one machine, {mark}" for mark in history.machines]
    facts = dict.fromkeys(key for told in history.machines.values() for key in told)
    apart = [key for key in facts if len({told.get(key) for told in history.machines.values()}) > 1]
    return [
        f"machine {mark}: " + ", ".join(f"{key} {told[key]}" for key in apart if key in told)
        for mark, told in history.machines.items()
    ]


def left_out(history: History) -> list[str]:
    """Return what was not read, with the reason."""
    lines = [f"left out: {path}: {reason.removeprefix(f'{path}: ')}" for path, reason in history.unreadable.items()]
    if history.journals:
        many = "a run is" if len(history.journals) == 1 else f"{len(history.journals)} runs are"
        lines.append(f"left out: {many} being written or interrupted (bench run --resume): {history.journals[-1]}")
    return lines


def changes_text(history: History, every: bool = False) -> str:
    """Return the changes as plain text, what got worse first: of each series the last one, or `every` one.

    Those that lie between the same two runs stand together, below what else changed there.
    """
    parts = []
    for heading, events in changes(history, every):
        lines = [heading]
        for event, found in events:
            lines.append(plain(f"  {event}"))
            for one, change in found:
                where = f"{one.case_id} on {one.device} ({one.machine})"
                lines.append(plain(f"    {where}: {moved(one, change, history.unit)}, {one.source}"))
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


Event = tuple[str, list[tuple[Trend, Change]]]


def changes(history: History, every: bool = False) -> list[tuple[str, list[Event]]]:
    """Return (heading, events), what got worse first; an event is when and what else changed there, and its changes."""
    parts: list[tuple[str, list[Event]]] = []
    for word, is_worse in zip(words(history), (True, False), strict=True):
        found = [(one, change) for one in history.trends for change in (one.changes if every else one.changes[-1:])]
        found = [(one, change) for one, change in found if change.worse == is_worse]
        if found:
            parts.append((f"got {word}: {len(found)}", _events(found)))
        elif is_worse:
            parts.append((f"got {word}: none of {len(history.trends)} series", []))
    return parts


def words(history: History) -> tuple[str, str]:
    """Return what a change is called, to the worse and to the better."""
    return ("slower", "faster") if (history.better, history.unit) == ("lower", "s") else ("worse", "better")


def _events(found: list[tuple[Trend, Change]]) -> list[Event]:
    events: dict[tuple[str | None, ...], list[tuple[Trend, Change]]] = {}
    for one, change in sorted(found, key=lambda each: (each[1].created, abs(each[1].share)), reverse=True):
        place = change.commits if all(change.commits) else (change.before, change.after)
        events.setdefault((*place, *change.changed), []).append((one, change))
    return [(event_text(each[0][1]), each) for each in events.values()]


def event_text(change: Change) -> str:
    """When a change happened, and what else changed there."""
    before, after = change.commits
    if before and after and before != after:
        commits = f"after commit {before}, by {after}"
    elif before and before == after:
        commits = f"commit {after} on both sides"
    else:
        commits = f"after run {change.before}, by {change.after} (commits not known)"
    settings = ", ".join(line for line in change.changed if not line.startswith("commit "))
    return f"{change.created[:10]} {commits}; {f'settings: {settings}' if settings else 'no setting differs'}"


def moved(one: Trend, change: Change, unit: str) -> str:
    """Return a change's levels and its size with its interval."""
    levels = " -> ".join(value_text(one, value, unit) for value in (change.level_before, change.level_after))
    if change.interval is None:
        return f"{levels}, {signed(change.share)}"
    low, high = change.interval
    return f"{levels}, {signed(change.share)} ({signed(low)} to {signed(high)})"


def as_json(history: History) -> str:
    """Return the whole history as JSON text."""
    return msgspec.json.format(msgspec.json.encode(history), indent=2).decode()


def as_jsonl(history: History) -> str:
    """Return one series a line."""
    return "\n".join(msgspec.json.encode(one).decode() for one in history.trends)


def as_csv(history: History) -> str:
    """Return one run of one series a line; `change` is the share by which the level changes at this run."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([
        "device", "device_name", "machine", "unit", "case_id", "workload", "definition", "source", "metric", "created",
        "run", "commit", "sessions", "value", "change", "doubt",
    ])  # fmt: skip
    for one in history.trends:
        changes = {change.at: change.share for change in one.changes}
        for at, point in enumerate(one.points):
            texts = (
                one.device, one.device_name, one.machine, one.unit, one.case_id, one.workload, one.definition,
                one.source, one.metric, point.created, point.run, point.commit or "",
            )  # fmt: skip
            writer.writerow(
                [*(_cell(text) for text in texts), point.sessions, point.value, changes.get(at, ""), point.doubt]
            )
    return out.getvalue().rstrip("\n")


def _cell(text: str) -> str:
    return ("'" if text.startswith(FORMULA_STARTS) else "") + plain(text)
