"""A vendor's command-line tool: found, run within a time limit, and never the cause of an exception."""

from __future__ import annotations

import os
import selectors
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from bench.devices.telemetry.reading import Missing, Reading, nothing
from bench.units import counted

LIMIT_S = 5.0
MOST_BYTES = 4_000_000
# A tool that hangs inside its driver cannot be killed; it is left behind after this long.
REAP_S = 0.5

Parse = Callable[[str], list[Reading]]


@dataclass(frozen=True)
class Tool:
    """An executable's name and the folders in which its vendor puts it, PATH aside."""

    name: str
    folders: tuple[str, ...] = ()

    def find(self) -> str | None:
        """Return the executable's path, PATH first."""
        beside = os.pathsep.join(self.folders)
        return shutil.which(self.name) or (shutil.which(self.name, path=beside) if beside else None)

    def run(self, *arguments: str, limit_s: float = LIMIT_S) -> str | Missing:
        """Return what the tool prints, or why it printed nothing that can be used."""
        path = self.find()
        if path is None:
            beside = f" nor in {', '.join(self.folders)}" if self.folders else ""
            return Missing(f"is not on PATH{beside}")
        try:
            process = subprocess.Popen(
                [path, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**os.environ, "LC_ALL": "C"},
                start_new_session=True,
            )
        except OSError as error:
            return Missing(f"cannot be started: {error.strerror or error}")
        return _answer(process, limit_s)

    def read(self, index: int, parse: Parse, *arguments: str, limit_s: float = LIMIT_S) -> Reading:
        """Run the tool and return the reading of its device at position `index`; never raises."""
        text = self.run(*arguments, limit_s=limit_s)
        if isinstance(text, Missing):
            return nothing(self.name, text)
        try:
            readings = parse(text)
        except Exception as error:  # a tool's output is not ours: no telemetry is better than no measurement
            return nothing(self.name, Missing(f"printed what cannot be read ({type(error).__name__}: {error})"))
        if not readings:
            return nothing(self.name, Missing(f"printed no device: '{first_line(text)}'"))
        if not 0 <= index < len(readings):
            return nothing(self.name, Missing(f"shows {counted(len(readings), 'device')}, none at position {index}"))
        return readings[index]

    def read_first(self, index: int, ways: dict[tuple[str, ...], Parse], limit_s: float = LIMIT_S) -> Reading:
        """Return the reading of the first arguments that show a device, all within one time limit; never raises."""
        deadline = time.monotonic() + limit_s
        reading = nothing(self.name, Missing("was not asked"))
        for arguments, parse in ways.items():
            reading = self.read(index, parse, *arguments, limit_s=limit_s)
            limit_s = deadline - time.monotonic()
            if reading.device is not None or limit_s <= 0:
                break
        return reading


def first_line(text: str) -> str:
    """Return the first line that says something, shortened."""
    return next((line.strip()[:120] for line in text.splitlines() if line.strip()), "")


def _answer(process: subprocess.Popen[bytes], limit_s: float) -> str | Missing:
    collected = _collect(process, limit_s)
    if isinstance(collected, Missing):
        _kill(process)
        return collected
    out, complaint = (text.decode("utf-8", "replace") for text in collected)
    if process.returncode:
        how = f"exit {process.returncode}" if process.returncode > 0 else f"signal {-process.returncode}"
        said = first_line(complaint) or first_line(out)
        return Missing(f"failed ({how})" + (f": {said}" if said else ""))
    return out


def _collect(process: subprocess.Popen[bytes], limit_s: float) -> tuple[bytes, bytes] | Missing:
    """Read both pipes until they close and the process has ended, or say why that did not happen."""
    assert process.stdout is not None
    assert process.stderr is not None
    late = Missing(f"gave no answer in {limit_s:g} s")
    deadline = time.monotonic() + limit_s
    texts = {process.stdout.fileno(): b"", process.stderr.fileno(): b""}
    with process.stdout, process.stderr, selectors.DefaultSelector() as selector:
        for pipe in texts:
            selector.register(pipe, selectors.EVENT_READ)
        while selector.get_map():
            rest_s = deadline - time.monotonic()
            if rest_s <= 0:
                return late
            for key, _ in selector.select(rest_s):
                chunk = os.read(key.fd, 65536)
                texts[key.fd] += chunk
                if not chunk:
                    selector.unregister(key.fd)
            if sum(map(len, texts.values())) > MOST_BYTES:
                return Missing(f"printed more than {MOST_BYTES // 1_000_000} MB")
    try:
        process.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        return late
    out, complaint = texts.values()
    return out, complaint


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End the process and its children, which share its process group."""
    with suppress(OSError):
        os.killpg(process.pid, signal.SIGKILL)
    with suppress(subprocess.TimeoutExpired):
        process.wait(REAP_S)
