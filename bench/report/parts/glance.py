"""The verdicts as a picture: their ratios on one axis, to the right where the first side is better."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from bench.report import cells
from bench.report.document import Cell, Chart, Column, Section, Table
from bench.report.rows import short_names
from bench.results.doubt import MARK, left_out
from bench.results.reading import EQUAL
from bench.results.verdict import EqualPrice, Verdict
from bench.units import counted, times

MOST_TOLD = 6


def glance(verdicts: list[Verdict]) -> Section:
    """Return the forest plot of the verdicts that have a ratio, and all of them as a table."""
    names = shortened(verdicts)
    section = Section(id="ratios", title="How much, and how sure")
    for number, other in enumerate(dict.fromkeys(verdict.b for verdict in verdicts), 1):
        pair = [verdict for verdict in verdicts if verdict.b == other]
        table = verdict_table(pair, names, f"ratios-{number}")
        if any(map(_drawn, pair)):
            section.charts.append(_forest(pair, names, number, table))
            continue
        why = "every ratio is in doubt" if any(v.doubt for v in pair) else "no case has a number on both sides"
        section.text.append(f"{pair[0].a} and {other}: {why}, so there is no picture of ratios.")
        section.tables.append(table)
    return section


def _forest(pair: list[Verdict], names: dict[str, str], number: int, table: Table) -> Chart:
    a, b = pair[0].a, pair[0].b
    shown = [verdict for verdict in pair if _drawn(verdict) or _worded(verdict)]
    drawn = [verdict for verdict in shown if verdict.ratio]
    doubts = [verdict.doubt for verdict in pair if verdict.doubt]
    in_doubt = f" {left_out(doubts)}; the table has them." if doubts else ""
    rows = [_row(verdict, names) | {"at": at} for at, verdict in enumerate(shown) if verdict.ratio]
    words = [_words(verdict, names) | {"at": at} for at, verdict in enumerate(shown) if not verdict.ratio]
    without = f" {counted(len(words), 'reading')} without a ratio, in words." if words else ""
    told = "; ".join(f"{row['row']}: {row['ratio']:.2f} ({row['source']})" for row in rows[:MOST_TOLD])
    return Chart(
        id=f"forest-{number}", title=f"{a} against {b}: the ratios behind the verdicts", kind="forest", rows=rows,
        marks=len(rows),
        alt=f"{counted(len(drawn), 'ratio')} of {a} to {b} with their intervals; to the right {a} is better. {told}"
        + "".join(f"; {each['row']}: {each['reading']}" for each in words),
        table=table, options={"better": [f"\u2190 {b} better", f"{a} better \u2192"], "words": words},
        caption=f"Ratios of {a} to {b}, those of times, energies and costs turned round: a number above 1x is always "
        f"in favour of {a}. Grey: equal within {EQUAL:.0%}. A line is the interval; where it reaches the grey band, "
        f"nobody is told better.{without}{in_doubt}",
    )  # fmt: skip


def _drawn(verdict: Verdict) -> bool:
    """Whether a ratio is in the picture: one in doubt, which may be anything, would only stretch its axis."""
    return bool(verdict.ratio) and verdict.counted and not verdict.doubt


def _worded(verdict: Verdict) -> bool:
    """Whether a reading without a ratio is in the picture, in words: a target that one side or neither keeps."""
    return verdict.axis == "throughput" and not verdict.ratio and bool(verdict.metric) and verdict.counted


def listed(names: Iterable[str]) -> str:
    """Return names in their order, each once, with "and" before the last."""
    *rest, last = dict.fromkeys(names)
    return f"{', '.join(rest)} and {last}" if rest else last


def shortened(verdicts: list[Verdict]) -> dict[str, str]:
    """Return target -> its short name: what all targets share is left out, the workload where a metric has one only."""
    cases = [verdict for verdict in verdicts if "[" in verdict.target]
    short = short_names([verdict.target for verdict in cases])[0]
    workloads: dict[str, set[str]] = {}
    for verdict in cases:
        workloads.setdefault(verdict.metric, set()).add(verdict.target.partition("[")[0])
    for verdict in cases:
        if len(workloads[verdict.metric]) == 1:
            inside = short[verdict.target].partition("[")[2].rstrip("]")
            short[verdict.target] = ", ".join(inside.split(",")) or short[verdict.target]
    return short | {v.target: v.target for v in verdicts if "[" not in v.target}


def sentence(verdict: Verdict, names: dict[str, str]) -> str:
    """Return one reading in a line: of what, the ratio with its interval, the words."""
    what = what_of(verdict, names)
    if verdict.equal is not None:
        return f"estimated: {equal(verdict.equal)}: {what}"
    if verdict.ratio is None:
        return f"{verdict.reading} ({verdict.why}): {what}"
    spread = f", {cells.interval_text(verdict.interval, 'x')}" if verdict.interval else ""
    spread = spread or (f"; {verdict.why}" if verdict.why else "")
    in_doubt = MARK if verdict.doubt else ""
    return f"{verdict.reading} (ratio {in_doubt}{times(verdict.ratio)}{spread}): {what}"


def what_of(verdict: Verdict, names: dict[str, str]) -> str:
    """Return what a reading is of, in words."""
    of_many = f", geometric mean of {len(verdict.cases)}" if verdict.cases else ""
    of_many += f", {_left_out(verdict)}" if verdict.left_out else ""
    note = f"; {verdict.note}" if verdict.note else ""
    return f"{verdict.metric}, {names.get(verdict.target, verdict.target)}{of_many}{note}"


def equal(price: EqualPrice) -> str:
    """Return the price that would make both sides equal, with its interval."""
    spread = f" ({cells.interval_text(price.interval, price.unit)})" if price.interval else ""
    at = cells.number(price.value, price.unit)
    return f"equal if {price.of} is {price.way} at {at} a {price.per}{spread}"


def verdict_table(verdicts: list[Verdict], names: dict[str, str], name: str) -> Table:
    """Return every verdict of two systems with its numbers, of each axis those that count first."""
    a, b = verdicts[0].a, verdicts[0].b
    table = Table(id=name, title=f"All readings of {a} and {b}", columns=[
        Column(name="axis"), Column(name="metric"), Column(name="case or target"), Column(name="per"),
        Column(name=a, number=True), Column(name=b, number=True),
        Column(name="ratio", number=True, note=f"{a} over {b}, as it is: of times less is better"),
        Column(name="reading"), Column(name="why or of what"),
    ])  # fmt: skip
    if beside := {verdict.beside: None for verdict in verdicts if verdict.beside}:
        table.notes = [f"Not counted in a verdict, as the last column says: {listed(beside)}."]
    axes = list(dict.fromkeys(v.axis for v in verdicts))
    for v in sorted(verdicts, key=lambda v: (axes.index(v.axis), not v.counted)):
        short = short_names(list(v.cases))[0]
        listing = "; ".join(f"{short[case]} {times(ratio)}" for case, ratio in v.cases.items())
        table.rows.append([
            v.axis, v.metric, names.get(v.target, v.target), v.per,
            _side(v, v.a_value, v.a_source, v.a_doubt, v.a_id), _side(v, v.b_value, v.b_source, v.b_doubt, v.b_id),
            ratio_cell(v), v.reading,
            "; ".join(filter(None, (
                v.beside and f"not counted: {v.beside}", v.note, v.why,
                f"geometric mean of {len(v.cases)}: {listing}" if v.cases else "", _left_out(v) if v.left_out else "",
            ))),
        ])  # fmt: skip
    return table


def _left_out(verdict: Verdict) -> str:
    """The cases in doubt that a mean is not of."""
    short = short_names(list(verdict.left_out))[0]
    told = "; ".join(f"{short[case]} {MARK}{times(ratio)}" for case, (ratio, _) in verdict.left_out.items())
    return f"{left_out((word for _, word in verdict.left_out.values()), 'case')} ({told})"


def ratio_cell(verdict: Verdict) -> Cell:
    """Return a verdict's ratio as a cell."""
    if verdict.ratio is None:
        return Cell(value=None, unit="x", note=verdict.why)
    cell = Cell(value=verdict.ratio, unit="x", source=verdict.source, interval=verdict.interval, doubt=verdict.doubt)
    if name := ratio_id(verdict):
        cell.id, cell.formula = name, f"{verdict.a_id} / {verdict.b_id}"
        if verdict.interval is not None:
            low, high = (f"{cell.formula} * {end / verdict.ratio!r}" for end in verdict.interval)
            cell.ends = (low, high)
    return cell


