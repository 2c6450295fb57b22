"""How much of the peaks is used, and what a token costs in energy."""

from __future__ import annotations

from typing import Any

from bench.report import cells
from bench.report.document import Chart, Column, Section, Table
from bench.report.parts.numbers import of
from bench.report.rows import short_names
from bench.report.sides import Side
from bench.results.record import Row

# More bars than this are not read; the table of every case has them all.
MOST_CASES = 12
NO_ENERGY = (
    "No side measured its power in the timed window, so there is no energy per token. It is never worked out from a "
    "design power (TDP): a device that waits for memory draws far less."
)


def utilization(sides: list[Side]) -> Section:
    """Return MFU of prefill and MBU of decode, case by case, as dots."""
    section = Section(id="utilization", title="How much of the peaks is used")
    for phase, metric, title in (
        ("prefill", "mfu", "share of peak FLOP/s (MFU) in prefill"),
        ("decode", "mbu", "share of peak memory bandwidth (MBU) in decode"),
    ):
        chart = _dots(sides, phase, metric, title, f"{metric}-{phase}", "share")
        if chart is None:
            section.notes.append(f"{title}: no side has one; peaks come from a sheet or from bench calibrate.")
        else:
            section.charts.append(chart)
    return section


def energy(sides: list[Side]) -> Section:
    """Return measured joules per token; or why there are none."""
    section = Section(id="energy", title="Energy")
    for phase, kind in (("prefill", "prompt token"), ("decode", "output token")):
        chart = _dots(sides, phase, "joules_per_token", f"energy per {kind}, measured", f"energy-{phase}", "J/token")
        section.charts += [chart] if chart else []
    bases = dict.fromkeys(row.power_basis for side in sides for row in side.rows if row.power_w and row.power_basis)
    section.notes = [f"power: {basis}" for basis in bases]
    if not section.charts:
        section.text = [NO_ENERGY]
        reasons = dict.fromkeys(
            f"{side.label}: {reason}" for side in sides for row in side.rows
            for key, reason in row.telemetry_missing.items() if key == "power_w"
        )  # fmt: skip
        section.notes += list(reasons)
    return section


def _dots(sides: list[Side], phase: str, metric: str, title: str, name: str, unit: str) -> Chart | None:
    pairs = [
        (side, row) for side in sides for row in side.bought(side.rows)
        if row.phase == phase and row.status == "ok" and _value(row, metric) is not None
    ]  # fmt: skip
    if not pairs:
        return None
    short, notes = short_names([row.case_id for _, row in pairs])
    table = Table(id=f"{name}-data", title=title, columns=[
        Column(name="case"), Column(name="system"), Column(name=title, number=True), Column(name="of which peak"),
    ], notes=notes)  # fmt: skip
    shown = list(dict.fromkeys(row.case_id for _, row in pairs))[:MOST_CASES]
    rows: list[dict[str, Any]] = []
    for side, row in pairs:
        if row.case_id in shown:
            cell = of(row, _key(row, metric))
            table.rows.append([short[row.case_id], side.label, cell, _basis(row, metric)])
            low, high = cell.interval or (None, None)
            rows.append({
                "row": short[row.case_id], "series": side.label, "value": cell.value, "low": low, "high": high,
                "source": cell.source, "doubt": cell.doubt,
                "label": f"{side.label}, {short[row.case_id]}: {cells.text(cell)}",
            })  # fmt: skip
    left = len({row.case_id for _, row in pairs}) - len(shown)
    return Chart(
        id=name, title=title[0].upper() + title[1:], kind="dots", rows=rows, marks=len(rows), table=table,
        alt=f"{title}, one dot a case and system, {len(rows)} dots.",
        caption=f"The first {MOST_CASES} cases; {left} more are in the table of every case." if left else "",
        options={"x_title": title, "percent": unit == "share"},
    )  # fmt: skip


def _key(row: Row, metric: str) -> str:
    return metric if getattr(row, metric) is not None or metric == "joules_per_token" else f"{metric}_achieved"


def _value(row: Row, metric: str) -> float | None:
    value = getattr(row, _key(row, metric))
    return None if value is None else float(value)


def _basis(row: Row, metric: str) -> str:
    if metric == "joules_per_token":
        return row.power_basis or "what the sensor covers is not told"
    return "sheet, dense" if getattr(row, metric) is not None else "reached on this machine by bench calibrate"
