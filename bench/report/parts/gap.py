"""Where is the gap: what of a step the hardware needs, what kernels add, what launches and links add."""

from __future__ import annotations

from typing import Any

from bench.report import cells
from bench.report.document import Cell, Chart, Column, Section, Table
from bench.report.parts.numbers import derived
from bench.report.rows import short_names
from bench.report.sides import Paper, Side
from bench.results.compare import basis_of, source_of
from bench.results.doubt import doubt
from bench.results.record import KernelCost, Row

HARDWARE, KERNELS, LAUNCH, LINKS, REST = (
    "hardware", "kernels", "launch", "links", "kernels and launch",
)  # fmt: skip
MEANING = {
    HARDWARE: "the least time that the device's peaks allow for this work",
    KERNELS: "what its kernels take beyond that",
    LAUNCH: "starting kernels, and the host",
    LINKS: "exchange between devices",
    REST: "what is beyond the hardware's part; a measured step does not tell kernels and launches apart",
}
MOST_KINDS = 8


def gap(sides: list[Side]) -> Section:
    """Return the parts of a decode and of a prefill step, and the kernels that take the most of it."""
    section = Section(id="gap", title="Where is the gap: hardware, kernels, launch or links")
    for phase in ("decode", "prefill"):
        chosen = _one_case(sides, phase)
        if chosen:
            section.charts.append(_parts_chart(phase, chosen))
            kernels = _kernel_chart(phase, chosen)
            section.charts += [kernels] if kernels else []
            section.text += _sentence(phase, chosen)
    if not section.charts:
        section.text = ["No side has a step whose kernels and peaks are known."]
    return section


def _one_case(sides: list[Side], phase: str) -> list[tuple[Side, Row]]:
    """One case of each side: the one that the most sides have, of those the one with the most work."""
    having: dict[str, list[tuple[Side, Row]]] = {}
    for side in sides:
        for row in {row.case_id: row for row in side.rows if row.devices == 1}.values():
            if row.phase == phase and row.status == "ok" and row.kernels and parts(row, side.paper):
                having.setdefault(row.case_id, []).append((side, row))
    return max(having.values(), key=lambda pairs: (len(pairs), pairs[0][1].flops or 0), default=[])


def parts(row: Row, paper: Paper) -> dict[str, float]:
    """Return the seconds of each part of a step; empty where the device's peaks are not known."""
    if not paper.memory_bytes_per_s or not row.step_s or not paper.peak_flops:
        return {}
    local = [kernel for kernel in row.kernels if not kernel.link_bytes]
    least = sum(_least(kernel, paper) * kernel.count for kernel in local)
    if any(kernel.seconds is None for kernel in row.kernels):
        return {HARDWARE: min(least, row.step_s), REST: max(row.step_s - least, 0.0)}
    taken = {kind: sum(_total(k) for k in row.kernels if _kind(k) == kind) for kind in (KERNELS, LAUNCH, LINKS)}
    hard = sum(min(_least(k, paper) * k.count, _total(k)) for k in local)
    started = sum(min(_least(k, paper) * k.count, _total(k)) for k in local if _kind(k) == LAUNCH)
    host = max(row.step_s - sum(taken.values()), 0.0)
    return {
        HARDWARE: hard, KERNELS: taken[KERNELS] - (hard - started), LAUNCH: taken[LAUNCH] - started + host,
        LINKS: taken[LINKS],
    }  # fmt: skip


def _kind(kernel: KernelCost) -> str:
    return LINKS if kernel.link_bytes else LAUNCH if kernel.bound == "launch" else KERNELS


def _total(kernel: KernelCost) -> float:
    return (kernel.seconds or 0.0) * kernel.count


def _least(kernel: KernelCost, paper: Paper) -> float:
    """The roof of one launch in seconds."""
    peak = paper.peak_flops.get(kernel.dtype)
    moved = kernel.read_bytes + kernel.written_bytes
    return max(kernel.flops / peak if peak else 0.0, moved / (paper.memory_bytes_per_s or float("inf")))


