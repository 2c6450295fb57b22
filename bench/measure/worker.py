"""The worker: one case in a process of its own, so that a crash costs one row and memory is surely given back."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from multiprocessing.connection import Connection, wait
from pathlib import Path

import msgspec

from bench.devices.adapter import open_device
from bench.errors import BenchError, Unsupported
from bench.measure.case import Report, measure, unsupported_row
from bench.measure.rows import new_row
from bench.results.record import Row, Status
from bench.workloads.schema import Case

NO_TORCH = "torch is not installed, and measuring needs it: pip install 'accelbench[torch]'"


def work(connection: Connection, content: bytes, device: str) -> None:
    """Measure the case in `content` (JSON) and send ("phase", text) while going on, then ("row", JSON)."""
    # Ctrl-C reaches the whole group; the parent decides when a worker ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # What a driver prints must not mix with the results on stdout.
    os.dup2(2, 1)
    end_with_parent()
    case = msgspec.json.decode(content, type=Case)
    row = guarded(case, device, lambda text: connection.send(("phase", text)))
    # The run may have been killed meanwhile: then nobody reads the row.
    with contextlib.suppress(BrokenPipeError):
        connection.send(("row", msgspec.json.encode(row)))
    connection.close()
    sys.stdout.flush()
    # Threads of torch and of drivers may hang in their own clean-up; everything is already sent.
    os._exit(0)


def end_with_parent() -> None:
    """End this process as soon as the run that started it is gone, `kill -9` included: it would only disturb others."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_after, args=(parent.sentinel,), daemon=True).start()


def _end_after(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)


def guarded(case: Case, device: str, report: Report) -> Row:
    """Measure; whatever goes wrong becomes a row with its reason."""
    adapter = open_device(device)
    name, unit = adapter.facts()["name"], adapter.unit
    row = new_row(case, device=device, device_name=name, unit=unit, source="measured")
    try:
        return measure(case, adapter, report)
    except Unsupported as error:
        return unsupported_row(case, device, name, unit, error)
    except MemoryError:
        row.status, row.reason = "oom", "the machine gave no more memory"
    except BenchError as error:
        row.status, row.reason = "error", str(error)
    except Exception as error:  # one bad case must not end the run
        row.status, row.reason = classify(error)
    return row


def classify(error: Exception) -> tuple[Status, str]:
    """Return (status, reason) of an exception: out of memory, a missing operator, or an error with its place."""
    text = " ".join(str(error).split())[:300]
    name = type(error).__name__
    if isinstance(error, ModuleNotFoundError) and error.name == "torch":
        return "error", f"{NO_TORCH} (modelling does not: -d h100-sxm)"
    if name == "OutOfMemoryError" or "out of memory" in text.lower() or "can't allocate memory" in text.lower():
        return "oom", text
    if isinstance(error, NotImplementedError) or "Could not run" in text:
        return "unsupported", f"an operator is missing here: {text}"
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    place = "" if frame is None else f" ({Path(frame.tb_frame.f_code.co_filename).name}:{frame.tb_lineno})"
    return "error", f"{name}: {text}{place}"
