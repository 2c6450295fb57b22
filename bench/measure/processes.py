"""Workers seen from the run: starts, watches and ends their processes; `worker.py` is what happens inside of one."""

from __future__ import annotations

import contextlib
import importlib
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

import psutil

from bench.devices.detect import known, recall
from bench.errors import BenchError
from bench.units import data_size

# Large temporaries are kept by the allocator instead of being given back and faulted in again at every step.
MALLOC = "glibc.malloc.trim_threshold=2147483647:glibc.malloc.mmap_max=0"


@dataclass(frozen=True)
class Worker:
    """A started process, and the connection on which it tells how it goes on."""

    process: BaseProcess
    told: Connection

    def messages(self, limit_s: float, memory_bytes: float) -> Iterator[tuple[str, Any]]:
        """Yield what it tells; ("timeout" | "oom", reason) when it outgrows a limit; end when it ends."""
        # Counted from here: the first worker of a run waited for torch to be loaded.
        deadline = time.monotonic() + limit_s
        while True:
            try:
                if self.told.poll(0.1):
                    yield self.told.recv()
                    continue
            except (EOFError, OSError):
                self.process.join(5)
                return
            if time.monotonic() > deadline:
                yield "timeout", f"no result after {limit_s:.0f} s; raise it with --limit"
                return
            used = self._resident()
            if used > memory_bytes:
                yield "oom", f"used {data_size(used)} of memory, more than its limit of {data_size(memory_bytes)}"
                return

    def exit_reason(self) -> str:
        """Return in words why it ended without a result."""
        code = self.process.exitcode
        if code is None or code >= 0:
            return f"the worker ended without a result (exit code {code})"
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        extra = "; the system may be out of memory" if name == "SIGKILL" else ""
        return f"the worker was ended by {name}{extra}"

    def _resident(self) -> float:
        try:
            return float(psutil.Process(self.process.pid).memory_info().rss) if self.process.pid else 0.0
        except psutil.Error:
            return 0.0

    def end(self) -> None:
        """End it, whatever it does."""
        if self.process.is_alive():
            self.process.kill()
        self.process.join(10)
        self.told.close()


@contextlib.contextmanager
def started(function: Callable[..., None], *arguments: Any) -> Iterator[Worker]:
    """Call `function(connection, *arguments)` in a worker, which ends with the block."""
    context = _context()
    receiving, sending = context.Pipe(duplex=False)
    process = context.Process(target=_begin, args=(function, sending, known(), *arguments), daemon=True)
    _start(process)
    sending.close()
    worker = Worker(process, receiving)
    try:
        yield worker
    finally:
        worker.end()


def in_worker(module: str, function: str, argument: str, report: Callable[[str], object]) -> bytes:
    """Call `module.function(argument, report)` in a worker; return the bytes it gives, passing on what it reports.

    Raises: BenchError when the function fails, or the worker ends without a result.
    """
    with started(_call, module, function, argument) as worker:
        while True:
            try:
                kind, content = worker.told.recv()
            except EOFError:
                worker.process.join(5)
                raise BenchError(f"{module}: {worker.exit_reason()}") from None
            if kind == "result":
                return bytes(content)
            if kind == "failed":
                raise BenchError(f"{module}: {content}")
            report(content)


def new_server() -> None:
    """Let the next worker come from a server of its own: all forks of one share its address layout and its pages."""
    server = _server()
    if server is not None and server._forkserver_pid is not None:
        # Killed first: it would wait for every worker to end, one that hangs in a driver included.
        with contextlib.suppress(ProcessLookupError):
            os.kill(server._forkserver_pid, signal.SIGKILL)
        server._stop()


def _server() -> Any | None:
    """Return the server that forks workers, or None where there is none, or no way to end it: then each starts afresh.

    `multiprocessing` has no public way to end it.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return None
    from multiprocessing import forkserver

    server = getattr(forkserver, "_forkserver", None)
    return server if hasattr(server, "_stop") and hasattr(server, "_forkserver_pid") else None


def _context() -> Any:
    """Return a way to start workers: a server that has torch loaded and forks, else fresh processes."""
    # An adapter imports its plugin itself: one that is broken would take torch down for every device.
    os.environ.setdefault("TORCH_DEVICE_BACKEND_AUTOLOAD", "0")
    os.environ.setdefault("GLIBC_TUNABLES", MALLOC)
    if _server() is None:
        return multiprocessing.get_context("spawn")
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


def _begin(function: Callable[..., None], connection: Any, answers: bytes, *arguments: Any) -> None:
    recall(answers)
    function(connection, *arguments)


def _call(connection: Any, module: str, function: str, argument: str) -> None:
    from bench.measure.worker import classify, end_with_parent

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()
    try:
        called = getattr(importlib.import_module(module), function)
        message = ("result", called(argument, lambda text: connection.send(("report", text))))
    except Exception as error:  # told to the person as one line, not as a traceback
        message = ("failed", classify(error)[1])
    connection.send(message)
    connection.close()