def _parts_chart(phase: str, chosen: list[tuple[Side, Row]]) -> Chart:
    case = short_names([chosen[0][1].case_id])[0][chosen[0][1].case_id]
    table = Table(id=f"gap-{phase}-data", title=f"Parts of one step: {case}", columns=[
        Column(name="system"), Column(name="part"), Column(name="time", number=True),
        Column(name="share of the step", number=True), Column(name="what it is"),
    ])  # fmt: skip
    rows: list[dict[str, Any]] = []
    for side, row in chosen:
        whole = row.step_s or 1.0
        for part, taken in parts(row, side.paper).items():
            rows.append(_bar(side.label, part, taken, source_of(row), doubt(row)))
            time, share = derived(row, taken, "s"), derived(row, taken / whole, "share")
            time.interval = share.interval = None
            table.rows.append([side.label, part, time, share, MEANING[part]])
    drawn = dict.fromkeys(row["part"] for row in rows)
    hidden = [
        side.label for side, row in chosen if sum(parts(row, side.paper).values()) > (row.step_s or 0.0) * 1.001
    ]  # fmt: skip
    if hidden:
        table.notes.append(
            f"{', '.join(hidden)}: links overlap with computing, so the parts add up to more than the step."
        )
    return Chart(
        id=f"gap-{phase}", title=f"What a {phase} step consists of", kind="stack", rows=rows, marks=len(rows),
        table=table, alt=f"Bars of one {phase} step for each system, split into hardware, kernels, launch and links.",
        caption=f"{case}. " + "; ".join(f"{part}: {MEANING[part]}" for part in drawn) + ".",
        options={"x_title": "time of one step, s"},
    )  # fmt: skip


def _bar(series: str, part: str, value: float, source: str, in_doubt: str = "") -> dict[str, Any]:
    cell = Cell(value=value, unit="s", source=source, doubt=in_doubt)
    return {
        "series": series, "part": part, "value": value, "source": source, "doubt": in_doubt,
        "label": f"{series}, {part}: {cells.text(cell)}",
    }  # fmt: skip


def _kernel_chart(phase: str, chosen: list[tuple[Side, Row]]) -> Chart | None:
    priced = [(side, row) for side, row in chosen if all(kernel.seconds is not None for kernel in row.kernels)]
    if not priced:
        return None
    taken: dict[str, float] = {}
    for _, row in priced:
        for kernel in row.kernels:
            taken[kernel.name] = taken.get(kernel.name, 0.0) + _total(kernel) / len(priced)
    most = sorted(taken, key=lambda name: -taken[name])[:MOST_KINDS]
    table = Table(id=f"kernels-{phase}-data", title=f"Kernels of one {phase} step", columns=[
        Column(name="system"), Column(name="kernel"), Column(name="precision"), Column(name="launches", number=True),
        Column(name="time in all", number=True), Column(name="over the hardware's least", number=True),
        Column(name="held back by"), Column(name="priced"),
    ])  # fmt: skip
    rows: list[dict[str, Any]] = []
    for side, row in priced:
        sums: dict[str, float] = dict.fromkeys([*most, "others"], 0.0)
        for kernel in sorted(row.kernels, key=lambda kernel: -_total(kernel)):
            sums[kernel.name if kernel.name in most else "others"] += _total(kernel)
            table.rows.append(_kernel_row(side, row, kernel))
        rows += [_bar(side.label, name, value, source_of(row)) for name, value in sums.items() if value]
    return Chart(
        id=f"kernels-{phase}", title=f"Time of a {phase} step by kernel", kind="bars", rows=rows, marks=len(rows),
        table=table, alt=f"Time in each kernel of one {phase} step, by system; the {len(most)} longest and the others.",
        caption=f"The {len(most)} kernels that take the most, and the others together.",
        options={"x_title": "time in one step, s"},
    )  # fmt: skip


def _kernel_row(side: Side, row: Row, kernel: KernelCost) -> list[str | Cell]:
    least = _least(kernel, side.paper)
    source = row.source if kernel.tier is None else f"{row.source}:{kernel.tier}"
    over = None if not least or kernel.link_bytes else (kernel.seconds or 0.0) / least
    return [
        side.label, kernel.name, kernel.dtype, Cell(value=kernel.count, unit="1", source=source),
        Cell(value=_total(kernel), unit="s", source=source),
        Cell(value=over, unit="x", source=source if over else "missing", note="" if over else "goes over links"),
        kernel.bound or "", kernel.tier or "",
    ]  # fmt: skip


def _sentence(phase: str, chosen: list[tuple[Side, Row]]) -> list[str]:
    """What the difference between the first side and each other consists of."""
    told: list[str] = []
    (first, row), *others = chosen
    mine = parts(row, first.paper)
    for other, its in others:
        theirs = parts(its, other.paper)
        if set(mine) != set(theirs):
            continue
        whole = sum(mine.values()) - sum(theirs.values())
        slow, fast = (first.label, other.label) if whole > 0 else (other.label, first.label)
        shares = sorted(((mine[part] - theirs[part]) / whole, part) for part in mine) if whole else []
        listing = ", ".join(f"{part} {round(share, 2) + 0.0:+.0%}" for share, part in reversed(shares))
        basis = basis_of(row, its)
        front = f"in doubt ({basis.doubt}): " if basis.doubt else basis.front
        told.append(
            f"{front}{phase}: a step of {slow} takes {cells.number(abs(whole), 's')} longer than one of {fast} "
            f"(one device, before overlap). Of that: {listing}."
        )
    return told
