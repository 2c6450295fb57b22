"""Huawei's npu-smi: the table of `npu-smi info`, and the key-value pages of `npu-smi info -t ...`.

Formats: the printf calls of Huawei's published npu-smi source (CANN Open Software License) for 910, 910B (A2), 910C
(A3, two dies a package), Atlas 950 and 310P; Atlas 950 rows as recorded with npu-smi 25.7.rc1, 310P with 22.0.4.
AICore reads 0 where compute groups virtualise the NPU, which the table does not tell.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from bench.devices.telemetry.reading import Missing, Process, Reading, figure, lines, mebibytes, process, sensed, word
from bench.devices.telemetry.tool import LIMIT_S, Tool

TOOL = Tool("npu-smi", ("/usr/local/bin", "/usr/local/sbin", "/usr/local/Ascend/driver/tools"))

_VERSION = re.compile(r"npu-smi\s+\S+\s+Version:\s*(\S+)")
_DEVICE = re.compile(r"(\d{1,6})\s+(\S*[A-Za-z]\S*)")
_CHIP = re.compile(r"(\d{1,6})(?:\s+(\d{1,6}))?")
_SENSORS = re.compile(r"(\S+)\s+(\S+)\s+\S+\s*/\s*\S+")
_USAGE = re.compile(r"(\S+)\s+(\S+?)\s*/\s*(\S+)(?:\s+(\S+?)\s*/\s*(\S+))?")
_NOBODY = re.compile(r"No running processes found in NPU\s+(\d{1,6})")
_PAIR = re.compile(r"\s*(\S.*?)\s*:\s*(.*?)\s*")

_ON_DIE_0 = Missing("shows the package's power on die 0")


@dataclass
class _Chip:
    """The rows of one chip as they stand in the table."""

    npu: int
    name: str
    health: str
    power: str | None = None
    temperature: str | None = None
    chip: int = 0
    device: str | None = None
    utilization: str | None = None
    used: str | None = None
    total: str | None = None
    processes: list[Process] = field(default_factory=list)


def parse(text: str) -> list[Reading]:
    """Return the readings of `npu-smi info`, in the driver's order (by NPU, then by chip).

    A reading's device is its Phy-ID (A3) or Device (310P) where the table has one, else its NPU.
    """
    version = _VERSION.search("\n".join(lines(text)))
    chips: list[_Chip] = []
    stated: set[int] = set()
    in_processes = False
    for cells in _rows(text):
        in_processes = in_processes or any(cell == "Process id" for cell in cells)
        if in_processes:
            stated |= _take_process(cells, chips)
        else:
            _take_device(cells, chips)
    chips.sort(key=lambda chip: (chip.npu, chip.chip))
    dies = {npu: [chip for chip in chips if chip.npu == npu] for npu in {chip.npu for chip in chips}}
    return [
        _reading(chip, dies[chip.npu], word(version[1]) if version else Missing("shows no version"), stated)
        for chip in chips
    ]


def parse_pairs(text: str) -> list[Reading]:
    """Return the readings of `npu-smi info -t usages`, `-t power` or `-t common`, one a chip.

    Memory in use is the capacity times its usage rate, so it is known within half a percent of the capacity.
    """
    return [_page(page) for page in _pages(text) if page.get("Chip Name", "").lower() not in ("mcu", "3559")]


def read(index: int = 0, limit_s: float = LIMIT_S) -> Reading:
    """Return the reading of the NPU that is at position `index` of the driver's order."""
    return TOOL.read(index, parse, "info", limit_s=limit_s)


def _rows(text: str) -> Iterator[list[str]]:
    for line in lines(text):
        if line.strip().startswith("|"):
            yield [cell.strip() for cell in line.strip().strip("|").split("|")]


