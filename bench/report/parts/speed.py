"""What each side yields: at service targets, against the speed a user sees, and case by case."""

from __future__ import annotations

from collections.abc import Callable

from bench.report.document import Cell, Chart, Column, Section, Table
from bench.report.parts.numbers import PER_PHASE, derived, of, point, rate_of
from bench.report.rows import marked_source, odd_notes, short_names
from bench.report.sides import Side
from bench.results.pairs import EIGHT_BIT, own_eight_bit, rank, served_order
from bench.results.record import Row
from bench.results.target import Target
from bench.units import as_given, counted

NO_TOKENS = "a layer or a kernel alone yields no tokens"


def speed(sides: list[Side], targets: list[Target]) -> Section:
    """Return throughput against user speed, what keeps each target, and every case."""
    section = Section(id="throughput", title="Throughput at the speed a user sees")
    for number, family in enumerate(families(sides, "decode"), 1):
        section.charts += _frontier(sides, family, targets, number)
    targets_table = _target_table(sides)
    section.tables += [targets_table] if targets_table.rows else []
    section.tables.append(case_table(sides))
    return section


def families(sides: list[Side], phase: str) -> list[tuple[str, str, int]]:
    """Return the (workload, precision, length) of which some side has several batches.

    Those of the most sides first, of these what a service would run, of these the most points.
    """
    found: dict[tuple[str, str, int], list[set[int]]] = {}
    precision = _precisions(sides)
    for side in sides:
        mine: dict[tuple[str, str, int], set[int]] = {}
        for row in side.sweep:
            if row.phase == phase and row.status == "ok" and (row.routing or "uniform") == _routing(side, row):
                key = (
                    row.workload,
                    precision(side, row),
                    (row.context if phase == "decode" else row.input_len) or 0,
                )
                mine.setdefault(key, set()).add(row.batch or 0)
        for key, batches in mine.items():
            found.setdefault(key, []).append(batches)
    several = [key for key, each in found.items() if max(map(len, each)) > 1]
    return sorted(several, key=lambda key: (-len(found[key]), rank(key[1]), -sum(map(len, found[key]))))[:2]


def _precisions(sides: list[Side]) -> Callable[[Side, Row], str]:
    """Return what gives the precision that a row is drawn in: "8-bit" where each side has its own and this is it."""
    own = {side.label: own_eight_bit(side.rows) for side in sides}

    def precision(side: Side, row: Row) -> str:
        paths = {each[row.workload] for each in own.values() if row.workload in each}
        return EIGHT_BIT if len(paths) > 1 and row.dtype == own[side.label].get(row.workload) else row.dtype

    return precision


def _routing(side: Side, row: Row) -> str:
    return next((r.routing or "uniform" for r in side.rows if r.workload == row.workload), "uniform")


def _frontier(sides: list[Side], family: tuple[str, str, int], targets: list[Target], number: int) -> list[Chart]:
    workload, dtype, context = family
    precision = _precisions(sides)
    drawn: dict[str, str] = {}
    table = Table(id=f"frontier-{number}-data", title=f"{workload}, {dtype}, context {context}", columns=[
        Column(name="system"), Column(name="batch per device", number=True), Column(name="tok/s a user", number=True),
        Column(name="output tokens", number=True), Column(name="time per output token", number=True),
    ])  # fmt: skip
    rows = []
    for side in sides:
        mine = (
            r for r in side.sweep
            if r.phase == "decode" and (r.workload, r.context) == (workload, context)
            and precision(side, r) == dtype
        )  # fmt: skip
        for row in sorted(mine, key=lambda row: row.batch or 0):
            if row.status != "ok" or not row.tpot_s or not row.output_tokens_per_s:
                continue
            drawn[side.label] = row.dtype
            y = of(row, "output_tokens_per_s")
            what = f"batch {row.batch}, {1 / row.tpot_s:.3g} tok/s a user"
            rows.append(point(side.label, 1 / row.tpot_s, y, what, text=f"{row.batch}"))
            table.rows.append([
                side.label, of(row, "batch"), derived(row, 1 / row.tpot_s, "tok/s"), y, of(row, "tpot_s"),
            ])  # fmt: skip
    if not rows:
        return []
    own = ", ".join(f"{path} of {label}" for label, path in drawn.items())
    paths = f" {dtype}: {own}." if dtype == EIGHT_BIT else ""
    return [Chart(
        id=f"frontier-{number}", title=f"{workload}, {dtype}, context {context}: throughput against user speed",
        kind="curve", rows=rows, marks=len(rows), table=table,
        alt=f"For each system, output tokens per second of one {_units(sides)} against tokens per second that each "
        f"user sees, one point a batch; {counted(len(rows), 'point')}.",
        caption="Right is faster for each user, up is more in all; numbers are batches per device. Points are joined "
        "by straight lines. A band is the interval of the step's time; hollow points were not measured. "
        "Dashed: targets, time per output token." + paths,
        options={
            "x_title": "tok/s for each user", "y_title": f"output tok/s of a {_units(sides)}",
            "x_log": True, "y_log": True, "text": True,
            "rules": [{"x": 1 / t.tpot_s, "text": as_given(t.tpot_s)} for t in targets if t.tpot_s],
        },
    )]  # fmt: skip


