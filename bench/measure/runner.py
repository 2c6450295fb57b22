"""Runs a list of cases on a list of devices: each row is on disk before the next case starts."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from typing import Any

import msgspec
import psutil

from bench.devices.adapter import open_device
from bench.devices.sheet import load_sheet
from bench.errors import BenchError
from bench.measure.processes import in_worker, new_server, started
from bench.measure.rows import modelled_rows, new_row
from bench.results.record import Row
from bench.results.store import Journal
from bench.workloads.deployment import Deployment
from bench.workloads.schema import Case

# A case may take this long before it is ended: start, weights, check and slow steps included.
LIMIT_BASE_S = 120.0
LIMIT_FACTOR = 12.0
MEMORY_LIMIT_SHARE = 0.95
# Python, torch and the pool of random numbers: what a worker holds before its case does.
WORKER_BYTES = 0.5e9


class Planned(msgspec.Struct, frozen=True):
    """One case on one device, and whether that device is here (measured) or a sheet (modelled).

    check: a modelled case's program is also run at reduced size on this CPU.
    busy: who else used the device when the run began; every row is marked with it.
    session: in which pass over the cases; a plan is stored as its first.
    """

    device: str
    case: Case
    present: bool
    check: bool = False
    busy: str = ""
    session: int = 1

    @property
    def key(self) -> tuple[str, str]:
        return self.device, self.case.case_id


@dataclass(frozen=True)
class Event:
    """What a run tells while it goes on: a case starts, enters a phase, or gave its rows."""

    kind: str
    planned: Planned
    index: int
    total: int
    phase: str = ""
    rows: tuple[Row, ...] = ()


Listen = Callable[[Event], None]


@dataclass(frozen=True)
class Limits:
    """Limits of one case; None takes the case's own."""

    seconds: float | None = None
    memory_bytes: float | None = None


