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

REPAIR = "uninstall or repair its package"


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
    """Return vendor -> adapter class, from the entry points of installed packages; `problems` names broken ones."""
    return _loaded()[0]


def _loaded() -> tuple[dict[str, Callable[[int], Adapter]], list[str]]:
    found: dict[str, Callable[[int], Adapter]] = {}
    broken: list[str] = []
    for point in entry_points(group="bench.adapters"):
        try:
            found[point.name] = point.load()
        except Exception as error:  # a broken plug-in must not take the others down
            broken.append(f"adapter '{point.name}' ({point.value}) cannot be loaded: {error}; {REPAIR}")
    return found, broken


def present_devices() -> dict[str, str]:
    """Return device name -> vendor for every device of this machine, in the adapters' order."""
    return _present()[0]


def _present() -> tuple[dict[str, str], list[str]]:
    found: dict[str, str] = {}
    broken: list[str] = []
    for vendor, cls in adapter_classes().items():
        try:
            names = cls.available()  # type: ignore[attr-defined]
        except Exception as error:  # a plug-in that fails here must not take the others down either
            broken.append(f"adapter '{vendor}' cannot say what is here: {type(error).__name__}: {error}; {REPAIR}")
        else:
            found |= dict.fromkeys(names, vendor)
    return found, broken


def problems() -> list[str]:
    """Return why devices of which something is here cannot be used, and what to do: one line each."""
    classes, found = _loaded()
    found += _present()[1]
    for vendor, cls in classes.items():
        try:
            told = cls.problem() if hasattr(cls, "problem") else None
        except Exception as error:  # the same here
            told = f"adapter '{vendor}' cannot say what is wrong: {type(error).__name__}: {error}; {REPAIR}"
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
