"""One `bench run`: start or resume it, go through it, print it."""

from __future__ import annotations

import importlib.util
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from bench import project
from bench.commands.interruption import TERMINATED, terminated_as_interrupted
from bench.commands.planning import Request, plan
from bench.commands.progress import Progress, expected_s
from bench.devices.achieved import fingerprint
from bench.devices.adapter import open_device
from bench.devices.sheet import load_sheet
from bench.errors import DeviceError, ResultError
from bench.measure.before import device_facts
from bench.measure.bisect import bisect_cases
from bench.measure.runner import Limits, Planned, in_order, run_cases, to_do
from bench.report.rows import as_csv, as_json, as_jsonl, run_table, summary_line
from bench.report.terminal import colored, emit, markdown, table_text, width_of
from bench.results.environment import changes, collect, command_line, load_average
from bench.results.gate.baseline_file import names
from bench.results.interpolate import measured_at_targets
from bench.results.machine import machine
from bench.results.record import Environment, Row
from bench.results.sessions import fold
from bench.results.store import Journal, load_run, new_run, new_run_id, newest_journal
from bench.results.target import Target
from bench.units import counted, seconds

INTERRUPTED = 130
CASE_FAILED = 4
FAILED = ("error", "timeout", "oom", "invalid")


# From this schema on a run records all that `machine` tells of a device.
MACHINE_SCHEMA = 3


@dataclass(frozen=True)
class Started:
    """A run with its journal open and its plan read."""

    journal: Journal
    planned: list[Planned]
    resumed: int = 0

    @property
    def order(self) -> list[Planned]:
        """The cases of all sessions, as they run."""
        return in_order(self.planned, self.journal.run.environment.sessions)


def start(asked: Request, folder: Path) -> Started:
    """Plan a run and open its journal.

    Raises: DeviceError where everything is to be measured and torch is missing.
    """
    planned = plan(asked)
    if all(each.present for each in planned) and importlib.util.find_spec("torch") is None:
        from bench.measure.worker import NO_TORCH

        raise DeviceError(f"{NO_TORCH}; modelling does not: bench run {shlex.join(asked.names)} -d h100-sxm")
    planned, devices = _before(planned, allow_busy=asked.allow_busy)
    for each in planned:
        if not each.present:
            devices.setdefault(each.device, {"name": load_sheet(each.device).name, "modelled": "from its sheet"})
    environment = _environment(devices)
    if any(each.present for each in planned):
        environment.warnings, environment.sessions = _warnings(), asked.sessions
    elif asked.sessions > 1:
        environment.warnings = ["nothing is measured: one session, any other would come out the same"]
    run = new_run(new_run_id("+".join(list(devices)[:2])), environment, [msgspec.to_builtins(p) for p in planned])
    return Started(Journal.create(folder, run), planned)


def _before(planned: list[Planned], *, allow_busy: bool) -> tuple[list[Planned], dict[str, dict[str, str]]]:
    """Return the plan, marked where others use a device, and the facts of each device that is measured."""
    devices: dict[str, dict[str, str]] = {}
    for device in dict.fromkeys(each.device for each in planned if each.present):
        devices[device], busy = device_facts(device, allow_busy=allow_busy)
        planned = [msgspec.structs.replace(p, busy=busy) if p.device == device else p for p in planned]
    return planned, devices


def _environment(devices: dict[str, dict[str, str]]) -> Environment:
    return collect(command_line(), devices, fingerprint(open_device("cpu").facts()))


def resume(folder: Path, name: str, *, allow_busy: bool = False) -> Started:
    """Reopen an interrupted run: the newest journal, or the one named.

    Raises: ResultError when there is none, it does not say what was planned, or was begun on another machine;
    DeviceError when a device is not here or in use.
    """
    path = Path(name) if name else newest_journal(folder)
    if path.suffix != ".jsonl":
        load_run(path)  # what is no run at all is told so, and not that it is complete
    journal = Journal.reopen(path)
    try:
        planned = [msgspec.convert(each, Planned) for each in journal.run.planned]
    except msgspec.ValidationError as error:
        raise ResultError(f"{project.shown(path)}: its plan cannot be read ({error}); start anew") from None
    # Who allowed others when the run began need not say so again.
    planned, devices = _before(planned, allow_busy=allow_busy or any(each.busy for each in planned))
    if devices:
        _same_machine(journal, _environment(devices), list(devices))
    return Started(journal, planned, len(journal.run.rows))


def _same_machine(journal: Journal, now: Environment, devices: list[str]) -> None:
    run = journal.run
    for device in devices:
        then_facts, now_facts = machine(run.environment, device), machine(now, device)
        if run.schema < MACHINE_SCHEMA:
            now_facts = {name: value for name, value in now_facts.items() if name in then_facts}
        moved = changes(then_facts, now_facts)
        if moved:
            raise ResultError(
                f"{project.shown(journal.path)}: was begun on another machine ({device}: {'; '.join(moved)});"
                " its measurements cannot be mixed with this one's, start anew"
            )


