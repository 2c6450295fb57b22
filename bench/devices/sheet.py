"""A device sheet: what one torch device is, every figure with its source and confidence.

A sheet is one *torch device*: an Ascend 910C package is two dies, hence two devices; a B200 is two dies shown as one.
A figure without a value is one that nobody published; what depends on it is then unknown, never guessed.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import Literal

import msgspec

from bench import project
from bench.units import GIGA, TERA, data_size

# By vendor, or straight in a person's own devices/ folder; devices/calibrations/ lies one level deeper.
PATTERNS = ("*.toml", "*/*.toml")
# A device shows a little less memory than is sold, or a little more where a "GB" is 2**30 bytes.
MEMORY_SHARE = (0.88, 1.12)
# Cores that torch counts as the sheet does; MUSA cores or AI cores are another count of the same chip.
COUNTED = ("SM", "cube core", "MP", "CU")
DTYPES = ("fp64", "fp32", "tf32", "fp16", "bf16", "fp8", "int8", "fp4")

Confidence = Literal["A", "B", "C", "U"]
CONFIDENCE = {
    "A": "vendor file or vendor table",
    "B": "several agreeing secondary sources, or a cloud operator's page",
    "C": "one weak source, or derived",
    "U": "not public or not found",
}


class Figure(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """One number of a sheet with where it comes from; `value` is absent where nobody published it."""

    source: str
    confidence: Confidence
    value: float | None = None
    date: str | None = None
    note: str | None = None


class Memory(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Device memory: capacity in GB (1e9 bytes), bandwidth in GB/s, last-level cache in MB (1e6 bytes)."""

    type: str | None = None
    size_gb: Figure | None = None
    bandwidth_gb_per_s: Figure | None = None
    cache_mb: Figure | None = None


class Cores(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Where the peak comes from: count x flops_per_clock (dense `dtype` FLOP per core and clock) x clock."""

    name: str
    count: Figure | None = None
    clock_mhz: Figure | None = None
    flops_per_clock: Figure | None = None
    dtype: str = "bf16"


class Link(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Links to peer devices, per direction; `domain_devices` is how many reach each other at that rate."""

    name: str | None = None
    peer_gb_per_s: Figure | None = None
    domain_devices: Figure | None = None
    die_to_die_gb_per_s: Figure | None = None
    host: str | None = None
    host_gb_per_s: Figure | None = None


class Price(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """An indication of price, with its date and source; an example to be edited, not an offer."""

    kind: Literal["purchase", "rent_per_hour", "rent_per_month"]
    currency: str
    low: float
    source: str
    high: float | None = None
    date: str | None = None


class Sheet(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """One device. Keys are described in devices/README.md."""

    name: str
    vendor: str
    family: str | None = None
    adapter: str
    torch_device: str
    torch_names: list[str] = []
    dist_backend: str | None = None
    software: str | None = None
    arch: str | None = None
    unit: Literal["package", "die", "socket"] = "package"
    devices_per_package: int = 1
    form_factor: str | None = None
    release: str | None = None
    checked: str
    peak_tflops: dict[str, Figure] = {}
    memory: Memory = Memory()
    cores: Cores | None = None
    link: Link = Link()
    tdp_w: Figure | None = None
    prices: list[Price] = []
    measured_elsewhere: list[str] = []
    notes: list[str] = []

    def __post_init__(self) -> None:
        for dtype, figure in self.peak_tflops.items():
            if dtype not in DTYPES:
                raise ValueError(f"peak_tflops has '{dtype}', which is not one of {', '.join(DTYPES)}")
            _positive(f"peak_tflops.{dtype}", figure)
        _positive("memory.size_gb", self.memory.size_gb)
        _positive("memory.bandwidth_gb_per_s", self.memory.bandwidth_gb_per_s)
        _positive("link.peer_gb_per_s", self.link.peer_gb_per_s)
        if self.devices_per_package < 1:
            raise ValueError(f"devices_per_package is {self.devices_per_package}; it counts devices, so 1 or more")

    def peak_flops(self, dtype: str) -> float | None:
        """Dense matrix peak in FLOP/s (OP/s for int8), or None where no figure is published."""
        return _scaled(self.peak_tflops.get(dtype), TERA)

    @property
    def memory_bytes(self) -> float | None:
        return _scaled(self.memory.size_gb, GIGA)

    @property
    def memory_bytes_per_s(self) -> float | None:
        return _scaled(self.memory.bandwidth_gb_per_s, GIGA)

    @property
    def link_bytes_per_s(self) -> float | None:
        """Bytes per second to peer devices, one direction."""
        return _scaled(self.link.peer_gb_per_s, GIGA)


def _scaled(figure: Figure | None, factor: float) -> float | None:
    return None if figure is None or figure.value is None else figure.value * factor


def _positive(key: str, figure: Figure | None) -> None:
    if figure is not None and figure.value is not None and not figure.value > 0:
        raise ValueError(f"{key} is {figure.value}; leave the value out where it is not published")


def known_sheets() -> dict[str, Path]:
    """Return sheet id (the file's stem) -> path; a person's own sheets win over the shipped ones."""
    return project.definitions("devices", *PATTERNS)


def load_sheet(device: str) -> Sheet:
    """Return the sheet of a device id.

    Raises: DefinitionError with the nearest names for an unknown id, or naming the key that is wrong.
    """
    path = project.find("devices", device, *PATTERNS, noun="device", command="bench devices")
    return _read(path, path.stat().st_mtime_ns)


def match_sheet(adapter: str, name: str, memory_bytes: int | None, cores: int | None) -> tuple[str | None, str]:
    """Return (sheet id, why) for the device that torch calls `name`, or (None, why not).

    A name alone is not enough: boards of one name are sold with other memory and with fewer cores.
    """
    refused = f"no sheet of adapter '{adapter}' lists the name '{name}' in torch_names"
    for device in known_sheets():
        sheet = load_sheet(device)
        if sheet.adapter != adapter or not any(fnmatchcase(name, pattern) for pattern in sheet.torch_names):
            continue
        size, count = sheet.memory_bytes, _counted(sheet)
        if size and memory_bytes and not MEMORY_SHARE[0] < memory_bytes / size < MEMORY_SHARE[1]:
            refused = f"'{name}' has {data_size(memory_bytes)}, sheet {device} {data_size(size)}"
        elif count and cores and cores != count:
            refused = f"'{name}' has {cores} cores, sheet {device} {count:g}"
        else:
            told = [data_size(memory_bytes)] if size and memory_bytes else []
            told += [f"{cores} cores"] if count and cores else []
            return device, " and ".join([f"the name '{name}'", *told])
    return None, refused


def _counted(sheet: Sheet) -> float | None:
    cores = sheet.cores
    return None if cores is None or cores.name not in COUNTED or cores.count is None else cores.count.value


@lru_cache(maxsize=256)
def _read(path: Path, changed_ns: int) -> Sheet:  # noqa: ARG001 (a changed file is read again)
    return project.load_toml(path, Sheet)
