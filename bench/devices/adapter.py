"""The seam between the harness and a device: what a vendor's file must provide, and which vendors there are.

An adapter is asked for capabilities, never for its identity. New vendors come in through the entry-point group
`bench.adapters` (a name and a class); nothing here knows any of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any, Literal, Protocol

from bench.devices.telemetry.reading import Reading
from bench.errors import DeviceError
from bench.operators.interface import Step


@dataclass(frozen=True)
class Launch:
    """How a step is launched: run it by calling `run`; `how` is "graph" or "eager", None where there is no such choice.

    why: for an eager step of a device that has graphs, why it was not captured.
    """

    run: Callable[[], Any]
    how: Literal["graph", "eager"] | None = None
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

    def capture(self, step: Callable[[], Any]) -> Launch:
        """Capture a step so that it is launched as one graph; the step itself where the device has none."""

    def read(self) -> Reading:
        """Return what the device says of itself now (power, clock, temperature); what it cannot say is None."""


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


def problems() -> list[str]:
    """Return why devices of which something is here cannot be used, and what to do: one line each."""
    found: list[str] = []
    for cls in adapter_classes().values():
        told = cls.problem() if hasattr(cls, "problem") else None
        if told is not None:
            found.append(told)
    return found


def open_device(name: str) -> Adapter:
    """Return the adapter of a device of this machine.

    Raises: DeviceError when there is no such device here.
    """
    vendor = present_devices().get(name)
    if vendor is None:
        reasons = "".join(f". {told}" for told in problems())
        raise DeviceError(f"device '{name}' is not on this machine; here: {', '.join(present_devices())}{reasons}")
    _, _, index = name.partition(":")
    return adapter_classes()[vendor](int(index or 0))
