"""The seam between the harness and a device: what a vendor's file must provide, and which vendors there are.

An adapter is asked for capabilities, never for its identity. New vendors come in through the entry-point group
`bench.adapters` (a name and a class); nothing here knows any of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any, Protocol

from bench.errors import DeviceError
from bench.operators.interface import Step


@dataclass(frozen=True)
class Telemetry:
    """What a device said of itself over a timed window; None where it cannot say, and `why` says why."""

    power_w: float | None = None
    power_basis: str | None = None
    utilization: float | None = None
    temperature_c: float | None = None
    clock_hz: float | None = None
    why: str | None = None


class Adapter(Protocol):
    """One device of one vendor. 60 to 250 lines each."""

    name: str
    unit: str

    def __init__(self, index: int) -> None: ...

    @classmethod
    def available(cls) -> list[str]:
        """Names of this vendor's devices here ("cpu", "cuda:0"), without importing torch; empty when there are none."""

    def facts(self) -> dict[str, str]:
        """Name, driver, runtime and clocks, for the environment."""

    def sheet(self) -> str | None:
        """Id of the sheet that describes this device, or None where there is none."""

    def operators(self, step: Step, dtype: str, copies: int, layers: int | None) -> Any:
        """Return the torch operators of this device.

        copies: operands of their own for so many repetitions of a kernel; layers: run only so many of each kind.
        Raises: Unsupported for a dtype that the device or its software has no path for.
        """

    def time(self, step: Callable[[], Any], repeats: int) -> list[float]:
        """Run a step `repeats` times and return the seconds of each, synchronized."""

    def cache_bytes(self) -> int:
        """Size of the last-level cache, which operands must outgrow to come from memory."""

    def memory_room(self) -> int:
        """Bytes that a case may use now."""

    def memory_peak(self) -> int | None:
        """Largest use of device memory since the process began, or None."""

    def telemetry(self) -> Telemetry:
        """Return what the device reports about the window that just ended."""


def adapter_classes() -> dict[str, Callable[[int], Adapter]]:
    """Return vendor -> adapter class, from the entry points of installed packages."""
    found: dict[str, Callable[[int], Adapter]] = {}
    for point in entry_points(group="bench.adapters"):
        try:
            found[point.name] = point.load()
        except Exception as error:  # a broken plug-in must not take the others down
            raise DeviceError(
                f"adapter '{point.name}' ({point.value}) cannot be loaded: {error}; uninstall or repair its package"
            ) from None
    return found


def present_devices() -> dict[str, str]:
    """Return device name -> vendor for every device of this machine, in the adapters' order."""
    found: dict[str, str] = {}
    for vendor, cls in adapter_classes().items():
        try:
            names = cls.available()  # type: ignore[attr-defined]
        except Exception as error:  # a plug-in that fails here must be named, too
            raise DeviceError(
                f"adapter '{vendor}' cannot say what is here: {type(error).__name__}: {error};"
                " uninstall or repair its package"
            ) from None
        found |= dict.fromkeys(names, vendor)
    return found


def open_device(name: str) -> Adapter:
    """Return the adapter of a device of this machine.

    Raises: DeviceError when there is no such device here.
    """
    vendor = present_devices().get(name)
    if vendor is None:
        raise DeviceError(f"device '{name}' is not on this machine; here: {', '.join(present_devices())}")
    _, _, index = name.partition(":")
    return adapter_classes()[vendor](int(index or 0))
