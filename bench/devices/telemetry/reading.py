"""One reading of a device's sensors, in SI base units; what could not be read is None and says why."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Any

MIB = 1024 * 1024

# More than any device reaches; a larger figure is a fault of the tool, of its output, or of our reading of it.
LARGEST = {
    "power_w": 1e5,
    "power_limit_w": 1e5,
    "energy_j": 1e15,
    "utilization": 1.0,
    "temperature_c": 250.0,
    "clock_hz": 1e11,
    "max_clock_hz": 1e11,
    "memory_used_bytes": 1e15,
    "memory_total_bytes": 1e15,
}
WORDS = ("name", "driver", "health", "throttle", "processes")

_NUMBER = re.compile(r"\s*(-?\d{1,18}(?:\.\d{1,12})?)(?![\d.]|[eE][+-]?\d)")
_NO_VALUE = ("", "-", "NA", "N/A")


# No tool's line is longer; a longer one is rubbish, over which a regular expression must not take minutes.
LONGEST_LINE = 500


class Missing(str):
    """Why a figure is missing, in the figure's place; completes a sentence that begins with who was asked."""

    __slots__ = ()


@dataclass(frozen=True)
class Process:
    """A process on a device and the device memory it holds."""

    pid: int
    name: str
    memory_bytes: int | None


@dataclass(frozen=True)
class Reading:
    """What a device said of itself at one moment.

    energy_j is a counter that only rises; utilization is a share between 0 and 1; `throttle` is () where the device
    says that nothing holds it back. Figures that cannot be true (negative, not finite, beyond `LARGEST`) are dropped.
    Every field that is None has its reason in `missing`.
    """

    device: str | None = None
    source: str | None = None
    name: str | None = None
    driver: str | None = None
    health: str | None = None
    power_w: float | None = None
    power_limit_w: float | None = None
    power_basis: str | None = None
    energy_j: float | None = None
    utilization: float | None = None
    temperature_c: float | None = None
    clock_hz: float | None = None
    max_clock_hz: float | None = None
    memory_used_bytes: int | None = None
    memory_total_bytes: int | None = None
    throttle: tuple[str, ...] | None = None
    processes: tuple[Process, ...] | None = None
    missing: dict[str, str] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        reasons = dict(self.missing)
        for name, largest in LARGEST.items():
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and 0 <= value <= largest):
                self._drop(name, f"{self.source or 'the reader'} shows {value:g}, which cannot be", reasons)
        if (self.memory_used_bytes or 0) > (self.memory_total_bytes or math.inf):
            self._drop("memory_used_bytes", f"{self.source or 'the reader'} shows more than there is", reasons)
        for name in (*LARGEST, *WORDS):
            if getattr(self, name) is None:
                reasons.setdefault(name, f"{self.source or 'the reader'} does not show it")
        object.__setattr__(self, "missing", reasons)

    def _drop(self, name: str, reason: str, reasons: dict[str, str]) -> None:
        object.__setattr__(self, name, None)
        reasons[name] = reason


def sensed(by: str, device: str | None = None, power_basis: str | None = None, **found: Any) -> Reading:
    """Make a reading of what `by` told; a `Missing` becomes None with its reason."""
    missing = {name: f"{by} {why}" for name, why in found.items() if isinstance(why, Missing)}
    told = {name: value for name, value in found.items() if name not in missing}
    return Reading(device, by, power_basis=power_basis, **told, missing=missing)


def nothing(by: str, why: Missing) -> Reading:
    """Make a reading in which every field is missing for one reason."""
    return sensed(by, **dict.fromkeys((*LARGEST, *WORDS), why))


def lines(text: str) -> list[str]:
    """Return a text's lines, without those that are too long to be a table's."""
    return [line for line in text.splitlines() if len(line) <= LONGEST_LINE]


def figure(cell: str | None, factor: float = 1.0) -> float | Missing:
    """Return the number that a cell begins with, times `factor`: "42C", "96.5W", "0.0%"; else why there is none."""
    if cell is None:
        return Missing("does not show it")
    found = _NUMBER.match(cell)
    if found is None:
        return Missing(f"shows '{cell.strip()[:40]}'")
    return float(found[1]) * factor


def mebibytes(cell: str | None) -> int | Missing:
    """Return the bytes of a number of MiB; the tools write MB and M for it as well."""
    found = figure(cell, MIB)
    return found if isinstance(found, Missing) else round(found)


def process(pid: str, name: str, memory: str | None = None) -> Process | None:
    """Return a row of a table of processes, its memory in MiB; None where it has no process id."""
    if not (pid.strip().isdecimal() and len(pid.strip()) <= 10):
        return None
    held = mebibytes(memory)
    return Process(int(pid), name.strip(), held if isinstance(held, int) and held >= 0 else None)


def word(cell: str | None) -> str | Missing:
    """Return a cell's text, or why there is none."""
    if cell is None:
        return Missing("does not show it")
    text = cell.strip()
    return Missing(f"shows '{text}'") if text.upper() in _NO_VALUE else text
