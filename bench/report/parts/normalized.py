"""The same throughput per device, package, node, peak and watt; each basis printed, none mixed."""

from __future__ import annotations

from bench.report.document import Assumption, Cell, Column, Section, Table
from bench.report.rows import short_names
from bench.report.sides import Part, Side
from bench.results.compare import source_of
from bench.results.doubt import doubt
from bench.results.normalize import Normalized, normalized
from bench.results.record import Row

NODE = Assumption(
    id="packages_per_node", label="accelerator packages in a node", value=8, unit="1", example=True,
    source="servers of the HGX H100, H200, B200 and Atlas 800 A3 kind hold 8", date="2026-11",
)  # fmt: skip
MOST_ROWS = 60


def bases(sides: list[Side]) -> Part:
    """Return each throughput on every basis that the devices' figures allow."""
    section = Section(id="normalized", title="The same, per device, package, node, peak and watt")
    pairs = [(side, row) for side in sides for row in _rows(side)]
    order = list(dict.fromkeys(row.case_id for _, row in pairs))
    pairs.sort(key=lambda pair: order.index(pair[1].case_id))
    if not pairs:
        section.text = ["No side has a throughput to divide."]
        return Part([section])
    short, notes = short_names(order)
    table = Table(id="normalized", title="Throughput on each basis", columns=[
        Column(name="case or target"), Column(name="system"), Column(name="tokens"), Column(name="precision"),
        Column(name="per device", number=True, note="one torch device: a die where a package has several"),
        Column(name="per package", number=True), Column(name="per node", number=True),
        Column(name="per TFLOP/s of dense peak", number=True), Column(name="per GB/s of memory", number=True),
        Column(name="per W, measured", number=True),
        Column(name="per W of design power", number=True, note="TDP; not energy"),
    ])  # fmt: skip
    for number, (side, row) in enumerate(pairs[:MOST_ROWS], 1):
        table.rows.append(_line(side, row, short[row.case_id], number))
    table.notes = [
        *notes,
        "Peaks and bandwidth are the sheet's, dense, in the row's precision; INT8 in TOP/s.",
        "A node's number takes its packages as many times one alone; the count is an assumption, below.",
        "Per rack unit there is no number: no sheet has a source for the height of a node. Divide a node's by its own.",
        "Design power is what a device may draw, not what it drew: it says how much cooling is bought, not energy.",
    ]
    if len(pairs) > MOST_ROWS:
        table.notes.append(f"{len(pairs) - MOST_ROWS} more are in the table of every case.")
    section.tables = [table]
    return Part([section], assumptions=[NODE])


def _rows(side: Side) -> list[Row]:
    """Throughput at targets where it was solved, prefill beside it, else every case; of one device each."""
    prefill = [row for row in side.rows if row.phase == "prefill"]
    decode = side.at_targets or [row for row in side.rows if row.phase == "decode"]
    return [row for row in (*decode, *prefill) if row.devices == 1 and row.status == "ok"]


def _line(side: Side, row: Row, name: str, number: int) -> list[str | Cell]:
    paper, whole = side.paper, 1 if row.unit == "machine" else side.paper.devices_per_package
    node = None if row.unit == "machine" else round(whole * NODE.value)
    known = {"peak_flops": paper.peak_flops.get(row.dtype), "peak_bytes_per_s": paper.memory_bytes_per_s}
    found = normalized(row, devices_in_package=whole, devices_in_node=node, **known)
    design = normalized(row, tdp_w=paper.tdp_w)[-1] if paper.tdp_w else None
    cells = [_cell(row, each) for each in found]
    if cells[1].value is not None and cells[2].value is not None:
        cells[1].id, cells[2].formula = f"package_{number}", f"package_{number} * {NODE.id}"
        if cells[2].interval is not None:
            low, high = (f"{cells[2].formula} * {end / cells[2].value!r}" for end in cells[2].interval)
            cells[2].ends = (low, high)
    tdp = (
        Cell(value=None, unit="tok/s per W", note="no published design power") if design is None else _cell(row, design)
    )
    kind = "prompt" if row.phase == "prefill" else "output"
    return [name, side.label, kind, row.dtype, *cells, tdp]


def _cell(row: Row, number: Normalized) -> Cell:
    source = "missing" if number.value is None else source_of(row)
    return Cell(
        value=number.value, unit=number.unit, source=source, interval=number.interval, doubt=doubt(row),
        note=number.basis,
    )  # fmt: skip
