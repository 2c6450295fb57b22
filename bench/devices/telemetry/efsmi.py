"""Enflame's efsmi: its table, two rows a card.

Formats: as recorded with efsmi 1.2.0 (S60; PaddlePaddle's GCU installation guide), 1.4.0 (S60 asleep; vllm-gcu's
README), 1.6.3 and 1.7.2 (S60G, L300; FlagTree's installation guides). Mem is the card's capacity: it is an eighth
smaller with ECC, in use or not; memory in use is not in the table. DUsed is the share of time in use.
"""

from __future__ import annotations

import re
from itertools import pairwise

from bench.devices.telemetry.reading import Missing, Reading, figure, lines, mebibytes, sensed, word
from bench.devices.telemetry.tool import LIMIT_S, Tool

TOOL = Tool("efsmi", ("/usr/local/efsmi", "/usr/bin"))

_DRIVER = re.compile(r"Driver Ver:\s*([^\s|]+)")
_DEVICE = re.compile(r"(\d{1,4})\s+(\S.*)")
# Temperature, mode, then "105W  300W", "68W / 300W", "-" or "N/A".
_SENSORS = re.compile(r"(-|N/A|\S+\s*(?:C|℃|°C))\s+(\S+)\s+(\S+)(?:\s*/?\s*(\S+))?")


def parse(text: str) -> list[Reading]:
    """Return the readings of `efsmi`'s table."""
    driver = _DRIVER.search(text)
    rows = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in lines(text) if "|" in line]
    return [
        _reading(device[1], device[2], below, word(driver[1] if driver else None))
        for above, below in pairwise(rows)
        if len(above) == len(below) == 3 and (device := _DEVICE.fullmatch(above[0])) and not _is_sensors(above[0])
    ]


def read(index: int = 0, limit_s: float = LIMIT_S) -> Reading:
    """Return the reading of the card at position `index`."""
    return TOOL.read(index, parse, limit_s=limit_s)


def _is_sensors(cell: str) -> bool:
    return _SENSORS.fullmatch(cell) is not None


def _reading(device: str, name: str, cells: list[str], driver: str | Missing) -> Reading:
    sensors = _SENSORS.fullmatch(cells[0])
    temperature, mode, power, limit = sensors.groups() if sensors else (None, None, None, None)
    asleep = Missing("shows none while the card sleeps") if mode == "Sleep" else None
    return sensed(
        "efsmi",
        device=device,
        name=name,
        driver=driver,
        power_w=asleep if asleep and power == "-" else figure(power),
        power_limit_w=figure(limit),
        power_basis="card",
        utilization=figure(cells[2], 0.01),
        temperature_c=asleep if asleep and temperature == "-" else figure(temperature),
        memory_total_bytes=mebibytes(cells[1]),
        memory_used_bytes=Missing("shows the capacity only"),
    )