def go(
    started: Started, *, limit_s: float | None, memory_gb: float | None, form: str, quiet: bool, no_color: bool,
    targets: Sequence[Target] = (),
) -> int:  # fmt: skip
    """Run what is left, print the table, return the exit code. Whatever happens, finished rows are on disk.

    targets: more batches are measured to find the largest in time at each.
    """
    journal, planned = started.journal, started.planned
    if not quiet:
        _announce(started)
    limits = Limits(limit_s, None if memory_gb is None else memory_gb * 1e9)
    interrupted, failure, path = False, None, journal.path
    with terminated_as_interrupted() as terminated, Progress(started.order, quiet) as progress:
        try:
            run_cases(planned, journal, progress, limits)
            bisect_cases(planned, targets, journal, progress, limits)
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
    if targets and form in ("table", "md"):
        _print_at(measured_at_targets(fold(journal.run.rows), targets), form, no_color)
    if failure is not None:
        raise failure
    rows = journal.run.rows
    if not quiet:
        _conclude(rows, path, interrupted)
    if interrupted:
        return TERMINATED if terminated else INTERRUPTED
    return CASE_FAILED if any(row.status in FAILED for row in rows) else 0


def _print_at(rows: list[Row], form: str, no_color: bool) -> None:
    if not rows:
        emit("--at: nothing measured is decode (tpot) or prefill (ttft)", sys.stderr)
        return
    table = run_table(rows)
    table.title = "At service targets, the largest batch in time:"
    batches = [f"{row.case_id}: batch {row.batch}" for row in rows if row.status == "ok"]
    table.notes = [*table.notes, *batches]
    bold = colored(sys.stdout, no_color)
    emit("\n" + (markdown(table) if form == "md" else table_text(table, width_of(sys.stdout), bold=bold)))


def _announce(started: Started) -> None:
    run, order = started.journal.run, started.order
    left = to_do(order, run.rows)
    for device, facts in run.environment.devices.items():
        how = "modelled, it is not on this machine" if "modelled" in facts else "measured"
        emit(f"device  {device}: {facts['name']} ({how})", sys.stderr)
    sessions = f" in {run.environment.sessions} sessions" if run.environment.sessions > 1 else ""
    about = f", about {seconds(expected_s(left))}" if any(each.present for each in left) else ""
    emit(
        f"plan    {counted(len(started.planned), 'case')}{sessions}{about}. Ctrl-C saves what is finished.", sys.stderr
    )
    if started.resumed:
        emit(
            f"resumed {started.journal.path.name}: {counted(started.resumed, 'row')} kept,"
            f" {counted(len(left), 'case')} left",
            sys.stderr,
        )
    for warning in run.environment.warnings:
        emit(f"! {warning}", sys.stderr)


def _conclude(rows: list[Any], path: Path, interrupted: bool) -> None:
    timed = sum(row.timed_s or 0 for row in rows)
    wall = sum(row.wall_s or 0 for row in rows)
    share = f" {timed / wall:.0%} of the time inside timed or warm-up regions." if wall and timed else ""
    sessions = max((row.session for row in rows), default=1)
    within = f"; {sessions} sessions" if sessions > 1 else ""
    emit(f"{summary_line(rows)}{within}.{share}", sys.stderr)
    if interrupted:
        emit(
            f"interrupted; saved {project.shown(path)}. Go on with: bench run --resume {project.shown(path)}",
            sys.stderr,
        )
        return
    emit(f"Saved {project.shown(path)}", sys.stderr)
    beside = "ascend-910c" if any(row.device == "h100-sxm" for row in rows) else "h100-sxm"
    judged = "bench check" if names() else "bench baseline save main"
    emit(f"Next:  bench compare {project.shown(path)} {beside}   {judged}   bench explain mfu", sys.stderr)


def print_rows(journal: Journal, form: str, no_color: bool) -> None:
    """Print a run's rows on stdout in the form asked for: JSON as they are, tables with one row for all sessions."""
    rows = journal.run.rows
    if form == "json":
        emit(as_json(journal.run))
    elif form == "jsonl":
        emit(as_jsonl(rows))
    elif form == "csv":
        emit(as_csv(fold(rows)))
    elif form == "md":
        emit(markdown(run_table(fold(rows))))
    elif rows:
        emit(table_text(run_table(fold(rows)), width_of(sys.stdout), bold=colored(sys.stdout, no_color)))


def _warnings() -> list[str]:
    load = load_average()
    cores = len(open_device("cpu").facts().get("cores", "")) and int(open_device("cpu").facts()["cores"])
    if load is not None and load > 0.5 * max(cores, 1):
        return [f"load average is {load:.1f} on {cores} cores: other work will disturb the timing (bench doctor)"]
    return []
