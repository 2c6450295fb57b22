"""The verdicts as a picture: their ratios on one axis, to the right where the first side is better."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from bench.report import cells
from bench.report.document import Cell, Chart, Column, Section, Table
from bench.report.rows import short_names
from bench.results.reading import EQUAL
from bench.results.verdict import EqualPrice, Verdict

MOST_TOLD = 6


def glance(verdicts: list[Verdict]) -> Section:
    """Return the forest plot of the verdicts that have a ratio, and all of them as a table."""
    names = shortened(verdicts)
    section = Section(id="ratios", title="How much, and how sure")
    for number, other in enumerate(dict.fromkeys(verdict.b for verdict in verdicts), 1):
        pair = [verdict for verdict in verdicts if verdict.b == other]
        table = verdict_table(pair, names, f"ratios-{number}")
        if any(verdict.ratio and verdict.counted for verdict in pair):
            section.charts.append(_forest(pair, names, number, table))
        else:
            section.text.append(f"{pair[0].a} and {other}: no case has a number on both sides, so there is no ratio.")
            section.tables.append(table)
    return section


def _forest(pair: list[Verdict], names: dict[str, str], number: int, table: Table) -> Chart:
    a, b = pair[0].a, pair[0].b
    drawn = [verdict for verdict in pair if verdict.ratio and verdict.counted]
    rows = [_row(verdict, names) for verdict in drawn]
    told = "; ".join(f"{row['row']}: {row['ratio']:.2f} ({row['source']})" for row in rows[:MOST_TOLD])
    return Chart(
        id=f"forest-{number}", title=f"{a} against {b}: the ratios behind the verdicts", kind="forest", rows=rows,
        marks=len(rows),
        alt=f"{len(drawn)} ratios of {a} to {b} with their intervals; to the right {a} is better. {told}",
        table=table, options={"better": [f"\u2190 {b} better", f"{a} better \u2192"]},
        caption=f"Ratios of {a} to {b}, those of times, energies and costs turned round: a number above 1x is always "
        f"in favour of {a}. Grey: equal within {EQUAL:.0%}. A line is the interval; where it reaches the grey band, "
        "nobody is told better.",
    )  # fmt: skip


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
    of_many = f", geometric mean of {len(verdict.cases)}" if verdict.cases else ""
    what = f"{verdict.metric}, {names.get(verdict.target, verdict.target)}{of_many}"
    what += f"; {verdict.note}" if verdict.note else ""
    if verdict.equal is not None:
        return f"estimated: {equal(verdict.equal)}: {what}"
    if verdict.ratio is None:
        return f"{verdict.reading} ({verdict.why}): {what}"
    spread = f", {cells.interval_text(verdict.interval, 'x')}" if verdict.interval else ""
    return f"{verdict.reading} (ratio {verdict.ratio:.2f}x{spread}): {what}"


def equal(price: EqualPrice) -> str:
    """Return the price that would make both sides equal, with its interval."""
    spread = f" ({cells.interval_text(price.interval, price.unit)})" if price.interval else ""
    at = cells.number(price.value, price.unit)
    return f"equal if {price.of} is {price.way} at {at} a {price.per}{spread}"


def verdict_table(verdicts: list[Verdict], names: dict[str, str], name: str) -> Table:
    """Return every verdict of two systems with its numbers."""
    a, b = verdicts[0].a, verdicts[0].b
    table = Table(id=name, title=f"All readings of {a} and {b}", columns=[
        Column(name="axis"), Column(name="metric"), Column(name="case or target"), Column(name="per"),
        Column(name=a, number=True), Column(name=b, number=True),
        Column(name="ratio", number=True, note=f"{a} over {b}, as it is: of times less is better"),
        Column(name="reading"), Column(name="why or of what"),
    ])  # fmt: skip
    if not all(verdict.counted for verdict in verdicts):
        table.notes = ["Throughput at the same batch is left out of the verdict where service targets were read."]
    for v in verdicts:
        short = short_names(list(v.cases))[0]
        listing = "; ".join(f"{short[case]} {ratio:.2f}x" for case, ratio in v.cases.items())
        table.rows.append([
            v.axis, v.metric, names.get(v.target, v.target), v.per, _side(v, v.a_value, v.a_source),
            _side(v, v.b_value, v.b_source), ratio_cell(v), v.reading,
            "; ".join(filter(None, (v.note, v.why, f"geometric mean of {len(v.cases)}: {listing}" if v.cases else ""))),
        ])  # fmt: skip
    return table


def ratio_cell(verdict: Verdict) -> Cell:
    """Return a verdict's ratio as a cell."""
    if verdict.ratio is None:
        return Cell(value=None, unit="x", note=verdict.why)
    return Cell(value=verdict.ratio, unit="x", source=verdict.source, interval=verdict.interval)


def _side(verdict: Verdict, value: float | None, source: str) -> Cell:
    if value is None:
        why = "see the cases of the geometric mean" if verdict.cases else verdict.why
        return Cell(value=None, unit=verdict.unit, note=why)
    return Cell(value=value, unit=verdict.unit, source=source)


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