def _take_device(cells: list[str], chips: list[_Chip]) -> None:
    """Take one of a chip's two rows: NPU, name, health, sensors; then chip, bus, usage."""
    if len(cells) == 4 and cells[0].isdecimal():  # Atlas 950 has a column for the name
        cells = [f"{cells[0]} {cells[1]}", *cells[2:]]
    elif len(cells) == 4:
        cells = ["0" if cells[0] == "" else cells[0], *cells[2:]]
    if len(cells) != 3:
        return
    if device := _DEVICE.fullmatch(cells[0]):
        chips.append(_Chip(int(device[1]), device[2], cells[1]))
        if sensors := _SENSORS.fullmatch(cells[2]):
            chips[-1].power, chips[-1].temperature = sensors.groups()
    elif chips and chips[-1].utilization is None and (chip := _CHIP.fullmatch(cells[0])):
        last = chips[-1]
        last.chip, last.device = int(chip[1]), chip[2]
        if usage := _USAGE.fullmatch(cells[2]):
            last.utilization, last.used, last.total = usage.group(1, 2, 3)
            # The last pair is the HBM; where there is no HBM, it is absent or 0 / 0.
            if usage[5] and usage[5] != "0":
                last.used, last.total = usage.group(4, 5)


def _take_process(cells: list[str], chips: list[_Chip]) -> set[int]:
    """Take a row of the table of processes; return the NPUs that it speaks of."""
    if nobody := _NOBODY.match(cells[0]):
        return {int(nobody[1])}
    where = _CHIP.fullmatch(cells[0])
    one = process(cells[1], cells[2], cells[3]) if where and len(cells) == 4 else None
    if where is None or one is None:
        return set()
    for chip in chips:
        if (chip.npu, chip.chip) == (int(where[1]), int(where[2] or 0)):
            chip.processes.append(one)
    return {int(where[1])}


def _reading(chip: _Chip, dies: list[_Chip], driver: str | Missing, stated: set[int]) -> Reading:
    total = mebibytes(chip.total)
    power: float | Missing = figure(chip.power)
    if chip.power == "-" and chip is not dies[0]:
        power = _ON_DIE_0
    return sensed(
        "npu-smi",
        device=chip.device or str(chip.npu),
        name=chip.name,
        driver=driver,
        health=word(chip.health),
        power_w=power,
        power_basis=f"package of {len(dies)} dies" if len(dies) > 1 and dies[1].power == "-" else "NPU",
        utilization=figure(chip.utilization, 0.01),
        temperature_c=figure(chip.temperature),
        memory_used_bytes=mebibytes(chip.used) if total else Missing("shows no memory"),
        memory_total_bytes=total or Missing("shows no memory"),
        processes=tuple(chip.processes) if chip.npu in stated else Missing("shows no processes"),
    )


def _pages(text: str) -> Iterator[dict[str, str]]:
    """Cut key-value lines into pages, one a chip: an empty line or a key that comes again begins the next."""
    page: dict[str, str] = {}
    for line in [*lines(text), ""]:
        pair = _PAIR.fullmatch(line)
        if page.keys() - {"NPU ID", "Chip Count"} and (not line.strip() or (pair and pair[1] in page)):
            yield page
            page = {"NPU ID": page["NPU ID"]} if "NPU ID" in page else {}
        if pair:
            page[pair[1]] = pair[2]


def _page(page: dict[str, str]) -> Reading:
    hbm = mebibytes(page.get("HBM Capacity(MB)"))
    memory = "HBM" if isinstance(hbm, int) and hbm > 0 else "DDR"
    total = mebibytes(page.get(f"{memory} Capacity(MB)"))
    share = figure(page.get(f"{memory} Usage Rate(%)"), 0.01)
    used: int | Missing = Missing("shows no share of a capacity")
    if not isinstance(total, Missing) and not isinstance(share, Missing):
        used = round(total * share)
    return sensed(
        "npu-smi",
        device=page.get("NPU ID"),
        power_w=figure(page.get("NPU Real-time Power(W)") or page.get("Power Dissipation(W)")),
        power_basis="NPU",
        utilization=figure(page.get("Aicore Usage Rate(%)") or page.get("NPU Utilization(%)"), 0.01),
        temperature_c=figure(page.get("Temperature(C)") or page.get("NPU Temperature (C)")),
        clock_hz=figure(page.get("Aicore curFreq(MHZ)"), 1e6),
        max_clock_hz=figure(page.get("Aicore Freq(MHZ)"), 1e6),
        memory_used_bytes=used,
        memory_total_bytes=total,
    )
