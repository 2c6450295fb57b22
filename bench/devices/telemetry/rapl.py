"""A CPU's energy counters (RAPL) through Linux' powercap files.

Files, microjoules and the range after which a counter starts again: Linux, Documentation/power/powercap. The packages
of all sockets are added; memory (the dram zone) is not part of a package. AMD's counters stand under the same names.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from bench.devices.telemetry.reading import Missing, Reading, nothing, sensed

ROOT = Path("/sys/class/powercap")
MICRO = 1e-6


class Rapl:
    """The counters of all packages as one that only rises; it must be read more often than they start again.

    A package's range is a quarter of a megajoule or more: minutes at full power.
    """

    def __init__(self, root: Path = ROOT) -> None:
        self._root = root
        self._last: dict[Path, int] = {}
        self._risen = 0

    def read(self) -> Reading:
        """Return a reading with the energy in joules since the first one."""
        zones = [zone for zone in sorted(self._root.glob("intel-rapl:*")) if zone.name.count(":") == 1]
        try:
            packages = [zone for zone in zones if (zone / "name").read_text().startswith("package")]
            if not packages:
                return nothing("RAPL", Missing(f"is not here: {self._root} has no package (virtual machines hide it)"))
            for zone in packages:
                self._add(zone)
        except PermissionError:
            return nothing("RAPL", Missing("is readable by root only (chmod a+r .../intel-rapl:*/energy_uj)"))
        except (OSError, ValueError) as error:
            return nothing("RAPL", Missing(f"cannot be read: {error}"))
        return sensed(
            "RAPL",
            device=" ".join(zone.name for zone in packages),
            energy_j=self._risen * MICRO,
            power_w=Missing("has a counter of energy only"),
            power_basis="CPU packages without memory",
        )

    def _add(self, zone: Path) -> None:
        now = int((zone / "energy_uj").read_text())
        rise = now - self._last.setdefault(zone, now)
        if rise < 0:
            rise += int((zone / "max_energy_range_uj").read_text())
        self._last[zone] = now
        self._risen += max(0, rise)


@cache
def _here() -> Rapl:
    return Rapl()


def read() -> Reading:
    """Return the reading of this machine's CPU; its energy rises from the process's first reading on."""
    return _here().read()
