"""Hygon's hy-smi: its table, in which memory is a percentage only, and its JSON, in which it is in bytes or MiB.

Formats: the tables as recorded on BW1000 (DTK 26.04), and without Dec% and Enc% on older DTK; the oldest is that of
ROCm's rocm-smi, from which hy-smi comes, with DCU% for HCU%. JSON keys as recorded with DTK 24.04.3 and as read by
SwanLab and siltide; the unit of memory stands in the key.
"""

from __future__ import annotations

import json
import re
from functools import partial
from typing import Any

from bench.devices.telemetry.reading import MIB, Missing, Reading, figure, lines, sensed, word
from bench.devices.telemetry.tool import LIMIT_S, Tool

TOOL = Tool("hy-smi", ("/opt/hyhal/bin", "/usr/local/hyhal/bin"))

_JSON = ("--showproductname", "--showmeminfo", "vram", "--showuse", "--showtemp", "--showpower", "--json")
_CARD = re.compile(r"card(\d{1,4})")
_UNITS = {"B": 1, "KiB": 1024, "MiB": MIB, "MB": MIB}
_TEMPERATURES = ("junction", "core", "edge")


def parse(text: str, total_bytes: int | None = None) -> list[Reading]:
    """Return the readings of the table, or of the JSON where the text has one.

    total_bytes: a card's memory, which the table does not show; memory in use is then known within half a percent.
    """
    start = text.find("{")
    return _of_json(text[start:]) if start >= 0 else _of_table(text, total_bytes)


def read(index: int = 0, total_bytes: int | None = None, limit_s: float = LIMIT_S) -> Reading:
    """Return the reading of the card at position `index`; from the table where this version takes no such flags."""
    return TOOL.read_first(index, {_JSON: parse, (): partial(parse, total_bytes=total_bytes)}, limit_s)


def _of_table(text: str, total_bytes: int | None) -> list[Reading]:
    header: list[str] = []
    readings: list[Reading] = []
    for line in lines(text):
        cells = line.split()
        if cells and cells[0] in ("HCU", "DCU"):
            header = cells
        elif header and len(cells) == len(header) and cells[0].isdecimal():
            readings.append(_row(dict(zip(header, cells, strict=True)), total_bytes))
    return readings


def _row(row: dict[str, str], total_bytes: int | None) -> Reading:
    share = figure(row.get("VRAM%"), 0.01)
    used: int | Missing = Missing("shows memory in percent only")
    if total_bytes is not None and not isinstance(share, Missing):
        used = round(total_bytes * share)
    return sensed(
        "hy-smi",
        device=row.get("HCU") or row.get("DCU"),
        power_w=figure(row.get("AvgPwr")),
        power_limit_w=figure(row.get("PwrCap")),
        power_basis="card, average",
        utilization=figure(row.get("HCU%") or row.get("DCU%"), 0.01),
        temperature_c=figure(row.get("Temp")),
        memory_used_bytes=used,
        memory_total_bytes=total_bytes if total_bytes is not None else Missing("shows memory in percent only"),
    )


def _of_json(text: str) -> list[Reading]:
    try:
        tree, _ = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        return []
    cards = {
        int(card[1]): {key.strip(): str(value) for key, value in values.items()}
        for name, values in tree.items()
        if isinstance(values, dict) and (card := _CARD.fullmatch(name))
    }
    return [_card(number, cards[number]) for number in sorted(cards)]


def _card(number: int, told: dict[str, str]) -> Reading:
    temperatures = (told.get(f"Temperature (Sensor {place}) (C)") for place in _TEMPERATURES)
    return sensed(
        "hy-smi",
        device=str(number),
        name=word(told.get("Card Series") or told.get("Card series") or told.get("Card Model")),
        power_w=figure(told.get("Average Graphics Package Power (W)")),
        power_limit_w=figure(told.get("Max Graphics Package Power (W)")),
        power_basis="card, average",
        utilization=figure(told.get("HCU use (%)") or told.get("DCU use (%)"), 0.01),
        temperature_c=figure(next((cell for cell in temperatures if cell), None)),
        memory_used_bytes=_memory(told, "Total Used Memory"),
        memory_total_bytes=_memory(told, "Total Memory"),
    )


def _memory(told: dict[str, str], what: str) -> Any:
    for unit, factor in _UNITS.items():
        for vram in ("vram", "VRAM"):
            if (cell := told.get(f"{vram} {what} ({unit})")) is not None:
                found = figure(cell, factor)
                return found if isinstance(found, Missing) else round(found)
    return Missing("does not show it")
