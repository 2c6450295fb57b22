"""Moore Threads' mthreads-gmi: its JSON (`-q --json`), which has the power, and its table, which has not.

Formats: the table as recorded with mthreads-gmi 2.4.1 (MTT S5000) and 2.0.0 (MTT S80), and in Moore Threads' vGPU
guide (docs.mthreads.com); the JSON as recorded on MTT S5000 with driver 3.3.5-server. Memory is in MiB.
"""

from __future__ import annotations

import json
import re
from typing import Any

from bench.devices.telemetry.reading import Missing, Process, Reading, figure, lines, mebibytes, process, sensed, word
from bench.devices.telemetry.tool import LIMIT_S, Tool

TOOL = Tool("mthreads-gmi", ("/usr/bin", "/usr/local/bin"))

_DRIVER = re.compile(r"Driver Version:\s*(\S+)")
_FIRST = re.compile(r"(\d{1,4})\s+(\S[^|]*?)\s*\|[^|]*\|\s*(\S+?%|\S+)\s+(\S+?)\((\S+?)\)")
_SECOND = re.compile(r"\s[^|]*\|[^|]*\|\s*(\S+?)C\b")
_PROCESS = re.compile(r"(\d{1,4})\s+(\d+)\s+(\S.*?)\s+(\d+)MiB")


def parse(text: str) -> list[Reading]:
    """Return the readings of the table, or of the JSON where the text is JSON."""
    return _of_json(text) if text.lstrip().startswith("{") else _of_table(text)


def read(index: int = 0, limit_s: float = LIMIT_S) -> Reading:
    """Return the reading of the GPU at position `index`; from the table where this version has no JSON."""
    return TOOL.read_first(index, {("-q", "--json"): parse, (): parse}, limit_s)


def _of_table(text: str) -> list[Reading]:
    driver = _DRIVER.search(text)
    above, told, below = text.partition("Processes:")
    rows: list[dict[str, Any]] = []
    for line in lines(above):
        if first := _FIRST.match(line):
            device, name, busy, used, total = first.groups()
            rows.append(
                {
                    "device": device,
                    "name": name,
                    "utilization": figure(busy, 0.01),
                    "memory_used_bytes": mebibytes(used),
                    "memory_total_bytes": mebibytes(total),
                }
            )
        elif rows and "temperature_c" not in rows[-1] and (second := _SECOND.match(line)):
            rows[-1]["temperature_c"] = figure(second[1])
    processes = _processes(below)
    return [
        sensed(
            "mthreads-gmi",
            **row,
            driver=word(driver[1] if driver else None),
            processes=tuple(processes.get(row["device"], ())) if told else Missing("shows no processes"),
            power_w=Missing("shows no power in its table"),
        )
        for row in rows
    ]


def _processes(text: str) -> dict[str, list[Process]]:
    found: dict[str, list[Process]] = {}
    for line in lines(text):
        row = _PROCESS.match(line)
        one = process(row[2], row[3], row[4]) if row else None
        if row and one:
            found.setdefault(row[1], []).append(one)
    return found


def _of_json(text: str) -> list[Reading]:
    try:
        tree = json.loads(text)
    except (ValueError, RecursionError):
        return []
    cards = tree.get("GPU") if isinstance(tree, dict) else None
    return [
        sensed(
            "mthreads-gmi",
            device=_at(card, "Index"),
            name=word(_at(card, "Product Name")),
            driver=word(_at(tree, "Driver Version")),
            power_w=figure(_at(card, "Power Readings", "Power Draw")),
            power_limit_w=figure(_at(card, "Power Readings", "Current Power Limit")),
            power_basis="GPU as mthreads-gmi shows it",
            utilization=figure(_at(card, "Utilization", "Gpu"), 0.01),
            temperature_c=figure(_at(card, "Temperature", "GPU Current Temp")),
            clock_hz=figure(_at(card, "Clocks", "Graphics"), 1e6),
            memory_used_bytes=mebibytes(_at(card, "FB Memory Usage", "Used")),
            memory_total_bytes=mebibytes(_at(card, "FB Memory Usage", "Total")),
        )
        for card in (cards if isinstance(cards, list) else ())
        if isinstance(card, dict)
    ]


def _at(tree: Any, *keys: str) -> str | None:
    """Return the text at a path of keys; a recorded key ends in a blank, so blanks around keys do not count."""
    for key in keys:
        found = [value for name, value in tree.items() if name.strip() == key] if isinstance(tree, dict) else []
        tree = found[0] if found else None
    return str(tree) if isinstance(tree, str | int | float) else None