def _units(sides: list[Side]) -> str:
    return " or ".join(dict.fromkeys(side.unit for side in sides))


def _target_table(sides: list[Side]) -> Table:
    every = [(side, row) for side in sides for row in side.bought(side.at_targets)]
    # What nobody can do is in the list of what was not run.
    kept = {row.case_id for _, row in every if row.status == "ok"}
    rows = [(side, row) for side, row in every if row.case_id in kept]
    short, notes = short_names([row.case_id for _, row in rows])
    table = Table(id="targets", title="The most each system yields with every token in time", columns=[
        Column(name="target"), Column(name="system"), Column(name="per"), Column(name="precision"),
        Column(name="batch per device", number=True), Column(name="prompt or output tokens", number=True),
        Column(name="time of a step", number=True), Column(name="per TFLOP/s of peak", number=True),
        Column(name="held back by"),
    ])  # fmt: skip
    order = served_order(row for _, row in rows)
    for side, row in sorted(rows, key=lambda pair: order.index(pair[1].case_id)):
        reason = row.reason or ""
        table.rows.append([
            short[row.case_id], side.label, row.unit, row.dtype,
            of(row, "batch") if row.status == "ok" else of(None, "batch", reason),
            of(row, rate_of(row)), of(row, "step_s"), of(row, "tokens_per_s_per_tflops"),
            (row.bound or "") if row.status == "ok" else "",
        ])  # fmt: skip
    table.notes = [
        *notes,
        "8-bit: each device's own 8-bit path, fp8 or int8; other lines have one precision on all sides.",
        "The batch that yields the most of those whose step is not longer than the target, within the device's memory; "
        "of measured batches the largest.",
        "The interval of what is yielded has batches of its own at its ends: steps that take longer leave fewer "
        "sequences in time, or none, and then it begins at 0.",
    ]
    return table


def case_table(sides: list[Side]) -> Table:
    """Return every case of every side, beside each other."""
    ids = dict.fromkeys(row.case_id for side in sides for row in side.rows)
    short, notes = short_names(list(ids))
    table = Table(id="cases", title="Every case", columns=[
        Column(name="case"), Column(name="system"), Column(name="per"), Column(name="status"),
        Column(name="time of a step", number=True), Column(name="prompt or output tokens", number=True),
        Column(name="MFU", number=True), Column(name="MBU", number=True),
        Column(name="held back by"), Column(name="source"),
    ])  # fmt: skip
    # Percentiles need many samples, so most runs have none.
    shares = [key for key in ("p90_s", "p99_s") if any(getattr(row, key) for side in sides for row in side.rows)]
    table.columns += [Column(name=f"{key[:3]} of the step", number=True) for key in shares]
    by_case: dict[str, list[tuple[Side, Row]]] = {case_id: [] for case_id in ids}
    for side in sides:
        for row in side.rows:
            by_case[row.case_id].append((side, row))
    every = [pair for pairs in by_case.values() for pair in pairs]
    for side, row in every:
        mfu, mbu = (
            ("mfu" if row.mfu is not None else "mfu_achieved"),
            ("mbu" if row.mbu is not None else "mbu_achieved"),
        )
        table.rows.append([
            short[row.case_id], side.label, row.unit, row.status, _time(row),
            of(row, PER_PHASE[row.phase]) if row.phase in PER_PHASE else of(None, "output_tokens_per_s", NO_TOKENS),
            of(row, mfu), of(row, mbu), row.bound or "", _source(row),
            *(of(row, key) for key in shares),
        ])  # fmt: skip
    table.notes += [*_told_once(table), *odd_notes(row for _, row in every), *notes]
    return table


def _told_once(table: Table) -> list[str]:
    """Take columns out that say the same of every row, and return what they say: the table is a wide one."""
    told = []
    for index, name in ((3, "status"), (2, "per"), (1, "system")):
        words = {line[index] for line in table.rows}
        if len(table.rows) > 1 and len(words) == 1:
            told.append(f"every {name}: {words.pop()}")
            table.columns = [*table.columns[:index], *table.columns[index + 1 :]]
            table.rows = [[*line[:index], *line[index + 1 :]] for line in table.rows]
    return told[::-1]


def _time(row: Row) -> Cell:
    """A row's time, with its reason and what part of the work it covers."""
    cell = of(row, "step_s")
    # Of a published row the first notes are its citation and caveats.
    cited = row.notes if row.source == "published" else []
    cell.note = "; ".join(filter(None, [row.reason, row.scope, *cited]))
    return cell


def _source(row: Row) -> str:
    """Where a row's numbers come from, and what is odd about them."""
    return marked_source(row) if row.status == "ok" else ""