def in_order(planned: list[Planned], sessions: int) -> list[Planned]:
    """Return the cases of all sessions in the order in which they run.

    Each session begins elsewhere, so that no case is always first or behind the same one. Modelled cases are in the
    first only: they would come out the same.
    """
    measured = [each for each in planned if each.present]
    shift = max(1, len(measured) // sessions)
    order = list(planned)
    for session in range(2, sessions + 1):
        first = (session - 1) * shift % max(1, len(measured))
        turned = measured[first:] + measured[:first]
        order += [msgspec.structs.replace(each, session=session) for each in turned]
    return order


def to_do(order: list[Planned], rows: list[Row]) -> list[Planned]:
    """Return those whose rows are not all there."""
    done = _units_done(rows)
    return [each for each in order if len(done.get(_pass(each), ())) < _units(each)]


def run_cases(planned: list[Planned], journal: Journal, listen: Listen, limits: Limits = Limits()) -> None:
    """Run what is planned and not yet in the journal, session by session; every finished case is on disk at once.

    Raises: KeyboardInterrupt after Ctrl-C, with everything finished on disk; ResultError when it cannot be written.
    """
    sessions = journal.run.environment.sessions
    order = in_order(planned, sessions)
    done = _units_done(journal.run.rows)
    checked: dict[bytes, tuple[bool, str]] = {}
    begun = 0
    for index, each in enumerate(order):
        if len(done.get(_pass(each), ())) == _units(each):
            continue
        if sessions > 1 and each.session != begun:
            new_server()
            begun = each.session
        event = Event("start", each, index, len(order))
        listen(event)
        if each.present:
            rows: tuple[Row, ...] = (measure_once(each, limits, _phases(event, listen)),)
        else:
            rows = tuple(_modelled(each))
            if each.check:
                _check_program(each.case, rows, checked)
        for row in rows:
            # A run cut off between a die's row and its package's has the first already.
            if row.unit not in done.get(_pass(each), ()):
                journal.add(row)
        listen(replace(event, kind="rows", rows=rows))


def _pass(each: Planned) -> tuple[str, str, int]:
    return *each.key, each.session


def _units_done(rows: list[Row]) -> dict[tuple[str, str, int], set[str]]:
    done: dict[tuple[str, str, int], set[str]] = {}
    for row in rows:
        done.setdefault((row.device, row.case_id, row.session), set()).add(row.unit)
    return done


def _phases(event: Event, listen: Listen) -> Callable[[str], None]:
    """Return what tells that a case enters a phase."""
    return lambda text: listen(replace(event, kind="phase", phase=text))


def _units(each: Planned) -> int:
    """How many rows a case gives: one, or one a die and one a package."""
    return 1 if each.present or load_sheet(each.device).devices_per_package == 1 else 2


def _modelled(each: Planned) -> list[Row]:
    """Price one case; a definition that turns out wrong only now is a row with its reason."""
    try:
        return modelled_rows(each.case, each.device)
    except BenchError as error:
        sheet = load_sheet(each.device)
        row = new_row(each.case, device=each.device, device_name=sheet.name, unit=sheet.unit, source="modelled")
        row.status, row.reason = "error", str(error)
        return [row]


def measure_once(each: Planned, limits: Limits = Limits(), told: Callable[[str], object] = lambda _: None) -> Row:
    """Measure one case on one device of this machine in a worker; return its row, whatever happens to the worker.

    told: called with each phase that begins ("check", "timing").
    """
    start = time.monotonic()
    limit_s = limits.seconds or LIMIT_BASE_S + LIMIT_FACTOR * each.case.time_s
    with started(_work, msgspec.json.encode(each.case), each.device) as worker:
        for kind, content in worker.messages(limit_s, _memory_limit(each.case, limits)):
            if kind == "row":
                row = _read(each, content)
                break
            if kind == "phase":
                told(content)
            else:
                row = _failed(each, kind, content)
                break
        else:
            row = _failed(each, "error", worker.exit_reason())
    row.session = each.session
    if row.wall_s is None:
        row.wall_s = time.monotonic() - start
    if each.busy:
        row.flags = [*row.flags, "busy"]
        row.notes = [*row.notes, f"the device was in use by others: {each.busy}"]
    return row


def _read(each: Planned, content: bytes) -> Row:
    """Return the worker's row; one that cannot be read back, such as one with a NaN among its samples, is an error."""
    try:
        return msgspec.json.decode(content, type=Row)
    except msgspec.DecodeError as error:
        return _failed(each, "error", f"the worker's row cannot be read: {error}")


def _work(connection: Connection, content: bytes, device: str) -> None:
    from bench.measure.worker import work

    work(connection, content, device)


def _check_program(case: Case, rows: tuple[Row, ...], checked: dict[bytes, tuple[bool, str]]) -> None:
    """Fill the rows' correctness from the program at reduced size; sizes and spreading do not change a program."""
    alike = msgspec.structs.replace(case, batch=None, input_len=None, context=None, deployment=Deployment())
    program = msgspec.json.encode(alike)
    if program not in checked:
        content = in_worker(
            "bench.measure.functional", "check_json", msgspec.json.encode(case).decode(), lambda _: None
        )
        correct, detail = msgspec.json.decode(content)
        checked[program] = bool(correct), str(detail)
    for row in rows:
        row.correct, row.correct_detail = checked[program]


def _memory_limit(case: Case, limits: Limits) -> float:
    """Bytes a worker may hold: what its case may use and its own, else nearly all that is to be had now."""
    memory = psutil.virtual_memory()
    room = memory.available * MEMORY_LIMIT_SHARE
    given = limits.memory_bytes or (case.memory_gb * 1e9 if case.memory_gb else None)
    return float(min(given + WORKER_BYTES, room) if given else room)


def _failed(each: Planned, status: Any, reason: str) -> Row:
    adapter = open_device(each.device)
    row = new_row(
        each.case, device=each.device, device_name=adapter.facts()["name"], unit=adapter.unit, source="measured"
    )  # fmt: skip
    row.status, row.reason = status, reason
    return row
