"""One `bench run`: plan it, start or resume it, go through it, print it."""

from __future__ import annotations

import importlib.util
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from bench import project
from bench.commands.progress import Progress, expected_s
from bench.devices.achieved import fingerprint
from bench.devices.adapter import open_device, present_devices
from bench.devices.sheet import known_sheets, load_sheet
from bench.errors import BenchError, DefinitionError, DeviceError, ResultError, listed, nearest
from bench.measure.runner import Limits, Planned, run_cases
from bench.operators.cost import read_cost
from bench.report.layout import Column, Table
from bench.report.rows import as_csv, as_json, as_jsonl, run_table, summary_line
from bench.report.terminal import colored, emit, markdown, table_text, width_of
from bench.results.environment import collect, command_line, load_average
from bench.results.store import Journal, load_run, new_run, new_run_id, newest_journal
from bench.units import data_size, seconds
from bench.workloads.model import load_model
from bench.workloads.routing import plan_experts
from bench.workloads.schema import Case
from bench.workloads.sweep import select_cases

INTERRUPTED = 130
CASE_FAILED = 4
FAILED = ("error", "timeout", "oom", "invalid")


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


@dataclass(frozen=True)
class Started:
    """A run with its journal open and its plan read."""

    journal: Journal
    planned: list[Planned]
    resumed: int = 0


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


def start(asked: Request, folder: Path) -> Started:
    """Plan a run and open its journal.

    Raises: DeviceError where everything is to be measured and torch is missing.
    """
    planned = plan(asked)
    if all(each.present for each in planned) and importlib.util.find_spec("torch") is None:
        from bench.measure.worker import NO_TORCH

        raise DeviceError(f"{NO_TORCH}; modelling does not: bench run {' '.join(asked.names)} -d h100-sxm")
    devices: dict[str, dict[str, str]] = {}
    for device in dict.fromkeys(each.device for each in planned if each.present):
        devices[device], busy = _before(device, asked.allow_busy)
        planned = [msgspec.structs.replace(p, busy=busy) if p.device == device else p for p in planned]
    for each in planned:
        if not each.present:
            devices.setdefault(each.device, {"name": load_sheet(each.device).name, "modelled": "from its sheet"})
    mark = fingerprint(open_device("cpu").facts())
    environment = collect(command_line(), devices, mark)
    if any(each.present for each in planned):
        environment.warnings = _warnings()
    run = new_run(new_run_id("+".join(list(devices)[:2])), environment, [msgspec.to_builtins(p) for p in planned])
    return Started(Journal.create(folder, run), planned)


def _before(device: str, allow_busy: bool) -> tuple[dict[str, str], str]:
    """Return a device's facts with what it says of itself while idle, and who else uses it ("" for nobody).

    Raises: DeviceError when others use it and the run does not allow that.
    """
    adapter = open_device(device)
    facts, told = dict(adapter.facts()), adapter.read()
    if told.power_w is not None:
        facts["idle power"] = f"{told.power_w:.1f} W ({told.power_basis or told.source})"
    if told.driver is not None:
        facts["driver"] = told.driver
    if told.power_limit_w is not None:
        facts["power limit"] = f"{told.power_limit_w:.0f} W"
    if told.max_clock_hz is not None:
        facts["highest clock"] = f"{told.max_clock_hz / 1e6:.0f} MHz"
    others = [p for p in told.processes or () if p.pid != os.getpid()]
    busy = listed(
        [
            f"pid {p.pid} {p.name} ({data_size(p.memory_bytes) if p.memory_bytes else 'memory not told'})".replace(
                "  ", " "
            )
            for p in others
        ]
    )
    if others and not allow_busy:
        raise DeviceError(f"{device} is in use by {busy}; stop it, or run with --allow-busy, which marks every row")
    return facts, busy if others else ""


def resume(folder: Path, name: str) -> Started:
    """Reopen an interrupted run: the newest journal, or the one named.

    Raises: ResultError when there is none, or it does not say what was planned.
    """
    path = Path(name) if name else newest_journal(folder)
    if path.suffix != ".jsonl":
        load_run(path)  # what is no run at all is told so, and not that it is complete
    journal = Journal.reopen(path)
    try:
        planned = [msgspec.convert(each, Planned) for each in journal.run.planned]
    except msgspec.ValidationError as error:
        raise ResultError(f"{project.shown(path)}: its plan cannot be read ({error}); start anew") from None
    mark = fingerprint(open_device("cpu").facts())
    if any(each.present for each in planned) and mark != journal.run.environment.fingerprint:
        raise ResultError(
            f"{project.shown(path)}: was begun on another machine ({journal.run.environment.cpu});"
            " its measurements cannot be mixed with this one's, start anew"
        )
    return Started(journal, planned, len(journal.run.rows))


