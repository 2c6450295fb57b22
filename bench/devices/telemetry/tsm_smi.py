"""Tsingmicro's tsm_smi: one row a card, or one a chip below a card's name.

Format: the TX8110 row that FlagPerf's monitor for Tsingmicro records (FlagOpen/FlagPerf, training/tsingmicro). Rows of
cards with several chips (REX1032) are read from published column order, not from a recording. The percentage beside
the memory does not follow the memory (0 % at 15146M of 65536M), so it is the utilization.
"""

from __future__ import annotations

import re

from bench.devices.telemetry.reading import Reading, figure, lines, mebibytes, sensed, word
from bench.devices.telemetry.tool import LIMIT_S, Tool

TOOL = Tool("tsm_smi", ("/usr/local/bin", "/usr/bin"))

_CARD = re.compile(r"(\d{1,4})\s+(\S*[A-Za-z]\S*)(.*)")
_CHIP = re.compile(r"(\d{1,4})\s+\S+\s+\S*C\s")
_SENSORS = re.compile(r"(\S+?)C\s+(\S+?)W?\s*/\s*(\S+?)W\b")
_MEMORY = re.compile(r"(\d+)M\s*/\s*(\d+)M\s+(\S+?)%")


def parse(text: str) -> list[Reading]:
    """Return the readings of `tsm_smi`'s table."""
    readings: list[Reading] = []
    card, name = "", None
    for line in lines(text):
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if found := _CARD.fullmatch(cells[0]):
            card, name = found[1], found[2]
        sensors, memory = _SENSORS.search(line), _MEMORY.search(line)
        if not card or sensors is None or memory is None:
            continue
        chip = _CHIP.match(cells[1]) if len(cells) > 1 else None
        readings.append(
            sensed(
                "tsm_smi",
                device=f"{card}/{chip[1]}" if chip else card,
                name=word(name),
                power_w=figure(sensors[2]),
                power_limit_w=figure(sensors[3]),
                power_basis="chip" if chip else "card",
                utilization=figure(memory[3], 0.01),
                temperature_c=figure(sensors[1]),
                memory_used_bytes=mebibytes(memory[1]),
                memory_total_bytes=mebibytes(memory[2]),
            )
        )
    return readings


def read(index: int = 0, limit_s: float = LIMIT_S) -> Reading:
    """Return the reading of the card, or chip, at position `index`."""
    return TOOL.read(index, parse, limit_s=limit_s)
