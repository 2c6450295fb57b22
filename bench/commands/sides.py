"""The sides of a report: the operands of the command line with their paper figures, service targets and sweeps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

import msgspec

from bench.commands.operands import read_operands
from bench.commands.service import solved_at
from bench.devices.sheet import Figure, known_sheets, load_sheet
from bench.measure.rows import case_of, modelled_rows
from bench.report.sides import Paper, Side
from bench.results.compare import Operand
from bench.results.pairs import bought, own_eight_bit
from bench.results.record import Row
from bench.results.target import Target
from bench.units import data_size, scaled
from bench.workloads.routing import Routing, parse_routing
from bench.workloads.schema import Case

BATCHES = tuple(2**power for power in range(13))
LENGTHS = tuple(2**power for power in range(9, 18))
CONTEXTS = tuple(2**power for power in range(10, 18))
ROUTINGS = ("uniform", "zipf:0.2", "zipf:0.4", "zipf:0.6", "zipf:0.8", "zipf:1.0", "zipf:1.2")
# Curves of more definitions than this make a chart that nobody reads; the tables have them all.
MOST_CURVES = 2


def gather(
    words: tuple[str, ...], names: tuple[str, ...], overrides: dict[str, Any], targets: list[Target]
) -> list[Side]:
    """Return the sides of a report.

    Raises: DefinitionError for a word that is neither a file nor a sheet; ResultError for a file that cannot be read.
    """
    operands = read_operands(words, names, overrides)
    sides = [Side(operand, _device(operand), _paper(operand)) for operand in operands]
    for side in sides:
        side.at_targets = solved_at(side.operand, targets).rows
        side.sweep = side.bought(side.rows)
    dtypes = _dtypes(sides)
    for side in sides:
        if any(row.source == "modelled" for row in side.rows) and side.operand.environment is None:
            # Each side's own 8-bit path, too: that is what a service would run on it.
            own = dict.fromkeys([*dtypes, *own_eight_bit(side.rows).values()])
            every = [_families(side.rows, "decode", dtype) for dtype in own]
            decode, prefill = every[0], _families(side.rows, "prefill", dtypes[0])
            batches = (row for cases in every for row in _over_batches(cases, side))
            side.sweep = _each_once([*side.sweep, *batches, *_over_lengths(decode, prefill, side)])
            side.routings = _routings(decode, side)
    return sides


def _device(operand: Operand) -> str:
    return operand.rows[0].device if operand.rows else operand.label


def _dtypes(sides: list[Side]) -> list[str | None]:
    """The precisions of curves: those that most sides can run, the smallest first, which is drawn over context too."""
    ran: dict[str, set[str]] = {}
    for side in sides:
        for row in side.rows:
            if row.status == "ok" and row.phase in ("decode", "prefill"):
                ran.setdefault(row.dtype, set()).add(side.label)
    most = max(map(len, ran.values()), default=0)
    order = ("fp4", "fp8", "int8", "bf16", "fp16", "fp32")
    found = [dtype for dtype, labels in ran.items() if len(labels) == most]
    return [*sorted(found, key=lambda dtype: order.index(dtype) if dtype in order else 9)] or [None]


def _families(rows: Iterable[Row], phase: str, dtype: str | None) -> list[Case]:
    """Cases of one phase and precision that differ in more than their batch; the last of each stands for it."""
    found: dict[str, Case] = {}
    for row in rows:
        if row.phase == phase and row.dtype == dtype and row.devices == 1 and row.status == "ok":
            case = case_of(row)
            found[msgspec.structs.replace(case, batch=1).case_id] = case
    return list(found.values())[:MOST_CURVES]


def _over_batches(decode: list[Case], side: Side) -> Iterator[Row]:
    for case in decode:
        yield from _until_full(side, (msgspec.structs.replace(case, batch=batch) for batch in BATCHES))


def _over_lengths(decode: list[Case], prefill: list[Case], side: Side) -> Iterator[Row]:
    for case in decode:
        middle = msgspec.structs.replace(case, batch=min(case.batch or 1, 16))
        yield from _until_full(side, (msgspec.structs.replace(middle, context=length) for length in CONTEXTS))
    for case in prefill:
        one = msgspec.structs.replace(case, batch=1)
        yield from _until_full(side, (msgspec.structs.replace(one, input_len=n, context=n) for n in LENGTHS))


def _until_full(side: Side, cases: Iterable[Case]) -> Iterator[Row]:
    """Rows of ever larger cases, until one does not fit or cannot be priced."""
    for case in cases:
        row = _bought(case, side)
        if row.status != "ok":
            return
        yield row


def _bought(case: Case, side: Side) -> Row:
    rows = modelled_rows(case, side.device)
    row = next((row for row in rows if row.unit == bought(side.operand)), rows[0])
    # A curve needs no kernels, and there are many of them.
    return msgspec.structs.replace(row, kernels=[])


def _routings(decode: list[Case], side: Side) -> list[Row]:
    """Rows of one step under ever more skewed experts; nothing for a model without any."""
    if not decode or _bought(decode[0], side).imbalance is None:
        return []
    skewed: Callable[[Routing], Case] = lambda routing: msgspec.structs.replace(decode[0], routing=routing)  # noqa: E731
    return [row for text in ROUTINGS if (row := _bought(skewed(parse_routing(text)), side)).status == "ok"]


def _each_once(rows: list[Row]) -> list[Row]:
    return list({(row.case_id, row.unit, row.session): row for row in rows}.values())


def _paper(operand: Operand) -> Paper:
    """A sheet's figures where a sheet describes the device, else what the rows' own utilization implies."""
    device = _device(operand)
    if device in known_sheets() and operand.environment is None:
        return _of_sheet(device)
    name = operand.rows[0].device_name if operand.rows else operand.label
    facts = {} if operand.environment is None else dict(operand.environment.devices.get(device, {}))
    sheet = facts.get("sheet", "").partition(" (by ")[0]
    if sheet in known_sheets():
        paper = _of_sheet(sheet)
        return replace(paper, facts=facts | paper.facts)
    flops: dict[str, float] = {}
    bytes_per_s = None
    reached = all(row.mfu is None and row.mbu is None for row in operand.rows)
    for row in operand.rows:
        mfu, mbu = row.mfu or row.mfu_achieved, row.mbu or row.mbu_achieved
        if row.step_s and mfu and row.flops:
            flops.setdefault(row.dtype, row.flops / row.step_s / mfu)
        if row.step_s and mbu:
            moved = (row.read_bytes or 0) + (row.written_bytes or 0)
            bytes_per_s = bytes_per_s or moved / row.step_s / mbu
    source = "measured" if reached else "published"
    return Paper(name, flops, memory_bytes_per_s=bytes_per_s, source=source, facts=facts)


def _of_sheet(name: str) -> Paper:
    sheet = load_sheet(name)
    peaks = {dtype: peak for dtype in sheet.peak_tflops if (peak := sheet.peak_flops(dtype)) is not None}
    facts = {
        "vendor": sheet.vendor,
        "form": sheet.form_factor or "",
        "one device is": f"a {sheet.unit}"
        + (f", {sheet.devices_per_package} in a package" if sheet.devices_per_package > 1 else ""),
        "memory": f"{data_size(sheet.memory_bytes)} {sheet.memory.type or ''}".strip(),
        "memory bandwidth": scaled(sheet.memory_bytes_per_s, "B/s"),
        **{
            f"dense peak {dtype}": scaled(peak, "OP/s" if dtype == "int8" else "FLOP/s")
            for dtype, peak in peaks.items()
        },
        "links": " ".join(filter(None, (sheet.link.name, _rated(sheet.link_bytes_per_s)))),
        "design power (TDP)": "not published" if _plain(sheet.tdp_w) is None else f"{_plain(sheet.tdp_w):g} W",
        "software": sheet.software or "",
        "released": sheet.release or "",
        "sheet checked": sheet.checked,
    }
    return Paper(
        sheet.name, peaks, sheet.memory_bytes, sheet.memory_bytes_per_s, sheet.link_bytes_per_s, _plain(sheet.tdp_w),
        sheet.devices_per_package, sheet=name,
        facts={fact: value for fact, value in facts.items() if value and value != "-"},
    )  # fmt: skip


def _rated(value: float | None) -> str:
    return "" if value is None else f"{scaled(value, 'B/s')} one way"


def _plain(figure: Figure | None) -> float | None:
    return None if figure is None else figure.value
