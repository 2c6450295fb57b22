"""Rows from cases: the identity every row has, the work of its step, and modelled rows."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from bench import project
from bench.devices.emulated.pricing import Priced, price
from bench.devices.emulated.profile import choose_profile
from bench.devices.sheet import Sheet, known_sheets, load_sheet
from bench.errors import Unsupported
from bench.operators.cost import read_cost
from bench.operators.kernel import Work
from bench.results.normalize import fill_rates, fill_utilization
from bench.results.record import KernelCost, Row, Source
from bench.units import data_size
from bench.workloads.schema import Case

# Engines leave about a tenth of device memory to buffers, graphs and fragmentation.
USABLE_MEMORY = 0.9


def new_row(case: Case, *, device: str, device_name: str, unit: Any, source: Source) -> Row:
    """Return a row that says which case on which device, and nothing else yet."""
    return Row(
        case_id=case.case_id,
        workload=case.workload,
        phase=case.phase,
        dtype=case.dtype,
        definition_hash=case.definition_hash,
        definition=msgspec.to_builtins(case),
        model=case.model,
        kernel=case.kernel,
        batch=case.batch,
        input_len=case.input_len,
        context=case.context,
        deployment=msgspec.to_builtins(case.deployment),
        routing=None if case.routing is None else case.routing.label,
        device=device,
        device_name=device_name,
        unit=unit,
        source=source,
        status="error",
    )


def case_of(row: Row) -> Case:
    """Return the case that a row is of, from the definition it carries."""
    return msgspec.convert(row.definition, Case)


def set_work(row: Row, work: Work, times: int = 1) -> None:
    """Fill FLOPs, bytes, memory and kernels of one step; `times` devices do it beside each other."""
    row.flops = float(work.total("flops")) * times
    row.read_bytes = float(work.total("read_bytes")) * times
    row.written_bytes = float(work.total("written_bytes")) * times
    row.link_bytes = float(work.total("link_bytes")) * times
    row.memory_bytes = float(work.memory_bytes) * times
    row.imbalance = work.imbalance
    if times == 1:
        row.kernels = _merged(work)


def _merged(work: Work, priced: Priced | None = None) -> list[KernelCost]:
    """Kernels of one name and size as one entry."""
    merged: dict[tuple[Any, ...], KernelCost] = {}
    for index, kernel in enumerate(work.kernels):
        one = None if priced is None else priced.kernels[index]
        key = (kernel.name, kernel.kind, kernel.dtype, float(kernel.flops), float(kernel.read_bytes))
        before = merged.get(key)
        merged[key] = KernelCost(
            name=kernel.name,
            kind=kernel.kind,
            dtype=kernel.dtype,
            count=kernel.count + (before.count if before else 0),
            flops=float(kernel.flops),
            read_bytes=float(kernel.read_bytes),
            written_bytes=float(kernel.written_bytes),
            link_bytes=float(kernel.link_bytes),
            seconds=None if one is None else float(one.seconds),
            bound=None if one is None else one.bound,
        )
    return list(merged.values())


def modelled_rows(case: Case, device: str) -> list[Row]:
    """Return the modelled rows of a case on a sheet: one per torch device, and one per package where that is several.

    A case that the sheet cannot price, or that does not fit its memory, is a row with its reason.
    """
    sheet = load_sheet(device)
    row = new_row(case, device=device, device_name=sheet.name, unit=sheet.unit, source="modelled")
    try:
        work = read_cost(case.program(), case.step(), case.dtype)
        set_work(row, work)
        chosen = choose_profile(device)
        row.tier, row.notes = chosen.tier, [chosen.reason]
        where = project.shown(known_sheets()[device])
        whole = case.phase in ("prefill", "decode")
        priced = price(work, sheet, chosen, where, case.deployment.scale_out_gb_per_s, whole_step=whole)
        _check_room(work, sheet, where)
    except Unsupported as error:
        row.status, row.reason = "unsupported", str(error)
    except _TooBig as error:
        row.status, row.reason = "skipped", str(error)
    else:
        _fill_modelled(row, case, sheet, work, priced)
    return [row, *_package_row(row, sheet)]


class _TooBig(Exception):
    pass


def _check_room(work: Work, sheet: Sheet, where: str) -> None:
    if sheet.memory_bytes is None:
        return
    need, room = float(work.memory_bytes), sheet.memory_bytes * USABLE_MEMORY
    if need > room:
        raise _TooBig(
            f"needs {data_size(need)} a device, {data_size(room)} usable of {data_size(sheet.memory_bytes)} ({where})"
        )


def _fill_modelled(row: Row, case: Case, sheet: Sheet, work: Work, priced: Priced) -> None:
    row.status = "ok"
    row.step_s = float(priced.step_s)
    low, high = priced.interval
    row.interval = (float(low), float(high))
    row.interval_kind = "P10 to P90 of the calibration's residuals"
    row.bound = priced.bound
    row.notes += priced.notes
    row.kernels = _merged(work, priced)
    if case.deployment.devices > 1:
        row.scope = f"one device of {case.deployment.devices}, its links included"
    fill_rates(row)
    fill_utilization(row, sheet.peak_flops(case.dtype), sheet.memory_bytes_per_s, achieved=False)


def _package_row(die: Row, sheet: Sheet) -> list[Row]:
    """The same case seen per package: its dies work beside each other, so a step takes as long and yields more."""
    count = sheet.devices_per_package
    if count == 1:
        return []
    row = msgspec.structs.replace(die, unit="package", devices=count, kernels=[], notes=[*die.notes])
    row.notes.append(f"a package is {count} devices beside each other: the same step, {count} times the tokens")
    for key in ("flops", "read_bytes", "written_bytes", "link_bytes", "memory_bytes"):
        value = getattr(die, key)
        setattr(row, key, None if value is None else value * count)
    fill_rates(row, devices_in_unit=count)
    return [row]


def price_sweep(case: Case, device: str, batch: Any, context: Any) -> Priced:
    """Price a whole grid of (batch, context) points of a case at once; arrays of one shape in, arrays out.

    Raises: Unsupported where the sheet lacks a figure.
    """
    from bench.operators.interface import Step

    new = np.asarray(context) if case.phase == "prefill" else 1
    step = Step(case.phase, np.asarray(batch), new, np.asarray(context))
    work = read_cost(case.program(), step, case.dtype)
    where = project.shown(known_sheets()[device])
    return price(work, load_sheet(device), choose_profile(device), where, case.deployment.scale_out_gb_per_s)
