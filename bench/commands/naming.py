"""What sides are called: by what was measured, not by the file it is in; what tells namesakes apart is added."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from bench.results.compare import Operand
from bench.units import counted

# What makers put into a CPU's name, and tells nobody apart.
_IDLE = re.compile(r"\((R|TM|C)\)|\b\d+-Core\b|\bProcessor\b|\bCPU\b|@ [\d.]+ ?GHz", re.IGNORECASE)
SHORT_COMMIT = 7
NOW = "modelled now"


def named(sides: list[Operand]) -> list[Operand]:
    """Return sides of which no two have the same name: the first thing that differs between namesakes is added."""
    by_name: dict[str, list[Operand]] = {}
    for side in sides:
        by_name.setdefault(side.label, []).append(side)
    added = {id(side): more for same in by_name.values() if len(same) > 1
             for side, more in zip(same, _apart(same), strict=True)}  # fmt: skip
    return [replace(side, label=f"{side.label} {added[id(side)]}") if id(side) in added else side for side in sides]


def device_name(side: Operand) -> str:
    """Return what a run's rows are of: the device by its own name, a CPU with its cores; a sheet's id if modelled."""
    row = side.rows[0]
    if row.source != "measured":
        return row.device
    name = " ".join(_IDLE.sub(" ", row.device_name).split()) or row.device
    if row.unit not in ("machine", "socket") or side.environment is None:
        return name
    told = side.environment.devices.get(row.device, {}).get("cores", "")
    return f"{name} ({counted(int(told) if told.isdigit() else side.environment.cores, 'core')})"


def _commit(side: Operand) -> str:
    commit = side.environment.commit if side.environment else None
    return f"at commit {commit[:SHORT_COMMIT]}{'+' if commit.endswith('+') else ''}" if commit else ""


def _package(side: Operand) -> str:
    version = side.environment.packages.get("torch") if side.environment else None
    return f"with torch {version}" if version else ""


def _fact(side: Operand, name: str) -> str:
    told = side.environment.devices.get(side.rows[0].device, {}).get(name) if side.environment else None
    return f"with {name} {told}" if told else ""


def _since(side: Operand, length: int) -> str:
    return f"of {side.environment.created[:length].replace('T', ' ')}" if side.environment else NOW


# In the order in which they are asked: what a comparison is most often about comes first.
TELLING: tuple[Callable[[Operand], str], ...] = (
    _commit, _package, lambda side: _fact(side, "driver"),
    lambda side: side.environment.bench_version and f"with accelbench {side.environment.bench_version}"
    if side.environment else "",
    lambda side: side.rows[0].device, lambda side: _since(side, 10), lambda side: _since(side, 16),
    lambda side: f"in {Path(side.origin).stem}", lambda side: f"in {side.origin}",
)  # fmt: skip


def _apart(same: Sequence[Operand]) -> list[str]:
    """What tells each of these from the others."""
    # What was modelled now has no commit, and that it was is what tells it from a file.
    telling = TELLING if all(side.environment is not None for side in same) else TELLING[5:]
    for tell in telling:
        told = [tell(side) for side in same]
        if all(told) and len(set(told)) == len(told):
            return told
    return [f"({number})" for number in range(1, len(same) + 1)]