def go(
    started: Started, *, limit_s: float | None, memory_gb: float | None, form: str, quiet: bool, no_color: bool
) -> int:
    """Run what is left, print the table, return the exit code. Whatever happens, finished rows are on disk."""
    journal, planned = started.journal, started.planned
    if not quiet:
        _announce(started)
    limits = Limits(limit_s, None if memory_gb is None else memory_gb * 1e9)
    interrupted, failure, path = False, None, journal.path
    with Progress(planned, quiet) as progress:
        try:
            run_cases(planned, journal, progress, limits)
        except KeyboardInterrupt:
            interrupted = True
        except ResultError as error:
            failure = error
    if failure is None and not interrupted:
        try:
            path = journal.finish()
        except ResultError as error:
            failure = error
    if failure is not None or interrupted:
        journal.close()
    print_rows(journal, form, no_color)
    if failure is not None:
        raise failure
    rows = journal.run.rows
    if not quiet:
        _conclude(rows, path, interrupted)
    if interrupted:
        return INTERRUPTED
    return CASE_FAILED if any(row.status in FAILED for row in rows) else 0


def _announce(started: Started) -> None:
    planned = started.planned
    measured = [each for each in planned if each.present]
    run = started.journal.run
    for device, facts in run.environment.devices.items():
        how = "modelled, it is not on this machine" if "modelled" in facts else "measured"
        emit(f"device  {device}: {facts['name']} ({how})", sys.stderr)
    left = len(planned) - started.resumed
    about = f", about {seconds(expected_s(measured))}" if measured else ""
    emit(f"plan    {len(planned)} cases{about}. Ctrl-C saves what is finished.", sys.stderr)
    if started.resumed:
        emit(f"resumed {started.journal.path.name}: {started.resumed} rows kept, {max(left, 0)} cases left", sys.stderr)
    for warning in run.environment.warnings:
        emit(f"! {warning}", sys.stderr)


def _conclude(rows: list[Any], path: Path, interrupted: bool) -> None:
    timed = sum(row.timed_s or 0 for row in rows)
    wall = sum(row.wall_s or 0 for row in rows)
    share = f" {timed / wall:.0%} of the time inside timed or warm-up regions." if wall and timed else ""
    emit(f"{summary_line(rows)}.{share}", sys.stderr)
    if interrupted:
        emit(
            f"interrupted; saved {project.shown(path)}. Go on with: bench run --resume {project.shown(path)}",
            sys.stderr,
        )
        return
    emit(f"Saved {project.shown(path)}", sys.stderr)
    beside = "ascend-910c" if any(row.device == "h100-sxm" for row in rows) else "h100-sxm"
    emit(f"Next:  bench compare {project.shown(path)} {beside}   or   bench explain mfu", sys.stderr)


def print_rows(journal: Journal, form: str, no_color: bool) -> None:
    """Print a run's rows on stdout in the form asked for."""
    rows = journal.run.rows
    if form == "json":
        emit(as_json(journal.run))
    elif form == "jsonl":
        emit(as_jsonl(rows))
    elif form == "csv":
        emit(as_csv(rows))
    elif form == "md":
        emit(markdown(run_table(rows)))
    elif rows:
        emit(table_text(run_table(rows), width_of(sys.stdout), bold=colored(sys.stdout, no_color)))


def _warnings() -> list[str]:
    load = load_average()
    cores = len(open_device("cpu").facts().get("cores", "")) and int(open_device("cpu").facts()["cores"])
    if load is not None and load > 0.5 * max(cores, 1):
        return [f"load average is {load:.1f} on {cores} cores: other work will disturb the timing (bench doctor)"]
    return []


def show_plan(asked: Request, form: str, no_color: bool) -> None:
    """Print what would run: memory, work and time of each case."""
    planned = plan(asked)
    table = Table([
        Column("case"), Column("device"), Column("how"), Column("memory", right=True), Column("FLOP", right=True),
        Column("read", right=True), Column("time", right=True),
    ])  # fmt: skip
    for each in planned:
        table.rows.append(_planned_cells(each))
    about = seconds(expected_s(planned)) if any(each.present for each in planned) else "a moment"
    table.notes = [f"{len(planned)} cases, about {about}. Nothing was run."]
    if form in ("json", "jsonl"):
        lines = [msgspec.json.encode(each).decode() for each in planned]
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
