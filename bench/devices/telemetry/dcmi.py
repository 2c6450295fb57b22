"""Huawei's DCMI (libdcmi.so), which npu-smi itself calls: about 1 ms a figure and no process to start.

Calls, structures and units: dcmi_interface_api.h of Huawei's driver package; power is in 0.1 W, HBM in MB. While the
vendor's profiler is on, AICore utilization reads 0 (Huawei, DCMI API reference, document 54700740093). Atlas 950
drivers offer the dcmiv2_ calls instead, which are not made here: npu-smi is read there.
"""

from __future__ import annotations

import ctypes
from dataclasses import replace
from functools import cache
from pathlib import Path

from bench.devices.telemetry import npu_smi
from bench.devices.telemetry.reading import MIB, Missing, Process, Reading, nothing, sensed
from bench.devices.telemetry.tool import LIMIT_S

LIBRARIES = ("libdcmi.so", "/usr/local/dcmi/libdcmi.so", "/usr/local/Ascend/driver/lib64/driver/libdcmi.so")

MOST_CARDS = 64
MOST_PROCESSES = 64
NAME_LENGTH = 32
UNSUPPORTED = -8255
# The kinds of clocks and of utilization that are asked for.
AICORE_NOW, AICORE_MAX = 7, 9
AICORE, NPU = 2, 13

PROFILED = Missing("reads 0 while the vendor's profiler is on")
HEALTH = ("OK", "Warning", "Alarm", "Critical")
WATTS, HERTZ = 0.1, 1e6


class _HbmInfo(ctypes.Structure):
    _fields_ = (
        ("memory_size", ctypes.c_ulonglong),
        ("freq", ctypes.c_uint),
        ("memory_usage", ctypes.c_ulonglong),
        ("temp", ctypes.c_int),
        ("bandwidth_utilization", ctypes.c_uint),
    )


class _ChipInfo(ctypes.Structure):
    _fields_ = (
        ("chip_type", ctypes.c_char * NAME_LENGTH),
        ("chip_name", ctypes.c_char * NAME_LENGTH),
        ("chip_version", ctypes.c_char * NAME_LENGTH),
        ("aicores", ctypes.c_uint),
    )


class _ProcessInfo(ctypes.Structure):
    _fields_ = (("pid", ctypes.c_int), ("memory_bytes", ctypes.c_ulong))


class Library:
    """The calls of one libdcmi.so; each returns a value or why there is none."""

    def __init__(self, dll: ctypes.CDLL) -> None:
        self._dll = dll

    def call(self, name: str, *arguments: object) -> Missing | None:
        """Make one call; return None where it succeeded."""
        function = getattr(self._dll, name, None)
        if function is None:
            return Missing(f"has no {name} in this version")
        code = function(*arguments)
        if code == 0:
            return None
        return Missing(f"answers {code}" + (" (unsupported)" if code == UNSUPPORTED else f" to {name}"))

    def number(self, name: str, *where: int, unsigned: bool = False) -> int | Missing:
        """Make a call that fills in one number."""
        value = ctypes.c_uint() if unsigned else ctypes.c_int()
        failed = self.call(name, *where, ctypes.byref(value))
        return failed if failed is not None else value.value

    def chips(self) -> list[tuple[int, int]] | Missing:
        """Return (card, chip) of every NPU, in the driver's order."""
        count, cards = ctypes.c_int(), (ctypes.c_int * MOST_CARDS)()
        failed = self.call("dcmi_get_card_list", ctypes.byref(count), cards, MOST_CARDS)
        if failed is not None:
            return failed
        found: list[tuple[int, int]] = []
        for card in cards[: max(0, count.value)]:
            chips, mcu, cpu = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
            failed = self.call("dcmi_get_device_id_in_card", card, *map(ctypes.byref, (chips, mcu, cpu)))
            if failed is not None:
                return failed
            found += [(card, chip) for chip in range(chips.value)]
        return found


@cache
def library(path: str | None = None) -> Library | Missing:
    """Return the loaded and initialised library, or why there is none."""
    for name in (path,) if path else LIBRARIES:
        try:
            found = Library(ctypes.CDLL(name))
        except OSError:
            continue
        failed = found.call("dcmi_init")
        return failed if failed is not None else found
    return Missing(f"is not installed (no {path or ' nor '.join(LIBRARIES)})")


