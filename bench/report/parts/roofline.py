"""Rooflines: the ceilings of each device, and how close its cases come to them."""

from __future__ import annotations

from bench.report.document import Cell, Chart, Column, Section, Table
from bench.report.parts.numbers import derived, point
from bench.report.rows import short_names
from bench.report.sides import Side
from bench.results.compare import source_of
from bench.results.record import Row
from bench.units import counted, scaled


def rooflines(sides: list[Side]) -> Section:
    """Return one roofline a side whose peaks are known, with its cases on it."""
    section = Section(id="roofline", title="How close to the hardware: rooflines")
    for number, side in enumerate(sides, 1):
        rows = [row for row in side.rows if row.devices == 1 and _intensity(row)]
        dtypes = list(dict.fromkeys(row.dtype for row in rows if row.dtype in side.paper.peak_flops))
        if not rows or not dtypes or not side.paper.memory_bytes_per_s:
            section.notes.append(f"{side.label}: no roofline: {_why(rows)}")
            continue
        section.charts.append(_chart(side, rows, dtypes, side.paper.memory_bytes_per_s, number))
    return section


def _why(rows: list[Row]) -> str:
    if not rows:
        return "no case has both FLOPs and bytes"
    return "its peaks are not known; measure them with: bench calibrate"


def _intensity(row: Row) -> float | None:
    moved = (row.read_bytes or 0) + (row.written_bytes or 0)
    return row.flops / moved if row.status == "ok" and row.step_s and row.flops and moved else None


def _chart(side: Side, rows: list[Row], dtypes: list[str], bandwidth: float, number: int) -> Chart:
    short, _ = short_names([row.case_id for row in rows])
    table = Table(id=f"roofline-{number}-data", title=f"{side.label}: work per byte, and what was reached", columns=[
        Column(name="case"), Column(name="phase"), Column(name="FLOP per byte", number=True),
        Column(name="reached", number=True), Column(name="ceiling there", number=True),
        Column(name="share of the ceiling", number=True),
    ])  # fmt: skip
    points = []
    for row in rows:
        x = _intensity(row) or 0.0
        y = derived(row, (row.flops or 0.0) / (row.step_s or 1.0), "FLOP/s")
        peak = side.paper.peak_flops.get(row.dtype)
        roof = None if peak is None else min(peak, x * bandwidth)
        share = derived(row, None if roof is None or y.value is None else y.value / roof, "share", "no published peak")
        ceiling = Cell(value=roof, unit="FLOP/s", source=side.paper.source if roof else "missing")
        points.append(point(row.phase, x, y, f"{short[row.case_id]}, {x:.3g} FLOP a byte"))
        table.rows.append(
            [short[row.case_id], row.phase, Cell(value=x, unit="FLOP/B", source=source_of(row)), y, ceiling, share]
        )
    far = max(point["x"] for point in points) * 3
    near = min(point["x"] for point in points) / 3
    flat: dict[float, list[str]] = {}
    for dtype in dtypes:
        flat.setdefault(side.paper.peak_flops[dtype], []).append(dtype)
    roofs = [_roof(", ".join(names), peak, bandwidth, near, far) for peak, names in flat.items()]
    peaks = ", ".join(f"{dtype} {scaled(side.paper.peak_flops[dtype], 'FLOP/s')}" for dtype in dtypes)
    measured = side.operand.environment is not None
    basis = (
        "the best rates that calibration reached here, or the sheet's peaks" if measured else "the sheet's dense peaks"
    )
    return Chart(
        id=f"roofline-{number}", title=f"{side.label}: roofline of one {side.rows[0].unit}", kind="roofline",
        rows=points, marks=len(points), table=table,
        alt=f"Roofline of {side.label}: FLOP per second against FLOP per byte, ceilings {peaks} and "
        f"{scaled(bandwidth, 'B/s')}; {counted(len(points), 'case')}.",
        caption=f"Ceilings are {basis}: {peaks}, {scaled(bandwidth, 'B/s')}. A case under the slope waits for memory, "
        "one under a flat part for arithmetic; how far below it stands is what software and launches leave.",
        options={
            "roofs": roofs, "x_title": "FLOP per byte moved", "y_title": "FLOP per second",
            "slope": _slope(near, max(flat), bandwidth),
        },
    )  # fmt: skip


def _slope(near: float, peak: float, bandwidth: float) -> dict[str, object]:
    """The memory's name, a third of the way up."""
    x = near ** (2 / 3) * (peak / bandwidth) ** (1 / 3)
    return {"x": x, "y": x * bandwidth, "text": scaled(bandwidth, "B/s")}


def _roof(name: str, peak: float, bandwidth: float, near: float, far: float) -> dict[str, object]:
    ridge = peak / bandwidth
    xs = [near, ridge, max(far, ridge * 3)] if near < ridge else [near, far]
    return {"text": name, "points": [[x, min(peak, x * bandwidth)] for x in xs]}
