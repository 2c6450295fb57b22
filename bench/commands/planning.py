"""What a `bench run` will do: each case on each device, shown before anything runs."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

import msgspec

from bench.commands.progress import expected_s
from bench.devices.adapter import open_device, present_devices
from bench.devices.sheet import known_sheets, load_sheet
from bench.errors import BenchError, DefinitionError, listed, nearest
from bench.measure.runner import Planned, in_order
from bench.operators.cost import read_cost
from bench.report.layout import Column, Table
from bench.report.terminal import colored, emit, markdown, table_text, width_of
from bench.units import counted, data_size, seconds
from bench.workloads.expert_plan import plan_experts
from bench.workloads.model import load_model
from bench.workloads.schema import Case
from bench.workloads.sweep import select_cases


@dataclass(frozen=True)
class Request:
    """What was asked for on the command line."""

    names: tuple[str, ...]
    devices: tuple[str, ...]
    overrides: dict[str, Any]
    time_s: float | None = None
    memory_gb: float | None = None
    check: bool = False
    allow_busy: bool = False
    sessions: int = 1


def plan(asked: Request) -> list[Planned]:
    """Return each case on each device; a device that is not here must have a sheet.

    Raises: DefinitionError for a name that is neither, or a routing that does not fit its experts.
    """
    here, sheets = present_devices(), known_sheets()
    cases = select_cases(asked.names, asked.overrides)
    _check_routing(cases)
    if asked.time_s is not None:
        cases = [msgspec.structs.replace(case, time_s=asked.time_s) for case in cases]
    if asked.memory_gb is not None:
        cases = [msgspec.structs.replace(case, memory_gb=asked.memory_gb) for case in cases]
    planned: list[Planned] = []
    for device in dict.fromkeys(asked.devices or default_devices(here)):
        if device not in here and device not in sheets:
            known = [*here, *sheets]
            hint = nearest(device, known) or f"; here: {listed(here)}; sheets: {listed(sheets)}"
            if ":" in device:
                open_device(device)  # refuses, with what is here and what keeps the rest from being here
            raise DefinitionError(f"unknown device '{device}'{hint} (see: bench devices)")
        if device not in here:
            load_sheet(device)  # a bad sheet is an error before anything runs
        planned += [Planned(device, case, device in here, asked.check) for case in cases]
    return planned


def default_devices(here: dict[str, str]) -> list[str]:
    """Return what is measured when nothing is asked for: the first accelerator, else the CPU."""
    return [next((name for name in here if name != "cpu"), "cpu")]


def _check_routing(cases: list[Case]) -> None:
    """Draw one token of each routing, so that one that does not fit is an error before anything runs."""
    for case in cases:
        if case.routing is None:
            continue
        moe = load_model(case.model).moe if case.model else None
        experts, top_k = (moe.experts, moe.top_k) if moe else (case.dims["experts"], case.dims["top_k"])
        plan_experts(case.routing, 1, experts, top_k)


def show_plan(asked: Request, form: str, no_color: bool) -> None:
    """Print what would run: memory, work and time of each case."""
    planned = plan(asked)
    table = Table([
        Column("case"), Column("device"), Column("how"), Column("memory", right=True), Column("FLOP", right=True),
        Column("read", right=True), Column("time", right=True),
    ])  # fmt: skip
    for each in planned:
        table.rows.append(_planned_cells(each))
    order = in_order(planned, asked.sessions)
    measured = any(each.present for each in planned)
    about = seconds(expected_s(order)) if measured else "a moment"
    sessions = f" in {asked.sessions} sessions" if asked.sessions > 1 and measured else ""
    table.notes = [f"{counted(len(planned), 'case')}{sessions}, about {about}. Nothing was run."]
    if form in ("json", "jsonl"):
        lines = [msgspec.json.encode(each).decode() for each in order]
        emit("[" + ",\n".join(lines) + "]" if form == "json" else "\n".join(lines))
    elif form in ("md", "csv"):
        emit(markdown(table))
    else:
        emit(table_text(table, width_of(sys.stdout), bold=colored(sys.stdout, no_color)))


def _planned_cells(each: Planned) -> list[str]:
    case: Case = each.case
    try:
        work = read_cost(case.program(), case.step(), case.dtype)
    except BenchError as error:
        return [case.case_id, each.device, f"cannot run: {error}", "", "", "", ""]
    return [
        case.case_id, each.device, "measured" if each.present else "modelled", data_size(float(work.memory_bytes)),
        f"{float(work.total('flops')):.3g}", data_size(float(work.total("read_bytes"))),
        seconds(case.time_s) if each.present else "",
    ]  # fmt: skip