def read(index: int = 0, path: str | None = None, profiling: bool = False) -> Reading:
    """Return the reading of the NPU at position `index` of the driver's order.

    path: the library, where it is not in its usual place; profiling: whether the vendor's profiler is on.
    """
    found = library(path)
    if isinstance(found, Missing):
        return nothing("DCMI", found)
    chips = found.chips()
    if isinstance(chips, Missing):
        return nothing("DCMI", chips)
    if not 0 <= index < len(chips):
        return nothing("DCMI", Missing(f"shows {len(chips)} NPUs, none at position {index}"))
    card, chip = chips[index]
    sharing = sum(1 for other, _ in chips if other == card)
    return _reading(found, card, chip, sharing, profiling)


def ascend(index: int = 0, path: str | None = None, profiling: bool = False, limit_s: float = LIMIT_S) -> Reading:
    """Return the reading through DCMI where its library can be used, else through npu-smi; `source` says which."""
    if not isinstance(library(path), Missing):
        return read(index, path, profiling)
    reading = npu_smi.read(index, limit_s)
    if profiling and reading.utilization == 0:
        return replace(reading, utilization=None, missing={**reading.missing, "utilization": f"npu-smi {PROFILED}"})
    return reading


def _reading(dcmi: Library, card: int, chip: int, sharing: int, profiling: bool) -> Reading:
    memory = _HbmInfo()
    no_memory = dcmi.call("dcmi_get_device_hbm_info", card, chip, ctypes.byref(memory))
    now = dcmi.number("dcmi_get_device_frequency", card, chip, AICORE_NOW, unsigned=True)
    most = dcmi.number("dcmi_get_device_frequency", card, chip, AICORE_MAX, unsigned=True)
    return sensed(
        "DCMI",
        device=f"{card}/{chip}",
        name=_name(dcmi, card, chip),
        driver=_driver(dcmi),
        health=_health(dcmi, card, chip),
        power_w=_scaled(dcmi.number("dcmi_get_device_power_info", card, chip), WATTS),
        # Whether this is the chip's own or the package's power, the interface does not say.
        power_basis="NPU" if sharing == 1 else f"as DCMI tells it for one of {sharing} chips of a card",
        utilization=_utilization(dcmi, card, chip, profiling),
        temperature_c=_scaled(dcmi.number("dcmi_get_device_temperature", card, chip), 1.0),
        clock_hz=_scaled(now, HERTZ),
        max_clock_hz=_scaled(most, HERTZ),
        memory_used_bytes=no_memory if no_memory is not None else memory.memory_usage * MIB,
        memory_total_bytes=no_memory if no_memory is not None else memory.memory_size * MIB,
        processes=_processes(dcmi, card, chip),
    )


def _scaled(value: int | Missing, factor: float) -> float | Missing:
    return value if isinstance(value, Missing) else value * factor


def _utilization(dcmi: Library, card: int, chip: int, profiling: bool) -> float | Missing:
    value: int | Missing = Missing("was not asked")
    for kind in (AICORE, NPU):
        value = dcmi.number("dcmi_get_device_utilization_rate", card, chip, kind, unsigned=True)
        if not isinstance(value, Missing):
            break
    if profiling and value == 0:
        return PROFILED
    return _scaled(value, 0.01)


def _name(dcmi: Library, card: int, chip: int) -> str | Missing:
    info = _ChipInfo()
    failed = dcmi.call("dcmi_get_device_chip_info", card, chip, ctypes.byref(info))
    return failed if failed is not None else _text(info.chip_name)


def _driver(dcmi: Library) -> str | Missing:
    text = ctypes.create_string_buffer(NAME_LENGTH * 2)
    failed = dcmi.call("dcmi_get_driver_version", text, len(text))
    return failed if failed is not None else _text(text.value)


def _text(found: bytes) -> str | Missing:
    return found.decode("utf-8", "replace").strip() or Missing("shows an empty text")


def _health(dcmi: Library, card: int, chip: int) -> str | Missing:
    code = dcmi.number("dcmi_get_device_health", card, chip, unsigned=True)
    if isinstance(code, Missing):
        return code
    return HEALTH[code] if code < len(HEALTH) else Missing(f"shows health {code:#x}, which it does not define")


def _processes(dcmi: Library, card: int, chip: int) -> tuple[Process, ...] | Missing:
    table, count = (_ProcessInfo * MOST_PROCESSES)(), ctypes.c_int(MOST_PROCESSES)
    failed = dcmi.call("dcmi_get_device_resource_info", card, chip, table, ctypes.byref(count))
    if failed is not None:
        return failed
    return tuple(Process(row.pid, _command(row.pid), row.memory_bytes) for row in table[: max(0, count.value)])


def _command(pid: int) -> str:
    """Return the name of a process of this machine, or "" where it cannot be seen (another container's)."""
    try:
        return Path(f"/proc/{pid}/comm").read_text("utf-8", "replace").strip()
    except OSError:
        return ""
