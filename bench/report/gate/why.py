"""Why a verdict is what it is: the sessions, what they are made of, and the arithmetic, to be followed by hand."""

from __future__ import annotations

import math

from bench.errors import ResultError, listed, nearest
from bench.project import matches
from bench.report.gate import words
from bench.report.layout import Column, Table, plain
from bench.report.terminal import PIPE_WIDTH, table_text
from bench.results.gate.document import Checked, Finding
from bench.results.gate.verdict import Judged, Median, Step, Why
from bench.units import MISSING, percent


def why_text(checked: Checked, pattern: str, width: int = PIPE_WIDTH) -> str:
    """Return what is behind the verdicts of the cases that match a pattern (a case id, a workload, or with * and ?).

    Raises: ResultError where none does, with the nearest.
    """
    chosen = words.ranked(one for one in checked.findings if matches(one.case_id, pattern))
    if not chosen:
        known = list(dict.fromkeys(one.case_id for one in checked.findings))
        hint = nearest(pattern, known) or (f"; cases: {listed(known, 6)}" if known else ", which judged nothing")
        raise ResultError(f"no case of this check matches '{pattern}'{hint}")
    return "\n\n\n".join(_finding(one, width) for one in chosen)


def _finding(one: Finding, width: int) -> str:
    values = f"{words.value_text(one, one.baseline)} -> {words.value_text(one, one.candidate)}"
    again = words.second_look_text(one)
    lines = [
        f"{words.place(one, True)}: {words.verdict_text(one)}{f' (second look: {again})' if again else ''}",
        f"{values}, {words.source_text(one)}. {plain(words.reason_text(one))}",
    ]
    if one.accepted:
        lines.append(f"in the baseline's level: {plain(one.accepted)}")
    for name, judged in (("First look", one.first), ("Second look", one.second)):
        if judged is not None:
            lines += ["", *_look(name, judged, judged.why, one.unit, width)]
    if one.first is None:
        lines.append("The document holds no arithmetic of this verdict.")
    return "\n".join(lines)


def _look(name: str, judged: Judged, why: Why | None, unit: str, width: int) -> list[str]:
    head = f"{name}: {judged.verdict}"
    if why is None:
        return [head, "no statistics: this verdict needs none (the reason says why)"]
    how = f"{len(why.baseline)} pairs in turns" if why.paired else (
        f"{len(why.baseline)} baseline and {len(why.candidate)} candidate sessions (sessions of one sitting count once)"
    )  # fmt: skip
    others = f"{why.metrics - 1} other{'' if why.metrics == 2 else 's'}"
    together = "alone" if why.metrics == 1 else f"together with {others}"
    lines = [f"{head}; {how}; judged {together}; {why.degrees} degrees of freedom"]
    lines += [f"{border}: {' | '.join(map(plain, sides))}" for border, sides in why.made_of.items()]
    table = _pairs(why, unit) if why.paired else _sessions(why, unit)
    return [*lines, "", table_text(table, width), "", table_text(_steps(why.steps), width)]


def _sessions(why: Why, unit: str) -> Table:
    table = Table([
        Column("side"), Column("session"), Column("samples", right=True, keep=3),
        Column(f"quartiles, {unit}", right=True, keep=1), Column("others' cores", right=True, keep=2),
        Column(f"median, {unit}", right=True), Column("log(median)", right=True),
    ])  # fmt: skip
    for side, medians in (("baseline", why.baseline), ("candidate", why.candidate)):
        for one in medians:
            table.rows += [_row(side, each.label, each) for each in one.sessions]
            # Of a sitting only the mean goes on into the arithmetic.
            label = f"= mean of the {len(one.sessions)} above, one sitting" if one.sessions else one.label
            table.rows.append(_row(side, label, one))
    return table


def _row(side: str, label: str, one: Median) -> list[str]:
    count = MISSING if one.count is None else str(one.count)
    return [side, label, count, _quartiles(one), _others(one), _exact(one.value), f"{math.log(one.value):.6f}"]


def _others(one: Median) -> str:
    return MISSING if one.others is None else f"{one.others:.2f}"


def _pairs(why: Why, unit: str) -> Table:
    table = Table([
        Column("pair", right=True), Column("baseline session", keep=2), Column(f"median, {unit}", right=True),
        Column("candidate session", keep=1), Column(f"median, {unit}", right=True),
        Column("others' cores", right=True, keep=3), Column("log(candidate / baseline)", right=True),
    ])  # fmt: skip
    for index, (old, new) in enumerate(zip(why.baseline, why.candidate, strict=False), 1):
        both = f"{math.log(new.value / old.value):+.6f}"
        others = MISSING if old.others is new.others is None else f"{_others(old)}, {_others(new)}"
        table.rows.append([str(index), old.label, _exact(old.value), new.label, _exact(new.value), others, both])
    return table


def _steps(steps: list[Step]) -> Table:
    rows = [[step.name, f"= {step.formula}", f"= {_value(step)}"] for step in steps]
    return Table([Column("quantity"), Column("formula", wrap=True), Column("value")], rows)


def _value(step: Step) -> str:
    if step.unit == "share":
        return percent(step.value)
    return f"{step.value:.6f}" if step.unit == "log" else f"{step.value:.6g}"


def _quartiles(one: Median) -> str:
    return MISSING if one.quartiles is None else f"{_exact(one.quartiles[0])} to {_exact(one.quartiles[1])}"


def _exact(value: float) -> str:
    return f"{value:.7g}"
