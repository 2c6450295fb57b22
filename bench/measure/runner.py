"""Runs a list of cases on a list of devices: each row is on disk before the next case starts."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from typing import Any

import msgspec
import psutil

from bench.devices.adapter import open_device
from bench.devices.detect import known, recall
from bench.devices.sheet import load_sheet
from bench.errors import BenchError
from bench.measure.rows import modelled_rows, new_row
from bench.results.record import Row
from bench.results.store import Journal
from bench.units import data_size
from bench.workloads.decoder import Deployment
from bench.workloads.schema import Case

# A case may take this long before it is ended: start, weights, check and slow steps included.
LIMIT_BASE_S = 120.0
LIMIT_FACTOR = 12.0
MEMORY_LIMIT_SHARE = 0.95
# Python, torch and the pool of random numbers: what a worker holds before its case does.
WORKER_BYTES = 0.5e9
# Large temporaries are kept by the allocator instead of being given back and faulted in again at every step.
MALLOC = "glibc.malloc.trim_threshold=2147483647:glibc.malloc.mmap_max=0"


class Planned(msgspec.Struct, frozen=True):
    """One case on one device, and whether that device is here (measured) or a sheet (modelled).

    check: a modelled case's program is also run at reduced size on this CPU.
    busy: who else used the device when the run began; every row is marked with it.
    """

    device: str
    case: Case
    present: bool
    check: bool = False
    busy: str = ""

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


def run_cases(planned: list[Planned], journal: Journal, listen: Listen, limits: Limits = Limits()) -> None:
    """Run what is planned and not yet in the journal; every finished case is on disk before the next starts.

    Raises: KeyboardInterrupt after Ctrl-C, with everything finished on disk; ResultError when it cannot be written.
    """
    done: dict[tuple[str, str], set[str]] = {}
    for row in journal.run.rows:
        done.setdefault((row.device, row.case_id), set()).add(row.unit)
    checked: dict[bytes, tuple[bool, str]] = {}
    for index, each in enumerate(planned):
        if len(done.get(each.key, ())) == _units(each):
            continue
        listen(Event("start", each, index, len(planned)))
        if each.present:
            rows: tuple[Row, ...] = (_measured(each, index, len(planned), listen, limits),)
        else:
            rows = tuple(_modelled(each))
            if each.check:
                _check_program(each.case, rows, checked)
        for row in rows:
            # A run cut off between a die's row and its package's has the first already.
            if row.unit not in done.get(each.key, ()):
                journal.add(row)
        listen(Event("rows", each, index, len(planned), rows=rows))


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


def _measured(each: Planned, index: int, total: int, listen: Listen, limits: Limits) -> Row:
    """Run one case in a worker and return its row, whatever happens to the worker."""
    start = time.monotonic()
    context = _context()
    receiving, sending = context.Pipe(duplex=False)
    process = context.Process(
        target=_work,
        args=(sending, msgspec.json.encode(each.case), each.device, known()),
        name=each.case.case_id,
        daemon=True,
    )
    _start(process)
    sending.close()
    limit_s = limits.seconds or LIMIT_BASE_S + LIMIT_FACTOR * each.case.time_s
    try:
        for kind, content in _messages(process, receiving, limit_s, _memory_limit(each.case, limits)):
            if kind == "row":
                row = _read(each, content)
                break
            if kind == "phase":
                listen(Event("phase", each, index, total, phase=content))
            else:
                row = _failed(each, kind, content)
                break
        else:
            row = _failed(each, "error", _exit_reason(process))
    finally:
        _end(process)
        receiving.close()
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


def _work(connection: Any, content: bytes, device: str, answers: bytes) -> None:
    from bench.measure.worker import work

    recall(answers)
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


def in_worker(module: str, function: str, argument: str, report: Callable[[str], object]) -> bytes:
    """Call `module.function(argument, report)` in a worker; return the bytes it gives, passing on what it reports.

    Raises: BenchError when the function fails, or the worker ends without a result.
    """
    context = _context()
    receiving, sending = context.Pipe(duplex=False)
    process = context.Process(target=_call, args=(sending, module, function, argument, known()), daemon=True)
    _start(process)
    sending.close()
    try:
        while True:
            try:
                kind, content = receiving.recv()
            except EOFError:
                process.join(5)
                raise BenchError(f"{module}: {_exit_reason(process)}") from None
            if kind == "result":
                return bytes(content)
            if kind == "failed":
                raise BenchError(f"{module}: {content}")
            report(content)
    finally:
        _end(process)
        receiving.close()


def _call(connection: Any, module: str, function: str, argument: str, answers: bytes) -> None:
    from bench.measure.worker import classify, end_with_parent

    recall(answers)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()
    try:
        called = getattr(importlib.import_module(module), function)
        message = ("result", called(argument, lambda text: connection.send(("report", text))))
    except Exception as error:  # told to the person as one line, not as a traceback
        message = ("failed", classify(error)[1])
    connection.send(message)
    connection.close()


def _context() -> Any:
    """Return a way to start workers: a server that has torch loaded and forks, else fresh processes."""
    # An adapter imports its plugin itself: one that is broken would take torch down for every device.
    os.environ.setdefault("TORCH_DEVICE_BACKEND_AUTOLOAD", "0")
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    os.environ.setdefault("GLIBC_TUNABLES", MALLOC)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["bench.measure.preload"])
    _start_server()
    return context


def _start_server() -> None:
    """Start the server deaf to Ctrl-C, which reaches the whole group: it would die with a traceback, loading torch.

    Blocked, not ignored: a Ctrl-C of this moment reaches the run itself right after.
    """
    from multiprocessing import forkserver, resource_tracker

    resource_tracker.ensure_running()  # before, as it unblocks signals
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start(process: BaseProcess) -> None:
    """Start a worker whole: a Ctrl-C between its fork and its orders would leave it without them, with a traceback."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _messages(process: BaseProcess, receiving: Any, limit_s: float, memory: float) -> Iterator[tuple[str, Any]]:
    """Yield the worker's messages; ("timeout" | "oom", reason) when it outgrows a limit; end when it ends."""
    # Counted from here: the first worker of a run waited for torch to be loaded.
    deadline = time.monotonic() + limit_s
    while True:
        try:
            if receiving.poll(0.1):
                yield receiving.recv()
                continue
        except (EOFError, OSError):
            process.join(5)
            return
        if time.monotonic() > deadline:
            yield "timeout", f"no result after {limit_s:.0f} s; raise it with --limit"
            return
        used = _resident(process.pid)
        if used > memory:
            yield "oom", f"used {data_size(used)} of memory, more than its limit of {data_size(memory)}"
            return


def _resident(pid: int | None) -> float:
    try:
        return float(psutil.Process(pid).memory_info().rss) if pid else 0.0
    except psutil.Error:
        return 0.0


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


def _exit_reason(process: BaseProcess) -> str:
    code = process.exitcode
    if code is None or code >= 0:
        return f"the worker ended without a result (exit code {code})"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    extra = "; the system may be out of memory" if name == "SIGKILL" else ""
    return f"the worker was ended by {name}{extra}"


def _end(process: BaseProcess) -> None:
    if process.is_alive():
        process.kill()
    process.join(10)