def ratio_id(verdict: Verdict) -> str:
    """Return the name of the cell of a ratio that follows from assumptions, "" for any other."""
    return f"{verdict.a_id}_over_{verdict.b_id}" if verdict.ratio and verdict.a_id and verdict.b_id else ""


def _side(verdict: Verdict, value: float | None, source: str, doubt: str, name: str) -> Cell:
    if value is None:
        why = "see the cases of the geometric mean" if verdict.cases else verdict.why
        return Cell(value=None, unit=verdict.unit, note=why)
    return Cell(value=value, unit=verdict.unit, source=source, doubt=doubt, formula=name or None)


def _words(verdict: Verdict, names: dict[str, str]) -> dict[str, Any]:
    """A row of the picture that has words in the place of a mark; side: on whose they stand, 1 for the first."""
    words = verdict.reading.removeprefix("estimated: ")
    side = {f"only {verdict.a} can": 1, f"only {verdict.b} can": -1}.get(words, 0)
    row = f"{verdict.metric}: {names.get(verdict.target, verdict.target)}"
    return {"row": row, "series": verdict.b, "source": verdict.source, "words": words, "side": side,
            "reading": verdict.reading, "axis": verdict.axis}  # fmt: skip


def _row(verdict: Verdict, names: dict[str, str]) -> dict[str, Any]:
    ratio, interval = verdict.ratio or 1.0, verdict.interval
    if verdict.better == "lower":
        ratio = 1 / ratio
        interval = None if interval is None else (1 / interval[1], 1 / interval[0])
    low, high = interval or (None, None)
    name = f"{verdict.metric}: {names.get(verdict.target, verdict.target)}"
    shown = cells.text(Cell(value=ratio, unit="x", source=verdict.source))
    return {
        "row": name, "series": verdict.b, "ratio": ratio, "low": low, "high": high, "source": verdict.source,
        "reading": verdict.reading, "axis": verdict.axis,
        "label": f"{name}, against {verdict.b}: {shown}; {verdict.reading}",
    }  # fmt: skip
