"""How much of the peaks is used, and what a token costs in energy."""

from __future__ import annotations

from typing import Any

from bench.report import cells
from bench.report.document import Cell, Chart, Column, Section, Table
from bench.report.parts.numbers import of
from bench.report.rows import short_names
from bench.report.sides import Side
from bench.results.environment import idle_power
from bench.results.record import Row
from bench.units import counted

# More bars than this are not read; the table of every case has them all.
MOST_CASES = 12
EVERY = "every case"
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
    """Return measured joules per token and the power behind them; or why there are none."""
    section = Section(id="energy", title="Energy")
    for phase, kind in (("prefill", "prompt token"), ("decode", "output token")):
        chart = _dots(sides, phase, "joules_per_token", f"energy per {kind}, measured", f"energy-{phase}", "J/token")
        section.charts += [chart] if chart else []
    if not section.charts:
        section.text = [NO_ENERGY]
    section.tables = [_power_table(sides)]
    return section


def _power_table(sides: list[Side]) -> Table:
    """Return what each device drew, idle and while it was timed; a side without a sensor has one line with why."""
    table = Table(id="power", title="Power while idle and while it was timed", columns=[
        Column(name="case"), Column(name="system"), Column(name="idle", number=True),
        Column(name="while timed, mean", number=True), Column(name="above idle", number=True),
        Column(name="J per token", number=True), Column(name="readings", number=True),
        Column(name="warmest, \u00b0C", number=True), Column(name="the sensor covers"),
    ])  # fmt: skip
    table.notes = [
        "Idle: one reading just before the run. The highest power is not recorded: of the readings while a case was "
        "timed the mean is kept.",
    ]
    for side in sides:
        rows = [row for row in side.bought(side.rows) if row.status == "ok"]
        told = [row for row in rows if row.power_w is not None][:MOST_CASES]
        short, notes = short_names([row.case_id for row in told])
        table.notes += notes
        table.rows += [_power_line(side, row, short.get(row.case_id, EVERY)) for row in told or rows[:1]]
    return table


def _power_line(side: Side, row: Row, case: str) -> list[str | Cell]:
    idle = idle_power(side.operand.environment, row.device)
    why = "no sensor was asked" if row.source == "measured" else f"{row.source}: no sensor"
    why = row.telemetry_missing.get("power_w") or why
    quiet = Cell(value=None, unit="W", note="the run file has no idle power" if row.source == "measured" else why)
    if idle is not None:
        quiet = Cell(value=idle[0], unit="W", source="measured", note="" if idle[1] == row.power_basis else idle[1])
    timed = of(row, "power_w", why)
    above = Cell(value=None, unit="W", note=why if row.power_w is None else quiet.note)
    if idle is not None and row.power_w is not None and idle[1] == (row.power_basis or idle[1]):
        above = Cell(value=row.power_w - idle[0], unit="W", source=timed.source, doubt=timed.doubt)
    counted = (
        Cell(value=row.power_samples, unit="1", source="measured") if row.power_samples else of(None, "batch", why)
    )
    warm = Cell(value=None, unit="", note=row.telemetry_missing.get("temperature_c") or why)
    if row.temperature_c is not None:
        warm = Cell(value=row.temperature_c, unit="", source="measured")
    basis = "" if row.power_w is None else row.power_basis or "not told"
    return [
        case or "every case",
        side.label,
        quiet,
        timed,
        above,
        of(row, "joules_per_token", why),
        counted,
        warm,
        basis,
    ]


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
        alt=f"{title}, one dot a case and system, {counted(len(rows), 'dot')}.",
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
